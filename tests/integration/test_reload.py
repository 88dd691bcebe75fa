"""dari reload: what changed is taken, nobody else is touched, connections stay open, and a bad change changes nothing."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, Mllp, Site, code, free_port, main, wait_for  # noqa: E402


def adt(control, event="A28", chart=None):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||ADT^{event}|{control}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|{event}|20260309090000\rPID|1||{chart or control}^^^HANBIT^MR||홍^길동||19760617|M\r").encode()


def certificate(home, name):
    """Signed by itself; its subject says which it is."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{home}/{name}.key", "-out", f"{home}/{name}.pem"],
                   check=True, capture_output=True)
    os.chmod(f"{home}/{name}.key", 0o600)


class Tls(Mllp):
    def connect(self):
        self.close()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=self.timeout))
        self.buffer = b""

    def common_name(self):
        der = self.sock.getpeercert(binary_form=True)
        out = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=der, capture_output=True)
        return re.search(r"CN\s*=\s*(\S+)", out.stdout.decode()).group(1)


def edit(path, old, new):
    text = open(path, encoding="utf-8").read()
    assert old in text, old
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))
    os.replace(path + ".new", path)


def feed(name, port, more="", mllp=""):
    return (f'<feed name="{name}" adapter="mllp" mapping="{{home}}/mappings/hl7v2" {more}>'
            f'<mllp address="127.0.0.1" port="{port}" {mllp}/></feed>')


class Hospital:
    """A site with two feeds, one of them TLS, with mappings of its own."""

    def __init__(self, s):
        self.s, self.tls_port, self.new_port, self.moved = s, free_port(), free_port(), free_port()
        shutil.copytree(ROOT + "/mappings", s.home + "/mappings")
        for folder in ("contracts", "segments", "journeys", "templates"):
            shutil.copytree(f"{ROOT}/config/{folder}", f"{s.home}/{folder}")
        for name in ("first", "second"):
            certificate(s.home, name)
        shutil.copy(s.home + "/first.pem", s.home + "/tls.pem")
        shutil.copy(s.home + "/first.key", s.home + "/tls.key")
        edit(s.config, f"{ROOT}/mappings/hl7v2", s.home + "/mappings/hl7v2")
        edit(s.config, f"{ROOT}/mappings/catalogue.xml", s.home + "/mappings/catalogue.xml")
        for folder in ("contracts", "segments", "journeys", "templates"):
            edit(s.config, f"{ROOT}/config/{folder}", f"{s.home}/{folder}")
        self.add(feed("lab", self.tls_port, mllp='tls="yes" cert="tls.pem" key="tls.key"'))

    def add(self, text):
        edit(self.s.config, "<relay ", text.format(home=self.s.home) + "\n  <relay ")

    def state(self, control):
        rows = self.s.sql(f"SELECT state, mapping FROM dari.message WHERE control_id = '{control}'")
        return rows[0] if rows else None


def nothing_changed(tap, s):
    before = s.pids()
    out = s.run("reload")
    tap.check("no change: says so", out.returncode == 0 and "nothing has changed" in out.stdout, out.stdout + out.stderr)
    tap.equal("no change: the same processes", s.pids(), before)


def mapping_change(tap, h, plain, tls):
    s, before = h.s, h.s.pids()
    tap.equal("before: accepted", code(plain.ask(adt("M1"))), "AA")
    tap.equal("before: mapped", h.state("M1")[0], "mapped")
    path = s.home + "/mappings/hl7v2/patients.xml"
    text = open(path, encoding="utf-8").read()
    version = re.search(r'<mapping [^>]*version="(\w+)"', text).group(1)
    edit(path, f'version="{version}"', 'version="77"')
    out = s.run("reload")
    tap.check("mapping: both feeds have taken it", out.returncode == 0 and "feed:emr has taken" in out.stdout
              and "feed:lab has taken" in out.stdout, out.stdout + out.stderr)
    tap.equal("mapping: the same processes", s.pids(), before)
    tap.equal("mapping: the connection stands, the next message is accepted", code(plain.ask(adt("M2"))), "AA")
    tap.equal("mapping: the next message is mapped by the new one", h.state("M2"), ["mapped", "patients@77"])
    tap.equal("mapping: over the TLS connection too", code(tls.ask(adt("M3"))), "AA")
    tap.equal("mapping: of the other feed", h.state("M3"), ["mapped", "patients@77"])


def code_table(tap, h, plain):
    s = h.s
    tables = sorted(f for f in os.listdir(s.home + "/mappings/tables") if f.endswith(".xml"))
    with open(f"{s.home}/mappings/tables/{tables[0]}", "a", encoding="utf-8") as f:
        f.write("<!-- another -->\n")
    out = s.run("reload")
    tap.check("code table: taken while running", out.returncode == 0 and "feed:emr has taken" in out.stdout, out.stdout + out.stderr)
    tap.equal("code table: the connection stands", code(plain.ask(adt("T1"))), "AA")


def certificates(tap, h, tls):
    s, before = h.s, h.s.pids()
    tap.equal("certificate: the first", tls.common_name(), "first")
    shutil.copy(s.home + "/second.pem", s.home + "/tls.pem")
    out = s.run("reload")
    tap.check("certificate without its key: refused, with the place and the reason", out.returncode == 1
              and "dari.xml:" in out.stderr and "does not belong" in out.stderr and "nothing was changed" in out.stderr,
              out.stdout + out.stderr)
    check = s.run("check")
    tap.check("certificate without its key: dari check says so too", check.returncode == 1 and "does not belong" in check.stderr,
              check.stderr)
    again = Tls(h.tls_port)
    again.connect()
    tap.equal("certificate without its key: new connections get the old one", again.common_name(), "first")
    shutil.copy(s.home + "/second.key", s.home + "/tls.key")
    out = s.run("reload")
    tap.check("certificate: taken while running", out.returncode == 0 and "feed:lab has taken" in out.stdout
              and "feed:emr" not in out.stdout, out.stdout + out.stderr)
    tap.equal("certificate: the same processes", s.pids(), before)
    new = Tls(h.tls_port)
    new.connect()
    tap.equal("certificate: a new connection gets the new one", new.common_name(), "second")
    tap.equal("certificate: … and works", code(new.ask(adt("C1"))), "AA")
    tap.equal("certificate: the old connection stands", code(tls.ask(adt("C2"))), "AA")
    new.close()
    again.close()


def problems(tap, h, plain):
    s, before = h.s, h.s.pids()
    path = s.home + "/mappings/hl7v2/payments.xml"
    good = open(path, encoding="utf-8").read()
    edit(path, 'type="payment.recorded"', 'type="payment.recorted"')
    out = s.run("reload")
    tap.check("bad mapping: file, line, and that nothing was changed", out.returncode == 1 and "payments.xml:" in out.stderr
              and "payment.recorted" in out.stderr and "nothing was changed" in out.stderr, out.stdout + out.stderr)
    tap.check("bad mapping: it is in the log as well", "payment.recorted" in s.text() and "run.reload" in s.text())
    tap.equal("bad mapping: the old one goes on", code(plain.ask(adt("P1"))), "AA")
    tap.equal("bad mapping: …", h.state("P1"), ["mapped", "patients@77"])
    with open(path, "w", encoding="utf-8") as f:
        f.write(good)
    edit(s.config, 'zone="Asia/Seoul"', 'zone="Asia/Soul"')
    out = s.run("reload")
    tap.check("bad configuration: file and line", out.returncode == 1 and "dari.xml:" in out.stderr, out.stderr)
    os.kill(s.process.pid, signal.SIGHUP)  # as systemd or a person would
    wait_for("the log", lambda: "Asia/Soul" in s.text())
    edit(s.config, 'zone="Asia/Soul"', 'zone="Asia/Seoul"')
    edit(s.config, 'id="hanbit"', 'id="other"')
    out = s.run("reload")
    tap.check("another site: refused", out.returncode == 1 and "start it again" in out.stderr, out.stderr)
    edit(s.config, 'id="other"', 'id="hanbit"')
    tap.equal("after all that: the same processes", s.pids(), before)


def feeds_come_and_go(tap, h, plain, tls):
    s, before = h.s, h.s.pids()
    h.add(feed("new", h.new_port))
    out = s.run("reload")
    tap.check("feed added", out.returncode == 0 and "feed:new started" in out.stdout and "has taken" not in out.stdout,
              out.stdout + out.stderr)
    tap.equal("feed added: it answers", code(Mllp(h.new_port).ask(adt("N1"))), "AA")
    after = s.pids()
    tap.check("feed added: all others are the same processes but the steward, who watches all feeds",
              all(after[n] == before[n] for n in before if n != "steward"), (before, after))

    # under way: the last reply of a feed that goes must come
    stuck = subprocess.Popen(["psql", s.conninfo(), "-qAtX"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    stuck.stdin.write("BEGIN; SELECT head FROM dari.stream FOR UPDATE;\n")
    stuck.stdin.flush()
    wait_for("the lock", lambda: s.one("SELECT count(*) > 0 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                                       "WHERE c.relname = 'stream' AND l.mode = 'RowShareLock'") == "t")
    going = Mllp(h.new_port)
    going.write(adt("N2"))
    wait_for("its commit under way", lambda: s.one("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'dari feed' "
                                                   "AND wait_event_type = 'Lock'") == "t")
    edit(s.config, feed("new", h.new_port).format(home=s.home), "")
    reload = subprocess.Popen([DARI, "reload"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=s.env)
    wait_for("the listener to close", lambda: not listens(h.new_port))
    stuck.stdin.write("COMMIT;\n")
    stuck.stdin.close()
    stuck.wait(30)
    tap.equal("feed removed: what was under way got its reply", code(going.read()), "AA")
    text = reload.communicate(timeout=60)[0]
    tap.check("feed removed", reload.returncode == 0 and "feed:new removed" in text, text)
    tap.check("feed removed: its process is gone", "feed:new" not in s.pids(), s.pids())
    tap.equal("feed removed: the others' connections stand", [code(plain.ask(adt("N3"))), code(tls.ask(adt("N4")))], ["AA", "AA"])
    other = s.run("run", "--only", "feed:new")
    tap.check("feed removed: it is nobody's role any more", other.returncode == 2, other.stderr)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except ConnectionRefusedError:
        return False


def feed_changed(tap, h, plain, tls):
    s, before = h.s, h.s.pids()
    edit(s.config, f'port="{h.tls_port}"', f'port="{h.moved}"')
    out = s.run("reload")
    tap.check("port changed: that feed is started again, the other not", out.returncode == 0 and "feed:lab started again" in out.stdout
              and s.pids()["feed:emr"] == before["feed:emr"] and s.pids()["feed:lab"] != before["feed:lab"], out.stdout + out.stderr)
    moved = Tls(h.moved)
    tap.equal("port changed: it answers there", code(moved.ask(adt("F1"))), "AA")
    try:
        tls.ask(adt("F2"))
        ended = False
    except OSError:
        ended = True
    tap.check("port changed: its connections were closed in order", ended)
    tap.equal("port changed: the other feed's connection stands", code(plain.ask(adt("F3"))), "AA")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        edit(s.config, f'port="{h.moved}"', f'port="{port}"')
        out = s.run("reload")
        tap.check("port taken: says so, and that the old one is kept", out.returncode == 1 and "feed:lab cannot run with the new" in out.stderr
                  and "already in use" in out.stderr, out.stdout + out.stderr)
        tap.equal("port taken: the old port answers", code(Tls(h.moved).ask(adt("F4"))), "AA")
    edit(s.config, f'port="{port}"', f'port="{h.moved}"')
    out = s.run("reload")
    tap.check("put back: nothing has changed", out.returncode == 0 and "nothing has changed" in out.stdout, out.stdout + out.stderr)


def other_roles(tap, h, plain):
    s, before = h.s, h.s.pids()
    with open(s.home + "/segments/SG02.xml", "a", encoding="utf-8") as f:
        f.write("<!-- another -->\n")
    out = s.run("reload")
    after = s.pids()
    tap.check("a segment changed: segment alone is started again", out.returncode == 0 and "segment started again" in out.stdout
              and {n for n in before if before[n] != after[n]} == {"segment"}, (out.stdout + out.stderr, before, after))
    before = after
    edit(s.config, 'tick="100ms"', 'tick="200ms"')
    out = s.run("reload")
    after = s.pids()
    tap.check("the steward's options changed: the steward alone", {n for n in before if before[n] != after[n]} == {"steward"},
              (out.stdout, before, after))
    with open(s.home + "/mappings/catalogue.xml", "a", encoding="utf-8") as f:
        f.write("<!-- another -->\n")
    out = s.run("reload")
    after, before = s.pids(), after
    tap.check("the catalogue changed: feeds take it, the others are started again",
              {n for n in before if before[n] == after[n]} == {"dari", "feed:emr", "feed:lab"} and out.returncode == 0,
              (out.stdout + out.stderr, before, after))
    tap.equal("the catalogue changed: the connection stands", code(plain.ask(adt("O1"))), "AA")


def folders(tap, h):
    """A feed of another kind comes, takes a file, and goes."""
    s, before = h.s, h.s.pids()
    for name in ("inbox", "work", "archive", "error"):
        os.makedirs(f"{s.home}/{name}")
    text = ('<feed name="files" adapter="files" mapping="{home}/mappings/hl7v2"><files folder="{home}/inbox" work="{home}/work" '
            'archive="{home}/archive" error="{home}/error" scan="50ms" min-age="0s"/></feed>').format(home=s.home)
    h.add(text)
    out = s.run("reload")
    tap.check("a feed of files is added", out.returncode == 0 and "feed:files started" in out.stdout, out.stdout + out.stderr)
    with open(s.home + "/inbox/a.tmp", "wb") as f:
        f.write(adt("FILE1"))
    os.rename(s.home + "/inbox/a.tmp", s.home + "/inbox/a.hl7")
    wait_for("the file", lambda: h.state("FILE1"))
    edit(s.config, text, text.replace('scan="50ms"', 'scan="60ms"'))
    out = s.run("reload")
    tap.check("its options are changed: it is started again", out.returncode == 0 and "feed:files started again" in out.stdout, out.stdout)
    edit(s.config, text.replace('scan="50ms"', 'scan="60ms"'), "")
    out = s.run("reload")
    tap.check("it is removed", out.returncode == 0 and "feed:files removed" in out.stdout, out.stdout + out.stderr)
    after = s.pids()
    tap.check("nobody else was touched but the steward", {n: p for n, p in after.items() if n != "steward"}
              == {n: p for n, p in before.items() if n != "steward"}, (before, after))


def crashes(tap, h):
    """A role that dies after a reload comes back with the new configuration."""
    s = h.s
    path = s.home + "/mappings/hl7v2/patients.xml"
    edit(path, 'version="85"', 'version="90"')
    out = s.run("reload")
    old = s.pids()["feed:emr"]
    s.kill("feed:emr")
    wait_for("another process", lambda: s.pids().get("feed:emr", old) != old)
    tap.equal("a killed feed comes back with what was reloaded", code(s.mllp().deliver(adt("K1"))), "AA")
    tap.equal("a killed feed comes back …", h.state("K1"), ["mapped", "patients@90"])
    return out


def under_load(tap, h):
    """Senders who never pause see no reply missing and no connection closed over many reloads."""
    s, errors, sent = h.s, [], []
    stop = threading.Event()

    def one(k):
        m = s.mllp()
        i = 0
        try:
            while not stop.is_set():
                if code(m.ask(adt(f"L{k}-{i}"))) != "AA":
                    errors.append((k, i))
                sent.append((k, i))
                i += 1
        except OSError as e:
            errors.append(e)
    threads = [threading.Thread(target=one, args=(k,)) for k in range(8)]
    [t.start() for t in threads]
    path = s.home + "/mappings/hl7v2/patients.xml"
    for n in range(8):
        edit(path, f'version="{77 + n}"', f'version="{78 + n}"')
        out = s.run("reload")
        before = len(sent)
        if out.returncode:
            errors.append(out.stderr)
        wait_for("messages of every generation", lambda: len(sent) > before + 20 or errors)
    stop.set()
    [t.join() for t in threads]
    tap.equal("eight reloads under load: every message accepted, no connection lost", errors, [])
    versions = [r[0] for r in s.sql("SELECT DISTINCT mapping FROM dari.message WHERE control_id LIKE 'L%' ORDER BY 1")]
    tap.check("eight reloads under load: each was seen by messages", len(versions) >= 8, versions)
    rows = s.sql("SELECT mapping FROM dari.message WHERE control_id LIKE 'L%' ORDER BY no")
    order = [r[0] for r in rows]
    tap.check("eight reloads under load: never back to an older one", order == sorted(order), "out of order")
    tap.equal("eight reloads under load: nothing missing", len(rows), len(sent))


def spool_waits(tap, h):
    s = h.s
    s.postgres("stop")
    s.mllp().deliver(adt("S1"))
    wait_for("the spool", s.spooled)
    text = open(s.config, encoding="utf-8").read()
    begin = text.index('<feed name="emr"')
    edit(s.config, text[begin:text.index("</feed>", begin) + 7], "")
    out = s.run("reload")
    tap.check("a feed with accepted messages in its spool cannot be removed", out.returncode == 1 and "wait for the database" in out.stderr,
              out.stdout + out.stderr)
    with open(s.config, "w", encoding="utf-8") as f:
        f.write(text)
    s.postgres("start")
    wait_for("the spool drained", lambda: not s.spooled())
    tap.equal("… and it is committed", h.state("S1")[0], "mapped")


def refused_at_start(tap, s):
    """Role start-up errors of the configuration end dari run at once."""
    text = open(s.config, encoding="utf-8").read()
    shutil.copytree(s.home + "/keys", s.home + "/fewer")
    os.remove(s.home + "/fewer/segment.key")
    for name, old, new, words in (
            ("certificate missing", 'cert="tls.pem"', 'cert="nope.pem"', ["dari.xml:", "nope.pem", "No such file"]),
            ("address", 'address="127.0.0.1"', 'address="localhost"', ["numeric IP address"]),
            ("a key missing", 'keys folder="keys"', 'keys folder="fewer"', ["segment.key", "dari keys init"]),
            ("spool is a file", '<feed name="emr"', '<feed name="emr" spool="dari.xml/x"', ["dari.xml:", "spool", "no folder"])):
        edit(s.config, old, new)
        out = s.run("run", timeout=60)
        tap.check(f"{name}: dari run ends with 1 and says why", out.returncode == 1 and all(w in out.stderr for w in words),
                  out.stderr[-1500:])
        with open(s.config, "w", encoding="utf-8") as f:
            f.write(text)


def test(tap):
    with Site("reload") as s:
        h = Hospital(s)
        out = s.run("reload")
        tap.check("nobody runs: says so", out.returncode == 1 and "no dari run" in out.stderr, out.stderr)
        s.start()
        plain, tls = s.mllp(), Tls(h.tls_port)
        plain.connect()
        wait_for("the TLS feed", lambda: "feed=lab adapter" in s.text())
        tls.connect()
        nothing_changed(tap, s)
        mapping_change(tap, h, plain, tls)
        code_table(tap, h, plain)
        certificates(tap, h, tls)
        problems(tap, h, plain)
        feeds_come_and_go(tap, h, plain, tls)
        feed_changed(tap, h, plain, tls)
        other_roles(tap, h, plain)
        under_load(tap, h)
        folders(tap, h)
        spool_waits(tap, h)
        tap.equal("the first connection stood through all of it", code(plain.ask(adt("END"))), "AA")
        tap.equal("no role was restarted by accident", [l for l in s.text().splitlines() if "run.ended" in l], [])
        crashes(tap, h)
        s.stop()
        tap.check("stopped: no report left", not [f for f in os.listdir(s.home + "/run") if f.startswith("reload.")])
        refused_at_start(tap, s)


main(test)
