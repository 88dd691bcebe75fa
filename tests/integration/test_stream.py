#!/usr/bin/python3
"""The stream end to end: a real PostgreSQL with events put in by SQL, the role relay, dari tail (the C
client) and the Python client."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DARI = os.environ.get("DARI", os.path.join(ROOT, "build/dev/dari"))
sys.path.insert(0, os.path.join(ROOT, "deploy/clients/python"))
import zmq  # noqa: E402
from dari_client import Consumer, Refused, read_key  # noqa: E402

SITE = "hanbit"
SECRET = "SecretPurposeOfAVisit"


def wait_for(what, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("did not happen within %d s" % seconds)


class Rig:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="dari stream ")
        self.relay_process = None
        os.mkdir(self.path("config"))
        for name in ("contracts", "schemas", "log4crc", "segments", "journeys", "templates"):
            if os.path.exists(os.path.join(ROOT, "config", name)):
                os.symlink(os.path.join(ROOT, "config", name), self.path("config", name))
        os.symlink(os.path.join(ROOT, "mappings"), self.path("mappings"))
        with open(os.path.join(ROOT, "config/dari.xml"), encoding="utf-8") as f:
            text = f.read()
        text = re.sub(r"<feed .*?</feed>", "", text, flags=re.S)
        with open(self.path("config/dari.xml"), "w", encoding="utf-8") as f:
            f.write(text)
        self.conninfo = self.postgres("start")
        self.dari("keys", "init")
        self.dari("db", "migrate")
        self.endpoint = "ipc://" + "var/run/relay"
        os.chdir(self.home)     # the socket's path must be short

    def path(self, *names):
        return os.path.join(self.home, *names)

    def postgres(self, action):
        out = subprocess.run([os.path.join(ROOT, "deploy/postgres.sh"), action,
                              self.path("var/postgres")], check=True, stdout=subprocess.PIPE)
        return out.stdout.decode().strip()

    def dari(self, *words, check=True):
        out = subprocess.run([DARI, *words], cwd=self.home, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, timeout=60)
        if check and out.returncode != 0:
            raise AssertionError("dari %s: %s" % (words[0], out.stderr.decode()))
        return out

    def sql(self, text):
        out = subprocess.run(["psql", self.conninfo, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text],
                             check=True, stdout=subprocess.PIPE)
        return out.stdout.decode().strip()

    def add_events(self, n, kind="appointment.booked", sealed="NULL"):
        return self.sql("""
            WITH i AS (SELECT i, lpad(((random() * 1e15)::bigint)::text, 26, '0') AS id
                       FROM generate_series(1, %d) i)
            SELECT dari.append_events('%s', 'feed:emr', now(), NULL, 'm@1', 'derived',
                array_agg(id ORDER BY i), array_agg('%s'::text),
                array_agg(lpad((i %% 5)::text, 26, '0') ORDER BY i), array_agg(now()),
                array_agg(NULL::text), array_agg(false),
                array_agg('{"appointment_key":"' || id || '","start":"2026-03-11T09:00:00+09:00",'
                          '"purpose":"%s"}' ORDER BY i), array_agg(%s::bytea)) FROM i"""
                        % (n, SITE, kind, SECRET, sealed))

    def start_relay(self):
        log = open(self.path("relay.log"), "ab")
        size = os.path.getsize(self.path("relay.log"))
        self.relay_process = subprocess.Popen([DARI, "run", "--only", "relay"], cwd=self.home,
                                              stdout=log, stderr=log)
        wait_for(lambda: "relay.self-test result=passed stranger=refused" in self.log(size))

    def log(self, start=0):
        with open(self.path("relay.log"), encoding="utf-8") as f:
            f.seek(start)
            return f.read()

    def relay_pid(self):
        with open(self.path("var/run/roles"), encoding="ascii") as f:
            for line in f:
                if line.startswith("relay ") and line.split()[1] != "0":
                    return int(line.split()[1])
        return None

    def new_consumer(self, name, contract="crm-basic"):
        key = self.path(name + ".key")
        self.dari("consumer", "add", name, "--contract", contract, "--new-key", key)
        return read_key(key)

    def consumer(self, secret_key, **more):
        more.setdefault("raise_refused", True)
        return Consumer(self.endpoint, SITE, read_key(self.path("var/keys/stream.pub")),
                        secret_key, **more)

    def row(self, name):
        for line in self.dari("consumer", "list", "--json").stdout.decode().splitlines():
            row = json.loads(line)
            if row["name"] == name:
                return row
        return None

    def stop(self):
        if self.relay_process:
            self.relay_process.send_signal(signal.SIGTERM)
            self.relay_process.wait(30)
        self.postgres("drop")
        os.chdir("/")
        shutil.rmtree(self.home, ignore_errors=True)


def take(stream, n, seconds=30):
    events, until = [], time.monotonic() + seconds
    while len(events) < n and time.monotonic() < until:
        event = stream.poll(0.2)
        if event:
            events.append(event)
    assert len(events) == n, "%d events instead of %d" % (len(events), n)
    return events


def refused(stream, seconds=20):
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            stream.poll(0.2)
    except Refused as e:
        return e.code
    return None


# ---- the tests; each gets the rig and leaves the relay running ----

def order_and_density(rig):
    lines = rig.dari("tail").stdout.decode().splitlines()
    numbers = [int(json.loads(line)["sequence"]) for line in lines]
    assert numbers == list(range(1, 1001)), numbers[:5]
    with rig.consumer(rig.new_consumer("order")) as c:
        events = take(c, 1000)
        assert [e.seq for e in events] == list(range(1, 1001))
        assert all(e.prev == e.seq - 1 for e in events)


def live_events_arrive(rig):
    with rig.consumer(rig.new_consumer("live"), start="head") as c:
        c.poll(0.5)
        wait_for(lambda: c.poll(0.05) is None and c.welcome)
        head = c.welcome["head"]
        rig.add_events(3)
        assert [e.seq for e in take(c, 3)] == [head + 1, head + 2, head + 3]


def only_what_the_contract_names(rig):
    first = int(rig.add_events(1))
    rig.add_events(1, kind="consent.changed")                       # not in crm-basic
    rig.add_events(1, kind="patient.registered", sealed="'nonsense'")  # never opened for a vendor
    rig.add_events(1)
    with rig.consumer(rig.new_consumer("contract"), start=first - 1) as c:
        events = take(c, 3)
    assert [(e.seq, e.prev) for e in events] == [(first, first - 1), (first + 2, first),
                                                 (first + 3, first + 2)]
    assert all(SECRET not in e.json for e in events)
    assert set(events[0].data["data"]) == {"appointment_key", "start"}, events[0].json
    assert events[1].data["data"] == {}
    real = lambda seq: rig.sql("SELECT subject FROM dari.event WHERE seq = %d" % seq)
    assert events[0].data["subject"] != real(first)
    assert "darimapping" not in events[0].data


def acknowledgement_is_on_record(rig):
    with rig.consumer(rig.new_consumer("acker"), start="first") as c:
        events = take(c, 20)
        c.ack(events[-1].seq)
        assert c.flush()
    assert rig.row("acker")["acked"] == 20
    row = rig.sql("SELECT first_seq, last_seq, events, contract, ledger FROM dari.delivery"
                  " WHERE consumer = 'acker'").split("|")
    assert row[:3] == ["1", "20", "20"] and row[3].startswith("crm-basic@1:"), row
    body = rig.sql("SELECT body FROM dari.ledger WHERE idx = %s" % row[4])
    assert body.startswith("delivered site=hanbit consumer=acker "), body
    assert " first=1 last=20 events=20 " in body


def restart_at_every_point(rig):
    """Killed consumer, with and without an acknowledgement that got through: once in effect."""
    key, have, head = rig.new_consumer("restart"), [], int(rig.sql("SELECT head FROM dari.stream"))
    visible = int(rig.sql("SELECT count(*) FROM dari.event WHERE type <> 'consent.changed'"))
    step = 0
    while len(have) < visible:
        step += 1
        with rig.consumer(key, start=have[-1] if have and step % 2 else "cursor") as c:
            for _ in range(min(97, visible - len(have))):
                event = take(c, 1)[0]
                while have and event.seq <= have[-1]:
                    event = take(c, 1)[0]
                have.append(event.seq)
            if step % 3:
                c.ack(have[-1])
            if step % 3 == 1:
                c.flush()
    assert have == sorted(set(have)) and have[-1] <= head


def killed_relay_goes_on(rig):
    with rig.consumer(rig.new_consumer("killed"), start="first", messages=16) as c:
        have = [e.seq for e in take(c, 50)]
        pid = rig.relay_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: rig.relay_pid() not in (None, pid))
        have += [e.seq for e in take(c, 50)]
        assert have == list(range(1, 101)), have[45:55]
        c.ack(100)
        assert c.flush(20)


def c_client_survives_a_killed_relay(rig):
    rig.new_consumer("ctail", "internal")
    out = open(rig.path("tail.out"), "wb")
    p = subprocess.Popen([DARI, "tail", "--consumer", "ctail", "--key", rig.path("ctail.key"),
                          "--follow", "--ack", "--from", "cursor", "--count", "1030"],
                         cwd=rig.home, stdout=out, stderr=subprocess.PIPE)
    lines = lambda: open(rig.path("tail.out"), encoding="utf-8").read().splitlines()
    wait_for(lambda: len(lines()) >= 1000)
    pid = rig.relay_pid()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: rig.relay_pid() not in (None, pid))
    rig.add_events(40)
    assert p.wait(60) == 0, p.stderr.read()
    numbers = [int(json.loads(line)["sequence"]) for line in lines()]
    assert numbers == list(range(1, 1031)), numbers[-5:]
    assert rig.row("ctail")["acked"] == 1030


def examples_work(rig):
    secret = rig.new_consumer("example")
    files = [rig.path("example.key"), rig.path("var/keys/stream.pub"), rig.path("events.jsonl")]
    words = ["/usr/bin/python3", os.path.join(ROOT, "deploy/clients/python/example.py"),
             "--endpoint", rig.endpoint, "--site", SITE, "--key", files[0], "--server-key",
             files[1], "--out", files[2]]
    for n in ("300", "200"):
        subprocess.run(words + ["--count", n], cwd=rig.home, check=True, timeout=60)
    with open(files[2], "ab") as f:
        f.write(b"half a line that a crash left behind")
    subprocess.run(words + ["--count", "100"], cwd=rig.home, check=True, timeout=60)
    with open(files[2], encoding="utf-8") as f:
        numbers = [int(json.loads(line)["sequence"]) for line in f]
    assert numbers == list(range(1, 601)), numbers[-5:]
    assert rig.row("example")["acked"] == 600
    program, library = rig.path("example"), os.path.join(os.path.dirname(DARI), "libdari.a")
    sanitized = ["-fsanitize=address,undefined"] if "/san/" in DARI else []
    flags = subprocess.run(["pkg-config", "--libs", "libzmq", "libcrypto", "libssl", "jansson",
                            "libxml-2.0", "libpq", "log4c"], check=True, stdout=subprocess.PIPE)
    subprocess.run(["cc", *sanitized, "-I", ROOT, "-o", program,
                    os.path.join(ROOT, "deploy/clients/c/example.c"), library,
                    *flags.stdout.decode().split()], check=True)
    p = subprocess.Popen([program, rig.endpoint, SITE, read_key(files[1]),
                          read_key(rig.path("example.pub")), secret], cwd=rig.home,
                         stdout=subprocess.DEVNULL)
    wait_for(lambda: rig.row("example")["acked"] >= 1000)
    p.terminate()
    p.wait(10)


def revoked_gets_nothing(rig):
    key = rig.new_consumer("revoked")
    c = rig.consumer(key, start="head")
    wait_for(lambda: c.poll(0.05) is None and c.welcome)
    rig.dari("consumer", "revoke", "revoked")
    wait_for(lambda: "consumer=revoked epoch=1 reason=revoked" in rig.log())
    rig.add_events(5)
    assert refused(c) == "revoked"
    c.close()
    c = rig.consumer(key, start="first")
    wait_for(lambda: c.poll(0.1) is not None or c._patience > 2)
    assert c.last is None
    c.close()


def unknown_key_gets_nothing(rig):
    _, secret = zmq.curve_keypair()
    size = len(rig.log())
    with rig.consumer(secret.decode(), start="first") as c:
        wait_for(lambda: c.poll(0.1) is not None or "relay.unknown-key" in rig.log()[size:])
        assert c.last is None
    plain = zmq.Context()
    s = plain.socket(zmq.DEALER)
    s.linger = 0
    s.connect(rig.endpoint)
    s.send_multipart([b"HELLO", b"dari/1", SITE.encode(), b"first"])
    assert s.poll(1000) == 0
    s.close()
    plain.term()


def newer_session_ends_the_older(rig):
    key = rig.new_consumer("twice")
    a = rig.consumer(key, start="first", messages=10)
    take(a, 10)
    with rig.consumer(key, start="first") as b:
        take(b, 10)
        assert refused(a) == "replaced"
        epochs = rig.sql("SELECT epoch FROM dari.consumer WHERE name = 'twice'")
        assert epochs == "2"
        b.ack(10)
        assert b.flush()
    a.close()


def said(rig, key, *messages):
    """Speaks by hand after HELLO; returns the first ERROR or BYE."""
    c = rig.consumer(key, start="first", messages=4)
    take(c, 4)
    for m in messages:
        c.socket.send_multipart([f.encode() for f in m])
    code = refused(c)
    c.close()
    return code


def rules_are_enforced(rig):
    key = rig.new_consumer("rules")
    big = str(2 ** 62)
    for code, message in (("ack", ("ACK", "1000")), ("credit", ("CREDIT", big, "1")),
                          ("credit", ("CREDIT", "1", big)), ("command", ("ACK", "-1")),
                          ("command", ("ACK", "1", "2")), ("command", ("NONSENSE",)),
                          ("command", ("ACK", "99999999999999999999")),
                          ("command", ("a",) * 200), ("nack", ("NACK", "900", "x")),
                          ("protocol", ("HELLO", "dari/9", SITE, "cursor")),
                          ("site", ("HELLO", "dari/1", "other", "cursor")),
                          ("range", ("HELLO", "dari/1", SITE, "99999999"))):
        assert said(rig, key, message) == code, (message, code)
    assert rig.row("rules")["acked"] == 0


def no_credit_no_events(rig):
    c = rig.consumer(rig.new_consumer("broke"), start="first", messages=0, bytes=0)
    wait_for(lambda: c.poll(0.05) is None and c.welcome)
    assert c.poll(1.0) is None and c.last == 0
    c.close()


def slow_consumer_is_bounded(rig):
    c = rig.consumer(rig.new_consumer("slow"), start="first", messages=8)
    wait_for(lambda: c.poll(0.05))
    rig.consumer(rig.new_consumer("fast"), start="first").close()
    c.close()
    assert wait_for(lambda: [x for x in rig.log().splitlines() if "consumer=slow epoch=1 reason" in x])
    line = [x for x in rig.log().splitlines() if "consumer=slow epoch=1 reason" in x][0]
    assert int(re.search(r"sent=(\d+)", line).group(1)) <= 16, line


def nack_pauses(rig):
    key = rig.new_consumer("poison")
    c = rig.consumer(key, start="first")
    take(c, 3)
    c.nack(2, "cannot-store")
    assert refused(c) == "paused"
    c.close()
    row = rig.row("poison")
    assert row["state"] == "paused" and "cannot-store" in row["reason"], row
    c = rig.consumer(key)
    assert refused(c) == "paused"
    c.close()
    rig.dari("consumer", "resume", "poison")
    with rig.consumer(key) as c:
        assert take(c, 1)[0].seq == 1
    kinds = rig.sql("SELECT split_part(body, ' ', 1) FROM dari.ledger WHERE body LIKE"
                    " '%consumer=poison %' ORDER BY idx").split()
    assert "paused" in kinds and "consumer-resumed" in kinds, kinds


def rotated_key_takes_over(rig):
    old = rig.new_consumer("rotor")
    rig.dari("consumer", "rotate", "rotor", "--new-key", rig.path("rotor2.key"), "--overlap", "1h")
    for key in (old, read_key(rig.path("rotor2.key"))):
        with rig.consumer(key, start="first") as c:
            take(c, 5)
    rig.dari("consumer", "rotate", "rotor", "--new-key", rig.path("rotor3.key"), "--overlap", "0s")
    with rig.consumer(read_key(rig.path("rotor3.key")), start="first") as c:
        take(c, 5)


def database_away_and_back(rig):
    with rig.consumer(rig.new_consumer("patient"), start="head") as c:
        wait_for(lambda: c.poll(0.05) is None and c.welcome)
        epoch = c.welcome["epoch"]
        rig.postgres("kill")
        wait_for(lambda: c.poll(0.1) is not None or "relay.database-away" in rig.log())
        rig.postgres("start")
        rig.add_events(2)
        take(c, 2, 60)
        assert c.welcome["epoch"] == epoch     # the session stayed


def nothing_is_confirmed_before_it_is_committed(rig):
    c = rig.consumer(rig.new_consumer("hasty"), start="first", messages=4)
    take(c, 4)
    size = len(rig.log())    # the relay may notice by itself, before anything is asked of it
    rig.postgres("kill")
    for _ in range(3):
        c.socket.send_multipart([b"ACK", b"4"])
    wait_for(lambda: "relay.database-away" in rig.log()[size:] or "relay.statement" in rig.log()[size:])
    c.socket.send_multipart([b"ACK", b"4"])
    heard = []
    while c.socket.poll(1000):
        heard.append(c.socket.recv_multipart()[0])
    assert b"ACKED" not in heard, heard
    rig.postgres("start")
    wait_for(lambda: rig.row("hasty")["acked"] == 4)
    c.close()


def a_flood_of_hellos_has_a_bound(rig):
    c = rig.consumer(rig.new_consumer("eager"), start="first", messages=1)
    take(c, 1)
    for _ in range(300):
        c.socket.send_multipart([b"HELLO", b"dari/1", SITE.encode(), b"cursor"])
    wait_for(lambda: rig.log().count("hello-refused consumer=eager code=away") >= 200)
    assert int(rig.sql("SELECT epoch FROM dari.consumer WHERE name = 'eager'")) == 100
    c.close()
    with rig.consumer(rig.new_consumer("calm"), start="first") as other:
        take(other, 5)


def a_hole_stops_the_stream(rig):
    """Last: it damages the stream."""
    first = int(rig.add_events(3))
    rig.sql("DELETE FROM dari.event WHERE seq = %d" % (first + 1))
    os.kill(rig.relay_pid(), signal.SIGTERM)    # its pages are gone with it
    c = rig.consumer(rig.new_consumer("hole"), start=first - 1)
    assert refused(c, 40) == "internal"
    assert c.last is None or c.last < first + 1
    c.close()
    assert "the stream is not dense" in rig.log()


def nothing_private_in_the_log(rig):
    assert SECRET not in rig.log()


TESTS = [order_and_density, live_events_arrive, c_client_survives_a_killed_relay,
         acknowledgement_is_on_record,
         only_what_the_contract_names, restart_at_every_point, killed_relay_goes_on,
         examples_work,
         revoked_gets_nothing, unknown_key_gets_nothing, newer_session_ends_the_older,
         rules_are_enforced, no_credit_no_events, slow_consumer_is_bounded, nack_pauses,
         rotated_key_takes_over, database_away_and_back,
         nothing_is_confirmed_before_it_is_committed, a_flood_of_hellos_has_a_bound, a_hole_stops_the_stream,
         nothing_private_in_the_log]


def main():
    failed = 0
    rig = Rig()
    try:
        rig.add_events(1000)
        rig.start_relay()
        for i, test in enumerate(TESTS, 1):
            name = test.__name__.replace("_", " ")
            try:
                test(rig)
                print("ok %d - %s" % (i, name), flush=True)
            except Exception as e:  # noqa: BLE001
                failed += 1
                print("not ok %d - %s" % (i, name), flush=True)
                print("# %s: %s" % (type(e).__name__, str(e).replace("\n", "\n# ")), flush=True)
        print("1..%d" % len(TESTS))
        if failed:
            print("".join("# " + line for line in rig.log().splitlines(True)[-40:]))
    finally:
        rig.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
