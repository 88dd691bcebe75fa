/* core/mapping: columns that a mapping for tables declares; every problem with its line. */
#include "core/base/file.h"
#include "core/mapping/mapping.h"
#include "core/table/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;
static struct catalogue *catalogue;
static char root[] = "/tmp/dari-columns-XXXXXX";
static const char *folder, *file, *headers;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    arena = arena_new(0);
    if (!arena || !mkdtemp(root)) {
        return -1;
    }
    folder = file_path(arena, root, "exports");
    file = file_path(arena, folder, "m.xml");
    headers = file_path(arena, root, "headers.xml");
    catalogue = catalogue_load("mappings/catalogue.xml", &p);
    problems_release(&p);
    return catalogue && file_make_folder(folder, 0700, NULL) == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(file);
    unlink(headers);
    rmdir(folder);
    rmdir(root);
    catalogue_free(&catalogue);
    arena_free(&arena);
    return 0;
}

#define DICTIONARY                                                                                 \
    "<headers xmlns=\"urn:dari:headers:1\">\n"                                                     \
    "<column name=\"chart_no\"><alias header=\"차트번호\"/><alias "                            \
    "header=\"등록번호\"/></column>\n"                                                         \
    "<column name=\"dept\"><alias header=\"진료과\"/></column>\n"                               \
    "<column name=\"rrn\" rrn=\"yes\"><alias header=\"주민번호\"/></column></headers>"

static struct mapping_set *load(const char *columns, const char *path, struct problems *p)
{
    char *text = arena_printf(
        arena,
        "<mapping name=\"m\" version=\"1\" format=\"table\" xmlns=\"urn:dari:mapping:1\">\n"
        "<for message=\"row\"/>\n%s\n<patient from=\"chart_no\"/>\n"
        "<event type=\"patient.deceased\"><field name=\"on\" from=\"%s\"/></event></mapping>",
        columns, path);
    assert_int_equal(file_write(headers, str_of(DICTIONARY), 0600, NULL), ERR_NONE);
    assert_int_equal(file_write(file, str_of(text), 0600, NULL), ERR_NONE);
    return mapping_load(file, catalogue, p);
}

static const char *column_of(const struct header_names *names, const char *header)
{
    struct header_key k = header_key(arena, str_of(header));
    const struct header_column *c = header_find(names, &k);
    return c ? c->name : "";
}

static void test_columns(void **state)
{
    (void)state;
    struct problems p = {0};
    struct mapping_set *m =
        load("<columns short-rows=\"yes\"><column name=\"chart_no\" required=\"yes\"/>"
             "<column name=\"own\" fill-down=\"yes\" split=\"+\"><alias header=\"진료과\"/>"
             "<alias header=\"own\"/></column></columns><key columns=\"own\"/><key "
             "columns=\"chart_no dept\"/>",
             "own", &p);
    problems_print(&p, stderr);
    assert_non_null(m);
    const struct header_names *n = mapping_headers(m);
    assert_true(n->short_rows);
    assert_null(n->next);
    assert_string_equal(column_of(n, "등록번호"), "chart_no");
    assert_string_equal(column_of(n, "진료과"), "own"); /* taken over from dept */
    assert_string_equal(column_of(n, "dept"), "dept");
    assert_string_equal(column_of(n, "주민번호"), "rrn");
    assert_true(header_named(n, STR("rrn"))->rrn);
    assert_false(header_named(n, STR("rrn"))->declared);
    assert_true(header_named(n, STR("chart_no"))->required);
    assert_true(header_named(n, STR("own"))->fill_down);
    assert_string_equal(header_named(n, STR("own"))->split, "+");
    assert_false(header_named(n, STR("own"))->required); /* there is another key */
    assert_int_equal(n->identity_count, 2);
    assert_int_equal(n->identities[1].count, 2);
    mapping_free(&m);
    m = load("<key columns=\"dept\"/>", "dept", &p);
    assert_non_null(m);
    assert_true(header_named(mapping_headers(m), STR("dept"))->required); /* the only one */
    char digest[20];
    snprintf(digest, sizeof digest, "%s", mapping_digest(m));
    mapping_free(&m);
    m = mapping_load("mappings/hl7v2", catalogue, &p);
    assert_null(mapping_headers(m));
    assert_string_not_equal(mapping_digest(m), digest);
    mapping_free(&m);
    problems_release(&p);
}

static void test_problems(void **state)
{
    (void)state;
    static const struct {
        const char *columns, *path, *expected;
    } rows[] = {
        {"<columns><column name=\"a\"/>\n<column name=\"a\"/></columns>", "a",
         ":4: column a is declared twice"},
        {"<columns><column name=\"a\"><alias header=\"x\"/></column>\n"
         "<column name=\"b\"><alias header=\"X\"/></column></columns>",
         "a", ":4: this header is an alias of a already"},
        {"<columns><column name=\"a\">\n<alias header=\" \"/></column></columns>", "a",
         ":4: an alias has at least one letter or digit"},
        {"<columns><column name=\"a\"/></columns>\n<key columns=\"a b\"/>", "a",
         ":4: there is no column b"},
        {"", "chart_nr", "path chart_nr: no column of this name"},
        {"", "{chart", "} is missing"},
        {"<columns><column name=\"A\"/></columns>", "dept", ":3: "},
        {"<columns></columns>", "dept", ":3: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct problems p = {0};
        struct mapping_set *m = load(rows[i].columns, rows[i].path, &p);
        assert_null(m);
        if (p.count == 0 || !strstr(p.text, rows[i].expected)) {
            fail_msg("%zu: expected %s, got %s", i, rows[i].expected, p.text ? p.text : "nothing");
        }
        problems_release(&p);
    }
}

/* A dictionary that is wrong is told of with its own name. */
static void test_dictionary(void **state)
{
    (void)state;
    struct problems p = {0};
    struct mapping_set *m = load("", "dept", &p);
    assert_non_null(m);
    mapping_free(&m);
    assert_int_equal(
        file_write(headers, STR("<headers xmlns=\"urn:dari:headers:1\"/>"), 0600, NULL), ERR_NONE);
    m = mapping_load(file, catalogue, &p);
    assert_null(m);
    assert_non_null(strstr(p.text, "headers.xml:1:"));
    problems_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_columns),
                                       cmocka_unit_test(test_problems),
                                       cmocka_unit_test(test_dictionary)};
    return cmocka_run_group_tests_name("mapping: columns", tests, setup, teardown);
}
