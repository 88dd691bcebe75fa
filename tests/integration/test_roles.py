"""Each process as its own database role (deploy/roles.sql): everything still works, and nobody may do more."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, main, messages, wait_for  # noqa: E402

FORBIDDEN = {
    "dari_feed": ["DELETE FROM dari.event", "SELECT * FROM dari.event", "UPDATE dari.message SET state = 'ignored'",
                  "SELECT * FROM dari.contact", "UPDATE dari.ledger SET body = ''"],
    "dari_relay": ["SELECT * FROM dari.message", "INSERT INTO dari.event SELECT * FROM dari.event", "SELECT * FROM dari.contact",
                   "DELETE FROM dari.delivery"],
    "dari_segment": ["SELECT * FROM dari.message", "SELECT * FROM dari.contact", "DELETE FROM dari.event", "UPDATE dari.event SET data = ''"],
    "dari_messaging": ["SELECT * FROM dari.message", "SELECT * FROM dari.profile", "DELETE FROM dari.ledger"],
    "dari_steward": ["SELECT * FROM dari.message", "UPDATE dari.event SET data = ''", "DELETE FROM dari.ledger", "DELETE FROM dari.checkpoint"],
    "dari_operator": ["DELETE FROM dari.message", "UPDATE dari.event SET data = ''", "DELETE FROM dari.ledger", "UPDATE dari.ledger SET body = ''"],
}

FILES = """
  <feed name="list" adapter="files" mapping="{root}/mappings/exports/reservation-list.xml" rows="snapshot" covers="all">
    <files folder="{home}/inbox" work="{home}/work" archive="{home}/archive" error="{home}/error" scan="50ms" min-age="0s"/>
  </feed>
"""


def snapshots(tap, s):
    """A feed of files writes what it needs, as dari_feed: rows that are new, changed and gone."""
    rows = [f"A{n},{n},2026-03-12 10:00,예약\n" for n in range(5)]
    for n, text in enumerate(("".join(rows), "".join(rows[1:]).replace("10:00,예약\nA2", "11:00,예약\nA2"))):
        with open(os.path.join(s.home, f"{n}.csv"), "w", encoding="utf-8") as f:
            f.write("예약번호,차트번호,예약일시,상태\n" + text)
        os.rename(os.path.join(s.home, f"{n}.csv"), os.path.join(s.home, "inbox", f"{n}.csv"))
        wait_for("the file", lambda: s.one(f"SELECT state FROM dari.batch WHERE name LIKE '%{n}.csv'") == "taken")
    tap.equal("a feed of files as dari_feed", s.sql("SELECT read, gone FROM dari.batch ORDER BY no"), [["5", "0"], ["4", "1"]])


def part(control, pointer, rest):
    head = f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309083000+0900||ADT^A28|{control}|P|2.5||{pointer}\r"
    return (head + rest).encode()


def parts(tap, s, m):
    """Messages in parts: joined by the feed, given up by the steward, taken up again by an operator."""
    person = "PID|1||ROLE1^^^HANBIT^MR||Hong^Gildong||19760617|M\r"
    m.deliver(part("R1", "", "EVN||20260309083000\rDSC|r|F\r"))
    m.deliver(part("R2", "r", person))
    m.deliver(part("R3", "", "EVN||20260309083000\rDSC|q|F\r"))
    tap.equal("parts are joined", s.one("SELECT state FROM dari.message WHERE control_id = 'R2'"), "mapped")
    s.sql("UPDATE dari.part SET received_at = received_at - interval '2 hours' WHERE waiting")
    wait_for("the steward to give one up", lambda: s.one("SELECT state FROM dari.message WHERE control_id = 'R3'") == "quarantined")
    out = s.run("message", "reprocess", s.one("SELECT no FROM dari.message WHERE control_id = 'R3'"))
    tap.check("an operator lets it wait again", "quarantined → ignored" in out.stdout, out.stdout + out.stderr)
    m.deliver(part("R4", "q", person.replace("ROLE1", "ROLE2")))
    tap.equal("and it is joined then", s.one("SELECT state FROM dari.message WHERE control_id = 'R4'"), "mapped")


def test(tap):
    with Site("roles", clock="2026-03-09T08:30:00+09:00", feeds=FILES) as s:
        for folder in ("inbox", "work", "archive", "error"):
            os.makedirs(os.path.join(s.home, folder))
        text = open(s.config, encoding="utf-8").read()
        with open(s.config, "w", encoding="utf-8") as f:
            f.write(text.replace('migrate="yes"', 'migrate="yes" set-role="yes"'))
        s.run("db", "migrate", check=True)
        out = subprocess.run(["psql", s.conninfo(), "-qX", "-v", "ON_ERROR_STOP=1", "-f", ROOT + "/deploy/roles.sql"],
                             capture_output=True, text=True)
        tap.check("deploy/roles.sql applies", out.returncode == 0, out.stderr)
        s.start()
        m = s.mllp()
        for path in sorted(glob.glob(ROOT + "/deploy/demo/*.hl7"))[:2]:
            for message in messages(path):
                m.deliver(message)
        parts(tap, s, m)
        snapshots(tap, s)
        s.clock("2026-03-12T10:00:00+09:00")
        wait_for("everything that is due", s.settled)
        tap.check("reminders lie in the outbox", glob.glob(s.home + "/outbox/*.json"))
        wait_for("a checkpoint", lambda: s.one("SELECT count(*) > 0 FROM dari.checkpoint") == "t")
        tap.check("no role was refused anything", "42501" not in s.text() and "permission denied" not in s.text(),
                  "\n".join(l for l in s.text().splitlines() if "permission" in l))
        row = s.one("SELECT max(no) FROM dari.message WHERE feed = 'list'")
        for words in (["status"], ["message", "list"], ["message", "list", "--batch", "1"], ["message", "show", "1"], ["event", "show", "1"], ["trace", "HB000012"],
                      ["segment", "list"], ["segment", "recompute"], ["plan", "list"], ["consumer", "list"], ["ledger", "verify"],
                      ["message", "reprocess", "1"], ["message", "reprocess", row], ["feed", "list"], ["batch", "list"]):
            out = s.run(*words)
            tap.check("as dari_operator: dari " + " ".join(words), out.returncode == 0, out.stderr)
        for role, statements in FORBIDDEN.items():
            for statement in statements:
                try:
                    s.sql(f"SET ROLE {role}; {statement}")
                    refused = ""
                except RuntimeError as e:
                    refused = str(e)
                tap.check(f"{role} may not: {statement}", "permission denied" in refused, refused)


main(test)
