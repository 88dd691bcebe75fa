"""Messages in parts (row F21; HL7 chapter 2.10.2, DSC and ADD): each part is kept and answered, the logical message is
mapped once, as a whole, when nothing is missing; over crashes, the spool, in batches, with sequence numbers."""
import json
import os
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402


def header(control, pointer="", sequence="", tail="", trigger="A28"):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||ADT^{trigger}|{control}|P|2.5|{sequence}|{pointer}|{tail}"
            .encode() + b"\r")


def body(mrn, name="홍^길동"):
    return f"EVN||20260309090000\rPID|1||{mrn}^^^HANBIT^MR||{name}||19760617|M|||서울 중구^^^^04524||010-1234-5678\r".encode()


def cut(key, whole, places, **header_fields):
    """Parts of a message, cut at these bytes of its body; ADD unless the cut is between two segments."""
    parts = []
    edges = [0, *places, len(whole)]
    for i, (a, b) in enumerate(zip(edges, edges[1:])):
        begins = a > 0 and whole[a - 1:a] != b"\r"
        ends = b < len(whole) and whole[b - 1:b] != b"\r"
        pointer = f"{key}.{i}" if i else ""
        text = header(f"{key}-{i}", pointer, **{k: v[i] if isinstance(v, list) else v for k, v in header_fields.items()})
        text += (b"ADD|" if begins else b"") + whole[a:b] + (b"\rADD\r" if ends else b"")
        parts.append(text + (f"DSC|{key}.{i + 1}|F\r".encode() if b < len(whole) else b""))
    return parts


def ack(reply):
    """MSA-1, MSA-2, the place and condition of ERR."""
    msa = re.search(rb"\rMSA\|(\w\w)\|([^|\r]*)", reply)
    err = re.search(rb"\rERR\|\|([^|]*)\|(\d+)", reply)
    return tuple(g.decode() for g in msa.groups()) + (tuple(g.decode() for g in err.groups()) if err else ())


def events(s, like):
    """Of the messages with such control ids: (control id, type, data), everything but what differs by message."""
    rows = s.sql("SELECT m.control_id, e.id FROM dari.event e JOIN dari.message m ON m.no = e.message_no "
                 f"WHERE m.control_id LIKE '{like}' ORDER BY e.seq")
    out = []
    for control, event in rows:
        shown = json.loads(s.run("event", "show", event, check=True).stdout)
        out.append((control, shown["type"], json.dumps(shown["data"], sort_keys=True, ensure_ascii=False)))
    return out


def states(s, like):
    return s.sql(f"SELECT control_id, state, coalesce(place, '') FROM dari.message WHERE control_id LIKE '{like}' ORDER BY no")


def sums(tap, s, why):
    row = s.sql("SELECT sum(received), sum(mapped) + sum(ignored) + sum(quarantined), "
                "(SELECT count(*) FROM dari.message) FROM dari.feed_count")[0]
    tap.equal(f"received = mapped + ignored + quarantined = stored ({why})", row[1:], [row[0]] * 2)
    kept = s.sql("SELECT state, count(*) FROM dari.message GROUP BY state ORDER BY state")
    counted = s.sql("SELECT unnest(ARRAY['ignored', 'mapped', 'quarantined']), "
                    "unnest(ARRAY[sum(ignored), sum(mapped), sum(quarantined)]) FROM dari.feed_count")
    tap.equal(f"state by state ({why})", kept, [r for r in counted if r[1] != "0"])
    verify = s.run("ledger", "verify")
    tap.check(f"the ledger verifies ({why})", verify.returncode == 0, verify.stdout + verify.stderr)


def joining(tap, s, m):
    whole = body("P1")
    m.ask(header("W-0") + whole)
    want = [e[1:] for e in events(s, "W-0")]
    tap.check("the whole message has an event", len(want) == 1, want)
    name = whole.index("길".encode()) + 1  # inside a character
    for key, places, why in (("A", [whole.index(b"PID")], "at a segment"),
                             ("B", [name], "inside a character"),
                             ("C", [whole.index(b"|19760617")], "at a field"),
                             ("D", [10, name, len(whole) - 5], "four parts, three of them cut segments")):
        parts = cut(key, whole, places)
        got = [ack(m.ask(p)) for p in parts[:-1]]
        tap.equal(f"{why}: parts are accepted", got, [("AA", f"{key}-{i}") for i in range(len(got))])
        tap.equal(f"{why}: and not mapped", events(s, f"{key}-%"), [])
        tap.equal(f"{why}: the last is answered", ack(m.ask(parts[-1])), ("AA", f"{key}-{len(got)}"))
        tap.equal(f"{why}: the whole is mapped once", [e[1:] for e in events(s, f"{key}-%")], want)
        tap.equal(f"{why}: with the last part", [e[0] for e in events(s, f"{key}-%")], [f"{key}-{len(got)}"])
        replies = [m.ask(p) for p in parts]
        tap.equal(f"{why}: again: the stored replies", [ack(r)[0] for r in replies], ["AA"] * len(parts))
        tap.equal(f"{why}: and no second event", len(events(s, f"{key}-%")), 1)
    tap.equal("the states", states(s, "D-%"), [[f"D-{i}", "ignored" if i < 3 else "mapped", ""] for i in range(4)])
    parts = cut("E", whole, [20, 40])
    for i in (2, 0, 1):
        m.ask(parts[i])
    tap.equal("in another order: whole with the part that was missing", events(s, "E-%"), [("E-1", *want[0])])
    m.ask(header("F-0") + whole[:name] + b"\rADD|" + whole[name:name + 9] + b"\rADD|" + whole[name + 9:])
    tap.equal("a segment cut within one message", [e[1:] for e in events(s, "F-0")], want)
    a, b = cut("G", whole, [30, 50]), cut("H", whole, [40])
    for p in (a[0], b[0], a[1], b[1], a[2]):
        m.write(p)
    tap.equal("two messages mixed, pipelined", [ack(m.read())[1] for _ in range(5)], ["G-0", "H-0", "G-1", "H-1", "G-2"])
    tap.equal("each is whole once", [events(s, k) for k in ("G-%", "H-%")], [[("G-2", *want[0])], [("H-1", *want[0])]])
    parts = cut("I", whole, [20, 40])
    reply = m.ask(b"BHS|^~\\&\r" + b"".join(parts) + header("I-9") + whole + b"BTS|4\r")
    tap.equal("in a batch", re.findall(rb"MSA\|(\w\w)\|([\w-]+)", reply), [(b"AA", b"I-%d" % i) for i in (0, 1, 2, 9)])
    tap.equal("in a batch: mapped once", [e[0] for e in events(s, "I-%")], ["I-2", "I-9"])
    parts = cut("K", whole, [30], tail="AL|NE")
    tap.equal("enhanced mode: a commit for each", [ack(m.ask(p))[0] for p in parts], ["CA", "CA"])
    tap.equal("and the event", len(events(s, "K-%")), 1)


def refusals(tap, s, m):
    whole = body("P2")
    tap.equal("a last part alone is kept", ack(m.ask(header("L-1", "nowhere") + whole)), ("AA", "L-1"))
    tap.equal("and not mapped", (events(s, "L-%"), states(s, "L-1")), ([], [["L-1", "ignored", ""]]))
    tap.equal("an interactive continuation is not for a feed",
              ack(m.ask(header("N-1") + whole + b"DSC|x|I\r"))[:3], ("AE", "N-1", "DSC^1^2"))
    tap.equal("a part that continues itself", ack(m.ask(header("N-2", "x") + whole + b"DSC|x|F\r"))[:3], ("AE", "N-2", "DSC^1^1"))
    first, last = cut("Q", whole, [30])
    m.ask(first)
    other = first.replace(b"Q-0", b"Q-9").replace(b"EVN", b"EVN|x")
    tap.equal("a pointer that another part waits with", ack(m.ask(other)), ("AE", "Q-9", "DSC^1^1", "102"))
    tap.equal("the first one is still there", (ack(m.ask(last)), len(events(s, "Q-1"))), (("AA", "Q-1"), 1))
    first, last = cut("R", whole, [30])
    m.ask(first)
    m.ask(last.replace(b"|HIS|", b"|LIS|"))
    m.ask(last.replace(b"ADT^A28", b"ORU^R01").replace(b"R-1", b"R-2"))
    tap.equal("the same pointer of another sender, or type, joins nothing", events(s, "R-%"), [])
    tap.equal("its own does", (ack(m.ask(last.replace(b"R-1", b"R-3"))), len(events(s, "R-3"))), (("AA", "R-3"), 1))
    parts = cut("T", whole, [10, 20, 30, 40, 50])
    got = [ack(m.ask(p)) for p in parts[:5]]
    tap.equal("one part too many", got[3:], [("AA", "T-3"), ("AE", "T-4", "DSC^1^1", "102")])
    large = whole + b"NTE|1||" + b"x" * 3000 + b"\r"
    parts = cut("U", large, [100, 2500])
    tap.equal("too large all together", [ack(m.ask(p))[0] for p in parts], ["AA", "AA", "AE"])
    parts = cut("V", whole.replace(b"PID|1||P2^^^HANBIT^MR", b"ZZZ|"), [30])
    got = [ack(m.ask(p)) for p in parts]
    tap.equal("what is wrong with the whole is in the last reply", (got[0][0], got[1][0]), ("AA", "AE"))
    tap.equal("and in quarantine", [x[1] for x in states(s, "V-%")], ["ignored", "quarantined"])
    no = s.one("SELECT no FROM dari.message WHERE control_id = 'V-1'")
    again = s.run("message", "reprocess", no)
    tap.check("reprocess maps the whole again", "quarantined → quarantined" in again.stdout, again.stdout + again.stderr)
    parts = cut("X", whole, [30])
    tap.equal("a cut segment that is not continued", [ack(m.ask(p))[:3] for p in
              (parts[0], parts[1].replace(b"ADD|", b"NTE|"))], [("AA", "X-0"), ("AE", "X-1", "ADD^1")])
    wait_for("the status", lambda: "wait for the others" in s.run("status").stdout)


def late(tap, s, m):
    """The steward gives up what has waited too long; an operator can still repair it."""
    whole = body("P3")
    parts = cut("Z", whole, [25, 35])
    m.ask(parts[0])
    m.ask(parts[1])
    s.stop()
    s.sql("UPDATE dari.part SET received_at = received_at - interval '2 hours' WHERE waiting")
    s.start("--only", "feed,steward")
    wait_for("quarantine", lambda: all(r[1] == "quarantined" for r in states(s, "Z-%")))
    tap.equal("parts whose others did not come", states(s, "Z-%"), [["Z-0", "quarantined", "DSC-1"], ["Z-1", "quarantined", "DSC-1"]])
    tap.equal("the last part that came alone too", states(s, "L-1"), [["L-1", "quarantined", "MSH-14"]])
    tap.check("one line in the log tells it", len(re.findall(r"feed\.parts-missing feed=emr parts=\d+ first=\d+", s.text())) == 1)
    sums(tap, s, "given up")
    m.close()
    m.ask(parts[2])
    tap.equal("what comes too late joins nothing", (events(s, "Z-%"), states(s, "Z-2")), ([], [["Z-2", "ignored", ""]]))
    for control in ("Z-0", "Z-1"):
        no = s.one(f"SELECT no FROM dari.message WHERE control_id = '{control}'")
        again = s.run("message", "reprocess", no, check=True).stdout
    tap.check("reprocessing the parts makes it whole", "quarantined → mapped, 1 new events" in again, again)
    tap.equal("with the one that was missing", ([e[0] for e in events(s, "Z-%")], [x[1] for x in states(s, "Z-%")]),
              (["Z-1"], ["ignored", "mapped", "ignored"]))
    shown = s.run("message", "show", no, check=True).stdout
    nos = [r[0] for r in s.sql("SELECT no FROM dari.message WHERE control_id LIKE 'Z-%' ORDER BY control_id")]
    tap.check("message show tells what it is a part of", f"2 of messages {', '.join(nos)}, mapped as a whole with {no}" in shown, shown)
    event = s.one(f"SELECT id FROM dari.event WHERE message_no = {no}")
    traced = s.run("trace", event, check=True).stdout
    tap.check("and so does trace", f"one of the parts {','.join(nos)}" in traced, traced)
    again = s.run("message", "reprocess", no, check=True).stdout
    tap.check("once more: nothing new", "mapped → mapped, 0 new events" in again, again)
    sums(tap, s, "reprocessed")


def interrupted(tap, s, m):
    whole = body("P4")
    parts = cut("a", whole, [25, 45])
    m.deliver(parts[0])
    s.kill("feed")
    m.close()
    m.deliver(parts[1])
    s.stop()
    m.close()
    s.start("--only", "feed,steward")
    m.deliver(parts[2])
    tap.equal("over kill -9 and a restart", [e[0] for e in events(s, "a-%")], ["a-2"])
    parts, all_away = cut("b", whole, [25, 45]), cut("c", whole, [33])
    m.deliver(parts[0])
    s.postgres("stop")
    wait_for("the feed to notice", lambda: s.text().rfind("state=away") > s.text().rfind("state=ready"))
    tap.equal("database away: parts go into the spool", [ack(m.ask(p))[0] for p in (parts[1], *all_away)], ["AA"] * 3)
    s.kill("feed")
    m.close()
    s.postgres("start")
    m.deliver(parts[2])
    wait_for("the end of the spool", lambda: not s.spooled())
    wait_for("the last part", lambda: states(s, "b-2"))
    tap.equal("drained: each whole once", [[e[0] for e in events(s, k)] for k in ("b-%", "c-%")], [["b-2"], ["c-1"]])


class Sender(threading.Thread):
    def __init__(self, site, key, count):
        super().__init__(daemon=True)
        self.site, self.key, self.count, self.done, self.error = site, key, count, 0, None

    def run(self):
        m = self.site.mllp(timeout=10)
        try:
            for i in range(self.count):
                whole = body(f"{self.key}{i}")
                for part in cut(f"{self.key}x{i}", whole, [25, 47]):
                    reply = m.deliver(part, 90)
                    if code(reply) != "AA":
                        raise AssertionError(reply)
                self.done += 1
        except Exception as e:
            self.error = e
        m.close()


def killed(tap, seed):
    rng = random.Random(seed)
    with Site("parts-kill") as s:
        s.start("--only", "feed,steward")
        senders = [Sender(s, f"k{n}", 25) for n in range(4)]
        [x.start() for x in senders]
        for round in range(4):
            goal = 15 * (round + 1)
            wait_for("progress", lambda: sum(x.done for x in senders) >= goal or any(x.error for x in senders))
            if round % 2:
                s.postgres("kill")
                time.sleep(rng.uniform(0, 0.3))
                s.kill("feed")
                s.postgres("start")
            else:
                time.sleep(rng.uniform(0, 0.1))
                s.kill("feed")
        [x.join(120) for x in senders]
        tap.equal("killed at any moment: all senders come to their end", [x.error for x in senders], [None] * 4)
        wait_for("the end of the spool", lambda: not s.spooled())
        tap.equal("every message is whole", s.one("SELECT count(*) FROM dari.message WHERE state = 'mapped'"), "100")
        tap.equal("once", s.sql("SELECT count(*), count(DISTINCT subject) FROM dari.event"), [["100", "100"]])
        tap.equal("nothing waits", s.one("SELECT count(*) FROM dari.part WHERE waiting OR whole IS NULL"), "0")
        sums(tap, s, "killed")
        forgotten(tap, s)


def forgotten(tap, s):
    """Retention removes whole days of dari.message; the steward forgets the parts of such days when a day begins."""
    def next_day():  # what it does when it starts, too
        seen = s.text().count("steward.partitions")
        s.kill("steward")
        wait_for("the steward", lambda: s.text().count("steward.partitions") > seen)
    s.sql("INSERT INTO dari.part SELECT site, -no, day - 40, feed, id, received_at, size, continues, continued, waiting, -whole, place "
          "FROM dari.part")
    kept = int(s.one("SELECT count(*) FROM dari.part WHERE no > 0"))
    next_day()
    wait_for("parts of a day without messages to go", lambda: s.one("SELECT count(*) FROM dari.part WHERE no < 0") == "0")
    tap.equal("parts of days without messages are forgotten, the others kept", int(s.one("SELECT count(*) FROM dari.part")), kept)
    tap.check("and it is said", f"feed.parts-forgotten site=hanbit parts={kept}\n" in s.text())
    next_day()
    tap.equal("once", (int(s.one("SELECT count(*) FROM dari.part")), s.text().count("parts-forgotten")), (kept, 1))


def row_gone(tap, s, m):
    """A part that comes again after retention took its row: known by its key, and no part once more."""
    parts = cut("g", body("P9"), [30])
    got = [ack(m.ask(p))[0] for p in parts]
    kept = s.one("SELECT count(*) FROM dari.part")
    s.sql("DELETE FROM dari.message WHERE control_id LIKE 'g-%'")
    got += [ack(m.ask(p))[0] for p in parts]
    tap.equal("parts again, whose rows are gone", got, ["AA"] * 4)
    tap.equal("nothing is kept again", (states(s, "g-%"), s.one("SELECT count(*) FROM dari.part")), ([], kept))


def test(tap):
    with Site("parts", feed='max-parts="4" max-whole="3000"') as s:
        s.start("--only", "feed")
        m = s.mllp()
        joining(tap, s, m)
        refusals(tap, s, m)
        sums(tap, s, "refused")
        late(tap, s, m)
        interrupted(tap, s, m)
        row_gone(tap, s, m)
    with Site("parts-sequence", feed='sequence="yes"') as s:
        s.start("--only", "feed")
        m = s.mllp()
        parts = cut("n", body("P5"), [25], sequence=["1", "2"])
        got = [m.ask(p) for p in (parts[0], parts[1].replace(b"|2.5|2|", b"|2.5|3|"), parts[1], parts[1])]
        tap.equal("with sequence numbers", [(ack(r)[0], re.search(rb"MSA\|\w\w\|[^|]*\|[^|]*\|(\d+)", r).group(1)) for r in got],
                  [("AA", b"1"), ("AE", b"2"), ("AA", b"2"), ("AA", b"2")])
        tap.equal("one event", len(events(s, "n-%")), 1)
    with Site("parts-off", feed='max-parts="0"') as s:
        s.start("--only", "feed")
        m = s.mllp()
        tap.equal("a feed where MSH-14 means nothing", (ack(m.ask(header("o-1", "whatever") + body("P6")))[0], len(events(s, "o-1"))), ("AA", 1))
        tap.equal("and DSC is an error", ack(m.ask(header("o-2") + body("P7") + b"DSC|x\r"))[:3], ("AE", "o-2", "DSC^1^1"))
    killed(tap, int(os.environ.get("DARI_SEED", 1)))


main(test)
