/* core/table: the canonical form of a row, the normal form of a header, the dictionary. */
#include "core/base/file.h"
#include "core/base/rrn.h"
#include "core/table/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void test_write(void **state)
{
    (void)state;
    struct str header[] = {STR("차트번호"), STR("메모, 비고"), STR("")};
    struct str before[] = {STR("1001"), STR("두\n줄"), STR(" 앞뒤 ")};
    struct str now[] = {STR("1001"), STR("그는 \"네\""),
                        STR("주민 900101-1234567 와 9001011234567")};
    static const char whole[] =
        "#,차트번호,\"메모, 비고\",\n-,1001,\"두\n줄\",\" 앞뒤 \"\n"
        "+,1001,\"그는 \"\"네\"\"\",주민 900101-1****** 와 900101-1******\n";
    struct buf b;
    buf_init(&b, 1000);
    row_write(&b, header, 3, before, now);
    assert_true(buf_ok(&b));
    assert_string_equal(b.p, whole);
    struct row row;
    struct row_cache *cache = row_cache_new();
    struct err e = {0};
    for (int i = 0; i < 3; i++) { /* without a cache, filling it, and out of it */
        assert_int_equal(i ? row_parse_cached(arena, buf_str(&b), cache, &row, &e)
                           : row_parse(arena, buf_str(&b), &row, &e),
                         ERR_NONE);
        assert_int_equal(row.change, ROW_CHANGED);
        assert_int_equal(row.layout->count, 3);
        assert_true(str_eq(row.layout->header[1], header[1]));
        for (size_t k = 0; k < 3; k++) {
            assert_true(str_eq(row.before[k], before[k]));
            assert_true(k == 2 || str_eq(row.now[k], now[k]));
        }
    }
    buf_reset(&b);
    row_write(&b, header, 3, NULL, before);
    assert_int_equal(row_parse_cached(arena, buf_str(&b), cache, &row, &e), ERR_NONE);
    assert_int_equal(row.change, ROW_NEW);
    buf_reset(&b);
    row_write(&b, header, 2, before, NULL);
    assert_int_equal(row_parse_cached(arena, buf_str(&b), cache, &row, &e), ERR_NONE);
    assert_int_equal(row.change, ROW_GONE);
    assert_int_equal(row.layout->count, 2);
    row_cache_free(&cache);
    buf_release(&b);
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum err_code code;
        size_t pos;
    } rows[] = {
        {"#,a\n+,1\n", ERR_NONE, 0},        {"#,\n+,\n", ERR_NONE, 0},
        {"#,a\n", ERR_SYNTAX, 4},           {"#,a", ERR_SYNTAX, 3},
        {"#\n+,1\n", ERR_SYNTAX, 0},        {"#,a,b\n+,1\n", ERR_SYNTAX, 9},
        {"#,a\n+,1,2\n", ERR_SYNTAX, 8},    {"#,a\n+,1\n-,1\n", ERR_SYNTAX, 8},
        {"#,a\n+,1\n+,1\n", ERR_SYNTAX, 8}, {"#,a\n+,\"1\n", ERR_SYNTAX, 9},
        {"#,a\n+,\"1\"x\n", ERR_SYNTAX, 9}, {"#,a\n+,\xFF\n", ERR_CHARSET, 6},
        {"a,b\n1,2\n", ERR_SYNTAX, 0},
    };
    struct row_cache *cache = row_cache_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct row row;
        struct err e = {0};
        enum err_code code = row_parse_cached(arena, str_of(rows[i].bytes), cache, &row, &e);
        if (code != rows[i].code || e.pos != rows[i].pos) {
            fail_msg("%s: %s at %zu", rows[i].bytes, err_name(code), e.pos);
        }
        assert_int_equal(row_parse(arena, str_of(rows[i].bytes), &row, &e), rows[i].code);
    }
    row_cache_free(&cache);

    /* rows that are kept as they were found: what is wrong with them is said again */
    struct row row;
    struct err e = {0};
    row_parse(arena, STR("#,a,b,c\n+,1\n"), &row, &e);
    assert_string_equal(e.msg, "1 cells where the header has 3");
    row_parse(arena, STR("#,a\n+,1,2\n"), &row, &e);
    assert_string_equal(e.msg, "more cells than the header has (1)");
}

static void test_keys(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"차트번호", "차트번호"},
        {" 차트 번호* ", "차트번호"},
        {"연락처(보호자)", "연락처보호자"},
        {"초/재진", "초재진"},
        {"Ｎａｍｅ", "name"},
        {"Cust-ID.", "custid"},
        {"예약\r\n일시", "예약일시"},
        {"　성명　", "성명"},
        {"()", ""},
        {"\xE1\x84\x8B\xE1\x85\xB5\xE1\x84\x85\xE1\x85\xB3\xE1\x86\xB7", "이름"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct header_key k = header_key(arena, str_of(rows[i][0]));
        if (!str_is(k.text, rows[i][1])) {
            fail_msg("%s: %.*s", rows[i][0], STR_ARG(k.text));
        }
    }
}

static const char *column_of(const struct header_names *names, const char *header)
{
    struct header_key k = header_key(arena, str_of(header));
    const struct header_column *c = header_find(names, &k);
    return c ? c->name : "";
}

/* The aliases of the dictionary that is shipped. */
static void test_dictionary(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"챠트번호", "chart_no"},
        {"CustID", "chart_no"},
        {"수진자명", "name"},
        {"생일", "birth_on"},
        {"핸드폰", "phone_mobile"},
        {"Tel", "phone_home"},
        {"연락처(보호자)", "guardian_phone"},
        {"보험구분", "insurance"},
        {"최근내원일", "last_visit_on"},
        {"초진일", "first_visit_on"},
        {"방문경로", "inflow"},
        {"진료과목", "dept"},
        {"주치의", "provider"},
        {"예약일자", "appt_date"},
        {"예약시각", "appt_time"},
        {"예약상태", "status"},
        {"스티커", "tags"},
        {"리콜일", "recall_on"},
        {"고객 반응", "reaction"},
        {"시술명", "treatment"},
        {"상담내용", "consult_text"},
        {"주민번호", "rrn"},
        {"정보동의", "consent_ad"},
        {"동의일자", "consent_on"},
        {"chart_no", "chart_no"},
        {"무엇", ""},
    };
    struct problems p = {0};
    const struct header_names *names = header_load(arena, "mappings/headers.xml", &p);
    assert_int_equal(p.count, 0);
    assert_non_null(names);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(column_of(names, rows[i][0]), rows[i][1]);
    }
    assert_true(header_named(names, STR("rrn"))->rrn);
    problems_release(&p);
}

static void test_dictionary_problems(void **state)
{
    (void)state;
    char path[] = "/tmp/dari-headers-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"<headers xmlns=\"urn:dari:headers:1\"><column name=\"a\"><alias header=\"이 "
         "름\"/></column>\n"
         "<column name=\"b\"><alias header=\"이름\"/></column></headers>",
         ":2: this header is an alias of a already"},
        {"<headers xmlns=\"urn:dari:headers:1\"><column name=\"a\"><alias header=\"( )\"/></column>"
         "</headers>",
         ":1: an alias has at least one letter or digit"},
        {"<headers xmlns=\"urn:dari:headers:1\"><column nam=\"a\"/></headers>", ":1: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct problems p = {0};
        assert_int_equal(file_write(path, str_of(rows[i].text), 0600, NULL), ERR_NONE);
        header_load(arena, path, &p);
        assert_true(p.count > 0);
        assert_non_null(strstr(p.text, rows[i].expected));
        problems_release(&p);
    }
    close(fd);
    unlink(path);
}

static void test_masks(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        /* anywhere, in a column that is said to hold them */
        {"900101-1234567", "900101-1******", "900101-1******"},
        {"9001011234567", "900101-1******", "900101-1******"},
        {"900101 - 1234567", "900101-1******", "900101-1******"},
        {"９００１０１－１２３４５６７", "900101-1******", "900101-1******"},
        {"x 900101-1234567 y 050315-4234567.", "x 900101-1****** y 050315-4******.",
         "x 900101-1****** y 050315-4******."},
        {"991301-1234567", "991301-1234567", "991301-1******"}, /* no such month */
        {"19001011234567", "19001011234567", "1900101*******"}, /* fourteen digits */
        {"900101-1******", "900101-1******", "900101-1******"},
        {"900101-12345", "900101-12345", "900101-1****"},
        {"010-1234-5678", "010-1234-5678", "010-1234-****"},
        {"501013234567", "501013234567", "050101-3******"}, /* a spreadsheet dropped the zero */
        {" 1013234567", " 1013234567", "000101-3******"},
        {"501012234567", "501012234567", "5010122*****"}, /* nobody born in 1905 */
        {"513013234567", "513013234567", "5130132*****"},
        {"01012345678", "01012345678", "0101234****"},
        {"", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str any = rrn_mask(arena, str_of(rows[i][0]));
        struct str all = rrn_mask_all(arena, str_of(rows[i][0]));
        if (!str_is(any, rows[i][1]) || !str_is(all, rows[i][2])) {
            fail_msg("%s: %.*s, %.*s", rows[i][0], STR_ARG(any), STR_ARG(all));
        }
    }
    struct rrn r;
    assert_true(rrn_masked(STR("900101-2******"), &r));
    assert_int_equal(r.year, 1990);
    assert_int_equal(r.sex, 'F');
    assert_false(rrn_masked(STR("900101-2*****"), NULL));
    assert_false(rrn_masked(STR("901301-2******"), NULL));
    assert_false(rrn_masked(STR("900101-2345678"), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_dictionary),
        cmocka_unit_test(test_dictionary_problems),
        cmocka_unit_test(test_masks),
    };
    return cmocka_run_group_tests_name("table: rows and headers", tests, setup, teardown);
}
