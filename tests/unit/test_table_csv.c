/* core/table: CSV and TSV as they are really written; every refusal with its code and its place. */
#include "core/table/table.h"

#include "core/base/buf.h"
#include "core/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;
static char folder[] = "/tmp/dari-csv-XXXXXX";
static char path[64];
static struct header_names names;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    arena = arena_new(0);
    if (!arena || !mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/t.csv", folder);
    const struct header_names *n = header_load(arena, "mappings/headers.xml", &p);
    problems_print(&p, stderr);
    problems_release(&p);
    names = n ? *n : names;
    return n ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    arena_free(&arena);
    return 0;
}

/* Header and rows as "[a|b]3:[1|2]5!code place"; an error of the whole file as "code place". */
static void read_all(struct table *t, struct buf *out)
{
    struct table_row row;
    struct err e = {0};
    bool more = true;
    for (;;) {
        enum err_code code = table_next(t, &row, &more, &e);
        if (code != ERR_NONE) {
            buf_printf(out, "%s %s", err_name(code), e.where);
            return;
        }
        if (!more) {
            return;
        }
        buf_printf(out, "%lld", (long long)row.number);
        if (row.problem.code != ERR_NONE) {
            buf_printf(out, "!%s %s;", err_name(row.problem.code), row.problem.where);
            continue;
        }
        buf_addc(out, ':');
        for (size_t i = 0; i < row.count; i++) {
            buf_addc(out, i ? '|' : '[');
            buf_add(out, row.cells[i]);
        }
        buf_addc(out, ']');
    }
}

static const char *read_table(struct str bytes, const struct table_settings *s)
{
    static struct buf out;
    struct table *t;
    struct err e = {0};
    buf_release(&out);
    buf_init(&out, 1 << 20);
    assert_int_equal(file_write(path, bytes, 0600, &e), ERR_NONE);
    if (table_open(path, s, &t, &e) != ERR_NONE) {
        buf_printf(&out, "%s %s", err_name(e.code), e.where);
        return out.p;
    }
    size_t n;
    const struct str *header = table_header(t, &n);
    for (size_t i = 0; i < n; i++) {
        buf_addc(&out, i ? '|' : '[');
        buf_add(&out, header[i]);
    }
    buf_addc(&out, ']');
    read_all(t, &out);
    table_close(&t);
    return out.p;
}

struct row_case {
    const char *name;
    struct str bytes;
    const char *expected;
};

static void run_cases(const struct row_case *rows, size_t n, const struct table_settings *s)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = read_table(rows[i].bytes, s);
        if (strcmp(got, rows[i].expected) != 0) {
            fail_msg("%s\nexpected %s\ngot      %s", rows[i].name, rows[i].expected, got);
        }
    }
}
#define RUN(rows, s) run_cases(rows, sizeof rows / sizeof rows[0], s)
#define BYTES(x) STR_INIT(x)

static void test_forms(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"RFC 4180", BYTES("a,b\r\n1,2\r\n3,4\r\n"), "[a|b]2:[1|2]3:[3|4]"},
        {"no line end at the end", BYTES("a,b\n1,2"), "[a|b]2:[1|2]"},
        {"CR alone", BYTES("a,b\r1,2\r3,4"), "[a|b]2:[1|2]3:[3|4]"},
        {"quotes", BYTES("a,b\n\"x,\"\"y\"\"\",\"\"\n"), "[a|b]2:[x,\"y\"|]"},
        {"line ends in quotes", BYTES("a,b\n\"x\r\ny\",2\n3,4\n"), "[a|b]2:[x\r\ny|2]3:[3|4]"},
        {"blanks around quotes", BYTES("a,b\n1, \"x,y\" \n"), "[a|b]2:[1|x,y]"},
        {"quotes inside", BYTES("a,b\n1,Says \"\"Hello\"\"\n"), "[a|b]2:[1|Says \"\"Hello\"\"]"},
        {"tabs", BYTES("a\tb\n1\tx,y\n"), "[a|b]2:[1|x,y]"},
        {"semicolons", BYTES("a;b\n1;2\n"), "[a|b]2:[1|2]"},
        {"bars", BYTES("a|b\n1|2\n"), "[a|b]2:[1|2]"},
        {"sep=", BYTES("sep=;\na;b,c\n1;2\n"), "[a|b,c]3:[1|2]"},
        {"one column", BYTES("a\n1\n2\n"), "[a]2:[1]3:[2]"},
        {"empty lines", BYTES("a,b\n\n1,2\n,\n3,4\n\n"), "[a|b]3:[1|2]5:[3|4]"},
        {"byte order mark", BYTES("\xEF\xBB\xBF\"a\",b\n1,2\n"), "[a|b]2:[1|2]"},
        {"text for a spreadsheet", BYTES("a,b\n=\"001\",\"=\"\"002\"\"\"\n"), "[a|b]2:[001|002]"},
        {"blank header", BYTES("a,,c\n1,2,3\n"), "[a|column 2|c]2:[1|2|3]"},
        {"blank headers at the end", BYTES("a,b,,\n1,2,,\n"), "[a|b]2:[1|2]"},
        {"twice the same header", BYTES("a,a,a\n1,2,3\n"), "[a|a (2)|a (3)]2:[1|2|3]"},
    };
    static const struct table_settings s = {.fallback = CHARSET_CP949};
    RUN(rows, &s);
}

static void test_ragged(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"too short", BYTES("a,b,c\n1,2\n1,2,3\n"), "[a|b|c]2!syntax row 2;3:[1|2|3]"},
        {"too long", BYTES("a,b\n1,2,3\n1,2\n"), "[a|b]2!syntax row 2;3:[1|2]"},
        {"too long, but empty", BYTES("a,b\n1,2,, \n"), "[a|b]2:[1|2]"},
        {"behind a quote", BYTES("a,b\n1,\"2\"x\n3,4\n"), "[a|b]2!syntax row 2, column b;3:[3|4]"},
        {"a quote not closed", BYTES("a,b\n1,2\n3,\"4\n5,6\n"),
         "[a|b]2:[1|2]syntax row 3, column 2"},
        {"formula", BYTES("a,b\n1,=SUM(A1:A9)\n3,4\n"), "[a|b]2!refused row 2, column b;3:[3|4]"},
        {"formulas", BYTES("a,b\n1,\"=1+1\"\n@SUM(1),4\n+cmd|' /C x'!A0,1\n-cmd|x,1\n"),
         "[a|b]2!refused row 2, column b;3!refused row 3, column a;4!refused row 4, column "
         "a;5!refused row 5, column a;"},
        {"no formulas", BYTES("a,b\n=== x,=> y\n-5,+82 10\n@home,-\n"),
         "[a|b]2:[=== x|=> y]3:[-5|+82 10]4:[@home|-]"},
        {"NUL", BYTES("a,b\n1,2\n3,x\0y\n"), "[a|b]2:[1|2]syntax row 3, column 2"},
        {"NUL in quotes", BYTES("a,b\n1,\"x\0y\"\n"), "[a|b]syntax row 2, column 2"},
        {"nothing", BYTES(""), "syntax "},
        {"blanks only", BYTES("\n \n"), "syntax "},
    };
    static const struct table_settings s = {.fallback = CHARSET_CP949};
    RUN(rows, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_ragged)};
    return cmocka_run_group_tests_name("table: csv", tests, setup, teardown);
}
