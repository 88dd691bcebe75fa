#!/usr/bin/python3
"""Folders, archives and a real SFTP server: everything once, whatever is cut, killed, full or hostile."""
import gzip
import io
import os
import random
import subprocess
import sys
import time
import urllib.parse
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402
import sshd  # noqa: E402

PACE = 'scan="100ms" retry="200ms"'
FEEDS = """
  <feed name="inbox" adapter="files" mapping="{root}/mappings/hl7v2" charset-fallback="utf-8">
    <files folder="{home}/inbox" recursive="yes" complete="rename" PACE/>
  </feed>
  <feed name="remote" adapter="files" mapping="{root}/mappings/hl7v2" charset-fallback="utf-8">
    <files url="sftp://USER@127.0.0.1:PORT{home_url}/server/%EB%82%B4%EB%B3%B4%EB%82%B4%EA%B8%B0" work="{home}/work" archive="{home}/archive"
           LOGIN min-age="200ms" stall-timeout="5s" PACE/>
  </feed>
  <feed name="deleted" adapter="files" mapping="{root}/mappings/hl7v2" charset-fallback="utf-8">
    <files url="sftp://USER@127.0.0.1:PORT{home_url}/deleted/" work="{home}/work2" recursive="yes" complete="control" remote-after="delete"
           match="*.hl7" LOGIN PACE/>
  </feed>
  <feed name="left" adapter="files" mapping="{root}/mappings/hl7v2" charset-fallback="utf-8">
    <files url="sftp://USER@127.0.0.1:PORT{home_url}/left/" work="{home}/work3" complete="rename" remote-after="leave" LOGIN PACE/>
  </feed>
  <feed name="password" adapter="files" mapping="{root}/mappings/hl7v2" charset-fallback="utf-8">
    <files url="sftp://USER@127.0.0.1:OTHER{home_url}/password/" work="{home}/work4" complete="rename" known-hosts="{home}/known_other"
           password-file="{home}/password-file" PACE/>
  </feed>
""".replace("PACE", PACE).replace("LOGIN", 'known-hosts="{home}/known_hosts" key="{home}/sshd/user" passphrase-file="{home}/sshd/passphrase"')
SERVER = "server/내보내기"
PATIENT = "가나다라마바"  # must not be in any log
PASSWORD = "a b%41:@/비밀 #7"  # nor this


def message(name):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260311090000+0900||ADT^A04^ADT_A01|{name}|P|2.5|||AL|AL||UNICODE UTF-8\r"
            f"EVN|A04|20260311090000\rPID|1||C{name}^^^HANBIT^MR||{PATIENT}||19800101|M\r"
            f"PV1|1|O|IM||||||||||||||||V{name}^^^HANBIT^VN|||||||||||||||||||||||||20260311090000\r").encode()


def put(folder, name, content):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "wb") as f:
        f.write(content)
    os.rename(path + ".tmp", path)


def below(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files
                  if not f.startswith(".dari"))


def a_while():
    """For what must not happen there is no condition to wait for: some looks and retries at the pace above."""
    time.sleep(0.6)


class Test:
    def __init__(self, tap, s):
        self.tap, self.s = tap, s
        self.inbox, self.own = os.path.join(s.home, "inbox"), os.path.join(s.home, "inbox/.dari")
        self.server, self.work = os.path.join(s.home, SERVER), os.path.join(s.home, "work")
        self.archive = os.path.join(s.home, "archive")

    def count(self, like):
        return int(self.s.one(f"SELECT count(*) FROM dari.message WHERE control_id LIKE '{like}'"))

    def taken(self, like, n, seconds=60):
        wait_for(f"{n} of {like}", lambda: self.count(like) >= n, seconds)

    def idle(self, working):
        wait_for("nothing left in " + working, lambda: not os.listdir(working))

    def said(self, what, over=False, since=0, feed="remote"):
        line = f"feed:{feed} files.trouble{'-over' if over else ''} what={what}"
        return self.s.text()[since:].count(line + (" " if not over else "\n"))

    # ---- local folders ----

    def hostile(self):
        """Bombs and bad archives: refused with a reason; the next file is not affected."""
        s, tap = self.s, self.tap
        bomb = gzip.compress(b"\0" * (256 << 20), 9)
        put(self.inbox, "1-bomb.csv.gz", bomb)
        b = io.BytesIO()
        with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
            for i in range(8):
                z.writestr(f"{i}.csv", b"\0" * (64 << 20))
        put(self.inbox, "2-bomb.zip", b.getvalue())
        b = io.BytesIO()
        with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("../../../../../../tmp/dari-climbed", b"x")
        put(self.inbox, "3-climbing.zip", b.getvalue())
        b = io.BytesIO()
        with zipfile.ZipFile(b, "w") as z:
            z.writestr("inner.zip", b.getvalue())
        put(self.inbox, "4-nested.zip", b.getvalue())
        # the same bytes as many members: 200 entries of the table of contents point at one
        put(self.inbox, "5-overlap.zip", overlapping(200, 1 << 20))
        b = io.BytesIO()
        with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("a.hl7", message("HOSTILE-A"))
            z.writestr("b.hl7", message("HOSTILE-B"))
        put(self.inbox, "6-good.zip", b.getvalue())
        put(self.inbox, f"7-{PATIENT}.hl7", message("HOSTILE-C"))
        self.taken("HOSTILE-%", 3)
        self.idle(os.path.join(self.own, "working"))
        errors = below(os.path.join(self.own, "error"))
        bad = ["1-bomb.csv.gz", "2-bomb.zip", "3-climbing.zip", "4-nested.zip", "5-overlap.zip"]
        tap.equal("bombs, climbing names, nested and overlapping archives are put aside with a reason", errors,
                  sorted(bad + [n + ".problem.txt" for n in bad]))
        reasons = {n: open(os.path.join(self.own, "error", n + ".problem.txt"), encoding="utf-8").read() for n in bad}
        tap.check("the reasons say what is wrong", "max-ratio" in reasons[bad[0]] and "max-ratio" in reasons[bad[1]] and
                  "path" in reasons[bad[2]] and "archive itself" in reasons[bad[3]], reasons)
        tap.check("nothing climbed out", not os.path.exists("/tmp/dari-climbed"))
        peak = max(int(line.split()[1]) for line in open(f"/proc/{s.pids()['feed:inbox']}/status", encoding="ascii")
                   if line.startswith("VmHWM:")) / 1024
        tap.check("the feed's memory does not grow with them", peak < 100, f"{peak:.0f} MiB")

    def killed(self, seed=7):
        """kill -9 of the feed again and again while files come, some from folders below, some written slowly."""
        rnd, n = random.Random(seed), 40
        for i in range(n):
            put(self.inbox, rnd.choice(["", "sub/", "sub/deeper/"]) + f"k{i}.hl7",
                b"".join(message(f"KILL-{i}-{k}") for k in range(rnd.randint(1, 60))))
            if rnd.random() < 0.4:
                self.s.kill("feed:inbox")
                time.sleep(rnd.random() / 20)
        self.idle_inbox()
        rows = self.s.sql("SELECT count(*), count(DISTINCT control_id) FROM dari.message WHERE control_id LIKE 'KILL-%'")
        rnd = random.Random(seed)
        want = 0
        for i in range(n):
            rnd.choice(["", "", ""])
            want += rnd.randint(1, 60)
            if rnd.random() < 0.4:
                rnd.random()
        self.tap.equal("files and kill -9: each message once", rows, [[str(want), str(want)]])
        names = [f for f in below(os.path.join(self.own, "archive")) if "/k" in f]
        self.tap.equal("each file is in the archive once", len({os.path.basename(f).replace(".duplicate", "") for f in names}), n)
        self.tap.equal("and not twice", len(names), n)

    def idle_inbox(self):
        def empty():
            visible = [f for f in below(self.inbox) if not f.startswith(".dari")]
            return not visible and os.path.isdir(os.path.join(self.own, "working")) and not os.listdir(os.path.join(self.own, "working"))
        wait_for("an empty inbox", empty, 120)

    def away(self):
        """The folder vanishes and comes back: said once each way, other feeds go on."""
        since = len(self.s.text())
        os.rename(self.inbox, self.inbox + ".away")
        wait_for("the line", lambda: self.said("folder", since=since, feed="inbox"))
        self.tap.equal("another feed goes on", code(self.s.mllp().ask(message("AWAY-MLLP"))), "CA")
        a_while()
        self.tap.equal("a folder that is away is said once", self.said("folder", since=since, feed="inbox"), 1)
        check = self.s.run("check", "--config", self.s.config)
        self.tap.check("dari check says it", "folder: " in check.stderr and "inbox" in check.stderr, check.stderr)
        os.rename(self.inbox + ".away", self.inbox)
        put(self.inbox, "back.hl7", message("AWAY-BACK"))
        self.taken("AWAY-BACK", 1)
        self.tap.equal("and once when it is back", self.said("folder", True, since, "inbox"), 1)

    # ---- SFTP ----

    def fetched(self):
        put(self.server, "a b.hl7", message("SFTP-A"))
        put(self.server, "예약 \"목록\" 'x' %41.hl7", message("SFTP-B"))
        put(self.server, "half.hl7.part", message("SFTP-C"))
        os.symlink("/etc/hostname", os.path.join(self.server, "link.hl7"))
        self.taken("SFTP-%", 2)
        self.idle(os.path.join(self.work, "working"))
        wait_for("the server's archive", lambda: len(below(os.path.join(self.server, "archive"))) == 2)
        self.tap.equal("files come from the server and are put away there", below(self.server),
                       sorted(["archive/a b.hl7", "archive/예약 \"목록\" 'x' %41.hl7", "half.hl7.part", "link.hl7"]))
        self.tap.equal("and here", len(below(self.archive)), 2)
        os.remove(os.path.join(self.server, "link.hl7"))
        put(self.server, "a b.hl7", message("SFTP-D"))
        self.taken("SFTP-D", 1)
        wait_for("the server's archive", lambda: "archive/a b.hl7.2" in below(self.server))
        self.tap.check("nothing there is overwritten", True)

    def other_ways(self):
        """Folders below, control files, files that are deleted on the server or left there."""
        deleted, left = os.path.join(self.s.home, "deleted"), os.path.join(self.s.home, "left")
        put(deleted, "sub/deeper/a.hl7", message("DEL-1"))
        put(deleted, "b.hl7", message("DEL-2"))
        put(deleted, "sub/deeper/a.hl7.done", b"")
        put(left, "c.hl7", message("LEFT-1"))
        self.taken("DEL-1", 1)
        self.taken("LEFT-1", 1)
        wait_for("the file to be deleted", lambda: below(deleted) == ["b.hl7"])
        put(left, "d.hl7", message("LEFT-2"))
        self.taken("LEFT-2", 1)
        own = os.path.join(self.s.home, "work2")
        self.idle(os.path.join(own, "working"))
        self.tap.equal("a file with its control file is taken from a folder below, and both are deleted there",
                       (below(deleted), [f.split("/", 1)[1] for f in below(os.path.join(own, "archive"))], self.count("DEL-2")),
                       (["b.hl7"], ["sub/deeper/a.hl7"], 0))
        self.idle(os.path.join(self.s.home, "work3", "working"))
        before = self.s.pids()["feed:left"]
        self.s.kill("feed:left")
        wait_for("the feed", lambda: self.s.pids().get("feed:left", before) != before)
        put(left, "e.hl7", message("LEFT-3"))
        self.taken("LEFT-3", 1)
        self.idle(os.path.join(self.s.home, "work3", "working"))
        self.tap.equal("files that stay there are fetched once, also after a restart",
                       (below(left), [f.split("/", 1)[1] for f in below(os.path.join(self.s.home, "work3", "archive"))]),
                       (["c.hl7", "d.hl7", "e.hl7"],) * 2)

    def password(self):
        """A server that takes passwords only; a wrong one; and nobody is told what it is."""
        s, tap, folder = self.s, self.tap, os.path.join(self.s.home, "password")
        put(folder, "a.hl7", message("PASS-1"))
        self.taken("PASS-1", 1)
        wait_for("the server's archive", lambda: below(folder) == ["archive/a.hl7"])
        tap.check("a login with a password", True)
        self.idle(os.path.join(s.home, "work4", "working"))
        since = len(s.text())
        put(s.home, "password-file", b"wrong\n")
        before = s.pids()["feed:password"]
        s.kill("feed:password")
        wait_for("the feed", lambda: s.pids().get("feed:password", before) != before)
        put(folder, "b.hl7", message("PASS-2"))
        wait_for("the refusal", lambda: self.said("server", since=since, feed="password"))
        line = next(x for x in s.text()[since:].splitlines() if "feed:password files.trouble what=server" in x)
        tap.check("a wrong password is called that", "Login denied" in line, line)
        tap.equal("and nothing is fetched", (self.count("PASS-2"), "b.hl7" in below(folder)), (0, True))
        put(s.home, "password-file", PASSWORD.encode() + b"\n")
        self.taken("PASS-2", 1)
        wait_for("the end of it", lambda: self.said("server", True, since, "password"))
        tap.check("the file is read again: the right one is taken without a restart", True)
        pid = s.pids()["feed:password"]
        children = open(f"/proc/{pid}/task/{pid}/children", encoding="ascii").read().split()
        shown = b"".join(open(f"/proc/{p}/{f}", "rb").read() for p in [str(pid)] + children for f in ("cmdline", "environ"))
        tap.check("no process shows the password", PASSWORD.encode() not in shown)
        found = [f for f in below(s.home) if f != "password-file" and PASSWORD.encode() in readable(os.path.join(s.home, f))]
        tap.equal("it is in no other file, the database's included", found, [])
        self.not_in_the_configuration()

    def not_in_the_configuration(self):
        """A password in a url or as an option: refused, and the refusal does not repeat it."""
        config, other = open(self.s.config, encoding="utf-8").read(), os.path.join(self.s.home, "other.xml")
        for name, old, new in (("a url", "@127.0.0.1:", ":s3cr%65t@127.0.0.1:"), ("a url with a blank", "@127.0.0.1:", ":s3cr et@127.0.0.1:"),
                               ("an option", 'password-file="', 'password="s3cr3t" password-file="')):
            with open(other, "w", encoding="utf-8") as f:
                f.write(config.replace(old, new))
            check = self.s.run("check", "--config", other)
            self.tap.check(f"a password in {name}: refused without repeating it", check.returncode == 1 and "other.xml:" in check.stderr
                           and "s3cr" not in check.stdout + check.stderr, check.stderr)

    def cut(self, wire):
        """The line is cut twice in the middle of a file."""
        text = os.urandom(3 << 20).hex().encode()
        big = message("CUT-BIG") + b"NTE|1||" + text + b"\r"
        wire.down, wire.allow, wire.cuts = 0, 2 << 20, 2
        since = len(self.s.text())
        put(self.server, "big.hl7", big)
        self.taken("CUT-%", 1)
        self.idle(os.path.join(self.work, "working"))
        self.tap.equal("the line was cut twice", wire.cuts, 0)
        found = [f for f in below(self.archive) if f.endswith("big.hl7")]
        self.tap.equal("the file is whole", open(os.path.join(self.archive, found[0]), "rb").read() == big, True)
        self.tap.check("what had come was not fetched again", wire.down < len(big) * 1.3, f"{wire.down} of {len(big)}")
        self.tap.check("said on entering and on leaving", self.said("server", since=since) >= 1 and
                       self.said("server", since=since) == self.said("server", True, since), self.s.text()[since:])
        self.tap.equal("nothing half is left", os.listdir(os.path.join(self.work, "partial")), [])

    def host_key(self, server, wire):
        server.stop()
        wire.drop()
        since = len(self.s.text())
        server.start("two")
        put(self.server, "key.hl7", message("KEY-1"))
        wait_for("the alarm", lambda: self.said("host-key", since=since))
        a_while()
        text = self.s.text()[since:]
        self.tap.equal("another host key: an alarm, once", self.said("host-key", since=since), 1)
        self.tap.check("at level error", any(" error " in line for line in text.splitlines() if "what=host-key" in line), text)
        self.tap.equal("nothing was fetched", (self.count("KEY-%"), os.path.exists(os.path.join(self.server, "key.hl7"))), (0, True))
        log = open(server.path("log"), encoding="utf-8", errors="replace").read()
        self.tap.check("nobody logged in to it", log.count("Accepted") == self.accepted(server, log), "")
        server.stop()
        server.start("one")
        self.taken("KEY-1", 1)
        self.tap.equal("the right key again: over, and fetched", self.said("host-key", True, since), 1)
        with open(os.path.join(self.s.home, "known_hosts"), encoding="ascii") as f:
            known = f.read()
        with open(os.path.join(self.s.home, "known_hosts"), "w", encoding="ascii") as f:
            f.write("")
        since = len(self.s.text())
        wire.drop()  # so that it must connect anew
        wait_for("the alarm", lambda: self.said("host-key", since=since))
        self.tap.check("a server that nobody vouches for is refused", "known-hosts does not have" in self.s.text()[since:])
        with open(os.path.join(self.s.home, "known_hosts"), "w", encoding="ascii") as f:
            f.write(known)
        wait_for("the end of it", lambda: self.said("host-key", True, since))

    @staticmethod
    def accepted(server, log):
        """Logins before the last start of sshd: none came after."""
        return log[:log.rindex("Server listening")].count("Accepted")

    def full(self):
        """A disk of 1 MiB at the archive, filled up."""
        tap, small = self.tap, os.path.join(self.s.home, "small")
        os.makedirs(small)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode == 0
        if not mounted:
            tap.skip("a full disk at the archive", "only root may mount a small file system here")
            return
        try:
            os.rename(self.archive, self.archive + ".before")
            os.symlink(small, self.archive)
            with open(os.path.join(small, "filler"), "wb") as f:
                f.write(b"x" * (1000 << 10))
            since = len(self.s.text())
            pad = b"NTE|1||" + b"x" * 100000 + b"\r"
            put(self.server, "full1.hl7", message("FULL-1") + pad)
            wait_for("the line", lambda: self.said("archive", since=since))
            put(self.server, "full2.hl7", message("FULL-2") + pad)
            self.taken("FULL-%", 2)
            tap.equal("a full disk at the archive: the next file is taken all the same", self.count("FULL-%"), 2)
            tap.equal("another feed goes on", code(self.s.mllp().ask(message("FULL-MLLP"))), "CA")
            a_while()
            tap.equal("said once", self.said("archive", since=since), 1)
            tap.equal("both are kept", len(os.listdir(os.path.join(self.work, "working"))), 2)
            tap.check("no half copy is left", not [f for f in below(small) if f != "filler"], below(small))
            os.remove(os.path.join(small, "filler"))
            self.idle(os.path.join(self.work, "working"))
            tap.equal("with room again both are archived, once", [os.path.basename(f) for f in below(small)], ["full1.hl7", "full2.hl7"])
            tap.equal("said once", self.said("archive", True, since), 1)
            tap.equal("each message once", self.count("FULL-_"), 2)
        finally:
            subprocess.run(["umount", "-l", small], check=False)
            os.remove(self.archive)
            os.rename(self.archive + ".before", self.archive)

    def fetch_killed(self, wire):
        """kill -9 of the feed, and the line cut, while forty files come over SFTP."""
        rnd = random.Random(11)
        for i in range(40):
            put(self.server, f"f{i}.hl7", b"".join(message(f"FETCH-{i}-{k}") for k in range(10)))
            if rnd.random() < 0.25:
                self.s.kill("feed:remote")
            if rnd.random() < 0.25:
                wire.allow, wire.cuts = rnd.randint(2000, 40000), 1
            time.sleep(rnd.random() / 20)
        wait_for("an empty folder on the server", lambda: not [f for f in below(self.server) if "/" not in f and f.startswith("f")], 120)
        self.idle(os.path.join(self.work, "working"))
        rows = self.s.sql("SELECT count(*), count(DISTINCT control_id) FROM dari.message WHERE control_id LIKE 'FETCH-%'")
        self.tap.equal("killed and cut while fetching: each message once", rows, [["400", "400"]])
        here = {os.path.basename(f).split(".hl7")[0] for f in below(self.archive)}
        self.tap.equal("each file is archived here", sum(f"f{i}" in here for i in range(40)), 40)
        self.tap.equal("no process of ours is left over", fetchers(self.s), 1)


def readable(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""  # a socket, or gone just now


def fetchers(s):
    """Children of the feed: its fetching process."""
    pid = wait_for("the feed", lambda: s.pids().get("feed:remote"))
    return len(open(f"/proc/{pid}/task/{pid}/children", encoding="ascii").read().split())


def overlapping(entries, size):
    """A zip whose members all have the same bytes of the file: small, and large when unpacked."""
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("0000", random.Random(1).randbytes(size // 64) * 64)
    data = b.getvalue()
    end = data.rindex(b"PK\5\6")
    start = int.from_bytes(data[end + 16:end + 20], "little")
    entry, body = data[start:end], data[:start]
    table = entry * entries
    tail = bytearray(data[end:])
    tail[8:12] = entries.to_bytes(2, "little") * 2
    tail[12:16] = len(table).to_bytes(4, "little")
    return body + table + bytes(tail)


def test(tap):
    no_sshd = not sshd.PROGRAM
    with Site("files") as s:
        for f in ("inbox", SERVER, "work", "archive", "deleted", "left", "password"):
            os.makedirs(os.path.join(s.home, f))
        server = other = wire = None
        feeds = FEEDS if not no_sshd else FEEDS[:FEEDS.index('<feed name="remote"')]
        if not no_sshd:
            server = sshd.Sshd(os.path.join(s.home, "sshd"))
            server.start()
            wire = sshd.Wire(server.port)
            with open(os.path.join(s.home, "known_hosts"), "w", encoding="ascii") as f:
                f.write(server.known_hosts(wire.port))
            other = sshd.Sshd(os.path.join(s.home, "sshd-other"), PASSWORD)
            other.start()
            with open(os.path.join(s.home, "known_other"), "w", encoding="ascii") as f:
                f.write(other.known_hosts(other.port))
            put(s.home, "password-file", PASSWORD.encode() + b"\n")
            feeds = feeds.replace("USER", server.user()).replace("PORT", str(wire.port)).replace("OTHER", str(other.port))
        config = open(s.config, encoding="utf-8").read()
        root = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
        with open(s.config, "w", encoding="utf-8") as f:
            f.write(config.replace("<relay ", feeds.replace("{root}", root).replace("{home}", s.home)
                                   .replace("{home_url}", urllib.parse.quote(s.home)) + "  <relay ", 1))
        try:
            s.start()
            t = Test(tap, s)
            t.hostile()
            t.killed()
            t.away()
            if no_sshd:
                tap.skip("SFTP", "no sshd here: deploy/setup.sh test installs it")
            else:
                t.fetched()
                t.other_ways()
                t.password()
                t.cut(wire)
                t.host_key(server, wire)
                t.full()
                t.fetch_killed(wire)
            tap.check("no name of a patient or of a file in the log", PATIENT not in s.text() and ".hl7" not in s.text())
        finally:
            if server:
                server.stop()
                wire.close()
            if other:
                other.stop()


main(test)
