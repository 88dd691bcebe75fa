"""dari message: every search by an index and in one partition at a time; show marks the place; reprocess and diff."""
import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, code, main, wait_for  # noqa: E402

DAYS = ["2026-03-09", "2026-03-10", "2026-03-11", "2026-03-12", "2026-03-13"]
EACH = 12000


def adt(control, chart, event="A28", name="홍^길동", birth="19760617", more=""):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||ADT^{event}|{control}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|{event}|20260309090000\rPID|1||{chart}^^^HANBIT^MR||{name}||{birth}|M\r{more}").encode()


def lines(out):
    return [json.loads(l) for l in out.stdout.splitlines()]


def listed(s, *words):
    out = s.run("message", "list", "--json", *words)
    if out.returncode:
        raise RuntimeError(out.stderr)
    return [m["control_id"] for m in lines(out)]


def edit(path, old, new, count=1):
    text = open(path, encoding="utf-8").read()
    assert old in text, old
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, count))


def send_days(s):
    """One real message a day and patient, so that keys and seals are right."""
    m = s.mllp()
    for i, day in enumerate(DAYS):
        s.clock(f"{day}T10:00:00+09:00")
        for k in range(3):
            if code(m.ask(adt(f"D{i}-{k}", f"C{k}"))) != "AA":
                raise RuntimeError("refused")
    m.ask(adt("BAD", "C9", birth="hello"))
    m.ask(adt("BAD2", "", birth="19760617"))
    m.close()


def fill(s):
    """Many rows more for each day, which nobody will open: a plan shows itself only among many."""
    base = int(s.one("SELECT max(no) FROM dari.message"))
    s.sql(f"""
        INSERT INTO dari.feed_count (site, feed, day) SELECT 'hanbit', 'lab', d FROM unnest('{{{','.join(DAYS)}}}'::date[]) AS d;
        INSERT INTO dari.message (site, day, no, id, feed, received_at, control_id, type, state, patient, size, sealed, reply)
        SELECT 'hanbit', d.day, {base} + d.n * 100000 + i, decode(md5((d.n * 100000 + i)::text), 'hex'),
               CASE i % 5 WHEN 0 THEN 'lab' ELSE 'emr' END, d.day + interval '2 hours' + i * interval '2 seconds',
               'F' || d.n || '-' || i, CASE WHEN i % 3000 = 7 THEN 'ORU^R01' ELSE 'ADT^A08' END,
               CASE WHEN i % 4000 = 9 THEN 'ignored' ELSE 'mapped' END, 'p' || md5((i % 4000)::text), 500, '\\x00', '\\x00'
        FROM unnest('{{{','.join(DAYS)}}}'::date[]) WITH ORDINALITY AS d(day, n), generate_series(1, {EACH}) AS i;
        INSERT INTO dari.message_key (site, feed, control_id, id, no, day)
        SELECT site, feed, control_id, id, no, day FROM dari.message WHERE control_id LIKE 'F%'""")
    s.sql("VACUUM ANALYZE dari.message")
    s.sql("ANALYZE dari.message_key")
    return base


def plans(s, *words):
    """The plans of what a command really ran, from the server's log."""
    log = s.home + "/postgres/postgres.log"
    before = os.path.getsize(log)
    s.env["PGOPTIONS"] = ("-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 "
                          "-c auto_explain.log_analyze=on -c auto_explain.log_nested_statements=on")
    try:
        out = s.run(*words)
    finally:
        del s.env["PGOPTIONS"]
    text = open(log, encoding="utf-8", errors="replace").read()[before:]
    return out, [p for p in re.split(r"(?m)^(?=\d{4}-\d\d-\d\d .* LOG:)", text) if "plan:" in p and "dari." in p]


def by_index(tap, s, name, words, index=None, partitions=1):
    out, found = plans(s, *words)
    tap.check(f"{name}: status", out.returncode == 0, out.stderr)
    bad = [p for p in found if re.search(r"Seq Scan on (message|message_\d+|message_key|event|event_\d+)\b(?!.*never executed)", p)]
    tap.check(f"{name}: no table of messages is scanned", found and not bad, "\n".join(bad)[:3000])
    ran = [set(re.findall(r"(?:on|using \S+ on) (message_\d{8})\b[^\n]*(?<!never executed\))$", p, re.M)) for p in found]
    tap.check(f"{name}: a look is at one partition", all(len(r) <= partitions for r in ran), ran)
    if index:
        tap.check(f"{name}: by {index}", any(index in p for p in found), "\n".join(found)[-3000:])


def search(tap, s, base):
    real = ["BAD2", "BAD"] + [f"D{i}-{k}" for i in (4, 3, 2, 1, 0) for k in (2, 1, 0)]
    only = [c for c in listed(s, "--limit", "100000") if not c.startswith("F")]
    tap.equal("all, newest first", sorted(only), sorted(real))
    tap.equal("by control id, whatever the feed", (listed(s, "--control-id", "D3-1"), listed(s, "--control-id", "F2-10")),
              (["D3-1"], ["F2-10"]))
    tap.equal("by chart number", listed(s, "--patient", "C1"), ["D4-1", "D3-1", "D2-1", "D1-1", "D0-1"])
    key = s.one("SELECT DISTINCT patient FROM dari.message WHERE control_id = 'D0-1'")
    tap.equal("by patient key", listed(s, "--patient", key), ["D4-1", "D3-1", "D2-1", "D1-1", "D0-1"])
    tap.equal("by patient and time", listed(s, "--patient", "C1", "--from", DAYS[1], "--to", DAYS[3]), ["D2-1", "D1-1"])
    tap.equal("by an instant", listed(s, "--from", f"{DAYS[2]}T09:30:00+09:00", "--to", f"{DAYS[2]}T10:00:01+09:00"),
              ["D2-2", "D2-1", "D2-0"])
    tap.equal("by state", set(listed(s, "--state", "quarantined")), {"BAD", "BAD2"})
    tap.equal("by type", len(listed(s, "--type", "ORU^R01")), 5 * len(range(7, EACH + 1, 3000)))
    tap.equal("by type and feed", {c.split("-")[0] for c in listed(s, "--type", "ORU^R01", "--feed", "emr", "--from", DAYS[4])}, {"F5"})
    first = lines(s.run("message", "list", "--json", "--limit", "30", "--feed", "lab"))
    second = lines(s.run("message", "list", "--json", "--limit", "30", "--feed", "lab", "--before", str(first[-1]["message"])))
    both = lines(s.run("message", "list", "--json", "--limit", "60", "--feed", "lab"))
    tap.equal("pages follow each other", first + second, both)
    tap.check("a page says how the next one is had", "--before" in s.run("message", "list", "--limit", "5").stdout)
    for words in (["--limit", "0"], ["--before", "x"], ["--from", "yesterday"], ["--state", "lost"]):
        tap.equal("wrong: " + " ".join(words), s.run("message", "list", *words).returncode, 2)


def searches_by_index(tap, s, base):
    recent = ["message", "list", "--limit", "20"]
    by_index(tap, s, "the newest", recent, "message_20260313_pkey")
    by_index(tap, s, "by control id", recent + ["--control-id", "F3-77"], "message_key_pkey")
    by_index(tap, s, "by type", recent + ["--type", "ORU^R01"], "_feed_type_idx")
    by_index(tap, s, "by patient", recent + ["--patient", "C2"], "_patient_idx")
    by_index(tap, s, "by state", recent + ["--state", "quarantined"], "site_state_no_idx")
    by_index(tap, s, "ignored", recent + ["--state", "ignored"], "site_state_no_idx")
    by_index(tap, s, "by time", recent + ["--from", f"{DAYS[1]}T11:00:00+09:00", "--to", f"{DAYS[1]}T11:05:00+09:00"], "received_at_idx")
    number = str(base + 2 * 100000 + 5)
    tap.equal("the number of F2-5", [m["message"] for m in lines(s.run("message", "list", "--json", "--control-id", "F2-5"))], [int(number)])
    mine = s.one("SELECT no FROM dari.message WHERE control_id = 'D1-0'")
    by_index(tap, s, "show by number", ["message", "show", mine])
    by_index(tap, s, "reprocess by number", ["message", "reprocess", mine, "--dry-run"])


def show(tap, s):
    no = {m["control_id"]: str(m["message"]) for m in lines(s.run("message", "list", "--json", "--state", "quarantined"))}
    out = s.run("message", "show", no["BAD"]).stdout.split("\n")
    at = next(i for i, l in enumerate(out) if l.startswith("PID|"))
    start = sum(2 if "가" <= c <= "힣" else 1 for c in out[at][:out[at].index("hello")])
    tap.equal("show: the place is marked, wide letters counted twice", out[at + 1], " " * start + "^" * 5)
    out = s.run("message", "show", no["BAD2"]).stdout
    tap.check("show: a missing field is marked", re.search(r"\nPID\|[^\n]*\n *\^+\n", out), out)
    body = s.one("SELECT body FROM dari.ledger ORDER BY idx DESC LIMIT 1")
    tap.check("show: who looked is in the ledger", body.startswith("operator ") and "action=message.show" in body
              and f"message={no['BAD2']} " in body, body)
    tap.equal("show: no such message", s.run("message", "show", "99999999").returncode, 1)
    tap.equal("show: no number", s.run("message", "show", "abc").returncode, 2)
    return no


def diff(tap, s):
    new = s.home + "/new"
    shutil.copytree(ROOT + "/mappings", new)
    words = ["message", "diff", "--mapping", new + "/hl7v2", "--from", DAYS[0], "--to", DAYS[3], "--patient", "C1"]
    head = s.one("SELECT head FROM dari.stream")
    out = s.run(*words)
    tap.check("diff: the same mapping changes nothing", out.returncode == 0 and "3 messages looked at, 0 differ" in out.stdout, out.stdout + out.stderr)
    body = s.one("SELECT body FROM dari.ledger ORDER BY idx DESC LIMIT 1")
    tap.check("diff: recorded, without the chart number", "action=message.diff" in body and "patient=" in body and "C1" not in body, body)
    path = new + "/hl7v2/patients.xml"
    text = open(path, encoding="utf-8").read()
    version = re.search(r'<mapping [^>]*version="(\w+)"', text).group(1)
    edit(path, f'version="{version}"', 'version="9"')
    field = re.search(r'\n\s*<(?:set|value|field)\s+(?:name|field)="sex"[^>]*/>', text) or re.search(r'\n[^\n]*"sex"[^\n]*/>', text)
    edit(path, field.group(0), "", -1)
    out = s.run(*words, "--json")
    rows = lines(out)
    tap.check("diff: a field left out is a change, named", len(rows) == 4 and all(
        [c["change"] for c in r["events"]] == ["changed"] and c["fields"] == ["sex"] for r in rows[:3] for c in r["events"]),
        out.stdout + out.stderr)
    tap.check("diff: no value without --values", '"old"' not in out.stdout and "길동" not in out.stdout, out.stdout)
    tap.equal("diff: the sum", {k: rows[-1]["summary"][k] for k in ("messages", "different", "added", "removed", "changed")},
              {"messages": 3, "different": 3, "added": 0, "removed": 0, "changed": 3})
    tap.equal("diff: by mapping", [(m["before"], m["after"], m["changed"]) for m in rows[-1]["summary"]["mappings"]],
              [(f"patients@{version}", "patients@9", 3)])
    out = s.run(*words, "--values")
    tap.check("diff: --values says what is in them", 'sex "M" → absent' in out.stdout or 'sex "male" → absent' in out.stdout, out.stdout)
    out = s.run(*words)
    tap.check("diff: as text", "~ patient." in out.stdout and ": sex\n" in out.stdout, out.stdout)
    tap.equal("diff: nothing was appended", s.one("SELECT head FROM dari.stream"), head)
    out = s.run("message", "diff", "--mapping", new + "/hl7v2")
    tap.equal("diff: without a time: usage", out.returncode, 2)
    out = s.run("message", "diff", "--mapping", s.home + "/nowhere", "--from", DAYS[0], "--to", DAYS[1])
    tap.check("diff: no such mapping", out.returncode == 1 and "nowhere" in out.stderr, out.stderr)
    return path, version


def diff_events(tap, s, path):
    """Events that come and go, and messages that would be stopped."""
    text = open(path, encoding="utf-8").read()
    words = ["message", "diff", "--mapping", os.path.dirname(path), "--from", DAYS[0], "--to", "2026-03-10", "--patient", "C1", "--json"]
    types = re.findall(r'<event [^>]*type="([\w.]+)"', text)
    have = s.one("SELECT string_agg(DISTINCT e.type, ',') FROM dari.event e JOIN dari.message m ON m.no = e.message_no "
                 "WHERE m.control_id = 'D0-1'")
    other = next(t for t in types if t != have)
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r'(<event [^>]*type=")' + re.escape(have) + '"', r'\g<1>' + "@@", text).replace('@@"', other + '"'))
    out = s.run(*words)
    row = lines(out)[0] if out.returncode == 0 and out.stdout else {"events": []}
    tap.check("diff: another type: one event removed, one added", sorted(c["change"] for c in row["events"]) == ["added", "removed"]
              or out.returncode == 1, out.stdout + out.stderr)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def reprocess(tap, s, no):
    own = s.home + "/mappings"
    before = s.one("SELECT head FROM dari.stream")
    out = s.run("message", "reprocess", no["BAD"], "--dry-run")
    tap.check("reprocess --dry-run: says what would be, 1 while it is quarantined", out.returncode == 1 and "(not done)" in out.stdout, out.stdout)
    text = open(own + "/hl7v2/patients.xml", encoding="utf-8").read()
    birth = re.search(r'\n[^\n]*"birth[^\n]*/>', text).group(0)
    edit(own + "/hl7v2/patients.xml", birth, "", -1)
    out = s.run("message", "reprocess", "--state", "quarantined", "--type", "ADT^A28", "--from", DAYS[4], "--dry-run")
    tap.check("reprocess --dry-run: with the repaired mapping", "quarantined → mapped" in out.stdout and "(not done)" in out.stdout, out.stdout)
    tap.equal("reprocess --dry-run: nothing was done", (s.one("SELECT head FROM dari.stream"),
              s.one(f"SELECT state FROM dari.message WHERE no = {no['BAD']}")), (before, "quarantined"))
    body = s.one("SELECT body FROM dari.ledger ORDER BY idx DESC LIMIT 1")
    tap.check("reprocess --dry-run: recorded", "action=message.reprocess" in body and "dry-run=yes" in body and " by=" in body, body)
    out = s.run("message", "reprocess", "--state", "quarantined", "--type", "ADT^A28", "--from", DAYS[4])
    tap.equal("reprocess by filter: done", s.one(f"SELECT state FROM dari.message WHERE no = {no['BAD']}"), "mapped")
    tap.check("reprocess by filter: what stays quarantined gives 1", out.returncode == 1 and f"message {no['BAD2']}: " in out.stdout, out.stdout)
    rows = [r[0] for r in s.sql("SELECT body FROM dari.ledger ORDER BY idx DESC LIMIT 3")]
    tap.check("reprocess by filter: who, then what", any("action=message.reprocess type=ADT^A28 state=quarantined" in r and " by=" in r for r in rows)
              and any(r.startswith("reprocessed ") for r in rows), rows)
    out = s.run("message", "reprocess", "--state", "quarantined", "--control-id", "nobody")
    tap.check("reprocess: nothing fits", out.returncode == 0 and "no message fits" in out.stdout, out.stdout)
    s.sql("UPDATE dari.message SET feed = 'old' WHERE control_id = 'D0-2'")
    s.sql("INSERT INTO dari.feed_count (site, feed, day) SELECT 'hanbit', 'old', day FROM dari.message WHERE feed = 'old'")
    out = s.run("message", "reprocess", "--patient", "C2", "--to", DAYS[2], "--dry-run")
    tap.check("reprocess: a feed that is gone does not stop the others", out.returncode == 1 and "feed old is not in the configuration" in out.stdout
              and "mapped → mapped" in out.stdout, out.stdout + out.stderr)
    s.sql("UPDATE dari.message SET feed = 'emr' WHERE control_id = 'D0-2'")
    tap.equal("reprocess: neither numbers nor a filter", s.run("message", "reprocess").returncode, 2)
    out = s.run("ledger", "verify")
    tap.check("the ledger verifies after all that", out.returncode == 0, out.stdout + out.stderr)


def test(tap):
    with Site("message", clock=f"{DAYS[0]}T08:00:00+09:00") as s:
        shutil.copytree(ROOT + "/mappings", s.home + "/mappings")
        edit(s.config, ROOT + "/mappings/hl7v2", s.home + "/mappings/hl7v2")
        s.start("--only", "feed,steward")
        send_days(s)
        wait_for("all of them", lambda: s.one("SELECT count(*) FROM dari.message") == "17")
        no = show(tap, s)
        path, version = diff(tap, s)
        diff_events(tap, s, path)
        reprocess(tap, s, no)
        s.sql("UPDATE dari.message SET state = 'quarantined' WHERE control_id = 'BAD'")
        base = fill(s)
        search(tap, s, base)
        searches_by_index(tap, s, base)


main(test)
