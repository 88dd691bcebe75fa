#!/usr/bin/python3
"""Tables from strangers: a workbook of many rows in little memory, killed at random; hostile files refused with their place, and the
next one is taken; no resident registration number in what is kept."""
import json
import os
import random
import subprocess
import sys
import zipfile
from xml.sax.saxutils import escape

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, Site, main, wait_for  # noqa: E402

ROWS = int(os.environ.get("DARI_ROWS", "20000"))
FEED = """
  <feed name="list" adapter="files" mapping="{root}/mappings/exports/reservation-list.xml" rows="append" charset-fallback="cp949">
    <files folder="{home}/inbox" work="{home}/work" archive="{home}/archive" error="{home}/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
  <feed name="people" adapter="files" mapping="{root}/mappings/exports/patient-list.xml" rows="append" charset-fallback="cp949">
    <files folder="{home}/people/inbox" work="{home}/people/work" archive="{home}/people/archive" error="{home}/people/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
HEADER = ["예약번호", "차트번호", "환자명", "예약일시", "상태", "진료과"]


def relations(*each):
    inner = "".join(f'<Relationship Id="{i}" Type="{REL}/{t}" Target="{to}"/>' for i, t, to in each)
    return f'<Relationships xmlns="{PACKAGE}">{inner}</Relationships>'


def workbook(path, rows, extra=None):
    """Rows of texts, shared; of (serial,), a date and time; of ("=", formula)."""
    strings = {}

    def cell(v):
        if isinstance(v, str):
            return f'<c t="s"><v>{strings.setdefault(v, len(strings))}</v></c>'
        if len(v) == 1:
            return f'<c s="1"><v>{v[0]!r}</v></c>'
        return f"<c><f>{v[1]}</f><v>1</v></c>"

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("_rels/.rels", relations(("r", "officeDocument", "xl/workbook.xml")))
        z.writestr("xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{REL}"><sheets><sheet name="예약" r:id="a"/></sheets></workbook>')
        z.writestr("xl/_rels/workbook.xml.rels", relations(("a", "worksheet", "sheet.xml"), ("b", "sharedStrings", "strings.xml"),
                                                           ("c", "styles", "styles.xml")))
        z.writestr("xl/styles.xml", f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>')
        with z.open("xl/sheet.xml", "w", force_zip64=True) as f:
            f.write(f'<worksheet xmlns="{MAIN}"><sheetData>'.encode())
            for i, row in enumerate(rows, 1):
                f.write(f'<row r="{i}">{"".join(map(cell, row))}</row>'.encode())
            f.write(b"</sheetData></worksheet>")
        for name, text in (extra or {}).items():
            z.writestr(name, text)
        if "xl/strings.xml" in (extra or {}):
            return
        with z.open("xl/strings.xml", "w", force_zip64=True) as f:
            f.write(f'<sst xmlns="{MAIN}">'.encode())
            for s in strings:
                f.write(f"<si><t>{escape(s)}</t></si>".encode())
            f.write(b"</sst>")


def appointments(count):
    yield ["예약 현황"]
    yield HEADER
    for n in range(count):
        yield [f"A{n:07}", f"{n % 5000:05}", f"홍길동{n % 997}", (46100 + n % 28 + 0.375,), "예약", "내과"]
    yield ["합계", f"{count}건"]


class Inbox:
    def __init__(self, s, below=""):
        self.s, self.below = s, below
        for f in ("inbox", "work", "archive", "error"):
            os.makedirs(os.path.join(s.home, below, f))

    def put(self, name, write):
        path = os.path.join(self.s.home, "new-" + name)
        write(path)
        os.rename(path, os.path.join(self.s.home, self.below, "inbox", name))
        return name

    def batch(self, name):
        for b in json.loads(self.s.run("batch", "list", "--limit", "1000", "--json", check=True).stdout):
            if b["name"].endswith(name):
                return b
        return None

    def take(self, name, write):
        self.put(name, write)
        return wait_for("the end of " + name, lambda: (self.batch(name) or {}).get("state") in ("taken", "refused") and self.batch(name),
                        600)


def peak(s, role):
    with open(f"/proc/{s.pids()[role]}/status", encoding="utf-8") as f:
        return int(f.read().split("VmHWM:")[1].split()[0]) // 1024


def many_rows(tap, s, box):
    """Killed while it is read: goes on behind its last commit."""
    name, dice = "many.xlsx", random.Random(4)
    box.put(name, lambda path: workbook(path, appointments(ROWS)))
    kills, most = 0, 0
    for part in (0.1, 0.35, 0.7):
        wanted = int(ROWS * part * dice.uniform(0.8, 1.2))

        def read():
            b = box.batch(name)
            return b and (b["read"] >= wanted or b["state"] != "reading") and b
        b = wait_for(f"{wanted} rows", read, 600)
        most = max(most, peak(s, "feed:list"))
        if b["state"] == "reading":
            s.kill("feed:list")
            kills += 1
    b = wait_for("the end", lambda: (box.batch(name) or {}).get("state") == "taken" and box.batch(name), 600)
    most = max(most, peak(s, "feed:list"))
    tap.equal("a workbook: every row read", (b["read"], b["mapped"], b["rejected"]), (ROWS, ROWS, 0))
    count = s.sql("SELECT count(*), count(DISTINCT appointment) FROM (SELECT data::json->>'appointment_key' AS appointment FROM dari.event "
                  "WHERE type = 'appointment.booked') x")[0]
    tap.equal("every row one event", tuple(int(x) for x in count), (ROWS, ROWS))
    tap.check(f"killed on the way ({kills} times)", kills > 0 or ROWS < 5000)
    tap.check(f"at most 100 MiB of memory ({most})", most < 100)


def big(path, begin, filling, size):
    with open(path, "wb") as f:
        f.write(begin)
        for _ in range(size >> 20):
            f.write(filling * ((1 << 20) // len(filling)))


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("_rels/.rels", relations(("r", "officeDocument", "xl/workbook.xml")))
        z.writestr("xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{REL}"><sheets><sheet name="a" r:id="a"/></sheets></workbook>')
        z.writestr("xl/_rels/workbook.xml.rels", relations(("a", "worksheet", "sheet.xml"), ("b", "sharedStrings", "strings.xml")))
        z.writestr("xl/sheet.xml", f'<worksheet xmlns="{MAIN}"><sheetData/></worksheet>')
        with z.open("xl/strings.xml", "w") as f:
            f.write(b"<sst>" + b" " * 1000)
            for _ in range(200):
                f.write(b"<si>" + b" " * (1 << 20) + b"</si>")


def csv(*lines):
    text = "\r\n".join((",".join(HEADER),) + lines) + "\r\n"

    def write(path):
        with open(path, "w", encoding="cp949", newline="") as f:
            f.write(text)
    return write


GOOD = "A1,1,홍길동,2026-03-12 09:00,예약,내과"
HEAD = ",".join(HEADER).encode("cp949") + b"\n"
HOSTILE = {
    "cell.csv": (lambda p: big(p, HEAD + b"A1,", b"x", 100 << 20), "row 2, column 2"),
    "header.csv": (lambda p: big(p, b"", "예약번호,".encode("cp949"), 30 << 20), "row 1, column"),
    "nul.csv": (csv(GOOD, "A2,2,\0,2026-03-12 09:00,예약,내과"), "row 3, column 3"),
    "quote.csv": (csv(GOOD, 'A2,2,"x,2026-03-12 09:00,예약,내과'), "row 3, column 3"),
    "columns.csv": (lambda p: big(p, b"a,b\n", b"x\ny\n", 1 << 20), "row 1"),
    "bomb.xlsx": (bomb, "xl/strings.xml"),
    "links.xlsx": (lambda p: workbook(p, [HEADER], {"xl/externalLinks/externalLink1.xml": "<x/>"}), "xl/externalLinks/externalLink1.xml"),
    "doctype.xlsx": (lambda p: workbook(p, [HEADER], {"xl/strings.xml": "<!DOCTYPE a><sst/>"}), "xl/strings.xml"),
    "cut.xlsx": (lambda p: big(p, b"PK\3\4", b"\0", 1 << 20), ""),
    "old.xls": (lambda p: big(p, b"\xD0\xCF\x11\xE0", b"\0", 1 << 20), ""),
}


def hostile(tap, s, box):
    for name, (write, place) in HOSTILE.items():
        b = box.take(name, write)
        tap.check(f"{name} is refused", b["state"] == "refused" and b["rejected"] == 0, json.dumps(b, ensure_ascii=False))
        tap.check(f"{name}: where", place in json.dumps(b, ensure_ascii=False), json.dumps(b, ensure_ascii=False))
    formulas = box.take("formulas.csv", csv(GOOD.replace("A1", "B1"), "B2,2,=cmd|' /C calc'!A0,2026-03-12 09:00,예약,내과"))
    tap.equal("a formula refuses its row", (formulas["state"], formulas["read"], formulas["mapped"], formulas["rejected"]),
              ("taken", 2, 1, 1))
    sheet = box.take("formulas.xlsx", lambda p: workbook(p, [HEADER, ["B3", "1", "가", (46100.5,), "예약", ("=", "NOW()")]]))
    tap.equal("in a workbook too", (sheet["state"], sheet["read"], sheet["rejected"]), ("taken", 1, 1))
    good = box.take("good.csv", csv(GOOD))
    tap.equal("the next file is taken", (good["state"], good["mapped"]), ("taken", 1))
    tap.check("memory stays what it was", peak(s, "feed:list") < 100, str(peak(s, "feed:list")))


def numbers(tap, s, box):
    """Resident registration numbers: birth date and sex, never the number."""
    def write(path):
        with open(path, "w", encoding="cp949", newline="") as f:
            f.write("차트번호,성명,주민등록번호,메모\r\n77,홍길동,800412-1234567,주민 8004121234567 확인\r\n")
    b = box.take("people.csv", write)
    tap.equal("the row is an event", (b["read"], b["mapped"]), (1, 1))
    listed = [json.loads(x) for x in s.run("message", "list", "--feed", "people", "--json", check=True).stdout.splitlines()]
    text = s.run("message", "show", str(listed[0]["message"])).stdout
    tap.check("what is kept of it is masked", "800412-1******" in text and "1234567" not in text, text)


BARE = """<mapping name="bare" version="1" format="table" title="목록" xmlns="urn:dari:mapping:1">
  <for message="row^*"/>
  <columns>
    <column name="chart_no" required="yes"><alias header="1"/></column>
    <column name="appt_no" required="yes"><alias header="2"/></column>
    <column name="appt_date" required="yes"><alias header="3"/></column>
  </columns>
  <key columns="appt_no"/>
  <patient from="chart_no"/>
  <event type="appointment.booked">
    <field name="appointment_key" from="appt_no" as="key" kind="appointment"/>
    <field name="start" from="appt_date"/>
  </event>
</mapping>
"""


def bare_rows(tap, work):
    """A list without headers: its columns are 1 2 3, as with the feed's option header-row="-1"."""
    mapping, rows = os.path.join(work, "bare.xml"), os.path.join(work, "bare.csv")
    with open(mapping, "w", encoding="utf-8") as f:
        f.write(BARE)
    with open(rows, "w", encoding="utf-8") as f:
        f.write("C1,A1,2026-03-12 10:00\nC2,A2,2026-03-12 11:00\n")

    def run(*options):
        return subprocess.run([DARI, "map", "--mapping", mapping, "--catalogue", f"{ROOT}/mappings/catalogue.xml", *options, rows],
                              capture_output=True, text=True, check=False)
    got = run("--header-row", "-1")
    starts = [json.loads(line)["data"]["start"] for line in got.stdout.splitlines()]
    tap.check("a list without headers: the first row is one, too", got.returncode == 0 and len(starts) == 2, got.stderr)
    got = run("--header-row=0")
    tap.check("0 is what is done without the option", got.returncode == 1 and "chart_no" in got.stderr, got.stderr)
    for wrong in ("-2", "1001", "one"):
        got = run("--header-row", wrong)
        tap.check(f"a header row that cannot be: {wrong}", got.returncode == 2 and "--header-row" in got.stderr, got.stderr)


def by_hand(tap):
    """dari map needs no database, and names the place."""
    work = os.path.join(ROOT, "var", "test", "tables")
    os.makedirs(work, exist_ok=True)

    def run(name, write, mapping="reservation-list"):
        path = os.path.join(work, name)
        write(path)
        return subprocess.run([DARI, "map", "--mapping", f"{ROOT}/mappings/exports/{mapping}.xml", path], capture_output=True, text=True,
                              check=False)
    got = run("good.csv", csv(GOOD))
    tap.check("dari map: the events of a row", got.returncode == 0 and json.loads(got.stdout)["type"] == "appointment.booked", got.stderr)
    got = run("rows.xlsx", lambda p: workbook(p, [["제목"], HEADER, ["A1", "1", "가", (46100.5,), "예약", "내과"],
                                                 ["A2", "2", "나", "내일", "예약", "내과"]]))
    tap.check("a workbook", len(got.stdout.splitlines()) == 1 and got.returncode == 1, got.stderr)
    tap.check("the place of a value", "rows.xlsx#row 4, column 예약일시: value:" in got.stderr, got.stderr)
    got = run("short.csv", csv("A1,1"))
    tap.check("the place of a row", "short.csv#row 2: syntax:" in got.stderr and got.returncode == 1, got.stderr)
    got = run("nothing.csv", lambda p: big(p, b"a,b\n1,2\n", b"", 0))
    tap.check("what a header lacks, and what it may be called", "chart_no (차트번호, " in got.stderr and "appt_date (예약일" in got.stderr
              and got.returncode == 1, got.stderr)
    got = run("empty.csv", lambda p: big(p, b"", b"", 0))
    tap.check("an empty file", "empty.csv: syntax: the file is empty" in got.stderr and got.returncode == 1, got.stderr)
    got = run("nearly.csv", lambda p: big(p, "차트번호,성명,방문예정,상태\n1,가,2026-03-12,예약\n".encode("cp949"), b"", 0))
    tap.check("what the nearest header lacks, and how a name is added", "nearly.csv#row 1: required: the header lacks appt_date (예약일" in got.stderr
              and "<alias" in got.stderr and got.returncode == 1, got.stderr)
    got = run("one.csv", lambda p: big(p, "차트번호,번지,호실\n1,가,2\n".encode("cp949"), b"", 0), "patient-list")
    tap.check("one header that is known among others", "one.csv#row 1: required: only one of the headers is known" in got.stderr
              and got.returncode == 1, got.stderr)
    got = run("day.csv", lambda p: big(p, "차트번호,예약일,몇시\n1,2026-03-12,10:00\n".encode("cp949"), b"", 0))
    tap.check("a day whose time has an unknown header", "no column that is known gives one" in got.stderr and got.returncode == 1, got.stderr)
    bare_rows(tap, work)
    got = run("page.xls", lambda p: big(p, b"\n<HTML><body><table><tr><td>1</td></tr></table>", b"", 0))
    tap.check("a page under the name of a workbook", "save it as .xlsx or CSV" in got.stderr and got.returncode == 1, got.stderr)


def test(tap):
    by_hand(tap)
    with Site("tables", feeds=FEED) as s:
        boxes = Inbox(s), Inbox(s, "people")
        s.start()
        numbers(tap, s, boxes[1])
        many_rows(tap, s, boxes[0])
        hostile(tap, s, boxes[0])


main(test)
