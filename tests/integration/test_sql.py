"""A feed that asks a foreign database: PostgreSQL through libpq and through its ODBC driver, drivers that crash and
hang, kill -9 at random, and every row once in effect."""
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, main  # noqa: E402
from site_dari import wait_for as wait_within  # noqa: E402

MAPPING = """<?xml version="1.0" encoding="UTF-8"?>
<mapping name="resv" version="1" format="table" title="resv" xmlns="urn:dari:mapping:1">
  <for message="row^*"/>
  <columns>
    <column name="chart_no" required="yes"><alias header="차트번호"/></column>
    <column name="appt_no" required="yes"><alias header="예약번호"/></column>
    <column name="appt_date" required="yes"><alias header="예약일시"/></column>
  </columns>
  <key columns="appt_no"/>
  <patient from="chart_no"/>
  <event type="appointment.booked" when="{#change} = 'new'">
    <field name="appointment_key" from="appt_no" as="key" kind="appointment"/>
    <field name="start" from="appt_date"/>
  </event>
  <event type="appointment.rescheduled" when="{#change} = 'changed'">
    <field name="appointment_key" from="appt_no" as="key" kind="appointment"/>
    <field name="start" from="appt_date"/>
    <field name="old_start" from="-appt_date"/>
    <field name="new_start" from="appt_date"/>
  </event>
  <event type="appointment.cancelled" when="{#change} = 'gone'">
    <field name="appointment_key" from="appt_no" as="key" kind="appointment"/>
    <field name="start" from="appt_date"/>
  </event>
</mapping>
"""
COLUMNS = "id AS 예약번호, chart AS 차트번호, to_char(at, 'YYYY-MM-DD HH24:MI') AS 예약일시"
MARKED = (f"SELECT {COLUMNS}, changed FROM resv WHERE changed &gt;= CAST(:mark AS timestamptz) - interval '3 seconds' "
          "ORDER BY changed")
DRIVERS = "/usr/lib/x86_64-linux-gnu/odbc"


def wait_for(what, condition):
    """Ten feeds and their drivers' processes share the machine with other tests."""
    return wait_within(what, condition, 150)


class Emr:
    """The foreign database: a table of reservations, one row a minute apart from the other."""

    def __init__(self, site, name):
        self.site, self.name, self.rows = site, name, 0
        site.sql(f"CREATE DATABASE {name}")
        self.conninfo = site.conninfo().replace("dbname=dari", f"dbname={name}")
        self.sql("CREATE TABLE resv (id int PRIMARY KEY, chart text, at timestamp, changed timestamptz DEFAULT now(), "
                 "sent boolean DEFAULT false, marked int DEFAULT 0)")

    def sql(self, query):
        out = subprocess.run(["psql", self.conninfo, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", query], capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr)
        return out.stdout.strip()

    def book(self, n, wait=0):
        """n rows in one transaction: all have the same `changed`. With wait they are committed late."""
        first = self.rows + 1
        self.rows += n
        self.sql(f"BEGIN; INSERT INTO resv (id, chart, at) SELECT i, 100 + i % 50, '2030-01-01'::timestamp + i * interval '1 minute' "
                 f"FROM generate_series({first}, {first + n - 1}) i; SELECT pg_sleep({wait}); COMMIT")


def add_feed(site, name, attributes, feed="", connection=None):
    """A feed more, before the start."""
    home = site.home
    with open(os.path.join(home, "resv.xml"), "w", encoding="utf-8") as f:
        f.write(MAPPING)
    path = os.path.join(home, name + ".connection")
    with open(path, "w", encoding="utf-8") as f:
        os.chmod(path, 0o600)
        f.write(connection + "\n")
    text = open(site.config, encoding="utf-8").read()
    text = text.replace("  <relay ", f'  <feed name="{name}" adapter="sql" mapping="resv.xml" {feed}>\n'
                        f'    <sql connection-file="{name}.connection" work="work/{name}" retry="50ms" every="500ms" {attributes}/>\n'
                        "  </feed>\n  <relay ", 1)
    with open(site.config, "w", encoding="utf-8") as f:
        f.write(text)


def starts(site, feed, kind="booked"):
    """How often each start stands in the events of a feed."""
    field = "new_start" if kind == "rescheduled" else "start"
    rows = site.sql(f"SELECT data::jsonb->>'{field}', count(*) FROM dari.event WHERE source LIKE '%{feed}' "
                    f"AND type = 'appointment.{kind}' GROUP BY 1")
    return {r[0]: int(r[1]) for r in rows}


def complete(site, feed, emr):
    return lambda: len(starts(site, feed)) >= emr.rows


def once(tap, name, site, feed, emr):
    found = starts(site, feed)
    tap.equal(name, (len(found), max(found.values(), default=0)), (emr.rows, 1))


def odbc(emr, driver="psqlodbcw.so", more=""):
    host = emr.conninfo.split("host=")[1].split()[0]
    return f"Driver={DRIVERS}/{driver};Servername={host};Database={emr.name};Username=dari;UseDeclareFetch=1;Fetch=100;{more}"


def read_only(tap, site):
    """What a query tries to write is not written, over either way."""
    wait_for("it is refused", lambda: "feed:writes sql.failing" in site.text())
    wait_for("it was tried over ODBC", lambda: "feed:writesodbc sql." in site.text().replace("sql.polling", ""))
    tap.equal("a query cannot write", site.emrs["pq"].sql("SELECT count(*) FROM stolen"), "0")
    tap.equal("nor over ODBC", site.emrs["odbc"].sql("SELECT count(*) FROM stolen"), "0")


def marks(tap, site, feed, emr):
    emr.book(1500)
    wait_for("the first rows of " + feed, complete(site, feed, emr))
    threads = [threading.Thread(target=emr.book, args=(20,), kwargs={"wait": wait}) for wait in (1.5, 0, 0.7)]
    for t in threads:
        t.start()
        time.sleep(0.1)  # so that they take their time stamps one after the other, and commit in another order
    for i in range(5):
        emr.book(3)
    for t in threads:
        t.join()
    wait_for("late ones of " + feed, complete(site, feed, emr))
    once(tap, f"{feed}: ties and late commits, each row once", site, feed, emr)


def lost_answer(tap, site, feed, emr):
    """The end of a file is committed, and the connection breaks before the answer: waiting for a standby that is not there."""
    site.sql("ALTER SYSTEM SET synchronous_commit = 'local'")
    site.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    site.sql("CREATE FUNCTION public.wait_long() RETURNS trigger LANGUAGE plpgsql AS "
             "$$ BEGIN PERFORM set_config('synchronous_commit', 'on', true); RETURN NULL; END $$")
    site.sql("CREATE TRIGGER wait_long AFTER UPDATE OF state ON dari.batch FOR EACH ROW "
             f"WHEN (NEW.state = 'taken' AND NEW.feed = '{feed}') EXECUTE FUNCTION public.wait_long()")
    site.sql("SELECT pg_reload_conf()")
    emr.book(5)
    waits = "pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    pid = wait_for("the commit", lambda: site.one("SELECT " + waits))
    site.sql(f"SELECT pg_terminate_backend({pid})")
    wait_for("its end", lambda: not site.one("SELECT " + waits))
    site.sql("DROP TRIGGER wait_long ON dari.batch")
    site.sql("ALTER SYSTEM RESET synchronous_standby_names")
    site.sql("ALTER SYSTEM RESET synchronous_commit")
    site.sql("SELECT pg_reload_conf()")
    emr.book(3)
    wait_for("what came behind it", complete(site, feed, emr))
    once(tap, f"{feed}: the answer to a commit is lost, each row once", site, feed, emr)


def taken(tap, site, feed, emr):
    emr.book(700)
    wait_for("all marked by " + feed, lambda: emr.sql("SELECT count(*) FROM resv WHERE NOT sent") == "0")
    emr.book(5)
    wait_for("again", lambda: emr.sql("SELECT count(*) FROM resv WHERE NOT sent") == "0")
    once(tap, f"{feed}: each row once", site, feed, emr)
    tap.equal(f"{feed}: marked after the commit", emr.sql("SELECT min(marked) FROM resv"), "1")


def snapshots(tap, site, emr):
    emr.book(300)
    wait_for("the first snapshot", complete(site, "snap", emr))
    emr.sql("UPDATE resv SET at = at + interval '1 year' WHERE id % 100 = 0; DELETE FROM resv WHERE id = 7")
    wait_for("changed ones", lambda: len(starts(site, "snap", "rescheduled")) == 3)
    wait_for("the one that is gone", lambda: len(starts(site, "snap", "cancelled")) == 1)
    tap.equal("snapshot: only what changed", (len(starts(site, "snap")), len(starts(site, "snap", "rescheduled"))), (300, 3))
    emr.sql("UPDATE resv SET at = at - interval '1 year' WHERE id % 100 = 0")
    wait_for("back to an earlier state", lambda: len(starts(site, "snap", "rescheduled")) == 6)
    tap.check("snapshot: a content of before is news again", True)


def lost_connection(tap, site, emr):
    """In the middle of a result."""
    emr.rows = 0
    emr.book(50)
    wait_for("a slow query under way", lambda: emr.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%slow%' AND state = 'active' "
        "AND pid <> pg_backend_pid()") == "1")
    emr.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%slow%' "
            "AND pid <> pg_backend_pid()")
    wait_for("it is said", lambda: "feed:slow sql.failing" in site.text())
    wait_for("and over", complete(site, "slow", emr))
    once(tap, "a connection lost in mid-result: each row once", site, "slow", emr)
    tap.check("said once", site.text().count("feed:slow sql.failing") == 1, site.text().count("feed:slow sql.failing"))


def drivers_that_fail(tap, site):
    """Crash and hang, while the HL7 feed and the other queries go on."""
    m = site.mllp()
    for name, says in (("crash", "signal 11"), ("hang", "no result within")):
        wait_for(name, lambda: any(f"feed:{name} sql.failing" in line and says in line for line in site.text().splitlines()))
        tap.check(f"a driver that does {name} is a failed query", True)
    for i in range(20):
        reply = m.ask(b"MSH|^~\\&|HIS|H|D|S|20260311090000||ADT^A04|q%d|P|2.5\rPID|1||555^^^H^MR||Kim^A\rPV1|1|O\r" % i)
        if b"MSA|AA" not in reply:
            tap.check("HL7 goes on meanwhile", False, reply)
            return
    tap.check("HL7 goes on meanwhile", True)
    tap.check("no feed was started again", "run.ended" not in site.text(), site.text()[-2000:])


def children(pid):
    out = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid=,args="], capture_output=True, text=True).stdout
    return [line.split(None, 1) for line in out.splitlines()]


def kills(tap, site, feeds):
    """Rows come all the time; the feeds, and their helpers, are killed all the time."""
    seed = int(os.environ.get("DARI_SEED", "1"))
    rng, numbers = random.Random(seed), random.Random(seed + 1000)
    done = threading.Event()

    def write():
        while not done.is_set():
            for _, emr in feeds:
                try:
                    emr.book(numbers.choice((1, 7, 40, 900)))  # some take intake several commits
                except RuntimeError:
                    pass  # the server is away: what became of it is counted at the end

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for i in range(27):
            time.sleep(rng.uniform(0.05, 0.5))
            if i in (9, 18):  # the foreign server, and with it our own database
                site.postgres("kill")
                site.postgres("start")
                continue
            name, _ = rng.choice(feeds)
            pid = site.pids().get("feed:" + name, 0)
            helpers = children(pid) if pid else []
            if helpers and rng.random() < 0.3:
                pid = int(helpers[0][0])
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
    finally:
        done.set()
        writer.join()
    for name, emr in feeds:
        emr.rows = int(emr.sql("SELECT count(*) FROM resv"))
        wait_for(f"every row of {name}", complete(site, name, emr))
        once(tap, f"kill -9 at random (seed {seed}), {name}: {emr.rows} rows, each once", site, name, emr)
        if name.startswith("take"):
            wait_for("all are marked", lambda: emr.sql("SELECT count(*) FROM resv WHERE NOT sent") == "0")
    tap.check("numbers are dense", site.one("SELECT head = (SELECT count(*) FROM dari.event) FROM dari.stream") == "t")


TAKE = ('query="SELECT %s, id FROM resv WHERE NOT sent" '
        'taken="UPDATE resv SET sent = true, marked = marked + 1 WHERE id = CAST(:id AS integer)"' % COLUMNS)
MARK = f'query="{MARKED}" mark="changed" mark-start="2000-01-01"'


def test(tap):
    fake = os.path.join(ROOT, "build/dev/tests/drivers/odbc_fake.so")
    if not os.path.exists(fake):
        subprocess.run(["make", "-C", ROOT, "build/dev/tests/drivers/odbc_fake.so"], check=True, stdout=subprocess.DEVNULL)
    with Site("sql") as s:
        emrs = s.emrs = {n: Emr(s, "emr_" + n) for n in ("pq", "odbc", "take", "takeodbc", "snap", "slow")}
        for n in ("pq", "odbc"):
            emrs[n].sql("CREATE TABLE stolen (id int); CREATE FUNCTION steal() RETURNS int LANGUAGE sql AS "
                        "$$ INSERT INTO stolen VALUES (1) RETURNING 1 $$")
        pq = {n: e.conninfo for n, e in emrs.items()}
        add_feed(s, "markpq", MARK, connection=pq["pq"])
        add_feed(s, "markodbc", 'via="odbc" ' + MARK, connection=odbc(emrs["odbc"]))
        add_feed(s, "takepq", TAKE, connection=pq["take"])
        add_feed(s, "takeodbc", 'via="odbc" ' + TAKE, connection=odbc(emrs["takeodbc"]))
        add_feed(s, "snap", f'query="SELECT {COLUMNS} FROM resv ORDER BY id"', feed='rows="snapshot" covers="all"', connection=pq["snap"])
        slow = f"SELECT {COLUMNS}, changed, pg_sleep(0.02)::text AS slow FROM resv WHERE changed &gt;= :mark ORDER BY changed"
        add_feed(s, "slow", f'query="{slow}" mark="changed" mark-start="2000-01-01"', connection=pq["slow"])
        writes = f"SELECT {COLUMNS}, steal() AS x FROM (SELECT 1 AS id, 'a' AS chart, now() AS at) t"
        add_feed(s, "writes", f'query="{writes}"', connection=pq["pq"])
        add_feed(s, "writesodbc", f'via="odbc" query="{writes}; "', connection=odbc(emrs["odbc"], more="ReadOnly=1;"))
        add_feed(s, "crash", 'via="odbc" odbc-charset="utf-8" query="SELECT 1"', connection=f"Driver={fake};Do=crash-row;Rows=9")
        add_feed(s, "hang", 'via="odbc" odbc-charset="utf-8" timeout="300ms" query="SELECT 1"',
                 connection=f"Driver={fake};Do=hang-row;Rows=9")
        text = open(s.config, encoding="utf-8").read()
        with open(s.config + ".wrong", "w", encoding="utf-8") as f:
            f.write(text.replace('mark-start="2000-01-01"', "").replace("WHERE NOT sent", "WHERE NOT 'sent", 1).replace('via="odbc"', 'via="jdbc"', 1))
        out = s.run("check", "--config", s.config + ".wrong")
        for says in ("mark= needs mark-start", "does not end", "via must be libpq or odbc"):
            tap.check(f"dari check: {says}", says in out.stderr and "dari.xml.wrong:" in out.stderr, out.stderr)
        out = s.run("check", "--config", s.config)
        tap.check("dari check finds nothing wrong", out.returncode == 0 or "database" in out.stderr, out.stderr)
        s.start("--only", "feed")
        drivers_that_fail(tap, s)
        marks(tap, s, "markpq", emrs["pq"])
        lost_answer(tap, s, "markpq", emrs["pq"])
        marks(tap, s, "markodbc", emrs["odbc"])
        taken(tap, s, "takepq", emrs["take"])
        taken(tap, s, "takeodbc", emrs["takeodbc"])
        snapshots(tap, s, emrs["snap"])
        lost_connection(tap, s, emrs["slow"])
        read_only(tap, s)
        kills(tap, s, [("markpq", emrs["pq"]), ("markodbc", emrs["odbc"]), ("takepq", emrs["take"]), ("takeodbc", emrs["takeodbc"])])
        modes = {oct(os.stat(os.path.join(d, f)).st_mode & 0o777) for d, _, fs in os.walk(os.path.join(s.home, "work")) for f in fs}
        tap.equal("the work folders are ours alone", modes, {"0o600"})


if not os.path.exists(os.path.join(DRIVERS, "psqlodbcw.so")):
    print("ok 1 - a foreign database # SKIP PostgreSQL's ODBC driver is not installed\n1..1")
    sys.exit(0)
main(test)
