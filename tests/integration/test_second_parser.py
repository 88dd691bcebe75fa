"""Every field of every segment of every public message, as dari parse --path gives it, against an independent parser:
python3-hl7 (Debian). Where that one is not right is said in WRONG; there the value must be what the few lines of
standard() below make of it, which share no code with either."""
import collections
import glob
import logging
import multiprocessing.pool
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import CORPUS, DARI, main  # noqa: E402

PATHS = 4000  # in one call
try:
    import hl7
    logging.disable(logging.CRITICAL)  # it tells about every escape that it does not know
except ImportError:
    hl7 = None

# Where python3-hl7 0.4.5 reads something else than the standard says. (name, what of the raw value shows it, why)
WRONG = [
    ("formatting", r"\\\.(br|sp|in|ti|fi|nf|ce|sk)[+-]?\d*\\", "line ends of formatted text become CR, which cannot stand in a value"),
    ("highlighting", r"\\[HN]\\", "\\H\\ and \\N\\ become underscores instead of nothing"),
    ("hexadecimal", r"\\X[0-9A-Fa-f]+\\", "\\X..\\ becomes one character per byte, whatever the character set (F33)"),
    ("unknown", r"\\", "escapes that it does not know are removed instead of kept (F37)"),
]
# Two slips of senders that it takes for something else; both are written the way the standard has it before it reads them.
#  - MSH-2 is ^~\\& with a doubled backslash: it takes the second one for the subcomponent separator.
#  - blanks at the very end of a message are stripped: a segment is put behind.
# Lines that are no segment: it makes segments of them, dari refuses the message with segment and byte.
NO_SEGMENT = {"oru-r01_lenaten-hl7_001.hl7", "oru-r01_trusted-intermediary_036.hl7"}


def decode(data):
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    for charset in ("utf-8", "cp949"):
        try:
            return data.decode(charset)
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")


def lines(data):
    text = decode(data).replace("\ufeff", "").replace("\x0b", "").replace("\x1c", "")
    return [x for x in re.split("[\r\n]", text) if x.strip()]


def standard(raw, seps):
    """Chapter 2.7, with the choices that core/hl7/README.md names."""
    names = {"F": seps[0], "S": seps[1], "R": seps[2], "E": seps[3], "T": seps[4], "H": "", "N": ""}
    escape = re.escape(seps[3])

    def one(m):
        code = m.group(1)
        format = re.fullmatch(r"\.(br|sp|in|ti|fi|nf|ce|sk)([+-]?\d*)", code)
        if code in names:
            return names[code]
        if format:
            n = int(format.group(2) or 1)
            return {"br": "\n", "ce": "\n", "sp": "\n" * n, "fi": "", "nf": ""}.get(format.group(1), " " * n)
        if re.fullmatch(r"X([0-9A-Fa-f]{2})+", code):
            return bytes.fromhex(code[1:]).decode("utf-8")
        return m.group(0)
    return re.sub(rf"{escape}([A-Za-z0-9.+\-]{{1,64}}){escape}", one, raw)


def leaves(message):
    """(path, raw value) of everything, down to where nothing is split any more."""
    seen = collections.Counter()
    for segment in message:
        name = str(segment[0])
        seen[name] += 1
        for f in range(1, len(segment)):
            where = f"{name}({seen[name]})-{f}"
            if name in ("MSH", "FHS", "BHS") and f <= 2:
                continue  # the delimiters themselves
            for r, repetition in enumerate(segment[f], 1):
                if isinstance(repetition, str):
                    yield f"{where}({r})", repetition
                    continue
                for c, component in enumerate(repetition, 1):
                    if isinstance(component, str):
                        yield f"{where}({r}).{c}", component
                        continue
                    for s, sub in enumerate(component, 1):
                        yield f"{where}({r}).{c}.{s}", sub


def asked(path, paths):
    """path → (state, value) as dari says."""
    got = {}
    for i in range(0, len(paths), PATHS):
        words = [w for p in paths[i:i + PATHS] for w in ("--path", p)]
        out = subprocess.run([DARI, "parse", *words, path], capture_output=True, stdin=subprocess.DEVNULL)
        if out.returncode:
            return out.stderr.decode()
        for line in out.stdout.decode().split("\n")[:-1]:
            _, p, state, value = line.split("\t")
            got[p] = (state, value)
    return got


def printed(value):
    return value.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")


def compare(path):
    """How many values; which of them are explained by WRONG, by name; what is left."""
    all_lines = lines(open(path, "rb").read())
    first = all_lines[0].lstrip()
    seps = first[3] + (re.match(r"[^A-Za-z0-9\s" + re.escape(first[3]) + "]*", first[4:]).group(0).replace("\\\\", "\\") + "^~\\&")[:4]
    all_lines[0] = first[:4] + first[4:].replace("^~\\\\&", "^~\\&", 1)
    message = hl7.parse("\r".join(all_lines) + "\rZZZ|end\r")
    want = {p: raw for p, raw in leaves(message) if not p.startswith("ZZZ(")}
    got = asked(path, list(want))
    explained, left = collections.Counter(), []
    if isinstance(got, str):
        return 0, explained, [got]
    for p, raw in want.items():
        state = "empty" if raw == "" else "null" if raw == '""' else "value"
        second = message.unescape(raw) if state == "value" else ""
        if got.get(p) == (state, printed(second)):
            continue
        why = next((name for name, shows, _ in WRONG if re.search(shows.replace("\\\\", re.escape(seps[3])), raw)), None)
        try:
            right = standard(raw, seps) if why and state == "value" else None
        except ValueError:
            right = None
        if right is not None and got.get(p) == ("value", printed(right)):
            explained[why] += 1
        else:
            left.append(f"{os.path.basename(path)} {p}: {raw[:60]!r}: dari {got.get(p)!r:.80}, the other {second[:60]!r}")
    return len(want), explained, left


def test(tap):
    files = sorted(glob.glob(os.path.join(CORPUS, "hl7v2", "*.hl7")))
    if not hl7:
        tap.skip("every field of every public message", "python3-hl7 is not installed")
        return
    if not files:
        tap.skip("every field of every public message", "no corpus beside the repository")
        return
    readable = [f for f in files if os.path.basename(f) not in NO_SEGMENT]
    with multiprocessing.pool.ThreadPool(2) as pool:
        results = pool.map(compare, readable, 4)
    values = sum(r[0] for r in results)
    explained = sum((r[1] for r in results), collections.Counter())
    print(f"# {len(readable)} files, {values} values; python3-hl7 is not right about {dict(explained)}")
    tap.equal("every field of every segment of every public message", [x for r in results for x in r[2]], [])
    tap.check("that is a lot of values", values > 100000, values)
    tap.equal("and not one where the other parser is wrong without our saying where", set(explained) - {w[0] for w in WRONG}, set())
    for name in sorted(NO_SEGMENT):
        out = subprocess.run([DARI, "parse", os.path.join(CORPUS, "hl7v2", name)], capture_output=True, text=True)
        tap.check(f"{name}: refused with segment and byte", out.returncode == 1 and re.search(r"segment \d+, byte \d+", out.stderr), out.stderr)
    silent = []
    broken = sorted(glob.glob(os.path.join(CORPUS, "malformed", "*.hl7")))
    for f in broken:
        out = subprocess.run([DARI, "parse", f], capture_output=True, text=True, errors="replace")
        if out.returncode not in (0, 1) or (out.returncode == 1 and not re.search(r"byte \d+|MSH-\d+|holds no message", out.stderr)):
            silent.append((os.path.basename(f), out.returncode, out.stderr[:200]))
    tap.equal(f"{len(broken)} malformed ones: read, or refused with a place", silent, [])


main(test)
