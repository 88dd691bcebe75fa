#!/usr/bin/python3
"""deploy/clients/conformance.py: our own client keeps every rule, and one that breaks a rule is caught at that rule."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
CLIENT = os.path.join(ROOT, "deploy/clients/python")

# what is broken: file, text, what stands there instead, the rule that must notice
BROKEN = [
    ("a lost event", "dari_client.py", "if prev != self.last or seq <= self.last:", "if False:", "notices a lost event"),
    ("events of the session before", "dari_client.py", 'command == b"EVENT" and self.welcome:', 'command == b"EVENT":',
     "ignores events before welcome"),
    ("events that come again", "example.py", 'start = "first" if store.seq is None else store.seq', 'start = "first"; store.seq = None',
     "has every event once and in order"),
    ("acknowledging first", "example.py", "store.commit()", "store.seq", "takes events with holes and acknowledges"),
    ("too much credit", "dari_client.py", "min(self.wish[0], w[\"max_messages\"])", "1000", "takes events with holes and acknowledges"),
    ("no credit again", "dari_client.py", "if self.left[0] <= self.most[0] // 2", "if self.left[0] < 0 or not self.last", "gives credit again"),
]


def run(folder, seconds="20"):
    words = " ".join('--%s "$DARI_%s"' % (n, n.upper().replace("-", "_")) for n in ("endpoint", "site", "server-key", "key", "out"))
    out = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "deploy/clients/conformance.py"), "--seconds", seconds, "--",
                          "sh", "-c", 'exec /usr/bin/python3 "%s/example.py" %s 2>/dev/null' % (folder, words)],
                         timeout=300, capture_output=True, text=True)
    return out.returncode, out.stdout + out.stderr


def main():
    failed = 0

    def check(number, name, holds, shown):
        nonlocal failed
        failed += not holds
        print("%s %d - %s" % ("ok" if holds else "not ok", number, name), flush=True)
        if not holds:
            print("# " + shown[-800:].replace("\n", "\n# "))

    status, text = run(CLIENT)
    check(1, "our client keeps every rule", status == 0, text)
    for i, (name, file, old, new, rule) in enumerate(BROKEN, 2):
        folder = tempfile.mkdtemp(prefix="dari conformance ")
        try:
            for f in ("dari_client.py", "example.py"):
                shutil.copy(os.path.join(CLIENT, f), folder)
            with open(os.path.join(folder, file), encoding="utf-8") as f:
                source = f.read()
            assert old in source, old
            with open(os.path.join(folder, file), "w", encoding="utf-8") as f:
                f.write(source.replace(old, new))
            status, text = run(folder, "4")
            at = re.findall(r"^not ok \d+ - (.*)$", text, re.M)
            check(i, "caught: " + name, status == 1 and at == [rule], text)
        finally:
            shutil.rmtree(folder)
    print("1..%d" % (1 + len(BROKEN)))
    return 1 if failed else 0


sys.exit(main())
