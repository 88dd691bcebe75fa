"""core/messaging against a real PostgreSQL: what is planned when, what is handed over, what never is."""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from messaging_site import booked, cancelled, main, moved, patient, report, same  # noqa: E402


def test_day(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
    s.step()
    same(s.plans(), [("JN01/confirm/1", "sent", "-", "06-17 09:00"), ("JN02/D-3/1", "planned", "-", "06-23 10:00"),
                     ("JN02/D-1/1", "planned", "-", "06-25 10:00")], "confirmed at once, reminders planned (D-3 is a Sunday)")
    same([f["text"] for f in s.files()],
         ["[서울내과] 홍길동님, 6/26(수) 17:00 예약되었습니다. 변경은 02-123-4567로 연락 주세요."], "the confirmation's text")
    f = s.files()[0]
    same((f["to"], f["from"], f["channel"], f["purpose"], f["bytes"]), ("+821012345678", "0212345678", "sms", "info",
         len(f["text"].encode("cp949"))), "its number, sender, byte class and purpose")
    s.at("2024-06-23T09:59:59+09:00")
    s.step()
    same(len(s.files()), 1, "nothing before 10:00")
    s.at("2024-06-23T10:00:00+09:00")
    s.step()
    same(sorted(f["text"] for f in s.files() if f["step"] == "D-3"),
         ["[서울내과] 홍길동님, 3일 뒤(6/26) 17:00 진료 예약입니다. 변경은 02-123-4567로 연락 주세요."], "D-3 at 10:00")
    s.at("2024-06-25T10:00:00+09:00")
    s.step()
    same([f["text"] for f in s.files() if f["step"] == "D-1"],
         ["[서울내과] 홍길동님, 내일(6/26) 17:00 진료 예약입니다. 변경은 02-123-4567로 연락 주세요."], "D-1 at 10:00 (golden text)")
    same([f["bytes"] for f in s.files() if f["step"] == "D-1"], [88], "88 bytes")
    report(s.sums(), "every message asked for once and ended once", s.events())
    same((oct(os.stat(s.outbox).st_mode & 0o777), {oct(os.stat(f"{s.outbox}/{n}").st_mode & 0o777)
         for n in os.listdir(s.outbox) if n.endswith(".json")}, s.staged()), ("0o700", {"0o600"}, []),
         "only we may read the outbox, and nothing is left staged")
    position = s.sql(f"SELECT seq FROM dari.position WHERE site = '{s.name}' AND role = 'messaging'")
    report(int(position[0][0]) >= int(s.appended[-1][0]), "the position is kept", position)
    before = (s.plans(), s.files(), s.events())
    s.sql(f"UPDATE dari.position SET seq = 0 WHERE site = '{s.name}'")
    s.step()
    same((s.plans(), s.files(), s.events()), before, "the whole stream once more changes nothing")


def test_notice(new):
    for booked_at, want in [
            ("2024-06-24T10:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-1/1": "planned"}),
            ("2024-06-23T09:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"}),
            ("2024-06-23T11:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-3/1": "suppressed", "JN02/D-1/1": "planned"}),
            ("2024-06-25T11:00:00+09:00", {"JN01/confirm/1": "sent", "JN02/D-1/1": "suppressed"}),
            ("2024-06-25T17:30:00+09:00", {"JN01/confirm/1": "sent"}),
            ("2024-06-26T18:00:00+09:00", {}),
            ("2024-06-20T20:00:00+09:00", {"JN01/confirm/1": "planned", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"}),
            ("2024-06-20T19:59:59+09:00", {"JN01/confirm/1": "sent", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"}),
            ("2024-06-20T07:59:59+09:00", {"JN01/confirm/1": "planned", "JN02/D-3/1": "planned", "JN02/D-1/1": "planned"})]:
        s = new(booked_at)
        s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
        s.step()
        same({p[0]: p[1] for p in s.plans()}, want, f"booked at {booked_at}")
    s = new("2024-06-25T22:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T07:30:00+09:00"))
    s.at("2024-06-26T08:00:00+09:00")
    s.step()
    same([p[:3] for p in s.plans()], [("JN01/confirm/1", "suppressed", "night_hold")], "the window opens after the appointment")
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), {**booked("p1", "a1", "2024-06-26T17:00:00+09:00"), "time": "2024-06-10T09:00:00+09:00"})
    s.step()
    same([p[:3] for p in s.plans()][0], ("JN01/confirm/1", "suppressed", "stale"), "an old booking that arrives late is not confirmed")


def test_changes(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"))
    s.step()
    s.at("2024-06-18T09:00:00+09:00")
    s.append(moved("p1", "a1", "2024-06-26T17:00:00+09:00"))
    s.step()
    same(len(s.plans()), 3, "a change that leaves the start alone is no second confirmation")
    s.append(moved("p1", "a1", "2024-06-28T09:30:00+09:00"))
    s.step()
    same([p[:3] for p in s.plans()],
         [("JN01/confirm/1", "sent", "-"), ("JN02/D-3/1", "cancelled", "moved"), ("JN02/D-1/1", "cancelled", "moved"),
          ("JN01/confirm/2", "sent", "-"), ("JN02/D-3/2", "planned", "-"), ("JN02/D-1/2", "planned", "-")], "moved")
    s.at("2024-06-25T10:00:00+09:00")
    s.step()
    same([f["text"].split("님, ")[1].split(" 진료")[0] for f in s.files() if f["step"] == "D-3"], ["3일 뒤(6/28) 09:30"],
         "the reminder is for the new time")
    s.append(cancelled("p1", "a1"))
    s.at("2024-06-27T10:00:00+09:00")
    s.step()
    same(s.plans()[-1][:3], ("JN02/D-1/2", "cancelled", "cancelled"), "cancelled before it was due")
    s.append(booked("p1", "a1", "2024-07-05T09:30:00+09:00"))
    s.step()
    same([p[:2] for p in s.plans()][-3:], [("JN01/confirm/3", "sent"), ("JN02/D-3/3", "planned"), ("JN02/D-1/3", "planned")],
         "booked again")
    report(s.sums(), "every message asked for once and ended once", s.events())
    reasons = [d["reason"] for t, d in s.events("message.suppressed")]
    same(sorted(reasons), ["cancelled", "moved", "moved"], "the events say why")


def test_people(new):
    s = new("2024-06-17T09:00:00+09:00")
    start = "2024-06-26T17:00:00+09:00"
    s.append(patient("p1"), booked("p1", "a1", start), {"type": "patient.deceased", "subject": "p1", "data": {}},
             booked("p2", "a2", start),
             patient("p3", phone="+82212345678"), booked("p3", "a3", start),
             patient("p4", name="José"), booked("p4", "a4", start),
             patient("p5"), {"type": "patient.updated", "subject": "p5",
                             "data": {"changed": [{"field": "privacy_flag", "new": "true"}]}}, booked("p5", "a5", start),
             patient("p6"), booked("p6", "a6", start, test=True),
             patient("p7", name="뷁믜"), booked("p7", "a7", start),
             patient("p8"), {"type": "patient.updated", "subject": "p8",
                             "data": {"changed": [{"field": "phone_mobile", "new": None}]}}, booked("p8", "a8", start),
             patient("p9"), booked("p9", "a9", start), {"type": "visit.arrived", "subject": "p9",
                                                         "data": {"visit_key": "v9", "appointment_key": "a9"}})
    s.step()
    rows = s.sql("SELECT patient, state, coalesce(reason, '-') FROM dari.plan "
                 f"WHERE site = '{s.name}' AND step = 'confirm' ORDER BY due_at, id")
    by = {}
    keys = {r[2]: r for r in s.appended}
    order = s.sql(f"SELECT DISTINCT subject, min(seq) FROM dari.event WHERE site = '{s.name}' AND type = 'appointment.booked' "
                  "GROUP BY subject ORDER BY 2")
    name = {k: f"p{i}" for i, (k, _) in enumerate(order, 1)}
    for p, state, reason in rows:
        by[name[p]] = (state, reason)
    same(by, {"p1": ("cancelled", "deceased"), "p2": ("suppressed", "no_phone"), "p3": ("suppressed", "no_phone"),
              "p4": ("suppressed", "charset"), "p5": ("suppressed", "privacy_flag"), "p6": ("suppressed", "test"),
              "p7": ("sent", "-"), "p8": ("suppressed", "no_phone"), "p9": ("cancelled", "arrived")},
         "deceased, no number, no such characters, privacy, test data, a syllable outside EUC-KR, arrived")
    report(len(keys) > 0 and s.sums(), "every message asked for once and ended once", s.events())
    leaks = s.sql(f"SELECT count(*) FROM dari.contact WHERE site = '{s.name}' AND (position('홍길동'::bytea in name) > 0 "
                  "OR position('010'::bytea in phone) > 0)")
    same(leaks, [["0"]], "names and numbers are sealed")


def test_merge(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1", name="김하나"), patient("p2", name="김둘"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"),
             booked("p1", "a2", "2024-06-28T17:00:00+09:00"), booked("p2", "a3", "2024-06-28T17:00:00+09:00"))
    s.step()
    s.append({"type": "patient.merged", "subject": "p2", "data": {"surviving_key": "p2", "retired_key": "p1"}},
             booked("p1", "a4", "2024-07-10T10:00:00+09:00"))
    s.step()
    s.at("2024-06-27T10:00:00+09:00")
    s.step()
    s.at("2024-07-09T10:00:00+09:00")
    s.step()
    texts = [f["text"].split("님, ")[0][-3:] + f["text"].split("님, ")[1][:9] for f in s.files() if f["step"] == "D-1"]
    same(sorted(texts), sorted([" 김둘내일(6/28) ", " 김둘내일(7/10) "]),
         "after a merge the survivor is written to, once per time, also about appointments made under the old chart")
    report(s.sums(), "every message asked for once and ended once", s.plans())


def test_jump(new):
    s = new("2024-06-17T09:00:00+09:00")
    s.append(patient("p1"), booked("p1", "a1", "2024-06-26T17:00:00+09:00"), booked("p1", "a2", "2024-06-20T17:00:00+09:00"))
    s.step()
    s.at("2024-06-25T12:00:00+09:00")
    s.step()
    same([p[:3] for p in s.plans()],
         [("JN01/confirm/1", "sent", "-"), ("JN01/confirm/1", "sent", "-"), ("JN02/D-3/1", "suppressed", "stale"),
          ("JN02/D-1/1", "suppressed", "stale"), ("JN02/D-3/1", "suppressed", "stale"), ("JN02/D-1/1", "sent", "-")],
         "a clock that jumps: what is over or long past is stale, the rest goes")


def test_consent(new):
    folder = tempfile.mkdtemp(prefix="dari-ad-")
    for sub in ("journeys", "templates"):
        os.makedirs(f"{folder}/{sub}")
    with open(f"{folder}/journeys/AD1.xml", "w") as f:
        f.write('<journey id="AD1" title="ad" class="ad"><entry event="appointment.booked"/><window from="00:00" to="24:00"/>'
                '<step id="now" template="ad" at="once"/></journey>')
    with open(f"{folder}/templates/ad.xml", "w") as f:
        f.write('<template id="ad" class="ad" channel="sms"><variable name="hospital" sample="서울내과"/>'
                '<text>(광고)[#{hospital}] 새 소식이 있습니다.\n무료수신거부 080-123-4567</text></template>')

    def consent(who, granted, at, purpose="ad", **more):
        return {"type": "consent.changed", "subject": who,
                "data": {"purpose": purpose, "channel": "sms", "granted": granted, "at": at, **more}}
    s = new("2024-06-17T20:00:00+09:00", config=folder)
    far = "2024-09-26T17:00:00+09:00"
    s.append(*(patient(f"p{i}") for i in range(1, 8)),
             consent("p2", True, "2024-01-01T09:00:00+09:00"),
             consent("p3", True, "2024-01-01T09:00:00+09:00"), consent("p3", False, "2024-02-01T09:00:00+09:00"),
             consent("p4", False, "2024-02-01T09:00:00+09:00"), consent("p4", True, "2024-01-01T09:00:00+09:00"),
             consent("p5", False, "2024-02-01T09:00:00+09:00"), consent("p5", True, "2024-03-01T09:00:00+09:00"),
             consent("p6", False, "2024-02-01T09:00:00+09:00"),
             consent("p6", True, "2024-03-01T09:00:00+09:00", evidence="paper"),
             consent("p7", True, "2022-01-01T09:00:00+09:00", expires_on="2024-06-16"),
             *(booked(f"p{i}", f"a{i}", far) for i in range(1, 8)), booked("p2", "a9", far))
    s.step()
    rows = s.sql(f"SELECT state, coalesce(reason, '-') FROM dari.plan WHERE site = '{s.name}' ORDER BY due_at, "
                 "(SELECT min(seq) FROM dari.event e WHERE e.site = plan.site AND e.id = plan.cause)")
    got = [r[1] if r[0] != "sent" else "sent" for r in rows]
    same(got[:1] + got[2:7], ["no_consent", "optout", "optout", "optout", "sent", "no_consent"],
         "ads: no word, refused, an old consent after it, one without evidence, with evidence, expired")
    same(sorted([got[1], got[7]]), ["cap", "sent"], "one ad a week")
    n = new("2024-06-17T21:00:00+09:00", config=folder)
    n.append(patient("p1"), patient("p2"), consent("p1", True, "2024-01-01T09:00:00+09:00"),
             consent("p2", True, "2024-01-01T09:00:00+09:00"),
             consent("p2", True, "2024-01-01T09:00:00+09:00", purpose="night_ad"), booked("p1", "a1", far))
    n.step()
    same(n.files(), [], "no ad at 21:00")
    n.at("2024-06-18T07:59:59+09:00")
    n.step()
    same(n.files(), [], "nor at 07:59:59")
    n.at("2024-06-18T08:00:00+09:00")
    n.step()
    same(len(n.files()), 1, "but at 08:00:00")
    shutil.rmtree(folder)


def test_unread(new):
    """What is in the stream, but not read yet (batch=0), holds the hand-over back, also under a chart that was merged away."""
    for who in ("p2", "p1"):
        s = new("2024-06-17T09:00:00+09:00")
        s.append(patient("p1", name="김하나"), patient("p2", name="김둘"),
                 {"type": "patient.merged", "subject": "p2", "data": {"surviving_key": "p2", "retired_key": "p1"}},
                 booked("p2", "a1", "2024-06-26T17:00:00+09:00"))
        s.step()
        s.at("2024-06-25T10:00:00+09:00")
        s.append(cancelled(who, "a1"))
        s.step(batch=0)
        same([f["step"] for f in s.files()], ["confirm"], f"cancelled as {who}, not read yet: nothing goes out")
        s.step()
        same([p[1] for p in s.plans() if p[0] == "JN02/D-1/1"], ["cancelled"], f"cancelled as {who}: ended")


main(globals())
