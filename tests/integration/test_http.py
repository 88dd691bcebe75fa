#!/usr/bin/python3
"""HTTP(S): a status that is only good after the commit, bodies by their type, tokens, certificates, limits, keys."""
import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, free_port, main, wait_for  # noqa: E402

HL7 = {"Content-Type": "application/hl7-v2"}
CSV = {"Content-Type": "text/csv"}
ROWS = ("예약번호,차트번호,환자명,예약일시,상태,진료과\r\nA1,1001,홍길동,2026-03-12 10:00,예약,내과\r\n"
        "A2,1002,김영희,2026-03-12 10:30,예약,내과\r\n")


def message(n, name="홍길동"):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|DARI|20260311090000||ADT^A04^ADT_A01|W{n:06}|P|2.4|||||||UNICODE UTF-8\r"
            f"EVN|A04|20260311090000\rPID|1||W{n:06}^^^HANBIT^MR||{name}||19800101|M\r"
            f"PV1|1|O|IM||||||||||||||||W{n:06}^^^HANBIT^VN|||||||||||||||||||||||||20260311090000\r").encode()


class Client:
    def __init__(self, port, context=None):
        self.c = (http.client.HTTPSConnection("localhost", port, timeout=60, context=context) if context
                  else http.client.HTTPConnection("127.0.0.1", port, timeout=60))

    def post(self, body, headers, path="/", method="POST"):
        self.c.request(method, path, body=body, headers=headers)
        r = self.c.getresponse()
        return r.status, r.read(), r


def raw(port, data, end=True):
    """Everything that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            more = s.recv(65536)
            if not more:
                return got
            got += more


def certificates(home):
    def run(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=home)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
        "-subj", "/CN=Test CA", "-days", "2")
    for name in ("server", "client", "second"):
        with open(os.path.join(home, name + ".ext"), "w", encoding="utf-8") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
            "-subj", f"/CN={name}")
        run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", name + ".pem",
            "-days", "2", "-extfile", name + ".ext")
        os.chmod(os.path.join(home, name + ".key"), 0o600)


def feeds(port, csv_port, tls_port, fhir_port, small_port):
    return f"""
  <feed name="web" adapter="http" mapping="{{root}}/mappings/hl7v2">
    <http port="{port}" path="/inbox" max-message="64k" deadline="700ms" idle-timeout="30s" max-per-address="8"
          work="{{home}}/web"/>
  </feed>
  <feed name="tables" adapter="http" mapping="{{root}}/mappings/exports/reservation-list.xml" rows="snapshot">
    <http port="{csv_port}" work="{{home}}/tables" tokens="{{home}}/tokens" max-body="2m"/>
  </feed>
  <feed name="fhir" adapter="http" mapping="{{root}}/mappings/fhir"><http port="{fhir_port}" work="{{home}}/fhir"/></feed>
  <feed name="small" adapter="http" mapping="{{root}}/mappings/hl7v2">
    <http port="{small_port}" work="{{home}}/small" max-connections="2" answer-within="300ms" max-keys="1"/>
  </feed>
  <feed name="secure" adapter="http" mapping="{{root}}/mappings/hl7v2" senders="client: HIS/HANBIT; second: HIS">
    <http port="{tls_port}" tls="yes" cert="{{home}}/server.pem" key="{{home}}/server.key" ca="{{home}}/ca.pem" clients="required"
          work="{{home}}/secure"/>
  </feed>
"""


def messages(tap, s, port):
    c = Client(port)
    status, body, r = c.post(message(1), HL7, "/inbox")
    tap.equal("a message: 200 and its reply", (status, b"MSA|AA|W000001" in body, r.getheader("Content-Type")),
              (200, True, "application/hl7-v2"))
    tap.equal("and it is committed", s.one("SELECT state FROM dari.message WHERE control_id = 'W000001'"), "mapped")
    again, same, _ = c.post(message(1), HL7, "/inbox")
    tap.equal("the same again: the stored reply, on the same connection", (again, same), (200, body))
    status, body, _ = c.post(b"MSH|broken\r", HL7, "/inbox")
    tap.equal("one that cannot be mapped: 422 and a negative reply", (status, b"MSA|A" in body), (422, True))
    status, body, _ = c.post(b"x" * 100000, HL7, "/inbox")
    tap.equal("one that is too large", status, 413)
    c = Client(port)
    c.c.request("POST", "/inbox", body=iter([message(2)[:50], message(2)[50:]]), headers=HL7, encode_chunked=True)
    r = c.c.getresponse()
    tap.equal("in chunks", (r.status, b"MSA|AA|W000002" in r.read()), (200, True))
    for name, args, want in (
            ("another path", (message(3), HL7, "/else"), 404),
            ("GET", (None, {}, "/inbox", "GET"), 405),
            ("an unknown type", (b"x", {"Content-Type": "image/png"}, "/inbox"), 415),
            ("a coded body", (b"x", {**HL7, "Content-Encoding": "gzip"}, "/inbox"), 415)):
        tap.equal(name, Client(port).post(*args)[0], want)


def hostile(tap, s, port):
    head = b"POST /inbox HTTP/1.1\r\nHost: a\r\nContent-Type: application/hl7-v2\r\n"
    for name, data, want in (
            ("two lengths", head + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", b"400"),
            ("length and chunks", head + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", b"400"),
            ("a blank before the colon", head + b"Content-Length : 3\r\n\r\nabc", b"400"),
            ("a folded header", head + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", b"400"),
            ("no host", b"POST /inbox HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"400"),
            ("another version", b"POST /inbox HTTP/2.0\r\nHost: a\r\n\r\n", b"501"),
            ("broken chunks", head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
            ("an endless head", head + b"X: " + b"a" * 60000, b"431"),
            ("a length beyond the limit", head + b"Content-Length: 99999999999999\r\n\r\n", b"413"),
            ("a NUL in a header", head + b"X: a\0b\r\n\r\n", b"400")):
        got = raw(port, data, end=False)
        tap.check(name, got.startswith(b"HTTP/1.1 " + want), got[:100])
    got = raw(port, head + b"Content-Length: 100\r\n\r\nabc", end=False)
    tap.check("a request that does not come to its end: 408", got.startswith(b"HTTP/1.1 408"), got[:100])
    two = head + b"Content-Length: %d\r\n\r\n" % len(message(4)) + message(4)
    got = raw(port, two + two.replace(b"W000004", b"W000005"))
    tap.equal("two in a row are answered in order", [got.find(b"MSA|AA|W000004") < got.find(b"MSA|AA|W000005"), got.count(b"200 OK")],
              [True, 2])
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
    one = socket.create_connection(("127.0.0.1", port))
    one.settimeout(20)
    tap.equal("too many of one address: closed", one.recv(1), b"")
    for h in held + [one]:
        h.close()


def files(tap, s, port, token, second):
    bearer = {**CSV, "Authorization": "Bearer " + token}
    tap.equal("without a token", Client(port).post(ROWS.encode(), CSV)[0], 401)
    tap.equal("with a wrong one", Client(port).post(ROWS.encode(), {**CSV, "Authorization": "Bearer nope"})[0], 401)
    c = Client(port)
    status, body, _ = c.post(ROWS.encode(), {**bearer, "Idempotency-Key": "k-1"})
    r = json.loads(body)
    tap.equal("a table: what became of its rows", (status, r["outcome"], r["read"], r["mapped"]), (200, "taken", 2, 2))
    status, again, _ = c.post(ROWS.encode(), {**bearer, "Idempotency-Key": "k-1"})
    tap.equal("the same key: the same answer", (status, again), (200, body))
    status, _, _ = c.post(b"a,b\r\n", {**bearer, "Idempotency-Key": "k-1"})
    tap.equal("the same key, another body", status, 422)
    of_second = {**CSV, "Authorization": "Bearer " + second, "Idempotency-Key": "k-1"}
    status, body, _ = c.post(ROWS.encode(), of_second)
    tap.equal("the same key of another client is another key", (status, json.loads(body)["outcome"]), (200, "known"))
    tap.equal("and has its own answer", c.post(ROWS.encode(), of_second)[:2], (200, body))
    tap.equal("beside that of the first", c.post(ROWS.encode(), {**bearer, "Idempotency-Key": "k-1"})[:2], (200, again))
    status, body, _ = c.post(ROWS.encode(), bearer)
    tap.equal("the same body: known", (status, json.loads(body)["outcome"]), (200, "known"))
    status, body, _ = c.post(ROWS.replace("A2,1002,김영희,2026-03-12 10:30,예약,내과", "A2,1002,김영희,2026-03-12 10:30,예약,외과").encode(), bearer)
    r = json.loads(body)
    tap.equal("one row changed", (r["read"], r["mapped"] + r["ignored"], r["unchanged"]), (2, 1, 1))
    status, body, _ = c.post("이름,나이\r\n홍길동,3\r\n".encode(), bearer)
    tap.equal("a table that is none of ours: 422 with the reason", (status, "problem" in json.loads(body)), (422, True))
    status, _, _ = Client(port).post(b"x" * 3000000, bearer)
    tap.equal("larger than the limit", status, 413)
    wait_for("an empty work folder", lambda: [f for f in os.listdir(os.path.join(s.home, "tables")) if f != "keys"] == [])
    tap.check("nothing is left in the work folder", True)


def documents(tap, s, port, hl7_port):
    def case(name):
        with open(os.path.join(ROOT, "mappings/fhir/cases", name, "in.json"), "rb") as f:
            return f.read()
    c = Client(port)
    json_type, xml_type = {"Content-Type": "application/fhir+json; charset=utf-8"}, {"Content-Type": "application/fhir+xml"}
    status, body, r = c.post(case("appointment-booked"), json_type)
    o = json.loads(body)
    tap.equal("FHIR JSON: an OperationOutcome", (status, o["resourceType"], o["issue"][0]["severity"], r.getheader("Content-Type")),
              (200, "OperationOutcome", "information", "application/fhir+json"))
    tap.check("and an event", int(s.one("SELECT count(*) FROM dari.event WHERE source = 'feed:fhir' AND type = 'appointment.booked'")) == 1)
    status, body, _ = c.post(case("appointment-no-patient"), json_type)
    tap.equal("one that goes to quarantine: 422 and an error", (status, json.loads(body)["issue"][0]["severity"]), (422, "error"))
    status, body, _ = c.post(b'<Patient xmlns="http://hl7.org/fhir"><identifier/></Patient>', xml_type)
    tap.check("FHIR XML is answered in XML", b"<OperationOutcome" in body, body)
    status, body, _ = c.post(b'<!DOCTYPE x [<!ENTITY a "b">]><Patient xmlns="http://hl7.org/fhir">&a;</Patient>', xml_type)
    tap.equal("a DOCTYPE: 422 with the reason", (status, b"DOCTYPE" in body), (422, True))
    with open(os.path.join(ROOT, "tests/cases/equal/arrived/hl7v2.xml"), "rb") as f:
        status, body, _ = Client(hl7_port).post(f.read(), {"Content-Type": "application/hl7-v2+xml"}, "/inbox")
    tap.equal("v2.xml is answered in kind", (status, b"<MSA.1>AA</MSA.1>" in body), (200, True))


def waiting(tap, s, port):
    """Files wait for one another; they neither fill the disk nor hold up messages."""
    def bodies():
        return [f for f in os.listdir(os.path.join(s.home, "small")) if f != "keys"]
    s.run("feed", "pause", "small", check=True)
    wait_for("the pause", lambda: "feed=small paused=yes" in s.text())
    c = Client(port)
    got = [c.post(f"a,b\r\n{n},2\r\n".encode(), CSV)[:2] for n in range(2)]
    tap.equal("files that wait: 503, and they are kept", ([g[0] for g in got], len(bodies())), ([503, 503], 2))
    status, body, _ = Client(port).post(b"a,b\r\n3,2\r\n", CSV)
    tap.equal("no more of them than the limit", (status, b"too many bodies" in body, len(bodies())), (503, True, 2))
    status, body, _ = Client(port).post(message(30), HL7)
    tap.equal("a message does not wait for files", (status, b"MSA|AE|W000030" in body), (503, True))
    s.run("feed", "resume", "small", check=True)
    wait_for("the end of the files", lambda: not bodies())
    tap.equal("and then it is taken", Client(port).post(message(30), HL7)[0], 200)
    got = [Client(port).post(message(n), {**HL7, **key})[:2] for n, key in
           ((31, {"Idempotency-Key": "one"}), (32, {"Idempotency-Key": "two"}), (31, {"Idempotency-Key": "one"}), (32, {}))]
    tap.equal("no more keys than the limit; one that is known is known", [g[0] for g in got], [200, 503, 200, 200])
    tap.check("and says so", b"too many Idempotency-Keys" in got[1][1] and got[2][1] == got[0][1], got)


def deaf(tap, port):
    """Who asks on and on and reads no answer: 600 batches whose replies are larger than they are."""
    batch = b"BHS|^~\\&|A\r" + b"".join(b"MSH|^~\\&|||||||ADT^A28|d%d|P|2.4\r" % n for n in range(200)) + b"BTS|200\r"
    one = (b"POST /inbox HTTP/1.1\r\nHost: a\r\nContent-Type: application/hl7-v2\r\nIdempotency-Key: deaf\r\n"
           b"Content-Length: %d\r\n\r\n" % len(batch)) + batch
    tap.equal("a batch", Client(port).post(batch, {**HL7, "Idempotency-Key": "deaf"}, "/inbox")[0], 200)
    with socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.settimeout(30)
        c.connect(("127.0.0.1", port))
        try:
            for _ in range(600):
                c.sendall(one)
        except OSError:
            pass
        got, size = 0, 0
        try:
            while more := c.recv(1 << 20):
                got += more.count(b"200 OK")
                size += len(more)
        except OSError:
            pass
    tap.check("who reads no answer is cut off", 0 < got < 600, (got, size))


def outage(tap, s, port):
    s.postgres("stop")
    result = []
    wait_for("the feed to know", lambda: "state=away" in s.text())
    worker = threading.Thread(target=lambda: result.append(Client(port).post(message(7), HL7, "/inbox")[:2]))
    worker.start()
    worker.join(60)
    s.postgres("start")
    tap.equal("while the database is away a message goes to the spool: 200", (result[0][0], b"MSA|AA" in result[0][1]), (200, True))
    wait_for("the message", lambda: s.one("SELECT state FROM dari.message WHERE control_id = 'W000007'") == "mapped")
    tap.check("and is committed afterwards", True)


def secure(tap, s, port):
    def context(cert):
        c = ssl.create_default_context(cafile=os.path.join(s.home, "ca.pem"))
        if cert:
            c.load_cert_chain(os.path.join(s.home, cert + ".pem"), os.path.join(s.home, cert + ".key"))
        return c
    key = {**HL7, "Idempotency-Key": "of certificates"}
    status, body, _ = Client(port, context("client")).post(message(20), key)
    tap.equal("HTTPS with a client certificate", (status, b"MSA|AA|W000020" in body), (200, True))
    status, body, _ = Client(port, context("second")).post(message(22), key)
    tap.equal("the same key with another certificate is another key", (status, b"MSA|AA|W000022" in body), (200, True))
    foreign = message(23).replace(b"|HANBIT|DARI", b"|OTHER|DARI", 1)
    status, body, _ = Client(port, context("client")).post(foreign, HL7)
    tap.equal("a certificate that does not speak for this MSH-4: refused", (status, b"MSA|AR|W000023" in body), (422, True))
    status, body, _ = Client(port, context("second")).post(foreign, HL7)
    tap.equal("one that does: taken", (status, b"MSA|AA|W000023" in body), (200, True))
    try:
        Client(port, context(None)).post(message(21), HL7)
        tap.check("without one: refused", False)
    except (ssl.SSLError, OSError):
        tap.check("without one: refused", True)


def test(tap):
    port, csv_port, tls_port, fhir_port, small_port = [free_port() for _ in range(5)]
    with Site("http", feeds=feeds(port, csv_port, tls_port, fhir_port, small_port)) as s:
        certificates(s.home)
        token, second = "a-token-for-the-test", "another-token-for-the-test"
        with open(os.path.join(s.home, "tokens"), "w", encoding="utf-8") as f:
            f.write("# who\nlab " + hashlib.sha256(token.encode()).hexdigest() + "  -\n")  # as sha256sum writes it
            f.write("desk " + hashlib.sha256(second.encode()).hexdigest() + "\n")
        os.chmod(os.path.join(s.home, "tokens"), 0o600)
        s.start()
        for p in (port, csv_port, tls_port, fhir_port, small_port):
            wait_for("the server", lambda: socket.create_connection(("127.0.0.1", p)).close() is None)
        messages(tap, s, port)
        hostile(tap, s, port)
        files(tap, s, csv_port, token, second)
        documents(tap, s, fhir_port, port)
        secure(tap, s, tls_port)
        waiting(tap, s, small_port)
        deaf(tap, port)
        outage(tap, s, port)
        tap.check("no name in the log", "홍길동" not in s.text() and "W00000" not in s.text())


main(test)
