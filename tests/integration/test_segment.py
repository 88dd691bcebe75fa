"""The segmentation core on a real PostgreSQL: golden dates, entering and leaving with and without events, and that the
result follows from the stream alone, however it was cut into transactions."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Tap  # noqa: E402

BUILD = os.path.join(ROOT, "build", os.environ.get("MODE", "dev"))
DRIVER = os.path.join(BUILD, "tests/integration/segment_driver")
KST = timezone(timedelta(hours=9))
tap = Tap()
check = tap.equal


def kst(text):
    """'2026-03-10 09:00' of the site's wall clock, as RFC 3339."""
    return datetime.fromisoformat(text).replace(tzinfo=KST).isoformat()


def psql(sql):
    p = subprocess.run(["psql", conninfo, "-XqAt", "-v", "ON_ERROR_STOP=1"], input=sql, capture_output=True, text=True)
    if p.returncode:
        raise RuntimeError(p.stderr.strip())
    return p.stdout.strip()


def rows(sql):
    text = psql(f"SELECT coalesce(json_agg(r), '[]') FROM ({sql}) r")
    return [list(r.values()) for r in json.loads(text)]


class Site:
    """One site with its own stream and its own core."""

    def __init__(self, name, segments=None):
        self.name, self.n, self.script = name, 0, []
        self.segments = segments or os.path.join(ROOT, "config/segments")
        self.start()

    @classmethod
    def reader(cls, name):
        """The tables of a site, without a core of its own."""
        s = cls.__new__(cls)
        s.name, s.n, s.script = name, 0, []
        return s

    def start(self):
        self.p = subprocess.Popen([DRIVER, conninfo, self.name, os.path.join(tmp, "keys"),
                                   os.path.join(ROOT, "mappings/catalogue.xml"), self.segments, "Asia/Seoul"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.p.stdout.readline() == "ready\n", "the driver did not start"

    def stop(self):
        self.p.stdin.close()
        self.p.wait()

    def kill(self):
        self.p.kill()
        self.p.wait()

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline().strip()
        if "ok" not in answer:
            raise RuntimeError(f"{line}: {answer}")
        return answer

    def event(self, recorded, type, patient, **data):
        """Adds an event to the stream, recorded at an instant of the wall clock."""
        self.n += 1
        e = {"id": f"e{self.n}", "type": type, "subject": patient, "time": kst(recorded), "data": data}
        self.script.append((kst(recorded), e))
        return e["id"]

    def store(self):
        sql = []
        for at, e in self.script:
            text = json.dumps([e]).replace("'", "''")
            sql.append(f"""SELECT dari.append_events('{self.name}', 'feed:test', '{at}', NULL, 'test@1', 'reprocessed',
                array_agg(id), array_agg(type), array_agg(subject), array_agg(time), array_agg(NULL::text),
                array_agg(false), array_agg(data::text), array_agg(NULL::bytea))
                FROM json_to_recordset('{text}') AS x(id text, type text, subject text, time timestamptz, data json);""")
        self.script = []
        if sql:
            psql("BEGIN;" + "\n".join(sql) + "COMMIT;")

    def run(self, batch=100):
        self.store()
        return self.say(f"apply {batch}")

    def tick(self, at):
        self.run()
        self.say("tick " + kst(at))

    def members(self, segment):
        return [r[0] for r in rows(f"SELECT patient FROM dari.segment_member WHERE site = '{self.name}' "
                                   f"AND segment = '{segment}' ORDER BY 1")]

    def everybody(self):
        return rows(f"SELECT segment, patient, since, rule_version, reasons FROM dari.segment_member "
                    f"WHERE site = '{self.name}' ORDER BY 1, 2")

    def derived(self, segment=None):
        """[type, patient, instant in the site's time, cause] in stream order."""
        where = f"AND data::json->>'segment' = '{segment}'" if segment else ""
        return rows(f"SELECT replace(type, 'segment.', '') AS t, subject, to_char(time AT TIME ZONE 'Asia/Seoul', "
                    f"'YYYY-MM-DD HH24:MI') AS at, cause FROM dari.event WHERE site = '{self.name}' "
                    f"AND type LIKE 'segment.%' {where} ORDER BY seq")

    def facts(self):
        return [rows(f"SELECT * FROM dari.{t} WHERE site = '{self.name}' ORDER BY 1, 2, 3")
                for t in ("profile", "profile_appointment", "profile_visit", "profile_payment")]


def booked(s, at, patient, key, start, **more):
    return s.event(at, "appointment.booked", patient, appointment_key=key, start=kst(start), **more)


def moved(s, at, patient, key, start):
    return s.event(at, "appointment.rescheduled", patient, appointment_key=key, start=kst(start), new_start=kst(start))


def cancelled(s, at, patient, key):
    return s.event(at, "appointment.cancelled", patient, appointment_key=key)


def missed(s, at, patient, key, start):
    return s.event(at, "appointment.no_show", patient, appointment_key=key, start=kst(start), source="feed")


def arrived(s, at, patient, key, when=None, **more):
    return s.event(at, "visit.arrived", patient, visit_key=key, at=kst(when or at), **more)


def tomorrow():
    s = Site("tomorrow")
    booked(s, "2026-03-09 10:00", "anna", "a1", "2026-03-11 08:30")
    s.tick("2026-03-09 23:59:59")
    check("SG02: two days ahead is not tomorrow", s.members("SG02"), [])
    s.tick("2026-03-10 00:00")
    check("SG02: enters at midnight without an event", s.members("SG02"), ["anna"])
    s.tick("2026-03-11 12:00")
    check("SG02: leaves when the day comes", s.derived("SG02"),
          [["entered", "anna", "2026-03-10 00:00", None], ["exited", "anna", "2026-03-11 00:00", None]])
    reasons = rows("SELECT data::json->'reasons' AS why, data::json->>'at' AS at FROM dari.event WHERE site = 'tomorrow' "
                   "AND type LIKE 'segment.%' ORDER BY seq")
    check("SG02: the reasons of entering are all conditions, of leaving those that fail",
          reasons, [[["alive", "appointment-tomorrow"], "2026-03-10T00:00:00+09:00"],
                    [["appointment-tomorrow"], "2026-03-11T00:00:00+09:00"]])

    b = booked(s, "2026-03-11 12:30", "bora", "b1", "2026-03-12 09:00")
    c = cancelled(s, "2026-03-11 13:00", "bora", "b1")
    s.run()
    check("SG02: leaves on cancellation, caused by it", s.derived("SG02")[2:],
          [["entered", "bora", "2026-03-11 12:30", b], ["exited", "bora", "2026-03-11 13:00", c]])
    booked(s, "2026-03-11 14:00", "cho", "c1", "2026-03-12 09:00")
    m = moved(s, "2026-03-11 15:00", "cho", "c1", "2026-03-13 09:00")
    n = moved(s, "2026-03-11 16:00", "cho", "c1", "2026-03-12 18:00")
    s.run()
    check("SG02: a move to another day leaves, back to tomorrow enters", [d[::3] for d in s.derived("SG02")[5:]],
          [["exited", m], ["entered", n]])
    s.stop()


def dates():
    s = Site("dates")
    booked(s, "2024-02-20 10:00", "leap", "l1", "2024-02-29 10:00")
    booked(s, "2024-02-20 10:00", "march", "m1", "2024-03-01 10:00")
    s.tick("2024-03-01 23:00")
    booked(s, "2024-06-17 11:00", "june", "j1", "2024-06-26 17:00")
    s.tick("2024-06-26 18:00")
    booked(s, "2026-02-20 10:00", "plain", "p1", "2026-03-01 10:00")
    booked(s, "2026-12-01 10:00", "year", "y1", "2027-01-01 00:00")
    s.tick("2027-01-01 00:00")
    entered = [d[1:3] for d in s.derived("SG02") if d[0] == "entered"]
    check("29 February, the day before 1 March, 26 June, the last day of the year", entered,
          [["leap", "2024-02-28 00:00"], ["march", "2024-02-29 00:00"], ["june", "2024-06-25 00:00"],
           ["plain", "2026-02-28 00:00"], ["year", "2026-12-31 00:00"]])
    s.stop()


def no_show():
    s = Site("noshow")
    booked(s, "2026-03-02 09:00", "dan", "d1", "2026-03-10 10:00")
    x = missed(s, "2026-03-10 11:00", "dan", "d1", "2026-03-10 10:00")
    s.run()
    check("SG04: enters on a no-show", s.members("SG04"), ["dan"])
    y = booked(s, "2026-03-10 12:00", "dan", "d2", "2026-03-12 10:00")
    s.run()
    check("SG04: leaves on a new booking", s.members("SG04"), [])
    z = cancelled(s, "2026-03-11 09:00", "dan", "d2")
    w = arrived(s, "2026-03-11 16:00", "dan", "v1", dept="내과")
    s.run()
    check("SG04: its story, each step caused by its event", s.derived("SG04"),
          [["entered", "dan", "2026-03-10 11:00", x], ["exited", "dan", "2026-03-10 12:00", y],
           ["entered", "dan", "2026-03-11 09:00", z], ["exited", "dan", "2026-03-11 16:00", w]])

    missed(s, "2026-03-12 11:00", "eun", "e1", "2026-03-12 10:00")
    booked(s, "2026-03-12 12:00", "eun", "e2", "2026-03-13 15:00")
    s.tick("2026-03-25 00:00")
    check("SG04: time alone: the new appointment passes, then a week", s.derived("SG04")[4:],
          [["entered", "eun", "2026-03-12 11:00", "e6"], ["exited", "eun", "2026-03-12 12:00", "e7"],
           ["entered", "eun", "2026-03-13 15:00", None], ["exited", "eun", "2026-03-20 00:00", None]])
    missed(s, "2026-03-25 11:00", "fay", "f1", "2026-03-25 10:00")
    arrived(s, "2026-03-25 11:30", "fay", "v2", "2026-03-25 10:45", appointment_key="f1")
    s.run()
    check("SG04: a late arrival takes the no-show back", [s.members("SG04"), rows(
        "SELECT status FROM dari.profile_appointment WHERE site = 'noshow' AND appointment = 'f1'")], [[], [["arrived"]]])
    s.stop()


def churned():
    s = Site("churned")
    arrived(s, "2026-01-05 10:00", "ortho", "o1", dept="정형외과")
    arrived(s, "2026-01-05 10:00", "nodept", "n1")
    arrived(s, "2026-01-05 10:00", "dental", "t1", dept="치과")
    for i, day in enumerate(["2026-01-05", "2025-09-27", "2025-06-19"]):
        arrived(s, "2026-01-05 11:00", "slow", f"s{i}", day + " 10:00", dept="정형외과")
    arrived(s, "2026-01-05 12:00", "again", "g1", dept="정형외과")
    s.run()
    check("profile: visits, first, last, median gap, department", rows(
        "SELECT visit_count, first_visit_on, last_visit_on, visit_interval_median_days, primary_dept "
        "FROM dari.profile WHERE site = 'churned' AND patient = 'slow'"), [[3, "2025-06-19", "2026-01-05", 100, "정형외과"]])
    booked(s, "2026-04-01 12:00", "again", "g2", "2026-04-20 10:00")
    s.tick("2027-01-31 00:00")
    check("SG20: by passing time, by department, by the patient's own interval, not with an appointment ahead",
          s.derived("SG20"),
          [["entered", "ortho", "2026-04-06 00:00", None], ["entered", "again", "2026-04-20 10:00", None],
           ["entered", "nodept", "2026-07-05 00:00", None], ["entered", "slow", "2026-07-25 00:00", None],
           ["entered", "dental", "2027-01-06 00:00", None]])
    v = arrived(s, "2027-01-31 09:00", "ortho", "o2", dept="정형외과")
    u = s.event("2027-01-31 09:10", "visit.voided", "ortho", visit_key="o2")
    s.run()
    check("a voided visit gives back the last visit, and the segment", [d[::3] for d in s.derived("SG20")[5:]] + rows(
        "SELECT last_visit_on, visit_count FROM dari.profile WHERE site = 'churned' AND patient = 'ortho'"),
        [["exited", v], ["entered", u], ["2026-01-05", 1]])
    d = s.event("2027-02-01 09:00", "patient.deceased", "ortho")
    s.run()
    check("the dead are in no segment", s.derived("SG20")[7:], [["exited", "ortho", "2027-02-01 09:00", d]])
    s.stop()


def merged():
    s = Site("merged")
    arrived(s, "2026-03-02 10:00", "old", "v1", dept="치과")
    arrived(s, "2026-03-03 10:00", "new", "v2", dept="정형외과")
    arrived(s, "2026-03-05 10:00", "old", "v3", dept="치과")
    booked(s, "2026-03-05 11:00", "old", "a1", "2026-03-07 10:00")
    s.event("2026-03-05 11:30", "payment.recorded", "old", paid_krw=30000)
    s.event("2026-03-05 12:00", "patient.updated", "old", changed=[{"field": "privacy_flag", "new": "true"}])
    s.tick("2026-03-06 00:00")
    m = s.event("2026-03-06 09:00", "patient.merged", "new", surviving_key="new", retired_key="old")
    s.run()
    check("merge: the retired leaves, the survivor enters", s.derived("SG02")[1:],
          [["entered", "new", "2026-03-06 09:00", m], ["exited", "old", "2026-03-06 09:00", m]])
    check("merge: facts, aggregates and the strictest flag", rows(
        "SELECT visit_count, first_visit_on, last_visit_on, primary_dept, privacy_flag, (SELECT sum(paid_krw) FROM "
        "dari.profile_payment y WHERE y.site = p.site AND y.patient = p.patient) AS paid FROM dari.profile p "
        "WHERE site = 'merged' AND patient = 'new'"), [[3, "2026-03-02", "2026-03-05", "치과", True, 30000]])
    c = cancelled(s, "2026-03-06 10:00", "old", "a1")
    s.run()
    check("merge: later events of the retired key count for the survivor", s.derived("SG02")[3:],
          [["exited", "new", "2026-03-06 10:00", c]])
    s.event("2026-03-06 11:00", "patient.merged", "third", surviving_key="third", retired_key="new")
    arrived(s, "2026-03-06 12:00", "old", "v4")
    s.run()
    check("merge: chains are short", rows("SELECT patient, merged_into, visit_count FROM dari.profile "
                                          "WHERE site = 'merged' ORDER BY 1"),
          [["new", "third", 0], ["old", "third", 0], ["third", None, 4]])
    s.event("2026-03-06 13:00", "patient.merged", "new", surviving_key="new", retired_key="third")
    s.event("2026-03-06 13:00", "patient.merged", "new", surviving_key="new", retired_key="new")
    s.run()
    check("merge: turned round, and with itself", rows("SELECT patient, merged_into, visit_count FROM dari.profile "
                                                       "WHERE site = 'merged' ORDER BY 1"),
          [["new", None, 4], ["old", "new", 0], ["third", "new", 0]])
    s.stop()


def odd():
    s = Site("odd")
    cancelled(s, "2026-03-02 10:00", "gil", "a1")
    s.event("2026-03-02 10:00", "appointment.confirmed", "gil", appointment_key="a2")
    s.event("2026-03-02 10:00", "visit.voided", "gil", visit_key="v1")
    s.event("2026-03-02 10:00", "visit.completed", "gil", visit_key="v2", at=kst("2026-03-02 09:00"))
    s.event("2026-03-02 10:00", "appointment.booked", "gil")
    s.event("2026-03-02 10:00", "patient.merged", "gil")
    s.event("2026-03-02 10:00", "patient.merged", "gil", surviving_key="", retired_key="")
    s.event("2026-03-02 10:00", "something.else", "gil")
    booked(s, "2026-03-02 11:00", "gil", "a1", "2026-03-03 10:00")
    s.event("2026-03-02 11:30", "appointment.confirmed", "gil", appointment_key="a1")
    s.run()
    check("out of order: the later in the stream wins", rows(
        "SELECT appointment, status FROM dari.profile_appointment WHERE site = 'odd' ORDER BY 1") + s.members("SG02"),
        [["a1", "confirmed"], ["a2", "confirmed"], "gil"])
    booked(s, "2026-03-02 12:00", "hana", "a1", "2026-03-03 10:00")
    s.run()
    check("an appointment that turns out to be somebody else's", s.members("SG02"), ["hana"])
    arrived(s, "2026-03-02 13:00", "gil", "v1")
    s.run()
    check("a voided visit that is registered again counts", rows(
        "SELECT visit_count FROM dari.profile WHERE site = 'odd' AND patient = 'gil'"), [[2]])
    s.stop()


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
        self.folder = os.path.join(tmp, site)
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


def write_config(site, folder):
    path = os.path.join(folder, "dari.xml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<dari xmlns="urn:dari:config:1" home="{ROOT}"><site id="{site}" name="x" zone="Asia/Seoul"/>'
                f'<keys folder="{tmp}/keys"/><database conninfo="{conninfo}" migrate="yes"/><run folder="{folder}/run"/>'
                f'<relay local="{folder}/run/relay"/><segments folder="config/segments" sweep="1m"/></dari>')
    return path


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
            subprocess.run(["sh", postgres, "kill", os.path.join(tmp, "pg")], check=True)
            subprocess.run(["sh", postgres, "start", os.path.join(tmp, "pg")], check=True, stdout=subprocess.DEVNULL)
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
    folder = os.path.join(tmp, "segments")
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


def commands():
    dari = os.path.join(BUILD, "dari")
    config = write_config("noshow", tmp)

    def run(*words):
        return subprocess.run([dari, "segment", *words, "--config", config], capture_output=True, text=True)
    p = run("list", "--json")
    o = json.loads(p.stdout) if p.returncode == 0 else {"stderr": p.stderr}
    check("dari segment list --json", [o.get("evaluated_at"), [x["segment"] for x in o.get("segments", [])]],
          ["2026-03-25T11:30:00+09:00", ["SG02", "SG04", "SG20"]])
    p = run("explain", "SG04", "dan", "--json")
    o = json.loads(p.stdout) if p.returncode == 0 else {"stderr": p.stderr}
    check("dari segment explain: conditions and the attributes they mention",
          [{c["reason"]: c["holds"] for c in o.get("conditions", [])}, sorted(o.get("attributes", {}))],
          [{"alive": "true", "no-show": "false", "no-appointment-ahead": "true"},
           ["days", "deceased", "last_visit_at", "now", "today"]])
    check("dari segment explain: instants in the site's zone", o.get("attributes", {}).get("now"),
          "2026-03-25T11:30:00+09:00")
    p = run("explain", "SG20", "eun")
    check("dari segment explain: unknown is said", [p.returncode, "unknown  away-too-long" in p.stdout], [0, True])
    p = run("members", "SG02")
    check("dari segment members", [p.returncode, "evaluated at 2026-03-25T11:30:00+09:00" in p.stdout], [0, True])
    p = run("recompute", "SG04")
    check("dari segment recompute", [p.returncode, p.stdout.splitlines()[:1]], [0, ["0 changes"]])
    for name, words, status in (("an unknown segment", ["members", "SG99"], 1), ("an unknown patient", ["explain", "SG04", "x"], 1),
                                ("no verb", [], 2), ("too few words", ["explain", "SG04"], 2)):
        p = run(*words)
        check(f"dari segment: {name} is one line on standard error", [p.returncode, p.stdout, 1 <= len(p.stderr.splitlines()) <= 2],
              [status, "", True])


def main():
    subprocess.run(["make", "-s", "all", "drivers"], cwd=ROOT, check=True, stdout=sys.stderr)
    for test in (tomorrow, dates, no_show, churned, merged, odd, same_result, processes, changed_rules, commands):
        try:
            test()
        except Exception as e:  # the other tests still run
            check(test.__name__, f"{type(e).__name__}: {e}", "no error")
    return tap.done()


tmp = tempfile.mkdtemp(prefix="dari-segment-")
postgres = os.path.join(ROOT, "deploy/postgres.sh")
try:
    conninfo = subprocess.run(["sh", postgres, "start", os.path.join(tmp, "pg")], check=True, capture_output=True,
                              text=True).stdout.strip()
    status = main()
finally:
    subprocess.run(["sh", postgres, "drop", os.path.join(tmp, "pg")], stdout=subprocess.DEVNULL)
    shutil.rmtree(tmp, ignore_errors=True)
sys.exit(status)
