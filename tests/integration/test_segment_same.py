"""That the result of the segmentation core follows from the stream alone: however it was cut into transactions, killed, or told new rules."""
import os
import random
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from segment_site import (  # noqa: E402
    arrived, booked, BUILD, cancelled, check, here, kst, main, missed, moved, POSTGRES, psql, ROOT, rows, Site,
    write_config)


def random_log(s, seed):
    """Half a year of forty patients; the same for every site."""
    r = random.Random(seed)
    at = datetime(2026, 1, 5, 8, 0)
    people, made = [f"p{i:02}" for i in range(40)], []
    for i in range(420):
        at += timedelta(minutes=r.choice([1, 7, 45, 300, 1440]))
        now, who = at.strftime("%Y-%m-%d %H:%M"), r.choice(people)
        start = (at + timedelta(hours=r.randrange(-24, 96))).strftime("%Y-%m-%d %H:00")
        key = r.choice(made) if made and r.random() < 0.6 else f"a{i}"
        made.append(key)
        what = r.random()
        if what < 0.30:
            booked(s, now, who, key, start)
        elif what < 0.42:
            moved(s, now, who, key, start)
        elif what < 0.52:
            cancelled(s, now, who, key)
        elif what < 0.66:
            missed(s, now, who, key, start)
        elif what < 0.90:
            arrived(s, now, who, f"v{r.randrange(150)}", dept=r.choice(["정형외과", "치과", "내과"]),
                    appointment_key=key)
        elif what < 0.95:
            s.event(now, "visit.voided", who, visit_key=f"v{r.randrange(150)}")
        elif what < 0.98:
            s.event(now, "payment.recorded", who, paid_krw=r.randrange(100000), refund=r.random() < 0.2)
        else:
            s.event(now, "patient.merged", who, surviving_key=who, retired_key=r.choice(people))
    return (at + timedelta(days=120)).strftime("%Y-%m-%d %H:%M")


def story(s):
    return [sorted(s.derived(), key=str), s.everybody(), [[r[1:] for r in t] for t in s.facts()]]


def strip_seq(facts):
    return [[r[:-1] for r in t] if i in (1, 2) else t for i, t in enumerate(facts)]


def same_result():
    a = Site("one")
    end = random_log(a, 7)
    a.run(1)
    a.say("tick " + kst(end))
    want = story(a)
    check("a long log makes many changes", len(want[0]) > 150, True)

    b = Site("hundred")
    random_log(b, 7)
    b.run(100)
    b.say("tick " + kst(end))
    got = story(b)
    # The applied sequence numbers lie apart (derived events are in between), all else is equal.
    check("one event or a hundred to a transaction: the same events and members", got[:2], want[:2])
    check("and the same profiles", strip_seq(got[2]), strip_seq(want[2]))

    c, r = Site("crash"), random.Random(3)
    random_log(c, 7)
    script, c.script = c.script, []
    while script:
        n = r.randrange(1, 40)
        c.script, script = script[:n], script[n:]
        c.store()
        if r.random() < 0.5:
            c.say(f"lose {r.randrange(1, 30)}")
        if r.random() < 0.3:
            c.kill()
            c.start()
        c.say(f"apply {r.randrange(1, 20)}")
        if script and r.random() < 0.5:
            before = datetime.fromisoformat(script[0][0]) - timedelta(seconds=1)
            c.say("tick " + before.isoformat())
    c.say("tick " + kst(end))
    got = story(c)
    check("given up, killed, with time passing in between: the same events and members", got[:2], want[:2])
    check("and the same profiles as well", strip_seq(got[2]), strip_seq(want[2]))

    head = rows("SELECT head FROM dari.stream WHERE site = 'hundred'")
    before = [b.everybody(), b.facts()]
    b.stop()
    psql("".join(f"DELETE FROM dari.{t} WHERE site = 'hundred';" for t in (
        "profile", "profile_appointment", "profile_visit", "profile_payment", "segment_member", "segment_state",
        "segment_rule")) + "DELETE FROM dari.position WHERE site = 'hundred' AND role = 'segment';")
    b.start()
    b.run(33)
    b.say("tick " + kst(end))
    check("the whole log again from empty tables: the same members and profiles", [b.everybody(), b.facts()], before)
    check("and not one new event", rows("SELECT head FROM dari.stream WHERE site = 'hundred'"), head)
    b.say("again 300")
    check("events that come again change nothing", [b.everybody(), b.facts()], before)
    check("recompute finds nothing to change", b.say("recompute").split()[0], "0")
    ids = rows("SELECT count(*) AS a, count(DISTINCT id) AS b FROM dari.event WHERE site = 'crash'")[0]
    check("no event is there twice", ids[0], ids[1])
    for s in (a, b, c):
        s.stop()


class Roles:
    """dari run with relay and segment, and a clock that the test moves."""

    def __init__(self, site):
        self.folder = os.path.join(here.tmp, site)
        os.makedirs(self.folder)
        self.config = write_config(site, self.folder)
        self.move("2026-01-01 00:00")
        self.log = open(os.path.join(self.folder, "log"), "w", encoding="utf-8")
        self.p = subprocess.Popen([os.path.join(BUILD, "dari"), "run", "--only", "relay,segment", "--config", self.config],
                                  stdout=self.log, stderr=self.log, env={**os.environ, "DARI_CLOCK": self.clock})

    def move(self, at):
        self.clock = os.path.join(self.folder, "clock")
        with open(self.clock + ".new", "w", encoding="utf-8") as f:
            f.write(kst(at) + "\n")
        os.replace(self.clock + ".new", self.clock)

    def kill(self, role):
        """kill -9 of one role; the supervisor starts it again."""
        path = os.path.join(self.folder, "run/roles")
        wait("the roles", lambda: os.path.exists(path))
        with open(path, encoding="utf-8") as f:
            pids = {line.split()[0]: int(line.split()[1]) for line in f}
        if pids.get(role):
            os.kill(pids[role], 9)

    def stop(self):
        self.p.terminate()
        status = self.p.wait(30)
        self.log.close()
        return status


def wait(what, condition, limit=90):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {limit} s for {what}")
        time.sleep(0.05)


def processes():
    """The same log as in same_result(), through relay and role, with kill -9 and the clock moving."""
    want = story(Site.reader("one"))
    s, r = Site.reader("live"), random.Random(11)
    psql("INSERT INTO dari.stream (site) VALUES ('live') ON CONFLICT DO NOTHING")
    end = random_log(s, 7)
    roles = Roles("live")
    script, s.script = s.script, []
    kills = {3: "segment", 6: "relay", 9: "segment", 12: "database"}
    i = 0
    while script:
        i += 1
        n = r.randrange(10, 40)
        s.script, script = script[:n], script[n:]
        last = s.script[-1][0]
        s.store()
        roles.move(last[:16])
        if kills.get(i) == "database":
            subprocess.run(["sh", POSTGRES, "kill", os.path.join(here.tmp, "pg")], check=True)
            subprocess.run(["sh", POSTGRES, "start", os.path.join(here.tmp, "pg")], check=True, stdout=subprocess.DEVNULL)
        elif i in kills:
            roles.kill(kills[i])
    roles.move(end)
    midnight = kst(end[:10] + " 00:00")
    try:
        wait("the last midnight", lambda: rows(
            f"SELECT coalesce(at >= '{midnight}', false) AS x FROM dari.segment_state WHERE site = 'live'") == [[True]])
    finally:
        status = roles.stop()
    got = story(s)
    check("relay, role and database killed, the clock moving: the same events and members", got[:2], want[:2])
    check("and the same profiles again", strip_seq(got[2]), strip_seq(want[2]))
    check("the roles end on SIGTERM with status 0", status, 0)
    text = open(os.path.join(roles.folder, "log"), encoding="utf-8").read()
    check("no patient key is in the log", [w for w in ("p01", "p17", "a200") if f"={w}" in text], [])


def changed_rules():
    folder = os.path.join(here.tmp, "segments")
    shutil.copytree(os.path.join(ROOT, "config/segments"), folder)
    s = Site("rules", folder)
    booked(s, "2026-03-09 10:00", "ina", "a1", "2026-03-11 10:00")
    missed(s, "2026-03-09 11:00", "jun", "a2", "2026-03-09 10:00")
    s.run()
    path = os.path.join(folder, "SG02.xml")
    text = open(path, encoding="utf-8").read().replace('version="1" name', 'version="2" name').replace(
        'name="days" value="1"', 'name="days" value="2"')
    open(path, "w", encoding="utf-8").write(text)
    os.remove(os.path.join(folder, "SG04.xml"))
    t = Site("rules", folder)
    check("new rules: everybody is looked at, members of a removed segment leave", sorted(s.derived())[1:],
          [["entered", "jun", "2026-03-09 11:00", "e2"], ["exited", "jun", "2026-03-09 11:00", None]])
    check("new rules: history counts", s.members("SG02"), ["ina"])
    s.event("2026-03-09 12:00", "patient.registered", "kim")
    s.store()
    try:
        s.say("apply 1")
        check("old rules are fenced off", "went on", "config …")
    except RuntimeError as e:
        check("old rules are fenced off", "another process has taken up other segments" in str(e), True)
    s.kill()
    t.stop()


main(same_result, processes, changed_rules)
