#!/usr/bin/python3
"""Does a consumer keep the rules of core/stream/README.md? A small relay that goes through what happens in a year:
events lost on the way, sent twice, sessions ended, relays restarted, the consumer killed. Needs pyzmq (python3-zmq).

    conformance.py [--slow] [--seconds N] [--folder FOLDER] -- COMMAND...

COMMAND is the consumer. It is started, killed and started again, and finds in its environment

    DARI_ENDPOINT     where to connect                     DARI_SITE    the site's name
    DARI_SERVER_KEY   file with the relay's public key     DARI_KEY     file with the consumer's secret key
    DARI_OUT          file to which it appends each event (the JSON as it came, one line), once

and it must have an event in DARI_OUT, for good, before it acknowledges it. --slow adds what needs half a minute of
silence. --seconds is how long to wait for each step (30). Prints one line per rule; the exit status is 1 when one was
broken. It is no Dari: it knows one consumer, keeps nothing, and lets any key in."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import zmq

SITE = "conformance"
MAX_MESSAGES, MAX_BYTES = 64, 1 << 20


class Broken(Exception):
    """A rule was broken."""


class Relay:
    """The relay and what it knows of the one consumer."""

    def __init__(self, folder, seconds):
        self.seconds, self.out = seconds, os.path.join(folder, "out.jsonl")
        self.public, self.secret = zmq.curve_keypair()
        self.context = zmq.Context()
        self.socket, self.endpoint = None, "tcp://127.0.0.1:*"
        self.events = []            # [(seq, text)] that the consumer is to have
        self.cursor = self.sent = self.passed = self.epoch = 0
        self.peer = self.session = None
        self.left = [0, 0]
        self.mute = False
        self.bind()

    def bind(self):
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.curve_server, self.socket.curve_secretkey = True, self.secret
        self.socket.bind(self.endpoint)
        self.endpoint = self.socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()

    def restart(self):
        self.socket.close()
        self.peer = self.session = None
        until = time.monotonic() + self.seconds
        while True:
            try:
                return self.bind()
            except zmq.ZMQError:        # the port is not free again yet
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    # ---- what the consumer says ----

    def receive(self, seconds):
        """The next message as [peer, command, …], or None; PING, CREDIT and ACK are dealt with here."""
        if not self.socket.poll(int(seconds * 1000)):
            return None
        peer, *frames = self.socket.recv_multipart()
        words = [f.decode("utf-8", "replace") for f in frames]
        if self.mute:
            return [peer] + words
        if words[0] == "HELLO":
            self.peer = peer
        elif peer != self.peer or not self.session:
            self.socket.send_multipart([peer, b"ERROR", b"hello", b"no session"])
        elif words[0] == "PING":
            self.say("PONG", self.sent)
        elif words[0] == "CREDIT":
            self.credit(words)
        elif words[0] == "ACK":
            self.ack(words)
        elif words[0] != "BYE":
            raise Broken(f"it said {words[0]}")
        return [peer] + words

    def credit(self, words):
        if len(words) != 3 or not (words[1].isdigit() and words[2].isdigit()):
            raise Broken(f"CREDIT as {words}")
        self.left = [self.left[0] + int(words[1]), self.left[1] + int(words[2])]
        if self.left[0] > MAX_MESSAGES or self.left[1] > MAX_BYTES:
            raise Broken("more credit in sum than WELCOME allows")

    def ack(self, words):
        if len(words) != 2 or not words[1].isdigit():
            raise Broken(f"ACK as {words}")
        seq = int(words[1])
        if seq > max(self.sent, self.passed):
            raise Broken(f"it acknowledged {seq}, and {self.sent} was sent last")
        have = set(self.lines())
        missing = [s for s, text in self.events if s <= seq and text not in have]
        if missing:
            raise Broken(f"it acknowledged {seq} before event {missing[0]} was in DARI_OUT")
        self.cursor = max(self.cursor, seq)
        self.say("ACKED", self.cursor)

    def lines(self):
        """Whole lines only: the consumer may be writing the next one."""
        try:
            with open(self.out, "rb") as f:
                return [line.decode("utf-8", "replace") for line in f.read().split(b"\n")[:-1]]
        except FileNotFoundError:
            return []

    def wait(self, what, condition):
        until = time.monotonic() + self.seconds
        while not condition():
            if time.monotonic() > until:
                raise Broken(f"not within {self.seconds} s: {what}")
            self.receive(0.1)

    # ---- what the relay says ----

    def say(self, *words):
        self.socket.send_multipart([self.peer] + [str(w).encode() for w in words])

    def hello(self):
        """Waits for HELLO; where the consumer wants to go on."""
        until = time.monotonic() + self.seconds
        self.session = None
        while True:
            m = self.receive(0.1)
            if m and m[1] == "HELLO":
                break
            if time.monotonic() > until:
                raise Broken(f"no HELLO within {self.seconds} s")
        if m[2:4] != ["dari/1", SITE] or len(m) != 5:
            raise Broken(f"HELLO as {m[1:]}")
        if m[4].isdigit():
            if int(m[4]) > max(self.sent, self.passed):
                raise Broken(f"it wants to go on behind {m[4]}, and {self.sent} was sent last")
            return int(m[4])
        if m[4] not in ("cursor", "first"):
            raise Broken(f"HELLO from {m[4]}: events would be missing")
        return self.cursor if m[4] == "cursor" else 0

    def welcome(self, start):
        self.epoch += 1
        self.session, self.left, self.prev = True, [0, 0], start
        self.say("WELCOME", json.dumps({
            "protocol": "dari/1", "site": SITE, "consumer": "vendor", "epoch": self.epoch, "acked": self.cursor,
            "start": start, "first": 1, "head": self.sent, "contract": "conformance@1", "max_messages": MAX_MESSAGES,
            "max_bytes": MAX_BYTES, "checkpoint": "", "something-new": {"of": "a later version"}}))
        for seq, text in self.events:
            if seq > start:
                self.send(seq, text)

    def send(self, seq, text):
        self.wait("credit", lambda: self.left[0] > 0 and self.left[1] > 0)
        self.left = [self.left[0] - 1, self.left[1] - len(text.encode())]
        self.say("EVENT", seq, self.prev, text)
        self.prev = seq
        self.sent = max(self.sent, seq)

    def make(self):
        """The next event: every third number is not for this consumer."""
        seq = (self.events[-1][0] if self.events else 0) + 1
        seq += seq % 3 == 0
        text = json.dumps({"specversion": "1.0", "id": f"{seq:026d}", "source": "feed:test", "type": "visit.arrived",
                           "sequence": f"{seq:020d}", "data": {"visit_key": f"{seq:026d}", "dept": "내과"}},
                          ensure_ascii=False, separators=(",", ":"))
        self.events.append((seq, text))
        return seq, text

    def feed(self, n):
        for _ in range(n):
            self.send(*self.make())

    def settled(self):
        last = self.events[-1][0]
        self.wait(f"ACK {last}", lambda: self.cursor >= last)


class Consumer:
    def __init__(self, command, relay, folder):
        self.command, self.process = command, None
        _, secret = zmq.curve_keypair()
        self.env = {**os.environ, "DARI_ENDPOINT": relay.endpoint, "DARI_SITE": SITE, "DARI_OUT": relay.out}
        for name, key in (("DARI_SERVER_KEY", relay.public), ("DARI_KEY", secret)):
            self.env[name] = os.path.join(folder, name.lower())
            with open(self.env[name], "wb") as f:
                f.write(key + b"\n")

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None


# ---- the rules ----

def begins_a_session(r, c):
    c.start()
    r.welcome(r.hello())


def takes_events_with_holes_and_acknowledges(r, c):
    r.feed(20)
    r.settled()


def gives_credit_again(r, c):
    r.feed(3 * MAX_MESSAGES)
    r.settled()


def ignores_what_it_does_not_know(r, c):
    r.say("NEWS", "of a later version")
    r.say("HINT", r.sent, r.sent)
    r.feed(5)
    r.settled()


def says_hello_after_bye(r, c):
    for reason in "stopping", "idle":
        r.say("BYE", reason)
        r.welcome(r.hello())
        r.feed(3)
        r.settled()


def waits_while_the_hospital_is_away(r, c):
    r.say("ERROR", "away", "no database")
    start = r.hello()
    r.say("ERROR", "away", "no database yet")
    r.welcome(min(start, r.hello()))
    r.feed(3)
    r.settled()


def keeps_one_of_two(r, c):
    """An acknowledgement that was lost: events come again, unless the consumer says where to go on."""
    r.feed(5)
    r.settled()
    r.cursor = r.events[-6][0]
    r.say("BYE", "stopping")
    r.welcome(r.hello())
    r.feed(3)
    r.settled()


def ignores_events_before_welcome(r, c):
    r.say("BYE", "stopping")
    start = r.hello()
    r.say("EVENT", r.sent + 100, r.sent, '{"specversion":"1.0","id":"of a session before"}')
    r.welcome(start)
    r.feed(3)
    r.settled()


def notices_a_lost_event(r, c):
    r.feed(2)
    r.settled()
    lost, behind = r.make(), r.make()
    r.left = [r.left[0] - 1, r.left[1]]
    r.say("EVENT", behind[0], lost[0], behind[1])
    start = r.hello()
    if start >= lost[0]:
        raise Broken(f"it goes on behind {start}, and {lost[0]} was lost")
    r.welcome(start)
    r.settled()


def finds_a_restarted_relay(r, c):
    r.restart()
    r.welcome(r.hello())
    r.feed(5)
    r.settled()


def survives_kill_9(r, c):
    for n in 0, 5, 40:
        r.feed(n)
        c.kill()
        c.start()
        r.welcome(r.hello())
        r.feed(3)
        r.settled()


def leaves_a_relay_that_fell_silent(r, c):
    old, r.mute = r.peer, True
    until = time.monotonic() + 60
    while True:
        m = r.receive(0.5)
        if m and m[1] == "HELLO" and m[0] != old:
            break
        if time.monotonic() > until:
            raise Broken("no new connection after a minute of silence")
    r.mute = False
    r.restart()
    r.welcome(r.hello())
    r.feed(3)
    r.settled()


def has_every_event_once_and_in_order(r, c):
    c.kill()
    got, want = r.lines(), [text for _, text in r.events]
    if got != want:
        twice = len(got) - len(set(got))
        raise Broken(f"{len(got)} lines in DARI_OUT for {len(want)} events; {len(set(want) - set(got))} missing, "
                     f"{twice} twice, {len(set(got) - set(want))} that never were")


RULES = [begins_a_session, takes_events_with_holes_and_acknowledges, gives_credit_again, ignores_what_it_does_not_know,
         says_hello_after_bye, waits_while_the_hospital_is_away, keeps_one_of_two, ignores_events_before_welcome,
         notices_a_lost_event, finds_a_restarted_relay, survives_kill_9, has_every_event_once_and_in_order]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--slow", action="store_true")
    p.add_argument("--seconds", type=float, default=30)
    p.add_argument("--folder")
    p.add_argument("command", nargs="+")
    a = p.parse_args()
    folder = a.folder or tempfile.mkdtemp(prefix="dari-conformance-")
    os.makedirs(folder, exist_ok=True)
    relay = Relay(folder, a.seconds)
    consumer = Consumer(a.command, relay, folder)
    rules = RULES[:-1] + [leaves_a_relay_that_fell_silent] * a.slow + RULES[-1:]
    broken = 0
    try:
        for i, rule in enumerate(rules, 1):
            name = rule.__name__.replace("_", " ")
            try:
                rule(relay, consumer)
                print(f"ok {i} - {name}", flush=True)
            except Broken as e:
                print(f"not ok {i} - {name}\n# {e}", flush=True)
                broken = 1
                break               # what follows would only follow from this
        print(f"1..{len(rules)}")
    finally:
        consumer.kill()
        relay.context.destroy(0)
        if not a.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return broken


if __name__ == "__main__":
    sys.exit(main())
