/* core/record: rows. A path is the name of a column; what it finds, how often it repeats, its
 * place. */
#include "core/record/record.h"
#include "core/table/row.h"
#include "tests/lib/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static struct record_names names;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    if (!arena) {
        return -1;
    }
    names = (struct record_names){.format = RECORD_TABLE,
                                  .headers = table_names_with(arena, "chart_no appt_date")};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct record_path *path(const char *text)
{
    const struct record_path *p;
    struct err e = {0};
    if (record_path(arena, &names, str_of(text), &p, &e) != ERR_NONE) {
        fail_msg("%s: %s at %zu", text, e.msg, e.pos);
    }
    return p;
}

static const struct record *record(const char *bytes)
{
    struct row *row = arena_alloc(arena, sizeof *row);
    assert_int_equal(row_parse(arena, str_of(bytes), row, NULL), ERR_NONE);
    return record_of_row(arena, row);
}

/* "absent", "empty" or the value. */
static const char *get(const struct record *r, const char *text, const struct record_scope *scope)
{
    struct value v;
    assert_int_equal(record_get(r, arena, path(text), scope, &v, NULL), ERR_NONE);
    return v.has == HAS_VALUE ? arena_z(arena, v.text) : v.has == HAS_EMPTY ? "empty" : "absent";
}

static void test_compile(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t pos;
    } rows[] = {
        {"appt_dat", 0}, {"chart_no+appt_dat", 9},
        {"", 0},         {"chart_no+", 9},
        {"#what", 0},    {"{a", 2},
        {"{a}b", 3},     {"a+b+c+d+e", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct record_path *p;
        struct err e = {0};
        assert_int_equal(record_path(arena, &names, str_of(rows[i].text), &p, &e), ERR_SYNTAX);
        assert_null(p);
        if (e.pos != rows[i].pos) {
            fail_msg("%s: at %zu", rows[i].text, e.pos);
        }
    }
    assert_true(str_is(record_path_text(path("appt_date+appt_time")), "appt_date+appt_time"));
}

#define CHANGED                                                                                    \
    "#,등록번호,예약일,예약시간,휴대폰,연락처,내 메모,태그\n"                \
    "-,1,2026-03-11,09:00,,010,x,\"a, b\"\n"                                                       \
    "+,1,2026-03-12,09:00,,010,,\"b/c,,d\"\n"

static void test_values(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"chart_no", "1"},
        {"차트번호", "1"},
        {"{등록번호}", "1"},
        {"appt_date", "2026-03-12"},
        {"-appt_date", "2026-03-11"},
        {"~appt_date", "2026-03-12"},
        {"~appt_time", "absent"},
        {"appt_date+appt_time", "2026-03-12 09:00"},
        {"-appt_date+appt_time", "2026-03-11 09:00"},
        {"~appt_date+appt_time", "2026-03-12 09:00"},
        {"appt_time+phone_home", "09:00"},
        {"phone_home+appt_time", "absent"},
        {"phone_mobile", "010"}, /* 휴대폰 is empty, 연락처 is not */
        {"{휴대폰}", "010"},     /* a header that is an alias means its column */
        {"내메모", "empty"},
        {"{내 메모}", "empty"},
        {"-{내 메모}", "x"},
        {"없는열", "absent"},
        {"phone_home", "absent"},
        {"#change", "changed"},
        {"#changed", "appt_date 내메모 tags"},
        {"tags", "b/c,,d"},
    };
    const struct record *r = record(CHANGED);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = get(r, rows[i][0], NULL);
        if (strcmp(got, rows[i][1]) != 0) {
            fail_msg("%s: %s", rows[i][0], got);
        }
    }
    struct str code, trigger;
    record_type(r, &code, &trigger);
    assert_true(str_is(code, "row") && str_is(trigger, "changed"));
    assert_int_equal(record_format(r), RECORD_TABLE);
}

static void test_new_and_gone(void **state)
{
    (void)state;
    const struct record *n = record("#,차트번호,예약일\n+,1,\n");
    const struct record *g = record("#,차트번호,예약일\n-,1,x\n");
    static const char *const rows[][3] = {
        {"chart_no", "1", "1"},        {"-chart_no", "absent", "1"}, {"~chart_no", "1", "1"},
        {"appt_date", "empty", "x"},   {"#change", "new", "gone"},   {"#changed", "empty", "empty"},
        {"-appt_date", "absent", "x"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(get(n, rows[i][0], NULL), rows[i][1]);
        assert_string_equal(get(g, rows[i][0], NULL), rows[i][2]);
    }
}

static void test_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *over, *pieces; /* joined by blanks */
    } rows[] = {{"tags", "b c d"}, {"-tags", "a b"},  {"~tags", "c d"},
                {"-~tags", "a"},   {"chart_no", "1"}, {"phone_home", ""}};
    const struct record *r = record(CHANGED);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct record_path *over = path(rows[i].over);
        unsigned count = record_count(r, over, NULL);
        char *all = arena_printf(arena, "%s", "");
        for (unsigned n = 1; n <= count; n++) {
            struct record_scope scope = {over, n, NULL};
            all =
                arena_printf(arena, "%s%s%s", all, n > 1 ? " " : "", get(r, rows[i].over, &scope));
        }
        if (strcmp(all, rows[i].pieces) != 0) {
            fail_msg("%s: %s", rows[i].over, all);
        }
    }
    struct record_scope scope = {path("tags"), 2, NULL};
    assert_string_equal(get(r, "chart_no", &scope), "1"); /* of another column: not touched */
}

static void test_places(void **state)
{
    (void)state;
    char place[RECORD_PLACE];
    const struct record *r = record(CHANGED);
    assert_string_equal(record_place(r, path("chart_no"), NULL, place), "column 등록번호");
    assert_string_equal(record_place(r, path("appt_date+appt_time"), NULL, place), "column 예약일");
    assert_string_equal(record_place(r, path("phone_home"), NULL, place), "column phone_home");
    assert_string_equal(record_place(r, path("#changed"), NULL, place), "column #changed");
}

static void test_fits(void **state)
{
    (void)state;
    const struct header_names *need = table_names_with(arena, "chart_no! dept!");
    assert_true(record_fits(record("#,등록번호,진료과목\n+,1,\n"), need));
    assert_false(record_fits(record("#,등록번호,이름\n+,1,\n"), need));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compile),      cmocka_unit_test(test_values),
        cmocka_unit_test(test_new_and_gone), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_places),       cmocka_unit_test(test_fits),
    };
    return cmocka_run_group_tests_name("record: rows", tests, setup, teardown);
}
