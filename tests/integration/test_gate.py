"""At the door of a feed: commit bytes of MLLP release 2 (F07), certificates tied to MSH-3 and MSH-4 (F62), allowed
addresses (F63), stale connections (F66), a rate (F68); each refusal is in the log and in the counters."""
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402

ACK, NAK = b"\x06", b"\x15"


def adt(control, app="HIS", facility="HANBIT", tail=""):
    return (f"MSH|^~\\&|{app}|{facility}|DARI|CRM|20260309090000+0900||ADT^A28|{control}|P|2.5{tail}\r"
            f"EVN||20260309090000\rPID|1||{control}^^^HANBIT^MR||Hong^Gildong||19760617|M\r").encode()


def save(s, name, *messages):
    path = os.path.join(s.home, name)
    with open(path, "wb") as f:
        f.write(b"".join(messages))
    return path


def counter(s, name):
    found = re.search(rf"\b{name} (\d+)", s.run("feed", "list", check=True).stdout)
    return int(found.group(1)) if found else 0


def release_2(tap):
    with Site("gate-mllp2", feed='spool-max-size="0"', mllp='framing="mllp2"') as s:
        s.start("--only", "feed")
        m = s.mllp()
        tap.equal("kept, then the reply", [m.ask(adt("A1")), code(m.read())], [ACK, "AA"])
        tap.equal("it is in the database by then", s.one("SELECT state FROM dari.message WHERE control_id = 'A1'"), "mapped")
        m.write(ACK)
        tap.equal("the same again is kept already", [m.ask(adt("A1")), code(m.read())], [ACK, "AA"])
        tap.equal("quarantine is kept too", [m.ask(adt("A2").replace(b"PID", b"ZID")), code(m.read())], [ACK, "AE"])
        tap.equal("no reply asked for: the commit alone", [m.ask(adt("A3", tail="|||NE|NE")), m.ask(adt("A4"))], [ACK, ACK])
        tap.equal("(and the next one's reply)", code(m.read()), "AA")
        batch = b"BHS|^~\\&\r" + adt("A5") + adt("A6") + b"BTS|2\r"
        tap.equal("a batch", [m.ask(batch), m.read()[:3]], [ACK, b"BHS"])
        m.write(NAK)
        wait_for("the sender's word on our reply", lambda: counter(s, "replies_refused") == 1)
        sent = s.run("send", "--release", "2", f"mllp://127.0.0.1:{s.port}", save(s, "two.hl7", adt("B1"), adt("B2", tail="|||NE|NE")))
        tap.equal("dari send --release 2", (sent.returncode, [x.split("\t")[:2] for x in sent.stdout.splitlines()]),
                  (0, [["B1", "AA"], ["B2", "-"]]))
        sent = s.run("send", f"mllp://127.0.0.1:{s.port}", save(s, "one.hl7", adt("B3")))
        tap.equal("a sender of release 1 does not believe it", sent.returncode, 1)
        s.postgres("stop")
        wait_for("the feed to notice", lambda: "state=away" in s.text())
        tap.equal("not kept: NAK", m.ask(adt("A7")), NAK)
        sent = s.run("send", "--release", "2", "--retries", "0", f"mllp://127.0.0.1:{s.port}", save(s, "last.hl7", adt("A8")))
        tap.equal("dari send is told", (sent.returncode, sent.stdout.split("\t")[:2]), (1, ["A8", "-"]))
        s.postgres("start")
        wait_for("the feed to notice", lambda: s.text().rfind("state=ready") > s.text().rfind("state=away"))
        tap.equal("and taken then", [m.ask(adt("A7")), code(m.read())], [ACK, "AA"])


def certificates(home):
    script = """set -e; cd "$1"; new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    openssl req -x509 $new -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
    printf 'subjectAltName=IP:127.0.0.1\\n' > server.ext
    printf 'extendedKeyUsage=clientAuth\\n' > client.ext
    for f in server client; do
      openssl req $new -subj "/O=Hanbit/CN=$f" -keyout $f.key -out $f.csr
      openssl x509 -req -in $f.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $f.ext -out $f.pem
    done"""
    subprocess.run(["sh", "-c", script, "sh", home], check=True, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def identity(tap):
    with Site("gate-identity", feed='senders="client: HIS/HANBIT; other: LIS"',
              mllp='tls="yes" clients="optional" cert="server.pem" key="server.key" ca="ca.pem"') as s:
        certificates(s.home)
        s.start("--only", "feed")

        def send(*messages, known=True):
            at = [os.path.join(s.home, x) for x in ("ca.pem", "client.pem", "client.key")]
            words = ["--ca", at[0], *(["--cert", at[1], "--key", at[2]] if known else [])]
            sent = s.run("send", *words, f"mllps://127.0.0.1:{s.port}", save(s, "x.hl7", *messages))
            return [tuple(x.split("\t")[:2]) for x in sent.stdout.splitlines()] or sent.stderr

        tap.equal("the application of the certificate", send(adt("C1")), [("C1", "AA")])
        tap.equal("another application, another facility, one that it does not stand for",
                  send(adt("C2", "LIS"), adt("C3", "HIS", "OTHER"), adt("C4", "", ""), adt("C5")),
                  [("C2", "AR"), ("C3", "AR"), ("C4", "AR"), ("C5", "AA")])
        tap.equal("no certificate", send(adt("C6"), known=False), [("C6", "AR")])
        batch = b"BHS|^~\\&\r" + adt("C7") + adt("C8", "LIS") + b"BTS|2\r"
        path = save(s, "batch", b"\x0b" + batch + b"\x1c\r")
        words = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{s.port}", "-CAfile", "ca.pem", "-cert", "client.pem",
                 "-key", "client.key"]
        talk = subprocess.Popen(words, cwd=s.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        talk.stdin.write(open(path, "rb").read())
        talk.stdin.flush()
        reply = b""
        while b"\x1c\r" not in reply:
            more = os.read(talk.stdout.fileno(), 65536)
            if not more:
                break
            reply += more
        talk.kill()
        talk.wait()
        tap.equal("each message of a batch", re.findall(rb"MSA\|(\w\w)\|(\w+)", reply), [(b"AA", b"C7"), (b"AR", b"C8")])
        tap.equal("what was refused is not kept", s.sql("SELECT control_id FROM dari.message ORDER BY no"), [["C1"], ["C5"], ["C7"]])
        log = re.findall(r'intake\.sender-refused feed=emr subject="([^"]*)"', s.text())
        tap.equal("but told each time", log, ["CN=client,O=Hanbit"] * 3 + ["-", "CN=client,O=Hanbit"])
        wait_for("the counter", lambda: counter(s, "senders_refused") == 5)
        check = s.run("check", "--config", s.config)
        tap.check("the configuration is in order", check.returncode == 0, check.stdout + check.stderr)


def door(tap):
    with Site("gate-door", mllp='max-per-address="2" reclaim-after="100ms" max-rate="50"') as s:
        s.start("--only", "feed")
        stale = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(2)]
        wait_for("both connections", lambda: len(re.findall("mllp.connected", s.text())) == 2)
        fresh = s.mllp()
        reply = fresh.deliver(adt("D1"))
        tap.equal("a sender that left connections behind gets in", code(reply), "AA")
        tap.check("and the log tells whose place it took", "mllp.reclaimed peer=127.0.0.1:" in s.text())
        tap.equal("the place was one of them", sorted(len(x.recv(1)) if re.search(f"reclaimed peer=127.0.0.1:{x.getsockname()[1]} ", s.text())
                                                       else 1 for x in stale)[0], 0)
        for n in range(120):
            fresh.write(adt(f"E{n}"))
        tap.equal("too fast: slowed, all answered in order", [re.search(rb"MSA\|AA\|(\w+)", fresh.read()).group(1) for _ in range(120)],
                  [b"E%d" % n for n in range(120)])
        tap.check("and told", "mllp.throttled address=127.0.0.1 rate=50" in s.text())
    with Site("gate-allow", mllp='allow="192.0.2.0/24"') as s:
        s.start("--only", "feed")
        peer = socket.create_connection(("127.0.0.1", s.port))
        tap.equal("a stranger is turned away", peer.recv(1), b"")
        wait_for("the log", lambda: re.search(r"mllp\.refused peer=127\.0\.0\.1:\d+ reason=address", s.text()))
        wait_for("the counter", lambda: counter(s, "connections_refused") == 1)
        tap.check("each refusal is in the log and in the counters", True)
        config = open(s.config, encoding="utf-8").read()
        for wrong, says in (('allow="192.0.2.0/99"', "allow"), ('framing="mllp3"', "framing"), ('start-byte="41"', "start-byte"),
                            ('reply-to="nobody"', "reply-to")):
            path = os.path.join(s.home, "wrong.xml")
            with open(path, "w", encoding="utf-8") as f:
                f.write(config.replace('allow="192.0.2.0/24"', wrong))
            check = s.run("check", "--config", path)
            tap.check(f"dari check: {wrong}", check.returncode == 1 and re.search(rf"wrong\.xml:\d+: {says}", check.stdout + check.stderr),
                      check.stdout + check.stderr)


def test(tap):
    release_2(tap)
    identity(tap)
    door(tap)


main(test)
