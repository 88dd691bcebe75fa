#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/segment/rule.h"
#include "core/segment/world.h"
#include "tests/lib/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return folder_make() && arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    folder_drop();
    arena_free(&arena);
    return 0;
}

/* The problems of one file SG90.xml, "" for none. */
static const char *problems_of(const char *text)
{
    static char out[4096];
    struct problems p = {0};
    folder_write("SG90.xml", text);
    const struct segment_rules *r = segment_rules_load(arena, in_folder(""), &p);
    assert_int_equal(r == NULL, p.count > 0);
    snprintf(out, sizeof out, "%s", p.count ? p.text : "");
    problems_release(&p);
    return out;
}

static void shipped_segments_load(void **state)
{
    (void)state;
    struct problems p = {0};
    const struct segment_rules *r = segment_rules_load(arena, "config/segments", &p);
    problems_print(&p, stderr);
    assert_non_null(r);
    assert_true(r->count >= 3);
    const struct segment_rule *sg02 = segment_rule_find(r, "SG02");
    assert_non_null(sg02);
    assert_string_equal(sg02->name, "appointment-tomorrow");
    assert_int_equal(sg02->version, 1);
    assert_int_equal(sg02->when_count, 2);
    assert_non_null(segment_rule_find(r, "SG04"));
    assert_non_null(segment_rule_find(r, "SG20"));
    assert_null(segment_rule_find(r, "SG99"));
    assert_int_equal(strlen(sg02->digest), 64);
    problems_release(&p);
}

#define HEAD "<segment id=\"SG90\" version=\"1\" name=\"x\" title=\"x\">\n"
#define TAIL "</segment>\n"

static void problems_have_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want[3]; /* parts of the report, in any order */
    } cases[] = {
        {HEAD "<when reason=\"a\">visit_count > 3</when>\n" TAIL, {""}},
        {HEAD "<when reason=\"a\">shoe_size > 3</when>\n" TAIL,
         {"SG90.xml:2: condition a, character 1: no attribute of this name"}},
        {HEAD "<when reason=\"a\">visit_count > 3\n  and visit_count > 'x'</when>\n" TAIL,
         {"SG90.xml:3: condition a"}},
        {HEAD "<when reason=\"a\">visit_count ></when>\n" TAIL, {"SG90.xml:2: condition a"}},
        {HEAD "<when reason=\"a\">visit_count</when>\n" TAIL, {"SG90.xml:2: condition a"}},
        {HEAD
         "<when reason=\"a\">exists shoe(true)</when>\n<when reason=\"b\">{n} > 1</when>\n" TAIL,
         {"SG90.xml:2: condition a", "SG90.xml:3: condition b"}},
        {HEAD
         "<param name=\"n\" value=\"many\"/>\n<when reason=\"a\">visit_count > {n}</when>\n" TAIL,
         {"SG90.xml:2: param n is not a number"}},
        {HEAD "<param name=\"n\" value=\"1\"/>\n<when reason=\"a\">visit_count > 1</when>\n" TAIL,
         {"SG90.xml:2: param n is not used"}},
        {HEAD "<param name=\"n\" value=\"1\"/>\n<param name=\"n\" value=\"2\"/>\n"
              "<when reason=\"a\">visit_count > {n}</when>\n" TAIL,
         {"SG90.xml:3: param n is there twice"}},
        {HEAD "<table name=\"t\" of=\"visit_count\" otherwise=\"1\"/>\n"
              "<when reason=\"a\">visit_count > 1</when>\n" TAIL,
         {"SG90.xml:2: table t: \"visit_count\" is no text attribute"}},
        {HEAD "<table name=\"today\" of=\"primary_dept\" otherwise=\"1\"/>\n"
              "<when reason=\"a\">visit_count > 1</when>\n" TAIL,
         {"SG90.xml:2: the name today is taken"}},
        {HEAD "<table name=\"t\" of=\"primary_dept\" otherwise=\"1\"><row key=\"it's\" "
              "value=\"7\"/></table>\n"
              "<when reason=\"a\">visit_count > t</when>\n" TAIL,
         {""}},
        {"<segment id=\"SG91\" version=\"1\" name=\"x\" title=\"x\">\n"
         "<when reason=\"a\">visit_count > 1</when>\n" TAIL,
         {"SG90.xml:1: id is SG91: name the file SG91.xml"}},
        {HEAD TAIL, {"SG90.xml:"}},
        {HEAD "<when>visit_count > 1</when>\n" TAIL, {"SG90.xml:2"}},
        {HEAD "<when reason=\"a\">true</whe", {"SG90.xml:"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = problems_of(cases[i].text);
        for (int k = 0; k < 3 && cases[i].want[k]; k++) {
            bool none = !cases[i].want[k][0];
            if (none ? got[0] : !strstr(got, cases[i].want[k])) {
                fail_msg("case %zu: wanted \"%s\", got \"%s\"", i, cases[i].want[k], got);
            }
        }
    }
}

static void an_empty_or_missing_folder_is_a_problem(void **state)
{
    (void)state;
    struct problems p = {0};
    assert_null(segment_rules_load(arena, in_folder(""), &p));
    assert_non_null(strstr(p.text, "0 segments"));
    assert_null(segment_rules_load(arena, "/nowhere/at/all", &p));
    assert_int_equal(p.count, 2);
    problems_release(&p);
}

static const struct segment_rules *load(const char *text)
{
    struct problems p = {0};
    folder_write("SG90.xml", text);
    const struct segment_rules *r = segment_rules_load(arena, in_folder(""), &p);
    assert_non_null(r);
    problems_release(&p);
    return r;
}

static void a_digest_follows_the_meaning(void **state)
{
    (void)state;
    const struct segment_rules *a = load(HEAD "<when reason=\"a\">visit_count > 3</when>\n" TAIL);
    const struct segment_rules *same =
        load(HEAD "<about>Words.</about>\n<when reason=\"a\"> visit_count  >  3 </when>\n" TAIL);
    const struct segment_rules *other =
        load(HEAD "<when reason=\"a\">visit_count > 4</when>\n" TAIL);
    assert_string_equal(a->digest, same->digest);
    assert_string_not_equal(a->digest, other->digest);
    const struct segment_rules *only = segment_rules_only(arena, a, "SG90");
    assert_non_null(only);
    assert_string_equal(only->all.sql, a->all.sql);
}

/* What a rule or a table holds reaches the SQL as a quoted literal only. */
static void nothing_is_injected(void **state)
{
    (void)state;
    const struct segment_rules *r =
        load(HEAD "<param name=\"d\" type=\"text\" value=\"x'); DROP TABLE y; --\"/>\n"
                  "<table name=\"t\" of=\"primary_dept\" otherwise=\"1\"><row key=\"a'b\" "
                  "value=\"7\"/></table>\n"
                  "<when reason=\"a\">primary_dept = {d} and visit_count > t</when>\n" TAIL);
    assert_non_null(strstr(r->all.sql, "'x''); DROP TABLE y; --'"));
    assert_non_null(strstr(r->all.sql, "'a''b'"));
}

/* | `name` | type | … in the README, for each name and no other. */
static size_t documented(const char *readme, const struct expr_name *names)
{
    static const char *const types[] = {"bool", "int", "text", "date", "time"};
    size_t n = 0;
    for (; names->name; names++, n++) {
        char row[96];
        snprintf(row, sizeof row, "| `%s` | %s | ", names->name, types[names->type]);
        if (!strstr(readme, row)) {
            fail_msg("core/segment/README.md has no row %s", row);
        }
    }
    return n;
}

static void the_readme_lists_all_names(void **state)
{
    (void)state;
    struct str text;
    assert_int_equal(file_read(arena, "core/segment/README.md", 1 << 20, &text, NULL), ERR_NONE);
    const char *readme = arena_z(arena, text);
    size_t want = documented(readme, segment_names), rows = 0;
    for (const struct expr_set *s = segment_sets; s->name; s++) {
        char head[64];
        snprintf(head, sizeof head, "`exists %s(…)`", s->name);
        assert_non_null(strstr(readme, head));
        want += documented(readme, s->names);
    }
    for (const char *row = readme; (row = strstr(row, "\n| `")) != NULL; row++) {
        rows++;
    }
    assert_int_equal(rows, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shipped_segments_load, setup, teardown),
        cmocka_unit_test_setup_teardown(problems_have_file_and_line, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_or_missing_folder_is_a_problem, setup, teardown),
        cmocka_unit_test_setup_teardown(a_digest_follows_the_meaning, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_injected, setup, teardown),
        cmocka_unit_test_setup_teardown(the_readme_lists_all_names, setup, teardown),
    };
    return cmocka_run_group_tests_name("segment load", tests, NULL, NULL);
}
