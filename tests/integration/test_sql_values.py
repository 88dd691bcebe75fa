"""What a foreign database holds comes out exactly, through libpq and through ODBC; what cannot is refused with its place;
a million rows take no memory; what does not answer is given up."""
import csv
import io
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import CORPUS, DARI, ROOT, main  # noqa: E402

HOME = os.path.join(ROOT, "var", "test", "sites", "sql-values")
DRIVER = os.path.join(ROOT, os.path.dirname(os.environ.get("DARI", "build/dev/dari")), "tests/integration/sql_driver")
ODBC = "/usr/lib/x86_64-linux-gnu/odbc"


def postgres(action):
    out = subprocess.run([os.path.join(ROOT, "deploy/postgres.sh"), action, os.path.join(HOME, "postgres")],
                         capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if out.returncode:
        raise RuntimeError(out.stderr)
    return out.stdout.strip()


class World:
    def __init__(self):
        if os.path.isdir(os.path.join(HOME, "postgres")):
            postgres("drop")
        shutil.rmtree(HOME, ignore_errors=True)
        os.makedirs(HOME)
        self.pq = postgres("start")
        host = self.pq.split("host=")[1].split()[0]
        self.odbc = f"Driver={ODBC}/psqlodbcw.so;Servername={host};Database=dari;Username=dari;UseDeclareFetch=1;Fetch=500;" \
                    "MaxLongVarcharSize=1000000;BoolsAsChar=0;"
        self.ansi = self.odbc.replace("psqlodbcw", "psqlodbca")

    def sql(self, query):
        subprocess.run(["psql", self.pq, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", query], check=True, stdout=subprocess.DEVNULL)

    def ask(self, via, query, *options, files=1, connection=None, env=None):
        """→ (status, content of the files, log, KiB)"""
        shutil.rmtree(os.path.join(HOME, "work"), ignore_errors=True)
        path = os.path.join(HOME, "connection")
        with open(path, "w", encoding="utf-8") as f:
            os.chmod(path, 0o600)
            f.write(connection or (self.pq if via == "libpq" else self.odbc))
        out = subprocess.run([DRIVER, HOME, str(files), "via=" + via, "connection-file=" + path, "every=100ms",
                              "work=" + os.path.join(HOME, "work"), "query=" + query, *options],
                             capture_output=True, text=True, timeout=180, env={**os.environ, **(env or {})})
        texts = []
        for i in range(files):
            name = os.path.join(HOME, f"{i + 1}.csv")
            if os.path.exists(name):
                texts.append(open(name, "rb").read())
                os.unlink(name)
        return out.returncode, texts, out.stderr, int(out.stdout.strip() or 0)


VALUES = [  # SQL, what stands in the file
    ("NULL::text", ""),
    ("''::text", '""'),
    ("'a,b'::text", '"a,b"'),
    ("'say \"hi\"'::text", '"say ""hi"""'),
    ("E'two\\nlines'::text", '"two\nlines"'),
    ("E'\\r\\n'::text", '"\r\n"'),
    ("'홍길동 ㈜ 😀'::text", "홍길동 ㈜ 😀"),
    ("'  blanks '::text", '"  blanks "'),
    ("'000123'::text", "000123"),
    ("12345678901234567890.123456789000::numeric", "12345678901234567890.123456789000"),
    ("9223372036854775807::bigint", "9223372036854775807"),
    ("-1::smallint", "-1"),
    ("DATE '2026-03-11'", "2026-03-11"),
    ("TIMESTAMP '2026-03-11 09:00:00'", "2026-03-11 09:00:00"),
    ("TIMESTAMP '2026-03-11 09:00:00.123456'", "2026-03-11 09:00:00.123456"),
    ("TIME '09:00:00'", "09:00:00"),
    ("repeat('가나다라', 20000)", "가나다라" * 20000),
    ("repeat('x', 65535)", "x" * 65535),
    ("repeat('가', 32767)", "가" * 32767),
    ("repeat('가', 32768) || '😀'", "가" * 32768 + "😀"),
    ("repeat('가', 32766) || '😀😀'", "가" * 32766 + "😀😀"),
]
ONLY_PQ = [  # where drivers have ways of their own; a query can CAST to text
    ("TIMESTAMPTZ '2026-03-11 09:00:00+09'", "2026-03-11 00:00:00+00"),
    ("0.1::float8 + 0.2::float8", "0.30000000000000004"),
    ("true", "t"),
    ("INTERVAL '1 day 2 hours'", "P1DT2H"),
    ("ARRAY['a','b']", '"{a,b}"'),
]


def values(tap, w):
    def query(rows):
        return "SELECT " + ", ".join(f'{sql} AS "{"열" if i % 2 else "c"}{i}"' for i, (sql, _) in enumerate(rows))

    def expected(rows):
        head = ",".join(f'{"열" if i % 2 else "c"}{i}' for i in range(len(rows)))
        return (head + "\n" + ",".join(text for _, text in rows) + "\n").encode()

    def compare(name, via, rows, *options, connection=None):
        status, files, log, _ = w.ask(via, query(rows), *options, connection=connection)
        got = list(csv.reader(io.StringIO(files[0].decode("utf-8", "replace"), newline=""))) if files else []
        want = list(csv.reader(io.StringIO(expected(rows).decode(), newline="")))
        wrong = [(i, g[:60], x[:60]) for i, (g, x) in enumerate(zip(got[1], want[1])) if g != x] if len(got) == 2 else [log]
        tap.check(name, files and files[0] == expected(rows), wrong or (files[0][:300] if files else log))

    compare("libpq gives every value exactly", "libpq", VALUES + ONLY_PQ)
    compare("ODBC gives every value exactly", "odbc", VALUES)
    compare("ODBC, functions for bytes, UTF-8", "odbc", VALUES, "odbc-charset=utf-8", connection=w.ansi + "ConnSettings=SET client_encoding TO UTF8;")
    korean = [("'홍길동'::text", "홍길동"), ("'뷁'::text", "뷁"), ("12::int", "12")]
    compare("ODBC, functions for bytes, CP949", "odbc", korean, "odbc-charset=cp949",
            connection=w.ansi + "ConnSettings=SET client_encoding TO UHC;")


def refusals(tap, w):
    for via in ("libpq", "odbc"):
        for name, query, options, says in (
                ("binary", "SELECT 1 AS a, '\\x00ff'::bytea AS b", (), "column 2 is binary"),
                ("no name twice", "SELECT 1 AS a, 2 AS a", (), "same name"),
                ("no name", 'SELECT 1 AS " "', (), "no name"),
                ("a row too long", "SELECT repeat('x', 5000) AS a", ("max-row=4k",), "max-row"),
                ("too many rows", "SELECT generate_series(1, 5) AS a", ("max-rows=4",), 'row 5 of the result: the result has more than max-rows="4"'),
                ("too many bytes", "SELECT repeat('x', 1000) AS a FROM generate_series(1, 99)", ("max-size=64k",), "max-size"),
                ("no such table", "SELECT 1 FROM nothing", (), "42P01"),
                ("a value is not told", "SELECT ('홍길동' || generate_series)::int AS a FROM generate_series(1, 2)", (), "22P02"),
                ("a mark out of order", "SELECT 3 - generate_series AS a FROM generate_series(1, 2) WHERE 1 > CAST(:mark AS int)",
                 ("mark=a", "mark-start=0"), "ORDER BY"),
                ("a row without mark", "SELECT NULLIF(generate_series, 2) AS a FROM generate_series(1, 2) WHERE 1 > CAST(:mark AS int)",
                 ("mark=a", "mark-start=0"), "row 2 of the result: no mark"),
                ("a mark that is no column", "SELECT 1 AS a WHERE 1 > CAST(:mark AS int)", ("mark=b", "mark-start=0"), "no column b"),
                ("a statement without rows", "SET work_mem = 1000", (), "refused" if via == "odbc" else "must be a SELECT"),
                ("no end of a COPY", "COPY (SELECT 1) TO STDOUT", (), "refused" if via == "odbc" else "no SELECT"),
                ("its own time-out", "SELECT pg_sleep(30)::text AS a", ("timeout=300ms",), "(57014)")):
            status, files, log, _ = w.ask(via, query, *options)
            tap.check(f"{via}: {name}", status == 1 and not files and says in log and "홍길동" not in log, log[-500:])
    w.sql("CREATE FUNCTION talk() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'it is 홍길동'; RETURN 1; END $$")
    for via in ("libpq", "odbc"):
        status, files, log, _ = w.ask(via, "SELECT talk() AS a")
        tap.check(f"{via}: what the server says goes nowhere", files == [b"a\n1\n"] and "홍길동" not in log, log)
    status, files, log, _ = w.ask("libpq", "SELECT '\\x00ff'::bytea AS b", "binary=hex")
    tap.equal("libpq: binary as hex", files, [b"b\n00ff\n"])
    status, files, log, _ = w.ask("odbc", "SELECT '\\x00ff'::bytea AS b", "binary=hex")
    tap.equal("odbc: binary as hex", [f.lower() for f in files], [b"b\n00ff\n"])


def nobody_answers(tap, w):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(5)
        port = s.getsockname()[1]
        for via, connection in (("libpq", f"host=127.0.0.1 port={port} dbname=x user=x password=secret1"),
                                ("odbc", f"Driver={ODBC}/psqlodbcw.so;Servername=127.0.0.1;Port={port};Database=x;Username=x;PWD=secret1")):
            status, _, log, _ = w.ask(via, "SELECT 1 AS a", "connect-timeout=300ms", connection=connection)
            tap.check(f"{via}: a server that does not answer", status == 1 and ("no connection within 300 ms" in log or "could not connect" in log)
                      and "secret1" not in log, log)
    for via, connection in (("libpq", "host=127.0.0.1 port=1 dbname=x user=x"), ("libpq", "no such thing"), ("odbc", "Driver=/nonexistent.so"),
                            ("odbc", f"Driver={ODBC}/psqlodbcw.so;Servername=127.0.0.1;Port=1;Database=x;Username=x;PWD=secret1")):
        status, _, log, _ = w.ask(via, "SELECT 1 AS a", connection=connection)
        tap.check(f"{via}: {connection.split(';')[0]}", status == 1 and "could not connect" in log and "secret1" not in log, log)


def memory(tap, w):
    query = "SELECT i AS id, 'row ' || i AS name, now() AS at FROM generate_series(1, 1000000) i"
    for via in ("libpq", "odbc"):
        few = w.ask(via, query.replace("1000000", "1000"))[3]
        status, files, log, most = w.ask(via, query)
        rows = files[0].count(b"\n") if files else 0
        tap.check(f"{via}: a million rows", status == 0 and rows == 1000001 and files[0].endswith(b"\n"), log)
        tap.check(f"{via}: memory does not grow with them", most < few + 16 * 1024, f"{few} KiB, then {most} KiB")
        print(f"# {via}: {few} KiB for a thousand rows, {most} KiB for a million")
    status, files, log, most = w.ask("libpq", "SELECT i AS id FROM generate_series(1, 300000) i WHERE i >= CAST(:mark AS int) ORDER BY i",
                                     "mark=ID", "mark-start=1", "max-rows=100000", "overlap=1000", files=3)
    tap.equal("a mark goes through a large table in parts", [f.count(b"\n") - 1 for f in files], [100000] * 3)


class TlsDoor(threading.Thread):
    """TLS in front of the server's local socket, as PostgreSQL itself would do it: SSLRequest, 'S', handshake."""

    def __init__(self, w):
        super().__init__(daemon=True)
        self.target = w.pq.split("host=")[1].split()[0] + "/.s.PGSQL.5432"
        for name in ("door", "other"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{HOME}/{name}.key.pem",
                            "-out", f"{HOME}/{name}.pem"], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{HOME}/door.pem", f"{HOME}/door.key.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            if peer.recv(8) != bytes.fromhex("0000000804d2162f"):
                return
            peer.sendall(b"S")
            peer = self.context.wrap_socket(peer, server_side=True)
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.target)
            threading.Thread(target=self.pump, args=(peer, server), daemon=True).start()
            self.pump(server, peer)
        except OSError:
            pass

    @staticmethod
    def pump(source, to):
        try:
            while data := source.recv(200000):
                to.sendall(data)
        except OSError:
            pass


def tls(tap, w):
    door = TlsDoor(w)
    door.start()
    query = "SELECT i AS id, repeat('x', i % 3000) AS name FROM generate_series(1, 20000) i"
    connection = f"host=localhost hostaddr=127.0.0.1 port={door.port} user=dari dbname=dari sslmode=verify-full gssencmode=disable sslrootcert='{HOME}/"
    status, files, log, _ = w.ask("libpq", query, connection=connection + "door.pem'")
    tap.check("libpq: over TLS, the server's certificate checked", status == 0 and files and files[0].count(b"\n") == 20001, log)
    status, files, log, _ = w.ask("libpq", query, connection=connection + "other.pem'")
    tap.check("libpq: another server's certificate", status == 1 and not files and "certificate verify failed" in log, log)


def marking(tap, w):
    """Rows are marked in several transactions, each with the settings of the first."""
    w.sql("CREATE TABLE list (id int PRIMARY KEY, took text); INSERT INTO list SELECT generate_series(1, 1200)")
    status, files, log, _ = w.ask("libpq", "SELECT id FROM list WHERE took IS NULL ORDER BY id", "max-rows=600", "timeout=7s",
                                  "taken=UPDATE list SET took = current_setting('statement_timeout') || ' ' || current_setting('TimeZone') "
                                  "WHERE id = CAST(:id AS int)", files=2)
    took = subprocess.run(["psql", w.pq, "-qAtX", "-c", "SELECT took, count(*) FROM list WHERE took IS NOT NULL GROUP BY took ORDER BY took"],
                          capture_output=True, text=True, check=True).stdout
    tap.check("libpq: rows are marked", status == 0 and len(files) == 2, log)
    tap.equal("each of them under the same settings", took, "7s UTC|600\n")


def same_events(tap, w):
    """Reservations out of a database give the same events as the CSV file that an EMR writes."""
    mapping = os.path.join(ROOT, "mappings/exports/reservation-list.xml")
    plain = "차트번호,예약번호,예약일시,진료과,예약구분\n1001,R1,2026-03-11 09:00,피부과,초진\n1002,R2,2026-03-12 14:30,,재진\n"
    name = os.path.join(HOME, "plain.csv")
    with open(name, "w", encoding="utf-8") as f:
        f.write(plain)
    w.sql("CREATE TABLE resv (chart int, no text, at timestamp, dept text, kind text); INSERT INTO resv VALUES "
          "(1001, 'R1', '2026-03-11 09:00', '피부과', '초진'), (1002, 'R2', '2026-03-12 14:30', NULL, '재진')")
    want = subprocess.run([DARI, "map", "--mapping", mapping, name], capture_output=True, text=True)

    def events(text):
        out = []
        for line in text.splitlines():
            event = json.loads(line)
            out.append({k: event.get(k) for k in ("type", "subject", "data")})
        return out
    for via in ("libpq", "odbc"):
        _, files, log, _ = w.ask(via, 'SELECT chart AS "차트번호", no AS "예약번호", at AS "예약일시", dept AS "진료과", kind AS "예약구분" '
                                      "FROM resv ORDER BY no")
        with open(name, "wb") as f:
            f.write(files[0] if files else b"")
        got = subprocess.run([DARI, "map", "--mapping", mapping, name], capture_output=True, text=True)
        tap.equal(f"{via}: the same events as from a file", events(got.stdout), events(want.stdout))
    tap.check("and there are some", len(events(want.stdout)) == 2, want.stderr + want.stdout)


def test(tap):
    w = World()
    try:
        values(tap, w)
        refusals(tap, w)
        nobody_answers(tap, w)
        memory(tap, w)
        tls(tap, w)
        marking(tap, w)
        same_events(tap, w)
    finally:
        postgres("stop")


if not os.path.exists(os.path.join(ODBC, "psqlodbcw.so")):
    print("ok 1 - values of a foreign database # SKIP PostgreSQL's ODBC driver is not installed\n1..1")
    sys.exit(0)
main(test)
