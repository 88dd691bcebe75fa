#!/usr/bin/env python3
"""Checks an export of Dari's ledger without Dari.

    dari ledger export --out ledger.txt
    deploy/verify-ledger.py [--anchor NOTE]... ledger.txt ledger.pub

Needs Python 3 and the openssl command (1.1.1 or newer), nothing else. It computes, from the entries alone,
every leaf and root of the Merkle tree (RFC 6962, section 2.1), compares them with every checkpoint in the
export (C2SP tlog-checkpoint in a C2SP signed note), has openssl verify each Ed25519 signature, and looks
for numbers that are missing. An anchor is a checkpoint that somebody else kept: a CRM vendor gets one
whenever its client connects. Only an anchor shows that the newest entries were cut off together with
their checkpoints, or that everything was written anew by whoever has the private key.

Exit status: 0 verified, 1 not verified, 2 wrong usage."""
import base64
import binascii
import hashlib
import re
import subprocess
import sys
import tempfile

ED25519_DER = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of RFC 8410


class Wrong(Exception):
    pass


def leaf_hash(body):
    return hashlib.sha256(b"\x00" + body).digest()


class Tree:
    """The full subtrees of the entries so far, the largest first, as (height, hash)."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def add(self, body):
        height, value = 0, leaf_hash(body)
        while self.peaks and self.peaks[-1][0] == height:
            value = hashlib.sha256(b"\x01" + self.peaks.pop()[1] + value).digest()
            height += 1
        self.peaks.append((height, value))
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        value = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            value = hashlib.sha256(b"\x01" + left + value).digest()
        return value


def public_key(path):
    """The 32 raw bytes in a PEM file."""
    try:
        text = open(path, encoding="ascii").read()
        found = re.fullmatch(r"\s*-----BEGIN PUBLIC KEY-----\s(.*?)-----END PUBLIC KEY-----\s*", text, re.S)
        der = base64.b64decode("".join(found.group(1).split()), validate=True)
    except (OSError, UnicodeDecodeError, AttributeError, binascii.Error) as e:
        raise SystemExit(f"verify-ledger: {path} is not a public key in PEM ({e})")
    if len(der) != 44 or not der.startswith(ED25519_DER):
        raise SystemExit(f"verify-ledger: {path} is not an Ed25519 public key")
    return der[len(ED25519_DER):]


def signature_fits(key_file, text, signature):
    with tempfile.NamedTemporaryFile() as t, tempfile.NamedTemporaryFile() as s:
        t.write(text)
        s.write(signature)
        t.flush()
        s.flush()
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key_file, "-in", t.name,
                               "-sigfile", s.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def open_note(note, origin, key, key_file):
    """(size, root) of a checkpoint that this key signed."""
    text, divider, signatures = note.partition(b"\n\n")
    text += b"\n"
    lines = text.split(b"\n")
    if not divider or len(lines) < 4 or not re.fullmatch(rb"0|[1-9][0-9]*", lines[1]):
        raise Wrong("is not a checkpoint")
    if lines[0] != origin:
        raise Wrong("is of another ledger")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error:
        raise Wrong("has no root")
    key_id = hashlib.sha256(origin + b"\n\x01" + key).digest()[:4]
    for line in signatures.split(b"\n"):
        words = line.split(b" ")
        if len(words) != 3 or words[0] != "\u2014".encode() or words[1] != origin:
            continue
        try:
            value = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        if value[:4] == key_id and len(value) == 68:
            if signature_fits(key_file, text, value[4:]):
                return int(lines[1]), root
            raise Wrong("has a wrong signature")
    raise Wrong("is not signed by this key")


def fields(body):
    words = body.split(b" ")
    return dict(w.split(b"=", 1) for w in words[1:] if b"=" in w)


class Ledger:
    def __init__(self, site, key, key_file):
        self.site, self.origin, self.key, self.key_file = site, b"dari/" + site, key, key_file
        self.tree, self.checkpoints, self.sealed, self.next_event = Tree(), 0, 0, 1
        self.anchors = []

    def entry(self, idx, body):
        if idx != self.tree.size + 1:
            raise Wrong(f"entry {min(idx, self.tree.size + 1)}: found {idx} where {self.tree.size + 1} was expected")
        said = fields(body)
        if said.get(b"idx") != b"%d" % idx or said.get(b"site") != self.site:
            raise Wrong(f"entry {idx}: does not carry its own number and site")
        if said.get(b"eventsdigest", b"-") != b"-":
            first, _, last = said.get(b"events", b"").partition(b"-")
            if not first.isdigit() or int(first) != self.next_event:
                raise Wrong(f"entry {idx}: names events from {first.decode()} on, expected {self.next_event}")
            self.next_event = int(last or first) + 1
        self.tree.add(body)
        for size, root in self.anchors:
            if size == idx and root != self.tree.root():
                raise Wrong(f"anchor of {size} entries: they were others than these")

    def checkpoint(self, size, note):
        try:
            said, root = open_note(note, self.origin, self.key, self.key_file)
        except Wrong as e:
            raise Wrong(f"checkpoint of {size} entries {e}")
        if said != size or size != self.tree.size:
            raise Wrong(f"checkpoint of {said} entries: found after {self.tree.size}")
        if root != self.tree.root():
            raise Wrong(f"checkpoint of {size} entries: entries {self.sealed + 1} to {size} are not what was signed")
        self.sealed = size
        self.checkpoints += 1

    def anchor(self, note):
        try:
            self.anchors.append(open_note(note, self.origin, self.key, self.key_file))
        except Wrong as e:
            raise Wrong(f"the anchor {e}")

    def end(self, size):
        if size != self.tree.size:
            raise Wrong(f"the export ends with {self.tree.size} entries, not {size}")
        for wanted, _ in self.anchors:
            if wanted > size:
                raise Wrong(f"entry {size + 1}: missing, the anchor covers {wanted} entries")


def check(path, key_file, anchors):
    key = public_key(key_file)
    with open(path, "rb") as f:
        head = f.readline()
        if not head.startswith(b"dari-ledger 1 ") or not head.endswith(b"\n"):
            raise Wrong("this is not a ledger export")
        ledger = Ledger(head[14:-1], key, key_file)
        for a in anchors:
            ledger.anchor(open(a, "rb").read())
        ended = False
        for line in f:
            words = line[:-1].split(b" ", 2)
            if ended or not line.endswith(b"\n") or len(words) < 2 or not words[1].isdigit():
                raise Wrong("the export is damaged: " + ("something follows its end" if ended else "a line is cut off"))
            if words[0] == b"entry" and len(words) == 3:
                ledger.entry(int(words[1]), words[2])
            elif words[0] == b"checkpoint" and len(words) == 3:
                try:
                    note = base64.b64decode(words[2].split(b" ")[-1], validate=True)
                except binascii.Error:
                    raise Wrong(f"checkpoint of {int(words[1])} entries is not base64")
                ledger.checkpoint(int(words[1]), note)
            elif words[0] == b"end":
                ledger.end(int(words[1]))
                ended = True
            else:
                raise Wrong("the export is damaged: a line of an unknown kind")
        if not ended:
            raise Wrong("the export is cut off: its last line is missing")
    return ledger


def main(argv):
    anchors, files = [], []
    words = iter(argv)
    for w in words:
        if w == "--anchor":
            anchors.append(next(words, None))
        elif w in ("-h", "--help"):
            print(__doc__)
            return 0
        else:
            files.append(w)
    if len(files) != 2 or None in anchors or any(f.startswith("-") for f in files):
        print("usage: verify-ledger.py [--anchor NOTE]... EXPORT ledger.pub", file=sys.stderr)
        return 2
    try:
        ledger = check(files[0], files[1], anchors)
    except Wrong as e:
        print(f"NOT VERIFIED: {e}")
        return 1
    except OSError as e:
        print(f"verify-ledger: {e}", file=sys.stderr)
        return 1
    print(f"ledger of {ledger.site.decode()}: {ledger.tree.size} entries, {ledger.checkpoints} checkpoints, "
          f"{ledger.sealed} entries sealed, {len(ledger.anchors)} anchors")
    if ledger.sealed < ledger.tree.size:
        print(f"entries {ledger.sealed + 1} to {ledger.tree.size} are newer than the last signed checkpoint: "
              "it says nothing of them")
    print("verified")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
