"""What the database refuses for itself is kept without events and blocks nobody; the same message again in one group
costs no group of its own; histograms."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402

BAD = "patient.updated"  # what a constraint of the test refuses


def adt(control, mrn="10001", kind="A28"):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||ADT^{kind}^ADT_A05|{control}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|{kind}|20260309090000\rPID|1||{mrn}^^^HANBIT^MR||홍^길동||19760617|M\r").encode()


def refuse(s):
    s.sql(f"ALTER TABLE dari.event ADD CONSTRAINT refused CHECK (type <> '{BAD}') NOT VALID")


def row(s, control):
    return s.sql(f"SELECT state, reason IS NOT NULL, place, events FROM dari.message WHERE control_id = '{control}'")


def adds_up(tap, s):
    out = s.run("ledger", "verify")
    tap.equal("the ledger verifies", (out.returncode, out.stderr), (0, ""))
    f = json.loads(s.run("status", "--json").stdout)["feeds"][0]
    tap.equal("received = mapped + ignored + quarantined", f["received"], f["mapped"] + f["ignored"] + f["quarantined"])


def alone(tap, s, m):
    refuse(s)
    tap.equal("others are accepted", code(m.ask(adt("P1"))), "AA")
    reply = m.ask(adt("P2", kind="A08"))
    tap.equal("a message that the database refuses: an error", code(reply), "AE")
    tap.check("that does not ask for another attempt", b"207" not in reply and b"102^" in reply, reply)
    tap.equal("it is kept in quarantine with reason and place, without events", row(s, "P2"), [["quarantined", "t", "its event", "0"]])
    tap.equal("again: the same reply, byte for byte", m.ask(adt("P2", kind="A08")), reply)
    for i in range(12):
        m.write(adt(f"M{i}", mrn=f"2{i:04d}", kind="A08" if i == 5 else "A28"))
    codes = [code(m.read()) for _ in range(12)]
    tap.equal("in the middle of a group it harms no other", codes, ["AA"] * 5 + ["AE"] + ["AA"] * 6)
    tap.equal("order holds", [r[0] for r in s.sql("SELECT control_id FROM dari.message WHERE control_id LIKE 'M%' ORDER BY no")],
              [f"M{i}" for i in range(12)])
    reply = m.ask(adt("N\0L"))
    tap.check("a control id that cannot be stored: an error, not 207", code(reply) == "AE" and b"207" not in reply, reply)
    tap.equal("kept without it", s.sql("SELECT state, place FROM dari.message WHERE control_id = ''"), [["quarantined", "MSH-10"]])
    tap.equal("once", m.ask(adt("N\0L")), reply)
    adds_up(tap, s)
    s.sql("ALTER TABLE dari.event DROP CONSTRAINT refused")
    out = s.run("message", "reprocess", s.one("SELECT no FROM dari.message WHERE control_id = 'P2'"))
    tap.check("repaired: its events come", out.returncode == 0 and "quarantined → mapped" in out.stdout, out.stdout + out.stderr)


def spooled(tap, s, m):
    refuse(s)
    s.postgres("kill")
    wait_for("the outage", lambda: "state=away" in s.text())
    codes = [code(m.deliver(adt(f"S{i}", mrn=f"3{i:04d}", kind="A08" if i % 4 == 1 else "A28"))) for i in range(8)]
    tap.equal("accepted into the spool", codes, ["AA"] * 8)
    s.postgres("start")
    wait_for("the end of the spool", lambda: not s.spooled())
    tap.equal("what is refused out of the spool blocks nobody",
              s.sql("SELECT control_id, state FROM dari.message WHERE control_id LIKE 'S%' ORDER BY no"),
              [[f"S{i}", "quarantined" if i % 4 == 1 else "mapped"] for i in range(8)])
    tap.equal("when they came", s.one("SELECT count(*) FROM dari.message WHERE control_id LIKE 'S%' AND flags & 8 = 8 AND "
                                      "received_at < now()"), "8")
    s.sql("ALTER TABLE dari.event DROP CONSTRAINT refused")
    adds_up(tap, s)


def counters(s):
    try:
        with open(os.path.join(s.home, "run", "feed-emr.counters"), encoding="ascii") as f:
            return {name: int(value) for name, value in (line.split() for line in f)}
    except FileNotFoundError:
        return {}  # not written yet


def repeated(tap, s, m):
    duplicates = "SELECT coalesce(sum(duplicates), 0) FROM dari.feed_count"
    settled = lambda: (lambda c: c if c.get("duplicates", 0) == int(s.one(duplicates)) else None)(counters(s))  # noqa: E731
    before = wait_for("counters", settled)
    stored = int(s.one("SELECT count(*) FROM dari.message"))
    for _ in range(300):
        m.write(adt("T1", mrn="40001"))
    replies = [m.read() for _ in range(300)]
    tap.equal("300 times the same: the same reply", len(set(replies)), 1)
    tap.equal("stored once", int(s.one("SELECT count(*) FROM dari.message")), stored + 1)
    tap.equal("counted", int(s.one(duplicates)), 299 + before.get("duplicates", 0))
    after = wait_for("the counters", settled)
    groups = after["group_size.le.inf"] - before["group_size.le.inf"]
    tap.check("in few groups", groups < 100, groups)
    tap.equal("every reply is in its histogram", after["reply_us.le.inf"], after["replies"])
    names = json.dumps(json.loads(s.run("status", "--json").stdout))
    tap.check("dari status --json has the histograms", all(n in names for n in ("reply_us", "group_size", "queue_us")), names)


def test(tap):
    with Site("refused") as s:
        s.start("--only", "feed")
        m = s.mllp()
        alone(tap, s, m)
        repeated(tap, s, m)
        spooled(tap, s, m)
    with Site("refused-accept", feed='accept-quarantined="yes"') as s:
        s.start("--only", "feed")
        refuse(s)
        tap.equal("accept-quarantined: accepted", code(s.mllp().ask(adt("A1", kind="A08"))), "AA")
        tap.equal("and in quarantine", row(s, "A1"), [["quarantined", "t", "its event", "0"]])


main(test)
