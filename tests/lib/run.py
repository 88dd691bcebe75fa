"""The test run: builds, runs each test program, reads its TAP, adds up.

A program passes when its TAP has no "not ok" and it ends with status 0. What a failing program printed is shown;
everything is kept in var/test/."""
import glob
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

OUT = "var/test"
passed = failed = skipped = 0
broken = []


def show(text):
    print(text, flush=True)


def run(name, command, env=None, limit=600):
    """Runs one program and counts its TAP lines."""
    global passed, failed, skipped
    log = os.path.join(OUT, name.replace("/", "_").replace(" ", "_") + ".log")
    began = time.monotonic()
    with open(log, "wb") as f:
        try:
            status = subprocess.run(command, stdout=f, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=limit,
                                    env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", **(env or {})}).returncode
        except subprocess.TimeoutExpired:
            status = f"no end after {limit} s"
    text = open(log, encoding="utf-8", errors="replace").read()
    ok = bad = skip = 0
    for line in text.splitlines():
        if re.match(r"not ok \d+ # SKIP ", line):  # cmocka 1.1.5 says it so
            skip += 1
        elif re.match(r"not ok\b", line):
            bad += 1
        elif re.match(r"ok\b", line):
            if re.search(r"# SKIP", line, re.I):
                skip += 1
            else:
                ok += 1
    if status != 0 and bad == 0:
        bad = 1
    if status == 0 and ok + bad + skip == 0:  # a program without TAP lines, such as a fuzz target replaying its inputs
        ok = 1
    passed, failed, skipped = passed + ok, failed + bad, skipped + skip
    state = "ok  " if bad == 0 else "FAIL"
    show(f"{state} {name}: {ok} passed, {bad} failed" + (f", {skip} skipped" if skip else "")
         + f" ({time.monotonic() - began:.1f} s)")
    if bad:
        broken.append(name)
        show(f"     exit status {status}; the last lines of {log}:")
        interesting = [l for l in text.splitlines() if not l.startswith("ok ")]
        for line in interesting[-25:]:
            show("     | " + line)
    return bad == 0


def make(name, *targets, env=None):
    return run(name, ["make", "-j2", *targets], env)


def programs(mode, kind):
    return [f"build/{mode}/{c[:-2]}" for c in sorted(glob.glob(f"tests/{kind}/*.c"))
            if os.path.basename(c).startswith(("test_", "fuzz_"))]


def step_source():
    run("source", ["sh", "tests/check-source"])
    make("headers", "check-headers")


def step_build():
    make("build dev", "all", "unit", "drivers")
    make("build sanitizers", "all", "unit", "fuzz", "MODE=san")


def step_unit():
    for p in programs("dev", "unit"):
        run(p, [p])


def step_sanitizers():
    env = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    for p in programs("san", "unit"):
        run(p, [p], env)


def step_fuzz():
    """The stored inputs of every fuzz target, under the sanitizers."""
    for p in programs("san", "fuzz"):
        corpus = "tests/fuzz/corpus/" + os.path.basename(p)[len("fuzz_"):]
        if os.path.isdir(corpus):
            run(p, [p, corpus])


def run_waiting(*patterns):
    """Three at a time: these mostly wait for each other's processes, and each has a site of its own."""
    with ThreadPoolExecutor(3) as pool:
        for f in [pool.submit(run, t, ["sh" if t.endswith(".sh") else "/usr/bin/python3", t])
                  for pattern in patterns for t in sorted(glob.glob(pattern))]:
            f.result()


FAULT, INTEGRATION = "tests/fault/test_*.py", "tests/integration/test_*.*"


def step_integration():
    run_waiting(INTEGRATION)


def step_fault():
    run_waiting(FAULT)


def step_both():
    """The long ones first."""
    run_waiting(FAULT, INTEGRATION)


STEPS = {"source": step_source, "build": step_build, "unit": step_unit, "sanitizers": step_sanitizers,
         "fuzz": step_fuzz, "integration": step_integration, "fault": step_fault}


def main(words):
    if "--list" in words:
        print("\n".join(STEPS))
        return 0
    chosen = [s for s in STEPS if not words or any(s.startswith(w) for w in words)]
    if not chosen:
        print(f"no such step; there are: {', '.join(STEPS)}", file=sys.stderr)
        return 2
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    began = time.monotonic()
    if "integration" in chosen and "fault" in chosen:
        chosen = [s for s in chosen if s not in ("integration", "fault")] + ["both"]
    for s in chosen:
        {**STEPS, "both": step_both}[s]()
    if broken:
        show("failed: " + ", ".join(broken))
    show(f"in {time.monotonic() - began:.0f} s")
    show(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
