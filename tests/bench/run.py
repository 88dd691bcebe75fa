"""How fast, as ratios of medians within one run on one machine, against ceilings that come along (README.md here).

    run.py [quick|full]

Never fails for being slow; fails when a sender got a wrong reply or a message that was acknowledged is not stored
exactly once."""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
os.chdir(ROOT)
os.environ["DARI"] = "build/release/dari"
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from imports import imports  # noqa: E402
from site_dari import Site, free_port, wait_for  # noqa: E402

PROGRAMS = os.path.join(ROOT, "build/release/tests/bench")
HOW = sys.argv[1] if len(sys.argv) > 1 else "normal"
SECONDS, ROUNDS = {"quick": ("1", 2), "normal": ("2", 3), "full": ("6", 5)}[HOW]
SLOW_US = "2000"

wrong = []
loads = 0


def show(text):
    print(text, flush=True)


def line(name, ours, ceiling, floor=None, unit="/s", ratio=None):
    value = ratio if ratio is not None else ours / ceiling
    show(f"{name:46} {ours:10.0f} {unit:4} {ceiling:10.0f} {unit:4} {value:7.2f}" + (f"   floor {floor}" if floor else ""))


def median(rows, key):
    return statistics.median(r[key] for r in rows)


class Bench:
    def __init__(self):
        self.site = Site("bench", mllp='max-connections="1024" max-per-address="1024"')
        self.tls_port = free_port()
        self.folder = tempfile.mkdtemp(prefix="dari-bench-")
        os.chmod(self.folder, 0o755)
        self.add_tls_feed()
        self.ceiling = None

    def add_tls_feed(self):
        cert, key = os.path.join(self.folder, "cert.pem"), os.path.join(self.folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        with open(self.site.config, encoding="utf-8") as f:
            text = f.read()
        feed = (f'<feed name="tls" adapter="mllp" mapping="{ROOT}/mappings/hl7v2"><mllp address="127.0.0.1" '
                f'port="{self.tls_port}" tls="yes" cert="{cert}" key="{key}"/></feed>\n  <relay ')
        with open(self.site.config, "w", encoding="utf-8") as f:
            f.write(text.replace("<relay ", feed, 1))

    def start(self):
        self.site.start("--only", "feed")
        wait_for("both feeds", lambda: len([n for n in self.site.pids() if n.startswith("feed")]) == 2)
        self.port = free_port()
        self.ceiling = subprocess.Popen([os.path.join(PROGRAMS, "ceiling"), str(self.port), self.site.conninfo()],
                                        stdout=subprocess.PIPE, text=True)
        if self.ceiling.stdout.readline() != "ready\n":
            raise RuntimeError("the ceiling did not start")

    def stop_ceiling(self):
        if self.ceiling:
            self.ceiling.send_signal(signal.SIGKILL)
            self.ceiling.wait()
            self.ceiling = None

    def stop(self):
        self.stop_ceiling()
        self.site.stop()

    def end(self):
        self.stop()
        self.site.postgres("stop")
        shutil.rmtree(self.folder)

    def restart_database(self, slow):
        """With or without a flush that costs something. The library must lie where PostgreSQL's user may read it."""
        self.stop()
        self.site.postgres("stop")
        if slow:
            library = os.path.join(self.folder, "slowflush.so")
            shutil.copy(os.path.join(PROGRAMS, "slowflush.so"), library)
            os.chmod(library, 0o755)
            os.environ.update(DARI_PG_PRELOAD=library, DARI_FLUSH_US=SLOW_US)
        else:
            os.environ.pop("DARI_PG_PRELOAD", None)
        self.site.postgres("start")
        self.start()

    def send(self, to, senders, seconds=SECONDS, messages=0):
        """One closed-loop run: its figures, the prefix of its control ids, and those that were acknowledged."""
        global loads
        loads += 1
        prefix, acked = f"X{loads:04d}N", os.path.join(self.folder, "acked")
        port = {"ceiling": self.port, "emr": self.site.port, "tls": self.tls_port}[to]
        out = subprocess.run([os.path.join(PROGRAMS, "load"), "-p", str(port), "-c", str(senders), "-s", seconds,
                              "-n", str(messages), "-i", prefix, "-a", acked] + (["-t"] if to == "tls" else []),
                             capture_output=True, text=True)
        if out.returncode != 0:
            wrong.append(f"{to}, {senders} senders: {out.stderr.strip()} {out.stdout[:300]}")
        with open(acked, encoding="ascii") as f:
            return json.loads(out.stdout), prefix, f.read().split()

    def check(self, to, senders, prefix, said):
        """What was acknowledged is stored exactly once. Rows are looked up one by one: the statistics are young."""
        stored = [r[0] for r in self.site.sql(
            f"SELECT k.control_id FROM dari.message_key k JOIN LATERAL (SELECT 1 FROM dari.message m WHERE m.site = 'hanbit' "
            f"AND m.day = k.day AND m.no = k.no LIMIT 1) AS m ON true "
            f"WHERE k.site = 'hanbit' AND k.feed = '{to}' AND k.control_id >= '{prefix}' AND k.control_id < '{prefix}~'")]
        if sorted(stored) != sorted(said):
            wrong.append(f"{to}, {senders} senders: {len(said)} acknowledged, {len(stored)} stored, "
                         f"{len(set(said) - set(stored))} missing")

    def load(self, to, senders, seconds=SECONDS, messages=0):
        result, prefix, said = self.send(to, senders, seconds, messages)
        if to != "ceiling":
            self.check(to, senders, prefix, said)
        return result

    def pair(self, senders, rounds=ROUNDS):
        """The feed and the ceiling in turns."""
        rows = [(self.load("emr", senders), self.load("ceiling", senders)) for _ in range(rounds)]
        return [r[0] for r in rows], [r[1] for r in rows]

    def memory(self):
        with open(f"/proc/{self.site.pids()['feed:emr']}/status", encoding="ascii") as f:
            return {w[0][:-1]: int(w[1]) / 1024 for w in (l.split() for l in f) if w[0] in ("VmRSS:", "VmHWM:")}

    def stored(self):
        return int(self.site.one("SELECT coalesce(sum(received), 0) FROM dari.feed_count"))


def reading():
    out = subprocess.run([os.path.join(PROGRAMS, "scan"), "300", str(2 * ROUNDS - 1)], capture_output=True, text=True, check=True)
    r = json.loads(out.stdout)
    line("parse, ten fields, reply | memchr split", r["parse"], r["split"], 0.30)
    line("  every field of every segment located", r["whole"], r["split"])
    line("parse, map, event as JSON | memchr split", r["map"], r["split"], 0.08)


def throughput(b, floors, label):
    eight = None
    for senders in (1, 8, 32):
        ours, ceiling = b.pair(senders)
        line(f"{senders} sender{'s' * (senders > 1)}{label} | raw rows only", median(ours, "per_second"),
             median(ceiling, "per_second"), floors[senders])
        if senders == 8:
            eight = ours, ceiling
    line(f"  p99 at 8 senders{label}", median(eight[0], "p99"), median(eight[1], "p99"), "at most 4" if not label else None, "us")


def many(b):
    few, lots = [], []
    for _ in range(ROUNDS):
        few.append(b.load("emr", 32))
        lots.append(b.load("emr", 512))
    line("512 senders | 32 senders", median(lots, "per_second"), median(few, "per_second"))
    return median(few, "per_second")


def secure(b):
    tls, plain = [], []
    b.load("tls", 8, "1")
    for _ in range(ROUNDS):
        tls.append(b.load("tls", 8))
        plain.append(b.load("emr", 8))
    line("TLS | plain, 8 senders", median(tls, "per_second"), median(plain, "per_second"), 0.85)


def growth(b):
    """Memory of the feed at 32 senders: flat once the first hundred thousand messages are through."""
    steps = {"quick": (20000, 20000), "normal": (60000, 60000), "full": (100000, 900000)}[HOW]
    b.load("emr", 32, "600", steps[0])
    early, n = b.memory()["VmRSS"], b.stored()
    b.load("emr", 32, "1200", steps[1])
    late = b.memory()
    show(f"{'memory of the feed, MiB':46} {late['VmHWM']:10.1f} peak   grew {late['VmRSS'] - early:.2f} in {b.stored() - n} messages"
         "   floor: at most 64, flat")


def spool(b, messages_per_second):
    """The database is away: how fast messages go into the spool, and how fast they are committed afterwards."""
    took, rates = [], []
    b.stop_ceiling()
    for _ in range(ROUNDS):
        b.site.postgres("stop")
        wait_for("the outage", lambda: b.site.text().rstrip().rsplit("state=", 1)[-1].startswith("away"))
        result, prefix, said = b.send("emr", 32)
        took.append(result["per_second"])
        b.site.postgres("start")
        wait_for("the first of them", lambda: b.site.one(f"SELECT 1 FROM dari.message_key WHERE site = 'hanbit' AND feed = 'emr' "
                                                         f"AND control_id >= '{prefix}' LIMIT 1"), 60)
        began = time.monotonic()
        left = len(said) - int(b.site.one("SELECT count(*) FROM dari.message_key WHERE site = 'hanbit' AND feed = 'emr' AND "
                                          f"control_id >= '{prefix}' AND control_id < '{prefix}~'"))
        wait_for("the end of the spool", lambda: not b.site.spooled(), 600)
        rates.append(left / (time.monotonic() - began))
        b.check("emr", 32, prefix, said)
    line("into the spool, 32 senders | with the database", statistics.median(took), messages_per_second)
    line("out of the spool | received with the database", statistics.median(rates), messages_per_second)


def drain(b, messages_per_second):
    """A relay that was away: how fast `dari tail` gets the backlog, over CURVE, against the rate at which it was written."""
    head = int(b.site.one("SELECT head FROM dari.stream WHERE site = 'hanbit'"))
    written = messages_per_second * head / b.stored()
    count = min(head, 100000)
    b.stop()
    b.site.start("--only", "relay")
    rates = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        b.site.run("tail", "--from", "first", "--count", str(count), check=True, timeout=600)
        rates.append(count / (time.monotonic() - began))
    bare = float(subprocess.run([os.path.join(PROGRAMS, "curve")], capture_output=True, text=True, check=True).stdout)
    line("events drained over CURVE | written", statistics.median(rates), written, 1.5)
    line("  events drained | bare ZeroMQ with CURVE", statistics.median(rates), bare)


def whole(b):
    """What the site says about itself when everything is over."""
    messages, keys, events, head, first, last = b.site.sql(
        "SELECT (SELECT count(*) FROM dari.message), (SELECT count(*) FROM dari.message_key), count(*), "
        "(SELECT head FROM dari.stream), min(seq), max(seq) FROM dari.event")[0]
    entries, ledger = b.site.sql("SELECT count(*), max(idx) FROM dari.ledger")[0]
    if not (messages == keys and events == head == last and first == "1" and entries == ledger):
        wrong.append(f"{messages} messages, {keys} keys; {events} events, {first} to {last}, head {head}; {entries} entries to {ledger}")
    if HOW == "full":
        b.site.start("--only", "steward")
        wait_for("the last checkpoint", lambda: b.site.one("SELECT max(size) FROM dari.checkpoint") == ledger, 900)
        said = b.site.run("ledger", "verify", timeout=900)
        if said.returncode != 0:
            wrong.append("the ledger does not verify: " + said.stderr)
    show(f"{messages} messages, {events} events, {entries} ledger entries: "
         + ("each acknowledged message is there exactly once" if not wrong else "WRONG"))


def main():
    began = time.monotonic()
    show(f"{'what | ceiling':46} {'ours':>15} {'ceiling':>15} {'ratio':>7}")
    reading()
    b = Bench()
    try:
        b.start()
        for to in ("emr", "ceiling"):
            b.load(to, 8, "1")
        throughput(b, {1: 0.50, 8: 0.40, 32: 0.40}, "")
        rate = many(b)
        secure(b)
        growth(b)
        b.restart_database(slow=True)
        throughput(b, {1: 0.90, 8: 0.85, 32: 0.85}, ", flush 2 ms")
        b.restart_database(slow=False)
        spool(b, rate)
        drain(b, rate)
        b.site.stop()
        whole(b)
    finally:
        b.end()
    imports(HOW, line, wrong)
    show(f"{loads} loads, {time.monotonic() - began:.0f} s; medians of {ROUNDS}")
    for w in wrong:
        show("WRONG: " + w)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
