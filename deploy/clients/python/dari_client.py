"""A consumer of a Dari stream. Needs pyzmq (Debian: python3-zmq) and nothing else.

    from dari_client import Consumer, read_key

    with Consumer("tcp://hospital.example:5575", site="hanbit",
                  server_key=read_key("stream.pub"), secret_key=read_key("crm.key")) as stream:
        for event in stream:                    # for ever, in order; reconnects by itself
            store(event.seq, event.json)        # your commit: event and number together
            stream.ack(event.seq)               # cumulative; moves your cursor at the hospital

At least once: after a reconnect without a resume point of your own, events above the last
acknowledgement come again, so keep the number with what you store and ignore numbers you have.
The protocol is described in core/stream/README.md.
"""
import json
import logging
import time

import zmq

PROTOCOL = "dari/1"
LOG = logging.getLogger("dari")    # warnings go to standard error unless you say otherwise
HEARTBEAT = 5.0
MISSED = 3
# How long to wait after the relay refused us, by its code.
WAIT = {"hello": 0.0, "idle": 0.0, "stopping": 0.5, "away": 1.0, "revoked": 30.0, "replaced": 30.0}


def read_key(path):
    """A key file as Dari writes it: 40 characters of Z85."""
    with open(path, encoding="ascii") as f:
        return f.read().strip()


class Refused(Exception):
    """The relay said ERROR or BYE. `code`: revoked, replaced, paused, away, expired, range, …"""

    def __init__(self, code, text=""):
        super().__init__(f"{code}: {text}" if text else code)
        self.code, self.text = code, text


class Event:
    __slots__ = ("seq", "prev", "json")

    def __init__(self, seq, prev, text):
        self.seq, self.prev, self.json = seq, prev, text

    @property
    def data(self):
        """The CloudEvents envelope as a dict; its member "data" is the payload."""
        return json.loads(self.json)


class Consumer:
    """`start`: "cursor" (what you acknowledged last), "first", "head", a number (you have
    everything up to it) or "time:2026-03-11T09:00:00+09:00". `messages` and `bytes` are the credit
    kept granted: what may be on its way to you. With `raise_refused` a refusal is raised instead of
    being waited out."""

    def __init__(self, endpoint, site, server_key, secret_key, start="cursor", messages=256,
                 bytes=4 << 20, raise_refused=False, context=None):
        self.endpoint, self.site, self.start = endpoint, site, start
        self.server_key = server_key.encode("ascii")
        self.secret_key = secret_key.encode("ascii")
        self.public_key = zmq.curve_public(self.secret_key)
        self.wish = (messages, bytes)
        self.raise_refused = raise_refused
        self.context = context or zmq.Context()
        self.own_context = context is None
        self.socket = None
        self.welcome = None         # the relay's WELCOME as a dict, while a session is open
        self.acked = 0              # confirmed by the relay
        self.last = self.passed = None
        self._wanted = 0

    # ---- the session ----

    def _hang_up(self):
        if self.socket is not None:
            self.socket.close(linger=200)
        self.socket = self.welcome = None

    def _join(self):
        self._hang_up()
        s = self.context.socket(zmq.DEALER)
        s.curve_serverkey, s.curve_publickey, s.curve_secretkey = \
            self.server_key, self.public_key, self.secret_key
        for option, value in ((zmq.LINGER, 200), (zmq.IMMEDIATE, 1), (zmq.RECONNECT_IVL, 200),
                              (zmq.RECONNECT_IVL_MAX, 5000), (zmq.HANDSHAKE_IVL, 3000),
                              (zmq.HEARTBEAT_IVL, 5000), (zmq.HEARTBEAT_TIMEOUT, 15000),
                              (zmq.RCVHWM, 2 * self.wish[0] + 16)):
            s.setsockopt(option, value)
        s.connect(self.endpoint)
        self.socket = s

    def _say(self, *frames):
        try:
            self.socket.send_multipart([str(f).encode() for f in frames], zmq.DONTWAIT)
            return True
        except zmq.Again:
            return False

    def _hello(self):
        self.welcome = None
        start = self.start if self.last is None else max(self.last, self.passed)
        self._say("HELLO", PROTOCOL, self.site, start)

    def _grant(self):
        if self.left[0] <= self.most[0] // 2 or self.left[1] <= self.most[1] // 2:
            if self._say("CREDIT", self.most[0] - self.left[0], self.most[1] - self.left[1]):
                self.left = list(self.most)

    def _confirm(self):
        if self.welcome and self.acked_sent < self._wanted <= max(self.last, self.passed):
            if self._say("ACK", self._wanted):
                self.acked_sent = self._wanted

    def _welcomed(self, w):
        self.welcome = w
        self.last = self.passed = w["start"]
        self.acked = self.acked_sent = w["acked"]
        self.most = (min(self.wish[0], w["max_messages"]), min(self.wish[1], w["max_bytes"]))
        self.left = [0, 0]
        self._grant()
        self._confirm()

    # ---- what the caller does ----

    def ack(self, seq):
        """Everything up to `seq` is safe with you."""
        self._wanted = max(self._wanted, seq)
        self._confirm()

    def nack(self, seq, code):
        """You cannot take this event: the relay pauses your stream and tells the hospital."""
        self._say("NACK", seq, code)

    def poll(self, timeout=1.0):
        """The next Event within `timeout` seconds, or None. Call it again and again."""
        until = time.monotonic() + timeout
        while True:
            event = self._step()
            if event is not None:
                return event
            left = until - time.monotonic()
            if left <= 0:
                return None
            if self.socket is None:
                time.sleep(min(left, 0.05))
            else:
                self.socket.poll(min(left, 0.1) * 1000, zmq.POLLIN)

    def flush(self, timeout=5.0):
        """Waits until the relay has confirmed the last ack(); True when it did. Events that come
        meanwhile are dropped, so call it when you have taken enough."""
        until = time.monotonic() + timeout
        while self.acked < self._wanted and time.monotonic() < until:
            self.poll(0.05)
        return self.acked >= self._wanted

    def __iter__(self):
        while True:
            event = self.poll()
            if event is not None:
                yield event

    def close(self):
        if self.welcome:
            self._say("BYE")
        self._hang_up()
        if self.own_context:
            self.context.term()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- one step of the state machine ----

    _at = _heard = _pinged = 0.0    # when to try again; last word of the relay; last PING
    _greeted = False
    _patience = 2.0

    def _step(self):
        now = time.monotonic()
        if self.socket is None:
            if now < self._at:
                return None
            self._join()
            self._greeted, self._heard, self._at = False, now, now + self._patience
        if not self._greeted and self.socket.getsockopt(zmq.EVENTS) & zmq.POLLOUT:
            self._greeted, self._at = True, now + HEARTBEAT
            self._hello()
        try:
            frames = self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            self._tick(now)
            return None
        self._heard = self._pinged = now
        return self._take([bytes(f) for f in frames])

    def _tick(self, now):
        if self.welcome is None:
            if now >= self._at:     # no handshake, or no WELCOME: a fresh socket
                self._patience = min(self._patience * 2, 16.0)
                LOG.warning("no answer from %s: is it the right address and server key, and does the "
                            "hospital know our key?", self.endpoint)
                self._hang_up()
                self._at = now
        elif not self.socket.getsockopt(zmq.EVENTS) & zmq.POLLOUT:
            self.welcome, self._greeted, self._at = None, False, now + self._patience
        elif now - self._heard >= HEARTBEAT * MISSED:
            self._hang_up()
            self._at = now
        elif now - self._pinged >= HEARTBEAT:
            self._pinged = now
            self._say("PING")

    def _take(self, frames):
        command = frames[0]
        if command == b"WELCOME":
            self._patience = 2.0
            self._welcomed(json.loads(frames[1]))
        elif command == b"EVENT" and self.welcome:
            seq, prev = int(frames[1]), int(frames[2])
            if prev != self.last or seq <= self.last:
                self._hello()       # something is missing: once more, behind what we have
                return None
            self.last = seq
            self.left[0] -= 1
            self.left[1] -= len(frames[3])
            self._grant()
            return Event(seq, prev, frames[3].decode("utf-8"))
        elif command == b"ACKED":
            self.acked = max(self.acked, int(frames[1]))
        elif command == b"HINT" and self.welcome:
            self.passed = int(frames[2])
            if self._wanted and max(self._wanted, self.acked) >= self.last:
                self.ack(self.passed)   # all we got is safe, and the rest is not for us
        elif command in (b"ERROR", b"BYE"):
            self._refused(frames[1].decode(), frames[2].decode() if len(frames) > 2 else "")
        return None

    def _refused(self, code, text):
        if code == "hello" and self.welcome is None:
            return                  # an answer to something we said before HELLO
        wait = WAIT.get(code, 5.0)
        if wait >= 1.0:
            LOG.warning("the relay ended the session: %s%s; next attempt in %.0f s", code,
                        text and f" ({text})", wait)
        self._hang_up()
        self._at = time.monotonic() + wait
        if self.raise_refused and wait >= 1.0:
            raise Refused(code, text)
