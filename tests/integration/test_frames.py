"""The stream of a sender cut at every byte, sent one byte at a time, joined ten messages at a time, with noise between the
frames: always the same replies, byte for byte, and every byte of noise counted (rows F01, F04, F05)."""
import array
import fcntl
import os
import re
import socket
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402

NOISE = [b"", b"\r\n", b"GET / HTTP/1.1\r\n", b"\x1c\r", b"\x00\xff\x1c", b"\x0bcut off \x1c in the middle"]


def adt(n):
    name = "홍^길동" * (n % 4 + 1)
    return (f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||ADT^A28|F{n}|P|2.5||||||UNICODE UTF-8\r"
            f"EVN||20260309090000\rPID|1||{n}^^^HANBIT^MR||{name}||19760617|M\r").encode()


def frame(message):
    return b"\x0b" + message + b"\x1c\r"


def arrived(sock):
    """Everything written has been taken by the other side's kernel: the next write is another segment."""
    left = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, left)
    return left[0] == 0


class Talk:
    def __init__(self, s):
        self.s, self.noise = s, 0
        self.m = s.mllp()
        self.m.connect()

    def say(self, *pieces):
        for p in pieces:
            self.m.sock.sendall(p)
            wait_for("the piece to arrive", lambda: arrived(self.m.sock))

    def hear(self, n):
        return [self.m.read() for _ in range(n)]


def cuts(stream, at):
    edges = [0, *at, len(stream)]
    return [stream[a:b] for a, b in zip(edges, edges[1:])]


def counted(s):
    found = re.search(r"\bnoise_bytes (\d+)", s.run("feed", "list", check=True).stdout)
    return int(found.group(1)) if found else 0


def test(tap):
    with Site("frames") as s:
        s.start("--only", "feed")
        messages = [adt(n) for n in range(30)]
        t = Talk(s)
        want = []
        for m in messages:
            t.say(frame(m))
            want += t.hear(1)
        tap.equal("one by one: all accepted", [code(r) for r in want], ["AA"] * 30)
        tap.equal("and each reply is its own", [re.search(rb"MSA\|AA\|(\w+)", r).group(1) for r in want], [b"F%d" % n for n in range(30)])

        noise = 0
        stream = NOISE[1] + frame(messages[0]) + NOISE[4] + frame(messages[1]) + NOISE[5] + frame(messages[2])
        per_stream = len(NOISE[1]) + len(NOISE[4]) + len(NOISE[5]) - 1  # the VT that began the broken one is no noise
        wrong = []
        for cut in range(1, len(stream)):
            t.say(*cuts(stream, [cut]))
            noise += per_stream
            if t.hear(3) != want[:3]:
                wrong.append(cut)
        tap.equal("cut at every byte, with noise between the frames", wrong, [])

        for _ in range(2):
            for i in range(0, len(stream)):
                t.m.sock.sendall(stream[i:i + 1])
            noise += per_stream
            tap.equal("one byte at a time", t.hear(3), want[:3])

        for k in range(0, 30, 10):
            joined = b""
            for n, m in enumerate(messages[k:k + 10]):
                junk = NOISE[n % 5]
                noise += len(junk)
                joined += junk + frame(m)
            t.say(joined)
            tap.equal(f"joined ten at a time, {k} to {k + 9}", t.hear(10), want[k:k + 10])

        t.say(b"".join(frame(m) for m in messages))
        tap.equal("thirty in one write", t.hear(30), want)

        peers = [Talk(s) for _ in range(3)]
        streams = [b"".join(frame(m) for m in messages[10 * k:10 * k + 10]) for k in range(3)]
        for i in range(0, max(map(len, streams)), 17):
            for p, text in zip(peers, streams):
                p.m.sock.sendall(text[i:i + 17])
        tap.equal("three senders in turn, 17 bytes each: nothing mixes", [p.hear(10) for p in peers],
                  [want[10 * k:10 * k + 10] for k in range(3)])

        wait_for("every byte of noise to be counted", lambda: counted(s) >= noise, 20)
        tap.equal("every byte of noise is counted", counted(s), noise)
        tap.equal("nothing was taken twice", s.one("SELECT sum(received) FROM dari.feed_count"), "30")


main(test)
