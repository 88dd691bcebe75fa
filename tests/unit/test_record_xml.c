/* Values of documents at XPath paths: absent, empty, value; turns of "for each"; places. */
#include "tests/lib/cm.h"

#include "core/record/record.h"
#include "core/xml/tree.h"
#include "tests/lib/guard.h"

#include <string.h>

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
    guard_free_all();
    return 0;
}

#define DOCUMENT                                                                                   \
    "<d:doc xmlns:d='urn:d'>\n<d:empty/><d:blank> \n</d:blank><d:a x='' y='1'>v</d:a>\n"           \
    "<d:no nullFlavor='UNK'/><d:odd nullFlavor='OTH'>v</d:odd>\n"                                  \
    "<d:group n='1'><d:item>1a</d:item><d:item>1b</d:item></d:group>\n"                            \
    "<d:group n='2'/>\n<d:group n='3'><d:item>3a</d:item></d:group></d:doc>"

static const struct xml_prefix prefix = {"d", "urn:d"};
static const struct xml_names names = {&prefix, 1};
static const struct record_names notation = {.format = RECORD_XML, .xml = &names};

static const struct record *record(void)
{
    const struct xml_tree *t;
    enum charset used;
    assert_int_equal(xml_tree_read(arena, guard_copy(STR(DOCUMENT)), NULL, NULL, &t, &used, NULL),
                     ERR_NONE);
    return record_of_xml(arena, t);
}

static const struct record_path *path(const char *text)
{
    const struct record_path *p = NULL;
    assert_int_equal(record_path(arena, &notation, str_of(text), &p, NULL), ERR_NONE);
    assert_same(record_path_text(p), str_of(text), text);
    return p;
}

static void type(void **state)
{
    (void)state;
    struct str code, trigger;
    const struct record *r = record();
    assert_int_equal(record_format(r), RECORD_XML);
    record_type(r, &code, &trigger);
    assert_same(code, STR("doc"), "type");
    assert_int_equal(trigger.n, 0);
}

static void values(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum has has;
        const char *want;
    } rows[] = {
        {"d:a", HAS_VALUE, "v"},
        {"d:a/@y", HAS_VALUE, "1"},
        {"d:a/@x", HAS_EMPTY, ""},
        {"d:a/@z", HAS_ABSENT, ""},
        {"d:empty", HAS_EMPTY, ""},
        {"d:blank", HAS_EMPTY, ""},
        {"d:nothing", HAS_ABSENT, ""},
        {"d:no", HAS_ABSENT, ""},
        {"d:odd", HAS_VALUE, "v"},
        {"/d:doc/d:group/@n", HAS_VALUE, "1"},
        {"count(d:group)", HAS_VALUE, "3"},
        {"string(d:nothing)", HAS_ABSENT, ""},
        {"number(d:a)", HAS_ABSENT, ""},
        {"d:group[@n=3]/d:item", HAS_VALUE, "3a"},
    };
    const struct record *r = record();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct value v;
        assert_int_equal(record_get(r, arena, path(rows[i].path), NULL, &v, NULL), ERR_NONE);
        assert_row(v.has == rows[i].has, rows[i].path);
        assert_same(v.text, str_of(rows[i].want), rows[i].path);
    }
}

static void bad_path(void **state)
{
    (void)state;
    const struct record_path *p = (const void *)DOCUMENT;
    struct err e = {.code = ERR_NONE};
    assert_int_equal(record_path(arena, &notation, STR("d:a/x:b"), &p, &e), ERR_SYNTAX);
    assert_int_equal(e.pos, 4);
    assert_null(p);
}

/* "for each group, for each item": relative paths are of the turn, absolute ones of the document.
 */
static void turns(void **state)
{
    (void)state;
    static const char *const want[3][3] = {
        {"1a", "1b", NULL}, {NULL, NULL, NULL}, {"3a", NULL, NULL}};
    const struct record *r = record();
    const struct record_path *group = path("d:group"), *item = path("d:item"), *self = path(".");
    const struct record_path *up = path("../@n"), *top = path("/d:doc/d:a");
    unsigned groups = record_count(r, group, NULL);
    assert_int_equal(groups, 3);
    for (unsigned g = 1; g <= groups; g++) {
        struct record_scope outer = {group, g, NULL};
        unsigned count = record_count(r, item, &outer);
        for (unsigned i = 1; i <= count; i++) {
            struct record_scope inner = {item, i, &outer};
            struct value v;
            assert_int_equal(record_get(r, arena, self, &inner, &v, NULL), ERR_NONE);
            assert_same(v.text, str_of(want[g - 1][i - 1]), "item");
            assert_int_equal(record_get(r, arena, up, &inner, &v, NULL), ERR_NONE);
            assert_true(v.text.n == 1 && v.text.p[0] == (char)('0' + g));
            assert_int_equal(record_get(r, arena, top, &inner, &v, NULL), ERR_NONE);
            assert_same(v.text, STR("v"), "absolute");
        }
        assert_null(want[g - 1][count]);
    }
    struct record_scope beyond = {group, 4, NULL};
    struct value v;
    assert_int_equal(record_get(r, arena, self, &beyond, &v, NULL), ERR_NONE);
    assert_int_equal(v.has, HAS_ABSENT);
}

static void places(void **state)
{
    (void)state;
    const struct record *r = record();
    struct record_scope outer = {path("d:group"), 3, NULL};
    static const struct {
        const char *path;
        bool inside;
        const char *want;
    } rows[] = {
        {"d:a/@y", false, "line 3: a/@y"},
        {"d:nothing", false, "nothing"},
        {"/d:doc/ancestor-or-self::d:a[d:b='x:y']/@z", false, "/doc/a/@z"},
        {"/d:doc/d:aaaaaaaaaaaaaaaaaaaa/d:bbbbbbbbbbbbbbbbbbbb/d:cccccccccccccccccccc", false,
         "…aaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbb/cccccccccccccccccccc"},
        {"d:item", true, "line 7: group[3]/item"},
        {"d:nothing", true, "line 7: group[3]: nothing"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char place[RECORD_PLACE];
        assert_string_equal(
            record_place(r, path(rows[i].path), rows[i].inside ? &outer : NULL, place),
            rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type),  cmocka_unit_test(values), cmocka_unit_test(bad_path),
        cmocka_unit_test(turns), cmocka_unit_test(places),
    };
    return cmocka_run_group_tests_name("record: documents", tests, setup, teardown);
}
