#!/usr/bin/python3
"""Rows that a file brought and that were rejected: found by their file, reprocessed after a repair, and the file's sum follows."""
import contextlib
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, Site, main, wait_for  # noqa: E402

FEED = """
  <feed name="list" adapter="files" mapping="{root}/var/test/repair.xml" rows="append">
    <files folder="{home}/inbox" work="{home}/work" archive="{home}/archive" error="{home}/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
  <feed name="snap" adapter="files" mapping="{root}/var/test/repair.xml" rows="snapshot">
    <files folder="{home}/snap" scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
  <feed name="gone" adapter="files" mapping="{root}/var/test/repair.xml" rows="snapshot" covers="all">
    <files folder="{home}/gone" scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
  <feed name="hl7" adapter="files" mapping="{root}/mappings/hl7v2" charset-fallback="utf-8">
    <files folder="{home}/hl7" scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
MAPPING = """<mapping name="list" version="VERSION" format="table" title="목록" xmlns="urn:dari:mapping:1">
  <for message="row^*"/>
  <columns><column name="chart_no" required="yes"><alias header="차트번호"/></column>
    <column name="appt_no" required="yes"><alias header="예약번호"/></column>
    <column name="appt_date" required="yes"><alias header="예약일시"/></column><column name="minutes"><alias header="분"/></column></columns>
  <key columns="KEY"/>
  <patient from="chart_no"/>
  <event type="appointment.booked" when="{minutes} is not set or {minutes} != '0'">
    <field name="appointment_key" from="appt_no" as="key" kind="appointment"/>
    <field name="start" from="appt_date"/>
    <field name="minutes" from="minutes" as="minutes" BAD/>
  </event>
</mapping>
"""
HL7 = ("MSH|^~\\&|HIS|HANBIT|DARI|DARI|20260311090000||ADT^A04^ADT_A01|H1|P|2.5|||AL|AL||UNICODE UTF-8\r"
       "EVN|A04|20260311090000\rPID|1||C1^^^HANBIT^MR||홍길동||19800101|M\r"
       "PV1|1|O|IM||||||||||||||||V1^^^HANBIT^VN|||||||||||||||||||||||||20260311090000\r")


def write_mapping(version, bad, key="appt_no", of="row^*"):
    os.makedirs(os.path.join(ROOT, "var", "test"), exist_ok=True)
    with open(os.path.join(ROOT, "var", "test", "repair.xml"), "w", encoding="utf-8") as f:
        f.write(MAPPING.replace("VERSION", version).replace("BAD", bad).replace("KEY", key).replace("row^*", of))


def rows(*each):
    return "차트번호,예약번호,예약일시,분\n" + "".join(f"{c},{a},2026-04-01 10:00,{m}\n" for c, a, m in each)


def put(s, folder, name, text):
    with open(os.path.join(s.home, name), "w", encoding="utf-8", newline="") as f:
        f.write(text)
    os.rename(os.path.join(s.home, name), os.path.join(s.home, folder, name))


def batch(s, name):
    return next((b for b in json.loads(s.run("batch", "list", "--json", "--limit", "100", check=True).stdout) if b["name"].endswith(name)), {})


def take(s, folder, name, text):
    put(s, folder, name, text)
    return wait_for("the end of " + name, lambda: batch(s, name).get("state") in ("taken", "refused") and batch(s, name))


def sums(b):
    return {k: b[k] for k in ("read", "mapped", "ignored", "rejected", "events")}


def listed(s, *words):
    return [json.loads(x) for x in s.run("message", "list", "--json", *words, check=True).stdout.splitlines()]


def by_file(tap, s, one, two):
    got = listed(s, "--batch", str(one["batch"]))
    tap.equal("the messages of a file", sorted(m["control_id"].split("#")[1] for m in got), ["2", "3", "4", "5"])
    tap.equal("each names it", {(m["batch"], m["file"]) for m in got}, {(one["batch"], one["name"])})
    got = listed(s, "--batch", str(one["batch"]), "--state", "quarantined")
    tap.equal("those of them in quarantine", [m["place"].split(",")[0] for m in got], ["row 4", "row 3"])
    tap.equal("in pages", [m["message"] for m in listed(s, "--batch", str(one["batch"]), "--limit", "1", "--before", str(got[0]["message"]))],
              [got[1]["message"]])
    tap.equal("no other file's", len(listed(s, "--batch", str(two["batch"]))), 1)
    tap.equal("a list of all says which is whose", {m["file"] for m in listed(s, "--feed", "list")}, {one["name"], two["name"]})
    text = s.run("message", "list", "--state", "quarantined", "--feed", "list", check=True).stdout
    tap.equal("as text too", text.count(f"[batch {one['batch']}, {one['name']}]"), 2)
    shown = s.run("message", "show", str(got[0]["message"]), check=True).stdout
    tap.check("a message tells its file and the place in it", f"{one['name']}, batch {one['batch']}, number 4\n" in shown, shown)
    for words, want, said in ((["--batch", "999"], 1, "no batch 999"), (["--batch", "x"], 2, "--batch"),
                              (["--batch", str(one["batch"]), "--feed", "hl7"], 1, "is of feed list")):
        out = s.run("message", "list", *words)
        tap.check("wrong: " + " ".join(words), out.returncode == want and said in out.stderr, out.stderr)


def own_ids(tap, s):
    b = take(s, "hl7", "one.hl7", HL7)
    out = s.run("message", "list", "--batch", str(b["batch"]), check=True)
    tap.check("HL7 v2 messages keep their sender's control id: said, not guessed", "keep the control id" in out.stderr and "H1" not in out.stdout,
              out.stderr)
    tap.check("and name no file", "file" not in listed(s, "--feed", "hl7")[0])


def repaired(tap, s, one):
    tap.equal("before the repair", sums(one), {"read": 4, "mapped": 1, "ignored": 1, "rejected": 2, "events": 1})
    out = s.run("message", "reprocess", "--batch", str(one["batch"]), "--dry-run")
    tap.equal("a dry run changes no sum", (out.returncode, sums(batch(s, "one.csv"))), (1, sums(one)))
    write_mapping("2", 'bad="leave-out"')
    out = s.run("message", "reprocess", "--batch", str(one["batch"]), "--state", "quarantined")
    tap.check("what the file brought is reprocessed", out.returncode == 0 and out.stdout.count("quarantined → mapped") == 2, out.stdout + out.stderr)
    want = {"read": 4, "mapped": 3, "ignored": 1, "rejected": 0, "events": 3}
    tap.equal("its sum follows", sums(batch(s, "one.csv")), want)
    s.run("message", "reprocess", "--batch", str(one["batch"]), check=True)
    tap.equal("once", sums(batch(s, "one.csv")), want)
    write_mapping("3", "")
    s.run("message", "reprocess", "--batch", str(one["batch"]), "--state", "mapped")
    tap.equal("and back, when a mapping rejects them again", sums(batch(s, "one.csv")), {**want, "mapped": 1, "rejected": 2})
    tap.equal("the ledger verifies", s.run("ledger", "verify").returncode, 0)


@contextlib.contextmanager
def held(s, lock):
    """Somebody has that lock."""
    s.sql("DROP TABLE IF EXISTS public.go; CREATE TABLE public.go (x int)")
    holder = subprocess.Popen(["psql", s.conninfo(), "-qX"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    holder.stdin.write(f"BEGIN; {lock};\nINSERT INTO public.go VALUES (1);\n")
    holder.stdin.flush()
    wait_for("the lock", lambda: s.one("SELECT count(*) FROM pg_locks WHERE relation = 'public.go'::regclass") != "0")
    yield
    holder.stdin.write("ROLLBACK;\n")
    holder.stdin.close()
    holder.wait(30)


def free(s, row):
    try:
        return s.one(f"SELECT true FROM {row} FOR UPDATE NOWAIT") == "t"
    except RuntimeError as e:
        if "could not obtain lock" not in str(e):
            raise
        return False


def waits(s, query):
    return wait_for("the wait", lambda: s.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%" + query +
                                              "%' AND pid <> pg_backend_pid()") != "0")


def order_of_locks(tap, s, one):
    """A file's row first, the stream behind it, counts behind that, whoever it is: no two wait for each other."""
    stream = "dari.stream"
    with held(s, f"UPDATE dari.batch SET bytes = bytes WHERE no = {one['batch']}"):
        work = subprocess.Popen([DARI, "message", "reprocess", "--batch", str(one["batch"])], env=s.env, stdout=subprocess.PIPE, text=True)
        waits(s, "dari.batch")
        tap.check("reprocess: while it waits for the file it does not hold the stream", free(s, stream))
    tap.check("and then goes on", "mapped → mapped" in work.communicate(timeout=60)[0])
    with held(s, "LOCK dari.message_key IN EXCLUSIVE MODE"):
        put(s, "hl7", "two.hl7", HL7.replace("|H1|", "|H2|"))
        waits(s, "dari.commit_group")
        tap.check("HL7 in a file: the file is held before anything else", not free(s, "dari.batch WHERE name = 'two.hl7'"))
    wait_for("the file", lambda: batch(s, "two.hl7").get("state") == "taken")
    with held(s, "SELECT FROM dari.stream FOR UPDATE"):
        put(s, "hl7", "none.hl7", "BHS|^~\\&|HIS|HANBIT|||||||B1\rBTS|0\r")
        waits(s, "dari.batch_close")
        tap.check("the end of a file: while it waits for the stream it holds no counts",
                  free(s, "dari.feed_count WHERE feed = 'hl7'"))
    wait_for("the empty file", lambda: batch(s, "none.hl7").get("state") == "taken")


def beside_the_snapshot(tap, s):
    """Rows that the snapshot does not know are not brought in behind its back; those that it knows are."""
    write_mapping("4", "")
    s.run("reload", check=True)
    b = take(s, "snap", "snap.csv", rows(("C1", "S1", "30"), ("C9", "S1", "45"), ("C2", "", "30"), ("C3", "S3", "long")))
    tap.equal("a key twice, none, and a value that cannot be mapped", (b["mapped"], b["rejected"]), (1, 3))
    write_mapping("5", 'bad="leave-out"')
    s.run("reload", check=True)
    head = int(s.one("SELECT head FROM dari.stream"))
    diff = s.run("message", "diff", "--mapping", os.path.join(ROOT, "var/test/repair.xml"), "--feed", "snap", "--from", "2020-01-01",
                 "--to", "2100-01-01")
    tap.check("dari message diff tells of the last one alone", "1 events added, 0 removed, 0 changed" in diff.stdout, diff.stdout + diff.stderr)
    out = s.run("message", "reprocess", "--batch", str(b["batch"]), "--state", "quarantined")
    tap.equal("two are left as they are, with a word what to do, one is mapped",
              (out.returncode, out.stdout.count("left as it is: a row of a snapshot without a key of its own"), out.stdout.count("→ mapped")),
              (1, 2, 1))
    tap.equal("one event more", int(s.one("SELECT head FROM dari.stream")), head + 1)
    tap.equal("the sum of the file", {k: v for k, v in sums(batch(s, "snap.csv")).items() if k in ("mapped", "rejected")},
              {"mapped": 2, "rejected": 2})
    b = take(s, "snap", "snap-2.csv", rows(("C1", "S1", "30"), ("C9", "S2", "45"), ("C2", "S4", "30"), ("C3", "S3", "long")))
    tap.equal("the mended list: what the snapshot knew is no news, the others come", (b["unchanged"], b["mapped"], b["rejected"]), (2, 2, 0))


def another_key(tap, s):
    """Rows told apart by other columns than before: refused until somebody says that it is meant."""
    lines = (("C1", "S1", "30"), ("C1", "S2", "45"), ("C3", "S3", "10"))
    before = int(s.one("SELECT count(*) FROM dari.snapshot WHERE feed = 'snap'"))
    write_mapping("6", 'bad="leave-out"', "chart_no appt_no")
    s.run("reload", check=True)
    b = take(s, "snap", "key.csv", rows(*lines))
    tap.equal("another key: the file is refused before any of it is taken", (b["state"], b["read"]), ("refused", 0))
    tap.check("with both keys and what to do", "by appt_no until now and are by chart_no appt_no in this file" in b["problem"]
              and "dari feed forget-rows snap" in b["problem"], b["problem"])
    tap.equal("what was known stays known", int(s.one("SELECT count(*) FROM dari.snapshot WHERE feed = 'snap'")), before)
    for words, said in ((["list"], "has not rows"), (["nobody"], "there is no feed nobody"), ([], "say list")):
        out = s.run("feed", "forget-rows", *words)
        tap.check("wrong: " + " ".join(["forget-rows", *words]), out.returncode and said in out.stderr, out.stderr)
    s.sql("UPDATE dari.batch SET state = 'reading' WHERE name LIKE '%key.csv'")
    out = s.run("feed", "forget-rows", "snap")
    tap.check("not while a file is being read", out.returncode == 1 and "is being read" in out.stderr, out.stderr)
    s.sql("UPDATE dari.batch SET state = 'refused' WHERE name LIKE '%key.csv'")
    # One that was left in the middle, and whose file somebody took away, must not be waited for.
    s.sql("UPDATE dari.batch SET state = 'reading' WHERE name LIKE '%snap-2.csv'")
    s.sql("ALTER TABLE dari.ledger ADD CONSTRAINT full_disk CHECK (body NOT LIKE '%forget-rows%')")
    out = s.run("feed", "forget-rows", "snap")
    tap.equal("what the ledger cannot take does not happen", (out.returncode, s.one("SELECT count(*) FROM dari.snapshot WHERE feed = 'snap'")),
              (1, str(before)))
    s.sql("ALTER TABLE dari.ledger DROP CONSTRAINT full_disk")
    out = s.run("feed", "forget-rows", "snap")
    tap.check("forgotten by hand", out.returncode == 0 and f"{before} rows of feed snap are forgotten" in out.stdout, out.stdout + out.stderr)
    tap.check("which the ledger knows", s.one("SELECT count(*) FROM dari.ledger WHERE body LIKE '%action=feed.forget-rows feed=snap%'") == "1")
    put(s, "snap", "key-again.csv", rows(*lines))
    b = wait_for("the file", lambda: batch(s, "key-again.csv").get("state") == "taken" and batch(s, "key-again.csv"))
    tap.equal("then it is taken, all of it as new", (b["mapped"], b["unchanged"], b["rejected"]), (3, 0, 0))
    b = take(s, "snap", "key-3.csv", rows(*lines, ("C4", "S4", "10")))
    tap.equal("and what comes next is compared with it", (b["mapped"], b["unchanged"]), (1, 3))
    s.sql("DELETE FROM dari.snapshot WHERE feed = 'snap'")
    write_mapping("7", 'bad="leave-out"')
    s.run("reload", check=True)
    b = take(s, "snap", "key-4.csv", rows(*lines))
    tap.equal("where no row is known any key will do", (b["state"], b["mapped"]), ("taken", 3))
    tap.equal("and is the one from then on", s.one("SELECT columns FROM dari.snapshot_key WHERE feed = 'snap'"), "appt_no")


def gone(tap, s):
    """A row that is gone was not read: its message counts in no sum of its file, reprocessed or not."""
    write_mapping("8", "", of="row^new")
    s.run("reload", check=True)
    take(s, "gone", "gone-1.csv", rows(("C1", "G1", "30"), ("C2", "G2", "30")))
    before = take(s, "gone", "gone-2.csv", rows(("C1", "G1", "30")))
    tap.equal("one row is gone, which no mapping is for", (before["gone"], before["unchanged"], sums(before)),
              (1, 1, {"read": 1, "mapped": 0, "ignored": 0, "rejected": 0, "events": 0}))
    write_mapping("9", "")
    s.run("reload", check=True)
    no = s.one("SELECT max(no) FROM dari.message WHERE feed = 'gone' AND type = 'row^gone' AND state = 'ignored'")
    out = s.run("message", "reprocess", no)
    tap.check("now there is one", f"message {no}: ignored" in out.stdout and "ignored → ignored" not in out.stdout, out.stdout + out.stderr)
    after = batch(s, "gone-2.csv")
    tap.equal("the sum is as it was, but for events", {k: v for k, v in sums(after).items() if k != "events"},
              {k: v for k, v in sums(before).items() if k != "events"})


def test(tap):
    write_mapping("1", "")
    with Site("repair", feeds=FEED) as s:
        for f in ("inbox", "work", "archive", "error", "hl7", "snap", "gone"):
            os.makedirs(os.path.join(s.home, f))
        s.start()
        one = take(s, "inbox", "one.csv", rows(("C1", "A1", "30"), ("C2", "A2", "long"), ("C3", "A3", "longer"), ("C4", "A4", "0")))
        two = take(s, "inbox", "two.csv", rows(("C5", "A5", "x")))
        by_file(tap, s, one, two)
        own_ids(tap, s)
        repaired(tap, s, one)
        order_of_locks(tap, s, one)
        beside_the_snapshot(tap, s)
        another_key(tap, s)
        gone(tap, s)


main(test)
