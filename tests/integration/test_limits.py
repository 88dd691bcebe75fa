"""Bounded: a thousand idle connections, a frame of 1 GiB, a slow reader and a stopped consumer cost no memory to speak of."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402


def adt(control):
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||ADT^A28^ADT_A05|{control}|P|2.5.1||||||UNICODE UTF-8\r"
            f"EVN|A28|20260309090000\rPID|1||{control}^^^HANBIT^MR||홍^길동||19760617|M\r").encode()


def rss(pid, peak=False):
    """MiB."""
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmHWM:" if peak else "VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def busy(s, senders, each, errors):
    def one(k):
        m = s.mllp()
        for i in range(each):
            if code(m.ask(adt(f"B{k}-{i}"))) != "AA":
                errors.append((k, i))
    threads = [threading.Thread(target=one, args=(k,)) for k in range(senders)]
    [t.start() for t in threads]
    [t.join() for t in threads]


def idle(tap, s, pid):
    peers = []
    for _ in range(1000):
        peers.append(socket.create_connection(("127.0.0.1", s.port)))
    wait_for("a thousand connections", lambda: len(os.listdir(f"/proc/{pid}/fd")) > 1000)
    errors = []
    busy(s, 32, 20, errors)
    tap.equal("32 busy senders beside 1,000 idle ones are all served", errors, [])
    tap.check("the feed stays below 128 MiB", rss(pid, True) < 128, rss(pid, True))
    print(f"# feed: {rss(pid, True):.0f} MiB at the most")
    late = socket.create_connection(("127.0.0.1", s.port))
    late.close()
    for p in peers:
        p.close()


def giant(tap, s, pid):
    before = rss(pid, True)
    sock = socket.create_connection(("127.0.0.1", s.port))
    sock.settimeout(60)
    sock.sendall(b"\x0b" + adt("GIANT") + b"OBX|1|TX|||")
    block = b"x" * (1 << 20)
    for _ in range(1024):
        sock.sendall(block)
    sock.sendall(b"\r\x1c\r")
    reply = b""
    while not reply.endswith(b"\x1c\r"):
        reply += sock.recv(65536)
    tap.equal("a frame of 1 GiB is refused with a reply", code(reply), "AR")
    tap.check("which names the message", b"|GIANT\r" in reply, reply)
    sock.sendall(b"\x0b" + adt("AFTER") + b"\x1c\r")
    reply = b""
    while not reply.endswith(b"\x1c\r"):
        reply += sock.recv(65536)
    tap.equal("and the connection goes on", code(reply), "AA")
    tap.check("memory grew by less than 32 MiB", rss(pid, True) - before < 32, (before, rss(pid, True)))


def deaf(tap, s, pid):
    """A sender that never reads its replies is held back, and nobody else."""
    sock = socket.create_connection(("127.0.0.1", s.port))
    sock.setblocking(False)
    before, sent, stalled = rss(pid), 0, 0
    data = b"".join(b"\x0b" + adt(f"D{i}") + b"\x1c\r" for i in range(200))
    while sent < 64 << 20 and stalled < 50:
        try:
            sent += sock.send(data[:65536])
            stalled = 0
        except BlockingIOError:
            stalled += 1
            threading.Event().wait(0.02)
    errors = []
    busy(s, 4, 5, errors)
    tap.equal("others are served", errors, [])
    tap.check("memory grew by less than 32 MiB", rss(pid) - before < 32, (before, rss(pid)))
    sock.close()


def test(tap):
    with Site("limits", mllp='max-connections="1200" max-per-address="1200" max-message="1m"') as s:
        s.start("--only", "feed,relay")
        pid = s.pids()["feed:emr"]
        idle(tap, s, pid)
        giant(tap, s, pid)
        deaf(tap, s, pid)
        tap.equal("the feed is the same process as before", s.pids()["feed:emr"], pid)
        s.run("consumer", "add", "asleep", "--contract", "crm-basic", "--new-key", s.home + "/asleep.key", check=True)
        tap.check("a consumer that never came costs one row", s.one("SELECT acked FROM dari.consumer WHERE name = 'asleep'") == "0")


main(test)
