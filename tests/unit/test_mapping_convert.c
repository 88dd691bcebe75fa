/* Conversions: HL7 times, amounts, minutes, Korean names, telephones, resident numbers. */
#include "core/mapping/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
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

struct row {
    enum conversion as;
    enum partial partial;
    const char *in;
    const char *out; /* NULL: left out */
    enum err_code code;
};

static void check_rows(const struct row *rows, size_t count, const struct convert_rules *base)
{
    for (size_t i = 0; i < count; i++) {
        struct convert_rules rules = *base;
        struct str out = {NULL, 0};
        struct err e = {0};
        rules.as = rows[i].as;
        rules.partial = rows[i].partial;
        enum err_code code = convert(&rules, arena, str_of(rows[i].in), &out, &e);
        if (code != rows[i].code) {
            fail_msg("%s: code %s, wanted %s", rows[i].in, err_name(code), err_name(rows[i].code));
        }
        if (code == ERR_NONE &&
            (!rows[i].out != !out.p || !str_is(out, rows[i].out ? rows[i].out : ""))) {
            fail_msg("%s: \"%.*s\", wanted \"%s\"", rows[i].in, STR_ARG(out),
                     rows[i].out ? rows[i].out : "(left out)");
        }
    }
}

#define CHECK_ROWS(rows, base) check_rows((rows), sizeof(rows) / sizeof(rows)[0], (base))

static void test_dates(void **state)
{
    static const struct row rows[] = {
        {CONVERT_DATE, PARTIAL_REFUSE, "20260311", "2026-03-11", ERR_NONE},
        {CONVERT_DATE, PARTIAL_REFUSE, "20240229", "2024-02-29", ERR_NONE},
        {CONVERT_DATE, PARTIAL_REFUSE, "20260229", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_REFUSE, "20260431", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_REFUSE, "20261301", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_REFUSE, "00000000", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_REFUSE, "19800412000000", "1980-04-12", ERR_NONE},
        {CONVERT_DATE, PARTIAL_REFUSE, "202603112330-0500", "2026-03-11", ERR_NONE},
        {CONVERT_DATE, PARTIAL_REFUSE, "2026-03-11", "2026-03-11", ERR_NONE},
        {CONVERT_DATE, PARTIAL_REFUSE, "2026.03.11", "2026-03-11", ERR_NONE},
        {CONVERT_DATE, PARTIAL_REFUSE, "2026/03/11", "2026-03-11", ERR_NONE},
        {CONVERT_DATE, PARTIAL_REFUSE, "2026-03.11", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_REFUSE, "26.3.11", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_REFUSE, "198004", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_LEAVE_OUT, "198004", NULL, ERR_NONE},
        {CONVERT_DATE, PARTIAL_LEAVE_OUT, "1980", NULL, ERR_NONE},
        {CONVERT_DATE, PARTIAL_START, "1980", "1980-01-01", ERR_NONE},
        {CONVERT_DATE, PARTIAL_LEAVE_OUT, "19800", NULL, ERR_VALUE},
        {CONVERT_DATE, PARTIAL_LEAVE_OUT, "모름", NULL, ERR_VALUE},
    };
    (void)state;
    struct convert_rules base = {0};
    CHECK_ROWS(rows, &base);
}

static void test_times(void **state)
{
    static const struct row rows[] = {
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311090000", "2026-03-11T09:00:00+09:00", ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202603110900", "2026-03-11T09:00:00+09:00", ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "2026031109", "2026-03-11T09:00:00+09:00", ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311090000.5", "2026-03-11T09:00:00.500000+09:00",
         ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311000000+0000", "2026-03-11T09:00:00+09:00",
         ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202603101900-0500", "2026-03-11T09:00:00+09:00", ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "2026-03-11T00:00:00Z", "2026-03-11T09:00:00+09:00",
         ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "2026-03-11 09:00", "2026-03-11T09:00:00+09:00", ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_LEAVE_OUT, "20260311", NULL, ERR_NONE},
        {CONVERT_TIME, PARTIAL_START, "20260311", "2026-03-11T00:00:00+09:00", ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202603112400", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202603110960", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311090060", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202602300900", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311090", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202603110900+9", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202603110900+9900", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "202603110900x", NULL, ERR_VALUE},
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311090000.", NULL, ERR_VALUE},
    };
    (void)state;
    struct convert_rules base = {0};
    CHECK_ROWS(rows, &base);

    /* the offset of MSH-7 holds for times that name none */
    static const struct row utc[] = {
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311090000", "2026-03-11T18:00:00+09:00", ERR_NONE},
        {CONVERT_TIME, PARTIAL_REFUSE, "20260311090000+0900", "2026-03-11T09:00:00+09:00",
         ERR_NONE},
    };
    base.has_offset = true;
    CHECK_ROWS(utc, &base);
}

static void test_numbers(void **state)
{
    static const struct row rows[] = {
        {CONVERT_KRW, PARTIAL_REFUSE, "35000", "35000", ERR_NONE},
        {CONVERT_KRW, PARTIAL_REFUSE, "35,000", "35000", ERR_NONE},
        {CONVERT_KRW, PARTIAL_REFUSE, "1,235,000.00", "1235000", ERR_NONE},
        {CONVERT_KRW, PARTIAL_REFUSE, "-5000", "-5000", ERR_NONE},
        {CONVERT_KRW, PARTIAL_REFUSE, "35000.5", NULL, ERR_VALUE},
        {CONVERT_KRW, PARTIAL_REFUSE, "3만5천", NULL, ERR_VALUE},
        {CONVERT_KRW, PARTIAL_REFUSE, ",5", NULL, ERR_VALUE},
        {CONVERT_KRW, PARTIAL_REFUSE, "99999999999999999999", NULL, ERR_VALUE},
        {CONVERT_INT, PARTIAL_REFUSE, "3", "3", ERR_NONE},
        {CONVERT_INT, PARTIAL_REFUSE, "3.0", "3", ERR_NONE},
        {CONVERT_INT, PARTIAL_REFUSE, "1,000", NULL, ERR_VALUE},
        {CONVERT_INT, PARTIAL_REFUSE, "three", NULL, ERR_VALUE},
        {CONVERT_BOOL, PARTIAL_REFUSE, "Y", "true", ERR_NONE},
        {CONVERT_BOOL, PARTIAL_REFUSE, "false", "false", ERR_NONE},
        {CONVERT_BOOL, PARTIAL_REFUSE, "0", "false", ERR_NONE},
        {CONVERT_BOOL, PARTIAL_REFUSE, "maybe", NULL, ERR_VALUE},
    };
    (void)state;
    struct convert_rules base = {0};
    CHECK_ROWS(rows, &base);
}

static void test_measures(void **state)
{
    static const struct {
        enum conversion as;
        bool has_unit;
        const char *unit, *in, *out;
        enum err_code code;
    } rows[] = {
        {CONVERT_MINUTES, true, "", "30", "30", ERR_NONE},
        {CONVERT_MINUTES, true, "min", "30", "30", ERR_NONE},
        {CONVERT_MINUTES, true, "MIN", "30.0", "30", ERR_NONE},
        {CONVERT_MINUTES, true, "hr", "2", "120", ERR_NONE},
        {CONVERT_MINUTES, true, "분", "20", "20", ERR_NONE},
        {CONVERT_MINUTES, true, "시간", "1", "60", ERR_NONE},
        {CONVERT_MINUTES, true, "s", "900", "15", ERR_NONE},
        {CONVERT_MINUTES, true, "s", "90", NULL, ERR_VALUE},
        {CONVERT_MINUTES, true, "weeks", "2", NULL, ERR_VALUE},
        {CONVERT_MINUTES, true, "min", "-5", NULL, ERR_VALUE},
        {CONVERT_MINUTES, false, "", "M30", "30", ERR_NONE},
        {CONVERT_MINUTES, false, "", "H1", "60", ERR_NONE},
        {CONVERT_MINUTES, false, "", "S900", "15", ERR_NONE},
        {CONVERT_MINUTES, false, "", "900", NULL, ERR_VALUE},
        {CONVERT_MINUTES, false, "", "2 hours", NULL, ERR_VALUE},
        {CONVERT_MINUTES, false, "", "D7", NULL, ERR_VALUE},
        {CONVERT_DAYS, true, "d", "7", "7", ERR_NONE},
        {CONVERT_DAYS, true, "DAYS", "30", "30", ERR_NONE},
        {CONVERT_DAYS, true, "일", "5", "5", ERR_NONE},
        {CONVERT_DAYS, true, "주", "2", "14", ERR_NONE},
        {CONVERT_DAYS, true, "", "D7", "7", ERR_NONE},
        {CONVERT_DAYS, true, "", "7", NULL, ERR_VALUE},
        {CONVERT_DAYS, true, "mo", "1", NULL, ERR_VALUE},
        {CONVERT_DAYS, true, "d", "1.5", NULL, ERR_VALUE},
        {CONVERT_DAYS, true, "d", "-7", NULL, ERR_VALUE},
        {CONVERT_DAYS, false, "", "D7", "7", ERR_NONE},
        {CONVERT_DAYS, false, "", "W2", "14", ERR_NONE},
        {CONVERT_DAYS, false, "", "L1", NULL, ERR_VALUE},
        {CONVERT_DAYS, false, "", "7", NULL, ERR_VALUE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct convert_rules rules = {
            .as = rows[i].as, .has_unit = rows[i].has_unit, .unit = str_of(rows[i].unit)};
        struct str out = {NULL, 0};
        struct err e = {0};
        assert_int_equal(convert(&rules, arena, str_of(rows[i].in), &out, &e), rows[i].code);
        assert_true(str_is(out, rows[i].out ? rows[i].out : ""));
    }
}

static void test_phones(void **state)
{
    static const struct {
        const char *in, *e164;
        enum phone_kind kind;
    } rows[] = {
        {"010-1234-5678", "+821012345678", PHONE_MOBILE},
        {"01012345678", "+821012345678", PHONE_MOBILE},
        {"010.1234.5678", "+821012345678", PHONE_MOBILE},
        {"1012345678", "+821012345678", PHONE_MOBILE}, /* a spreadsheet took the zero */
        {"+82 10-1234-5678", "+821012345678", PHONE_MOBILE},
        {"+82 010-1234-5678", "+821012345678", PHONE_MOBILE},
        {"821012345678", "+821012345678", PHONE_MOBILE},
        {"8201012345678", "+821012345678", PHONE_MOBILE},
        {"０１０－１２３４－５６７８", "+821012345678", PHONE_MOBILE},
        {"011-234-5678", "+82112345678", PHONE_MOBILE},
        {"010-123-4567", "", PHONE_UNKNOWN},
        {"02-123-4567", "+8221234567", PHONE_FIXED},
        {"(02) 1234-5678", "+82212345678", PHONE_FIXED},
        {"031-123-4567", "+82311234567", PHONE_FIXED},
        {"064-123-4567", "+82641234567", PHONE_FIXED},
        {"035-123-4567", "", PHONE_UNKNOWN}, /* no such area */
        {"070-1234-5678", "+827012345678", PHONE_INTERNET},
        {"0504-1234-5678", "+8250412345678", PHONE_PERSONAL},
        {"1588-1234", "+8215881234", PHONE_REPRESENTATIVE},
        {"1899-0000", "+8218990000", PHONE_REPRESENTATIVE},
        {"080-123-4567", "+82801234567", PHONE_REPRESENTATIVE},
        {"+1 212 555 0100", "+12125550100", PHONE_FOREIGN},
        {"(916)555-1111", "", PHONE_UNKNOWN},
        {"010-1111-2222 / 02-333-4444", "+821011112222", PHONE_MOBILE},
        {"/ 010-1111-2222", "+821011112222", PHONE_MOBILE},
        {"123-4567", "", PHONE_UNKNOWN}, /* no area code */
        {"없음", "", PHONE_UNKNOWN},
        {"010-1234-567a", "", PHONE_UNKNOWN},
        {"(02)555-1234X123B456CAny text", "+8225551234", PHONE_FIXED},
        {"010-1234-5678Cask for the guardian / after 6", "+821012345678", PHONE_MOBILE},
        {"02-555-1234 x12", "+8225551234", PHONE_FIXED},
        {"010-1234-567X8", "", PHONE_UNKNOWN},
        {"X010-1234-5678", "", PHONE_UNKNOWN},
        {"+1 212 555 01XX", "", PHONE_UNKNOWN}, /* hidden digits */
        {"+", "", PHONE_UNKNOWN},
        {"012345678901234567890123456789", "", PHONE_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[PHONE_TEXT];
        enum phone_kind kind = phone_parse(str_of(rows[i].in), out);
        if (kind != rows[i].kind || strcmp(out, rows[i].e164) != 0) {
            fail_msg("%s: kind %d, \"%s\"", rows[i].in, (int)kind, out);
        }
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *family, *given, *out;
    } rows[] = {
        {"홍", "길동", "홍길동"},
        {"홍길동", "", "홍길동"},
        {"홍 길동", "", "홍길동"},
        {"뷁", "믜", "뷁믜"},
        {"홍길동(소아)", "", "홍길동(소아)"},
        {"洪", "吉東", "洪吉東"},
        {"Smith", "John", "John Smith"},
        {"Smith", "", "Smith"},
        {"", "길동", "길동"},
        {"김", "Alice", "Alice 김"},
        {"남궁 ", " 민수", "남궁민수"},
        {"von Trapp", "Maria", "Maria von Trapp"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str out = convert_name(arena, str_of(rows[i].family), str_of(rows[i].given));
        if (!str_is(out, rows[i].out)) {
            fail_msg("\"%.*s\", wanted %s", STR_ARG(out), rows[i].out);
        }
    }
}

static void test_resident_numbers(void **state)
{
    static const struct {
        const char *text;
        bool inside, whole;
    } rows[] = {
        {"900101-1234567", true, true},
        {"9001011234567", true, true},
        {"900101 - 1234567", true, true},
        {"９００１０１－１２３４５６７", true, true},
        {"주민번호 900101-1234567 입니다", true, false},
        {"901301-1234567", false, false}, /* month 13 */
        {"900230-1234567", false, false},
        {"000229-3234567", true, true},   /* 2000 had a 29 February */
        {"000229-1234567", false, false}, /* 1900 had none */
        {"900101-1******", false, false},
        {"900101-123456", false, false},
        {"900101-12345678", false, false},
        {"1900101-1234567", false, false},
        {"20260311090000", false, false},
        {"010-1234-5678", false, false},
        {"1 900101-1234567", true, false},
        {"", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rrn_inside(str_of(rows[i].text)) != rows[i].inside ||
            rrn_is(str_of(rows[i].text), NULL) != rows[i].whole) {
            fail_msg("row %zu", i);
        }
    }
    static const struct row derived[] = {
        {CONVERT_RRN_BIRTH, PARTIAL_REFUSE, "900101-1234567", "1990-01-01", ERR_NONE},
        {CONVERT_RRN_BIRTH, PARTIAL_REFUSE, "050203-4234567", "2005-02-03", ERR_NONE},
        {CONVERT_RRN_BIRTH, PARTIAL_REFUSE, "050203-8234567", "2005-02-03", ERR_NONE},
        {CONVERT_RRN_BIRTH, PARTIAL_REFUSE, "123-45-6789", NULL, ERR_VALUE},
        {CONVERT_RRN_SEX, PARTIAL_REFUSE, "900101-1234567", "male", ERR_NONE},
        {CONVERT_RRN_SEX, PARTIAL_REFUSE, "900101-2234567", "female", ERR_NONE},
        {CONVERT_RRN_SEX, PARTIAL_REFUSE, "900101-5234567", "male", ERR_NONE},
        {CONVERT_TEXT, PARTIAL_REFUSE, "메모 900101-1234567", NULL, ERR_REFUSED},
        {CONVERT_TEXT, PARTIAL_REFUSE, "메모", "메모", ERR_NONE},
    };
    struct convert_rules base = {0};
    CHECK_ROWS(derived, &base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_phones),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_resident_numbers),
    };
    return cmocka_run_group_tests_name("mapping: conversions", tests, setup, teardown);
}
