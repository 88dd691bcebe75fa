"""Senders with journals of their own against a dari whose feed, relay and PostgreSQL are killed with -9 at random.

Nothing acknowledged is missing, nothing is doubled, numbers are dense, the order of each sender holds, and a consumer
that is killed as well sees every number once in effect. What decides is the journals, which are fsynced before a
message leaves and after its reply came, not dari.

DARI_MESSAGES=N in all (default 4800), DARI_SENDERS=N (default 16)."""
import collections
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Mllp, Site, code, main, wait_for  # noqa: E402

SENDERS = int(os.environ.get("DARI_SENDERS", 16))
EACH = int(os.environ.get("DARI_MESSAGES", 4800)) // SENDERS


def message(k, i):
    return (f"MSH|^~\\&|HIS{k}|HANBIT|DARI|CRM|20260309090000+0900||ADT^A28^ADT_A05|O{k}-{i}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|A28|20260309090000\rPID|1||{k:02d}{i:06d}^^^HANBIT^MR||홍^길동||19760617|M|||||010-2345-6781\r").encode()


def send(port, journal, k):
    """One sender: a process of its own, started by the test."""
    with open(journal, "ab", buffering=0) as f:
        def note(line):
            f.write(line.encode() + b"\n")
            os.fsync(f.fileno())
        m = Mllp(port, timeout=10)
        for i in range(EACH):
            note(f"send O{k}-{i}")
            note(f"got O{k}-{i} {code(m.deliver(message(k, i), 120))}")


class Consumer:
    """The example of the Python client, killed and started again."""

    def __init__(self, s):
        self.s, self.process = s, None
        self.out = os.path.join(s.home, "consumer.jsonl")
        s.run("consumer", "add", "oracle", "--contract", "crm-basic", "--new-key", s.home + "/oracle.key", check=True)

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", ROOT + "/deploy/clients/python/example.py", "--endpoint", "ipc://run/relay", "--site", "hanbit",
             "--server-key", "keys/stream.pub", "--key", "oracle.key", "--out", self.out],
            cwd=self.s.home, stderr=open(self.s.home + "/consumer.log", "ab"))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def numbers(self):
        try:
            with open(self.out, encoding="utf-8") as f:
                return [int(line.split('"sequence":"', 1)[1][:20]) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []


def fire(s, consumer, rng, over, killed):
    round_ = []
    while not over.is_set():
        over.wait(rng.uniform(0.2, 1.0))
        if not round_:  # each once, in another order every time
            round_ = rng.sample(["feed", "relay", "postgres", "consumer"], 4)
        what = round_.pop()
        if what == "postgres":
            s.postgres("kill")
            over.wait(rng.uniform(0.0, 0.5))
            s.postgres("start")
        elif what == "consumer":
            consumer.kill()
            consumer.start()
        else:
            s.kill(what)
        killed[what] += 1


def run_senders(s):
    journals = [os.path.join(s.home, f"journal-{k}") for k in range(SENDERS)]
    senders = [subprocess.Popen(["/usr/bin/python3", __file__, "--send", str(s.port), j, str(k)]) for k, j in enumerate(journals)]
    status = [p.wait() for p in senders]
    return journals, status


def acknowledged(journals):
    out = {}
    for j in journals:
        for line in open(j, encoding="utf-8"):
            words = line.split()
            if words[0] == "got":
                out[words[1]] = words[2]
    return out


def verdict(s, journals):
    """What is wrong, as text; nothing when all is well."""
    wrong = []
    acked = acknowledged(journals)
    stored = collections.Counter(r[0] for r in s.sql("SELECT control_id FROM dari.message"))
    accepted = [c for c, reply in acked.items() if reply == "AA"]
    missing = [c for c in accepted if c not in stored]
    if missing:
        wrong.append(f"acknowledged and missing: {len(missing)}, such as {missing[:3]}")
    doubled = [c for c, n in stored.items() if n > 1]
    if doubled:
        wrong.append(f"stored twice: {doubled[:5]}")
    strangers = set(stored) - set(acked)
    if strangers:
        wrong.append(f"stored and never sent: {sorted(strangers)[:5]}")
    head, count, low, high, messages = s.sql(
        "SELECT (SELECT head FROM dari.stream), count(*), min(seq), max(seq), count(DISTINCT message_no) FROM dari.event")[0]
    if not (head == count == high == messages and low == "1"):
        wrong.append(f"numbers: head {head}, {count} events of {messages} messages, {low} to {high}")
    last = {}
    for control, seq in s.sql("SELECT control_id, first_seq FROM dari.message ORDER BY first_seq"):
        sender, i = control.split("-")
        if int(i) != last.get(sender, -1) + 1:
            wrong.append(f"order of {sender}: {i} after {last.get(sender)} at event {seq}")
            break
        last[sender] = int(i)
    return wrong


def test(tap):
    # a small spool: while the database is away some messages are accepted into it, the others refused for the time being
    with Site(os.environ.get("DARI_SITE", "oracle"), feed=os.environ.get("DARI_FEED", 'spool-max-size="128k"')) as s:
        s.start("--only", "feed,relay,steward")
        consumer, over, killed = Consumer(s), threading.Event(), collections.Counter()
        consumer.start()
        rng = random.Random(int(os.environ.get("DARI_SEED", 7)))
        fury = threading.Thread(target=fire, args=(s, consumer, rng, over, killed))
        fury.start()
        began = time.monotonic()
        journals, status = run_senders(s)
        over.set()
        fury.join()
        wait_for("the end of the spool", lambda: not s.spooled(), 60)
        print(f"# {SENDERS * EACH} messages of {SENDERS} senders in {time.monotonic() - began:.0f} s; killed: {dict(killed)}")
        tap.equal("every sender got a final reply to everything", status, [0] * SENDERS)
        acked = acknowledged(journals)
        tap.equal("all of them positive", {c for c, r in acked.items() if r != "AA"}, set())
        tap.equal("nothing acknowledged is missing, nothing doubled, dense, in order", verdict(s, journals), [])
        head = int(s.one("SELECT head FROM dari.stream"))
        try:
            wait_for("the consumer has everything", lambda: consumer.numbers()[-1:] == [head], 60)
        except TimeoutError:
            pass
        consumer.kill()
        tap.check("the consumer saw every number once, in order", consumer.numbers() == list(range(1, head + 1)),
                  f"{len(consumer.numbers())} of {head}")
        verify = s.run("ledger", "verify")
        tap.check("the ledger verifies", verify.returncode == 0, verify.stdout + verify.stderr)


if len(sys.argv) > 1 and sys.argv[1] == "--send":
    send(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
else:
    main(test)
