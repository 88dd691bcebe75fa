/* Slices, numbers, base32, hexadecimal, UTF-8, JSON strings, buffers at their limits. */
#include "tests/lib/cm.h"

#include "core/base/buf.h"
#include "core/base/num.h"
#include "core/base/text.h"

#include <string.h>

static void slices(void **state)
{
    (void)state;
    struct str rest = STR("a,,b,"), piece;
    const char *want[] = {"a", "", "b", ""};
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_true(str_next(&rest, ',', &piece));
        assert_same(piece, str_of(want[i]), want[i]);
    }
    assert_false(str_next(&rest, ',', &piece));
    assert_same(str_trim(STR(" \t a b \r\n")), STR("a b"), "trim");
    assert_same(
        text_trim(STR("\xC2\xA0 \xE3\x80\x80 홍\xE3\x80\x80길동 \xE2\x80\x8B\xEF\xBB\xBF\n")),
        STR("홍\xE3\x80\x80길동"), "wide, fixed and zero-width blanks");
    assert_same(text_trim(STR(" \xE3\x80\x80\xC2\xA0")), STR(""), "nothing but blanks");
    assert_same(text_trim(STR("\xA0\x80")), STR("\xA0\x80"), "pieces of characters stay");
    assert_same(str_cut(STR("abc"), 2, 9), STR("c"), "cut beyond the end");
    assert_same(str_cut(STR("abc"), 9, 1), STR(""), "cut from beyond the end");
    assert_true(str_same(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_same(STR("ab"), STR("abc")));
    assert_true(str_cmp(STR("ab"), STR("abc")) < 0);
    assert_true(str_ends(STR("x.xml"), STR(".xml")));
    assert_int_equal(str_find(STR("abc"), 'z', 0), 3);
}

/* A text that is cut to fit an error keeps whole characters only. */
static void cut_texts(void **state)
{
    (void)state;
    static const char *const signs[] = {"x", "é", "가", "😀"};
    for (size_t s = 0; s < COUNT(signs); s++) {
        for (size_t lead = 0; lead < 8; lead++) {
            struct err e = {0};
            char text[600] = "";
            size_t sign = strlen(signs[s]);
            memset(text, 'a', lead);
            for (size_t n = lead; n + sign < sizeof text; n += sign) {
                memcpy(text + n, signs[s], sign);
            }
            ERR(&e, ERR_VALUE, 0, "%s", text);
            err_at(&e, "%s", text);
            assert_int_equal(strlen(e.msg), lead + (sizeof e.msg - 1 - lead) / sign * sign);
            assert_int_equal(strlen(e.where), lead + (sizeof e.where - 1 - lead) / sign * sign);
            err_in(&e, "%s", "a");
            assert_int_equal((strlen(e.msg) - strlen("a: ") - lead) % sign, 0);
        }
    }
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *why, *in;
        enum err_code (*read)(struct str, int64_t, int64_t, int64_t *, struct err *);
        enum err_code code;
        int64_t want;
        size_t pos;
    } rows[] = {
        {"plain", "42", num_i64, ERR_NONE, 42, 0},
        {"negative", "-7", num_i64, ERR_NONE, -7, 0},
        {"empty", "", num_i64, ERR_VALUE, 0, 0},
        {"only a sign", "-", num_i64, ERR_VALUE, 0, 1},
        {"letters behind", "12x", num_i64, ERR_VALUE, 0, 2},
        {"blank before", " 1", num_i64, ERR_VALUE, 0, 0},
        {"too large for the limit", "1001", num_i64, ERR_LIMIT, 0, 0},
        {"at the limit", "1000", num_i64, ERR_NONE, 1000, 0},
        {"larger than 64 bits", "99999999999999999999999", num_i64, ERR_VALUE, 0, 19},
        {"kilobytes", "1K", num_size, ERR_LIMIT, 0, 0},
        {"bytes", "640", num_size, ERR_NONE, 640, 0},
        {"unknown unit", "1q", num_size, ERR_VALUE, 0, 1},
        {"milliseconds", "250ms", num_ms, ERR_NONE, 250, 0},
        {"seconds", "1s", num_ms, ERR_NONE, 1000, 0},
        {"minutes are too long here", "1m", num_ms, ERR_LIMIT, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        int64_t got = 0;
        assert_row(rows[i].read(str_of(rows[i].in), -1000, 1000, &got, &e) == rows[i].code,
                   rows[i].why);
        assert_row(got == rows[i].want, rows[i].why);
        assert_row(rows[i].code != ERR_VALUE || rows[i].pos == 19 || e.pos == rows[i].pos,
                   rows[i].why);
    }
}

static void what_is_wrong_with_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum err_code (*read)(struct str, int64_t, int64_t, int64_t *, struct err *);
        int64_t min, max;
        const char *said;
    } rows[] = {
        {"5", num_ms, 0, 1000, "the unit behind the number is ms, s, m, h or d"},
        {"1q", num_size, 0, 1000, "the unit behind the number is k, m or g (none: bytes)"},
        {"0s", num_ms, 1000, 86400000, "must lie between 1s and 1d"},
        {"2h", num_ms, 0, 5400000, "must lie between 0ms and 90m"},
        {"1", num_size, 1024, 1 << 30, "must lie between 1k and 1g"},
        {"1g", num_size, 0, 1500, "must lie between 0 and 1500"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        int64_t got;
        assert_int_not_equal(rows[i].read(str_of(rows[i].in), rows[i].min, rows[i].max, &got, &e),
                             ERR_NONE);
        assert_string_equal(e.msg, rows[i].said);
    }
}

static void numbers_as_text(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        int width;
        const char *text;
    } cases[] = {
        {0, 1, "0"},
        {7, 3, "007"},
        {-35000, 1, "-35000"},
        {42, 20, "00000000000000000042"},
        {INT64_MAX, 1, "9223372036854775807"},
        {INT64_MIN, 20, "-09223372036854775808"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[NUM_TEXT];
        assert_true(str_is(num_text(cases[i].n, cases[i].width, text), cases[i].text));
    }
}

static void codings(void **state)
{
    (void)state;
    char text[32], bytes[4];
    struct err e = {0};
    text_base32((struct str){"\0\0\0\0\0", 5}, text);
    assert_string_equal(text, "00000000");
    text_base32((struct str){"\xff\xff\xff\xff\xff", 5}, text);
    assert_string_equal(text, "zzzzzzzz");
    text_base32(STR("0123456789abcdef"), text);
    assert_int_equal(strlen(text), 26);
    assert_int_equal(text_unhex(STR("00fFa5"), bytes, &e), ERR_NONE);
    assert_memory_equal(bytes, "\x00\xff\xa5", 3);
    assert_int_equal(text_unhex(STR("0g"), bytes, &e), ERR_VALUE);
    assert_int_equal(e.pos, 1);
    assert_int_equal(text_unhex(STR("abc"), bytes, &e), ERR_VALUE);
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct str in;
        size_t bad; /* == n: valid */
    } rows[] = {
        {"ascii", STR_INIT("abc"), 3},
        {"hangul", STR_INIT("홍길동"), 9},
        {"four bytes", STR_INIT("\xf0\x9f\x98\x80"), 4},
        {"overlong slash", STR_INIT("a\xc0\xaf"), 1},
        {"surrogate", STR_INIT("ab\xed\xa0\x80"), 2},
        {"above the last", STR_INIT("\xf4\x90\x80\x80"), 0},
        {"cut off", STR_INIT("a\xe3\x81"), 1},
        {"lone trail byte", STR_INIT("abcdefgh\x80"), 8},
        {"NUL is valid", STR_INIT("a\0b"), 3},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t bad = rows[i].in.n;
        bool valid = text_utf8(rows[i].in, &bad);
        assert_row(valid == (rows[i].bad == rows[i].in.n) && bad == rows[i].bad, rows[i].why);
    }
}

static void buffers(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    buf_addz(&b, "12345678");
    assert_true(buf_ok(&b));
    buf_addc(&b, '9');
    assert_false(buf_ok(&b));
    buf_addz(&b, "");
    assert_false(buf_ok(&b)); /* stays failed until reset */
    buf_reset(&b);
    assert_true(buf_ok(&b));
    buf_printf(&b, "%d", 1234);
    buf_drop(&b, 2);
    assert_same(buf_str(&b), STR("34"), "drop");
    buf_release(&b);

    buf_init(&b, 100);
    buf_json(&b, STR("a\"b\\c\n\x01홍"));
    assert_same(buf_str(&b), STR("\"a\\\"b\\\\c\\n\\u0001홍\""), "json");
    buf_release(&b);
}

static void visible(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    const struct {
        const char *in, *want;
    } rows[] = {{"", ""},
                {"MSG-1 홍\t é", "MSG-1 홍\t é"},
                {"\x1b[2J\x1b]0;x\x07", "?[2J?]0;x?"},
                {"a\r\nb\x7f", "a??b?"},
                {"\xc2\x9b[31m \xc2\xa0", "??[31m \xc2\xa0"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(text_visible(a, str_of(rows[i].in)), rows[i].want);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices),
        cmocka_unit_test(cut_texts),
        cmocka_unit_test(numbers),
        cmocka_unit_test(what_is_wrong_with_a_unit),
        cmocka_unit_test(numbers_as_text),
        cmocka_unit_test(codings),
        cmocka_unit_test(utf8),
        cmocka_unit_test(buffers),
        cmocka_unit_test(visible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
