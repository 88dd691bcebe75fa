#!/usr/bin/python3
"""Writes every event as a line into a file and never twice: the number of the last line is kept in
a second file, and what was written twice by a crash in between is cut off again.

    example.py --endpoint tcp://HOST:5575 --site hanbit --server-key stream.pub --key crm.key \\
               --out events.jsonl
"""
import argparse
import os

from dari_client import Consumer, read_key


class Store:
    """Events and cursor on disk. The cursor file holds "SEQ SIZE": a crash between the two writes
    leaves a longer events file, which is cut back to SIZE."""

    def __init__(self, path):
        self.cursor_path = path + ".cursor"
        self.seq, size = None, 0
        if os.path.exists(self.cursor_path):
            with open(self.cursor_path, encoding="ascii") as f:
                self.seq, size = map(int, f.read().split())
        self.file = open(path, "ab")
        self.file.truncate(size)

    def add(self, event):
        if self.seq is None or event.seq > self.seq:
            self.file.write(event.json.encode("utf-8") + b"\n")
            self.seq = event.seq

    def commit(self):
        self.file.flush()
        os.fsync(self.file.fileno())
        with open(self.cursor_path + ".new", "w", encoding="ascii") as f:
            f.write(f"{self.seq} {self.file.tell()}\n")
            f.flush()
            os.fsync(f.fileno())
        os.replace(self.cursor_path + ".new", self.cursor_path)


def main():
    p = argparse.ArgumentParser()
    for name in ("--endpoint", "--site", "--server-key", "--key", "--out"):
        p.add_argument(name, required=True)
    p.add_argument("--count", type=int, default=0, help="end after so many events")
    a = p.parse_args()
    store, taken = Store(a.out), 0
    start = "first" if store.seq is None else store.seq
    with Consumer(a.endpoint, a.site, read_key(a.server_key), read_key(a.key), start) as stream:
        while not a.count or taken < a.count:
            event = stream.poll(1.0)
            batch = 0
            while event is not None:            # what has come already goes into one commit
                store.add(event)
                taken, batch = taken + 1, batch + 1
                done = batch == 256 or taken == a.count
                event = None if done else stream.poll(0)
            if batch:
                store.commit()
                stream.ack(store.seq)
        stream.flush()


if __name__ == "__main__":
    main()
