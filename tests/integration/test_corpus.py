"""Every public message, sent over MLLP, gets exactly one reply; received = mapped + ignored + quarantined."""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import CORPUS, Site, code, main, wait_for  # noqa: E402


def silence_wanted(data):
    """MSH-16 is NE, and MSH-15 asks for nothing either: the sender wants no reply, and gets none."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16").encode()
    start = data.find(b"MSH")
    fields = data[start:].replace(b"\r", b"\n").split(b"\n")[0].split(data[start + 3:start + 4])
    accept, result = (fields + [b""] * 20)[14:16]
    return result.strip() == b"NE" and accept.strip() in (b"", b"NE")


def test(tap):
    files = sorted(glob.glob(os.path.join(CORPUS, "hl7v2", "*.hl7")))
    if not files:
        tap.skip("every public message gets one reply", "no corpus beside the repository")
        return
    with Site("corpus") as s:
        s.start("--only", "feed")
        pid = s.pids()["feed:emr"]
        m = s.mllp()
        codes = {}
        silent = 0
        unanswered = []
        for f in files:
            data = open(f, "rb").read()
            if b"\x0b" in data or b"\x1c" in data:
                data = data.replace(b"\x0b", b"").replace(b"\x1c", b"")
            try:
                if silence_wanted(data):
                    m.write(data)
                    silent += 1
                    continue
                reply = m.ask(data)
            except OSError as e:
                unanswered.append(f"{os.path.basename(f)}: {e}")
                m.close()
                continue
            codes[code(reply)] = codes.get(code(reply), 0) + 1
            if m.buffer:
                unanswered.append(f"{os.path.basename(f)}: more than one reply")
        tap.equal("every public message gets one reply, but for those that ask for none", unanswered, [])
        print(f"# {silent} of {len(files)} ask for none (MSH-15 and MSH-16)")
        tap.check("each reply has a code", "?" not in codes, codes)
        print("# replies:", codes)
        tap.equal("the feed is the same process as before", s.pids()["feed:emr"], pid)
        def feeds():
            feed = json.loads(s.run("status", "--json", check=True).stdout)["feeds"][0]
            return feed if feed["received"] + feed["duplicates"] >= len(files) else None
        feed = wait_for("the silent ones too", feeds)
        print("#", feed)
        tap.equal("received = mapped + ignored + quarantined", feed["received"],
                  feed["mapped"] + feed["ignored"] + feed["quarantined"])
        tap.equal("each message was received or recognised", feed["received"] + feed["duplicates"], len(files))
        head, count = s.sql("SELECT head, (SELECT count(*) FROM dari.event) FROM dari.stream")[0]
        tap.equal("numbers are dense", head, count)


main(test)
