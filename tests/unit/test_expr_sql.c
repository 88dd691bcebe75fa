/* Rules as SQL: golden text, refusals with their place, attempts to break out of a literal. */
#include "core/expr/expr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

static const struct expr_name names[] = {
    {"today", EXPR_DATE, "$1::date", ""},  {"now", EXPR_TIME, "$2::timestamptz", ""},
    {"age", EXPR_INT, "p.age", ""},        {"name", EXPR_TEXT, "p.name", ""},
    {"is_new", EXPR_BOOL, "p.is_new", ""}, {"last_visit_on", EXPR_DATE, "p.last_visit_on", ""},
    {"status", EXPR_TEXT, "p.status", ""}, {0},
};
static const struct expr_name inner[] = {
    {"start", EXPR_TIME, "x.start_at", ""},
    {"status", EXPR_TEXT, "x.status", ""},
    {0},
};
static const struct expr_set sets[] = {
    {"appointment", "SELECT 1 FROM a x WHERE x.site = p.site", inner, ""},
    {0},
};
static const struct expr_param params[] = {
    {"days", EXPR_INT, "7"},
    {"word", EXPR_TEXT, "o'clock"},
    {"from", EXPR_DATE, "2026-03-11"},
    {"flag", EXPR_BOOL, "true"},
    {"at", EXPR_TIME, "2026-03-11T09:00:00Z"},
    {"bad_int", EXPR_INT, "1); DROP"},
    {"bad_date", EXPR_DATE, "x'"},
    {"bad_flag", EXPR_BOOL, "maybe"},
    {"bad_time", EXPR_TIME, "noon"},
    {0},
};
static const struct expr_world world = {names, sets, params};

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

static enum err_code compile(struct str text, struct buf *out, struct err *e)
{
    const struct expr *x;
    buf_init(out, 64 * 1024);
    enum err_code code = expr_parse(arena, text, &x, e);
    assert_int_equal(code, ERR_NONE);
    return expr_sql(x, &world, out, e);
}

static void test_golden(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sql;
    } rows[] = {
        {"true", "true"},
        {"is_new", "(p.is_new)"},
        {"not is_new or false", "((NOT (p.is_new)) OR false)"},
        {"age >= 50 and age <= 59 and is_new",
         "(((p.age) >= '50'::bigint) AND ((p.age) <= '59'::bigint) AND (p.is_new))"},
        {"age between 50 and 59", "((p.age) BETWEEN '50'::bigint AND '59'::bigint)"},
        {"age > 1.5 * 2", "((p.age) > ('1.5'::numeric * '2'::bigint))"},
        {"age = -1", "((p.age) = '-1'::bigint)"},
        {"name = 'it''s'", "((p.name) = 'it''s'::text)"},
        {"name != 'x'", "((p.name) <> 'x'::text)"},
        {"name < 'x'", "((p.name) < 'x'::text COLLATE \"C\")"},
        {"name between 'a' and 'b'", "((p.name) COLLATE \"C\" BETWEEN 'a'::text AND 'b'::text)"},
        {"name = 'a\\'", "((p.name) = E'a\\\\'::text)"},
        {"name in ('a', 'b')", "((p.name) IN ('a'::text, 'b'::text))"},
        {"name not in ('a')", "(NOT ((p.name) IN ('a'::text)))"},
        {"name starts with 'a'", "starts_with((p.name), 'a'::text)"},
        {"name contains '%'", "(strpos((p.name), '%'::text) > 0)"},
        {"lower(name) = 'a'", "(lower((p.name) COLLATE \"C\") = 'a'::text)"},
        {"length(name) = 3", "(char_length((p.name))::bigint = '3'::bigint)"},
        {"name is set", "((p.name) IS NOT NULL)"},
        {"name is unknown", "((p.name) IS NULL)"},
        {"last_visit_on = '2026-03-11'", "((p.last_visit_on) = '2026-03-11'::date)"},
        {"last_visit_on < today - 180",
         "((p.last_visit_on) < (($1::date) - ('180'::bigint)::integer))"},
        {"last_visit_on = today + {days}",
         "((p.last_visit_on) = (($1::date) + ('7'::bigint)::integer))"},
        {"today - last_visit_on > 7", "((($1::date) - (p.last_visit_on)) > '7'::bigint)"},
        {"days(last_visit_on, today) > 7",
         "((($1::date) - (p.last_visit_on))::bigint > '7'::bigint)"},
        {"years(last_visit_on, today) >= 1",
         "(extract(year FROM age(($1::date), (p.last_visit_on)))::bigint >= '1'::bigint)"},
        {"year(today) = 2026", "(extract(year FROM ($1::date))::bigint = '2026'::bigint)"},
        {"now + 1 > now", "((($2::timestamptz) + make_interval(days => ('1'::bigint)::integer)) > "
                          "($2::timestamptz))"},
        {"date(now) = {from}", "((($2::timestamptz))::date = '2026-03-11'::date)"},
        {"now > {at}", "(($2::timestamptz) > '2026-03-11T09:00:00Z'::timestamptz)"},
        {"now > '2026-03-11T09:00:00+09:00'",
         "(($2::timestamptz) > '2026-03-11T09:00:00+09:00'::timestamptz)"},
        {"{flag} and name = {word}", "('true'::boolean AND ((p.name) = 'o''clock'::text))"},
        {"coalesce(age, 0) = 0", "(coalesce((p.age), '0'::bigint) = '0'::bigint)"},
        {"coalesce('2026-01-01', last_visit_on) < today",
         "(coalesce('2026-01-01'::date, (p.last_visit_on)) < ($1::date))"},
        {"greatest(age, 1.5) > least(1, 2)",
         "(greatest((p.age), '1.5'::numeric) > least('1'::bigint, '2'::bigint))"},
        {"exists appointment (status = 'booked' and date(start) = today + 1)",
         "EXISTS (SELECT 1 FROM a x WHERE x.site = p.site AND (((x.status) = 'booked'::text) AND "
         "(((x.start_at))::date = (($1::date) + ('1'::bigint)::integer))))"},
        {"count appointment (true) >= 3 and status = 'x'",
         "(((SELECT count(*) FROM (SELECT 1 FROM a x WHERE x.site = p.site AND true) AS n) >= "
         "'3'::bigint) AND ((p.status) = 'x'::text))"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        struct err e = {0};
        if (compile(str_of(rows[i].text), &out, &e) != ERR_NONE) {
            fail_msg("%s: %s at %zu", rows[i].text, e.msg, e.pos);
        }
        assert_string_equal(out.p, rows[i].sql);
        buf_release(&out);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        size_t pos;
    } rows[] = {
        {"nobody = 1", ERR_UNSUPPORTED, 0},
        {"age = 1 and start > now", ERR_UNSUPPORTED, 12}, /* only inside the set */
        {"PID-3 = 1", ERR_UNSUPPORTED, 0},
        {"age = {nothing}", ERR_UNSUPPORTED, 6},
        {"exists visit (true)", ERR_UNSUPPORTED, 0},
        {"exists appointment (exists appointment (true))", ERR_UNSUPPORTED, 20},
        {"exists appointment (start)", ERR_VALUE, 20},
        {"name is empty", ERR_UNSUPPORTED, 5},
        {"age", ERR_VALUE, 0},
        {"age = 'x'", ERR_VALUE, 6},
        {"name = 1", ERR_VALUE, 7},
        {"now < today", ERR_VALUE, 6},
        {"last_visit_on = '11.3.2026'", ERR_VALUE, 16},
        {"now = '2026-03-11'", ERR_VALUE, 6},
        {"now - now = 1", ERR_VALUE, 4},
        {"today + 1.5 = today", ERR_VALUE, 6},
        {"is_new < true", ERR_VALUE, 7},
        {"lower(age) = 'x'", ERR_VALUE, 6},
        {"age = {bad_int}", ERR_VALUE, 6},
        {"today = {bad_date}", ERR_VALUE, 8},
        {"{bad_flag}", ERR_VALUE, 0},
        {"now = {bad_time}", ERR_VALUE, 6},
        {"today = {word}", ERR_VALUE, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        struct err e = {0};
        enum err_code code = compile(str_of(rows[i].text), &out, &e);
        if (code != rows[i].code || e.pos != rows[i].pos) {
            fail_msg("%s: %s at %zu (%s)", rows[i].text, err_name(code), e.pos, e.msg);
        }
        buf_release(&out);
    }
}

/* Reads one literal as PostgreSQL would; returns what is behind it. */
static struct str behind_literal(struct str sql)
{
    bool escapes = sql.p[0] == 'E';
    size_t i = escapes ? 2 : 1;
    for (; i < sql.n; i++) {
        if (escapes && sql.p[i] == '\\') {
            i++;
        } else if (sql.p[i] == '\'') {
            if (i + 1 < sql.n && sql.p[i + 1] == '\'') {
                i++;
                continue;
            }
            return str_cut(sql, i + 1, sql.n);
        }
    }
    fail_msg("the literal does not end");
    return sql;
}

static void test_injection(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "name = '''; DROP TABLE dari.event; --'",
        "name = '\\''; DROP TABLE x; --'",
        "name = '\\\\'''",
        "name = '$$; --'",
        "name = '''::text) OR true OR (''a'''",
        "name = '\n--\n/*'",
        "name = 'ＡＢＣ＇; --'",
    };
    static const struct str before = STR_INIT("((p.name) = ");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        assert_int_equal(compile(str_of(rows[i]), &out, NULL), ERR_NONE);
        assert_true(str_starts(buf_str(&out), before));
        struct str rest = behind_literal(str_cut(buf_str(&out), before.n, out.n));
        assert_true(str_is(rest, "::text)"));
        buf_release(&out);
    }
}

/* The same rule may be compiled again, also for another world. */
static void test_again(void **state)
{
    (void)state;
    static const struct expr_name other[] = {{"age", EXPR_DATE, "q.age", ""}, {0}};
    static const struct expr_world second = {other, sets, NULL};
    const struct expr *x;
    struct buf out;
    struct err e = {0};
    buf_init(&out, 1024);
    assert_int_equal(expr_parse(arena, STR("age = '2026-01-01'"), &x, NULL), ERR_NONE);
    assert_int_equal(expr_sql(x, &world, &out, &e), ERR_VALUE);
    assert_int_equal(expr_sql(x, &second, &out, NULL), ERR_NONE);
    assert_string_equal(out.p, "((q.age) = '2026-01-01'::date)");
    buf_release(&out);
}

static void test_no_room(void **state)
{
    (void)state;
    const struct expr *x;
    struct buf out;
    buf_init(&out, 10);
    assert_int_equal(expr_parse(arena, STR("age = 1"), &x, NULL), ERR_NONE);
    assert_int_equal(expr_sql(x, &world, &out, NULL), ERR_LIMIT);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_injection), cmocka_unit_test(test_again),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
