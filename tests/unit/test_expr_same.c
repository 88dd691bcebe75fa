/*
 * One rule means the same on a record and in SQL. Here each row is evaluated on a record; with
 * --sql the program prints what PostgreSQL should say, and tests/integration/test_expr.sh asks it.
 * In a rule, @ is a value that is not there.
 */
#include "core/expr/expr.h"
#include "core/hl7/hl7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    enum truth wanted;
} rows[] = {
    {"true and @ = 'x'", TRUTH_UNKNOWN},
    {"false and @ = 'x'", TRUTH_FALSE},
    {"true or @ = 'x'", TRUTH_TRUE},
    {"false or @ = 'x'", TRUTH_UNKNOWN},
    {"not (@ = 'x')", TRUTH_UNKNOWN},
    {"@ != 'x'", TRUTH_UNKNOWN},
    {"@ is unknown", TRUTH_TRUE},
    {"@ is set", TRUTH_FALSE},
    {"@ is not set and lower(@) is unknown", TRUTH_TRUE},
    {"@ = @", TRUTH_UNKNOWN},
    {"'a' in ('a', @)", TRUTH_TRUE},
    {"'a' in ('b', @)", TRUTH_UNKNOWN},
    {"'a' not in ('b', @)", TRUTH_UNKNOWN},
    {"@ in ('a', 'b')", TRUTH_UNKNOWN},
    {"5 between 6 and length(@)", TRUTH_FALSE},
    {"7 between 6 and length(@)", TRUTH_UNKNOWN},
    {"5 not between 6 and 7", TRUTH_TRUE},
    {"'b' between 'B' and 'c'", TRUTH_TRUE},
    {"'b' between 'a' and 'B'", TRUTH_FALSE},
    {"'B' < 'a'", TRUTH_TRUE},
    {"'가' > 'z'", TRUTH_TRUE},
    {"'a' = 'A'", TRUTH_FALSE},
    {"lower('ÀB') = 'Àb'", TRUTH_TRUE},
    {"length('홍길동') = 3", TRUTH_TRUE},
    {"length('') = 0", TRUTH_TRUE},
    {"'it''s' = 'it''s' and 'a\\b' contains '\\'", TRUTH_TRUE},
    {"'50%' contains '%' and not ('50' contains '%')", TRUTH_TRUE},
    {"'abc' starts with 'ab' and not ('abc' starts with 'b')", TRUTH_TRUE},
    {"'abc' starts with ''", TRUTH_TRUE},
    {"@ starts with 'a'", TRUTH_UNKNOWN},
    {"'a' contains @", TRUTH_UNKNOWN},
    {"1 + 2 * 3 = 7 and (1 + 2) * 3 = 9 and 10 - 2 - 3 = 5", TRUTH_TRUE},
    {"6.5 = 6.50 and 1.5 * 2 = 3", TRUTH_TRUE},
    {"-3 < -2.5", TRUTH_TRUE},
    {"length(@) + 1 > 0", TRUTH_UNKNOWN},
    {"date('2026-03-11') + 1 = '2026-03-12'", TRUTH_TRUE},
    {"1 + date('2024-02-28') = '2024-02-29'", TRUTH_TRUE},
    {"date('2026-03-11') - date('2026-03-01') = 10", TRUTH_TRUE},
    {"days('2026-03-01', '2026-03-11') = 10", TRUTH_TRUE},
    {"days('2026-03-11', '2026-03-01') = -10", TRUTH_TRUE},
    {"year('2026-12-31') = 2026", TRUTH_TRUE},
    {"years('1976-06-17', '2026-06-16') = 49", TRUTH_TRUE},
    {"years('1976-06-17', '2026-06-17') = 50", TRUTH_TRUE},
    {"years('2024-02-29', '2025-02-28') = 0", TRUTH_TRUE},
    {"years('2024-02-29', '2025-03-01') = 1", TRUTH_TRUE},
    {"years('2025-03-01', '2024-02-29') = -1", TRUTH_TRUE},
    {"years('2026-06-17', '1976-06-17') = -50", TRUTH_TRUE},
    {"years('2026-06-17', '1976-06-18') = -49", TRUTH_TRUE},
    {"years('2025-03-31', '2024-02-29') = -1", TRUTH_TRUE},
    {"years('2024-01-31', '2025-01-30') = 0", TRUTH_TRUE},
    {"coalesce(@, 'x') = 'x'", TRUTH_TRUE},
    {"coalesce(@, @) = 'x'", TRUTH_UNKNOWN},
    {"greatest(1, length(@), 2.5) = 2.5", TRUTH_TRUE},
    {"least(3, length(@), 2) = 2", TRUTH_TRUE},
    {"greatest(length(@), length(@)) = 1", TRUTH_UNKNOWN},
    {"greatest('2026-01-01', date('2026-03-11')) = '2026-03-11'", TRUTH_TRUE},
    {"true != false", TRUTH_TRUE},
};

static const struct expr_name names[] = {{"nothing", EXPR_TEXT, "NULL::text", ""}, {0}};
static const struct expr_world world = {.names = names};

/* The text with another word for @. */
static const struct expr *parsed(struct arena *a, const char *text, const char *nothing)
{
    const struct expr *x;
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    for (; *text; text++) {
        if (*text == '@') {
            buf_addz(&b, nothing);
        } else {
            buf_addc(&b, *text);
        }
    }
    if (expr_parse(a, buf_str(&b), &x, &e) != ERR_NONE) {
        fail_msg("%s: %s at %zu", b.p, e.msg, e.pos);
    }
    buf_release(&b);
    return x;
}

static void test_on_a_record(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    const struct hl7_msg *m;
    assert_non_null(a);
    assert_int_equal(
        hl7_parse(a, STR("MSH|^~\\&|a|b|c|d|1||ADT^A04|1|P|2.5\r"), &hl7_default_limits, &m, NULL),
        ERR_NONE);
    const struct record *r = record_of_hl7(a, m);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expr *x = parsed(a, rows[i].text, "ZZZ-1");
        enum truth t;
        struct err e = {0};
        if (expr_bind_record(a, x, &record_hl7, &e) != ERR_NONE ||
            expr_test(x, r, a, NULL, &t, &e) != ERR_NONE) {
            fail_msg("%s: %s at %zu", rows[i].text, e.msg, e.pos);
        }
        if (t != rows[i].wanted) {
            fail_msg("%s: %d", rows[i].text, (int)t);
        }
    }
    arena_free(&a);
}

static int print_sql(void)
{
    static const char *const words[] = {"false", "true", "unknown"};
    struct arena *a = arena_new(0);
    struct buf sql;
    buf_init(&sql, 64 * 1024);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err e = {0};
        buf_reset(&sql);
        if (expr_sql(parsed(a, rows[i].text, "nothing"), &world, &sql, &e) != ERR_NONE) {
            fprintf(stderr, "%s: %s at %zu\n", rows[i].text, e.msg, e.pos);
            return 1;
        }
        printf("%s\t%s\t%s\n", words[rows[i].wanted], rows[i].text, sql.p);
    }
    buf_release(&sql);
    arena_free(&a);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_on_a_record)};
    if (argc > 1 && strcmp(argv[1], "--sql") == 0) {
        return print_sql();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
