"""Files: rows of a table that are all news against COPY of the same file; a snapshot that comes again, unchanged or with one
row in a hundred changed, against reading and hashing it."""
import hashlib
import os
import subprocess
import time

from site_dari import Site, wait_for

GROUP = 256  # max-group of a feed, when the configuration says nothing
ROWS = {"quick": 30000, "normal": 200000, "full": 1000000}
FEED = """
  <feed name="{name}" adapter="files" mapping="{{root}}/mappings/exports/reservation-list.xml" rows="{rows}">
    <files folder="{{home}}/{name}/in" work="{{home}}/{name}/work" archive="{{home}}/{name}/archive" error="{{home}}/{name}/error"
           scan="20ms" min-age="0s"/>
  </feed>
"""


def write(path, rows, changed=False):
    with open(path, "w", encoding="utf-8") as f:
        f.write("예약번호,차트번호,환자명,예약일시,상태,진료과,담당의,휴대폰\n")
        for n in range(rows):
            state = "취소" if changed and n % 100 == 0 else "예약"
            f.write(f"A{n},{1000 + n % 20000},홍길동{n % 100},2026-03-{1 + n % 28:02} {9 + n % 9:02}:{n % 6}0,{state},내과,김의사,"
                    f"010-1234-{n % 10000:04}\n")


def copy(s, path):
    """Seconds of COPY into a bare table."""
    s.sql("DROP TABLE IF EXISTS bare; CREATE TABLE bare (a text, b text, c text, d text, e text, f text, g text, h text)")
    with open(path, encoding="utf-8") as f:
        began = time.monotonic()
        subprocess.run(["psql", s.conninfo(), "-qc", "COPY bare FROM STDIN (FORMAT csv, HEADER)"], stdin=f, check=True)
    return time.monotonic() - began


def copy_in_groups(s, path):
    """Seconds of COPY into a table with a key, committed in groups as large as ours: what durable by the group costs."""
    s.sql("DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (a text PRIMARY KEY, b text, c text, d text, e text, f text, g text, h text)")
    with open(path, encoding="utf-8") as f:
        rows = f.readlines()[1:]
    script = path + ".sql"
    with open(script, "w", encoding="utf-8") as f:
        for n in range(0, len(rows), GROUP):
            f.write("COPY keyed FROM STDIN (FORMAT csv);\n" + "".join(rows[n:n + GROUP]) + "\\.\n")
    began = time.monotonic()
    subprocess.run(["psql", s.conninfo(), "-qf", script], check=True)
    return time.monotonic() - began


def read_and_hash(path):
    began = time.monotonic()
    with open(path, "rb") as f:
        digest = hashlib.sha256()
        while piece := f.read(1 << 20):
            digest.update(piece)
    return time.monotonic() - began


def take(s, feed, path, name, known=False):
    """Seconds from the folder to the commit that ends the file, as that says itself, and its row in dari.batch."""
    began = time.time()
    os.rename(path, os.path.join(s.home, feed, "in", name))
    row = wait_for(name, lambda: s.sql("SELECT extract(epoch FROM last_at), read, mapped + ignored, unchanged, rejected + duplicates, again "
                                       f"FROM dari.batch WHERE feed = '{feed}' AND state = 'taken' AND "
                                       + ("again = 1" if known else f"name LIKE '%{name}'")), 3600)
    return float(row[0][0]) - began, [int(x) for x in row[0][1:]]


def imports(how, line, wrong):
    rows = ROWS[how]
    feeds = FEED.format(name="append", rows="append") + FEED.format(name="snapshot", rows="snapshot")
    with Site("bench-imports", feeds=feeds) as s:
        for feed in ("append", "snapshot"):
            for sub in ("in", "work", "archive", "error"):
                os.makedirs(os.path.join(s.home, feed, sub))
        s.start("--only", "feed")
        path = os.path.join(s.home, "rows.csv")
        write(path, rows)
        bare, groups, plain = copy(s, path), copy_in_groups(s, path), read_and_hash(path)
        seconds, got = take(s, "append", path, "new.csv")
        line("import: rows that are news, against COPY", rows / seconds, rows / bare, "0.30")
        line("  against COPY with a key, in groups", rows / seconds, rows / groups)
        if got[:2] != [rows, rows]:
            wrong.append(f"import: {got}")
        write(path, rows)
        take(s, "snapshot", path, "first.csv")
        write(path, rows)
        seconds, got = take(s, "snapshot", path, "second.csv", known=True)
        line("snapshot again, the same content: read and hash", rows / seconds, rows / plain, None if how == "quick" else "0.60")
        if got[4] != 1:
            wrong.append(f"same snapshot: {got}")
        write(path, rows, changed=True)
        seconds, got = take(s, "snapshot", path, "changed.csv")
        line("snapshot again, 1 in 100 changed: read and hash", rows / seconds, rows / plain)
        if got[2] != rows - len(range(0, rows, 100)):
            wrong.append(f"changed snapshot: {got}")
        for pid in (p for n, p in s.pids().items() if n.startswith("feed:snap")):
            with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                peak = int(f.read().split("VmHWM:")[1].split()[0])
            print(f"{'peak memory of that feed':46} {peak // 1024:10} MiB", flush=True)
