"""Batches over MLLP (rows F44, F45): each message is taken by itself, one batch answers, counts are checked."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, main, wait_for  # noqa: E402

BHS = b"BHS|^~\\&|EMR|CLINIC|DARI|CRM|20260311||||B%d|\r"


def message(n, tail=b"", pid=True):
    head = b"MSH|^~\\&|EMR|CLINIC|DARI|CRM|20260311090000||ADT^A04|C%d|P|2.5%s\r" % (n, tail)
    return head + b"EVN||20260311090000\r" + (b"PID|1||%d^^^H^MR||Kim^Test\r" % (n + 1000) if pid else b"ZZZ|1\r")


def batch(n, messages, count=None):
    return BHS % n + b"".join(messages) + b"BTS|%d\r" % (len(messages) if count is None else count)


def shape(reply):
    """The reply's segments: what of them matters here."""
    out = []
    for line in reply.decode().split("\r"):
        f = line.split("|")
        if f[0] in ("BHS", "FHS"):
            out.append((f[0], f[11]))
        elif f[0] == "MSA":
            out.append((f[1], f[2]))
        elif f[0] in ("BTS", "FTS"):
            out.append(tuple(f))
    return out


def modes(tap, s, m):
    tap.equal("all are answered", shape(m.ask(batch(1, [message(1), message(2)]))),
              [("BHS", "B1"), ("AA", "C1"), ("AA", "C2"), ("BTS", "2")])
    tap.equal("the same batch again: the stored replies", shape(m.ask(batch(2, [message(2), message(1), message(3)]))),
              [("BHS", "B2"), ("AA", "C2"), ("AA", "C1"), ("AA", "C3"), ("BTS", "3")])
    errors = b"|||NE|ER"
    tap.equal("only errors are answered", shape(m.ask(batch(3, [message(4, errors), message(5, errors, False),
                                                                message(6, errors)]))),
              [("BHS", "B3"), ("AE", "C5"), ("BTS", "1")])
    tap.equal("no error: an empty batch", shape(m.ask(batch(4, [message(7, errors)]))), [("BHS", "B4"), ("BTS", "0")])
    m.write(batch(5, [message(8, b"|||NE|NE"), message(9, b"|||NE|NE")]))
    tap.equal("none is wanted: the next reply is the next batch's", shape(m.ask(batch(6, [message(10)])))[0], ("BHS", "B6"))
    tap.equal("the same message twice in a batch", shape(m.ask(batch(7, [message(11), message(11)]))),
              [("BHS", "B7"), ("AA", "C11"), ("AA", "C11"), ("BTS", "2")])
    tap.equal("taken, or recognised", s.sql("SELECT sum(received), sum(duplicates) FROM dari.feed_count"), [["11", "3"]])


def counts(tap, s, m):
    reply = m.ask(batch(20, [message(20)], 3))
    tap.equal("a count that does not agree is said, the message is taken", shape(reply),
              [("BHS", "B20"), ("AA", "C20"), ("BTS", "1", "BTS-1 does not agree with what came: 1")])
    tap.check("and logged with its place", "intake.batch" in s.text() and "BTS-1" in s.text())
    wait_for("the counter", lambda: "batch_miscounts 1" in s.run("feed", "list", check=True).stdout)
    tap.equal("a batch without messages", shape(m.ask(batch(21, []))), [("BHS", "B21"), ("BTS", "0")])
    whole = b"FHS|^~\\&|EMR|CLINIC|DARI|CRM|||||F1\r" + batch(22, [message(22)]) + batch(23, [message(23)]) + b"FTS|2\r"
    tap.equal("a file of two batches", shape(m.ask(whole)),
              [("FHS", "F1"), ("BHS", ""), ("AA", "C22"), ("AA", "C23"), ("BTS", "2"), ("FTS", "1")])
    tap.equal("what is no message gets its error and harms nobody",
              shape(m.ask(batch(24, [b"rubbish\r", message(24)]))),
              [("BHS", "B24"), ("AE", ""), ("AA", "C24"), ("BTS", "2", "BTS-1 does not agree with what came: 1")])


def large(tap, s, m):
    many = [message(n) for n in range(1000, 1400)]
    m.write(batch(30, many))
    m.write(message(50))
    m.write(batch(31, many[:3]))
    reply = m.read()
    ids = re.findall(rb"\rMSH\|(?:[^|\r]*\|){8}([^|\r]*)", reply)
    tap.equal("our own control ids are unique (F17)", [len(ids), len(set(ids))], [400, 400])
    got = shape(reply)
    tap.equal("more messages than may wait: all answered, in order", [r[1] for r in got[1:-1]],
              ["C%d" % n for n in range(1000, 1400)])
    tap.equal("the message behind the batch comes behind it", shape(m.read()), [("AA", "C50")])
    tap.equal("and the batch behind that", len(shape(m.read())), 5)
    tiny = BHS % 32 + b"MSH|^~\\&|\r" * 50001
    got = shape(m.ask(tiny))
    tap.equal("a batch without measure is refused as a whole", [got[0], got[1][0], got[2][:2]], [("BHS", "B32"), "AR", ("BTS", "1")])


def empty_dsc(tap, s, m):
    """What is joined, and how, is in test_parts."""
    tap.equal("an empty DSC says nothing", shape(m.ask(message(72) + b"DSC|\r")), [("AA", "C72")])


def away(tap, s, m):
    s.postgres("stop")
    wait_for("the feed to notice", lambda: re.search("intake.database.*state=away", s.text()))
    got = shape(m.ask(batch(40, [message(n) for n in range(60, 200)])))
    tap.equal("database away: each is accepted into the spool", ({r[0] for r in got[1:-1]}, len(got)), ({"AA"}, 142))
    s.postgres("start")
    wait_for("the end of the spool", lambda: not s.spooled())
    ids = ",".join(f"'C{n}'" for n in range(60, 200))
    tap.equal("and is in the database then", s.one(f"SELECT count(DISTINCT control_id) FROM dari.message WHERE control_id IN ({ids})"), "140")
    got = shape(m.ask(batch(41, [message(n) for n in range(60, 200)])))
    tap.equal("the same messages again are answered", [(r[0], len(got)) for r in got[1:2]], [("AA", 142)])


def test(tap):
    with Site("batch", feed='max-pending="50" max-group="16"') as s:
        s.start("--only", "feed")
        m = s.mllp()
        for part in (modes, counts, large, empty_dsc, away):
            part(tap, s, m)
        row = s.sql("SELECT sum(received), sum(mapped) + sum(ignored) + sum(quarantined) FROM dari.feed_count")[0]
        tap.equal("received = mapped + ignored + quarantined", row[0], row[1])


main(test)
