"""What a stranger can send: messages that grow, headers that no reply can hold, text for the terminal of whoever looks."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, code, main  # noqa: E402


def adt(control, name="홍^길동", kind="ADT^A28^ADT_A05"):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||{kind}|{control}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|A28|20260309090000\rPID|1||77^^^HANBIT^MR||{name}||19760617|M\r").encode()


def peak(pid):
    """MiB."""
    return next(int(line.split()[1]) / 1024 for line in open(f"/proc/{pid}/status", encoding="ascii") if line.startswith("VmHWM:"))


def growth(tap, s, pid):
    before = peak(pid)
    reply = s.mllp().ask(adt("GROW", "\\.sp255\\" * (1 << 20)))
    tap.equal("8 MiB of formatting codes are refused", code(reply), "AE")
    tap.check("and do not become 255 MiB", peak(pid) - before < 128, (before, peak(pid)))


def headers(tap, s):
    for what, control in (("of 1 MiB", "7" * (1 << 20)), ("of control characters", "\x01" * 20000)):
        m = s.mllp()
        reply = m.ask(adt(control))
        tap.check(f"a control id {what} is answered, in less than 64 KiB", code(reply) == "AE" and len(reply) < 65536, reply[:300])
        tap.equal("and the connection goes on", code(m.ask(adt("NEXT"))), "AA")
    tap.equal("both are stored", s.one("SELECT count(*) FROM dari.message WHERE place = 'MSH-10' AND state = 'quarantined'"), "2")


def terminals(tap, s):
    m = s.mllp()
    m.ask(adt("E\x1b[2J\x1b]0;owned\x07"))
    m.ask(adt("T1", kind="ADT^A28\x1b[1m^ADT_A05"))
    outs = [s.run("message", "list").stdout]
    for (no,) in s.sql("SELECT no FROM dari.message WHERE control_id LIKE 'E%' OR control_id = 'T1'"):
        outs += [s.run("message", "show", no).stdout, s.run("trace", no).stdout]
    bad = [o for o in outs if any(ord(c) < 32 and c not in "\t\n" for c in o)]
    tap.check("what a sender writes moves no cursor", len(outs) == 5 and all(outs) and not bad, (len(outs), bad))
    forged = s.sql("SELECT body FROM dari.ledger WHERE body !~ '^[a-z-]+( [a-z_]+=[^ [:cntrl:]]*)+$'")
    tap.equal("nor does it make a ledger entry of another form", forged, [])


def limits(tap, s, pid):
    rows = {x[:25].strip(): x[25:].split() for x in open(f"/proc/{pid}/limits", encoding="ascii")}
    tap.equal("no core dumps, to files or to programs", rows["Max core file size"][:2], ["1", "1"])
    soft, hard = map(int, rows["Max open files"][:2])
    tap.check("as many descriptors as there may be", soft == min(hard, 65536) or soft == hard, (soft, hard))
    tap.check("a clock from the environment is told about", "warn run run.clock file=" in s.text())


def folders(tap, s):
    """Somebody else was there first with the folder of the server's socket."""
    home, target = os.path.join(s.home, "second"), os.path.join(s.home, "target")
    os.makedirs(home)
    os.makedirs(target, mode=0o755)
    total = subprocess.run(["cksum"], input=os.path.realpath(home), capture_output=True, text=True).stdout.split()[0]
    link = f"/tmp/dari-pg-{os.getuid()}-{total}"
    os.symlink(target, link)
    try:
        before = os.stat(target)
        out = subprocess.run([os.path.join(ROOT, "deploy/postgres.sh"), "start", home], capture_output=True, text=True)
        after = os.stat(target)
        tap.check("a link in the place of the server's folder is refused", out.returncode != 0 and "link" in out.stderr, out.stderr)
        tap.equal("and what it points to stays as it was", (after.st_uid, after.st_mode), (before.st_uid, before.st_mode))
    finally:
        os.unlink(link)
        subprocess.run([os.path.join(ROOT, "deploy/postgres.sh"), "drop", home], capture_output=True)


def test(tap):
    with Site("hostile", clock="2026-03-09T09:00:00+09:00") as s:
        s.start()
        pid = s.pids()["feed:emr"]
        growth(tap, s, pid)
        headers(tap, s)
        terminals(tap, s)
        limits(tap, s, pid)
        tap.equal("nothing of it ended the feed", s.pids()["feed:emr"], pid)
        folders(tap, s)


main(test)
