#!/usr/bin/python3
"""Rows of a table go into the store by the group: found one by one, each there once, and no change to any is unseen."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, main, wait_for  # noqa: E402

GROUP, ROWS = 64, 5000
FEED = f"""
  <feed name="list" adapter="files" mapping="{{root}}/mappings/exports/reservation-list.xml" rows="append" max-group="{GROUP}">
    <files folder="{{home}}/inbox" work="{{home}}/work" archive="{{home}}/archive" error="{{home}}/error"
           scan="50ms" min-age="0s" retry="100ms"/>
  </feed>
"""
HEADER = "예약번호,차트번호,환자명,예약일시,상태,진료과\n"


def row(n, state="예약"):
    return f"A{n:07},{n % 5000:05},홍길동,2026-04-{1 + n % 28:02} 10:00,{state},내과\n"


def put(s, name, text):
    path = os.path.join(s.home, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path, os.path.join(s.home, "inbox", name))


def batch(s, name):
    listed = json.loads(s.run("batch", "list", "--limit", "1000", "--json", check=True).stdout)
    return next((b for b in listed if b["name"].endswith(name)), None)


def end(s, name):
    return wait_for("the end of " + name, lambda: (b := batch(s, name)) and b["state"] != "reading" and b, 300)


def found(tap, s, b):
    label = s.one(f"SELECT encode(substr(digest, 1, 8), 'hex') FROM dari.batch WHERE no = {b['batch']}")
    no = int(s.one(f"SELECT no FROM dari.message WHERE control_id = '{label}#130'"))

    def listed(control_id):
        out = s.run("message", "list", "--control-id", control_id, "--json", check=True).stdout
        return [json.loads(line)["message"] for line in out.splitlines()]
    tap.equal("by control id", listed(f"{label}#130"), [no])
    for wrong in (f"{label}#100000", f"{label}.2#130", "0123456789abcdef#130", "abc#130", f"{label}#99999999999999999999"):
        tap.equal("not by another: " + wrong.replace(label, "LABEL"), listed(wrong), [])
    entry = s.one(f"SELECT idx FROM dari.ledger WHERE body LIKE 'rows %' AND {no} BETWEEN substring(body FROM ' messages=([0-9]+)-')::bigint "
                  "AND substring(body FROM ' messages=[0-9]+-([0-9]+) ')::bigint")
    hexed = s.one(f"SELECT encode(id, 'hex') FROM dari.message WHERE no = {no}")
    event = s.one(f"SELECT id FROM dari.event WHERE message_no = {no}")
    for what, key in (("control id", f"{label}#130"), ("id", hexed), ("number", str(no)), ("an event", event)):
        told = json.loads(s.run("trace", key, "--json", check=True).stdout)
        tap.equal("a trace by " + what, ([m["no"] for m in told["messages"]], [str(m["ledger"]) for m in told["messages"]],
                                        [str(e["ledger"]) for e in told["events"] if e["message"] == no]), ([no], [entry], [entry]))
    shown = s.run("message", "show", str(no), check=True).stdout
    tap.check("it is shown as it came", "A0000128" in shown, shown)


def tampered(tap, s):
    """Each change by somebody who may write to the tables is seen, with the entry that names the row."""
    no = int(s.one("SELECT max(no) - 70 FROM dari.message WHERE feed = 'list'"))
    here, other = f"WHERE no = {no}", f"WHERE no = {no - GROUP}"
    s.sql("CREATE TABLE public.kept_m AS SELECT * FROM dari.message; CREATE TABLE public.kept_e AS SELECT * FROM dari.event")
    changed, missing, events = "messages that were changed since", "a message that is not there", "events that were changed since"
    cases = [("the bytes of a row", f"UPDATE dari.message SET sealed = sealed || '\\x00'::bytea {here}", changed),
             ("its id", f"UPDATE dari.message SET id = '\\x00112233445566778899aabbccddeeff' {here}", changed),
             ("its control id", f"UPDATE dari.message SET control_id = 'x#1' {here}", changed),
             ("its state", f"UPDATE dari.message SET state = 'ignored' {here}", changed),
             ("its feed", f"UPDATE dari.message SET feed = 'lost' {here}", changed),
             ("its time", f"UPDATE dari.message SET received_at = received_at - interval '1 day' {here}", changed),
             ("two states changed places", "UPDATE dari.message SET state = CASE state WHEN 'mapped' THEN 'quarantined' ELSE 'mapped' END "
              "WHERE no >= (SELECT max(no) - 1 FROM dari.message)", changed),
             ("two rows changed places", f"UPDATE dari.message a SET sealed = b.sealed FROM dari.message b WHERE a.no = {no} AND b.no = {no - 1}", changed),
             ("a row is gone", f"DELETE FROM dari.message {here}", missing),
             ("its event says another row of another group", f"UPDATE dari.event SET message_no = {no - GROUP} WHERE message_no = {no}", events),
             ("two events changed rows", f"UPDATE dari.event SET message_no = {2 * no - 1} - message_no WHERE message_no IN ({no}, {no - 1})", events),
             ("its event has another subject", f"UPDATE dari.event SET subject = 'x' WHERE message_no = {no}", events)]
    for what, sql, said in cases:
        s.sql(sql)
        out = s.run("ledger", "verify")
        tap.check("seen: " + what, out.returncode != 0 and said in out.stdout + out.stderr, out.stdout + out.stderr)
        s.sql("DELETE FROM dari.message; INSERT INTO dari.message SELECT * FROM public.kept_m")
        s.sql("DELETE FROM dari.event; INSERT INTO dari.event SELECT * FROM public.kept_e")
    tap.check("there was another group", s.one(f"SELECT count(*) FROM dari.message {other}") == "1")
    tap.equal("all of it put back: the ledger verifies", s.run("ledger", "verify").returncode, 0)


def repaired(tap, s):
    put(s, "bad.csv", HEADER + row(900001) + "A0900002,00001,홍길동,the day after,예약,내과\n" + row(900003))
    b = end(s, "bad.csv")
    tap.equal("one of three is rejected", (b["read"], b["mapped"], b["rejected"]), (3, 2, 1))
    entry = s.one("SELECT body FROM dari.ledger WHERE body LIKE 'rows %' ORDER BY idx DESC LIMIT 1")
    tap.check("their entry says what became of each", " states=mqm " in entry, entry)
    no = s.one("SELECT max(no) FROM dari.message WHERE state = 'quarantined'")
    tap.check("its place is the row", "row 3" in s.one(f"SELECT place FROM dari.message WHERE no = {no}"))
    s.sql(f"UPDATE dari.message SET state = 'ignored', flags = flags | 4 WHERE no = {no}")  # as reprocessing does, but it says so
    out = s.run("ledger", "verify")
    tap.check("another state that no later entry says is seen, whatever the message says of itself",
              out.returncode != 0 and f"names message {no}, whose state no later entry says" in out.stdout + out.stderr, out.stdout + out.stderr)
    s.sql(f"SELECT dari.ledger_append('hanbit', now(), 'reprocessed site=hanbit message={no} state=ignored mapping=x')")
    tap.equal("one that is said is as it should be", s.run("ledger", "verify").returncode, 0)
    put(s, "two.csv", HEADER + row(900011) + "A0900012,00001,홍길동,the day after,예약,내과\n")
    end(s, "two.csv")


def refused(s, sql):
    """What the database says to it."""
    try:
        return str(s.sql(sql))
    except RuntimeError as e:
        return str(e)


def two_readers(tap, s):
    b = batch(s, "many.csv")
    written = "SELECT count(*) FROM dari.ledger WHERE body LIKE 'rows %'"
    before = s.one(written)
    arrays = ", ".join(["'{}'"] * 22)
    call = (f"SELECT dari.commit_rows('hanbit', 'list', now(), {b['batch']}, 'x', 0, 10, 10, 0, '-', '-', '{{0,0,0}}', {arrays}, "
            "NULL, NULL, NULL)")
    out = refused(s, call)
    tap.check("a file that is at its end: nothing is written", "somebody else reads the file" in out, out)
    out = refused(s, f"SET LOCAL statement_timeout = '30s'; UPDATE dari.batch SET state = 'reading' WHERE no = {b['batch']}; {call}")
    tap.check("nor of one that somebody else has read on", "somebody else reads the file" in out, out)
    tap.equal("which is as it was", batch(s, "many.csv")["state"], "taken")
    tap.equal("not even an entry", s.one(written), before)


def test(tap):
    with Site("rows", feeds=FEED) as s:
        for f in ("inbox", "work", "archive", "error"):
            os.makedirs(os.path.join(s.home, f))
        s.start()
        put(s, "many.csv", HEADER + "".join(row(n) for n in range(ROWS)))
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            wait_for("some of it", lambda: (batch(s, "many.csv") or {"read": 0})["read"] > ROWS * share, 300)
            s.kill("feed:list")
        b = end(s, "many.csv")
        tap.equal("killed five times: every row once", (b["read"], b["mapped"], b["duplicates"], b["rejected"], b["events"]),
                  (ROWS, ROWS, 0, 0, ROWS))
        tap.equal("as many messages, each of its row", s.sql("SELECT count(*), count(DISTINCT control_id) FROM dari.message"), [[str(ROWS)] * 2])
        tap.equal("no keys", s.one("SELECT count(*) FROM dari.message_key"), "0")
        groups = int(s.one("SELECT count(*) FROM dari.batch_group"))
        tap.equal("one entry for each group", int(s.one("SELECT count(*) FROM dari.ledger WHERE body LIKE 'rows %'")), groups)
        tap.check("which are full but for the kills", ROWS // GROUP <= groups <= ROWS // GROUP + 8, str(groups))
        tap.equal("rows and messages of the groups follow each other", s.one(
            "SELECT count(*) FROM (SELECT first_row, lag(last_row) OVER (ORDER BY first_row) AS before FROM dari.batch_group) AS g "
            "WHERE first_row <= before"), "0")
        tap.equal("the ledger verifies", s.run("ledger", "verify").returncode, 0)
        found(tap, s, b)
        two_readers(tap, s)
        repaired(tap, s)
        tampered(tap, s)


if __name__ == "__main__":
    main(test)
