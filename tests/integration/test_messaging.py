"""core/messaging against a real PostgreSQL: what is planned when, what is handed over, what never is.

Events are appended by tests/integration/messaging_driver append (the intake's lock and numbers), and consumed by
messaging_driver step or run. The clock is a file. Prints TAP."""
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODE = os.environ.get("MODE", "dev")
DRIVE = f"{ROOT}/build/{MODE}/tests/integration/messaging_driver"
DARI = f"{ROOT}/build/{MODE}/dari"
FAILED = 0
NUMBER = 0
DEADLINE = 60


def report(ok, name, detail=""):
    global FAILED, NUMBER
    NUMBER += 1
    print(f"{'ok' if ok else 'not ok'} {NUMBER} - {name}", flush=True)
    if not ok:
        FAILED += 1
        for line in str(detail).splitlines()[:30]:
            print(f"#   {line}", flush=True)


def same(got, want, name):
    report(got == want, name, f"got  {got}\nwant {want}")


class Site:
    """One site with its own outbox and clock, in the shared database."""
    count = 0

    def __init__(self, home, conninfo, now, **settings):
        Site.count += 1
        self.name = f"site{Site.count}"
        self.home = home
        self.conninfo = conninfo
        self.outbox = f"{home}/{self.name}-outbox"
        self.clock = f"{home}/{self.name}-clock"
        self.settings = settings
        self.appended = []
        self.at(now)
        self.sql(f"INSERT INTO dari.stream (site) VALUES ('{self.name}')")

    def at(self, now):
        self.now = now
        with open(self.clock + ".new", "w") as f:
            f.write(now)
        os.rename(self.clock + ".new", self.clock)

    def sql(self, text):
        out = subprocess.run(["psql", self.conninfo, "-qAtF", "|", "-v", "ON_ERROR_STOP=1", "-c", text],
                             capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr)
        return [line.split("|") for line in out.stdout.splitlines()]

    def command(self, what, **more):
        s = {"db": self.conninfo, "keys": f"{self.home}/keys", "site": self.name, "outbox": self.outbox,
             **self.settings, **more}
        return [DRIVE, *(f"{k}={v}" for k, v in s.items()), what]

    def env(self, fail=None):
        e = dict(os.environ, DARI_CLOCK=self.clock)
        e.pop("DARI_FAIL", None)
        if fail:
            e["DARI_FAIL"] = fail
        return e

    def append(self, *events):
        text = "".join(json.dumps({"time": self.now, **e}) + "\n" for e in events)
        out = subprocess.run(self.command("append"), input=text, capture_output=True, text=True, env=self.env(), cwd=ROOT)
        if out.returncode:
            raise RuntimeError(out.stderr)
        rows = [line.split() for line in out.stdout.splitlines()]
        self.appended += rows
        return rows

    def step(self, fail=None, **more):
        out = subprocess.run(self.command("step", **more), capture_output=True, text=True, env=self.env(fail), cwd=ROOT,
                             timeout=DEADLINE)
        if not fail and out.returncode:
            raise RuntimeError(out.stderr)
        return out

    def start(self, fail=None, **more):
        return subprocess.Popen(self.command("run", **more), env=self.env(fail), cwd=ROOT, stderr=subprocess.PIPE)

    def plans(self):
        rows = self.sql("SELECT journey || '/' || step || '/' || version, state, coalesce(reason, '-'), "
                        "to_char(due_at AT TIME ZONE 'Asia/Seoul', 'MM-DD HH24:MI') FROM dari.plan "
                        f"WHERE site = '{self.name}' ORDER BY version, journey, due_at, appointment")
        return [tuple(r) for r in rows]

    def files(self):
        names = sorted(n for n in os.listdir(self.outbox) if n.endswith(".json"))
        return [json.load(open(f"{self.outbox}/{n}")) for n in names]

    def staged(self):
        return sorted(os.listdir(self.outbox + "/.staging"))

    def events(self, like="message.%"):
        rows = self.sql(f"SELECT type, data FROM dari.event WHERE site = '{self.name}' AND type LIKE '{like}' ORDER BY seq")
        return [(t, json.loads(d)) for t, d in rows]

    def sums(self):
        """Each plan asked for once; each ended one said so once."""
        asked = [d["message_key"] for t, d in self.events("message.requested")]
        ended = [d["message_key"] for t, d in self.events() if t != "message.requested"]
        done = self.sql(f"SELECT count(*) FROM dari.plan WHERE site = '{self.name}' AND state NOT IN ('planned','handing')")
        all_ = self.sql(f"SELECT count(*) FROM dari.plan WHERE site = '{self.name}'")
        return (len(asked) == len(set(asked)) == int(all_[0][0]) and len(ended) == len(set(ended)) == int(done[0][0]))


def patient(who, name="홍길동", phone="+821012345678", **more):
    return {"type": "patient.registered", "subject": who,
            "data": {"chart_no": "1" + who[1:], "name": name, "phones": [{"e164": phone, "use": "mobile", "valid": True}], **more}}


def booked(who, appointment, start, **more):
    return {"type": "appointment.booked", "subject": who, **more,
            "data": {"appointment_key": appointment, "start": start}}


def moved(who, appointment, start):
    return {"type": "appointment.rescheduled", "subject": who,
            "data": {"appointment_key": appointment, "start": start, "new_start": start}}


def cancelled(who, appointment):
    return {"type": "appointment.cancelled", "subject": who, "data": {"appointment_key": appointment}}


def wait_for(what, condition, limit=DEADLINE):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    print(f"# waited in vain for {what}")
    return False


# ---- planning and handing over by the clock ----

def test_day(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
    s.step()
    same(s.plans(), [("JN01/confirm/1", "sent", "-", "06-17 09:00"), ("JN02/D-3/1", "planned", "-", "06-23 10:00"),
                     ("JN02/D-1/1", "planned", "-", "06-25 10:00")], "confirmed at once, reminders planned (D-3 is a Sunday)")
    same([f["text"] for f in s.files()],
         ["[서울내과] 홍길동님, 6/26(수) 17:00 예약되었습니다. 변경은 02-123-4567로 연락 주세요."], "the confirmation's text")
    f = s.files()[0]
    same((f["to"], f["from"], f["channel"], f["purpose"], f["bytes"]), ("+821012345678", "0212345678", "sms", "info",
         len(f["text"].encode("cp949"))), "its number, sender, byte class and purpose")
    s.at("2024-06-23T09:59:59+09:00")
    s.step()
    same(len(s.files()), 1, "nothing before 10:00")
    s.at("2024-06-23T10:00:00+09:00")
    s.step()
    same(sorted(f["text"] for f in s.files() if f["step"] == "D-3"),
         ["[서울내과] 홍길동님, 3일 뒤(6/26) 17:00 진료 예약입니다. 변경은 02-123-4567로 연락 주세요."], "D-3 at 10:00")
    s.at("2024-06-25T10:00:00+09:00")
    s.step()
    same([f["text"] for f in s.files() if f["step"] == "D-1"],
         ["[서울내과] 홍길동님, 내일(6/26) 17:00 진료 예약입니다. 변경은 02-123-4567로 연락 주세요."], "D-1 at 10:00 (golden text)")
    same([f["bytes"] for f in s.files() if f["step"] == "D-1"], [88], "88 bytes")
    report(s.sums(), "every message asked for once and ended once", s.events())
    same((oct(os.stat(s.outbox).st_mode & 0o777), {oct(os.stat(f"{s.outbox}/{n}").st_mode & 0o777)
         for n in os.listdir(s.outbox) if n.endswith(".json")}, s.staged()), ("0o700", {"0o600"}, []),
         "only we may read the outbox, and nothing is left staged")
    position = s.sql(f"SELECT seq FROM dari.position WHERE site = '{s.name}' AND role = 'messaging'")
    report(int(position[0][0]) >= int(s.appended[-1][0]), "the position is kept", position)
    before = (s.plans(), s.files(), s.events())
    s.sql(f"UPDATE dari.position SET seq = 0 WHERE site = '{s.name}'")
    s.step()
    same((s.plans(), s.files(), s.events()), before, "the whole stream once more changes nothing")


def test_notice(new):
    for booked_at, want in [
            ("2024-06-24T10:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-1/1": "planned"}),
            ("2024-06-23T09:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"}),
            ("2024-06-23T11:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-3/1": "suppressed", "JN02/D-1/1": "planned"}),
            ("2024-06-25T11:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-1/1": "suppressed"}),
            ("2024-06-25T17:30:00+09:00", {"JN01/confirm/1": "sent"}),
            ("2024-06-26T18:00:00+09:00", {}),
            ("2024-06-20T20:00:00+09:00", {"JN01/confirm/1": "planned", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"}),
            ("2024-06-20T19:59:59+09:00", {"JN01/confirm/1": "sent", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"}),
            ("2024-06-20T07:59:59+09:00", {"JN01/confirm/1": "planned", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"})]:
        s = new(booked_at)
        s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
        s.step()
        same({p[0]: p[1] for p in s.plans()}, want, f"booked at {booked_at}")
    s = new("2024-06-25T22:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T07:30:00+09:00"))
    s.at("2024-06-26T08:00:00+09:00")
    s.step()
    same([p[:3] for p in s.plans()], [("JN01/confirm/1", "suppressed", "night_hold")], "the window opens after the appointment")
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), {**booked("p1", "a1", "2024-06-26T17:00:00+09:00"), "time": "2024-06-10T09:00:00+09:00"})
    s.step()
    same([p[:3] for p in s.plans()][0], ("JN01/confirm/1", "suppressed", "stale"), "an old booking that arrives late is not confirmed")


def test_changes(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
    s.step()
    s.at("2024-06-18T09:00:00+09:00")
    s.append(moved("p1", "a1", "2024-06-26T17:00:00+09:00"))
    s.step()
    same(len(s.plans()), 3, "a change that leaves the start alone is no second confirmation")
    s.append(moved("p1", "a1", "2024-06-28T09:30:00+09:00"))
    s.step()
    same([p[:3] for p in s.plans()],
         [("JN01/confirm/1", "sent", "-"), ("JN02/D-3/1", "cancelled", "moved"), ("JN02/D-1/1", "cancelled", "moved"),
          ("JN01/confirm/2", "sent", "-"), ("JN02/D-3/2", "planned", "-"), ("JN02/D-1/2", "planned", "-")], "moved")
    s.at("2024-06-25T10:00:00+09:00")
    s.step()
    same([f["text"].split("님, ")[1].split(" 진료")[0] for f in s.files() if f["step"] == "D-3"], ["3일 뒤(6/28) 09:30"],
         "the reminder is for the new time")
    s.append(cancelled("p1", "a1"))
    s.at("2024-06-27T10:00:00+09:00")
    s.step()
    same(s.plans()[-1][:3], ("JN02/D-1/2", "cancelled", "cancelled"), "cancelled before it was due")
    s.append(booked("p1", "a1", "2024-07-05T09:30:00+09:00"))
    s.step()
    same([p[:2] for p in s.plans()][-3:], [("JN01/confirm/3", "sent"), ("JN02/D-3/3", "planned"), ("JN02/D-1/3", "planned")],
         "booked again")
    report(s.sums(), "every message asked for once and ended once", s.events())
    reasons = [d["reason"] for t, d in s.events("message.suppressed")]
    same(sorted(reasons), ["cancelled", "moved", "moved"], "the events say why")


def test_people(new):
    s = new("2024-06-17T09:00:00+09:00")
    start = "2024-06-26T17:00:00+09:00"
    s.append(patient("p1"), booked("p1", "a1", start), {"type": "patient.deceased", "subject": "p1", "data": {}},
             booked("p2", "a2", start),
             patient("p3", phone="+82212345678"), booked("p3", "a3", start),
             patient("p4", name="José"), booked("p4", "a4", start),
             patient("p5"), {"type": "patient.updated", "subject": "p5",
                             "data": {"changed": [{"field": "privacy_flag", "new": "true"}]}}, booked("p5", "a5", start),
             patient("p6"), booked("p6", "a6", start, test=True),
             patient("p7", name="뷁믜"), booked("p7", "a7", start),
             patient("p8"), {"type": "patient.updated", "subject": "p8",
                             "data": {"changed": [{"field": "phone_mobile", "new": None}]}}, booked("p8", "a8", start),
             patient("p9"), booked("p9", "a9", start), {"type": "visit.arrived", "subject": "p9",
                                                         "data": {"visit_key": "v9", "appointment_key": "a9"}})
    s.step()
    rows = s.sql("SELECT patient, state, coalesce(reason, '-') FROM dari.plan "
                 f"WHERE site = '{s.name}' AND step = 'confirm' ORDER BY due_at, id")
    by = {}
    keys = {r[2]: r for r in s.appended}
    order = s.sql(f"SELECT DISTINCT subject, min(seq) FROM dari.event WHERE site = '{s.name}' AND type = 'appointment.booked' "
                  "GROUP BY subject ORDER BY 2")
    name = {k: f"p{i}" for i, (k, _) in enumerate(order, 1)}
    for p, state, reason in rows:
        by[name[p]] = (state, reason)
    same(by, {"p1": ("cancelled", "deceased"), "p2": ("suppressed", "no_phone"), "p3": ("suppressed", "no_phone"),
              "p4": ("suppressed", "charset"), "p5": ("suppressed", "privacy_flag"), "p6": ("suppressed", "test"),
              "p7": ("sent", "-"), "p8": ("suppressed", "no_phone"), "p9": ("cancelled", "arrived")},
         "deceased, no number, no such characters, privacy, test data, a syllable outside EUC-KR, arrived")
    report(len(keys) > 0 and s.sums(), "every message asked for once and ended once", s.events())
    leaks = s.sql(f"SELECT count(*) FROM dari.contact WHERE site = '{s.name}' AND (position('홍길동'::bytea in name) > 0 "
                  "OR position('010'::bytea in phone) > 0)")
    same(leaks, [["0"]], "names and numbers are sealed")


def test_merge(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1", name="김하나"), patient("p2", name="김둘"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"),
             booked("p1", "a2", "2024-06-28T17:00:00+09:00"), booked("p2", "a3", "2024-06-28T17:00:00+09:00"))
    s.step()
    s.append({"type": "patient.merged", "subject": "p2", "data": {"surviving_key": "p2", "retired_key": "p1"}},
             booked("p1", "a4", "2024-07-10T10:00:00+09:00"))
    s.step()
    s.at("2024-06-27T10:00:00+09:00")
    s.step()
    s.at("2024-07-09T10:00:00+09:00")
    s.step()
    texts = [f["text"].split("님, ")[0][-3:] + f["text"].split("님, ")[1][:9] for f in s.files() if f["step"] == "D-1"]
    same(sorted(texts), sorted([" 김둘내일(6/28) ", " 김둘내일(7/10) "]),
         "after a merge the survivor is written to, once per time, also about appointments made under the old chart")
    report(s.sums(), "every message asked for once and ended once", s.plans())


def test_jump(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"), booked("p1", "a2", "2024-06-20T17:00:00+09:00"))
    s.step()
    s.at("2024-06-25T12:00:00+09:00")
    s.step()
    same([p[:3] for p in s.plans()],
         [("JN01/confirm/1", "sent", "-"), ("JN01/confirm/1", "sent", "-"), ("JN02/D-3/1", "suppressed", "stale"),
          ("JN02/D-1/1", "suppressed", "stale"), ("JN02/D-3/1", "suppressed", "stale"), ("JN02/D-1/1", "sent", "-")],
         "a clock that jumps: what is over or long past is stale, the rest goes")


def test_consent(new):
    folder = tempfile.mkdtemp(prefix="dari-ad-")
    for sub in ("journeys", "templates"):
        os.makedirs(f"{folder}/{sub}")
    with open(f"{folder}/journeys/AD1.xml", "w") as f:
        f.write('<journey id="AD1" title="ad" class="ad"><entry event="appointment.booked"/><window from="00:00" to="24:00"/>'
                '<step id="now" template="ad" at="once"/></journey>')
    with open(f"{folder}/templates/ad.xml", "w") as f:
        f.write('<template id="ad" class="ad" channel="sms"><variable name="hospital" sample="서울내과"/>'
                '<text>(광고)[#{hospital}] 새 소식이 있습니다.\n무료수신거부 080-123-4567</text></template>')

    def consent(who, granted, at, purpose="ad", **more):
        return {"type": "consent.changed", "subject": who,
                "data": {"purpose": purpose, "channel": "sms", "granted": granted, "at": at, **more}}
    s = new("2024-06-17T20:00:00+09:00", config=folder)
    far = "2024-09-26T17:00:00+09:00"
    s.append(*(patient(f"p{i}") for i in range(1, 8)),
             consent("p2", True, "2024-01-01T09:00:00+09:00"),
             consent("p3", True, "2024-01-01T09:00:00+09:00"), consent("p3", False, "2024-02-01T09:00:00+09:00"),
             consent("p4", False, "2024-02-01T09:00:00+09:00"), consent("p4", True, "2024-01-01T09:00:00+09:00"),
             consent("p5", False, "2024-02-01T09:00:00+09:00"), consent("p5", True, "2024-03-01T09:00:00+09:00"),
             consent("p6", False, "2024-02-01T09:00:00+09:00"),
             consent("p6", True, "2024-03-01T09:00:00+09:00", evidence="paper"),
             consent("p7", True, "2022-01-01T09:00:00+09:00", expires_on="2024-06-16"),
             *(booked(f"p{i}", f"a{i}", far) for i in range(1, 8)), booked("p2", "a9", far))
    s.step()
    rows = s.sql(f"SELECT state, coalesce(reason, '-') FROM dari.plan WHERE site = '{s.name}' ORDER BY due_at, "
                 "(SELECT min(seq) FROM dari.event e WHERE e.site = plan.site AND e.id = plan.cause)")
    got = [r[1] if r[0] != "sent" else "sent" for r in rows]
    same(got[:1] + got[2:7], ["no_consent", "optout", "optout", "optout", "sent", "no_consent"],
         "ads: no word, refused, an old consent after it, one without evidence, with evidence, expired")
    same(sorted([got[1], got[7]]), ["cap", "sent"], "one ad a week")
    n = new("2024-06-17T21:00:00+09:00", config=folder)
    n.append(patient("p1"), patient("p2"), consent("p1", True, "2024-01-01T09:00:00+09:00"),
             consent("p2", True, "2024-01-01T09:00:00+09:00"),
             consent("p2", True, "2024-01-01T09:00:00+09:00", purpose="night_ad"), booked("p1", "a1", far))
    n.step()
    same(n.files(), [], "no ad at 21:00")
    n.at("2024-06-18T07:59:59+09:00")
    n.step()
    same(n.files(), [], "nor at 07:59:59")
    n.at("2024-06-18T08:00:00+09:00")
    n.step()
    same(len(n.files()), 1, "but at 08:00:00")
    shutil.rmtree(folder)


def test_unread(new):
    """What is in the stream, but not read yet (batch=0), holds the hand-over back, also under a chart that was merged away."""
    for who in ("p2", "p1"):
        s = new("2024-06-17T09:00:00+09:00")
        s.append(patient("p1", name="김하나"), patient("p2", name="김둘"),
                 {"type": "patient.merged", "subject": "p2", "data": {"surviving_key": "p2", "retired_key": "p1"}},
                 booked("p2", "a1", "2024-06-26T17:00:00+09:00"))
        s.step()
        s.at("2024-06-25T10:00:00+09:00")
        s.append(cancelled(who, "a1"))
        s.step(batch=0)
        same([f["step"] for f in s.files()], ["confirm"], f"cancelled as {who}, not read yet: nothing goes out")
        s.step()
        same([p[1] for p in s.plans() if p[0] == "JN02/D-1/1"], ["cancelled"], f"cancelled as {who}: ended")


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


def main():
    only = sys.argv[1:]
    home = tempfile.mkdtemp(prefix="dari-messaging-", dir="/tmp")
    os.chmod(home, 0o755)
    postgres = [f"{ROOT}/deploy/postgres.sh"]
    conninfo = subprocess.run(["sh", *postgres, "start", f"{home}/pg"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        subprocess.run([DARI, "keys", "init", "--folder", f"{home}/keys"], check=True, capture_output=True)
        for sql in sorted(os.listdir(f"{ROOT}/core/store/migrations")):
            subprocess.run(["psql", conninfo, "-qAt", "-v", "ON_ERROR_STOP=1", "-1", "-f", f"{ROOT}/core/store/migrations/{sql}"],
                           check=True, capture_output=True)

        def new(now, **settings):
            return Site(home, conninfo, now, **settings)
        for name, test in list(globals().items()):
            if name.startswith("test_") and (not only or name[5:] in only):
                try:
                    test(new)
                except Exception as problem:  # a test that breaks off must not end the others
                    report(False, name, repr(problem))
    finally:
        subprocess.run(["sh", *postgres, "drop", f"{home}/pg"], capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
    print(f"1..{NUMBER}")
    sys.exit(1 if FAILED else 0)


main()
