"""The rules of the house that a program can check. Prints TAP; exit status 1 when one is broken."""
import os
import re
import subprocess
import sys

LAYERS = ["base", "crypto", "net", "xml", "table", "hl7", "record", "expr", "event", "mapping", "store",
          "ledger", "intake", "stream", "segment", "messaging", "console", "app"]

# header → folders that may include it
OWNERS = {
    r"log4c\.h": ["core/base"],
    r"openssl/.*": ["core/crypto", "core/net"],  # net: libevent's TLS bufferevents need the SSL type
    r"event2/.*": ["core/net"],
    r"libxml/.*": ["core/xml"],
    r"libpq-fe\.h": ["core/store", "adapters/sql"],  # sql: a foreign database, not ours
    r"(sql|sqlext|sqlucode|sqltypes|odbcinst)\.h": ["adapters/sql"],
    r"zmq\.h": ["core/stream"],
    r"curl/.*": ["core/messaging", "adapters/files"],
    r"zlib\.h": ["adapters/files"],
    r"zip\.h": ["adapters/files", "core/table"],
    r"jansson\.h": ["core/event", "core/store", "core/ledger", "core/stream", "core/segment", "core/messaging", "core/app"],
}

BANNED = ["strcpy", "strcat", "sprintf", "vsprintf", "strncpy", "strncat", "strtok", "gets", "atoi", "atol", "atof",
          "localtime", "gmtime", "asctime", "ctime", "alloca", "system", "popen", "tmpnam", "mktemp", "sscanf",
          "strtol", "strtoul", "strtoll", "strtoull", "strtod", "rand", "setlocale"]

failed = 0
number = 0


def report(name, problems):
    global failed, number
    number += 1
    print(f"{'not ok' if problems else 'ok'} {number} - {name}")
    for p in problems:
        print(f"#   {p}")
    failed += bool(problems)


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if out.returncode == 0:
        return [f for f in out.stdout.splitlines() if os.path.isfile(f)]
    return [os.path.join(d, f)[2:] for d, _, fs in os.walk(".") for f in fs if not d.startswith(("./build", "./var"))]


FILES = tracked()
CODE = [f for f in FILES if f.endswith((".c", ".h"))]
TEXT = {f: open(f, encoding="utf-8").read() for f in CODE}


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    text = re.sub(r"//.*", "", text)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def includes(f):
    for i, line in enumerate(TEXT[f].splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        if m:
            yield i, m.group(1)


def layers():
    bad = []
    for f in CODE:
        parts = f.split("/")
        for line, inc in includes(f):
            target = inc.split("/")
            if parts[0] == "core" and len(parts) > 2 and target[0] == "core" and len(target) > 2:
                if LAYERS.index(target[1]) > LAYERS.index(parts[1]):
                    bad.append(f"{f}:{line}: core/{parts[1]} must not know core/{target[1]}")
            if parts[0] == "core" and target[0] == "adapters" and f != "core/app/adapters.c" \
                    and not (f.startswith("core/app/cmd_")):
                bad.append(f"{f}:{line}: only core/app knows the adapters")
            if parts[0] == "adapters" and target[0] == "core" and inc != "core/adapter.h" and target[1] not in ("base", "net"):
                bad.append(f"{f}:{line}: an adapter knows core/adapter.h, core/base and core/net only")
            if parts[0] in ("core", "adapters") and target[0] == "tests":
                bad.append(f"{f}:{line}: code must not include tests")
    return bad


def owners():
    bad = []
    for f in CODE:
        if not f.startswith(("core/", "adapters/")):
            continue
        for line, inc in includes(f):
            for pattern, folders in OWNERS.items():
                if re.fullmatch(pattern, inc) and not any(f.startswith(d + "/") for d in folders):
                    bad.append(f"{f}:{line}: {inc} belongs to {', '.join(folders)}")
    return bad


def first_include():
    bad = []
    for f in CODE:
        own = f[:-2] + ".h"
        if f.endswith(".c") and own in TEXT and f.startswith(("core/", "adapters/")):
            first = next((inc for _, inc in includes(f)), None)
            if first != own:
                bad.append(f"{f}: the first include must be {own}")
    return bad


def banned():
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    bad = []
    for f in CODE:
        for i, line in enumerate(without_comments(TEXT[f]).splitlines(), 1):
            m = pattern.search(line)
            if m and not (m.group(1) == "system" and f.startswith("tests/")):  # tests make certificates with openssl
                bad.append(f"{f}:{i}: {m.group(1)}() is banned")
    return bad


def marks():
    word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    bad = []
    for f in FILES:
        if f.endswith((".c", ".h", ".py", ".sh", ".sql", ".js", ".md")) or f == "Makefile":
            for i, line in enumerate(open(f, encoding="utf-8", errors="replace"), 1):
                if word.search(line):
                    bad.append(f"{f}:{i}: a mark of unfinished work")
    return bad


def readmes():
    folders = {os.path.dirname(f) for f in FILES if f.startswith(("core/", "adapters/")) and f.endswith(".c")}
    folders |= {"adapters", "core", "mappings", "config", "deploy", "tests"}
    return [f"{d}: no README.md" for d in sorted(folders) if not os.path.isfile(os.path.join(d, "README.md"))]


def programs():
    return [f + " begins with #! and cannot be run: chmod +x" for f in FILES
            if open(f, "rb").read(2) == b"#!" and not os.access(f, os.X_OK)]


def top_level():
    allowed = {"adapters", "core", "mappings", "config", "tests", "deploy", "Makefile", "README.md", "LICENSE"}
    out = subprocess.run(["git", "ls-files"], capture_output=True, text=True)  # what lies about untracked is nobody's business
    top = {f.split("/")[0] for f in (out.stdout.splitlines() if out.returncode == 0 else FILES)}
    return [f"{t} stands at the top level, which is fixed" for t in sorted(top) if t not in allowed and not t.startswith(".")]


def formatting():
    tool = "clang-format"
    try:
        version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return None
    if " 14." not in version:  # other versions format a little differently
        return None
    out = subprocess.run([tool, "--dry-run", "--ferror-limit=1", *CODE], capture_output=True, text=True).stderr
    return sorted({line.split(": warning")[0] for line in out.splitlines() if "warning:" in line})


report("dependencies point one way", layers())
report("each library has its owner", owners())
report("a file includes its own header first", first_include())
report("no banned function", banned())
report("no mark of unfinished work", marks())
report("each folder has a README", readmes())
report("programs can be run", programs())
report("the top level is what it should be", top_level())
fmt = formatting()
if fmt is None:
    number += 1
    print(f"ok {number} - formatting # SKIP needs clang-format 14")
else:
    report("formatting", fmt)
print(f"1..{number}")
sys.exit(1 if failed else 0)
