"""core/messaging against a real PostgreSQL, for tests: sites in one database, events for them, what became of them.

Events are appended by tests/integration/messaging_driver append (the intake's lock and numbers), and consumed by
messaging_driver step or run. The clock is a file."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from site_dari import ROOT, Tap

MODE = os.environ.get("MODE", "dev")
DRIVE = f"{ROOT}/build/{MODE}/tests/integration/messaging_driver"
DARI = f"{ROOT}/build/{MODE}/dari"
DEADLINE = 60
tap = Tap()


def report(ok, name, detail=""):
    tap.check(name, ok, detail)


def same(got, want, name):
    tap.equal(name, got, want)


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


def main(tests):
    """Each function test_NAME of a test's globals(), or those named on the command line, with a way to make a site."""
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
        for name, test in list(tests.items()):
            if name.startswith("test_") and (not only or name[5:] in only):
                try:
                    test(new)
                except Exception as problem:  # a test that breaks off must not end the others
                    report(False, name, repr(problem))
    finally:
        subprocess.run(["sh", *postgres, "drop", f"{home}/pg"], capture_output=True)
        shutil.rmtree(home, ignore_errors=True)
    sys.exit(tap.done())
