/* The grammar: what is accepted, and each refusal with its code and place. */
#include "core/expr/expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

static void test_accepted(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "true",
        "a",
        "a = 1",
        " a\t=\n1 ",
        "a != 'it''s'",
        "a = ''",
        "not not a",
        "a and b or not c and (d or e)",
        "(a)",
        "((a = 1)) and ((b)) = 2",
        "a + 1 - 2 * 3 = -4",
        "a -1 = b",
        "a is not set and b is unknown",
        "a not in (1, 2, b)",
        "a in ('x')",
        "a between 1 and 2 and b",
        "a not between b + 1 and c or d",
        "a starts with 'x' or a contains 'y'",
        "exists appointment (status = 'x')",
        "count appointment (status = 'x') >= 3",
        "coalesce(a, lower(b), 'c') = 'd'",
        "PID is set",
        "PID(2)-3(1).1.2 = '1'",
        "PID-3[5='M''R]'].1 = '1'",
        "PID-3-1 = 2",
        "PID-3 - 1 = 2",
        "ZTG-1 is absent",
        "Z01(2) is set",
        "{anything 'at' all} = 1",
        "OBX-5 >= 6.5",
        "set = 1 and empty = 2", /* words of `is` alone are names */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expr *x = NULL;
        struct err e = {0};
        if (expr_parse(arena, str_of(rows[i]), &x, &e) != ERR_NONE || !x) {
            fail_msg("%s: %s at %zu", rows[i], e.msg, e.pos);
        }
        arena_reset(arena);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t pos;
    } rows[] = {
        {"", 0},
        {"  ", 2},
        {"a =", 3},
        {"= 1", 0},
        {"a = 1 b", 6},
        {"a = 1 and", 9},
        {"a or or b", 5},
        {"(a", 2},
        {"a)", 1},
        {"a = 'x", 4},
        {"a = 'x''", 4},
        {"{a = 1", 0},
        {"a = # 1", 4},
        {"a == 1", 3},
        {"a <> 1", 3},
        {"Abc = 1", 0},
        {"aB = 1", 1},
        {"PIDX-1 = 1", 3},
        {"PID-1.a = 1", 5},
        {"PI-1 = 1", 0},
        {"1a = 1", 1},
        {"1. = 1", 1},
        {"a is", 4},
        {"a is not", 8},
        {"a is big", 5},
        {"a not = 1", 6},
        {"a not starts with 'x'", 6},
        {"a starts 'x'", 9},
        {"a in 1", 5},
        {"a in ()", 6},
        {"a in (1", 7},
        {"a in (1,)", 8},
        {"a between 1", 11},
        {"a between 1 or 2", 12},
        {"between = 1", 0},
        {"1", 0},
        {"'x'", 0},
        {"a + 1", 2},
        {"a and 1", 6},
        {"a and b + 1", 8},
        {"not 1", 4},
        {"(a = 1) = true", 3},
        {"(a = 1) + 1 = 2", 3},
        {"1 + (a = 1) = 2", 7},
        {"a = (b or c)", 5},
        {"a in (b = 1)", 8},
        {"lower(a = 1) = 'x'", 8},
        {"nothing(a) = 1", 0},
        {"lower() = 1", 6},
        {"lower(a, b) = 1", 0},
        {"days(a) = 1", 0},
        {"exists (a)", 7},
        {"exists b a", 9},
        {"exists b (1)", 10},
        {"exists b (a", 11},
        {"count b (a)", 0},
        {"a - = 1", 4},
        {"a = - 1", 4},
        {"a = -b", 4},
        {"a = 'x\xff'", 6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expr *x = NULL;
        struct err e = {0};
        enum err_code code = expr_parse(arena, str_of(rows[i].text), &x, &e);
        if (code != ERR_SYNTAX || e.pos != rows[i].pos || x) {
            fail_msg("%s: %s at %zu (%s)", rows[i].text, err_name(code), e.pos, e.msg);
        }
    }
}

static void test_nul(void **state)
{
    (void)state;
    struct err e = {0};
    const struct expr *x;
    assert_int_equal(expr_parse(arena, (struct str){"a = 'b\0c'", 10}, &x, &e), ERR_SYNTAX);
    assert_int_equal(e.pos, 4);
    assert_int_equal(expr_parse(arena, (struct str){"a\0", 2}, &x, &e), ERR_SYNTAX);
    assert_int_equal(e.pos, 1);
}

/* `open` n times, then middle, then `close` n times. */
static void repeat(struct buf *b, const char *open, const char *middle, const char *close, size_t n)
{
    buf_reset(b);
    for (size_t i = 0; i < n; i++) {
        buf_addz(b, open);
    }
    buf_addz(b, middle);
    for (size_t i = 0; i < n; i++) {
        buf_addz(b, close);
    }
}

/* At each limit it is accepted, one above it is not. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *open, *middle, *close;
        size_t good, pos;
    } rows[] = {
        {"(", "a", ")", 31, 32},    {"not ", "a", "", 31, 4 * 32}, {"", "a", " and a", 510, 0},
        {" ", "a", "", 8191, 8192}, {"", "a = 1", "2", 14, 4},
    };
    struct buf b;
    buf_init(&b, 64 * 1024);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expr *x;
        struct err e = {0};
        repeat(&b, rows[i].open, rows[i].middle, rows[i].close, rows[i].good);
        assert_int_equal(expr_parse(arena, buf_str(&b), &x, &e), ERR_NONE);
        repeat(&b, rows[i].open, rows[i].middle, rows[i].close, rows[i].good + 1);
        assert_int_equal(expr_parse(arena, buf_str(&b), &x, &e), ERR_LIMIT);
        if (e.pos != rows[i].pos) {
            fail_msg("row %zu: %zu", i, e.pos);
        }
    }
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
