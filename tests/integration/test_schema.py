"""dari schema: an independent validator holds every event of the mapping cases, and those of a whole house's day,
against the strict schema of its type; references of the AsyncAPI document lead somewhere."""
import copy
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, Site, main, messages, wait_for  # noqa: E402

try:
    import jsonschema
except ImportError:
    jsonschema = None

CATALOGUE = os.path.join(ROOT, "mappings/catalogue.xml")
MAPPINGS = os.path.join(ROOT, "mappings/hl7v2")


def dari(*words):
    p = subprocess.run([DARI, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    return p.returncode, p.stdout, p.stderr


class Schemas:
    """All schemas of one form, as validators."""

    def __init__(self, folder, *words):
        status, out, err = dari("schema", "--catalogue", CATALOGUE, "--out", folder, *words)
        assert status == 0 and not out, err
        self.of = {}
        for path in glob.glob(folder + "/schemas/*.json"):
            with open(path, encoding="utf-8") as f:
                document = json.load(f)
            jsonschema.Draft202012Validator.check_schema(document)
            jsonschema.Draft7Validator.check_schema(document)
            self.of[os.path.basename(path)[:-5]] = jsonschema.Draft202012Validator(
                document, format_checker=jsonschema.FormatChecker())

    def problems(self, event):
        return [f"{event['type']}: {'.'.join(map(str, e.absolute_path))}: {e.message}"
                for e in self.of[event["type"]].iter_errors(event)]


def refusals(tap, strict, open_, event):
    """What the two forms say of an event that is not right; `event` is a valid patient.registered."""
    rows = [("an unknown member of the payload", lambda v: v["data"].update(more=1), 1, 0),
            ("an unknown attribute", lambda v: v.update(more=1), 1, 0),
            ("a code that the catalogue does not list", lambda v: v["data"].update(sex="divers"), 1, 0),
            ("a required field left out", lambda v: v["data"].pop("chart_no"), 1, 0),
            ("null where the catalogue has none", lambda v: v["data"].update(chart_no=None), 1, 1),
            ("null where it has", lambda v: v["data"].update(name=None, sex=None), 0, 0),
            ("a day that is none", lambda v: v["data"].update(birth_on="1980-02-31"), 1, 1),
            ("an item without what it needs", lambda v: v["data"]["phones"][0].pop("e164"), 1, 1),
            ("no subject", lambda v: v.pop("subject"), 1, 1),
            ("a subject that is no key", lambda v: v.update(subject="0012345"), 1, 1),
            ("another dataschema", lambda v: v.update(dataschema="urn:dari:event:patient.registered:9"), 1, 1)]
    for name, change, in_strict, in_open in rows:
        v = copy.deepcopy(event)
        change(v)
        tap.equal("strict: " + name, bool(strict.problems(v)), bool(in_strict))
        tap.equal("open: " + name, bool(open_.problems(v)), bool(in_open))


def check_all(tap, name, schemas, events):
    found = [p for v in events for p in schemas.problems(v)]
    tap.check(f"{name} ({len(events)} events, {len({v['type'] for v in events})} types)", events and not found,
              "\n".join(found[:10]))


def asyncapi(tap, folder):
    status, out, err = dari("schema", "--asyncapi", "--catalogue", CATALOGUE, "--out", folder)
    tap.check("asyncapi.json and its schemas are written", status == 0 and not out, err)
    with open(folder + "/asyncapi.json", encoding="utf-8") as f:
        document = json.load(f)
    lost = []

    def walk(node):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node if isinstance(node, list) else []):
            if key == "$ref" and value.startswith("#/"):
                there = document
                for step in value[2:].split("/"):
                    there = there.get(step) if isinstance(there, dict) else None
                if there is None:
                    lost.append(value)
            elif key == "$ref" and not os.path.isfile(os.path.join(folder, value)):
                lost.append(value)
            else:
                walk(value)
    walk(document)
    tap.equal("every reference leads somewhere", lost, [])
    tap.equal("printed, it is the same", json.loads(dari("schema", "--asyncapi", "--catalogue", CATALOGUE)[1]), document)
    types = [line.split()[0] for line in dari("schema", "--catalogue", CATALOGUE)[1].splitlines()]
    tap.equal("a message per type of the catalogue", list(document["components"]["messages"]), types)


def usage(tap):
    for words in (["--strict", "--asyncapi"], ["a", "b"], ["--no-such"]):
        status, out, err = dari("schema", *words)
        tap.check(f"usage: {words}", status == 2 and not out and err, (status, out, err))
    status, out, err = dari("schema", "no.such", "--catalogue", CATALOGUE)
    tap.check("no such type", status == 1 and not out and "no.such" in err, err)
    status, out, err = dari("schema", "visit.arrived", "--catalogue", CATALOGUE)
    tap.check("one type is printed", status == 0 and json.loads(out)["$id"] == "urn:dari:event:visit.arrived:1", err)


def house(tap, strict):
    """Events of feed, segment and messaging, numbered, as a consumer of the contract `internal` gets them."""
    demo = sorted(glob.glob(os.path.join(ROOT, "deploy/demo/*.hl7")))
    with Site("schema", clock="2026-03-09T08:50:00+09:00") as s:
        s.start()
        m = s.mllp()
        for path in demo:
            for message in messages(path):
                m.ask(message)
        s.clock("2026-03-13T10:00:00+09:00")
        for what in "segment.entered", "message.requested":
            wait_for(what, lambda: s.one(f"SELECT count(*) FROM dari.event WHERE type = '{what}'") != "0")
        out = s.run("tail", "--from", "first", "--config", s.config, check=True).stdout
    events = [json.loads(line) for line in out.splitlines()]
    check_all(tap, "a day of a whole house is valid", strict, events)
    tap.check("numbered ones", all("sequence" in v for v in events))


def test(tap):
    usage(tap)
    folder = tempfile.mkdtemp()
    try:
        asyncapi(tap, folder + "/a")
        if not jsonschema:
            tap.skip("events against their schemas", "python3-jsonschema is not installed")
            return
        open_ = Schemas(folder + "/open")
        strict = Schemas(folder + "/strict", "--strict")
        cases = sorted(glob.glob(MAPPINGS + "/cases/*/in.hl7"))
        _, out, _ = dari("map", "--mapping", MAPPINGS, *cases)
        events = [json.loads(line) for line in out.splitlines()]
        check_all(tap, "every event of the mapping cases is valid, strictly", strict, events)
        check_all(tap, "and openly", open_, events)
        refusals(tap, strict, open_, next(v for v in events if v["type"] == "patient.registered" and
                                          v["data"].get("phones") and "name" in v["data"]))
        house(tap, strict)
    finally:
        shutil.rmtree(folder)


main(test)
