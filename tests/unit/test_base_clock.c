/* Instants, days, zones, and the clock that tests can move. */
#include "tests/lib/cm.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void days(void **state)
{
    (void)state;
    assert_int_equal(day_of(1970, 1, 1), 0);
    assert_int_equal(day_of(2024, 2, 29) + 1, day_of(2024, 3, 1));
    assert_int_equal(day_of(1900, 2, 28) + 1, day_of(1900, 3, 1)); /* no leap year */
    for (int32_t d = -800000; d < 800000; d += 997) {
        struct civil c;
        day_civil(d, &c);
        assert_int_equal(day_of(c.year, c.month, c.day), d);
    }
    struct civil c;
    day_civil(day_of(2024, 6, 23), &c);
    assert_int_equal(c.weekday, 0); /* a Sunday */
    assert_true(day_valid(2024, 2, 29));
    assert_false(day_valid(2026, 2, 29));
    assert_false(day_valid(2026, 13, 1));
    assert_false(day_valid(2026, 4, 31));
    assert_false(day_valid(0, 1, 1));
}

static void instants(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum err_code code;
        usec want;
        size_t pos;
    } rows[] = {
        {"1970-01-01T00:00:00Z", ERR_NONE, 0, 0},
        {"1970-01-01T09:00:00+09:00", ERR_NONE, 0, 0},
        {"1970-01-01 00:00:00.250000+00:00", ERR_NONE, 250000, 0},
        {"1969-12-31T23:59:59.5Z", ERR_NONE, -500000, 0},
        {"2026-02-29T00:00:00Z", ERR_VALUE, 0, 10},
        {"2026-03-09T25:00:00Z", ERR_VALUE, 0, 19},
        {"2026-03-09T09:00:00", ERR_VALUE, 0, 19},
        {"2026-03-09T09:00:00+09:00x", ERR_VALUE, 0, 25},
        {"2026-3-9", ERR_VALUE, 0, 5},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        usec at = 0;
        assert_row(clock_parse(str_of(rows[i].in), &at, &e) == rows[i].code, rows[i].in);
        assert_row(at == rows[i].want && e.pos == rows[i].pos, rows[i].in);
    }
}

static void zones(void **state)
{
    (void)state;
    struct err e = {0};
    char text[CLOCK_TEXT];
    assert_int_equal(zone_set("Asia/Soul", &e), ERR_CONFIG);
    assert_int_equal(zone_set("../../etc/passwd", &e), ERR_CONFIG);
    assert_int_equal(zone_set("Asia/Seoul", &e), ERR_NONE);
    usec at = zone_instant(day_of(2026, 3, 11), 0, 0, 0);
    assert_string_equal(clock_text(at, text), "2026-03-11T00:00:00+09:00");
    assert_string_equal(clock_text_utc(at, text), "2026-03-10T15:00:00Z");
    assert_int_equal(zone_day(at), day_of(2026, 3, 11));
    assert_int_equal(zone_day(at - 1), day_of(2026, 3, 10));
    assert_string_equal(clock_text_utc(-1, text), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(day_text(day_of(2026, 3, 1), text), "2026-03-01");

    /* A day with 23 hours: the skipped time moves forward. */
    assert_int_equal(zone_set("Europe/Berlin", &e), ERR_NONE);
    at = zone_instant(day_of(2026, 3, 29), 2, 30, 0);
    assert_true(zone_local(at).hour == 3 || zone_local(at).hour == 1);
    assert_int_equal(zone_instant(day_of(2026, 3, 30), 0, 0, 0) -
                         zone_instant(day_of(2026, 3, 29), 0, 0, 0),
                     23 * USEC_HOUR);
    assert_int_equal(zone_set("Asia/Seoul", &e), ERR_NONE);
}

static void set_clock(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* What is remembered of a zone is what libc says of it, also around a change and before any rule.
 */
static void zone_days(void **state)
{
    (void)state;
    static const char *const zones_tried[] = {"Asia/Seoul", "Europe/Berlin", "Australia/Lord_Howe",
                                              "America/St_Johns"};
    for (size_t z = 0; z < sizeof zones_tried / sizeof zones_tried[0]; z++) {
        assert_int_equal(zone_set(zones_tried[z], NULL), ERR_NONE);
        time_t from = (time_t)day_of(1988, 1, 1) * 86400, to = (time_t)day_of(1989, 1, 1) * 86400;
        for (time_t t = from; t < to; t += 1799) {
            struct tm tm;
            localtime_r(&t, &tm);
            struct civil c = zone_local((usec)t * USEC_SECOND);
            assert_int_equal(c.offset, tm.tm_gmtoff);
            assert_int_equal(c.hour * 60 + c.minute, tm.tm_hour * 60 + tm.tm_min);
            assert_int_equal(c.weekday, tm.tm_wday);
            tm.tm_isdst = -1;
            int32_t day = day_of(c.year, c.month, c.day);
            assert_int_equal(zone_instant(day, c.hour, c.minute, c.second),
                             (usec)mktime(&tm) * USEC_SECOND);
        }
    }
    assert_int_equal(zone_set("Asia/Seoul", NULL), ERR_NONE);
}

static void moved(void **state)
{
    (void)state;
    char path[] = "/tmp/dari-clock-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    setenv("DARI_CLOCK", path, 1);
    set_clock(path, "2026-03-09T09:00:00+09:00\n");
    char text[CLOCK_TEXT];
    assert_string_equal(clock_text(clock_now(), text), "2026-03-09T09:00:00+09:00");
    set_clock(path, "2026-03-09T09:00:01+09:00\n");
    assert_string_equal(clock_text(clock_now(), text), "2026-03-09T09:00:01+09:00");
    set_clock(path, "");
    usec before = clock_real();
    assert_true(clock_now() >= before);
    unlink(path);
    assert_true(clock_now() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(days), cmocka_unit_test(instants),
                                       cmocka_unit_test(zones), cmocka_unit_test(zone_days),
                                       cmocka_unit_test(moved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
