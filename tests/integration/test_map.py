"""dari map: events as JSON lines, what is said of messages that become none, and the published corpus."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Tap  # noqa: E402

DARI = os.environ.get("DARI", "build/dev/dari")
CORPUS = os.environ.get("DARI_CORPUS", "../shared/corpus")
MAPPINGS = "mappings/hl7v2"
CASES = MAPPINGS + "/cases"
tap = Tap()
check = tap.check


def dari(*args, stdin=b""):
    p = subprocess.run([DARI, "map", *args], input=stdin, capture_output=True, timeout=120)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def usage():
    status, out, _ = dari("--help")
    check("--help", status == 0 and out.startswith("usage: dari map"))
    for args in ([], ["x"], ["--mapping", MAPPINGS], ["--mapping", MAPPINGS, "--feed", "emr", "x"],
                 ["--mapping", MAPPINGS, "--charset", "klingon", "x"], ["--no-such", "x"]):
        status, out, err = dari(*args)
        check(f"usage: {args}", status == 2 and not out and err, (status, out, err))
    status, out, err = dari("--mapping", MAPPINGS, "/nonexistent/file")
    check("no such file", status == 1 and not out and "/nonexistent/file" in err, err)
    status, out, err = dari("--mapping", "/nonexistent/folder", "--catalogue", "mappings/catalogue.xml", CASES + "/s12-booked/in.hl7")
    check("no such mapping", status == 1 and not out and "/nonexistent/folder" in err, err)
    status, out, err = dari("--mapping", "mappings/nothing", CASES + "/s12-booked/in.hl7")
    check("no such mapping: it is named, not the catalogue", status == 1 and "mappings/nothing: there is no such" in err and
          "catalogue" not in err, err)


def events():
    status, out, err = dari("--mapping", MAPPINGS, CASES + "/a04-new-outpatient/in.hl7")
    lines = [json.loads(line) for line in out.splitlines()]
    check("one JSON line per event", status == 0 and [v["type"] for v in lines] ==
          ["patient.registered", "visit.arrived"], (status, out, err))
    v = lines[0]
    check("an envelope without a number", v["specversion"] == "1.0" and "sequence" not in v and
          re.fullmatch(r"patients@\d+\+visits@\d+", v["darimapping"]) and v["subject"] == v["partitionkey"] != "", v)
    check("the whole payload", v["data"]["name"] == "홍길동" and v["data"]["phones"][0]["use"] == "mobile", v)
    check("a demo key is said once", err.count("demo key") == 1, err)
    again = dari("--mapping", MAPPINGS, CASES + "/a04-new-outpatient/in.hl7")[1]
    cut = re.compile(r'"recordedtime":"[^"]*"')
    check("the same message, the same ids", cut.sub("", out) == cut.sub("", again))
    one = dari("--mapping", MAPPINGS + "/visits.xml", CASES + "/a04-new-outpatient/in.hl7")[1].splitlines()
    check("one mapping alone", len(one) == 1 and json.loads(one[0])["type"] == "visit.arrived", one)


def outcomes():
    files = [CASES + "/" + name + "/in.hl7" for name in ("a04-no-chart-number", "orr-not-ours", "s12-booked")]
    status, out, err = dari("--mapping", MAPPINGS, *files)
    said = [line for line in err.splitlines() if "demo key" not in line]
    check("quarantine: exit 1, file, place and reason; the others go on", status == 1 and out.count("\n") == 1 and
          len(said) == 1 and said[0].startswith(files[0] + "#1: PID-3.1: required: "), (status, out, err))
    status, out, err = dari("--mapping", MAPPINGS, "--verbose", files[1])
    check("ignored is no failure, told with --verbose", status == 0 and not out and
          files[1] + "#1: ignored: no mapping for this message type" in err, err)
    status, out, err = dari("--mapping", MAPPINGS, files[1])
    check("nothing at all is told without it", status == 0 and not out and "--verbose says why" in err, err)
    both = open(files[2], "rb").read() + open(files[0], "rb").read()
    status, out, err = dari("--mapping", MAPPINGS, "-", stdin=both)
    check("several messages on standard input", status == 1 and out.count("\n") == 1 and "-#2: PID-3.1" in err, err)
    status, out, err = dari("--mapping", MAPPINGS, CASES + "/a04-rrn-in-address/in.hl7")
    check("no value in an error", status == 1 and "PID-11: refused" in err and "800412" not in err and
          "주민" not in err, err)
    status, out, err = dari("--mapping", MAPPINGS, "--charset", "cp949", CASES + "/a04-wrong-charset/in.hl7")
    check("--charset wins over MSH-18", status == 0 and '"name":"홍길동"' in out, (out, err))
    status, out, err = dari("--mapping", MAPPINGS, "--zone", "Asia/Tokyo", CASES + "/s12-booked/in.hl7")
    check("--zone", status == 0 and "+09:00" in out, err)
    status, out, err = dari("--mapping", MAPPINGS, "--zone", "Mars/Olympus", CASES + "/s12-booked/in.hl7")
    check("no such zone", status == 1 and not out and err, err)


def parts():
    """A message in parts (row F21), over files and within one."""
    head = "MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||ADT^A28|{}|P|2.5||{}\r"
    pid = "PID|1||P1^^^HANBIT^MR||홍^길동||19760617|M\r".encode()
    cut = pid.index("길".encode()) + 1
    texts = [head.format("1", "").encode() + b"EVN||20260309090000\r" + pid[:cut] + b"\rADD\rDSC|p|F\r",
             head.format("2", "p").encode() + b"ADD|" + pid[cut:], head.format("3", "lost").encode() + pid]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for n, text in enumerate(texts):
            files.append(f"{folder}/{n}.hl7")
            with open(files[-1], "wb") as f:
                f.write(text)
        status, out, err = dari("--mapping", MAPPINGS, *files[:2])
        check("parts in two files are one message", status == 0 and out.count("\n") == 1 and '"name":"홍길동"' in out, (out, err))
        status, again, err = dari("--mapping", MAPPINGS, "-", stdin=texts[1] + texts[0])
        strip = re.compile(r'"recordedtime":"[^"]*"')
        check("or in one, in any order", status == 0 and strip.sub("", again) == strip.sub("", out), (again, err))
        status, out, err = dari("--mapping", MAPPINGS, *files)
        check("what is missing is told", status == 1 and files[2] + "#1: MSH-14: required: the other parts" in err, err)
        status, out, err = dari("--mapping", MAPPINGS, files[0])
        check("also at the end", status == 1 and not out and files[0] + "#1: DSC-1: required" in err, err)


def problems():
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/bad.xml"
        with open(path, "w", encoding="utf-8") as f:
            f.write('<mapping name="bad" version="1" format="hl7v2" xmlns="urn:dari:mapping:1">\n'
                    '<for message="ADT^A04"/>\n<patient from="PID-x"/>\n<event type="no.such"/>\n</mapping>\n')
        status, out, err = dari("--mapping", path, "--catalogue", "mappings/catalogue.xml", CASES + "/s12-booked/in.hl7")
        check("every problem of a mapping with its line", status == 1 and not out and path + ":3: " in err and
              path + ":4: " in err, err)


def feeds():
    args = ("--feed", "emr", "--config", "config/dari.xml")
    status, out, err = dari(*args, CASES + "/a04-cp949-undeclared/in.hl7")
    check("a feed's mapping and character set", status == 0 and "남궁민수" in out and '"source":"feed:emr"' in out,
          (status, out, err))
    status, out, err = dari("--feed", "nobody", "--config", "config/dari.xml", CASES + "/s12-booked/in.hl7")
    check("no such feed", status == 1 and not out and "nobody" in err, err)


def corpus():
    files = sorted(glob.glob(CORPUS + "/hl7v2/*.hl7") + glob.glob(CORPUS + "/hl7v2-batch/*.hl7") +
                   glob.glob(CORPUS + "/malformed/*"))
    if not files:
        tap.skip("the corpus", "not here")
        return
    status, out, err = dari("--mapping", MAPPINGS, *files)
    lines = [json.loads(line) for line in out.splitlines()]
    check("no message of the corpus ends the program", status == 1 and len(lines) > 100, (status, len(lines), err[-300:]))
    places = [line for line in err.splitlines() if "demo key" not in line]
    check("each complaint names a message", all(re.search(r"#\d+: ", line) for line in places), places[:3])


usage()
events()
outcomes()
parts()
problems()
feeds()
corpus()
sys.exit(tap.done())
