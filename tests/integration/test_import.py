#!/usr/bin/python3
"""Files: every message of them once, in order, with a sum that holds; killed and resumed; known again by content."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, main, wait_for  # noqa: E402

FEED = """
  <feed name="inbox" adapter="files" mapping="{root}/mappings/hl7v2" max-group="50" charset-fallback="utf-8">
    <files folder="{home}/inbox" work="{home}/work" archive="{home}/archive" error="{home}/error" reply="{home}/reply"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
ONE = """
  <feed name="one" adapter="files" mapping="{root}/mappings/hl7v2" max-group="1" charset-fallback="utf-8">
    <files folder="{home}/one/inbox" work="{home}/one/work" archive="{home}/one/archive" error="{home}/one/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
FOLDERS = ["inbox", "work", "archive", "error", "reply"]


def message(n, name="홍길동"):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|DARI|20260311090000||ADT^A04^ADT_A01|F{n:06}|P|2.5|||AL|AL||UNICODE UTF-8\r"
            f"EVN|A04|20260311090000\rPID|1||C{n:06}^^^HANBIT^MR||{name}||19800101|M\r"
            f"PV1|1|O|IM||||||||||||||||V{n:06}^^^HANBIT^VN|||||||||||||||||||||||||20260311090000\r")


def drop(s, name, text, folder="inbox"):
    path = os.path.join(s.home, name)
    with open(path + ".tmp", "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    os.rename(path + ".tmp", os.path.join(s.home, folder, name))


def batches(s, feed="inbox"):
    return json.loads(s.run("batch", "list", "--feed", feed, "--limit", "1000", "--json", check=True).stdout)


def taken(s, name, feed="inbox"):
    """The batch of that name when it is at its end."""
    def look():
        found = [b for b in batches(s, feed) if b["name"].endswith(name) and b["state"] != "reading"]
        return found and found[0]
    return wait_for("the end of " + name, look)


def adds_up(b):
    return b["read"] == b["mapped"] + b["ignored"] + b["unchanged"] + b["rejected"] + b["duplicates"]


def groups(tap, s):
    """What goes together, what the database refuses, what a batch is told."""
    drop(s, "twins.hl7", message(7001) + message(7001, "김영희") + message(7001) + message(7002))
    b = taken(s, "twins.hl7")
    tap.equal("a control id used again in one file: a message, and a repetition", (b["read"], b["mapped"], b["duplicates"]), (4, 3, 1))
    tap.equal("it is flagged", s.sql("SELECT flags & 1 FROM dari.message WHERE control_id = 'F007001' ORDER BY no"), [["0"], ["1"]])
    tap.check("no group was refused for it", "intake.import " not in s.text())

    replies = os.path.join(s.home, "reply")
    before = set(os.listdir(replies))
    drop(s, "parts.hl7", "BHS|^~\\&|HIS|HANBIT|||||||B2\r" + message(7010) + message(7011) + "DSC|more|F\r" + "BTS|2\r")
    taken(s, "parts.hl7")
    new = wait_for("its replies", lambda: [f for f in os.listdir(replies) if f not in before and "tmp" not in f])
    reply = open(os.path.join(replies, new[0]), "rb").read()
    tap.equal("a part of a message in a batch: quarantined, and its reply says so", (reply.count(b"MSA|CA|F007010"), reply.count(b"MSA|CE|F007011")),
              (1, 1))

    s.sql("CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.source = 'feed:one' AND "
          "NEW.message_no = (SELECT max(no) FROM dari.message_key WHERE control_id = 'F007021') THEN RAISE EXCEPTION 'refused' USING "
          "ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$")
    s.sql("CREATE TRIGGER refuse BEFORE INSERT ON dari.event FOR EACH ROW EXECUTE FUNCTION public.refuse()")
    drop(s, "refused.hl7", "".join(message(n) for n in range(7020, 7025)), "one/inbox")
    b = taken(s, "refused.hl7", "one")
    tap.equal("groups of one: what the database refuses does not carry the next one along", (b["read"], b["mapped"], b["rejected"]), (5, 4, 1))
    s.sql("DROP TRIGGER refuse ON dari.event")
    tap.check("the sum holds", adds_up(b), b)


def full_disk(tap, s):
    """No fault of the file's: it waits, and is read on when there is room."""
    s.sql("CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.feed IN ('inbox', 'one') THEN "
          "RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$")
    s.sql("CREATE TRIGGER no_room BEFORE INSERT ON dari.message FOR EACH ROW EXECUTE FUNCTION public.full()")
    seen = s.text().count("intake.import ")
    drop(s, "full.hl7", "".join(message(n) for n in range(9000, 9003)))
    drop(s, "full-one.hl7", "".join(message(n) for n in range(9003, 9004)), "one/inbox")
    wait_for("an attempt of each", lambda: s.text().count("intake.import ") >= seen + 2)
    tap.check("a full disk: the file is not refused", all(b["state"] == "reading" for f in ("inbox", "one") for b in batches(s, f)
                                                           if "full" in b["name"]))
    s.sql("DROP TRIGGER no_room ON dari.message")
    for name, feed, count in (("full.hl7", "inbox", 3), ("full-one.hl7", "one", 1)):
        b = taken(s, name, feed)
        tap.equal(f"with room again it is taken: {name}", (b["state"], b["mapped"], b["rejected"]), ("taken", count, 0))


def refuse(s, table, feed, control_id):
    """The database does not take that message, or its events."""
    of = "NEW.control_id" if table == "message" else "(SELECT max(control_id) FROM dari.message_key WHERE no = NEW.message_no)"
    by = "NEW.feed" if table == "message" else "substr(NEW.source, 6)"
    s.sql(f"CREATE OR REPLACE FUNCTION public.no_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {by} = '{feed}' AND {of} = "
          f"'{control_id}' THEN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$")
    s.sql(f"CREATE TRIGGER no_{table} BEFORE INSERT ON dari.{table} FOR EACH ROW EXECUTE FUNCTION public.no_{table}()")


def refused_late(tap, s):
    refuse(s, "event", "inbox", "F009610")
    drop(s, "late.hl7", "BHS|^~\\&|HIS|HANBIT|||||||B3\r" + "".join(message(n) for n in range(9500, 9620)) + "BTS|120\r")
    b = taken(s, "late.hl7")
    tap.equal("a batch whose third group has one that the database refuses", (b["state"], b["read"], b["mapped"], b["rejected"]),
              ("taken", 120, 119, 1))
    s.sql("DROP TRIGGER no_event ON dari.event")
    refuse(s, "message", "one", "F009702")
    text = "".join(message(n) for n in range(9700, 9705))
    drop(s, "never.hl7", text, "one/inbox")
    b = taken(s, "never.hl7", "one")
    tap.equal("a message that cannot even be kept: the file is refused there", (b["state"], b["read"]), ("refused", 2))
    s.sql("DROP TRIGGER no_message ON dari.message")
    drop(s, "never.hl7", text, "one/inbox")
    b = wait_for("the end of it", lambda: next((x for x in batches(s, "one") if "never" in x["name"] and x["state"] == "taken"), None))
    tap.equal("given again it goes on behind what was committed, and leaves nothing out", (b["read"], b["mapped"], b["rejected"]), (5, 5, 0))


def cut_off(tap, s):
    """A sender that still has a file open cuts it off while it is read: no harm to the feed, and the file is put aside."""
    count, working = 400, os.path.join(s.home, "one", "work", "working")
    before = s.pids()["feed:one"]
    holder = subprocess.Popen(["psql", s.conninfo(), "-qX"], stdin=subprocess.PIPE, text=True)
    holder.stdin.write("BEGIN; LOCK TABLE dari.message_key IN SHARE MODE;\n")  # no commit goes on
    holder.stdin.flush()
    wait_for("the lock", lambda: s.one("SELECT count(*) FROM pg_locks WHERE relation = 'dari.message_key'::regclass AND mode = 'ShareLock'") == "1")
    drop(s, "cut.hl7", "".join(message(n) for n in range(8000, 8000 + count)), "one/inbox")
    wait_for("the first of it", lambda: s.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1")
    place = next(os.path.join(d, f) for d, _, files in os.walk(working) for f in files if f == "cut.hl7")
    os.truncate(place, 100)
    holder.stdin.write("ROLLBACK;\n")
    holder.stdin.close()
    holder.wait(30)
    b = taken(s, "cut.hl7", "one")
    tap.equal("a file that is cut off while it is read: all that was there is taken", (b["read"], b["mapped"]), (count, count))
    wait_for("its place", lambda: "cut.hl7" in os.listdir(os.path.join(s.home, "one/error")))
    tap.equal("it is put aside, since it changed, by the same process", s.pids()["feed:one"], before)
    drop(s, "after-cut.hl7", message(8999), "one/inbox")
    tap.equal("the next one is taken", taken(s, "after-cut.hl7", "one")["mapped"], 1)


def test(tap):
    with Site("import", feeds=FEED + ONE) as s:
        for f in FOLDERS + ["one/" + f for f in FOLDERS]:
            os.makedirs(os.path.join(s.home, f))
        s.start()
        three = "".join(message(n) for n in range(3))
        drop(s, "three.hl7", three)
        b = taken(s, "three.hl7")
        tap.equal("three messages of a file", (b["state"], b["read"], b["mapped"], b["rejected"]), ("taken", 3, 3, 0))
        tap.check("the sum holds", adds_up(b), b)
        tap.check("events of all of them", b["events"] >= 3, b)

        drop(s, "other-name.hl7", three)
        wait_for("the same content again", lambda: batches(s)[-1]["again"] == 1)
        tap.equal("the same content under another name: nothing", len(batches(s)), 1)
        tap.check("a feed whose files bring no news is heard all the same", s.one(
            "SELECT c.last_at = b.last_at FROM dari.feed_count c JOIN dari.batch b USING (feed) WHERE feed = 'inbox'") == "t")

        drop(s, "odd.hl7", message(3) + "MSH|broken\r" + message(4))
        b = taken(s, "odd.hl7")
        tap.equal("a message that cannot be read is rejected, the others are taken", (b["read"], b["mapped"], b["rejected"]),
                  (3, 2, 1))
        tap.check("the sum holds", adds_up(b), b)

        batch = "FHS|^~\\&|HIS|HANBIT\rBHS|^~\\&|HIS|HANBIT|||||||B1\r" + message(5) + message(6) + "BTS|2\rFTS|1\r"
        drop(s, "batch.hl7", batch)
        taken(s, "batch.hl7")
        reply = wait_for("the reply file", lambda: [f for f in os.listdir(os.path.join(s.home, "reply")) if "tmp" not in f])
        text = open(os.path.join(s.home, "reply", reply[0]), "rb").read()
        tap.equal("a batch is answered with a batch", (text.count(b"MSA|CA"), text[:4], b"BTS|2" in text), (2, b"FHS|", True))

        replies = os.path.join(s.home, "reply")
        before = text.split(b"\r")
        os.rename(os.path.join(replies, reply[0]), os.path.join(s.home, "first-reply"))
        drop(s, "batch-again.hl7", batch)
        again = wait_for("the reply again", lambda: [f for f in os.listdir(replies) if "tmp" not in f])
        after = open(os.path.join(replies, again[0]), "rb").read().split(b"\r")
        tap.equal("a batch that comes again gets its stored replies again", [l for l in after if l[:3] in (b"MSH", b"MSA")],
                  [l for l in before if l[:3] in (b"MSH", b"MSA")])
        known = next(b for b in batches(s) if b["name"].endswith("batch.hl7"))
        tap.equal("and counts as nothing", (known["again"], known["read"], known["duplicates"]), (1, 2, 0))

        count = 3000
        drop(s, "long.hl7", "".join(message(n) for n in range(100, 100 + count)))
        for at in (200, 900, 2000):
            wait_for("some of it", lambda: any(b["name"].endswith("long.hl7") and (b["read"] > at or b["state"] == "taken")
                                               for b in batches(s)))
            s.kill("feed:inbox")
        b = taken(s, "long.hl7")
        tap.equal("killed three times and resumed", (b["read"], b["mapped"], b["duplicates"]), (count, count, 0))
        tap.equal("every message once", s.sql("SELECT count(*), count(DISTINCT id) FROM dari.message WHERE feed = 'inbox' "
                                              "AND control_id BETWEEN 'F000100' AND 'F999999'"), [[str(count), str(count)]])
        tap.equal("in the order of the file", s.one(
            "SELECT count(*) FROM (SELECT control_id, lag(control_id) OVER (ORDER BY no) AS before FROM dari.message "
            "WHERE feed = 'inbox' AND control_id BETWEEN 'F000100' AND 'F999999') AS x WHERE control_id < before"), "0")
        ledger = s.run("ledger", "verify")
        tap.equal("the ledger verifies", ledger.returncode, 0)
        tap.check("and has a line for each file", int(s.one("SELECT count(*) FROM dari.ledger WHERE body LIKE 'batch %'")) == 4)
        tap.check("nothing is left behind", not os.listdir(os.path.join(s.home, "work", "working")) and
                  not os.listdir(os.path.join(s.home, "inbox")))
        status = s.run("status", check=True).stdout
        tap.check("dari status shows the newest files", "long.hl7" in status, status)
        groups(tap, s)
        full_disk(tap, s)
        refused_late(tap, s)
        cut_off(tap, s)


main(test)
