/* adapters/sql: statements with named places, marks, times of the day, known rows. */
#include "adapters/sql/mark.h"
#include "adapters/sql/overlap.h"
#include "adapters/sql/schedule.h"
#include "adapters/sql/statement.h"
#include "core/base/arena.h"
#include "core/base/file.h"
#include "tests/lib/cm.h"
#include "tests/lib/folder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- statements ---- */

static const struct {
    const char *sql, *numbered, *question, *names;
    enum err_code code;
    size_t pos;
} statements[] = {
    {"SELECT 1", "SELECT 1", "SELECT 1", "", 0, 0},
    {"SELECT 1 ; ", "SELECT 1", "SELECT 1", "", 0, 0},
    {"a >= :mark", "a >= $1", "a >= ?", "mark", 0, 0},
    {"a > :x OR b > :y OR c > :x", "a > $1 OR b > $2 OR c > $1", "a > ? OR b > ? OR c > ?", "x,y",
     0, 0},
    {"a::text = :a", "a::text = $1", "a::text = ?", "a", 0, 0},
    {"':a' || \":b\" = :c", "':a' || \":b\" = $1", "':a' || \":b\" = ?", "c", 0, 0},
    {"'it''s :a' = :b", "'it''s :a' = $1", "'it''s :a' = ?", "b", 0, 0},
    {"E'\\':a' = :b", "E'\\':a' = $1", "E'\\':a' = ?", "b", 0, 0},
    {"'\\' = :b", "'\\' = $1", "'\\' = ?", "b", 0, 0},
    {"$$ :a $$ = :b", "$$ :a $$ = $1", "$$ :a $$ = ?", "b", 0, 0},
    {"$q$ $$ :a $q$ = :b", "$q$ $$ :a $q$ = $1", "$q$ $$ :a $q$ = ?", "b", 0, 0},
    {"1 -- :a ; '\n = :b", "1 -- :a ; '\n = $1", "1 -- :a ; '\n = ?", "b", 0, 0},
    {"1 /* :a /* ' */ ; */ = :b", "1 /* :a /* ' */ ; */ = $1", "1 /* :a /* ' */ ; */ = ?", "b", 0,
     0},
    {"x = :차트번호 AND 1", "x = $1 AND 1", "x = ? AND 1", "차트번호", 0, 0},
    {"t[1:2] = :b", "t[1:2] = $1", "t[1:2] = ?", "b", 0, 0},
    {"", NULL, NULL, NULL, ERR_SYNTAX, 0},
    {" ; ", NULL, NULL, NULL, ERR_SYNTAX, 0},
    {"SELECT 1; DROP", NULL, NULL, NULL, ERR_SYNTAX, 8},
    {"SELECT 'a", NULL, NULL, NULL, ERR_SYNTAX, 7},
    {"SELECT $x$ a", NULL, NULL, NULL, ERR_SYNTAX, 7},
    {"SELECT /* a", NULL, NULL, NULL, ERR_SYNTAX, 7},
};

static void one_statement(size_t i, enum statement_style style, const char *want)
{
    struct arena *a = arena_new(0);
    struct statement s;
    struct err e = {0};
    char names[200] = "";
    enum err_code code = statement_parse(a, str_of(statements[i].sql), style, &s, &e);
    assert_row(code == statements[i].code, statements[i].sql);
    if (code != ERR_NONE) {
        assert_row(e.pos == statements[i].pos, statements[i].sql);
    } else {
        assert_same(str_of(s.text), str_of(want), statements[i].sql);
        for (size_t k = 0; style == STATEMENT_NUMBERED && k < s.count; k++) {
            size_t n = strlen(names);
            snprintf(names + n, sizeof names - n, "%s%.*s", k ? "," : "", STR_ARG(s.names[k]));
        }
        assert_row(style != STATEMENT_NUMBERED || strcmp(names, statements[i].names) == 0,
                   statements[i].sql);
    }
    arena_free(&a);
}

static void test_statements(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(statements); i++) {
        one_statement(i, STATEMENT_NUMBERED, statements[i].numbered);
        one_statement(i, STATEMENT_QUESTION, statements[i].question);
    }
}

static void test_statement_limits(void **state)
{
    (void)state;
    char sql[1000] = "SELECT 1";
    struct arena *a = arena_new(0);
    struct statement s;
    for (int i = 0; i < STATEMENT_PLACES; i++) {
        size_t n = strlen(sql);
        snprintf(sql + n, sizeof sql - n, ",:p%d", i);
    }
    assert_int_equal(statement_parse(a, str_of(sql), STATEMENT_NUMBERED, &s, NULL), ERR_NONE);
    assert_int_equal(s.count, STATEMENT_PLACES);
    snprintf(sql + strlen(sql), 10, ",:more");
    assert_int_equal(statement_parse(a, str_of(sql), STATEMENT_NUMBERED, &s, NULL), ERR_LIMIT);
    assert_int_equal(statement_parse(a, (struct str){"a\0b", 3}, STATEMENT_NUMBERED, &s, NULL),
                     ERR_SYNTAX);
    arena_free(&a);
}

/* ---- marks ---- */

static const struct {
    const char *a, *b;
    int order;
} marks[] = {
    {"1", "2", -1},
    {"9", "10", -1},
    {"0010", "10", 0},
    {"-3", "-2", -1},
    {"-0", "0.00", 0},
    {"1.5", "1.50", 0},
    {"1.05", "1.5", -1},
    {"123456789012345678901234567890", "123456789012345678901234567891", -1},
    {"-1", "+1", -1},
    {"2026-03-11 09:00:00", "2026-03-11 09:00:00.5", -1},
    {"2026-03-11 09:00:00.5+00", "2026-03-11 09:00:00+00", 1},
    {"2026-03-09", "2026-03-11", -1},
    {"a", "b", -1},
    {"1", "1a", -1},
    {".", ".", 0},
};

static void test_marks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(marks); i++) {
        int got = mark_order(str_of(marks[i].a), str_of(marks[i].b));
        int back = mark_order(str_of(marks[i].b), str_of(marks[i].a));
        assert_row((got > 0) - (got < 0) == marks[i].order, marks[i].a);
        assert_row((back > 0) - (back < 0) == -marks[i].order, marks[i].a);
    }
    char large[MARK_MAX + 2];
    memset(large, '1', sizeof large);
    assert_int_equal(mark_fits((struct str){large, MARK_MAX}, NULL), ERR_NONE);
    assert_int_equal(mark_fits((struct str){large, MARK_MAX + 1}, NULL), ERR_LIMIT);
    assert_int_equal(mark_fits(STR(""), NULL), ERR_VALUE);
    assert_int_equal(mark_fits(STR("a\nb"), NULL), ERR_VALUE);
}

/* ---- times of the day ---- */

static void test_schedule(void **state)
{
    (void)state;
    static const char *const bad[] = {"3:00",  "03:00,", "24:00", "03:60",
                                      "03-00", "+3:00",  "03:+1"};
    struct schedule s;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_row(schedule_parse(str_of(bad[i]), &s, NULL) == ERR_VALUE, bad[i]);
    }
    assert_int_equal(schedule_parse(STR(""), &s, NULL), ERR_NONE);
    assert_int_equal(s.count, 0);
    assert_int_equal(zone_set("Asia/Seoul", NULL), ERR_NONE);
    assert_int_equal(schedule_parse(STR("12:30, 03:00"), &s, NULL), ERR_NONE);
    static const struct {
        const char *now, *last;
    } times[] = {{"2026-03-11T03:00:00+09:00", "2026-03-11T03:00:00+09:00"},
                 {"2026-03-11T12:29:59+09:00", "2026-03-11T03:00:00+09:00"},
                 {"2026-03-11T12:30:00+09:00", "2026-03-11T12:30:00+09:00"},
                 {"2026-03-11T02:59:59+09:00", "2026-03-10T12:30:00+09:00"}};
    for (size_t i = 0; i < COUNT(times); i++) {
        usec now, last;
        assert_int_equal(clock_parse(str_of(times[i].now), &now, NULL), ERR_NONE);
        assert_int_equal(clock_parse(str_of(times[i].last), &last, NULL), ERR_NONE);
        assert_row(schedule_last(&s, now) == last, times[i].now);
    }
}

/* ---- known rows ---- */

/* One result: rows "MARK text", blank-separated by commas; gives which of them are new. */
static enum err_code one_result(const char *before, int64_t limit, const char *rows, char *fresh,
                                char *after, struct err *e)
{
    struct overlap *o;
    bool lost, known;
    struct str rest = str_of(rows), row;
    fresh[0] = '\0';
    enum err_code code = overlap_open(in_folder("seen"), str_of(before), limit, &o, &lost, e);
    assert_int_equal(code, ERR_NONE);
    while (code == ERR_NONE && rest.n && str_next(&rest, ',', &row)) {
        struct str mark = str_cut(row, 0, str_find(row, ' ', 0));
        code = overlap_row(o, row, mark, &known, e);
        if (code == ERR_NONE && !known) {
            size_t n = strlen(fresh);
            snprintf(fresh + n, 200 - n, "%s%.*s", n ? "," : "", STR_ARG(row));
        }
    }
    if (code == ERR_NONE) {
        snprintf(after, 200, "%.*s", STR_ARG(overlap_mark(o)));
        code = overlap_save(o, in_folder("seen"), e);
    }
    overlap_free(&o);
    return code;
}

/* Each result is asked from the mark that the one before it left. */
static const struct {
    const char *why, *rows, *fresh, *mark;
} results[] = {
    {"all is new at first", "1 a,2 b,2 c", "1 a,2 b,2 c", "2"},
    {"the tie group again, and one more of it", "2 b,2 c,2 d", "2 d", "2"},
    {"nothing new", "2 b,2 c,2 d", "", "2"},
    {"another order within the ties", "2 d,2 b,2 c,3 e", "3 e", "3"},
    {"two that look the same are two", "3 e,4 f,4 f", "4 f,4 f", "4"},
    {"and stay two", "4 f,4 f,4 f", "4 f", "4"},
    {"a late one from before the mark", "3 late,4 f,4 f,4 f,5 g", "3 late,5 g", "5"},
    {"late again is known", "3 late,4 f,4 f,4 f,5 g,6 h", "6 h", "6"},
    {"the newest is gone, a late one came: the mark stays", "5 late", "5 late", "6"},
    {"ten is more than nine", "5 late,9 i,10 j", "9 i,10 j", "10"},
};

static void test_overlap(void **state)
{
    (void)state;
    char mark[200] = "", fresh[200];
    unlink(in_folder("seen"));
    for (size_t i = 0; i < COUNT(results); i++) {
        struct err e = {0};
        assert_row(one_result(mark, 100, results[i].rows, fresh, mark, &e) == ERR_NONE,
                   results[i].why);
        assert_same(str_of(fresh), str_of(results[i].fresh), results[i].why);
        assert_same(str_of(mark), str_of(results[i].mark), results[i].why);
    }
}

static void test_overlap_errors(void **state)
{
    (void)state;
    char mark[200], fresh[200];
    struct err e = {0};
    unlink(in_folder("seen"));
    assert_int_equal(one_result("", 10, "2 a,1 b", fresh, mark, &e), ERR_VALUE);
    assert_non_null(strstr(e.msg, "ORDER BY"));
    assert_int_equal(one_result("", 10, " a", fresh, mark, &e), ERR_VALUE);
    /* four ties fit into a limit of four, five do not */
    assert_int_equal(one_result("", 4, "0 x,1 a,1 b,1 c,1 d", fresh, mark, &e), ERR_NONE);
    unlink(in_folder("seen"));
    assert_int_equal(one_result("", 4, "1 a,1 b,1 c,1 d,1 e", fresh, mark, &e), ERR_LIMIT);
    /* going back behind what was kept is found out, not guessed */
    unlink(in_folder("seen"));
    assert_int_equal(one_result("", 2, "1 a,2 b,3 c", fresh, mark, &e), ERR_NONE);
    assert_int_equal(one_result("3", 2, "2 b,3 c,4 d", fresh, mark, &e), ERR_NONE);
    assert_string_equal(fresh, "4 d");
    unlink(in_folder("seen"));
    assert_int_equal(one_result("", 2, "1 a,2 b,3 c", fresh, mark, &e), ERR_NONE);
    assert_int_equal(one_result("3", 2, "1 a,2 b,3 c,4 d", fresh, mark, &e), ERR_LIMIT);
}

static void test_overlap_lost(void **state)
{
    (void)state;
    char mark[200], fresh[200];
    struct overlap *o;
    bool lost;
    unlink(in_folder("seen"));
    assert_int_equal(one_result("", 10, "1 a,2 b", fresh, mark, NULL), ERR_NONE);
    struct arena *a = arena_new(0);
    struct str whole;
    assert_int_equal(file_read(a, in_folder("seen"), 10000, &whole, NULL), ERR_NONE);
    static const struct {
        const char *why, *mark;
        int flip, cut;
        bool lost;
    } rows[] = {{"as it was", "2", -1, 0, false},
                {"another mark", "1", -1, 0, true},
                {"nothing taken yet", "", -1, 0, false},
                {"cut", "2", -1, 1, true},
                {"a flipped bit", "2", 50, 0, true}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *copy = arena_z(a, whole);
        memcpy(copy, whole.p, whole.n);
        if (rows[i].flip >= 0) {
            copy[rows[i].flip] ^= 1;
        }
        struct str text = {copy, whole.n - (size_t)rows[i].cut};
        assert_int_equal(file_write(in_folder("seen"), text, 0600, NULL), ERR_NONE);
        assert_int_equal(overlap_open(in_folder("seen"), str_of(rows[i].mark), 10, &o, &lost, NULL),
                         ERR_NONE);
        assert_row(lost == rows[i].lost, rows[i].why);
        overlap_free(&o);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),   cmocka_unit_test(test_statement_limits),
        cmocka_unit_test(test_marks),        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_overlap),      cmocka_unit_test(test_overlap_errors),
        cmocka_unit_test(test_overlap_lost),
    };
    return cmocka_run_group_tests_name("sql parts", tests, folder_setup, folder_teardown);
}
