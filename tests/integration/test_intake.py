"""What the store promises: once, in order, durable before yes, nothing guessed, repairable."""
import json
import os
import re
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, code, main, wait_for  # noqa: E402


def adt(control, mrn="10001", name="홍^길동", birth="19760617", at="20260309090000", kind="A28"):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|{at}+0900||ADT^{kind}^ADT_A05|{control}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|{kind}|20260309090000\rPID|1||{mrn}^^^HANBIT^MR||{name}||{birth}|M\r").encode()


def frame(message):
    return b"\x0b" + message + b"\x1c\r"


def once(tap, s, m):
    first = m.ask(adt("A1"))
    tap.equal("accepted", code(first), "AA")
    tap.equal("the same message again: the same reply, byte for byte", m.ask(adt("A1")), first)
    tap.equal("sent again later (another MSH-7): the same reply", m.ask(adt("A1", at="20260309093000")), first)
    other = s.mllp()
    tap.equal("on another connection too", other.ask(adt("A1")), first)
    tap.equal("no second message", s.one("SELECT count(*) FROM dari.message"), "1")
    tap.equal("no second event", s.one("SELECT count(*) FROM dari.event"), "1")
    tap.equal("duplicates are counted", s.one("SELECT sum(duplicates) FROM dari.feed_count"), "3")
    tap.equal("the same control id with another body is a new message", code(m.ask(adt("A1", name="김^민지"))), "AA")
    tap.equal("and flagged", s.sql("SELECT flags & 1 FROM dari.message ORDER BY no"), [["0"], ["1"]])
    both = s.mllp()
    both.write(adt("A2", mrn="10002"))
    both.write(adt("A2", mrn="10002"))
    tap.equal("twice in one write: the same reply twice", both.read(), both.read())
    before = int(s.one("SELECT sum(duplicates) FROM dari.feed_count"))
    both.sock.sendall(2 * frame(adt("A3", mrn="10003")))
    tap.equal("twice in one piece: the same reply twice", both.read(), both.read())
    tap.equal("which counts as one repetition", int(s.one("SELECT sum(duplicates) FROM dari.feed_count")), before + 1)
    both.sock.sendall(frame(adt("A1")) + frame(adt("A4", mrn="10004")))
    tap.equal("a known one and a new one in one piece", (both.read(), code(both.read())), (first, "AA"))
    tap.equal("the event is of the new one", s.one("SELECT m.control_id FROM dari.event e JOIN dari.message m ON m.no = e.message_no "
                                                   "ORDER BY e.seq DESC LIMIT 1"), "A4")


def order(tap, s):
    senders = 4
    errors = []

    def sender(k):
        m = s.mllp()
        for i in range(0, 50, 10):
            for j in range(10):
                m.write(adt(f"S{k}-{i + j}", mrn=f"2{k}{i + j:03d}"))
            for j in range(10):
                if f"|S{k}-{i + j}\r".encode() not in m.read() + b"\r":
                    errors.append((k, i + j))
    threads = [threading.Thread(target=sender, args=(k,)) for k in range(senders)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    tap.equal("pipelined: replies in the order of the requests", errors, [])
    head, count, low, high = s.sql("SELECT (SELECT head FROM dari.stream), count(*), min(seq), max(seq) FROM dari.event")[0]
    tap.check("numbers are dense", head == count == high and low == "1", (head, count, low, high))
    rows = s.sql("SELECT control_id FROM dari.message WHERE control_id LIKE 'S%' ORDER BY first_seq")
    for k in range(senders):
        mine = [int(r[0].split("-")[1]) for r in rows if r[0].startswith(f"S{k}-")]
        tap.equal(f"sender {k}: numbers in the order of its messages", mine, list(range(50)))


def away(tap, s, m):
    s.postgres("kill")
    reply = wait_for("a reply while the database is away", lambda: m.ask(adt("B1", mrn="30001")))
    tap.equal("database away: a negative reply", code(reply), "AE")
    tap.check("that asks to send it again (207)", b"207^" in reply, reply)
    s.postgres("start")
    tap.equal("it recovers by itself", code(m.deliver(adt("B1", mrn="30001"))), "AA")
    tap.equal("once", s.one("SELECT count(*) FROM dari.message WHERE control_id = 'B1'"), "1")


def pause(tap, s, m):
    s.run("feed", "pause", "emr", check=True)
    reply = wait_for("the pause", lambda: (lambda r: r if code(r) == "AE" else None)(m.ask(adt("P1", mrn="40001"))))
    tap.check("a paused feed asks to send again", b"207^" in reply, reply)
    s.run("feed", "resume", "emr", check=True)
    tap.equal("and takes it after the resume", code(m.deliver(adt("P1", mrn="40001"))), "AA")
    tap.equal("both are in the ledger", s.one("SELECT count(*) FROM dari.ledger WHERE body LIKE 'operator % action=feed.%'"), "2")


def repair(tap, s, m):
    reply = m.ask(adt("Q1", mrn="50001", birth="19761317"))
    tap.equal("a date that is none: an error", code(reply), "AE")
    tap.check("with the place", b"PID^1^7" in reply, reply)
    no = s.one("SELECT no FROM dari.message WHERE control_id = 'Q1'")
    listed = [json.loads(l) for l in s.run("message", "list", "--state", "quarantined", "--json").stdout.splitlines()]
    tap.check("times of a list are of the site's zone", all(re.fullmatch(r"\d{4}-\d\d-\d\dT\S+\+09:00", x["received_at"]) for x in listed), listed)
    tap.check("it is listed with its place", [x["place"] for x in listed if str(x["message"]) == no] == ["PID-7.1"] or listed, listed)
    shown = s.run("message", "show", no).stdout
    tap.check("dari message show: as received", "19761317" in shown and "홍^길동" in shown, shown)
    tap.check("when it came: of the site's zone, as in the list", re.search(r"^received +\d{4}-\d\d-\d\dT\S+\+09:00$", shown, re.M), shown)
    tap.equal("that somebody looked is in the ledger",
              s.one(f"SELECT count(*) FROM dari.ledger WHERE body LIKE '%action=message.show message={no} %'"), "1")
    out = s.run("message", "reprocess", no)
    tap.check("reprocess before the repair: still quarantined, exit 1", out.returncode == 1 and "quarantined" in out.stdout, out.stdout)
    path = s.home + "/mappings/hl7v2/patients.xml"
    text = open(path, encoding="utf-8").read()
    repaired, n = re.subn(r'(<(?:field|changed)\b(?:(?!bad=)[^>])*name="birth_on"(?:(?!bad=)[^>])*?)(/?>)', r'\1 bad="leave-out"\2', text)
    tap.check("the mapping is repaired", n > 0)
    with open(path, "w", encoding="utf-8") as f:
        f.write(repaired)
    head = int(s.one("SELECT head FROM dari.stream"))
    out = s.run("message", "reprocess", "--state", "quarantined")
    tap.check("reprocess after the repair: mapped", out.returncode == 0 and "quarantined → mapped" in out.stdout, out.stdout + out.stderr)
    tap.equal("its event is in the stream", int(s.one("SELECT head FROM dari.stream")), head + 1)
    s.run("message", "reprocess", no, check=True)
    tap.equal("reprocessing again adds nothing", int(s.one("SELECT head FROM dari.stream")), head + 1)
    feed = json.loads(s.run("status", "--json").stdout)["feeds"][0]
    tap.equal("received = mapped + ignored + quarantined", feed["received"], feed["mapped"] + feed["ignored"] + feed["quarantined"])


def extend(tap, s, m):
    """A mapping that learns to make a second event: the message then has events in two places of the stream."""
    m.ask(adt("X1", mrn="60001"))
    m.ask(adt("X2", mrn="60002"))
    no, first = s.sql("SELECT no, first_seq FROM dari.message WHERE control_id = 'X1'")[0]
    path = s.home + "/mappings/hl7v2/patients.xml"
    text = open(path, encoding="utf-8").read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("MSH-9.2 in ('A08', 'A31')", "MSH-9.2 in ('A08', 'A31', 'A28')"))
    out = s.run("message", "reprocess", no)
    tap.check("an extended mapping: one new event", "1 new events" in out.stdout, out.stdout + out.stderr)
    mine = [r[0] for r in s.sql(f"SELECT seq FROM dari.event WHERE message_no = {no} ORDER BY seq")]
    tap.check("they do not lie together", len(mine) == 2 and mine[0] == first and int(mine[1]) > int(first) + 1, mine)
    for reference in ("X1", no):
        trace = json.loads(s.run("trace", reference, "--json").stdout)
        tap.equal(f"dari trace {reference}: both, and nobody else's", [str(e["seq"]) for e in trace["events"]], mine)
    shown = s.run("message", "show", no).stdout
    tap.check("dari message show: from the first to the last", f"{mine[0]}-{mine[1]}, others between" in shown, shown)


def huge(tap, s, m):
    reply = m.ask(adt("C" * 70000, mrn="70001"))
    tap.equal("a control id of 70000 bytes: an error", code(reply), "AE")
    tap.check("with the place", b"MSH^1^10" in reply, reply[:500])
    tap.equal("and the message is kept", s.one("SELECT count(*) FROM dari.message WHERE size > 70000 AND state = 'quarantined'"), "1")


def sealed(tap, s):
    dump = str(s.sql("SELECT encode(sealed, 'escape') FROM dari.message LIMIT 50")) + str(s.sql("SELECT data FROM dari.event"))
    tap.check("stored messages and P2 fields are sealed", "길동" not in dump and "PID|" not in dump)
    tap.check("dari event show opens them", "홍길동" in s.run("event", "show", "1").stdout)
    verify = s.run("ledger", "verify")
    tap.check("the ledger verifies", verify.returncode == 0, verify.stdout + verify.stderr)


def mixed(tap, s):
    """New, repeated, reused and quarantined messages side by side in the groups of one pipelining sender."""
    m, sent, want = s.mllp(), [], []
    for i in range(1, 60):
        kind = i % 5
        sent.append(adt("R1") if kind == 1 else adt("R1", name=f"이^{i}") if kind == 2
                    else adt(f"M{i}", birth="19761317") if kind == 3 else adt(f"M{i}"))
        want.append("AR" if kind == 2 else "AA")
    m.write(sent[0])
    for message in sent[1:]:
        m.write(message)
    tap.equal("a mixture: each gets its own reply", [code(m.read()) for _ in sent], want)
    tap.equal("numbers are dense, and each message knows its events", s.sql(
        "SELECT (SELECT head FROM dari.stream) = count(*), max(e.seq) = count(*), "
        "bool_and(m.first_seq <= e.seq AND e.seq < m.first_seq + m.events AND m.mapping = e.mapping), "
        "(SELECT sum(events) FROM dari.message) = count(*), (SELECT ledger FROM dari.stream) = (SELECT count(*) FROM dari.ledger) "
        "FROM dari.event e JOIN dari.message m ON m.no = e.message_no"), [["t"] * 5])
    tap.equal("the counts agree", s.sql(
        "SELECT received, mapped, ignored, quarantined, events, duplicates FROM dari.feed_count"), s.sql(
        "SELECT count(*), count(*) FILTER (WHERE state = 'mapped'), count(*) FILTER (WHERE state = 'ignored'), "
        "count(*) FILTER (WHERE state = 'quarantined'), sum(events), 12 FROM dari.message"))
    s.stop()
    s.start("--only", "steward")
    wait_for("a checkpoint over everything",
             lambda: s.one("SELECT max(c.size) = (SELECT ledger FROM dari.stream) FROM dari.checkpoint c") == "t")
    said = s.run("ledger", "verify")
    tap.check("the ledger verifies", said.returncode == 0, said.stderr)


def reader(tap):
    """A new day's partitions cannot be made behind a long reader: nobody waits for that, it is done later."""
    with Site("reader", clock="2026-03-09T08:30:00+09:00") as s:
        s.start("--only", "feed,steward")
        wait_for("the partitions", lambda: "steward.partitions made=" in s.text())
        m = s.mllp()
        m.ask(adt("L1"))
        psql = subprocess.Popen(["psql", s.conninfo(), "-qAtX", "-c", "BEGIN; SELECT count(*) FROM dari.ledger",
                                 "-c", "SELECT pg_sleep(600)"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            wait_for("the reader", lambda: s.one("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"))
            s.clock("2026-03-12T08:30:00+09:00")
            wait_for("a refusal", lambda: "warn" in s.text() and "steward.partitions code=" in s.text())
            tap.equal("a message is accepted meanwhile", code(m.ask(adt("L2", mrn="10002"))), "AA")
            s.clock("2026-03-12T08:31:00+09:00")
            wait_for("the seal", lambda: s.one("SELECT max(size) = (SELECT ledger FROM dari.stream) FROM dari.checkpoint") == "t")
            tap.check("and the ledger is sealed", True)
        finally:
            psql.terminate()
            psql.wait()
            s.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()")
        wait_for("the partitions of the new days", lambda: s.one("SELECT to_regclass('dari.event_20260318') IS NOT NULL") == "t")
        tap.check("the partitions come later", True)


def test(tap):
    reader(tap)
    with Site("intake", feed='max-group="16" spool-max-size="0"') as s:
        for part in ("hl7v2", "tables"):
            shutil.copytree(ROOT + "/mappings/" + part, s.home + "/mappings/" + part)
        text = open(s.config, encoding="utf-8").read().replace(ROOT + "/mappings/hl7v2", s.home + "/mappings/hl7v2")
        with open(s.config, "w", encoding="utf-8") as f:
            f.write(text)
        s.start("--only", "feed,steward")
        m = s.mllp()
        once(tap, s, m)
        order(tap, s)
        away(tap, s, m)
        pause(tap, s, m)
        repair(tap, s, m)
        extend(tap, s, m)
        huge(tap, s, m)
        sealed(tap, s)
    with Site("refuse", feed='refuse-reused-id="yes" accept-quarantined="yes"') as s:
        s.start("--only", "feed")
        m = s.mllp()
        m.ask(adt("R1"))
        tap.equal("refuse-reused-id: refused for good", code(m.ask(adt("R1", name="김^민지"))), "AR")
        tap.equal("and kept", s.sql("SELECT state FROM dari.message ORDER BY no"), [["mapped"], ["quarantined"]])
        tap.equal("accept-quarantined: accepted", code(m.ask(adt("R2", birth="19761317"))), "AA")
        tap.equal("and quarantined", s.one("SELECT state FROM dari.message WHERE control_id = 'R2'"), "quarantined")
        mixed(tap, s)


main(test)
