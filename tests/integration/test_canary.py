"""No patient value in logs, errors, ledger, reasons, counters or process titles: marker values go in through every path,
good and broken, and everything that is not meant to hold them is searched."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import Site, code, main, wait_for  # noqa: E402

MARK = ["CANARYMRN77", "CANARYAPT88", "카나리아", "CANARYNAME", "79993331234", "010-9993-3312", "CANARYADDR", "CANARYDATE",
        "CANARYTEXT", "900101-1234567", "9001011234567", "CANARYZ", "CANARYDX"]

PID = "PID|1||CANARYMRN77^^^HANBIT^MR||카나리아^CANARYNAME^^^^^L||19900101|F|||CANARYADDR^^서울^^04524^KOR^H||010-9993-3312"


def msg(control, kind, *segments, charset="UNICODE UTF-8"):
    return ("\r".join([f"MSH|^~\\&|HIS|HANBIT|DARI|CRM|20260309090000+0900||{kind}|{control}|P|2.5.1||||||{charset}", *segments]) + "\r").encode()


GOOD = [
    msg("C1", "ADT^A04^ADT_A01", "EVN|A04|20260309090000", PID, "PV1|1|O|IM||||||||||||||||V1^^^H^VN|||||||||||||||||||||||||20260309090000",
        "DG1|1||CANARYDX^CANARYTEXT^KCD", "NTE|1|L|CANARYTEXT", "ZZZ|CANARYZ"),
    msg("C2", "SIU^S12^SIU_S12", "SCH|CANARYAPT88^H|CANARYAPT88^H||||FOLLOWUP^CANARYTEXT|||30|MIN|^^30^20260313170000||||||||||||||Booked",
        PID, "RGS|1|A", "AIS|1|A|IM^x|20260313170000|0|MIN|30|MIN||Booked"),
    msg("C3", "ADT^A08^ADT_A01", "EVN|A08|20260309090000", PID.replace("CANARYADDR^^서울^^04524^KOR^H", '""')),
]
BROKEN = [
    msg("C4", "ADT^A28^ADT_A05", "EVN|A28|20260309090000", PID.replace("19900101", "CANARYDATE")),
    msg("C5", "SIU^S12^SIU_S12", "SCH|CANARYAPT88|CANARYAPT88||||x|||CANARYTEXT|MIN|^^30^20260313170000||||||||||||||Booked", PID,
        "RGS|1|A", "AIS|1|A|IM|CANARYDATE|0|MIN|30|MIN"),
    msg("C6", "ADT^A28^ADT_A05", PID.replace("CANARYMRN77", "900101-1234567")),
    msg("C7", "ADT^A28^ADT_A05", PID.replace("CANARYNAME", "900101-1234567")),
    msg("C8", "ADT^A28^ADT_A05", PID) + b"CANARYTEXT\rno segment CANARYNAME\r",
    msg("C9", "ADT^A28^ADT_A05", PID).replace("카나리아".encode(), b"\xff\xfeCANARYNAME"),
    msg("C10", "ADT^A28^ADT_A05", PID, charset="CANARYTEXT"),
    msg("C11", "ADT^A28^ADT_A05", PID.replace("010-9993-3312", "CANARYTEXT")),
    b"CANARYNAME|CANARYMRN77|\r",
    msg("C12", "ADT^A28^ADT_A05", PID, "NTE|1|L|" + "CANARYTEXT" * 8000),
    msg("C13", "ADT^A40^ADT_A39", PID, "MRG|"),
    msg("C14", "DFT^P03^DFT_P03", PID, "FT1|1|||CANARYDATE||PY|x|||1|CANARYTEXT|CANARYTEXT"),
]


def found(text):
    return [m for m in MARK if m in text]


def test(tap):
    with Site("canary", clock="2026-03-09T09:00:00+09:00", mllp='max-message="64k"') as s:
        s.start()
        m = s.mllp()
        for message in GOOD:
            tap.equal("accepted", code(m.deliver(message)), "AA")
        replies = b""
        for message in BROKEN:
            replies += m.deliver(message)
        s.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dari%'")
        m.deliver(GOOD[0])
        wait_for("the end of the day", s.settled)
        s.clock("2026-03-12T10:00:00+09:00")
        wait_for("the reminders", s.settled)
        tap.check("reminders name the patient", found(open(glob.glob(s.home + "/outbox/*.json")[0], encoding="utf-8").read()))

        text = s.text()
        tap.check("the log has lines of every role", all(f" {r} " in text for r in ("run", "feed:emr", "relay", "segment", "messaging", "steward")))
        tap.equal("no mark in the log", found(text), [])
        for f in glob.glob(s.home + "/run/*"):
            if os.path.isfile(f):
                tap.equal(f"no mark in {os.path.basename(f)}", found(open(f, encoding="utf-8", errors="replace").read()), [])
        tap.equal("no mark in replies", found(replies.decode("utf-8", "replace")), [])
        for what, query in {"ledger": "SELECT body FROM dari.ledger", "reasons": "SELECT reason, place, type, control_id FROM dari.message",
                            "stored events, outside the seal": "SELECT data, subject, id FROM dari.event",
                            "plans": "SELECT p::text FROM dari.plan p", "profiles": "SELECT p::text FROM dari.profile p",
                            "contacts": "SELECT c::text FROM dari.contact c"}.items():
            tap.equal(f"no mark in {what}", found(str(s.sql(query))), [])
        for words in (["status"], ["status", "--json"], ["message", "list"], ["message", "list", "--json"], ["plan", "list"],
                      ["segment", "list"], ["feed", "list"], ["consumer", "list"], ["trace", "C2"], ["ledger", "verify"]):
            out = s.run(*words)
            tap.equal(f"no mark in dari {' '.join(words)}", found(out.stdout + out.stderr), [])
        titles = "".join(open(f"/proc/{p}/{f}", errors="replace").read() for p in s.pids().values() for f in ("cmdline", "comm"))
        tap.equal("no mark in process titles", found(titles), [])
        events = str(s.sql("SELECT type, data FROM dari.event"))
        tap.check("no resident registration number in any event", "1234567" not in events, events)


main(test)
