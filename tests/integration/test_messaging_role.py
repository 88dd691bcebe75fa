"""The messaging role behind the real feed, relay and database: the clinic's day, reminders by the moved clock, and the
role and PostgreSQL killed at any moment."""
import glob
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import site_dari as lib

DAY = sorted(glob.glob(os.path.join(lib.ROOT, "deploy/demo/*.hl7")))


def instant(path):
    """01-2026-03-09T08-50.hl7 says when its messages are sent."""
    name = os.path.basename(path)[3:19]
    return f"{name[:10]}T{name[11:13]}:{name[14:16]}:00+09:00"


def outbox(s):
    files = glob.glob(os.path.join(s.home, "outbox", "*.json"))
    return sorted((f["journey"], f["step"], f["to"], f["text"], f["version"])
                  for f in (json.load(open(p, encoding="utf-8")) for p in files))


def caught_up(s):
    """Everything read, nothing due left, and no event on its way because of it."""
    head = s.one("SELECT head FROM dari.stream")
    return (s.one("SELECT seq FROM dari.position WHERE role = 'messaging'") == head
            and s.one("SELECT seq FROM dari.position WHERE role = 'segment'") == head
            and s.one("SELECT count(*) FROM dari.plan WHERE state = 'handing' OR (state = 'planned' AND "
                      f"due_at <= '{s.now}')") == "0"
            and head == s.one("SELECT head FROM dari.stream"))


def at(s, now):
    s.now = now
    s.clock(now)


def day(s, rng=None):
    """Sends the day's messages at their times, then lets the days pass. With rng the role or PostgreSQL is killed now and then."""
    def disturb():
        if rng and rng.random() < 0.5:
            s.kill("messaging")
        elif rng and rng.random() < 0.1:
            s.postgres("kill")
            s.postgres("start")
    sender = s.mllp()
    for path in DAY:
        at(s, instant(path))
        for m in lib.messages(path):
            sender.deliver(m)
            disturb()
        lib.wait_for("the end of " + path, lambda: caught_up(s))
    for now in ("2026-03-10T10:00:00+09:00", "2026-03-11T10:00:00+09:00", "2026-03-12T10:00:00+09:00",
                "2026-03-16T10:00:00+09:00"):
        at(s, now)
        disturb()
        lib.wait_for("the end of " + now, lambda: caught_up(s))


def plans(s):
    return sorted(map(tuple, s.sql("SELECT id, journey, step, version, state, coalesce(reason, '-'), due_at FROM dari.plan")))


def test(tap):
    with lib.Site("messaging", clock=instant(DAY[0])) as s:
        s.start()
        day(s)
        plain, planned = outbox(s), plans(s)
        for f in plain:
            print("# ", *f)
        tap.check("confirmations and reminders are in the outbox", {"JN01", "JN02"} == {f[0] for f in plain}, plain)
        who = [f for f in plain if f[2] == "+821034567892"]
        tap.equal("no reminder for what was cancelled", [f[:2] for f in who], [("JN01", "confirm")])
        tap.check("what was moved is reminded of at its new time only",
                  any("(3/16) 10:30" in f[3] for f in plain) and not any("내일(3/12) 14:00" in f[3] for f in plain), plain)
        keys = s.sql("SELECT count(*), count(DISTINCT data::json->>'message_key') FROM dari.event WHERE type = 'message.requested'")
        tap.equal("every message was asked for once", keys[0][0], keys[0][1])
        handed = s.one("SELECT count(*) FROM dari.event WHERE type = 'message.status_changed'")
        tap.equal("one event for each file", int(handed), len(plain))
        lines = s.one("SELECT count(*) FROM dari.ledger WHERE body LIKE 'handed %source=role:messaging%'")
        tap.check("the ledger has the hand-overs", int(lines) > 0, lines)
        listed = s.run("plan", "list", "--state", "sent", "--json", check=True).stdout.splitlines()
        tap.equal("dari plan list shows them", len(listed), len(plain))
        one = json.loads(listed[0])
        shown = s.run("plan", "preview", one["journey"], one["step"], "--appointment", one["appointment"])
        tap.check("dari plan preview masks the number", "-****-" in shown.stdout and shown.returncode == 0,
                  shown.stdout + shown.stderr)
        text = s.text()
        tap.check("no name, number or text in the log", not any(x in text for x in ("홍길동", "김민지", "821023456781", "23456781")))
    for seed in (1, 2):
        with lib.Site(f"messaging-{seed}", clock=instant(DAY[0])) as s:
            s.start()
            day(s, random.Random(seed))
            tap.equal(f"killed at random (seed {seed}): the same outbox", outbox(s), plain)
            # keys differ from site to site, so plans are compared without their ids
            tap.equal(f"killed at random (seed {seed}): the same plans", sorted(p[1:] for p in plans(s)),
                      sorted(p[1:] for p in planned))


lib.main(test)
