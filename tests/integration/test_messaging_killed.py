"""core/messaging killed at each step, raced by cancellations, and with a gateway that answers as it likes: each message once."""
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from messaging_site import booked, cancelled, DEADLINE, main, patient, report, ROOT, same, wait_for  # noqa: E402


# ---- killed at every step ----

POINTS = ["messaging.before-apply", "messaging.after-apply", "messaging.after-stage", "messaging.before-handing",
          "messaging.after-handing", "messaging.locked", "messaging.before-rename", "messaging.after-rename",
          "messaging.before-sent", "messaging.after-sent"]


def finish(s, taken=None):
    """Runs to the end after a crash; a gateway that takes files at once may look over our shoulder."""
    out = s.step()
    if taken is not None:
        take(s, taken)
    return out


def take(s, taken):
    for n in os.listdir(s.outbox) if os.path.isdir(s.outbox) else []:
        if n.endswith(".json"):
            taken.append(n)
            os.remove(f"{s.outbox}/{n}")


def test_kill(new):
    people = 3
    for point in POINTS:
        for hit in (1, 2):
            s = new("2024-06-17T09:00:00+09:00")
            taken = []
            s.append(*(e for i in range(people) for e in (patient(f"p{i}"), booked(f"p{i}", f"a{i}", "2024-06-26T17:00:00+09:00"))))
            out = s.step(fail=f"{point}:{hit}", batch=2)
            killed = out.returncode == -signal.SIGKILL
            take(s, taken)
            s.at("2024-06-25T10:00:00+09:00") if hit == 2 else None
            out2 = s.step(fail=f"{point}:1")
            take(s, taken)
            finish(s, taken)
            s.at("2024-06-25T10:00:00+09:00")
            out3 = s.step(fail=f"{point}:1")
            take(s, taken)
            finish(s, taken)
            states = {p[1] for p in s.plans()}
            sent = s.sql(f"SELECT id || '.json' FROM dari.plan WHERE site = '{s.name}' AND state = 'sent' ORDER BY 1")
            ok = (states <= {"sent", "suppressed"} and sorted(taken) == [r[0] for r in sent] and len(taken) >= people
                  and s.sums() and s.staged() == [])
            # after-sent and before-rename may be hit once only in a run that does all in one round
            report(ok and (killed or hit == 2) and out2 is not None and out3 is not None,
                   f"killed at {point}, time {hit}: each file exactly once",
                   f"killed {killed}\n{s.plans()}\ntaken {sorted(taken)}\nsent {sent}\nstaged {s.staged()}\nsums {s.sums()}")


def test_cancel_kill(new):
    """Killed while handing over, cancelled before the restart: handed over before the cancellation, or never."""
    for point in POINTS[3:]:
        s = new("2024-06-17T09:00:00+09:00")
        s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
        s.step(fail=f"{point}:1")
        before = [f["step"] for f in s.files()]
        s.append(cancelled("p1", "a1"))
        s.step()
        after = [f["step"] for f in s.files()]
        state = [p[:3] for p in s.plans() if p[0] == "JN01/confirm/1"]
        want = [("JN01/confirm/1", "sent", "-")] if before else [("JN01/confirm/1", "cancelled", "cancelled")]
        report(before == after and state == want and s.staged() == [] and s.sums(),
               f"cancelled after a kill at {point}: {'was out already' if before else 'never goes out'}",
               f"{before} {after} {s.plans()} {s.staged()}")


# ---- a cancellation that races the hand-over ----

def test_race(new, rounds=12, people=8):
    rng = random.Random(7)
    late, out, stopped = [], 0, 0
    s = new("2024-06-17T09:00:00+09:00")
    role = s.start()
    for r in range(rounds):
        base = r * people
        s.append(*(patient(f"p{base + i}") for i in range(people)))
        feeder = subprocess.Popen(s.command("append"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env=s.env(), cwd=ROOT)
        committed = {}
        for i in range(people):
            a = f"a{base + i}"
            for e in (booked(f"p{base + i}", a, "2024-06-26T17:00:00+09:00"), cancelled(f"p{base + i}", a)):
                feeder.stdin.write(json.dumps({"time": s.now, **e}) + "\n")
                feeder.stdin.flush()
                committed[e["type"], a] = feeder.stdout.readline().split()
                time.sleep(rng.random() * 0.02 if e["type"].endswith("booked") else 0)
        feeder.stdin.close()
        feeder.wait()
        s.appended += committed.values()
    head = s.sql(f"SELECT max(seq) FROM dari.event WHERE site = '{s.name}' AND source = 'feed:test'")[0][0]
    wait_for("the role", lambda: int(s.sql(f"SELECT seq FROM dari.position WHERE site = '{s.name}'")[0][0]) >= int(head))
    role.send_signal(signal.SIGTERM)
    role.wait()
    s.step()
    # the cancel's commit time, as its committer saw it after the commit; the rename's is the file's ctime
    cancels = {r[2]: int(r[1]) for r in s.appended}
    rows = s.sql("SELECT p.id, p.state, e.id FROM dari.plan p JOIN dari.event e ON e.site = p.site AND e.type = "
                 "'appointment.cancelled' AND e.data::json->>'appointment_key' = p.appointment "
                 f"WHERE p.site = '{s.name}' AND p.step = 'confirm'")
    for plan, state, event in rows:
        path = f"{s.outbox}/{plan}.json"
        if os.path.exists(path):
            out += 1
            renamed = os.stat(path).st_ctime_ns // 1000
            if renamed > cancels[event]:
                late.append((plan, renamed - cancels[event]))
            if state != "sent":
                late.append((plan, state))
        else:
            stopped += 1
            if state != "cancelled":
                late.append((plan, state))
    # and exactly: the hand-over's own event comes before the cancellation in the stream's commit order
    late += s.sql("SELECT p.id, h.seq, c.seq FROM dari.plan p JOIN dari.event h ON h.site = p.site AND h.type = "
                  "'message.status_changed' AND h.data::json->>'message_key' = p.id JOIN dari.event c ON c.site = p.site "
                  "AND c.type = 'appointment.cancelled' AND c.data::json->>'appointment_key' = p.appointment "
                  f"WHERE p.site = '{s.name}' AND h.seq > c.seq")
    report(not late and out + stopped == rounds * people,
           f"{rounds * people} cancellations raced the hand-over ({out} too late for them, {stopped} in time): none was overtaken",
           late[:10])
    report(s.sums() and s.staged() == [], "every message asked for once and ended once", s.plans()[:10])


# ---- channel http ----

class Gateway:
    def __init__(self):
        gateway = self
        self.got, self.answers, self.delay = [], [], 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.got.append((self.headers["Idempotency-Key"], body))
                answer = gateway.answers.pop(0) if gateway.answers else 200
                if answer == "slow":
                    gateway.release.wait(DEADLINE)
                    answer = 200
                try:
                    self.send_response(answer)
                    if answer == 302:
                        self.send_header("Location", f"http://127.0.0.1:{gateway.port}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except BrokenPipeError:
                    pass

            def log_message(self, *args):
                pass
        self.release = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/send"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.release.set()
        self.server.shutdown()


def http_case(new, gateway, answers):
    gateway.got.clear()
    gateway.answers[:] = answers
    s = new("2024-06-17T09:00:00+09:00", url=gateway.url)
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
    return s


def until_ended(s):
    def ended():
        s.step()
        return [p for p in s.plans() if p[0].startswith("JN01") and p[1] not in ("planned", "handing")]
    wait_for("an end", ended)
    return [p[1:3] for p in s.plans() if p[0].startswith("JN01")]


def test_http(new):
    g = Gateway()
    s = http_case(new, g, [])
    same((until_ended(s), len(g.got), s.staged()), ([("sent", "-")], 1, []), "http: accepted")
    body = json.loads(g.got[0][1])
    same((g.got[0][0], body["to"]), (body["id"], "+821012345678"), "the plan's id is the Idempotency-Key")
    s = http_case(new, g, [500, 503])
    same((until_ended(s), len(g.got), len(set(g.got))), ([("sent", "-")], 3, 1), "500 and 503: again, the same bytes and key")
    s = http_case(new, g, [422])
    same((until_ended(s), len(g.got)), ([("failed", "gateway")], 1), "4xx: failed for good")
    same([d.get("provider_code") for t, d in s.events("message.status%")], ["422"], "with the gateway's code in the event")
    s = http_case(new, g, ["slow"])
    same((until_ended(s), len(g.got), len(set(g.got))), ([("sent", "-")], 2, 1), "no answer in time: again, the same bytes and key")
    s = http_case(new, g, [302])
    same((until_ended(s), [k for k, _ in g.got].count(g.got[0][0])), ([("sent", "-")], 2), "a redirect is not followed")
    s = http_case(new, g, [500])
    s.step()
    s.append(cancelled("p1", "a1"))
    same((until_ended(s), len(g.got)), ([("failed", "unknown")], 1), "cancelled while in doubt: unknown, and not repeated")
    same([d["status"] for t, d in s.events("message.status%")], ["unknown"], "the event says so")
    s = http_case(new, g, [429])
    s.step()
    s.append(cancelled("p1", "a1"))
    same((until_ended(s), len(g.got)), ([("cancelled", "cancelled")], 1), "cancelled after a certain refusal: cancelled")
    for point in ["messaging.after-handing", "messaging.before-call", "messaging.after-call", "messaging.before-recorded",
                  "messaging.after-recorded"]:
        s = http_case(new, g, [])
        s.step(fail=f"{point}:1")
        got = until_ended(s)
        same((got, len(set(g.got)), s.staged(), s.sums()), ([("sent", "-")], 1, [], True),
             f"http: killed at {point}: one key, one text, one end")
    for point, want, status in [("messaging.after-handing", ("cancelled", "cancelled"), []),
                                ("messaging.before-call", ("failed", "unknown"), ["unknown"]),
                                ("messaging.after-call", ("failed", "unknown"), ["unknown"]),
                                ("messaging.after-recorded", ("sent", "-"), ["accepted"])]:
        s = http_case(new, g, [])
        s.step(fail=f"{point}:1")
        s.append(cancelled("p1", "a1"))
        same((until_ended(s), [d["status"] for t, d in s.events("message.status%")], s.staged(), s.sums()),
             ([want], status, [], True), f"http: killed at {point}, then cancelled: {want[1] if want[1] != '-' else want[0]}")
    s = http_case(new, g, [500])
    s.step()
    s.at("2024-06-18T08:30:00+09:00")
    same((until_ended(s), len(g.got)), ([("failed", "unknown")], 1), "in doubt overnight: a text of yesterday is not repeated")
    g.close()
    s = new("2024-06-17T09:00:00+09:00", url="http://example.org/send")
    out = subprocess.run(s.command("step"), capture_output=True, text=True, env=s.env(), cwd=ROOT)
    report(out.returncode == 1 and "https" in out.stderr, "http without TLS to somewhere else is refused", out.stderr)


def test_alone(new):
    s = new("2024-06-17T09:00:00+09:00")
    role = s.start()
    wait_for("the role", lambda: s.sql(f"SELECT 1 FROM dari.position WHERE site = '{s.name}'"))
    out = subprocess.run(s.command("step"), capture_output=True, text=True, env=s.env(), cwd=ROOT)
    report(out.returncode == 1 and "another messaging role" in out.stderr, "a second role for the same site is refused", out.stderr)
    role.send_signal(signal.SIGTERM)
    role.wait()


main(globals())
