"""A whole dari for a test: its own folder, keys, private PostgreSQL and roles, and an MLLP sender of its own.

    with Site("corpus") as s:
        s.start()
        reply = s.mllp().ask(message)
        s.sql("SELECT ...")

Waiting is always for a condition with a deadline. Everything lies in var/test/sites/NAME and stays there for
looking at when a test fails."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
DARI = os.path.join(ROOT, os.environ.get("DARI", "build/dev/dari"))
CORPUS = os.environ.get("DARI_CORPUS", os.path.join(ROOT, "..", "shared", "corpus"))

CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<dari xmlns="urn:dari:config:1" home=".">
  <site id="hanbit" name="한빛의원" zone="Asia/Seoul" phone="02-123-4567" sender="021234567"/>
  <keys folder="keys"/>
  <database conninfo-file="postgres/conninfo" migrate="yes"/>
  <log file="{root}/config/log4crc"/>
  <run folder="run"/>
  <catalogue file="{root}/mappings/catalogue.xml"/>
  <feed name="emr" adapter="mllp" mapping="{root}/mappings/hl7v2" {feed}>
    <mllp address="127.0.0.1" port="{port}" {mllp}/>
  </feed>
  {feeds}
  <relay local="run/relay" contracts="{root}/config/contracts" {relay}/>
  <segments folder="{root}/config/segments" sweep="1m"/>
  <messaging journeys="{root}/config/journeys" templates="{root}/config/templates" outbox="outbox" {messaging}/>
  <steward tick="100ms" checkpoint-entries="50" checkpoint-every="5s"/>
</dari>
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=60):
    """Returns the first true value of condition(); raises when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Tap:
    """Test lines. check(name, truth, why) prints one; done() gives the exit status."""

    def __init__(self):
        self.number = self.failed = 0

    def check(self, name, truth, why=""):
        self.number += 1
        self.failed += not truth
        print(f"{'ok' if truth else 'not ok'} {self.number} - {name}", flush=True)
        if not truth and why != "":
            for line in str(why).splitlines()[:40]:
                print(f"#   {line}", flush=True)
        return truth

    def equal(self, name, got, want):
        return self.check(name, got == want, f"got  {got!r}\nwant {want!r}")

    def skip(self, name, why):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {why}", flush=True)

    def done(self):
        print(f"1..{self.number}")
        return 1 if self.failed else 0


class Mllp:
    """One connection of a sender. Written for the tests: shares no code with dari."""

    def __init__(self, port, timeout=30):
        self.port, self.timeout, self.sock, self.buffer = port, timeout, None, b""

    def connect(self):
        self.close()
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def write(self, message):
        if not self.sock:
            self.connect()
        self.sock.sendall(b"\x0b" + message + b"\x1c\r")

    def read(self):
        while b"\x1c\r" not in self.buffer:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError("closed by dari")
            self.buffer += more
        frame, _, self.buffer = self.buffer.partition(b"\x1c\r")
        return frame.lstrip(b"\x0b")

    def ask(self, message):
        self.write(message)
        return self.read()

    def deliver(self, message, seconds=60):
        """Sends until the reply is final (accepted or a lasting refusal), as a careful sender does: again after a
        lost connection, a time-out, or a reply that asks for it (condition 207)."""
        end = time.monotonic() + seconds
        while True:
            try:
                reply = self.ask(message)
                if code(reply) not in ("AE", "CE") or (b"|207^" not in reply and b"^207&" not in reply):
                    return reply
            except OSError:
                self.close()
            if time.monotonic() > end:
                raise TimeoutError("no final reply")
            time.sleep(0.02)


def code(reply):
    """MSA-1."""
    m = re.search(rb"\rMSA[^\w\s](\w\w)[^\w\s]", reply)
    return m.group(1).decode() if m else "?"


class Site:
    def __init__(self, name, feed="", mllp="", relay="", messaging="", clock=None, keys=None, feeds=""):
        """`feeds` are more <feed> elements; {root} and {home} in them are filled in."""
        self.home = os.path.join(ROOT, "var", "test", "sites", name)
        self.drop()
        os.makedirs(self.home)
        self.port = free_port()
        self.config = os.path.join(self.home, "dari.xml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(root=ROOT, port=self.port, feed=feed, mllp=mllp, relay=relay, messaging=messaging,
                                  feeds=feeds.replace("{root}", ROOT).replace("{home}", self.home)))
        self.env = {**os.environ, "DARI_CONFIG": self.config}
        self.env.pop("DARI_CLOCK", None)
        if clock:
            self.env["DARI_CLOCK"] = os.path.join(self.home, "clock")
            self.clock(clock)
        self.process = None
        if keys:  # the same secrets give the same ids
            shutil.copytree(keys, os.path.join(self.home, "keys"))
        else:
            self.run("keys", "init", "--config", self.config, check=True)
        self.postgres("start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.postgres("stop")

    def drop(self):
        if os.path.isdir(os.path.join(self.home, "postgres")):
            self.postgres("drop")
        shutil.rmtree(self.home, ignore_errors=True)

    # ---- the world around ----

    def postgres(self, action):
        out = subprocess.run([os.path.join(ROOT, "deploy/postgres.sh"), action, os.path.join(self.home, "postgres")],
                             capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if out.returncode:
            raise RuntimeError("postgres.sh " + action + ": " + out.stderr)

    def conninfo(self):
        return open(os.path.join(self.home, "postgres", "conninfo"), encoding="utf-8").read().strip()

    def sql(self, query):
        """Rows as lists of text."""
        out = subprocess.run(["psql", self.conninfo(), "-qAtX", "-F", "\x1f", "-R", "\x1e", "-v", "ON_ERROR_STOP=1", "-c", query],
                             capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr)
        text = out.stdout.rstrip("\n")
        return [row.split("\x1f") for row in text.split("\x1e")] if text else []

    def one(self, query):
        rows = self.sql(query)
        return rows[0][0] if rows else None

    def clock(self, instant):
        path = os.path.join(self.home, "clock")
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(instant + "\n")
        os.replace(path + ".new", path)

    def spooled(self):
        """Does an accepted message still wait for the database?"""
        return os.path.exists(os.path.join(self.home, "var", "spool", "emr.spool"))

    def settled(self):
        """Has everything that is due at the clock been done? (deploy/demo/settled.sql)"""
        if self.spooled():
            return False
        clock = open(os.path.join(self.home, "clock"), encoding="utf-8").read().strip()
        query = open(os.path.join(ROOT, "deploy/demo/settled.sql"), encoding="utf-8").read()
        try:
            return self.one(query.replace(":'clock'", f"'{clock}'")) == "t"
        except RuntimeError:
            return False  # the database is away just now

    # ---- dari ----

    def run(self, *words, check=False, input=None, timeout=120):
        out = subprocess.run([DARI, *words], capture_output=True, text=True, env=self.env, input=input, timeout=timeout,
                             stdin=None if input is not None else subprocess.DEVNULL)
        if check and out.returncode:
            raise RuntimeError(f"dari {' '.join(words)}: {out.stderr}")
        return out

    def start(self, *words):
        self.log = open(os.path.join(self.home, "log"), "ab")
        began = self.log.tell()
        self.process = subprocess.Popen([DARI, "run", "--config", self.config, *words], stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, env=self.env)
        only = words[1].split(",") if len(words) > 1 and words[0] == "--only" else ["feed", "relay", "segment", "messaging"]
        names = [o.split(":")[0] + ".ready" for o in only if o != "steward"]

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError("dari ended: " + self.text()[began:][-2000:])
            text = self.text()[began:]
            return all(n in text for n in names)
        wait_for("the start of " + ", ".join(names), ready)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        self.process = None

    def text(self):
        return open(os.path.join(self.home, "log"), encoding="utf-8", errors="replace").read()

    def pids(self):
        """role → pid of what runs now."""
        try:
            lines = open(os.path.join(self.home, "run", "roles"), encoding="utf-8").read().split("\n")
        except FileNotFoundError:
            return {}
        rows = [line.split() for line in lines if line]
        return {r[0]: int(r[1]) for r in rows if int(r[1])}

    def kill(self, role):
        """kill -9; False when the role does not run just now."""
        for name, pid in self.pids().items():
            if name == role or name.split(":")[0] == role:
                try:
                    os.kill(pid, signal.SIGKILL)
                    return True
                except ProcessLookupError:
                    pass
        return False

    def mllp(self, timeout=30):
        return Mllp(self.port, timeout)


def messages(path):
    """The messages of a file, as they stand there."""
    data = open(path, "rb").read()
    starts = [m.start() for m in re.finditer(rb"(?m)^MSH[^\w\s]", data.replace(b"\r", b"\n"))]
    return [data[a:b].rstrip(b"\r\n") + b"\r" for a, b in zip(starts, starts[1:] + [len(data)])]


def main(test):
    tap = Tap()
    try:
        test(tap)
    except Exception as e:  # a test that breaks off has failed, and says where
        import traceback
        tap.check("the test ran to its end", False, traceback.format_exc())
    sys.exit(tap.done())
