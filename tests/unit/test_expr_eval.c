/* Conditions on a record: three-valued logic, comparisons, functions, refusals when bound. */
#include "core/expr/expr.h"
#include "core/hl7/hl7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static const struct record *record;

static const char message[] =
    "MSH|^~\\&|EMR|H|DARI|D|20260311093000+0900||ADT^A04^ADT_A01|1|P|2.5.1\r"
    "PID|1||00012^^^H^PI~T99^^^H^MR||홍길동||19760617|M||\"\"|\r"
    "PV1|1|O||||||||||||||||||||||||||||||||||||||||||202603110930|20260312\r"
    "OBX|1|NM|A||6.50\r"
    "OBX|2|NM|B||positive\r";

static int setup(void **state)
{
    (void)state;
    const struct hl7_msg *m;
    arena = arena_new(0);
    if (!arena || hl7_parse(arena, (struct str){message, sizeof message - 1}, &hl7_default_limits,
                            &m, NULL)) {
        return -1;
    }
    record = record_of_hl7(arena, m);
    return record ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* With the type of the message filled in, a condition says the same. */
static void check_given(const struct expr *x, const struct record_scope *scope, enum truth wanted,
                        const char *text)
{
    static const struct expr_known type[] = {
        {"MSH-9.1", STR_INIT("ADT")}, {"MSH-9.2", STR_INIT("A04")}, {NULL, STR_INIT("")}};
    const struct expr *left;
    enum truth settled, t;
    assert_int_equal(expr_given(arena, x, type, &left, &settled), ERR_NONE);
    assert_int_equal(expr_test(left, record, arena, scope, &t, NULL), ERR_NONE);
    if (t != wanted || (settled != TRUTH_UNKNOWN && settled != wanted)) {
        fail_msg("%s: %d with its type, %d without", text, (int)t, (int)wanted);
    }
}

static enum truth test_text(const char *text, const struct record_scope *scope)
{
    const struct expr *x;
    struct err e = {0};
    enum truth t;
    if (expr_parse(arena, str_of(text), &x, &e) != ERR_NONE ||
        expr_bind_record(arena, x, &record_hl7, &e) != ERR_NONE ||
        expr_test(x, record, arena, scope, &t, &e) != ERR_NONE) {
        fail_msg("%s: %s at %zu", text, e.msg, e.pos);
    }
    check_given(x, scope, t, text);
    return t;
}

enum { F = TRUTH_FALSE, T = TRUTH_TRUE, U = TRUTH_UNKNOWN };

struct row {
    const char *text;
    int wanted;
};

static void run(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int got = (int)test_text(rows[i].text, NULL);
        if (got != rows[i].wanted) {
            fail_msg("%s: %d instead of %d", rows[i].text, got, rows[i].wanted);
        }
    }
}
#define RUN(rows) run((rows), sizeof(rows) / sizeof(rows)[0])

/* Kleene's tables; unknown is a comparison with an absent field. */
static void test_truth_tables(void **state)
{
    (void)state;
    static const char *const words[] = {"false", "true", "ZZZ-1 = 'x'"};
    static const int conjunction[3][3] = {{F, F, F}, {F, T, U}, {F, U, U}};
    static const int disjunction[3][3] = {{F, T, U}, {T, T, T}, {U, T, U}};
    static const int negation[3] = {T, F, U};
    char text[100];
    for (int a = 0; a < 3; a++) {
        snprintf(text, sizeof text, "not %s", words[a]);
        assert_int_equal(test_text(text, NULL), negation[a]);
        for (int b = 0; b < 3; b++) {
            snprintf(text, sizeof text, "%s and %s", words[a], words[b]);
            assert_int_equal(test_text(text, NULL), conjunction[a][b]);
            snprintf(text, sizeof text, "%s or %s", words[a], words[b]);
            assert_int_equal(test_text(text, NULL), disjunction[a][b]);
        }
    }
}

static void test_states(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"PID-5 is set", T},      {"PID-5 is absent", F},     {"PID-5 is unknown", F},
        {"PID-9 is empty", T},    {"PID-9 is set", F},        {"PID-9 is unknown", T},
        {"PID-10 is null", T},    {"PID-10 is empty", F},     {"PID-10 is unknown", T},
        {"PID-40 is absent", T},  {"PID-40 is empty", F},     {"ZZZ-1 is absent", T},
        {"PID-40 is not set", T}, {"PID-5 is not absent", T}, {"(PID-5) is set", T},
        {"PID-9 = ''", U},        {"PID-10 = ''", U},         {"PID-9 != 'x'", U},
        {"not (PID-9 = 'x')", U}, {"lower(PID-9) is set", F}, {"lower(PID-9) is unknown", T},
        {"PID is set", T},        {"ZZZ is set", F},          {"OBX(2) is set", T},
        {"OBX(3) is set", F},     {"date(PV1-44) is set", T}, {"date(PID-5) is unknown", T},
    };
    RUN(rows);
}

static void test_comparisons(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"PID-8 = 'M'", T},
        {"PID-8 != 'M'", F},
        {"PID-8 = 'm'", F},
        {"lower(PID-8) = 'm'", T},
        {"PID-5 = '홍길동'", T},
        {"length(PID-5) = 3", T},
        {"PID-3.1 = '00012'", T},
        {"PID-3.1 = 12", T},
        {"PID-3.1 = '12'", F},
        {"{PID-3[5='MR'].1} = 'T99'", T},
        {"PID-3[5='MR'].1 starts with 'T'", T},
        {"PID-3(2).1 contains '9'", T},
        {"PID-3(2).1 contains 'T99x'", F},
        {"PID-3(2).1 contains ''", T},
        {"PID-9 contains 'x'", U},
        {"OBX-5 = 6.5", T},
        {"OBX-5 >= 6.51", F},
        {"OBX-5 > 6", T},
        {"OBX-5 < 10", T},   /* numeric, */
        {"OBX-5 < '10'", F}, /* by byte */
        {"OBX(2)-5 > 5", U}, /* no number */
        {"OBX(2)-5 != 5", U},
        {"PID-8 in ('F', 'M')", T},
        {"PID-8 in ('F', 'O')", F},
        {"PID-8 not in ('F', 'O')", T},
        {"PID-8 in ('F', PID-9)", U},
        {"PID-8 in ('M', PID-9)", T},
        {"PID-8 not in ('F', PID-9)", U},
        {"OBX-5 between 6 and 7", T},
        {"OBX-5 not between 6 and 7", F},
        {"OBX-5 between 7 and PID-9", F},
        {"OBX-5 between 6 and PID-9", U},
        {"OBX-5 + 1 = 7.5", T},
        {"OBX-5 * 2 - 3 = 10", T},
        {"1 + 2 * 3 = 7", T},
        {"(1 + 2) * 3 = 9", T},
        {"10 - 2 - 3 = 5", T},
        {"OBX(2)-5 + 1 = 1", U},
        {"-1 < 0", T},
        {"true = true", T},
        {"true != true", F},
        {"'a' < 'b'", T},
    };
    RUN(rows);
}

static void test_functions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"date(PV1-44) = '2026-03-11'", T},
        {"'2026-03-11' = date(PV1-44)", T},
        {"date(PV1-44) < date(PV1-45)", T},
        {"date(PV1-44) + 1 = date(PV1-45)", T},
        {"1 + date(PV1-44) = date(PV1-45)", T},
        {"date(PV1-45) - date(PV1-44) = 1", T},
        {"date(PV1-44) in ('2026-03-10', '2026-03-11')", T},
        {"date(PV1-44) between '2026-03-01' and '2026-03-31'", T},
        {"date(MSH-7) = date('2026-03-11')", T},
        {"date(PID-5) = '2026-03-11'", U},
        {"date(PV1-44) + 9999999 = '2026-03-11'", U},
        {"year(date(PID-7)) = 1976", T},
        {"days(date(PID-7), '1976-06-20') = 3", T},
        {"years(date(PID-7), '2026-06-16') = 49", T},
        {"years(date(PID-7), '2026-06-17') = 50", T},
        {"years('2024-02-29', '2025-02-28') = 0", T},
        {"years('2024-02-29', '2025-03-01') = 1", T},
        {"years('2026-06-17', '1976-06-17') = -50", T},
        {"coalesce(PID-9, PID-10, PID-8) = 'M'", T},
        {"coalesce(PID-9, 'x') = 'x'", T},
        {"coalesce(PID-9, PID-40) = 'x'", U},
        {"coalesce(OBX(2)-5, 0) = 'positive'", T},
        {"greatest(OBX-5, PID-9, 3) = 6.5", T},
        {"least(OBX-5, 3, OBX(2)-5) = 3", T},
        {"greatest(date(PV1-44), date(PV1-45)) = '2026-03-12'", T},
        {"greatest(PID-9, PID-40) = 1", U},
        {"length(lower('ABC한')) = 4", T},
    };
    RUN(rows);
}

static void test_scope(void **state)
{
    (void)state;
    const struct record_path *over;
    assert_int_equal(record_path(arena, &record_hl7, STR("OBX"), &over, NULL), ERR_NONE);
    struct record_scope scope = {.over = over, .index = 2};
    assert_int_equal(test_text("OBX-5 = 'positive'", &scope), TRUTH_TRUE);
    assert_int_equal(test_text("OBX(1)-5 = 6.5", &scope), TRUTH_TRUE);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        size_t pos;
    } rows[] = {
        {"sex = 'M'", ERR_UNSUPPORTED, 0},
        {"PID-8 = m", ERR_UNSUPPORTED, 8},
        {"exists visit (true)", ERR_UNSUPPORTED, 0},
        {"count visit (true) > 1", ERR_UNSUPPORTED, 0},
        {"PID-0 = 'x'", ERR_SYNTAX, 4},
        {"true and {PID-} = 'x'", ERR_SYNTAX, 14},
        {"PID-8", ERR_VALUE, 0},
        {"true and PID-8", ERR_VALUE, 9},
        {"PID-8 = true", ERR_VALUE, 8},
        {"true < false", ERR_VALUE, 5},
        {"'a' = 1", ERR_VALUE, 6},
        {"'a' + 1 = 2", ERR_VALUE, 4},
        {"date(PV1-44) = PV1-44", ERR_VALUE, 15},
        {"date(PV1-44) = 'today'", ERR_VALUE, 15},
        {"date(1) = '2026-03-11'", ERR_VALUE, 5},
        {"date(PV1-44) + 1.5 = '2026-03-11'", ERR_VALUE, 13},
        {"date(PV1-44) * 2 = 1", ERR_VALUE, 13},
        {"year(PV1-44) = 2026", ERR_VALUE, 5},
        {"length(1) = 1", ERR_VALUE, 7},
        {"1 contains '1'", ERR_VALUE, 0},
        {"greatest('a', 'b') = 'b'", ERR_VALUE, 9},
        {"lower(PID-8) is empty", ERR_UNSUPPORTED, 13},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expr *x;
        struct err e = {0};
        assert_int_equal(expr_parse(arena, str_of(rows[i].text), &x, &e), ERR_NONE);
        enum err_code code = expr_bind_record(arena, x, &record_hl7, &e);
        if (code != rows[i].code || e.pos != rows[i].pos) {
            fail_msg("%s: %s at %zu (%s)", rows[i].text, err_name(code), e.pos, e.msg);
        }
    }
}

/* What is settled when the type is known, and that nothing else is. */
static void test_given(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"MSH-9.2 = 'A04'", T},
        {"MSH-9.2 in ('A01', 'A08')", F},
        {"not MSH-9.2 = 'A08'", T},
        {"lower(MSH-9.2) = 'a04' and MSH-9.1 = 'ADT'", T},
        {"MSH-9.2 is absent", F},
        {"MSH-9.2 is set or PV1-2 = 'O'", T},
        {"MSH-9.2 = 'A08' and PV1-2 = 'O'", F},
        {"MSH-9.2 = 'A04' and PV1-2 = 'O'", U},
        {"PV1-2 = 'I' and MSH-9.2 = 'A08'", U}, /* asking for PV1-2 may fail */
        {"PV1-2 = 'I' or MSH-9.2 = 'A04'", U},
        {"PV1-2 = 'O'", U},
        {"MSH-9.2 > 5", U}, /* unknown for ever, which is neither */
        {"MSH-9.3 = 'ADT_A01'", U},
    };
    static const struct expr_known type[] = {
        {"MSH-9.1", STR_INIT("ADT")}, {"MSH-9.2", STR_INIT("A04")}, {NULL, STR_INIT("")}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expr *x, *left;
        enum truth settled;
        assert_int_equal(expr_parse(arena, str_of(rows[i].text), &x, NULL), ERR_NONE);
        assert_int_equal(expr_bind_record(arena, x, &record_hl7, NULL), ERR_NONE);
        assert_int_equal(expr_given(arena, x, type, &left, &settled), ERR_NONE);
        if ((int)settled != rows[i].wanted) {
            fail_msg("%s: %d", rows[i].text, (int)settled);
        }
    }
}

/* A name in a list is each of its words, where one is looked for and only there. */
static void test_words(void **state)
{
    (void)state;
    static const struct str kinds[] = {STR_INIT("I"), STR_INIT("O")}, other[] = {STR_INIT("it's")};
    static const struct expr_words more = {"other", other, 1, NULL},
                                   words = {"kind", kinds, 2, &more};
    static const struct row rows[] = {
        {"PV1-2 in (kind)", T},       {"PV1-2 in (other)", F},    {"PV1-2 in (other, kind)", T},
        {"PV1-2 in ('E', other)", F}, {"PV1-2 not in (kind)", F}, {"'it''s' in (kind, other)", T},
        {"ZZZ-1 in (kind)", U},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct expr *x;
        enum truth t;
        assert_int_equal(expr_parse_with(arena, str_of(rows[i].text), &words, &x, NULL), ERR_NONE);
        assert_int_equal(expr_bind_record(arena, x, &record_hl7, NULL), ERR_NONE);
        assert_int_equal(expr_test(x, record, arena, NULL, &t, NULL), ERR_NONE);
        if ((int)t != rows[i].wanted) {
            fail_msg("%s: %d", rows[i].text, (int)t);
        }
    }
    static const char *const wrong[] = {"PV1-2 in (kinds)", "PV1-2 = kind", "lower(kind) = 'i'"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const struct expr *x;
        assert_int_equal(expr_parse_with(arena, str_of(wrong[i]), &words, &x, NULL), ERR_NONE);
        assert_int_equal(expr_bind_record(arena, x, &record_hl7, NULL), ERR_UNSUPPORTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given),     cmocka_unit_test(test_truth_tables),
        cmocka_unit_test(test_states),    cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_functions), cmocka_unit_test(test_scope),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
