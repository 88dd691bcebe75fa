#!/usr/bin/python3
"""Documents: v2.xml over MLLP with a reply in kind; CDA, FHIR and Bundles as files; hostile ones are refused, and harm nobody."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, main, wait_for  # noqa: E402

FEED = """
  <feed name="{name}" adapter="files" mapping="{{root}}/mappings/{mapping}">
    <files folder="{{home}}/{name}/in" work="{{home}}/{name}/work" archive="{{home}}/{name}/archive" error="{{home}}/{name}/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
FEEDS = FEED.format(name="fhir", mapping="fhir") + FEED.format(name="cda", mapping="cda")
EQUAL = os.path.join(ROOT, "tests/cases/equal")
CORPUS = os.environ.get("DARI_CORPUS", os.path.join(ROOT, "../shared/corpus"))


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def drop(s, feed, name, data):
    path = os.path.join(s.home, feed, "in", name)
    with open(path + ".tmp", "wb") as f:
        f.write(data)
    os.rename(path + ".tmp", path)


def taken(s, feed, name):
    def look():
        out = s.run("batch", "list", "--feed", feed, "--limit", "1000", "--json", check=True).stdout
        return next((b for b in json.loads(out) if b["name"].endswith(name) and b["state"] != "reading"), None)
    return wait_for("the end of " + name, look)


def sums(b):
    return b["read"], b["mapped"], b["ignored"], b["rejected"]


def adds_up(b):
    return b["read"] == b["mapped"] + b["ignored"] + b["unchanged"] + b["rejected"] + b["duplicates"]


def msa(reply):
    found = re.search(rb"<MSA\.1>(..)</MSA\.1>", reply)
    return found and found.group(1).decode()


def over_mllp(tap, s, m):
    document = read(EQUAL, "patient/hl7v2.xml")
    reply = m.ask(document)
    tap.equal("v2.xml is accepted, and answered in v2.xml", (msa(reply), reply[:5]), ("AA", b"<?xml"))
    tap.check("the reply names the message", b"<MSA.2>M001</MSA.2>" in reply and b"urn:hl7-org:v2xml" in reply, reply)
    tap.equal("the same document again: the same reply", m.ask(document), reply)
    tap.equal("one message", s.one("SELECT count(*) FROM dari.message"), "1")
    tap.equal("its type is that of the message", s.one("SELECT type FROM dari.message"), "ADT^A28")
    other = m.ask(read(EQUAL, "patient/hl7v2.hl7").replace(b"M001", b"M003"))
    tap.check("a message in ER7 is answered in ER7", other.startswith(b"MSH|"), other)
    tap.equal("the same message in ER7 is known", (m.ask(read(EQUAL, "patient/hl7v2.hl7")), s.one("SELECT count(*) FROM dari.message")),
              (reply, "2"))
    hostile = document.replace(b"<ADT_A05", b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><ADT_A05")
    refused = m.ask(hostile)
    tap.equal("a DOCTYPE is refused, in v2.xml", (msa(refused), b"DOCTYPE" in refused), ("AE", True))
    tap.equal("and kept, with its place",
              s.sql("SELECT state, place FROM dari.message ORDER BY no DESC LIMIT 1"), [["quarantined", "line 2"]])
    broken = m.ask(document[:-20])
    tap.equal("a document that is cut is refused", msa(broken), "AE")
    tap.equal("the next one is taken", msa(m.ask(document.replace(b"M001", b"M002"))), "AA")


def files(tap, s):
    bundle = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": json.loads(read(EQUAL, "patient/fhir.json"))},
        {"resource": json.loads(read(EQUAL, "booked/fhir.json"))},
        {"resource": {"resourceType": "Basic", "id": "x"}},
        {"resource": {"resourceType": "Patient", "id": "nobody"}}]}, ensure_ascii=False).encode()
    drop(s, "fhir", "bundle.json", bundle)
    b = taken(s, "fhir", "bundle.json")
    tap.equal("each entry of a Bundle is a message", sums(b), (4, 2, 1, 1))
    tap.check("the sum holds", adds_up(b), b)
    tap.equal("with its type", [r[0] for r in s.sql("SELECT type FROM dari.message WHERE feed = 'fhir' ORDER BY no")],
              ["Patient", "Appointment", "Basic", "Patient"])
    lines = b"".join(json.dumps(json.loads(read(EQUAL, n, "fhir.json")), ensure_ascii=False).encode() + b"\n"
                     for n in ("arrived", "completed", "cancelled"))
    drop(s, "fhir", "lines.ndjson", lines)
    tap.equal("each line of JSON lines is a message", sums(taken(s, "fhir", "lines.ndjson")), (3, 3, 0, 0))
    drop(s, "fhir", "one.xml", read(EQUAL, "no-show/fhir.xml"))
    tap.equal("a resource in XML", sums(taken(s, "fhir", "one.xml")), (1, 1, 0, 0))
    drop(s, "fhir", "broken.json", bundle[:-4])
    tap.equal("a document that is cut is kept as rejected", sums(taken(s, "fhir", "broken.json")), (1, 0, 0, 1))
    keys = s.sql("SELECT DISTINCT patient FROM dari.message WHERE feed IN ('fhir', 'emr') AND state = 'mapped'")
    tap.equal("one patient, whichever way the messages came in", len(keys), 1)


def repair(tap, s):
    """What lay in quarantine is read again from its own bytes: an entry does not need its Bundle."""
    no = s.one("SELECT no FROM dari.message WHERE feed = 'fhir' AND type = 'Appointment' ORDER BY no LIMIT 1")
    head = s.one("SELECT head FROM dari.stream")
    done = s.run("message", "reprocess", no)
    tap.equal("reprocessing an entry of a Bundle", done.returncode, 0)
    tap.equal("gives the events that it gave", s.sql(f"SELECT type FROM dari.event WHERE seq > {head}"), [])
    tap.equal("and it stays mapped", s.one(f"SELECT state FROM dari.message WHERE no = {no}"), "mapped")


def shown(tap, s):
    """The place of a document is marked, in XML and in JSON."""
    no = s.one("SELECT max(no) FROM dari.message WHERE feed = 'emr' AND state = 'quarantined' AND place = 'line 2'")
    tap.check("show: a line of XML is marked", re.search(r"\n<!DOCTYPE[^\n]*\n\^+\n", s.run("message", "show", no).stdout), no)
    bad = read(EQUAL, "booked/fhir.json").replace(b"2026-03-20T06:00:00Z", b"tomorrow")
    drop(s, "fhir", "bad.json", bad)
    tap.equal("a bad time", sums(taken(s, "fhir", "bad.json")), (1, 0, 0, 1))
    no = s.one("SELECT max(no) FROM dari.message WHERE feed = 'fhir' AND place = 'start/@value'")
    out = s.run("message", "show", no).stdout
    tap.check("show: a value of JSON is marked", re.search(r'\n *"start": "tomorrow",\n +\^{10}\n', out), out)


def hostile(tap, s):
    deep = b"<a>" * 100000
    attributes = b"<r><a " + b" ".join(b"a%d=''" % i for i in range(80000)) + b"/></r>"
    laughs = b"<!DOCTYPE l [<!ENTITY a 'aaaa'>" + b"".join(
        b"<!ENTITY %c '%s'>" % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)) + b"]><l>&j;</l>"
    for name, data in (("deep", deep), ("attributes", attributes), ("laughs", laughs), ("utf7", b"<?xml version='1.0' encoding='UTF-7'?><r/>"),
                       ("nul", b"<r>\0</r>"), ("json-deep", b"{\"a\":" + b"[" * 100000)):
        drop(s, "cda", name, data)
        b = taken(s, "cda", name)
        tap.equal(f"hostile, {name}: rejected", sums(b), (1, 0, 0, 1))
    pid = s.pids()["feed:cda"]
    drop(s, "cda", "huge.xml", b"<r>" + b"<a>x</a>" * 10000000 + b"</r>")
    b = taken(s, "cda", "huge.xml")
    tap.equal("80 MB of XML: refused as a whole", (b["state"], b["read"]), ("refused", 0))
    anonymous = re.search(r"RssAnon:\s+(\d+)", open(f"/proc/{pid}/status").read())
    tap.check("by the same process, without memory of its own", int(anonymous.group(1)) < 100 * 1024, anonymous.group(0))
    places = s.sql("SELECT reason, place FROM dari.message WHERE feed = 'cda' AND state = 'quarantined' ORDER BY no")
    tap.check("each with its reason and its place", len(places) == 6 and all(r[0] and r[1] for r in places), places)
    drop(s, "cda", "next.xml", read(ROOT, "mappings/cda/cases/progress-note/in.xml"))
    tap.equal("the next one is taken", sums(taken(s, "cda", "next.xml")), (1, 1, 0, 0))


def commands(tap, s):
    """dari parse and dari map on documents, without a database."""
    path = os.path.join(EQUAL, "patient/hl7v2.xml")
    out = s.run("parse", "--path", "PID-3.1", "--path", "PID-5.2", "--path", "PID-40", "--path", "MSH-2", path)
    tap.equal("dari parse on v2.xml", [line.split("\t")[1:] for line in out.stdout.splitlines()],
              [["PID-3.1", "value", "0012345"], ["PID-5.2", "value", "길동"], ["PID-40", "absent", ""], ["MSH-2", "value", "^~\\\\&"]])
    whole = json.loads(s.run("parse", path).stdout)
    same = json.loads(s.run("parse", os.path.join(EQUAL, "patient/hl7v2.hl7")).stdout)
    tap.equal("the same message as ER7", whole["segments"], same["segments"])
    cda = s.run("parse", os.path.join(ROOT, "mappings/cda/cases/discharge/in.xml"))
    tap.check("a document that is no HL7 v2 is said to be none", cda.returncode == 1 and "no HL7 v2 message" in cda.stderr, cda.stderr)
    out = s.run("map", "--mapping", os.path.join(ROOT, "mappings/fhir"), os.path.join(ROOT, "mappings/fhir/cases/bundle-delete/in.json"))
    tap.check("dari map on a Bundle: events, and the entry that gives none", out.returncode == 1 and
              json.loads(out.stdout)["type"] == "patient.registered" and "#2: Bundle.entry[1]: unsupported" in out.stderr, out.stderr)
    out = s.run("map", "--mapping", os.path.join(ROOT, "mappings/local-xml"),
                os.path.join(ROOT, "mappings/local-xml/cases/euc-kr/in.xml"))
    tap.check("dari map on XML in EUC-KR", out.returncode == 0 and json.loads(out.stdout)["data"]["dept"] == "똠방과", out.stdout)


def published(tap, s):
    """Every published document reconciles."""
    if not os.path.isdir(CORPUS):
        tap.skip("the corpus reconciles", "no corpus at " + CORPUS)
        return
    for feed, folder in (("cda", "cda"), ("fhir", "fhir-xml")):
        names = sorted(n for n in os.listdir(os.path.join(CORPUS, folder)) if n.endswith(".xml"))
        for n in names:
            drop(s, feed, "c-" + n, read(CORPUS, folder, n))
        wait_for("all of " + folder, lambda: not os.listdir(os.path.join(s.home, feed, "in")), 240)
        out = wait_for("the end of " + folder, lambda: (lambda l: l if all(b["state"] != "reading" for b in l) else None)(
            json.loads(s.run("batch", "list", "--feed", feed, "--limit", "1000", "--json", check=True).stdout)), 120)
        got = [b for b in out if "c-" in b["name"]]
        tap.check(f"{folder}: {len(names)} documents, every sum holds", got and all(adds_up(b) for b in got) and
                  sum(b["again"] for b in out) + len(got) >= len(names), [b for b in got if not adds_up(b)])


def test(tap):
    with Site("documents", feeds=FEEDS) as s:
        for feed in ("fhir", "cda"):
            for f in ("in", "work", "archive", "error"):
                os.makedirs(os.path.join(s.home, feed, f))
        s.start()
        commands(tap, s)
        over_mllp(tap, s, s.mllp())
        files(tap, s)
        repair(tap, s)
        shown(tap, s)
        hostile(tap, s)
        published(tap, s)
        ledger = s.run("ledger", "verify")
        tap.equal("the ledger verifies", ledger.returncode, 0)


main(test)
