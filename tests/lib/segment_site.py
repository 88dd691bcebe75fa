"""The segmentation core on a real PostgreSQL, for tests: sites in one database, each with a core of its own that
tests/integration/segment_driver drives, events for them, and what became of them."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import types
from datetime import datetime, timedelta, timezone

from site_dari import ROOT, Tap

BUILD = os.path.join(ROOT, "build", os.environ.get("MODE", "dev"))
DRIVER = os.path.join(BUILD, "tests/integration/segment_driver")
POSTGRES = os.path.join(ROOT, "deploy/postgres.sh")
KST = timezone(timedelta(hours=9))
here = types.SimpleNamespace(tmp=None, conninfo=None)  # the folder and the database, while main() runs
tap = Tap()
check = tap.equal


def kst(text):
    """'2026-03-10 09:00' of the site's wall clock, as RFC 3339."""
    return datetime.fromisoformat(text).replace(tzinfo=KST).isoformat()


def psql(sql):
    p = subprocess.run(["psql", here.conninfo, "-XqAt", "-v", "ON_ERROR_STOP=1"], input=sql, capture_output=True, text=True)
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
        self.p = subprocess.Popen([DRIVER, here.conninfo, self.name, os.path.join(here.tmp, "keys"),
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


def write_config(site, folder):
    path = os.path.join(folder, "dari.xml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'<dari xmlns="urn:dari:config:1" home="{ROOT}"><site id="{site}" name="x" zone="Asia/Seoul"/>'
                f'<keys folder="{here.tmp}/keys"/><database conninfo="{here.conninfo}" migrate="yes"/><run folder="{folder}/run"/>'
                f'<relay local="{folder}/run/relay"/><segments folder="config/segments" sweep="1m"/></dari>')
    return path


def main(*tests):
    """One after the other, in a database that is there as long."""
    here.tmp = tempfile.mkdtemp(prefix="dari-segment-")
    try:
        here.conninfo = subprocess.run(["sh", POSTGRES, "start", os.path.join(here.tmp, "pg")], check=True, capture_output=True,
                                       text=True).stdout.strip()
        subprocess.run(["make", "-s", "all", "drivers"], cwd=ROOT, check=True, stdout=sys.stderr)
        for test in tests:
            try:
                test()
            except Exception as e:  # the other tests still run
                check(test.__name__, f"{type(e).__name__}: {e}", "no error")
    finally:
        subprocess.run(["sh", POSTGRES, "drop", os.path.join(here.tmp, "pg")], stdout=subprocess.DEVNULL)
        shutil.rmtree(here.tmp, ignore_errors=True)
    sys.exit(tap.done())
