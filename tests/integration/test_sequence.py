"""MSH-13 sequence numbers (row F20; HL7 chapter 2.10.1): in turn, start, resynchronize, passed, gap, failures between."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, main, wait_for  # noqa: E402


def message(n, control=None, version="2.5", only_header=False):
    control = f"C{n}" if control is None else control
    head = f"MSH|^~\\&|EMR|CLINIC|DARI|CRM|20260311090000||ADT^A04|{control}|P|{version}|{n}\r"
    return (head if only_header else head + f"EVN||20260311090000\rPID|1||{control}^^^H^MR||Kim^Test\r").encode()


def ack(reply):
    """MSA-1, MSA-2, MSA-4, ERR-3.1 or ERR-2's place."""
    msa = re.search(rb"\rMSA\|([^\r]*)", reply).group(1).decode().split("|") + [""] * 3
    err = re.search(rb"\rERR\|\|([^|]*)\|(\d+)", reply)
    return (msa[0], msa[1], msa[3]) + ((err.group(1).decode(), err.group(2).decode()) if err else ())


def rules(tap, s, m):
    tap.equal("start of a new link: any number", ack(m.ask(message(0, "S1", only_header=True))), ("AA", "S1", "-1"))
    tap.equal("the first number is taken, whatever it is", ack(m.ask(message(7))), ("AA", "C7", "7"))
    tap.equal("the next", ack(m.ask(message(8))), ("AA", "C8", "8"))
    tap.equal("start of a known link: the expected number", ack(m.ask(message(0, "S2"))), ("AA", "S2", "9"))
    tap.equal("the same again: its stored reply", ack(m.ask(message(8))), ("AA", "C8", "8"))
    tap.equal("a passed number on another message", ack(m.ask(message(8, "X"))), ("AE", "X", "9", "MSH^1^13", "207"))
    gap = ("AE", "C11", "9", "MSH^1^13", "207")
    tap.equal("a gap is refused with the expected number", [ack(m.ask(message(11))) for _ in range(3)], [gap] * 3)
    status = s.run("status").stdout
    tap.check("dari status: the alarm", "ALARM      feed emr: GAP, number 9 is missing, 11 came" in status, status)
    tap.equal("the missing ones, then it", [ack(m.ask(message(n)))[0] for n in (9, 10, 11)], ["AA"] * 3)
    tap.check("dari status: no alarm any more", "ALARM" not in s.run("status").stdout)
    tap.equal("the gap is recorded", s.sql("SELECT expected, got, seen FROM dari.feed_gap"), [["9", "11", "3"]])
    tap.equal("resynchronize", ack(m.ask(message(-1, "R1", only_header=True))), ("AA", "R1", "-1"))
    tap.equal("any number then", ack(m.ask(message(3))), ("AA", "C3", "3"))
    tap.equal("without a number: no part in it", ack(m.ask(message("", "N1"))), ("AA", "N1", ""))
    tap.equal("before 2.5: MSA-3, then MSA-4", ack(m.ask(message(5, "V1", "2.3")))[:3], ("AE", "V1", "4"))
    tap.equal("no number of the protocol", ack(m.ask(message("x", "Y1"))), ("AE", "Y1", "", "MSH^1^13", "102"))
    tap.equal("the longest number", [ack(m.ask(message(n, c)))[0] for n, c in ((-1, "R2"), (999999999999999, "Z1"))],
              ["AA", "AA"])
    tap.equal("and none behind it", ack(m.ask(message(10**15, "Z2"))), ("AE", "Z2", "", "MSH^1^13", "102"))
    m.ask(message(-1, "R3"))
    tap.equal("what was taken is there, once", s.one("SELECT count(*) FROM dari.message"), "10")
    for n in range(1, 301):
        m.write(message(n, f"P{n}"))
    tap.equal("300 at once, in turn", [ack(m.read()) for _ in range(300)], [("AA", f"P{n}", str(n)) for n in range(1, 301)])
    m.write(message(301, "P301"))
    m.write(message(303, "P303"))
    m.write(message(302, "P302"))
    m.write(message(0, "S3"))
    tap.equal("a gap among pipelined ones", [ack(m.read())[:3] for _ in range(4)],
              [("AA", "P301", "301"), ("AE", "P303", "302"), ("AA", "P302", "302"), ("AA", "S3", "303")])
    shown = s.run("feed", "list", check=True).stdout
    tap.check("dari feed list shows it", re.search(r"sequence: last 302, gaps \d+; the latest: expected 302, came 303", shown), shown)


def failures(tap, s, m):
    s.kill("feed")
    m.close()
    wait_for("a new feed", lambda: s.text().count("feed.ready") > 1)
    tap.equal("a killed feed knows its number", ack(m.deliver(message(0, "S4"))), ("AA", "S4", "303"))
    s.postgres("stop")
    wait_for("the feed to notice", lambda: "state=away" in s.text())
    tap.equal("database away: again, please", ack(m.ask(message(303)))[:3], ("AE", "C303", ""))
    s.postgres("start")
    tap.equal("and taken then", ack(m.deliver(message(303))), ("AA", "C303", "303"))
    s.sql("ALTER TABLE dari.feed_sequence ADD CONSTRAINT not_yet CHECK (last < 304)")
    for n in (304, 305, 306):
        m.write(message(n, f"D{n}"))
    tap.equal("refused by the database: none is taken", [ack(m.read())[0] for _ in range(3)], ["AE"] * 3)
    s.sql("ALTER TABLE dari.feed_sequence DROP CONSTRAINT not_yet")
    tap.equal("and the same number is expected", ack(m.ask(message(0, "S5"))), ("AA", "S5", "304"))
    tap.equal("in a batch too", re.findall(rb"MSA\|(\w\w)\|\w+\|\|(\d+)", m.ask(
        b"BHS|^~\\&\r" + message(304) + message(306) + message(305) + b"BTS|3\r")),
        [(b"AA", b"304"), (b"AE", b"305"), (b"AA", b"305")])


def cost(tap, s):
    """What a passed number costs does not depend on what is stored: of messages one row is looked up."""
    log = open(s.home + "/postgres/postgres.log", encoding="utf-8", errors="replace").read()
    plans = [p for p in re.split(r"(?m)^(?=\d{4}-\d\d-\d\d .* LOG:)", log) if "JOIN LATERAL" in p and "dari.feed_count" in p and "plan:" in p]
    looks = [l for p in plans for l in re.findall(r"\bmessage_(?:\d+|other) x[^\n]*\n\s*([^\n]*)", p)]
    tap.check("a stored reply is found by site, day and number", looks and all(re.match(r"Index Cond: \(\(site = .*day = .*no = ", l) for l in looks),
              "\n".join(plans)[:3000])


def test(tap):
    with Site("sequence", feed='sequence="yes"') as s:
        s.sql("ALTER DATABASE dari SET session_preload_libraries = auto_explain; "
              "ALTER DATABASE dari SET auto_explain.log_min_duration = 0")
        s.start("--only", "feed")
        m = s.mllp()
        rules(tap, s, m)
        cost(tap, s)
        failures(tap, s, m)
        row = s.sql("SELECT sum(received), sum(mapped) + sum(ignored) + sum(quarantined) FROM dari.feed_count")[0]
        tap.equal("received = mapped + ignored + quarantined", row[0], row[1])
    with Site("sequence-off") as s:
        s.start("--only", "feed")
        m = s.mllp()
        tap.equal("without the option MSH-13 is only a field", [ack(m.ask(message(n)))[:3] for n in (5, 9, 0)],
                  [("AA", "C5", ""), ("AA", "C9", ""), ("AA", "C0", "")])


main(test)
