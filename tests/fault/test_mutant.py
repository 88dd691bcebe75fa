"""Would the oracle notice? A dari whose reply leaves before the commit must fail test_oracle. The mutant is built beside
the real one, from a copy of the tree in which exactly that was changed."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, main  # noqa: E402

COPY = os.path.join(ROOT, "var", "test", "mutant")
CHANGES = {
    # answered already: nothing more to say
    "core/intake/intake.c": ("        h->ops->reply(h->adapter, ticket, reply);\n",
                             "        if (ticket) {\n            h->ops->reply(h->adapter, ticket, reply);\n        }\n"),
    # the positive reply leaves, then the group is sent to the database
    "core/intake/commit.c": ("    run(h, alone ? DOING_ALONE : DOING_GROUP, st, &q);\n",
                             "    for (struct job *x = h->flying.first; x; x = x->next) {\n"
                             "        if (x->ticket) {\n            h->ops->reply(h->adapter, x->ticket, x->reply);\n        }\n"
                             "        x->ticket = NULL;\n    }\n    run(h, alone ? DOING_ALONE : DOING_GROUP, st, &q);\n"),
}


def test(tap):
    mode = os.path.basename(os.path.dirname(DARI))
    shutil.rmtree(COPY, ignore_errors=True)
    for part in ("core", "adapters", "config", "Makefile", f"build/{mode}/core", f"build/{mode}/adapters", f"build/{mode}/.flags"):
        source, target = os.path.join(ROOT, part), os.path.join(COPY, part)
        if os.path.isdir(source):
            shutil.copytree(source, target)  # keeps times: only what changes is compiled again
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)
    for path, (old, new) in CHANGES.items():
        with open(os.path.join(COPY, path), encoding="utf-8") as f:
            text = f.read()
        if not tap.check(f"{path} still has the place", text.count(old) == 1, text.count(old)):
            return
        with open(os.path.join(COPY, path), "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))
    built = subprocess.run(["make", "-C", COPY, f"MODE={mode}"], capture_output=True, text=True)
    if not tap.check("the mutant builds", built.returncode == 0, built.stdout + built.stderr):
        return
    for seed in range(1, 6):  # one that dies at the wrong moment is enough
        out = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "tests/fault/test_oracle.py")], capture_output=True, text=True,
                             env={**os.environ, "DARI": os.path.join(COPY, "build", mode, "dari"), "DARI_SEED": str(seed),
                                  # with a spool a group that was under way when the database died is not lost
                                  "DARI_SITE": "mutant", "DARI_FEED": 'spool-max-size="0"'})
        if "acknowledged and missing" in out.stdout:
            break
    tap.check("the oracle finds what a mutant acknowledged and lost", "acknowledged and missing" in out.stdout, out.stdout + out.stderr)
    print("# seed", seed, [line for line in out.stdout.splitlines() if "missing:" in line])


main(test)
