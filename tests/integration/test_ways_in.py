#!/usr/bin/python3
"""Every file of the public corpus comes in through the feed that fits it, and adds up: read = mapped + ignored + unchanged +
rejected + duplicates for each. Skipped where the corpus is not there."""
import csv
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import CORPUS, ROOT, Site, main, messages, wait_for  # noqa: E402

# Exports of other countries: a mapping of the test's own, with one event, for whatever names a patient.
TABLE = """<?xml version="1.0" encoding="UTF-8"?>
<mapping name="any-table" version="1" format="table" xmlns="urn:dari:mapping:1">
  <for message="row^*"/>
  <columns><column name="chart_no"><alias header="PATIENT"/><alias header="patient_id"/><alias header="Id"/></column></columns>
  <patient from="chart_no"/>
  <ignore when="{chart_no} is not set" reason="names no patient"/>
  <event type="patient.registered"><field name="chart_no" from="chart_no"/></event>
</mapping>
"""
WAYS = {"hl7v2": "{root}/mappings/hl7v2", "hl7v2-batch": "{root}/mappings/hl7v2", "hl7v2-xml": "{root}/mappings/hl7v2",
        "cda": "{root}/mappings/cda", "fhir-xml": "{root}/mappings/fhir", "csv": "{root}/var/test/ways-in/any.xml"}
FEED = """
  <feed name="{name}" adapter="files" mapping="{mapping}" charset-fallback="latin1">
    <files folder="{{home}}/{name}/in" work="{{home}}/{name}/work" archive="{{home}}/{name}/archive" error="{{home}}/{name}/error"
           reply="{{home}}/{name}/reply" scan="100ms" min-age="0s" exclude="*.tsv"/>
  </feed>
"""


def way_of(folder, name):
    if folder != "malformed":
        return folder
    if name.endswith(".hl7"):
        return "hl7v2"
    if name.endswith(".csv"):
        return "csv"
    text = open(os.path.join(CORPUS, folder, name), "rb").read(4000)
    return "hl7v2-xml" if b"v2xml" in text else "fhir-xml" if b"hl7.org/fhir" in text else "cda"


def files():
    """(way, path, name in the feed's folder)"""
    for folder in sorted(os.listdir(CORPUS)):
        for top, _, names in os.walk(os.path.join(CORPUS, folder)) if folder in WAYS or folder == "malformed" else []:
            for name in sorted(names):
                if not name.endswith((".tsv", ".md", ".txt")) or folder == "hl7v2":
                    if not name.endswith(".tsv"):
                        yield way_of(folder, name), os.path.join(top, name), f"{folder}--{name}"


def rows(path):
    """Data rows of a clean CSV, counted by another reader; None where a person would not be sure either."""
    text = open(path, "rb").read()
    try:
        table = [r for r in csv.reader(text.decode("utf-8-sig").splitlines(keepends=True)) if any(c.strip() for c in r)]
    except (UnicodeDecodeError, csv.Error):
        return None
    return len(table) - 1 if len({len(r) for r in table}) == 1 else None


def expected(way, path):
    if "malformed" in path:
        return None
    text = open(path, "rb").read()
    if way == "csv":
        return rows(path) if "synthea" in path or "patient-upload" in path else None
    if way in ("cda", "hl7v2-xml"):
        return 1
    if way == "fhir-xml":
        return None if re.search(rb"<(\w+:)?Bundle", text) else 1
    return len(messages(path)) or 1 if b"\x00" not in text else None


def test(tap):
    if not os.path.isdir(CORPUS):
        tap.skip("the corpus through its feeds", "there is no corpus here")
        return
    own = os.path.join(ROOT, "var", "test", "ways-in")
    os.makedirs(own, exist_ok=True)
    with open(os.path.join(own, "any.xml"), "w", encoding="utf-8") as f:
        f.write(TABLE)
    feeds = "".join(FEED.format(name=n, mapping=m) for n, m in WAYS.items())
    with Site("ways-in", feeds=feeds) as s:
        for way in WAYS:
            for sub in ("in", "work", "archive", "error", "reply"):
                os.makedirs(os.path.join(s.home, way, sub))
        sent = {}
        for way, path, name in files():
            shutil.copyfile(path, os.path.join(s.home, way, "in", name))
            sent[way, name] = path
        s.start()

        def left():
            return [n for w in WAYS for top, _, names in os.walk(os.path.join(s.home, w)) for n in names
                    if os.path.basename(top) == "in" or "/working/" in top + "/"]
        wait_for("all of them", lambda: not left(), 300)
        batches = json.loads(s.run("batch", "list", "--limit", "100000", "--json", check=True).stdout)
        tap.check(f"{len(sent)} files, {len(batches)} contents: none is still being read", all(b["state"] != "reading" for b in batches))
        again = sum(b["again"] for b in batches)
        tap.equal("files = contents + repetitions", len(sent), len(batches) + again)
        wrong = [b["name"] for b in batches
                 if b["read"] != b["mapped"] + b["ignored"] + b["unchanged"] + b["rejected"] + b["duplicates"]]
        tap.equal("each adds up", wrong, [])
        by_name = {(b["feed"], os.path.basename(b["name"])): b for b in batches}
        odd = []
        for (way, name), path in sent.items():
            b, want = by_name.get((way, name)), expected(way, path)
            if b and b["state"] == "taken" and want is not None and b["read"] != want:
                odd.append((name, b["read"], want))
        tap.equal("as many messages as another reader counts", odd, [])
        refused = sorted(n for (w, n), b in by_name.items() if b["state"] == "refused" and not n.startswith(("malformed", "csv--delimited")))
        tap.equal("nothing that is well formed is refused as a whole", refused, [])
        for way in WAYS:
            mine = [b for b in batches if b["feed"] == way]
            print(f"# {way}: {len(mine)} files, read {sum(b['read'] for b in mine)}, mapped {sum(b['mapped'] for b in mine)}, ignored "
                  f"{sum(b['ignored'] for b in mine)}, rejected {sum(b['rejected'] for b in mine)}, duplicates "
                  f"{sum(b['duplicates'] for b in mine)}, refused {sum(b['state'] == 'refused' for b in mine)}", flush=True)
        tap.equal("messages in the store = read - duplicates", int(s.one("SELECT count(*) FROM dari.message WHERE feed <> 'emr'")),
                  sum(b["read"] - b["duplicates"] for b in batches))
        tap.equal("the ledger verifies", s.run("ledger", "verify", timeout=300).returncode, 0)


main(test)
