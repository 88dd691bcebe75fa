"""PostgreSQL away: positive replies from the local spool up to its limit, then "try again"; afterwards everything is in
the stream, in order, once. The feed killed with -9 at any moment of that; the spool's file torn and changed."""
import glob
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402

NAME = "홍^길동"


def adt(control, mrn, at="20260309090000", name=NAME):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|{at}+0900||ADT^A28^ADT_A05|{control}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|A28|20260309090000\rPID|1||{mrn}^^^HANBIT^MR||{name}||19760617|M\r").encode()


class Sender(threading.Thread):
    """Sends its messages one after the other, each until it is accepted, as a careful sender does."""

    def __init__(self, site, name, count):
        super().__init__(daemon=True)
        self.site, self.key, self.count = site, name, count
        self.replies, self.refused, self.error, self.stop = {}, 0, None, False

    def message(self, i):
        return adt(f"{self.key}-{i}", f"{self.key}{i:04d}")

    def run(self):
        m = self.site.mllp(timeout=10)
        try:
            for i in range(self.count):
                end = time.monotonic() + 90
                while i not in self.replies:
                    if self.stop or time.monotonic() > end:
                        raise TimeoutError(f"no final reply to {self.key}-{i}")
                    try:
                        reply = m.ask(self.message(i))
                    except OSError:
                        m.close()
                        time.sleep(0.02)
                        continue
                    if code(reply) == "AA":
                        self.replies[i] = reply
                    elif code(reply) == "AE" and b"207^" in reply:
                        self.refused += 1
                        time.sleep(0.02)
                    else:
                        raise AssertionError(reply)
        except Exception as e:
            self.error = e
        m.close()


def finish(senders):
    for s in senders:
        s.join(120)
    return [f"{s.key}: {s.error}" for s in senders if s.error or s.is_alive()]


def judge(tap, name, site, senders):
    wait_for("the end of the spool", lambda: not site.spooled(), 120)
    rows = site.sql("SELECT control_id, state, first_seq FROM dari.message ORDER BY first_seq")
    for s in senders:
        mine = [int(r[0].split("-")[1]) for r in rows if r[0].startswith(s.key + "-")]
        tap.equal(f"{name}: sender {s.key}: each once, in its order", mine, list(range(s.count)))
    head, low, high, count = site.sql("SELECT (SELECT head FROM dari.stream), min(seq), max(seq), count(*) FROM dari.event")[0]
    tap.check(f"{name}: numbers are dense, one event per message", head == high == count == str(len(rows)) and low == "1",
              (head, low, high, count, len(rows)))
    received = site.one("SELECT sum(received) FROM dari.feed_count")
    tap.equal(f"{name}: received is what was sent", received, str(len(rows)))
    verify = site.run("ledger", "verify")
    tap.check(f"{name}: the ledger verifies", verify.returncode == 0, verify.stdout + verify.stderr)


def spool_file(site):
    return os.path.join(site.home, "var", "spool", "emr.spool")


def outage(tap):
    with Site("spool", feed='max-group="4" spool-max-size="64k"') as s:
        s.start("--only", "feed,steward")
        m = s.mllp()
        for i in range(10):
            m.deliver(adt(f"W-{i}", f"W{i:04d}"))
        s.postgres("kill")
        first = m.ask(adt("D-0", "D0000"))
        tap.equal("database away: accepted", code(first), "AA")
        tap.equal("the same message again while it is in the spool: the same reply", m.ask(adt("D-0", "D0000", at="20260309093000")), first)
        senders = [Sender(s, f"A{k}", 300) for k in range(4)]  # each has more than the spool takes
        [x.start() for x in senders]
        before = [len(x.replies) for x in senders]
        tap.check("several senders go on", wait_for("the limit", lambda: all(x.refused for x in senders)), before)
        tap.check("until the limit, not beyond it", 48 << 10 < os.path.getsize(spool_file(s)) <= 64 << 10, os.path.getsize(spool_file(s)))
        tap.equal("at the limit a repetition still gets its reply", m.ask(adt("D-0", "D0000")), first)
        stored = open(spool_file(s), "rb").read()
        tap.check("nothing on the disk is clear", not any(x.encode() in stored for x in ("길동", "PID|", "MSH|", "A0-", "HANBIT")))
        status = wait_for("the count", lambda: (lambda t: t if "wait for the database" in t else None)(s.run("status").stdout))
        tap.check("dari status says how many wait", "accepted messages wait for the database" in status, status)
        now = time.time()
        s.postgres("start")
        tap.equal("all senders come to their end", finish(senders), [])
        d = Sender(s, "D", 1)
        judge(tap, "outage", s, senders + [d])
        tap.equal("after the drain: the reply of the spool", m.ask(adt("D-0", "D0000")), first)
        wrong = [f"{x.key}-{i}" for x in senders for i in range(x.count) if m.ask(x.message(i)) != x.replies[i]]
        tap.equal("every message again: the reply that it got, byte for byte", wrong, [])
        tap.check("the row says when it was received, not when it was committed",
                  int(s.one(f"SELECT count(*) FROM dari.message WHERE received_at < to_timestamp({now})")) > 4 * 11)
        early = s.one("SELECT count(*) FROM dari.event e JOIN dari.message m ON m.no = e.message_no "
                      "WHERE e.recorded_at > m.received_at")
        tap.check("and the event when it entered the stream", int(early) > 20, early)
        tap.check("no value of a message in the log", "길동" not in s.text() and "HANBIT" not in s.text())


def killed(tap, seed):
    rng = random.Random(seed)
    with Site(f"spool-kill-{seed}", feed='max-group="2"') as s:
        s.start("--only", "feed,steward")
        senders = [Sender(s, f"K{k}", 150) for k in range(4)]
        [x.start() for x in senders]
        kills = 0
        for _ in range(3):
            done = sum(len(x.replies) for x in senders)
            wait_for("progress", lambda: sum(len(x.replies) for x in senders) >= min(600, done + 60))
            s.postgres("kill")
            for _ in range(rng.randint(1, 3)):
                time.sleep(rng.uniform(0, 0.4))
                kills += s.kill("feed")
            done = sum(len(x.replies) for x in senders)
            wait_for("progress without the database", lambda: sum(len(x.replies) for x in senders) >= min(600, done + 20))
            s.postgres("start")
            for _ in range(rng.randint(1, 3)):
                time.sleep(rng.uniform(0, 0.4))
                kills += s.kill("feed")
        tap.check(f"seed {seed}: the feed was killed", kills > 2, kills)
        tap.equal(f"seed {seed}: all senders come to their end", finish(senders), [])
        judge(tap, f"seed {seed}", s, senders)


def started(tap):
    """A start with a spool, however large: who sends is heard at once, not when all of it is committed; nobody overtakes."""
    with Site("spool-start") as s:
        s.start("--only", "feed")
        s.postgres("stop")
        wait_for("the feed to know", lambda: "state=away" in s.text())
        m = s.mllp()
        for n in range(3):
            m.ask(adt(f"early-{n}", f"E{n}"))
        m.close()
        s.stop()
        s.postgres("start")
        holder = subprocess.Popen(["psql", s.conninfo(), "-qX"], stdin=subprocess.PIPE, text=True)
        holder.stdin.write("BEGIN; LOCK TABLE dari.message_key IN SHARE MODE;\n")  # the spool's commit waits
        holder.stdin.flush()
        wait_for("the lock", lambda: s.one("SELECT count(*) FROM pg_locks WHERE relation = 'dari.message_key'::regclass "
                                           "AND mode = 'ShareLock'") == "1")
        since = len(s.text())
        s.start("--only", "feed")
        wait_for("the spool's commit", lambda: s.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1")
        tap.check("the feed listens while its spool is being committed", s.spooled() and "spool.empty" not in s.text())
        tap.check("and not because the database keeps it waiting", "state=away" not in s.text()[since:], s.text()[since:])
        late = Sender(s, "late", 2)
        late.start()
        wait_for("a sender", lambda: s.text().count("mllp.connected") == 2)
        holder.stdin.write("ROLLBACK;\n")
        holder.stdin.close()
        holder.wait(30)
        late.join(60)
        wait_for("the end of the spool", lambda: not s.spooled())
        wait_for("all of them", lambda: s.one("SELECT count(*) FROM dari.message") == "5")
        tap.equal("in the order in which they came", [r[0] for r in s.sql("SELECT control_id FROM dari.message ORDER BY no")],
                  ["early-0", "early-1", "early-2", "late-0", "late-1"])
        tap.equal("and each sender has its reply", (late.error, len(late.replies)), (None, 2))


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 0x10]))


def damaged(tap):
    with Site("spool-damaged") as s:
        def fill(key):
            s.start("--only", "feed,steward")
            s.postgres("stop")
            m = s.mllp()
            for i in range(6):
                reply = m.deliver(adt(f"{key}-{i}", f"{key}{i:04d}"))
                assert code(reply) == "AA", reply
            m.close()
            s.process.terminate()
            tap.equal("an orderly end with a full spool", s.process.wait(30), 0)
            return os.path.getsize(spool_file(s))

        def drain(key):
            s.postgres("start")
            began = len(s.text())
            s.start("--only", "feed,steward")
            wait_for("the end of the spool", lambda: not s.spooled())
            return [r[0] for r in s.sql(f"SELECT control_id FROM dari.message WHERE control_id LIKE '{key}-%' ORDER BY no")], s.text()[began:]

        size = fill("T")
        os.truncate(spool_file(s), size - 3)
        ids, log = drain("T")
        tap.equal("torn: all before the torn record", ids, [f"T-{i}" for i in range(5)])
        tap.check("and it is said", "spool.torn" in log and "offset=" in log, log)
        s.stop()
        size = fill("F")
        flip(spool_file(s), size // 2)
        ids, log = drain("F")
        tap.check("a flipped bit: all before that record", 1 <= len(ids) <= 3 and ids == [f"F-{i}" for i in range(len(ids))], ids)
        tap.check("an error in the log", "error" in log and "spool.damaged" in log, log)
        tap.equal("the rest is set aside", len(glob.glob(os.path.join(s.home, "var", "spool", "emr.1.damaged"))), 1)
        tap.check("dari status says it", wait_for("the status", lambda: "DAMAGED" in s.run("status").stdout))
        tap.check("dari feed list too", "spool_damaged 1" in s.run("feed", "list").stdout)
        verify = s.run("ledger", "verify")
        tap.check("the ledger verifies", verify.returncode == 0, verify.stdout + verify.stderr)


def test(tap):
    started(tap)
    outage(tap)
    for seed in [int(os.environ["DARI_SEED"])] if "DARI_SEED" in os.environ else range(1, 1 + int(os.environ.get("DARI_SEEDS", 2))):
        killed(tap, seed)
    damaged(tap)


main(test)
