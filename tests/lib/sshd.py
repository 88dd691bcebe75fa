"""A real sshd on loopback for tests, as whoever runs them, and a wire in front of it that can be cut."""
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from site_dari import ROOT, free_port, wait_for

PROGRAM = next((p for p in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if os.path.exists(p)), None)


class Sshd:
    """Host keys one and two; the user's key, with a passphrase; everything in `home`. With a `password` it knows no keys of
    users: whoever runs the test has that password for this sshd, and for nothing else (tests/drivers/shadow.c)."""

    PASSPHRASE = "a long phrase"

    SHADOW = os.path.join(ROOT, "build/dev/tests/drivers/shadow.so")

    def __init__(self, home, password=None):
        self.home, self.port, self.process, self.key, self.password = home, free_port(), None, "one", password
        self.preloaded = None
        os.makedirs(home)
        for name in ("one", "two", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", self.PASSPHRASE if name == "user" else "", "-C", "test",
                            "-f", self.path(name)], check=True)
        with open(self.path("passphrase"), "w", encoding="ascii") as f:
            f.write(self.PASSPHRASE + "\n")
        shutil.copy(self.path("user.pub"), self.path("authorized"))
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd insists on it as root

    def path(self, name):
        return os.path.join(self.home, name)

    def user(self):
        return getpass.getuser()

    def known_hosts(self, port, key="one"):
        kind, text = open(self.path(key + ".pub"), encoding="ascii").read().split()[:2]
        return f"[127.0.0.1]:{port} {kind} {text}\n"

    def start(self, key=None):
        self.key = key or self.key
        with open(self.path("config"), "w", encoding="ascii") as f:
            f.write(f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey \"{self.path(self.key)}\"\n"
                    f"AuthorizedKeysFile \"{self.path('authorized')}\"\nStrictModes no\nUsePAM no\nPidFile none\n"
                    f"PasswordAuthentication {'yes' if self.password else 'no'}\nPubkeyAuthentication {'no' if self.password else 'yes'}\n"
                    "PermitRootLogin yes\nSubsystem sftp internal-sftp\n")
        log = open(self.path("log"), "ab")
        self.process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", self.path("config")], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env={**os.environ, **self.shadow()})
        wait_for("sshd", self.answers, 20)

    def shadow(self):
        if not self.password:
            return {}
        hashed = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=self.password + "\n", text=True, check=True,
                                capture_output=True).stdout.strip()
        if not os.path.exists(self.SHADOW):
            raise RuntimeError("make unit builds " + self.SHADOW)
        self.preloaded = self.preloaded or tempfile.TemporaryDirectory(prefix="dari-sshd-")
        return {"LD_PRELOAD": shutil.copy(self.SHADOW, self.preloaded.name), "SHADOW_PASSWORD": hashed}  # a blank would cut it in two

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("sshd ended: " + open(self.path("log"), encoding="utf-8", errors="replace").read()[-500:])
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                return s.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)
        self.process = None


class Wire:
    """Forwards to sshd; cuts a connection after `allow` bytes from the server, as often as `cuts` says."""

    def __init__(self, target):
        self.target, self.cuts, self.allow, self.down, self.made = target, 0, 0, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                time.sleep(0.01)
                continue
            self.made = [x for x in self.made if x.fileno() >= 0] + [near, far]
            threading.Thread(target=self.pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, True), daemon=True).start()

    def pump(self, source, sink, counted):
        seen = 0
        try:
            while data := source.recv(65536):
                if counted:
                    seen += len(data)
                    self.down += len(data)
                    if self.cuts and seen > self.allow:
                        self.cuts -= 1
                        break
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def drop(self):
        """Ends what is open now: a stopped sshd goes on serving its sessions."""
        for s in self.made:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.open = False
        self.drop()
        self.listener.close()
