/* When a feed counts as silent: its hours, the day's beginning, never having spoken. */
#include "tests/lib/cm.h"

#include "core/intake/silence.h"

static usec at(const char *text)
{
    usec out = 0;
    assert_int_equal(clock_parse(str_of(text), &out, NULL), ERR_NONE);
    return out;
}

static void hours(void **state)
{
    (void)state;
    int from, until;
    struct err e = {0};
    assert_int_equal(silence_hours("08:00-20:30", &from, &until, &e), ERR_NONE);
    assert_int_equal(from, 480);
    assert_int_equal(until, 1230);
    assert_int_equal(silence_hours("00:00-24:00", &from, &until, &e), ERR_NONE);
    const char *const bad[] = {
        "", "8:00-20:00", "08:00", "08:00-20:00x", "20:00-08:00", "08:60-09:00", "24:01-24:02"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_row(silence_hours(bad[i], &from, &until, &e) == ERR_VALUE, bad[i]);
    }
}

static void since(void **state)
{
    (void)state;
    assert_int_equal(zone_set("Asia/Seoul", NULL), ERR_NONE);
    const struct silence_rule day = {"emr", 3600000, 480, 1200}, always = {"emr", 3600000, 0, 0},
                              never = {"emr", 0, 0, 0};
    const struct {
        const char *why;
        const struct silence_rule *rule;
        const char *last, *now, *want;
    } rows[] = {
        {"just heard", &day, "2026-03-09T09:30:00+09:00", "2026-03-09T10:00:00+09:00", NULL},
        {"at the limit", &day, "2026-03-09T09:00:00+09:00", "2026-03-09T10:00:00+09:00",
         "2026-03-09T09:00:00+09:00"},
        {"one second before", &day, "2026-03-09T09:00:01+09:00", "2026-03-09T10:00:00+09:00", NULL},
        {"outside its hours", &day, "2026-03-09T09:00:00+09:00", "2026-03-09T20:00:00+09:00", NULL},
        {"before its hours", &day, "2026-03-08T19:00:00+09:00", "2026-03-09T07:59:59+09:00", NULL},
        {"the night does not count", &day, "2026-03-08T19:00:00+09:00", "2026-03-09T08:30:00+09:00",
         NULL},
        {"the morning does", &day, "2026-03-08T19:00:00+09:00", "2026-03-09T09:00:00+09:00",
         "2026-03-09T08:00:00+09:00"},
        {"never heard", &day, NULL, "2026-03-09T09:00:00+09:00", "2026-03-09T08:00:00+09:00"},
        {"never heard, no hours: nothing to say", &always, NULL, "2026-03-09T09:00:00+09:00", NULL},
        {"no hours", &always, "2026-03-09T01:00:00+09:00", "2026-03-09T02:00:00+09:00",
         "2026-03-09T01:00:00+09:00"},
        {"switched off", &never, "2026-03-01T01:00:00+09:00", "2026-03-09T02:00:00+09:00", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        usec got =
            silence_since(rows[i].rule, rows[i].last ? at(rows[i].last) : 0, at(rows[i].now));
        assert_row(got == (rows[i].want ? at(rows[i].want) : 0), rows[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hours), cmocka_unit_test(since)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
