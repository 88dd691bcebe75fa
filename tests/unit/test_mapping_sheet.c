/* core/mapping: values as people write them into lists (crm.md 4.5, 5.3 and 6.3 in the forms we
 * met). */
#include "core/mapping/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return arena && zone_set("Asia/Seoul", NULL) == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

struct value_case {
    const char *in, *out; /* NULL: ERR_VALUE */
};

static void run(const struct value_case *rows, size_t n, struct convert_rules rules)
{
    rules.sheet = true;
    rules.year = 2026;
    for (size_t i = 0; i < n; i++) {
        struct str out = {NULL, 0};
        struct err e = {0};
        enum err_code code = convert(&rules, arena, str_of(rows[i].in), &out, &e);
        bool ok = rows[i].out ? code == ERR_NONE && str_is(out, rows[i].out) : code == ERR_VALUE;
        if (!ok) {
            fail_msg("%s: %s %.*s", rows[i].in, err_name(code), STR_ARG(out));
        }
    }
}
#define RUN(rows, ...) run(rows, sizeof rows / sizeof rows[0], (struct convert_rules){__VA_ARGS__})

static void test_dates(void **state)
{
    (void)state;
    static const struct value_case rows[] = {
        {"2026-06-17", "2026-06-17"},
        {"2026.06.17", "2026-06-17"},
        {"2026.3.11", "2026-03-11"},
        {"2026. 3. 11.", "2026-03-11"},
        {"26.6.17", "2026-06-17"},
        {"26/03/11", "2026-03-11"},
        {"20260617", "2026-06-17"},
        {"260617", "2026-06-17"},
        {"76.6.17", "1976-06-17"},
        {"760617", "1976-06-17"},
        {"27-01-02", "2027-01-02"},
        {"28-01-02", "1928-01-02"},
        {"2026년 3월 11일", "2026-03-11"},
        {"26년3월11일", "2026-03-11"},
        {"2026-03-11(수)", "2026-03-11"},
        {"2026.3.11 수요일", "2026-03-11"},
        {"２０２６－０３－１１", "2026-03-11"},
        {"46092", "2026-03-11"},
        {"2026-03-11 17:00", "2026-03-11"},
        {"2026/3/1", "2026-03-01"},
        {"2026-3-1", "2026-03-01"},
        {"6월 17일", NULL},
        {"6/17", NULL},
        {"17", NULL},
        {"2026-02-30", NULL},
        {"2026-13-01", NULL},
        {"11/3/1980", NULL},
        {"01/01/90", NULL},
        {"2026년 3월", NULL},
        {"다음주", NULL},
        {"2026-03-11x", NULL},
        {"2026.3-11", NULL},
        {"1", NULL},
    };
    RUN(rows, .as = CONVERT_DATE);
}

static void test_dates_without_year(void **state)
{
    (void)state;
    static const struct value_case rows[] = {
        {"6월 26일", "2026-06-26"},   {"6/27", "2026-06-27"}, {"1월 7일", "2027-01-07"},
        {"6월 10일", "2026-06-10"},   {"2월 29일", NULL},     {"6.27", NULL},
        {"2027-01-02", "2027-01-02"},
    };
    RUN(rows, .as = CONVERT_DATE, .about = STR("2026-12-01"));
    static const struct value_case june[] = {{"6월 26일", "2026-06-26"}, {"1/7", "2026-01-07"}};
    RUN(june, .as = CONVERT_DATE, .about = STR("26.6.17"));
}

static void test_months(void **state)
{
    (void)state;
    static const struct value_case rows[] = {
        {"2026-03", "2026-03-01"},
        {"2026년 3월", "2026-03-01"},
        {"202603", "2026-03-01"},
        {"2026.3", "2026-03-01"},
        {"26년 3월", "2026-03-01"},
        {"2026-03-15", "2026-03-01"},
        {"46092", "2026-03-01"},
        {"3월", NULL},
        {"2026", NULL},
    };
    RUN(rows, .as = CONVERT_MONTH);
}

static void test_times(void **state)
{
    (void)state;
    static const struct value_case rows[] = {
        {"2026-06-17 오후 5:00", "2026-06-17T17:00:00+09:00"},
        {"2026-06-17 오전 12:10", "2026-06-17T00:10:00+09:00"},
        {"2026-06-17 오후 12:30", "2026-06-17T12:30:00+09:00"},
        {"2026-06-17 5:00 PM", "2026-06-17T17:00:00+09:00"},
        {"2026.6.17 17시 30분", "2026-06-17T17:30:00+09:00"},
        {"2026년 6월 17일 오후 5시", "2026-06-17T17:00:00+09:00"},
        {"20260617 0930", "2026-06-17T09:30:00+09:00"},
        {"202606170930", "2026-06-17T09:30:00+09:00"},
        {"26/06/17 09:30:15", "2026-06-17T09:30:15+09:00"},
        {"2026-06-17T09:30:00Z", "2026-06-17T18:30:00+09:00"},
        {"46092.375", "2026-03-11T09:00:00+09:00"},
        {"2026-06-17 2026-06-17 09:30", "2026-06-17T09:30:00+09:00"},
        {"2026.6.17 2026.6.17 오전 9:30", "2026-06-17T09:30:00+09:00"},
        {"46086.604166666664", "2026-03-05T14:30:00+09:00"},
        {"46085.99999999999994", "2026-03-05T00:00:00+09:00"},
        {"46086 0.604166666666667", "2026-03-05T14:30:00+09:00"},
        {"46086 14:30", "2026-03-05T14:30:00+09:00"},
        {"2026-03-05 00:00:00 14:30", "2026-03-05T14:30:00+09:00"},
        {"2026-03-05T00:00:00 오후 2:30", "2026-03-05T14:30:00+09:00"},
        {"2026-03-05 00:00:00.000 2026-03-06 14:30", "2026-03-06T14:30:00+09:00"},
        {"2026-03-05 1900-01-01 14:30:00", "2026-03-05T14:30:00+09:00"},
        {"2026.3.5 1899. 12. 30. 오후 2:30", "2026-03-05T14:30:00+09:00"},
        {"2026-03-05 00:00:00 1899-12-30 14:30:00.000", "2026-03-05T14:30:00+09:00"},
        {"2026-03-05 14:30:00+09", "2026-03-05T14:30:00+09:00"},
        {"2026-03-05 05:30:00.123+00", "2026-03-05T14:30:00.123000+09:00"},
        {"2026-03-05 14:30-15", NULL},
        {"2026-03-05 09:30 14:30", NULL},
        {"2026-03-05 00:00 25:00", NULL},
        {"46086 1.5", NULL},
        {"2026-06-17", NULL},
        {"2026-06-17 25:00", NULL},
        {"2026-06-17 9:3", NULL},
        {"2026-06-17 오전 17:00", NULL},
        {"2026-06-17 점심", NULL},
        {"오후 5:00", NULL},
    };
    RUN(rows, .as = CONVERT_TIME);
}

static void test_amounts(void **state)
{
    (void)state;
    static const struct value_case rows[] = {
        {"35,000", "35000"},
        {"35000원", "35000"},
        {"₩35,000", "35000"},
        {"35만원", "350000"},
        {"3만5천원", "35000"},
        {"3만 5천", "35000"},
        {"35만 5000원", "355000"},
        {"1억2000만", "120000000"},
        {"12.5만", "125000"},
        {"-12,000원", "-12000"},
        {"(12,000)", "-12000"},
        {"35,000.00", "35000"},
        {"0", "0"},
        {"1.5", NULL},
        {"약 500", NULL},
        {"490→400", NULL},
        {"5천3만", NULL},
        {"원", NULL},
        {"35M", NULL},
        {"", NULL},
        {"500 500", NULL},
    };
    RUN(rows, .as = CONVERT_KRW);
    /* 6.3: units of 10,000 won; two entries without any price */
    static const struct value_case man[] = {
        {"490", "4900000"},     {"350", "3500000"}, {"12.5", "125000"},  {"35000원", "35000"},
        {"490만원", "4900000"}, {"4900000", NULL},  {"미백 상담", NULL},
    };
    RUN(man, .as = CONVERT_KRW_MAN);
    static const struct value_case size[] = {{"-12,000", "12000"}, {"12000", "12000"}};
    RUN(size, .as = CONVERT_KRW_SIZE);
    static const struct value_case minus[] = {{"-12,000", "true"}, {"(1)", "true"}, {"0", "false"}};
    RUN(minus, .as = CONVERT_KRW_MINUS);
}

static void test_others(void **state)
{
    (void)state;
    static const struct value_case minutes[] = {
        {"30", "30"},   {"30분", "30"},   {"1시간", "60"},  {"1시간 30분", "90"},
        {"1:30", "90"}, {"90 min", "90"}, {"반시간", NULL}, {"30초", NULL},
    };
    RUN(minutes, .as = CONVERT_MINUTES);
    static const struct value_case counts[] = {
        {"3회차", "3"}, {"1,200", "1200"}, {"4점", "4"}, {"회", NULL}};
    RUN(counts, .as = CONVERT_INT);
    static const struct value_case bools[] = {
        {"동의", "true"}, {"O", "true"},       {"예", "true"}, {"Y", "true"},
        {"1", "true"},    {"미동의", "false"}, {"x", "false"}, {"수신거부", "false"},
        {"N", "false"},   {"0", "false"},      {"글쎄", NULL}, {"동의?", NULL},
    };
    RUN(bools, .as = CONVERT_BOOL);
    static const struct value_case births[] = {
        {"900101-2******", "1990-01-01"}, {"900101-2345678", "1990-01-01"}, {"900101", NULL}};
    RUN(births, .as = CONVERT_RRN_BIRTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),   cmocka_unit_test(test_dates_without_year),
        cmocka_unit_test(test_months),  cmocka_unit_test(test_times),
        cmocka_unit_test(test_amounts), cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests_name("mapping: lists", tests, setup, teardown);
}
