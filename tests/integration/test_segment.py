"""The segmentation core: golden dates, entering and leaving with and without events, and what commands say of it."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from segment_site import arrived, booked, BUILD, cancelled, check, here, kst, main, missed, moved, rows, Site, write_config  # noqa: E402


def tomorrow():
    s = Site("tomorrow")
    booked(s, "2026-03-09 10:00", "anna", "a1", "2026-03-11 08:30")
    s.tick("2026-03-09 23:59:59")
    check("SG02: two days ahead is not tomorrow", s.members("SG02"), [])
    s.tick("2026-03-10 00:00")
    check("SG02: enters at midnight without an event", s.members("SG02"), ["anna"])
    s.tick("2026-03-11 12:00")
    check("SG02: leaves when the day comes", s.derived("SG02"),
          [["entered", "anna", "2026-03-10 00:00", None], ["exited", "anna", "2026-03-11 00:00", None]])
    reasons = rows("SELECT data::json->'reasons' AS why, data::json->>'at' AS at FROM dari.event WHERE site = 'tomorrow' "
                   "AND type LIKE 'segment.%' ORDER BY seq")
    check("SG02: the reasons of entering are all conditions, of leaving those that fail",
          reasons, [[["alive", "appointment-tomorrow"], "2026-03-10T00:00:00+09:00"],
                    [["appointment-tomorrow"], "2026-03-11T00:00:00+09:00"]])

    b = booked(s, "2026-03-11 12:30", "bora", "b1", "2026-03-12 09:00")
    c = cancelled(s, "2026-03-11 13:00", "bora", "b1")
    s.run()
    check("SG02: leaves on cancellation, caused by it", s.derived("SG02")[2:],
          [["entered", "bora", "2026-03-11 12:30", b], ["exited", "bora", "2026-03-11 13:00", c]])
    booked(s, "2026-03-11 14:00", "cho", "c1", "2026-03-12 09:00")
    m = moved(s, "2026-03-11 15:00", "cho", "c1", "2026-03-13 09:00")
    n = moved(s, "2026-03-11 16:00", "cho", "c1", "2026-03-12 18:00")
    s.run()
    check("SG02: a move to another day leaves, back to tomorrow enters", [d[::3] for d in s.derived("SG02")[5:]],
          [["exited", m], ["entered", n]])
    s.stop()


def dates():
    s = Site("dates")
    booked(s, "2024-02-20 10:00", "leap", "l1", "2024-02-29 10:00")
    booked(s, "2024-02-20 10:00", "march", "m1", "2024-03-01 10:00")
    s.tick("2024-03-01 23:00")
    booked(s, "2024-06-17 11:00", "june", "j1", "2024-06-26 17:00")
    s.tick("2024-06-26 18:00")
    booked(s, "2026-02-20 10:00", "plain", "p1", "2026-03-01 10:00")
    booked(s, "2026-12-01 10:00", "year", "y1", "2027-01-01 00:00")
    s.tick("2027-01-01 00:00")
    entered = [d[1:3] for d in s.derived("SG02") if d[0] == "entered"]
    check("29 February, the day before 1 March, 26 June, the last day of the year", entered,
          [["leap", "2024-02-28 00:00"], ["march", "2024-02-29 00:00"], ["june", "2024-06-25 00:00"],
           ["plain", "2026-02-28 00:00"], ["year", "2026-12-31 00:00"]])
    s.stop()


def no_show():
    s = Site("noshow")
    booked(s, "2026-03-02 09:00", "dan", "d1", "2026-03-10 10:00")
    x = missed(s, "2026-03-10 11:00", "dan", "d1", "2026-03-10 10:00")
    s.run()
    check("SG04: enters on a no-show", s.members("SG04"), ["dan"])
    y = booked(s, "2026-03-10 12:00", "dan", "d2", "2026-03-12 10:00")
    s.run()
    check("SG04: leaves on a new booking", s.members("SG04"), [])
    z = cancelled(s, "2026-03-11 09:00", "dan", "d2")
    w = arrived(s, "2026-03-11 16:00", "dan", "v1", dept="내과")
    s.run()
    check("SG04: its story, each step caused by its event", s.derived("SG04"),
          [["entered", "dan", "2026-03-10 11:00", x], ["exited", "dan", "2026-03-10 12:00", y],
           ["entered", "dan", "2026-03-11 09:00", z], ["exited", "dan", "2026-03-11 16:00", w]])

    missed(s, "2026-03-12 11:00", "eun", "e1", "2026-03-12 10:00")
    booked(s, "2026-03-12 12:00", "eun", "e2", "2026-03-13 15:00")
    s.tick("2026-03-25 00:00")
    check("SG04: time alone: the new appointment passes, then a week", s.derived("SG04")[4:],
          [["entered", "eun", "2026-03-12 11:00", "e6"], ["exited", "eun", "2026-03-12 12:00", "e7"],
           ["entered", "eun", "2026-03-13 15:00", None], ["exited", "eun", "2026-03-20 00:00", None]])
    missed(s, "2026-03-25 11:00", "fay", "f1", "2026-03-25 10:00")
    arrived(s, "2026-03-25 11:30", "fay", "v2", "2026-03-25 10:45", appointment_key="f1")
    s.run()
    check("SG04: a late arrival takes the no-show back", [s.members("SG04"), rows(
        "SELECT status FROM dari.profile_appointment WHERE site = 'noshow' AND appointment = 'f1'")], [[], [["arrived"]]])
    s.stop()


def churned():
    s = Site("churned")
    arrived(s, "2026-01-05 10:00", "ortho", "o1", dept="정형외과")
    arrived(s, "2026-01-05 10:00", "nodept", "n1")
    arrived(s, "2026-01-05 10:00", "dental", "t1", dept="치과")
    for i, day in enumerate(["2026-01-05", "2025-09-27", "2025-06-19"]):
        arrived(s, "2026-01-05 11:00", "slow", f"s{i}", day + " 10:00", dept="정형외과")
    arrived(s, "2026-01-05 12:00", "again", "g1", dept="정형외과")
    s.run()
    check("profile: visits, first, last, median gap, department", rows(
        "SELECT visit_count, first_visit_on, last_visit_on, visit_interval_median_days, primary_dept "
        "FROM dari.profile WHERE site = 'churned' AND patient = 'slow'"), [[3, "2025-06-19", "2026-01-05", 100, "정형외과"]])
    booked(s, "2026-04-01 12:00", "again", "g2", "2026-04-20 10:00")
    s.tick("2027-01-31 00:00")
    check("SG20: by passing time, by department, by the patient's own interval, not with an appointment ahead",
          s.derived("SG20"),
          [["entered", "ortho", "2026-04-06 00:00", None], ["entered", "again", "2026-04-20 10:00", None],
           ["entered", "nodept", "2026-07-05 00:00", None], ["entered", "slow", "2026-07-25 00:00", None],
           ["entered", "dental", "2027-01-06 00:00", None]])
    v = arrived(s, "2027-01-31 09:00", "ortho", "o2", dept="정형외과")
    u = s.event("2027-01-31 09:10", "visit.voided", "ortho", visit_key="o2")
    s.run()
    check("a voided visit gives back the last visit, and the segment", [d[::3] for d in s.derived("SG20")[5:]] + rows(
        "SELECT last_visit_on, visit_count FROM dari.profile WHERE site = 'churned' AND patient = 'ortho'"),
        [["exited", v], ["entered", u], ["2026-01-05", 1]])
    d = s.event("2027-02-01 09:00", "patient.deceased", "ortho")
    s.run()
    check("the dead are in no segment", s.derived("SG20")[7:], [["exited", "ortho", "2027-02-01 09:00", d]])
    s.stop()


def merged():
    s = Site("merged")
    arrived(s, "2026-03-02 10:00", "old", "v1", dept="치과")
    arrived(s, "2026-03-03 10:00", "new", "v2", dept="정형외과")
    arrived(s, "2026-03-05 10:00", "old", "v3", dept="치과")
    booked(s, "2026-03-05 11:00", "old", "a1", "2026-03-07 10:00")
    s.event("2026-03-05 11:30", "payment.recorded", "old", paid_krw=30000)
    s.event("2026-03-05 12:00", "patient.updated", "old", changed=[{"field": "privacy_flag", "new": "true"}])
    s.tick("2026-03-06 00:00")
    m = s.event("2026-03-06 09:00", "patient.merged", "new", surviving_key="new", retired_key="old")
    s.run()
    check("merge: the retired leaves, the survivor enters", s.derived("SG02")[1:],
          [["entered", "new", "2026-03-06 09:00", m], ["exited", "old", "2026-03-06 09:00", m]])
    check("merge: facts, aggregates and the strictest flag", rows(
        "SELECT visit_count, first_visit_on, last_visit_on, primary_dept, privacy_flag, (SELECT sum(paid_krw) FROM "
        "dari.profile_payment y WHERE y.site = p.site AND y.patient = p.patient) AS paid FROM dari.profile p "
        "WHERE site = 'merged' AND patient = 'new'"), [[3, "2026-03-02", "2026-03-05", "치과", True, 30000]])
    c = cancelled(s, "2026-03-06 10:00", "old", "a1")
    s.run()
    check("merge: later events of the retired key count for the survivor", s.derived("SG02")[3:],
          [["exited", "new", "2026-03-06 10:00", c]])
    s.event("2026-03-06 11:00", "patient.merged", "third", surviving_key="third", retired_key="new")
    arrived(s, "2026-03-06 12:00", "old", "v4")
    s.run()
    check("merge: chains are short", rows("SELECT patient, merged_into, visit_count FROM dari.profile "
                                          "WHERE site = 'merged' ORDER BY 1"),
          [["new", "third", 0], ["old", "third", 0], ["third", None, 4]])
    s.event("2026-03-06 13:00", "patient.merged", "new", surviving_key="new", retired_key="third")
    s.event("2026-03-06 13:00", "patient.merged", "new", surviving_key="new", retired_key="new")
    s.run()
    check("merge: turned round, and with itself", rows("SELECT patient, merged_into, visit_count FROM dari.profile "
                                                       "WHERE site = 'merged' ORDER BY 1"),
          [["new", None, 4], ["old", "new", 0], ["third", "new", 0]])
    s.stop()


def odd():
    s = Site("odd")
    cancelled(s, "2026-03-02 10:00", "gil", "a1")
    s.event("2026-03-02 10:00", "appointment.confirmed", "gil", appointment_key="a2")
    s.event("2026-03-02 10:00", "visit.voided", "gil", visit_key="v1")
    s.event("2026-03-02 10:00", "visit.completed", "gil", visit_key="v2", at=kst("2026-03-02 09:00"))
    s.event("2026-03-02 10:00", "appointment.booked", "gil")
    s.event("2026-03-02 10:00", "patient.merged", "gil")
    s.event("2026-03-02 10:00", "patient.merged", "gil", surviving_key="", retired_key="")
    s.event("2026-03-02 10:00", "something.else", "gil")
    booked(s, "2026-03-02 11:00", "gil", "a1", "2026-03-03 10:00")
    s.event("2026-03-02 11:30", "appointment.confirmed", "gil", appointment_key="a1")
    s.run()
    check("out of order: the later in the stream wins", rows(
        "SELECT appointment, status FROM dari.profile_appointment WHERE site = 'odd' ORDER BY 1") + s.members("SG02"),
        [["a1", "confirmed"], ["a2", "confirmed"], "gil"])
    booked(s, "2026-03-02 12:00", "hana", "a1", "2026-03-03 10:00")
    s.run()
    check("an appointment that turns out to be somebody else's", s.members("SG02"), ["hana"])
    arrived(s, "2026-03-02 13:00", "gil", "v1")
    s.run()
    check("a voided visit that is registered again counts", rows(
        "SELECT visit_count FROM dari.profile WHERE site = 'odd' AND patient = 'gil'"), [[2]])
    s.stop()


def commands():
    dari = os.path.join(BUILD, "dari")
    config = write_config("noshow", here.tmp)

    def run(*words):
        return subprocess.run([dari, "segment", *words, "--config", config], capture_output=True, text=True)
    p = run("list", "--json")
    o = json.loads(p.stdout) if p.returncode == 0 else {"stderr": p.stderr}
    check("dari segment list --json", [o.get("evaluated_at"), [x["segment"] for x in o.get("segments", [])]],
          ["2026-03-25T11:30:00+09:00", ["SG02", "SG04", "SG20"]])
    p = run("explain", "SG04", "dan", "--json")
    o = json.loads(p.stdout) if p.returncode == 0 else {"stderr": p.stderr}
    check("dari segment explain: conditions and the attributes they mention",
          [{c["reason"]: c["holds"] for c in o.get("conditions", [])}, sorted(o.get("attributes", {}))],
          [{"alive": "true", "no-show": "false", "no-appointment-ahead": "true"},
           ["days", "deceased", "last_visit_at", "now", "today"]])
    check("dari segment explain: instants in the site's zone", o.get("attributes", {}).get("now"),
          "2026-03-25T11:30:00+09:00")
    p = run("explain", "SG20", "eun")
    check("dari segment explain: unknown is said", [p.returncode, "unknown  away-too-long" in p.stdout], [0, True])
    p = run("members", "SG02")
    check("dari segment members", [p.returncode, "evaluated at 2026-03-25T11:30:00+09:00" in p.stdout], [0, True])
    p = run("recompute", "SG04")
    check("dari segment recompute", [p.returncode, p.stdout.splitlines()[:1]], [0, ["0 changes"]])
    for name, words, status in (("an unknown segment", ["members", "SG99"], 1), ("an unknown patient", ["explain", "SG04", "x"], 1),
                                ("no verb", [], 2), ("too few words", ["explain", "SG04"], 2)):
        p = run(*words)
        check(f"dari segment: {name} is one line on standard error", [p.returncode, p.stdout, 1 <= len(p.stderr.splitlines()) <= 2],
              [status, "", True])


main(tomorrow, dates, no_show, churned, merged, odd, commands)
