"""A feed that falls silent within its hours: one notice on entering, one on leaving, also over a restart."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from site_dari import ROOT, Site, main, messages, wait_for  # noqa: E402


def test(tap):
    day = messages(ROOT + "/deploy/demo/01-2026-03-09T08-50.hl7")
    with Site("silence", feed='silent-after="1h" silent-hours="08:00-20:00"', clock="2026-03-09T08:50:00+09:00") as s:
        s.start("--only", "feed,steward")
        m = s.mllp()
        m.deliver(day[0])
        s.clock("2026-03-09T09:49:59+09:00")
        m.deliver(day[0])  # a repetition is a sign of life too
        s.clock("2026-03-09T10:49:59+09:00")
        wait_for("the notice", lambda: "feed.silent feed=emr since=2026-03-09T09:49:59" in s.text())
        rows = wait_for("the event", lambda: s.sql("SELECT data FROM dari.event WHERE type = 'feed.gap_detected'"))
        tap.equal("one event that says from when", json.loads(rows[0][0])["from"], "2026-03-09T09:49:59+09:00")
        status = s.run("status").stdout
        tap.check("dari status: the alarm", "ALARM      feed emr: SILENT since 2026-03-09T09:49:59" in status, status)
        tap.equal("dari status --json: too", [a["feed"] for a in json.loads(s.run("status", "--json").stdout)["silent"]], ["emr"])
        s.stop()
        with open(s.home + "/run/feed-emr.counters", "a", encoding="utf-8") as f:
            f.write("other_ms.le.1 10\nother_ms.le.5 99\nother_ms.le.inf 100\nother_ms.sum 321\n")
        status = s.run("status").stdout
        tap.check("dari status: whatever histograms there are", "other_ms   feed emr: 100, half at most 5, 99 % at most 5" in status, status)
        feed = json.loads(s.run("status", "--json").stdout)["feeds"][0]
        tap.equal("dari status --json: as they are", feed["histograms"]["other_ms"],
                  {"buckets": [{"le": 1, "count": 10}, {"le": 5, "count": 99}, {"le": "inf", "count": 100}], "sum": 321})
        tap.check("dari status: how long replies took, how large groups were", "reply_us   feed emr: " in status
                  and "group_size feed emr: " in status, status)
        tap.check("dari status --json: counters, and that the sum adds up", feed["adds_up"] and feed["counters"]["replies"] >= 2, feed)
        s.clock("2026-03-09T12:00:00+09:00")
        s.start("--only", "feed,steward")
        wait_for("a look after the restart", lambda: s.text().count("steward.partitions") >= 2)
        s.mllp().deliver(day[1])
        wait_for("the notice of the end", lambda: "feed.heard-again feed=emr" in s.text())
        tap.equal("one notice on entering", s.text().count("feed.silent"), 1)
        tap.equal("one event", s.one("SELECT count(*) FROM dari.event WHERE type = 'feed.gap_detected'"), "1")
        tap.equal("and the condition is over", s.one("SELECT count(*) FROM dari.feed_silence"), "0")
        tap.check("dari status: no alarm any more", "ALARM" not in s.run("status").stdout)
        verify = s.run("ledger", "verify")
        tap.check("the ledger verifies", verify.returncode == 0, verify.stdout + verify.stderr)


main(test)
