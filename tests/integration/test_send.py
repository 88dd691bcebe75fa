"""dari send with a receiver that plays by a script: replies of every kind, lost connections, TLS, wrong arguments."""
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, Tap  # noqa: E402

HOME = tempfile.mkdtemp(prefix="dari send ")
tap = Tap()


def ok(good, name, detail=""):
    tap.check(name, good, detail)


def message(control, tail="", end="\r"):
    return end.join([f"MSH|^~\\&|EMR|CLINIC|DARI|CRM|20260311090000||ADT^A04|{control}|P|2.5{tail}",
                     "EVN||20260311090000", f"PID|1||{control}00||KIM^TEST", ""])


def file(name, text):
    path = os.path.join(HOME, name)
    with open(path, "wb") as f:
        f.write(text.encode() if isinstance(text, str) else text)
    return path


class Receiver:
    """Answers the n-th message it gets with the n-th word of the script; the last word is for all others."""

    def __init__(self, *script, context=None):
        self.script, self.context = script, context
        self.received, self.connections = [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            try:
                if self.context:
                    peer = self.context.wrap_socket(peer, server_side=True)
                self.connections += 1
                self.talk(peer)
            except (OSError, ssl.SSLError):
                pass
            peer.close()

    def talk(self, peer):
        data = b""
        while True:
            got = peer.recv(65536)
            if not got:
                return
            data += got
            while b"\x1c\r" in data:
                frame, data = data.split(b"\x1c\r", 1)
                control = frame.lstrip(b"\x0b").split(b"\r")[0].split(b"|")[9].decode()
                word = self.script[min(len(self.received), len(self.script) - 1)]
                self.received.append(control)
                if word == "hangup":
                    return
                if word == "other":
                    control, word = "SOMETHING", "AA"
                if word == "noise":
                    peer.sendall(b"not a frame")
                    word = "AA"
                if word != "silence":
                    reply = f"MSH|^~\\&|X|Y|EMR|CLINIC|20260311||ACK|R|P|2.5\rMSA|{word}|{control}\r"
                    for byte in b"\x0b" + reply.encode() + b"\x1c\r":
                        peer.sendall(bytes([byte]))

    def stop(self):
        self.listener.close()


def send(*words):
    done = subprocess.run([DARI, "send", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def rows(text):
    return [line.split("\t")[:2] for line in text.splitlines()]


def scenario(name, script, files, status, expected, received, words=(), says="", connections=1):
    r = Receiver(*script)
    code, out, err = send(f"mllp://127.0.0.1:{r.port}", *words, *files)
    r.stop()
    good = (code == status and rows(out) == expected and r.received == received and says in err and
            err.count("\n") <= 1 and r.connections == connections and (err == "") == (status == 0) and
            all(line.split("\t")[2].isdigit() for line in out.splitlines()))
    ok(good, name, f"exit {code}\n{out}{err}{r.received} {r.connections} connections")


def replies():  # F13
    one, two = file("one.hl7", message("A1")), file("two.hl7", message("B1") + message("B2"))
    lf = file("lf.hl7", message("L1", end="\n") + message("L2", end="\n"))
    quiet = file("quiet.hl7", message("Q1", "|||NE|NE") + message("Q2", "|||NE|AL"))
    scenario("each message of each file, one after another", ["AA"], [one, two], 0,
             [["A1", "AA"], ["B1", "AA"], ["B2", "AA"]], ["A1", "B1", "B2"])
    scenario("a commit reply is as good", ["CA"], [one], 0, [["A1", "CA"]], ["A1"])
    scenario("files with line feeds", ["AA"], [lf], 0, [["L1", "AA"], ["L2", "AA"]], ["L1", "L2"])
    scenario("AE is tried again before the next message", ["AE", "CE", "AA"], [two], 0, [["B1", "AA"], ["B2", "AA"]],
             ["B1", "B1", "B1", "B2"])
    scenario("AE for good", ["AE"], [one], 1, [["A1", "AE"]], ["A1", "A1"], ["--retries", "1"],
             "1 of 1 messages were not accepted")
    scenario("AR is final", ["AR", "AA"], [two], 1, [["B1", "AR"], ["B2", "AA"]], ["B1", "B2"],
             says="1 of 2 messages were not accepted")
    scenario("CR is final", ["CR"], [one], 1, [["A1", "CR"]], ["A1"], says="1 of 1 messages were not accepted")
    scenario("a lost connection is opened again", ["AA", "hangup", "AA"], [one, two], 0,
             [["A1", "AA"], ["B1", "AA"], ["B2", "AA"]], ["A1", "B1", "B1", "B2"], connections=2)
    scenario("a reply that does not come", ["silence", "AA"], [one], 0, [["A1", "AA"]], ["A1", "A1"],
             ["--timeout", "500ms"], connections=2)
    scenario("noise between replies", ["noise"], [two], 0, [["B1", "AA"], ["B2", "AA"]], ["B1", "B2"])
    scenario("no reply wanted, none waited for", ["silence", "AA"], [quiet], 0, [["Q1", "-"], ["Q2", "AA"]], ["Q1", "Q2"])
    errors = file("errors.hl7", message("E1", "|||ER|NE") + message("E2", "|||NE|ER") + message("E3"))
    scenario("only errors are answered: silence is a yes", ["silence", "silence", "AA"], [errors], 0,
             [["E1", "-"], ["E2", "-"], ["E3", "AA"]], ["E1", "E2", "E3"], ["--timeout", "300ms"])
    scenario("only errors are answered, and one is", ["CR", "AR", "AA"], [errors], 1,
             [["E1", "CR"], ["E2", "AR"], ["E3", "AA"]], ["E1", "E2", "E3"], says="2 of 3")
    scenario("the reply to the next message tells as much", ["silence", "silence", "AA"], [errors], 0,
             [["E1", "-"], ["E2", "-"], ["E3", "AA"]], ["E1", "E2", "E3"], ["--window", "3"])
    yes = file("yes.hl7", message("Y1", "|||SU|NE"))
    scenario("only a yes is answered: silence is none", ["silence"], [yes], 1, [], ["Y1", "Y1"],
             ["--timeout", "300ms", "--retries", "1"], "no reply in time", 2)
    many = file("many.hl7", "".join(message(f"M{i}") for i in range(500)))
    names = [f"M{i}" for i in range(500)]
    scenario("a window of 50", ["AA"], [many], 0, [[n, "AA"] for n in names], names, ["--window", "50"])


def foreign():  # F14
    r = Receiver("other", "AA")
    code, out, err = send(f"mllp://127.0.0.1:{r.port}", file("two.hl7", message("B1") + message("B2")))
    r.stop()
    ok(code == 1 and rows(out) == [["B1", "-"], ["B2", "AA"]] and "message 1 is not its acknowledgement" in err,
       "a reply to another message is not believed", f"{code}\n{out}{err}")
    r = Receiver("silence", "silence", "other", "AA")
    errors = file("errors.hl7", message("E1", "|||ER|NE") + message("E2", "|||NE|ER") + message("E3"))
    code, out, err = send("--window", "3", f"mllp://127.0.0.1:{r.port}", errors)
    r.stop()
    ok(code == 1 and rows(out) == [["E1", "-"], ["E2", "AA"], ["E3", "AA"]] and "message 1 is not its" in err and
       r.received == ["E1", "E2", "E3", "E2", "E3"], "nor does it tell that those before it were taken", f"{code}\n{out}{err}")


def certificates():
    script = """set -e; cd "$1"; new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
    openssl req -x509 $new -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\n' > server.ext
    printf 'extendedKeyUsage=clientAuth\\n' > client.ext
    for f in server client; do
      openssl req $new -subj /CN=$f -keyout $f.key -out $f.csr
      openssl x509 -req -in $f.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $f.ext -out $f.pem
    done"""
    subprocess.run(["sh", "-c", script, "sh", HOME], check=True, stderr=subprocess.DEVNULL)


def secure():
    certificates()
    one = file("one.hl7", message("A1"))
    path = {name: os.path.join(HOME, name) for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path["server.pem"], path["server.key"])
    context.load_verify_locations(path["ca.pem"])
    context.verify_mode = ssl.CERT_REQUIRED
    r = Receiver("AA", context=context)
    both = ["--cert", path["client.pem"], "--key", path["client.key"]]
    code, out, err = send(f"mllps://localhost:{r.port}", "--ca", path["ca.pem"], *both, one)
    ok(code == 0 and rows(out) == [["A1", "AA"]], "TLS with our certificate", out + err)
    code, out, err = send(f"mllps://localhost:{r.port}", "--timeout", "300ms", "--ca", path["ca.pem"], one)
    ok(code == 1 and out == "" and err.count("\n") == 1, "TLS without it is refused", out + err)
    code, out, err = send(f"mllps://localhost:{r.port}", *both, one)
    ok(code == 1 and "certificate not accepted" in err and "--ca names" in err, "a server that nobody vouches for is refused", out + err)
    r.stop()


def mistakes():
    one, empty = file("one.hl7", message("A1")), file("empty.hl7", "")
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    code, out, err = send(f"mllp://127.0.0.1:{port}", one)
    ok(code == 1 and err.count("\n") == 1 and "connection refused (is the bridge running?)" in err,
       "nobody there is said in one line", err)
    for name, words, status, says in [
            ("no arguments", [], 2, "name the receiver"),
            ("no files", ["mllp://127.0.0.1:1"], 2, "name the files"),
            ("no such scheme", ["http://127.0.0.1:1", one], 2, "is not mllp://HOST:PORT"),
            ("no such port", ["mllp://127.0.0.1:70000", one], 2, "is not mllp://HOST:PORT"),
            ("a window of nothing", ["--window", "0", "mllp://127.0.0.1:1", one], 2, "--window"),
            ("certificates without TLS", ["--ca", one, "mllp://127.0.0.1:1", one], 2, "need mllps://"),
            ("an unknown option", ["--fast", "mllp://127.0.0.1:1", one], 2, "unknown option --fast"),
            ("a missing file", ["mllp://127.0.0.1:1", os.path.join(HOME, "nowhere.hl7")], 1, "nowhere.hl7"),
            ("an empty file", ["mllp://127.0.0.1:1", empty], 1, "holds no HL7 message"),
            ("a missing CA", ["--ca", os.path.join(HOME, "no.pem"), "mllps://127.0.0.1:1", one], 1, "no.pem")]:
        code, out, err = send(*words)
        ok(code == status and says in err and out == "", name, f"exit {code}\n{out}{err}")
    code, out, err = send("--help")
    ok(code == 0 and "CONTROL-ID<TAB>MSA-1<TAB>milliseconds" in out and err == "", "--help", out + err)


try:
    replies()
    foreign()
    secure()
    mistakes()
finally:
    shutil.rmtree(HOME)
sys.exit(tap.done())
