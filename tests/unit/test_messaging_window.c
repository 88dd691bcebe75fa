/* Due times, windows and the decision: pure functions of time and facts. */
#include "core/messaging/decide.h"
#include "core/messaging/schedule.h"

#include "tests/lib/cm.h"

#include <stdlib.h>

static usec at(const char *text)
{
    usec t = 0;
    assert_int_equal(clock_parse(str_of(text), &t, NULL), ERR_NONE);
    return t;
}

static void assert_time(usec got, const char *want, const char *why)
{
    char text[CLOCK_TEXT];
    assert_same(str_of(clock_text(got, text)), str_of(want), why);
}

static const struct send_window info = {8 * 60, 20 * 60}, all_day = {0, 24 * 60};

static void windows(void **state)
{
    static const struct {
        bool ad, night, always;
        const char *at, *next;
    } rows[] = {
        {false, false, false, "2024-06-17T08:00:00+09:00", "2024-06-17T08:00:00+09:00"},
        {false, false, false, "2024-06-17T07:59:59+09:00", "2024-06-17T08:00:00+09:00"},
        {false, false, false, "2024-06-17T19:59:59+09:00", "2024-06-17T19:59:59+09:00"},
        {false, false, false, "2024-06-17T20:00:00+09:00", "2024-06-18T08:00:00+09:00"},
        {false, false, false, "2024-12-31T23:00:00+09:00", "2025-01-01T08:00:00+09:00"},
        {true, false, true, "2024-06-17T20:59:59+09:00", "2024-06-17T20:59:59+09:00"},
        {true, false, true, "2024-06-17T21:00:00+09:00", "2024-06-18T08:00:00+09:00"},
        {true, false, true, "2024-06-17T07:59:59+09:00", "2024-06-17T08:00:00+09:00"},
        {true, false, true, "2024-06-17T08:00:00+09:00", "2024-06-17T08:00:00+09:00"},
        {true, true, true, "2024-06-17T21:00:00+09:00", "2024-06-17T21:00:00+09:00"},
        {true, true, true, "2024-06-17T23:59:59+09:00", "2024-06-17T23:59:59+09:00"},
        {false, false, true, "2024-06-17T03:00:00+09:00", "2024-06-17T03:00:00+09:00"},
        /* the same in UTC: 21:00 in Seoul is 12:00Z, 08:00 is 23:00Z of the day before */
        {true, false, true, "2024-06-17T12:00:00Z", "2024-06-18T08:00:00+09:00"},
        {true, false, true, "2024-06-17T23:00:00Z", "2024-06-18T08:00:00+09:00"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        usec next =
            window_next(rows[i].always ? all_day : info, rows[i].ad ? MESSAGE_AD : MESSAGE_INFO,
                        rows[i].night, at(rows[i].at));
        assert_time(next, rows[i].next, rows[i].at);
    }
}

static const struct journey_step confirm = {
    .id = "confirm", .once = true, .fresh = 2 * USEC_DAY, .expires = USEC_DAY, .passed_send = true};
static const struct journey_step d3 = {
    .id = "D-3", .days_before = 3, .minute = 600, .notice_days = 3, .expires = USEC_DAY};
static const struct journey_step d1 = {
    .id = "D-1", .days_before = 1, .minute = 600, .notice = 24 * USEC_HOUR};

#define NO "-"
static void due_times(void **state)
{
    static const struct {
        const struct journey_step *step;
        const char *start, *booked, *due;
        enum message_reason born;
    } rows[] = {
        {&d3, "2024-06-26T17:00:00+09:00", "2024-06-17T09:00:00+09:00", "2024-06-23T10:00:00+09:00",
         REASON_NONE},
        {&d1, "2024-06-26T17:00:00+09:00", "2024-06-17T09:00:00+09:00", "2024-06-25T10:00:00+09:00",
         REASON_NONE},
        /* booked three calendar days before, in the evening: three days, but too late for it */
        {&d3, "2024-06-26T08:00:00+09:00", "2024-06-23T19:00:00+09:00", "2024-06-23T19:00:00+09:00",
         REASON_STALE},
        {&d3, "2024-06-26T23:00:00+09:00", "2024-06-24T00:10:00+09:00", NO, REASON_NONE},
        {&d1, "2024-06-26T17:00:00+09:00", "2024-06-25T17:00:00+09:00", "2024-06-25T17:00:00+09:00",
         REASON_STALE},
        {&d1, "2024-06-26T17:00:00+09:00", "2024-06-25T17:00:01+09:00", NO, REASON_NONE},
        {&d1, "2024-06-26T09:00:00+09:00", "2024-06-25T08:59:00+09:00", "2024-06-25T10:00:00+09:00",
         REASON_NONE},
        {&d3, "2024-03-01T09:00:00+09:00", "2024-02-01T09:00:00+09:00", "2024-02-27T10:00:00+09:00",
         REASON_NONE},
        {&d1, "2025-01-01T09:00:00+09:00", "2024-12-01T09:00:00+09:00", "2024-12-31T10:00:00+09:00",
         REASON_NONE},
        {&confirm, "2024-06-26T17:00:00+09:00", "2024-06-17T21:30:00+09:00",
         "2024-06-18T08:00:00+09:00", REASON_NONE},
        {&confirm, "2024-06-17T09:00:00+09:00", "2024-06-17T09:00:00+09:00", NO, REASON_NONE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct journey j = {.class = MESSAGE_INFO, .window = info};
        usec booked = at(rows[i].booked), due = 0;
        enum message_reason born = REASON_NONE;
        const struct schedule_input in = {at(rows[i].start), booked, booked, booked};
        bool applies = schedule_step(&j, rows[i].step, &in, &due, &born);
        assert_row(applies == (rows[i].due[0] != '-'), rows[i].booked);
        if (applies) {
            assert_time(due, rows[i].due, rows[i].booked);
            assert_row(born == rows[i].born, rows[i].booked);
        }
    }
}

static void late_events(void **state)
{
    const struct journey j = {.class = MESSAGE_INFO, .window = info};
    usec booked = at("2024-06-17T09:00:00+09:00"), due;
    enum message_reason born;
    struct schedule_input in = {at("2024-06-26T17:00:00+09:00"), booked, booked,
                                booked + 2 * USEC_DAY};
    (void)state;
    assert_true(schedule_step(&j, &confirm, &in, &due, &born));
    assert_int_equal(born, REASON_NONE);
    in.recorded++;
    assert_true(schedule_step(&j, &confirm, &in, &due, &born));
    assert_int_equal(born, REASON_STALE);
}

static void deadlines(void **state)
{
    usec due = at("2024-06-23T10:00:00+09:00"), start = at("2024-06-26T17:00:00+09:00");
    (void)state;
    assert_true(schedule_deadline(&d3, due, start) == due + USEC_DAY);
    assert_true(schedule_deadline(&d1, due, start) == start);
    assert_true(schedule_deadline(&d3, due, due + USEC_HOUR) == due + USEC_HOUR);
}

/* ---- the decision ---- */

static struct plan_facts fine(const struct journey *j)
{
    return (struct plan_facts){.journey = j,
                               .step = &d1,
                               .due = at("2024-06-25T10:00:00+09:00"),
                               .start = at("2024-06-26T17:00:00+09:00"),
                               .status = STR("booked"),
                               .current = true,
                               .has_phone = true,
                               .ad = CONSENT_GRANTED};
}

static void check(const struct plan_facts *f, const char *now, enum verdict want,
                  enum message_reason reason, const char *why)
{
    usec hold;
    enum message_reason got;
    assert_row(decide(f, at(now), &hold, &got) == want, why);
    if (want != VERDICT_SEND && want != VERDICT_HOLD) {
        assert_row(got == reason, why);
    }
}

static void decisions(void **state)
{
    const struct journey j = {.class = MESSAGE_INFO, .window = info};
    const struct journey must = {.class = MESSAGE_INFO, .window = info, .essential = true};
    const char *now = "2024-06-25T10:00:00+09:00";
    struct plan_facts f = fine(&j);
    (void)state;
    check(&f, now, VERDICT_SEND, REASON_NONE, "all is well");
    check(&f, "2024-06-25T20:00:00+09:00", VERDICT_HOLD, REASON_NONE, "too late in the evening");
    check(&f, "2024-06-26T16:59:59+09:00", VERDICT_SEND, REASON_NONE, "until it begins");
    check(&f, "2024-06-26T17:00:00+09:00", VERDICT_SUPPRESS, REASON_STALE, "it has begun");
#define CASE(change, verdict, reason)                                                              \
    do {                                                                                           \
        f = fine(&j);                                                                              \
        change;                                                                                    \
        check(&f, now, verdict, reason, #change);                                                  \
    } while (0)
    CASE(f.deceased = true, VERDICT_CANCEL, REASON_DECEASED);
    CASE(f.merged = true, VERDICT_CANCEL, REASON_MERGED);
    CASE(f.current = false, VERDICT_CANCEL, REASON_MOVED);
    CASE(f.status = STR("cancelled"), VERDICT_CANCEL, REASON_CANCELLED);
    CASE(f.status = STR("no_show"), VERDICT_CANCEL, REASON_NO_SHOW);
    CASE(f.status = STR("arrived"), VERDICT_CANCEL, REASON_ARRIVED);
    CASE(f.status = STR("completed"), VERDICT_CANCEL, REASON_COMPLETED);
    CASE(f.test = true, VERDICT_SUPPRESS, REASON_TEST);
    CASE(f.journey = NULL, VERDICT_SUPPRESS, REASON_LINT);
    CASE(f.step = NULL, VERDICT_SUPPRESS, REASON_LINT);
    CASE(f.privacy = true, VERDICT_SUPPRESS, REASON_PRIVACY_FLAG);
    CASE(f.has_phone = false, VERDICT_SUPPRESS, REASON_NO_PHONE);
    CASE(f.ad = CONSENT_REFUSED, VERDICT_SEND, REASON_NONE); /* information needs no consent */
    CASE((f.privacy = true, f.journey = &must), VERDICT_SEND, REASON_NONE);
    f = fine(&j);
    f.due = at("2024-06-26T17:30:00+09:00");
    check(&f, "2024-06-26T17:30:00+09:00", VERDICT_SUPPRESS, REASON_NIGHT_HOLD,
          "the window opened too late");
    f = fine(&j);
    f.start = at("2024-06-26T07:30:00+09:00");
    check(&f, "2024-06-25T21:00:00+09:00", VERDICT_SUPPRESS, REASON_NIGHT_HOLD,
          "the window opens too late");
}

static void ads(void **state)
{
    const struct journey ad = {.class = MESSAGE_AD, .window = all_day};
    static const struct {
        enum consent ad, night;
        int64_t recent;
        const char *now;
        enum verdict verdict;
        enum message_reason reason;
    } rows[] = {
        {CONSENT_GRANTED, CONSENT_NONE, 0, "2024-06-25T10:00:00+09:00", VERDICT_SEND, 0},
        {CONSENT_NONE, 0, 0, "2024-06-25T10:00:00+09:00", VERDICT_SUPPRESS, REASON_NO_CONSENT},
        {CONSENT_REFUSED, 0, 0, "2024-06-25T10:00:00+09:00", VERDICT_SUPPRESS, REASON_OPTOUT},
        {CONSENT_EXPIRED, 0, 0, "2024-06-25T10:00:00+09:00", VERDICT_SUPPRESS, REASON_NO_CONSENT},
        {CONSENT_GRANTED, 0, 1, "2024-06-25T10:00:00+09:00", VERDICT_SUPPRESS, REASON_CAP},
        {CONSENT_GRANTED, CONSENT_NONE, 0, "2024-06-25T21:00:00+09:00", VERDICT_HOLD, 0},
        {CONSENT_GRANTED, CONSENT_REFUSED, 0, "2024-06-25T23:00:00+09:00", VERDICT_HOLD, 0},
        {CONSENT_GRANTED, CONSENT_GRANTED, 0, "2024-06-25T23:00:00+09:00", VERDICT_SEND, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct plan_facts f = fine(&ad);
        f.ad = rows[i].ad;
        f.night = rows[i].night;
        f.recent_ads = rows[i].recent;
        check(&f, rows[i].now, rows[i].verdict, rows[i].reason, rows[i].now);
    }
}

/* Whatever the zone does with its clocks, a due time is at its wall time. */
static void summer_time(void **state)
{
    const struct journey j = {.class = MESSAGE_INFO, .window = info};
    usec due;
    enum message_reason born;
    (void)state;
    assert_int_equal(zone_set("Europe/Berlin", NULL), ERR_NONE);
    usec booked = at("2024-03-01T09:00:00+01:00");
    const struct schedule_input in = {at("2024-04-01T09:00:00+02:00"), booked, booked, booked};
    assert_true(schedule_step(&j, &d1, &in, &due, &born));
    assert_time(due, "2024-03-31T10:00:00+02:00", "the day of the change");
    assert_int_equal(zone_set("Asia/Seoul", NULL), ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),     cmocka_unit_test(due_times), cmocka_unit_test(late_events),
        cmocka_unit_test(deadlines),   cmocka_unit_test(decisions), cmocka_unit_test(ads),
        cmocka_unit_test(summer_time),
    };
    zone_set("Asia/Seoul", NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
