"""The ledger with a real PostgreSQL: the steward seals and signs, dari and the independent program agree that
it is whole, and both see every kind of tampering."""
import base64
import datetime
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, Tap  # noqa: E402

VERIFY = os.path.join(ROOT, "deploy/verify-ledger.py")
SITE = "clinic"
tap = Tap()


def ok(good, name, detail=""):
    tap.check(name, good, detail)


class Bench:
    """A folder with keys, a configuration and a private PostgreSQL."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="dari ledger ")
        os.chmod(self.home, 0o755)
        self.config = os.path.join(self.home, "dari.xml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG)
        os.makedirs(self.path("mappings"))
        shutil.copy(os.path.join(ROOT, "mappings/catalogue.xml"), self.path("mappings"))
        shutil.copytree(os.path.join(ROOT, "config/contracts"), self.path("contracts"))
        self.env = {k: v for k, v in os.environ.items() if k not in ("DARI_CLOCK", "DARI_CONFIG")}
        started = subprocess.run(["sh", os.path.join(ROOT, "deploy/postgres.sh"), "start", self.path("postgres")],
                                 stdout=subprocess.PIPE, check=True, text=True)
        self.conninfo = started.stdout.strip().splitlines()[-1]
        self.steward = None

    def path(self, name):
        return os.path.join(self.home, name)

    def dari(self, *words):
        return subprocess.run([DARI, *words, "--config", self.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env=self.env, cwd=self.home)

    def sql(self, text):
        done = subprocess.run(["psql", self.conninfo, "-qAtX", "-v", "ON_ERROR_STOP=1", "-f", "-"], input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def start_steward(self):
        log = open(self.path("steward.log"), "ab")
        self.steward = subprocess.Popen([DARI, "run", "--only", "steward", "--config", self.config], stdout=log,
                                        stderr=log, env=self.env, cwd=self.home)

    def stop_steward(self):
        if self.steward:
            self.steward.send_signal(signal.SIGTERM)
            self.steward.wait(timeout=30)
            self.steward = None

    def log(self):
        with open(self.path("steward.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self, condition, what):
        end = time.monotonic() + 60
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"waited in vain for {what}\n{self.log()}")
            time.sleep(0.05)

    def close(self):
        self.stop_steward()
        subprocess.run(["sh", os.path.join(ROOT, "deploy/postgres.sh"), "drop", self.path("postgres")],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.home, ignore_errors=True)


CONFIG = f"""<?xml version="1.0" encoding="UTF-8"?>
<dari xmlns="urn:dari:config:1" home=".">
  <site id="{SITE}" name="Clinic" zone="Asia/Seoul" phone="02-123-4567" sender="021234567"/>
  <keys folder="keys"/>
  <database conninfo-file="postgres/conninfo" migrate="no"/>
  <run folder="run"/>
  <relay local="run/relay" contracts="contracts"/>
  <segments folder="segments"/>
  <messaging journeys="journeys" templates="templates" channel="file" outbox="outbox"/>
  <steward tick="100ms" checkpoint-entries="100" checkpoint-every="1s"/>
</dari>
"""


def key(*words):
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    bits = int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:16], "big") << 2
    return "".join(digits[bits >> s & 31] for s in range(125, -1, -5))


def array(values, kind, quote=True):
    def one(v):
        if v is None:
            return "NULL"
        return "'" + str(v).replace("'", "''") + "'" if quote else str(v)
    return "ARRAY[" + ",".join(one(v) for v in values) + f"]::{kind}[]"


def table(rows, kind, quote=True):
    """An array of two dimensions."""
    return "ARRAY[" + ",".join(array(r, kind, quote) for r in rows) + f"]::{kind}[]"


def commit_group(first, count, at="2026-03-11T09:00:00+09:00"):
    """Messages first .. first + count - 1, each with 0 to 3 events, as intake commits them."""
    n = range(first, first + count)
    events = [(i, k) for i in n for k in range(i % 4)]
    ids = [hashlib.sha256(b"%d" % i).digest()[:16] for i in n]

    def event_digest(i, k):
        time = int(datetime.datetime.fromisoformat(at).timestamp()) * 1000000
        text = f"{key('event', i, k)}\npatient.updated\n{key('patient', i % 7)}\n{time}\nfeed:emr\n\nadt@1\nf\n{{}}\n"
        return hashlib.sha256(text.encode() + (b"" if k else b"\xbe\xef")).digest()

    def digest(i):
        return hashlib.sha256(b"".join(event_digest(i, k) for k in range(i % 4))).hexdigest() if i % 4 else "-"

    def line(i):
        sealed = f"C{i}\nADT^A08\nutf-8\n".encode() + i.to_bytes(4, "big")
        return f" id={ids[i - first].hex()} digest={hashlib.sha256(sealed).hexdigest()} state=mapped reply=AA mapping=adt@1"
    texts = [(f"C{i}", "ADT^A08", "mapped", None, None, "adt@1", key("patient", i % 7), "utf-8", line(i), digest(i)) for i in n]
    raw = [("\\x" + ids[i - first].hex(), f"\\x{i:08x}", "\\x41") for i in n]
    numbers = [(0, 100, i % 4, sum(j % 4 for j in range(first, i))) for i in n]
    e_texts = [(key("event", i, k), "patient.updated", key("patient", i % 7), "adt@1", "{}") for i, k in events]
    return (f"SELECT count(*) FROM dari.commit_group('{SITE}', 'emr', '{at}'," + table(texts, "text") + ","
            + table(raw, "bytea") + "," + table(numbers, "int", False) + ", NULL, NULL,"
            + array([count, 0, 0, 0], "bigint", False) + "," + table(e_texts, "text") + ","
            + table([(i - first + 1, 0) for i, _ in events], "int", False) + ","
            + array([at] * len(events), "timestamptz") + ","
            + array([None if k else "\\xbeef" for _, k in events], "bytea") + ");\n")


def label(b, name):
    """Of a contract as its file is now."""
    with open(b.path(f"contracts/{name}.xml"), "rb") as f:
        return f"{name}@1:{hashlib.sha256(f.read()).hexdigest()}"


def deliver(consumer, contract, first, last, events):
    return (f"INSERT INTO dari.delivery SELECT '{SITE}', '2026-03-11', '{consumer}', {last}, {first}, {events}, "
            f"'{contract}', 1, '2026-03-11T00:06:00Z', dari.ledger_append('{SITE}', '2026-03-11T00:06:00Z', "
            f"'delivered site={SITE} consumer={consumer} epoch=1 first={first} last={last} events={events} "
            f"contract={contract} claimed=-');\n")


def append(cause, ident, kind, event_type, data="{}", at="2026-03-11T09:05:00+09:00"):
    return (f"SELECT dari.append_events('{SITE}', 'role:segment', '{at}', NULL, NULL, '{kind}',"
            + array([ident], "text") + "," + array([event_type], "text") + "," + array([key("patient", 1)], "text")
            + "," + array([at], "timestamptz") + "," + array([cause], "text") + "," + array(["false"], "boolean")
            + "," + array([data], "text") + "," + array([None], "bytea") + ");\n")


def independent(export, pub, *anchors):
    words = [w for a in anchors for w in ("--anchor", a)]
    return subprocess.run([sys.executable, VERIFY, *words, export, pub], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


def prepare(b):
    done = b.dari("keys", "init")
    ok(done.returncode == 0, "keys are made", done.stderr)
    done = b.dari("db", "migrate")
    ok(done.returncode == 0, "the schema is there", done.stderr)
    done = b.dari("ledger", "verify")
    ok(done.returncode == 0 and "0 entries" in done.stdout, "an empty ledger verifies", done.stdout + done.stderr)


def fill_and_seal(b):
    """Entries arrive while the steward is running, is killed, and runs again."""
    b.start_steward()
    rng = random.Random(11)
    first = 1
    while first < 700:
        count = min(rng.randint(1, 60), 700 - first)
        again = min(first - 1, rng.randint(0, 3))  # some of a group came before
        b.sql(commit_group(first - again, count + again))
        first += count
        if rng.random() < 0.2:
            child = b.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'dari steward' LIMIT 1")
            if child:
                b.sql(f"SELECT pg_terminate_backend({child})")
    b.sql(commit_group(1, 20))  # the same again: nothing new
    cause = key("event", 1, 0)
    b.sql(append(cause, key("segment"), "derived", "segment.entered"))
    b.sql(append(key("segment"), key("request"), "derived", "message.requested",
                 json.dumps({"message_key": key("plan")}, separators=(",", ":"))))
    b.sql(append(key("request"), key("handed"), "handed", "message.status_changed",
                 json.dumps({"message_key": key("plan"), "status": "sent"}, separators=(",", ":"))))
    b.sql(f"INSERT INTO dari.plan (site, id, journey, step, appointment, version, patient, class, channel, template, "
          f"cause, planned_at, due_at, state, done_at) VALUES ('{SITE}', '{key('plan')}', 'JN01', 'D-1', 'a', 1, 'p', "
          f"'info', 'sms', 't', '{key('segment')}', now(), now(), 'sent', now()), ('{SITE}', '{key('waiting')}', 'JN01', "
          f"'D-3', 'a', 1, 'p', 'info', 'sms', 't', '{key('segment')}', now(), now(), 'planned', NULL)")
    b.sql(deliver("own", label(b, "internal"), 1, 10, 10))
    b.sql(deliver("basic", label(b, "crm-basic"), 1, 10, 4))  # not patient.updated
    b.sql(deliver("vendor", "vendor@1:ab", 1, 10, 10))
    total = int(b.sql(f"SELECT ledger FROM dari.stream WHERE site = '{SITE}'"))
    b.wait(lambda: b.sql(f"SELECT max(size) FROM dari.checkpoint WHERE site = '{SITE}'") == str(total),
           "the last checkpoint")
    b.stop_steward()
    ok("ledger.refused" not in b.log(), "the steward had nothing to refuse", b.log())
    return total


def whole(b, total):
    done = b.dari("ledger", "verify", "--json")
    report = json.loads(done.stdout or "{}")
    ok(done.returncode == 0 and report["entries"] == total and report["sealed"] == total,
       "dari verifies the database", done.stdout + done.stderr)
    ok(report["messages"] == 699 and report["events"] > 700, "messages and events were compared", done.stdout)
    ok(report["checkpoints"] > 2, "there are several checkpoints", done.stdout)
    done = b.dari("ledger", "export", "--out", b.path("export"))
    ok(done.returncode == 0, "the ledger is exported", done.stderr)
    done = b.dari("ledger", "verify", "--file", b.path("export"))
    ok(done.returncode == 0, "dari verifies the export", done.stdout + done.stderr)
    done = subprocess.run([DARI, "ledger", "verify", "--file", b.path("export"), "--key", b.path("keys/ledger.pub")],
                          stdout=subprocess.PIPE, text=True, cwd="/")
    ok(done.returncode == 0, "... also without a configuration", done.stdout)
    done = independent(b.path("export"), b.path("keys/ledger.pub"))
    ok(done.returncode == 0 and f"{total} entries sealed" in done.stdout, "the independent program agrees",
       done.stdout + done.stderr)
    with open(b.path("anchor"), "w", encoding="utf-8") as f:
        f.write(b.sql(f"SELECT note FROM dari.checkpoint WHERE size = {total}") + "\n")
    done = b.dari("ledger", "verify", "--anchor", b.path("anchor"))
    ok(done.returncode == 0, "the database fits what a vendor kept", done.stderr)
    done = independent(b.path("export"), b.path("keys/ledger.pub"), b.path("anchor"))
    ok(done.returncode == 0, "the export fits what a vendor kept", done.stdout)


def entry_lines(lines):
    return [i for i, l in enumerate(lines) if l.startswith("entry ")]


def tampered_exports(b, total):
    with open(b.path("export"), encoding="utf-8") as f:
        lines = f.read().splitlines(True)
    middle = entry_lines(lines)[total // 2]
    last_checkpoint = max(i for i, l in enumerate(lines) if l.startswith("checkpoint "))

    def renumber(changed):
        """As somebody would who wants the numbers to look right."""
        n, out = 0, []
        for l in changed:
            if l.startswith("entry "):
                n += 1
                l = re.sub(r"^entry \d+ ", f"entry {n} ", l)
                l = re.sub(r" idx=\d+$", f" idx={n}", l.rstrip("\n")) + "\n"
            elif l.startswith("end "):
                l = f"end {n}\n"
            out.append(l)
        return out

    def edit(l):
        return l.replace("reply=AA", "reply=AE")

    def swapped():
        out = lines[:]
        out[middle], out[middle + 1] = out[middle + 1], out[middle]
        return out

    def forged_note():
        out = lines[:]
        words = out[last_checkpoint].split(" ")
        note = bytearray(base64.b64decode(words[3]))
        note[-10] = ord("A") if note[-10] != ord("A") else ord("B")
        words[3] = base64.b64encode(bytes(note)).decode() + "\n"
        out[last_checkpoint] = " ".join(words)
        return out

    assert edit(lines[middle]) != lines[middle] and lines[middle + 1].startswith("entry ")
    cut = lines[:last_checkpoint - 5] + [f"end {len(entry_lines(lines[:last_checkpoint - 5]))}\n"]
    kinds = {
        "an edited entry": lines[:middle] + [edit(lines[middle])] + lines[middle + 1:],
        "a deleted entry": lines[:middle] + lines[middle + 1:],
        "a deleted entry, numbers made to fit": renumber(lines[:middle] + lines[middle + 1:]),
        "an inserted entry": lines[:middle] + [lines[middle]] + lines[middle:],
        "an inserted entry, numbers made to fit": renumber(lines[:middle] + [lines[middle]] + lines[middle:]),
        "two entries swapped": swapped(),
        "two entries swapped, numbers made to fit": renumber(swapped()),
        "a cut off file": lines[:middle],
        "half a line": lines[:-1] + [lines[-1][:-1]],
        "a changed signature": forged_note(),
        "a removed entry before a kept checkpoint": lines[:last_checkpoint - 1] + lines[last_checkpoint:],
    }
    for name, changed in kinds.items():
        with open(b.path("changed"), "w", encoding="utf-8") as f:
            f.writelines(changed)
        ours = b.dari("ledger", "verify", "--file", b.path("changed"))
        other = independent(b.path("changed"), b.path("keys/ledger.pub"))
        ok(ours.returncode == 1 and other.returncode == 1, f"export: {name} is seen by both",
           ours.stdout + ours.stderr + other.stdout + other.stderr)
    with open(b.path("changed"), "w", encoding="utf-8") as f:
        f.writelines(cut)
    ours = b.dari("ledger", "verify", "--file", b.path("changed"), "--anchor", b.path("anchor"))
    other = independent(b.path("changed"), b.path("keys/ledger.pub"), b.path("anchor"))
    ok(ours.returncode == 1 and other.returncode == 1, "export: a tail cut off cleanly is seen with an anchor",
       ours.stdout + ours.stderr + other.stdout)


def other_key(b):
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", b.path("other.key")], check=True,
                   stderr=subprocess.DEVNULL)
    subprocess.run(["openssl", "pkey", "-in", b.path("other.key"), "-pubout", "-out", b.path("other.pub")], check=True)
    ours = b.dari("ledger", "verify", "--file", b.path("export"), "--key", b.path("other.pub"))
    other = independent(b.path("export"), b.path("other.pub"))
    ok(ours.returncode == 1 and other.returncode == 1, "another key verifies nothing", ours.stderr + other.stdout)


def tampered_rows(b, total):
    """Each change is made, seen, and taken back by restoring the copied tables."""
    tables = ("ledger", "ledger_tile", "checkpoint", "stream", "message", "event", "delivery")
    for t in tables:
        b.sql(f"CREATE TABLE public.kept_{t} AS SELECT * FROM dari.{t}")
    m = total // 2
    one = f"site = '{SITE}' AND idx = {m}"
    changes = [
        ("an edited entry", f"UPDATE dari.ledger SET body = replace(body, 'reply=AA', 'reply=AE') WHERE {one}", m),
        ("a deleted entry", f"DELETE FROM dari.ledger WHERE {one}", m),
        ("a deleted first entry", f"DELETE FROM dari.ledger WHERE site = '{SITE}' AND idx = 1", 1),
        ("an inserted entry", f"INSERT INTO dari.ledger SELECT site, idx, day + 1, body FROM dari.ledger WHERE {one}", m),
        ("swapped entries", f"UPDATE dari.ledger SET body = (SELECT replace(o.body, ' idx=' || o.idx, ' idx=' || "
         f"ledger.idx) FROM dari.ledger o WHERE o.site = ledger.site AND o.idx = {2 * m + 1} - ledger.idx) "
         f"WHERE site = '{SITE}' AND idx IN ({m}, {m + 1})", m),
        ("a cut off tail", f"DELETE FROM dari.ledger WHERE site = '{SITE}' AND idx > {total - 3}", total - 2),
        ("a cut off tail, heads and checkpoints made to fit", f"DELETE FROM dari.ledger WHERE site = '{SITE}' AND idx > "
         f"{total - 1}; DELETE FROM dari.checkpoint WHERE size > {total - 1}; UPDATE dari.stream SET ledger = {total - 1}",
         total),
        ("an edited entry with its leaf", f"UPDATE dari.ledger SET body = replace(body, 'reply=AA', 'reply=AE') WHERE {one}; "
         f"UPDATE dari.ledger_tile t SET hashes = overlay(hashes PLACING (SELECT sha256('\\x00'::bytea || "
         f"convert_to(body, 'UTF8')) FROM dari.ledger WHERE {one}) FROM {(m - 1) % 256 * 32 + 1} FOR 32) "
         f"WHERE level = 0 AND tile = {(m - 1) // 256}", None),
        ("a changed root", f"UPDATE dari.checkpoint SET note = replace(note, substring(note from E'\\n(.)[^\\n]*\\n\\n'), "
         f"'_') WHERE size = {total}", None),
        ("a changed message", "UPDATE dari.message SET sealed = '\\xff' WHERE control_id = 'C100'", 100),
        ("a deleted message", "DELETE FROM dari.message WHERE control_id = 'C101'", 101),
        ("a changed event", f"UPDATE dari.event SET data = '{{\"a\":1}}' WHERE id = '{key('event', 102, 0)}'", 102),
        ("an event's time", f"UPDATE dari.event SET time = time + interval '1 day' WHERE id = '{key('event', 102, 0)}'", 102),
        ("an event's source", f"UPDATE dari.event SET source = 'feed:x' WHERE id = '{key('event', 102, 0)}'", 102),
        ("an event's mapping", f"UPDATE dari.event SET mapping = 'x@1' WHERE id = '{key('event', 102, 0)}'", 102),
        ("an event's cause", f"UPDATE dari.event SET cause = 'x' WHERE id = '{key('event', 102, 0)}'", 102),
        ("an event's test mark", f"UPDATE dari.event SET test = true WHERE id = '{key('event', 102, 0)}'", 102),
        ("an event's message", f"UPDATE dari.event SET message_no = 1 WHERE id = '{key('event', 102, 0)}'", 102),
        ("when an event was recorded", f"UPDATE dari.event SET recorded_at = now() WHERE id = '{key('event', 102, 0)}'", 102),
        ("a message's control id", "UPDATE dari.message SET control_id = 'x' WHERE control_id = 'C104'", 104),
        ("a message's state", "UPDATE dari.message SET state = 'ignored' WHERE control_id = 'C104'", 104),
        ("when a message came", "UPDATE dari.message SET received_at = now() WHERE control_id = 'C104'", 104),
        ("a deleted event", f"DELETE FROM dari.event WHERE id = '{key('event', 103, 1)}'", 103),
        ("a hidden delivery", "DELETE FROM dari.delivery WHERE consumer = 'vendor'", total),
        ("a changed delivery", "UPDATE dari.delivery SET consumer = 'other' WHERE consumer = 'own'", total - 2),
        ("a shortened delivery", "UPDATE dari.delivery SET first_seq = 2 WHERE consumer = 'basic'", total - 1),
        ("an invented delivery", "INSERT INTO dari.delivery SELECT site, day, 'ghost', last_seq, first_seq, events, contract, "
         "epoch, acked_at, ledger FROM dari.delivery WHERE consumer = 'own'", None),
        ("another patient's event", f"UPDATE dari.event SET subject = '{key('x')}' WHERE id = '{key('event', 105, 0)}'", 105),
    ]
    for name, sql, wrong in changes:
        b.sql("BEGIN;" + sql + "; COMMIT;")
        anchored = ("--anchor", b.path("anchor")) if "made to fit" in name else ()
        done = b.dari("ledger", "verify", "--json", *anchored)
        report = json.loads(done.stdout or "{}")
        told = wrong is None or report.get("first_wrong") == wrong
        ok(done.returncode == 1 and told, f"database: {name} is seen" + (f", entry {wrong} named" if wrong else ""),
           done.stdout + done.stderr)
        b.sql("BEGIN;" + "".join(f"DELETE FROM dari.{t}; INSERT INTO dari.{t} SELECT * FROM public.kept_{t};"
                                 for t in tables) + "COMMIT;")
    done = b.dari("ledger", "verify")
    ok(done.returncode == 0, "database: restored, it verifies again", done.stdout + done.stderr)


def beside_partitions(b):
    """The ledger is verified while partitions are being added, which has come as far as the first table."""
    adds = subprocess.Popen(["psql", b.conninfo, "-qAtX", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    adds.stdin.write("BEGIN; LOCK TABLE dari.message IN ACCESS EXCLUSIVE MODE;\n\\echo has it\n")
    adds.stdin.flush()
    adds.stdout.readline()
    verify = subprocess.Popen([DARI, "ledger", "verify", "--config", b.config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=b.env, cwd=b.home)
    b.wait(lambda: b.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1", "dari ledger verify to wait")
    said = adds.communicate("SELECT dari.make_partitions('2031-01-01', 1);\nCOMMIT;\n")[0]
    out = verify.communicate()[0]
    ok(verify.returncode == 0 and adds.returncode == 0 and said == "4\n", "it verifies while partitions are added", said + out)


def steward_refuses(b, total):
    """A gap, and a tree that was changed since it was signed, are not signed over."""
    b.sql(f"UPDATE dari.stream SET ledger = ledger + 1 WHERE site = '{SITE}'")
    b.sql(commit_group(700, 5))
    b.start_steward()
    b.wait(lambda: "ledger.gap" in b.log(), "ledger.gap")
    b.stop_steward()
    ok(b.sql(f"SELECT max(size) FROM dari.checkpoint") == str(total), "the steward does not seal over a gap")
    b.sql(f"UPDATE dari.ledger SET idx = idx - 1, body = replace(body, ' idx=' || idx, ' idx=' || idx - 1) "
          f"WHERE idx > {total}; UPDATE dari.stream SET ledger = ledger - 1; "
          f"UPDATE dari.ledger_tile SET hashes = set_byte(hashes, 5, 255 - get_byte(hashes, 5)) "
          f"WHERE level = 0 AND tile = (SELECT max(tile) FROM dari.ledger_tile WHERE level = 0)")
    b.start_steward()
    b.wait(lambda: "ledger.fork" in b.log(), "ledger.fork")
    b.stop_steward()
    ok(b.sql(f"SELECT max(size) FROM dari.checkpoint") == str(total), "the steward does not sign a changed tree")


def trace(b):
    for name, ident in (("a control id", "C1"), ("a message id", hashlib.sha256(b"1").digest()[:16].hex()),
                        ("an event id", key("segment")), ("a plan", key("plan")),
                        ("a plan that still waits", key("waiting")), ("an event's number", "#1")):
        done = b.dari("trace", ident, "--json")
        story = json.loads(done.stdout or '{"messages":[],"events":[]}')
        kinds = [e["type"] for e in story["events"]]
        ok(done.returncode == 0 and [m["type"] for m in story["messages"]] == ["ADT^A08"]
           and kinds == ["patient.updated", "segment.entered", "message.requested", "message.status_changed"]
           and all(e["ledger"] for e in story["events"]) and story["messages"][0]["ledger"] == 1
           and [(d["consumer"], d["sure"]) for d in story["deliveries"]] == [("own", True), ("vendor", False)]
           and all(d["ledger"] for d in story["deliveries"])
           and [(p["step"], p["state"]) for p in story["plans"]] in ([("D-1", "sent"), ("D-3", "planned")],
                                                                     [("D-3", "planned"), ("D-1", "sent")]),
           f"trace by {name} tells the whole story", done.stdout + done.stderr)
    done = b.dari("trace", "C1")
    ok(done.returncode == 0 and "in a range acknowledged by vendor" in done.stdout
       and "> acknowledged by own" in done.stdout and "ledger 1" in done.stdout,
       "trace prints a tree", done.stdout + done.stderr)
    done = b.dari("trace", "nothing")
    ok(done.returncode == 1 and len(done.stderr.splitlines()) == 1, "an unknown id is one line", done.stderr)
    done = b.dari("trace")
    ok(done.returncode == 2, "no id is wrong usage", done.stderr)
    done = b.dari("ledger", "flow", "--from", "2026-03-11", "--to", "2026-03-11")
    ok(done.returncode == 0 and "vendor under vendor@1:ab: got 10 events" in done.stdout
       and done.stdout.count("patient.updated") == 2, "flow counts what was got", done.stdout + done.stderr)
    done = b.dari("ledger", "flow", "--json")
    rows = {r["consumer"]: r for r in map(json.loads, done.stdout.splitlines())}
    ok(done.returncode == 0 and rows["own"]["types"] == {"patient.updated": 10} and rows["basic"]["types"] == {}
       and "types_in_range" in rows["vendor"], "flow as JSON", done.stdout + done.stderr)
    done = b.dari("ledger", "flow", "--from", "2026-03-12")
    ok(done.returncode == 0 and done.stdout == "", "flow keeps to the days", done.stdout + done.stderr)
    done = b.dari("ledger", "flow", "--from", "yesterday")
    ok(done.returncode == 2, "a day that is none is wrong usage", done.stderr)


def main():
    b = Bench()
    try:
        prepare(b)
        total = fill_and_seal(b)
        whole(b, total)
        trace(b)
        beside_partitions(b)
        tampered_exports(b, total)
        other_key(b)
        tampered_rows(b, total)
        steward_refuses(b, total)
    except Exception as e:  # a broken bench is a failed test, not a traceback alone
        ok(False, "the test runs to its end", repr(e))
    finally:
        b.close()
    return tap.done()


sys.exit(main())
