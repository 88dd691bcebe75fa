"""The mistakes a newcomer makes: each gives one line that says what is wrong and what to do, and the right exit status."""
import os
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import DARI, ROOT, Site, main, wait_for  # noqa: E402


def one_line(tap, name, out, status, *words):
    lines = [l for l in out.stderr.strip().split("\n") if l]
    tap.check(f"{name}: one line", len(lines) == 1, out.stderr)
    tap.check(f"{name}: says {', '.join(words)}", all(w in out.stderr for w in words), out.stderr)
    tap.equal(f"{name}: exit status", out.returncode, status)


def logged(tap, s, name, *words):
    """A role that cannot start says why and is tried again."""
    p = subprocess.Popen([DARI, "run", "--config", s.config, "--only", "feed"], stderr=open(s.home + "/feed.log", "w"), env=s.env)
    try:
        text = wait_for(name, lambda: [l for l in open(s.home + "/feed.log", encoding="utf-8")
                                       if " error " in l and all(w in l for w in words)], 20)
        tap.check(f"{name}: says {', '.join(words)}", True)
        print("#", text[0].strip())
    except TimeoutError:
        tap.check(f"{name}: says {', '.join(words)}", False, open(s.home + "/feed.log", encoding="utf-8").read())
    finally:
        p.terminate()
        p.wait(20)


def edit(path, old, new):
    text = open(path, encoding="utf-8").read()
    assert old in text, old
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))


def demo(tap, s):
    """It must not run the feeds that somebody configured meanwhile: their files and their spools are no play."""
    path = os.path.join(ROOT, "deploy/demo/dari.xml")
    text = open(path, encoding="utf-8").read()
    here = [p for p in re.findall(r'"(var/[^"]*)"', text) if not p.startswith("var/demo/")]
    tap.equal("the demo keeps everything below var/demo, also what has a default", (here, text.count("<feed "), text.count('spool="var/demo/spool"')),
              ([], 2, 2))
    tap.check("and reads a configuration of its own", "config/dari.xml" not in open(os.path.join(ROOT, "deploy/demo.sh"), encoding="utf-8").read())
    out = s.run("map", "--feed", "lists", "--config", path, os.path.join(ROOT, "deploy/demo/05-reservations.csv"))
    tap.check("which is a good one", out.returncode == 0 and out.stdout.count('"type":"appointment.') == 3, out.stdout[:200] + out.stderr)


def test(tap):
    with Site("newcomer") as s:
        demo(tap, s)
        one_line(tap, "wrong path", s.run("run", "--config", "nowhere/dari.xml"), 1, "nowhere/dari.xml", "No such file")
        one_line(tap, "unknown command", s.run("strat"), 2, "strat", "dari --help")
        one_line(tap, "unknown role", s.run("run", "--only", "fed"), 2, "fed", "feed, relay")
        for words in ([], ["run"], ["check"], ["reload"], ["keys"], ["db"], ["status"], ["feed"], ["message"], ["event"], ["trace"], ["parse"],
                      ["map"], ["send"], ["tail"], ["consumer"], ["segment"], ["plan"], ["ledger"]):
            out = s.run(*words, "--help")
            tap.check(f"dari {' '.join(words)} --help", out.returncode == 0 and "usage" in out.stdout and not out.stderr,
                      out.stdout + out.stderr)

        shutil.move(s.home + "/keys", s.home + "/keys.away")
        one_line(tap, "no keys", s.run("run"), 1, "keys", "dari keys init")
        shutil.move(s.home + "/keys.away", s.home + "/keys")
        os.rename(s.home + "/keys/ledger.key", s.home + "/keys/away")
        one_line(tap, "one key missing", s.run("check"), 1, "ledger.key", "dari keys init")
        os.rename(s.home + "/keys/away", s.home + "/keys/ledger.key")

        shutil.move(s.home + "/keys", s.home + "/keys.away")
        s.run("db", "migrate", check=True)
        s.sql("UPDATE dari.stream SET key_check = 'of other keys'")
        shutil.move(s.home + "/keys.away", s.home + "/keys")
        one_line(tap, "keys of another database", s.run("run"), 1, "site.key", "put that one back")
        s.sql("DROP SCHEMA dari CASCADE")
        s.sql("DROP TABLE public.dari_migration")

        s.postgres("stop")
        one_line(tap, "no database", s.run("run"), 1, "database", f"deploy/postgres.sh start '{s.home}/postgres'")
        os.rename(s.home + "/postgres/conninfo", s.home + "/postgres/conninfo.away")
        one_line(tap, "no conninfo file", s.run("run"), 1, "conninfo", "start the database")
        os.rename(s.home + "/postgres/conninfo.away", s.home + "/postgres/conninfo")
        s.postgres("start")
        one_line(tap, "no migration", s.run("status"), 1, "dari db migrate")
        out = s.run("db", "migrate")
        tap.check("dari db migrate", out.returncode == 0 and "applied" in out.stdout, out.stderr)
        out = s.run("db", "check")
        tap.check("every statement fits the schema (dari db check)", out.returncode == 0, out.stderr)
        for what in ("message", "batch"):
            out = s.run(what, "list", "--feed", "erm")
            tap.check(f"dari {what} list: a feed that is none", out.returncode == 0 and "no feed erm in" in out.stderr, out.stderr)
        tap.check("dari status: a feed that nothing came to yet is there", "emr                nothing" in s.run("status").stdout)
        tap.check("dari check: ready", "ready to run" in s.run("check").stdout)

        edit(s.config, 'name="emr"', 'name="emr" rows="snapshot" covers="apptdate 0..30"')
        one_line(tap, "covers a column that is none", s.run("check"), 1, "dari.xml:", "knows no column apptdate")
        edit(s.config, ' rows="snapshot" covers="apptdate 0..30"', "")
        for folder, option in (("segments", "folder"), ("contracts", "contracts"), ("journeys", "journeys"), ("templates", "templates")):
            edit(s.config, f'{option}="{ROOT}/config/{folder}"', f'{option}="nope"')
            one_line(tap, f"{folder}: no folder", s.run("check"), 1, "dari.xml: ", f"{folder}: ", "/nope is no folder")
            edit(s.config, f'{option}="nope"', f'{option}="{ROOT}/config/{folder}"')
        edit(s.config, f'<log file="{ROOT}/config/log4crc"', '<log file="nope"')
        one_line(tap, "no log4crc", s.run("check"), 1, "dari.xml: ", "log: ", "/nope: No such file")
        edit(s.config, '<log file="nope"', f'<log file="{ROOT}/config/log4crc"')
        one_line(tap, "unknown feed", s.run("run", "--only", "relay,feed:erm"), 2, "feed:erm", "feed:NAME")
        out = s.run("message", "list", "--state", "quarantine")
        tap.check("unknown state: says which there are", out.returncode == 2 and "ignored or quarantined" in out.stderr, out.stderr)
        out = s.run("message", "reprocess", "1", "x")
        tap.check("no number: said once, before anything is done", out.returncode == 2 and not out.stdout
                  and "x is not the number of a message\nsee" in out.stderr and out.stderr.count("\n") == 2, out.stdout + out.stderr)
        out = s.run("batch")
        tap.equal("dari batch alone: help is named once", (out.returncode, out.stderr.count("--help")), (2, 1))
        out = s.run("plan", "list", "--state", "gone")
        tap.check("dari plan: says which states there are", out.returncode == 2 and "handing, sent" in out.stderr, out.stderr)
        out = s.run("tail", "--from", "yesterday")
        tap.check("dari tail: a beginning that is none", out.returncode == 2 and "an instant such as 2026" in out.stderr, out.stderr)
        for words, path in (([], "vendor.key"), (["--key", "/nowhere/v.key"], "/nowhere/v.key")):
            one_line(tap, "the key of a vendor " + path, s.run("tail", "--consumer", "vendor", *words), 1, path, "--key FILE", "dari consumer add")
        os.rename(s.home + "/keys/tail.key", s.home + "/keys/away")
        out = s.run("tail")
        tap.equal("our own key is missing: what makes it is said once", (out.returncode, out.stderr.count("dari keys init")), (1, 1))
        os.rename(s.home + "/keys/away", s.home + "/keys/tail.key")
        s.start("--only", "relay")
        out = s.run("run", "--only", "relay")
        tap.check("two daris: the second says so", out.returncode == 1 and "already: stop the other dari" in out.stderr, out.stderr)
        out = s.run("tail")
        tap.check("two daris: the first still answers", out.returncode == 0 and not out.stderr, out.stderr)
        s.stop()

        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", s.port))
            taken.listen()
            logged(tap, s, "port taken", "feed emr", f"127.0.0.1:{s.port}", "already in use", "another dari")

        edit(s.config, f'port="{s.port}"', f'port="{s.port}" tls="yes" cert="{s.home}/nope.pem" key="{s.home}/nope.key"')
        one_line(tap, "certificate missing", s.run("run"), 1, "dari.xml:", "nope.pem", "No such file")
        for name in ("nope.pem", "nope.key"):
            with open(s.home + "/" + name, "w", encoding="utf-8") as f:
                f.write("hello\n")
            os.chmod(s.home + "/" + name, 0o600)
        one_line(tap, "certificate is none", s.run("run"), 1, "dari.xml:", "nope.pem", "PEM")
        edit(s.config, f' tls="yes" cert="{s.home}/nope.pem" key="{s.home}/nope.key"', "")

        shutil.copytree(ROOT + "/mappings/hl7v2", s.home + "/mappings/hl7v2")
        shutil.copytree(ROOT + "/mappings/tables", s.home + "/mappings/tables")
        edit(s.config, ROOT + "/mappings/hl7v2", s.home + "/mappings/hl7v2")
        edit(s.home + "/mappings/hl7v2/payments.xml", 'type="payment.recorded"', 'type="payment.recorted"')
        edit(s.config, 'zone="Asia/Seoul"', 'zone="Asia/Soul"')
        edit(s.config, 'sweep="1m"', 'sweep="1 minute"')
        out = s.run("check")
        lines = out.stderr.strip().split("\n")
        tap.check("dari check: all problems of the configuration at once, with file and line",
                  out.returncode == 1 and len(lines) == 2 and all("dari.xml:" in l for l in lines), out.stderr)
        edit(s.config, 'zone="Asia/Soul"', 'zone="Asia/Seoul"')
        edit(s.config, 'sweep="1 minute"', 'sweep="1m"')
        out = s.run("check")
        tap.check("dari check: a broken mapping with file and line",
                  out.returncode == 1 and "payments.xml:" in out.stderr and "payment.recorted" in out.stderr, out.stderr)
        out = s.run("run")
        tap.check("dari run: a broken mapping with file and line, at once",
                  out.returncode == 1 and "payments.xml:" in out.stderr and "payment.recorted" in out.stderr, out.stderr)


main(test)
