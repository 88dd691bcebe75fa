#!/usr/bin/python3
"""The JavaScript client against a real relay: started late, stopped, killed, the relay killed under it; every number
once in effect. Needs node, and zeromq from npm, which is installed into a temporary folder."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_stream import ROOT, SITE, Rig, wait_for  # noqa: E402

CLIENT = os.path.join(ROOT, "deploy/clients/javascript")


def install(folder):
    """The client with its dependency; None, or why there is none."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not installed"
    for name in os.listdir(CLIENT):
        if os.path.isfile(os.path.join(CLIENT, name)):
            shutil.copy(os.path.join(CLIENT, name), folder)
    try:
        out = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=folder, timeout=180,
                             capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "npm could not install zeromq within three minutes"
    works = out.returncode == 0 and subprocess.run(["node", "-e", "require('zeromq')"], cwd=folder, timeout=60,
                                                   capture_output=True).returncode == 0
    return None if works else "npm could not install zeromq"


class Program:
    """example.js, and what it has written."""

    def __init__(self, rig, folder):
        rig.new_consumer("js")
        self.rig, self.out = rig, rig.path("js.jsonl")
        self.words = ["node", os.path.join(folder, "example.js"), "--endpoint", rig.endpoint, "--site", SITE, "--key",
                      rig.path("js.key"), "--server-key", rig.path("var/keys/stream.pub"), "--out", self.out]

    def run(self, count):
        subprocess.run(self.words + ["--count", str(count)], cwd=self.rig.home, check=True, timeout=60)

    def start(self):
        return subprocess.Popen(self.words, cwd=self.rig.home)

    def numbers(self):
        with open(self.out, encoding="utf-8") as f:
            return [int(json.loads(line)["sequence"]) for line in f.read().splitlines()]

    def committed(self):
        try:
            with open(self.out + ".cursor", encoding="ascii") as f:
                return int(f.read().split()[0])
        except FileNotFoundError:
            return 0


def late_and_again(rig, p):
    p.run(300)
    p.run(200)
    with open(p.out, "ab") as f:
        f.write(b"half a line that a crash left behind")
    p.run(100)
    assert p.numbers() == list(range(1, 601)), p.numbers()[-5:]
    assert rig.row("js")["acked"] == 600, rig.row("js")


def both_killed(rig, p):
    program = p.start()
    wait_for(lambda: rig.row("js")["acked"] >= 1000)
    old = rig.relay_pid()
    os.kill(old, signal.SIGKILL)
    rig.add_events(500)
    wait_for(lambda: rig.relay_pid() not in (None, old))
    wait_for(lambda: p.committed() >= 1500, 60)
    program.kill()
    program.wait()
    rig.add_events(200)
    program = p.start()
    wait_for(lambda: rig.row("js")["acked"] >= 1700)
    program.kill()
    program.wait()
    assert p.numbers() == list(range(1, 1701)), len(p.numbers())


def told_why(rig, p):
    secret = os.path.join(rig.home, "js.key")
    text = """
const { Consumer, readKey } = require(process.argv[1] + "/dari-client")
const [, , endpoint, site, server, key] = process.argv
const stream = new Consumer({ endpoint, site, serverKey: readKey(server), secretKey: readKey(key), start: 999999,
                              raiseRefused: true })
stream.poll(20000).then(() => console.log("nothing"), e => console.log(e.code)).then(() => stream.close())
"""
    out = subprocess.run(["node", "-e", text, os.path.dirname(p.words[1]), rig.endpoint, SITE,
                          rig.path("var/keys/stream.pub"), secret], cwd=rig.home, timeout=60, capture_output=True, text=True)
    assert out.stdout.strip() == "range", (out.stdout, out.stderr)


def keeps_the_rules(rig, p):
    words = ["node", p.words[1]]
    for name in "endpoint", "site", "server-key", "key", "out":
        words += ["--" + name, '"$DARI_' + name.upper().replace("-", "_") + '"']
    out = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "deploy/clients/conformance.py"), "--", "sh", "-c",
                          "exec " + " ".join('"%s"' % w if "/" in w else w for w in words)],
                         cwd=rig.home, timeout=300, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout[-600:] + out.stderr[-300:]


TESTS = [late_and_again, both_killed, told_why, keeps_the_rules]


def main():
    folder = tempfile.mkdtemp(prefix="dari js ")
    failed = 0
    try:
        why = install(folder)
        if why:
            print("ok 1 - the JavaScript client # SKIP " + why + "\n1..1")
            return 0
        rig = Rig()
        try:
            rig.add_events(1000)
            rig.start_relay()
            p = Program(rig, folder)
            for i, test in enumerate(TESTS, 1):
                try:
                    test(rig, p)
                    print("ok %d - %s" % (i, test.__name__.replace("_", " ")), flush=True)
                except Exception as e:  # noqa: BLE001
                    failed += 1
                    print("not ok %d - %s\n# %s: %s" % (i, test.__name__, type(e).__name__, e), flush=True)
            print("1..%d" % len(TESTS))
        finally:
            rig.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
