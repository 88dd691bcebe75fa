#!/usr/bin/python3
"""A table that is the whole state each time: only what is new, changed or gone is news; killed at random, every row once."""
import datetime
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, main, wait_for  # noqa: E402

ROWS = int(os.environ.get("DARI_ROWS", "20000"))
FEED = """
  <feed name="list" adapter="files" mapping="{root}/mappings/exports/reservation-list.xml" rows="snapshot" covers="all"
        max-gone="20" charset-fallback="cp949">
    <files folder="{home}/inbox" work="{home}/work" archive="{home}/archive" error="{home}/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
WINDOW = """
  <feed name="window" adapter="files" mapping="{root}/mappings/exports/reservation-list.xml" rows="snapshot"
        covers="appt_date 0..30" max-gone="60">
    <files folder="{home}/window/inbox" work="{home}/window/work" archive="{home}/window/archive" error="{home}/window/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
HEADER = ["예약번호", "차트번호", "환자명", "예약일시", "상태", "진료과", "출력일시"]


def row(n, time="10:00", printed="x"):
    return [f"A{n:07}", f"{n % 5000:05}", "홍길동", f"2026-04-{1 + n % 28:02} {time}", "예약", "내과", printed]


def text(rows, header=HEADER):
    return "".join(",".join(r) + "\r\n" for r in [header] + rows)


class Inbox:
    def __init__(self, s, below=""):
        self.s, self.count, self.below = s, 0, below
        for f in ("inbox", "work", "archive", "error"):
            os.makedirs(os.path.join(s.home, below, f))

    def put(self, content, encoding="utf-8"):
        self.count += 1
        name = f"list{self.below}-{self.count:03}.csv"
        path = os.path.join(self.s.home, name)
        with open(path, "w", encoding=encoding, newline="") as f:
            f.write(content)
        os.rename(path, os.path.join(self.s.home, self.below, "inbox", name))
        return name

    def batch(self, name):
        for b in json.loads(self.s.run("batch", "list", "--limit", "1000", "--json", check=True).stdout):
            if b["name"].endswith(name):
                return b
        return None

    def end(self, name):
        def look():
            b = self.batch(name)
            return b and b["state"] != "reading" and b
        return wait_for("the end of " + name, look, 600)

    def take(self, content, encoding="utf-8"):
        return self.end(self.put(content, encoding))


def sums(b):
    return {k: b[k] for k in ("read", "unchanged", "rejected", "gone")} | {"news": b["mapped"] + b["ignored"]}


def changes(tap, s, box):
    rows = [row(n) for n in range(100)]
    b = box.take(text(rows))
    tap.equal("the first: all is new", sums(b), {"read": 100, "unchanged": 0, "rejected": 0, "gone": 0, "news": 100})
    first = box.count
    box.put(text(rows))
    wait_for("the repetition", lambda: box.batch(f"list-{first:03}.csv")["again"] == 1)
    tap.check("the same content: nothing", box.batch(f"list-{first + 1:03}.csv") is None)

    printed = [row(n, printed="another day") for n in range(100)]
    random.Random(1).shuffle(printed)
    order = [3, 1, 0, 2, 6, 5, 4]
    b = box.take(text([[r[i] for i in order] for r in printed], [HEADER[i] for i in order]))
    tap.equal("another order of rows and columns, and a column that no rule uses: nothing", sums(b),
              {"read": 100, "unchanged": 100, "rejected": 0, "gone": 0, "news": 0})

    rows[7][4], rows[8][4] = "취소", "취소"
    rows.append(row(100))
    b = box.take(text(rows), "cp949")
    tap.equal("two changed, one new, in CP949", sums(b), {"read": 101, "unchanged": 98, "rejected": 0, "gone": 0, "news": 3})
    tap.equal("the changed ones say so", s.one("SELECT count(*) FROM dari.message WHERE feed = 'list' AND type = 'row^changed'"), "2")

    b = box.take(text(rows[5:]))
    tap.equal("five are gone", sums(b), {"read": 96, "unchanged": 96, "rejected": 0, "gone": 5, "news": 0})
    tap.equal("and are told once each", s.one("SELECT count(*) FROM dari.message WHERE feed = 'list' AND type = 'row^gone'"), "5")
    b = box.take(text(rows[50:]))
    tap.equal("too many at once are left as they are", (sums(b)["gone"], "max-gone" in (b["problem"] or "")), (0, True))
    b = box.take(text(rows[6:] + [["A9", "1", "x"]]))
    tap.equal("nothing is gone when a row could not be read", (sums(b)["gone"], sums(b)["rejected"]), (0, 1))
    bad = s.one("SELECT max(no) FROM dari.message WHERE feed = 'list' AND state = 'quarantined'")
    shown = s.run("message", "show", bad, check=True).stdout
    tap.check("that row is kept as it was found", "+,A9,1,x\n" in shown, shown)
    b = box.take(text(rows[5:] + [rows[9]]))
    tap.equal("a key twice in one file is rejected", sums(b)["rejected"], 1)
    b = box.take(text(rows[5:]))
    tap.equal("back to an earlier content: read again, nothing new", sums(b),
              {"read": 96, "unchanged": 96, "rejected": 0, "gone": 0, "news": 0})
    b = box.take(text([r[:3] for r in rows], HEADER[:3]))
    tap.equal("a table without a required column is refused as a whole", (b["state"], b["read"]), ("refused", 0))
    tap.check("with what is missing", "appt_date" in b["problem"], b["problem"])
    tap.check("and lies in the error folder with its reason", wait_for("its reason", lambda: any(
              n.endswith(".problem.txt") for _, _, f in os.walk(os.path.join(s.home, "error")) for n in f)))


def overtaken(tap, s, box):
    """Another file came in between: an earlier one is read again from its beginning, whatever became of either."""
    one = [row(n + 9000000) for n in range(30)]
    other = [[*r[:4], "취소", *r[5:]] for r in one]
    box.take(text(one))
    second = box.take(text(other))
    s.sql(f"UPDATE dari.batch SET state = 'refused' WHERE no = {second['batch']}")  # in the middle, say
    b = box.take(text(one))
    tap.equal("a taken one after another that was refused behind its rows", (b["state"], b["read"], sums(b)["news"]), ("taken", 30, 30))
    s.sql(f"UPDATE dari.batch SET state = 'reading' WHERE no = {second['batch']}")
    b = box.take(text(other))
    tap.equal("one that was never read to its end", (b["state"], b["read"], sums(b)["news"]), ("taken", 30, 30))
    tap.equal("its first turn is over", s.one(f"SELECT state FROM dari.batch WHERE no = {second['batch']}"), "refused")


def hash_header(tap, box):
    b = box.take("#," + text([["1", *row(9100000)][1:]]).replace("\r\n", "\r\n1,", 1))
    tap.equal("a table whose first column is called #", (b["state"], b["read"], b["problem"]), ("taken", 1, b["problem"]))


def period(tap, s):
    """A list of the next thirty days: what lies before them is past, not gone."""
    box = Inbox(s, "window")
    today = datetime.date.today()

    def at(n, days, form="%Y-%m-%d"):
        return [f"W{n}", f"{n:05}", "홍길동", (today + datetime.timedelta(days=days)).strftime(form) + " 10:00", "예약", "내과", "x"]
    rows = [at(1, -3), at(2, -1), at(3, 5), at(4, 6, "%Y.%m.%d"), at(5, 7), at(6, 40), at(7, 8)]
    b = box.take(text(rows))
    tap.equal("a list of a period", sums(b)["news"], 7)
    b = box.take(text([rows[4], rows[6]]))
    tap.equal("only rows of days that it covers are gone", (b["unchanged"], b["gone"]), (2, 2))
    left = s.one("SELECT count(*) FROM dari.snapshot WHERE feed = 'window'")
    tap.equal("days that are past are forgotten, later ones stay", left, "3")
    b = box.take(text([[c for k, c in enumerate(r) if k != 3] for r in rows], [c for k, c in enumerate(HEADER) if k != 3]))
    tap.equal("without that column the file is refused", b["state"], "refused")


def peak_of(pid, before):
    """kB that the process had at the most; None when it is the one before, or not there: with few rows the kill may come
    behind the last of them."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            text = f.read()
    except OSError:
        return None
    return int(text.split("VmHWM:")[1].split()[0]) if pid != before and "VmHWM:" in text else None


def many(tap, s, box):
    rows = [row(n + 1000) for n in range(ROWS)]
    before = int(s.one("SELECT count(*) FROM dari.message WHERE feed = 'list'"))
    name = box.put(text(rows))
    for share in (0.1, 0.4, 0.7):
        wait_for("some of it", lambda: (box.batch(name) or {"read": 0})["read"] > ROWS * share or
                 (box.batch(name) or {"state": ""})["state"] == "taken", 600)
        s.kill("feed:list")
    b = box.end(name)
    tap.equal("killed three times in a long file", (b["read"], sums(b)["news"], b["duplicates"], b["rejected"]), (ROWS, ROWS, 0, 0))
    tap.equal("every row once", int(s.one("SELECT count(*) FROM dari.message WHERE feed = 'list'")) - before, ROWS + b["gone"])
    for n in range(0, ROWS, 100):
        rows[n][4] = "취소"
    name = box.put(text(rows))
    wait_for("some of it", lambda: box.batch(name), 600)
    before = s.pids().get("feed:list")
    s.kill("feed:list")
    b = box.end(name)
    tap.equal("one in a hundred changed: exactly those", sums(b), {"read": ROWS, "unchanged": ROWS - len(range(0, ROWS, 100)),
                                                                  "rejected": 0, "gone": 0, "news": len(range(0, ROWS, 100))})
    peak = wait_for("the feed that runs after the kill", lambda: peak_of(s.pids().get("feed:list"), before))
    tap.check("memory stays below 100 MiB", peak < 100 * 1024, f"{peak} kB")
    tap.equal("the ledger verifies", s.run("ledger", "verify", timeout=600).returncode, 0)


def outage(tap, s, box):
    name = box.put(text([row(n + 5000000) for n in range(ROWS)]))
    wait_for("some of it", lambda: box.batch(name), 600)
    s.postgres("stop")
    wait_for("the feed to know", lambda: s.text().rstrip().rfind("state=away") > 0)
    s.postgres("start")
    b = box.end(name)
    tap.equal("the database away in the middle: every row once", (b["read"], sums(b)["news"], b["duplicates"]), (ROWS, ROWS, 0))


def same_mapping(tap, s):
    """Rows name no time: that of their commit, which is stored, is a little later than that of their events."""
    day = datetime.date.fromisoformat(s.one("SELECT max(received_at AT TIME ZONE 'Asia/Seoul')::date FROM dari.message"))
    out = s.run("message", "diff", "--feed", "list", "--mapping", ROOT + "/mappings/exports/reservation-list.xml",
                "--from", str(day - datetime.timedelta(1)), "--to", str(day + datetime.timedelta(1)))
    tap.check("the mapping that they had gives the events that they have", "0 removed, 0 changed\n" in out.stdout
              and "(time)" not in out.stdout and " messages looked at" in out.stdout, out.stdout[-600:] + out.stderr)


def test(tap):
    with Site("snapshot", feeds=FEED + WINDOW) as s:
        box = Inbox(s)
        s.start()
        changes(tap, s, box)
        same_mapping(tap, s)
        overtaken(tap, s, box)
        hash_header(tap, box)
        period(tap, s)
        many(tap, s, box)
        outage(tap, s, box)


main(test)
