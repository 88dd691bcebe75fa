/* Trees of documents: XPath, places, FHIR JSON as the tree of the same resource in XML. */
#include "tests/lib/cm.h"

#include "core/base/file.h"
#include "core/xml/batch.h"
#include "core/xml/tree.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <stdlib.h>
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

static const struct xml_prefix prefixes[] = {{"f", "http://hl7.org/fhir"}, {"c", "urn:hl7-org:v3"}};
static const struct xml_names names = {prefixes, 2};

static const struct xml_tree *tree(const char *text)
{
    const struct xml_tree *t;
    enum charset used;
    struct err e = {.code = ERR_NONE};
    if (xml_tree_read(arena, guard_copy(str_of(text)), NULL, NULL, &t, &used, &e) != ERR_NONE) {
        fail_msg("%s: %s, %s", text, e.where, e.msg);
    }
    return t;
}

static const struct xml_path *path(const char *text)
{
    const struct xml_path *p;
    struct err e = {.code = ERR_NONE};
    if (xml_path_compile(arena, &names, str_of(text), &p, &e) != ERR_NONE) {
        fail_msg("%s: %s", text, e.msg);
    }
    return p;
}

/* What a path finds from the subject: values joined by |, "" for nothing. */
static struct str found(const struct xml_tree *t, const char *text)
{
    struct xml_result r;
    struct err e = {.code = ERR_NONE};
    const char *all = "";
    if (xml_path_find(t, path(text), xml_tree_subject(t), arena, &r, &e) != ERR_NONE) {
        fail_msg("%s: %s", text, e.msg);
    }
    if (r.computed) {
        return r.text;
    }
    for (size_t i = 0; i < r.count; i++) {
        struct str v = xml_value(r.nodes[i], arena);
        all = arena_printf(arena, "%s%s%.*s", all, i ? "|" : "", STR_ARG(v));
    }
    return str_of(all);
}

#define CDA                                                                                        \
    "<ClinicalDocument xmlns='urn:hl7-org:v3'>\n<id root='1.2' extension='7'/>\n"                  \
    "<name><given>길동</given><family>홍</family></name>\n<x><![CDATA[<b>]]> &amp; c</x></"     \
    "ClinicalDocument>"

static void paths(void **state)
{
    (void)state;
    const struct xml_tree *t = tree(CDA);
    static const char *const rows[][2] = {
        {"c:id/@extension", "7"},
        {"/c:ClinicalDocument/c:name/c:family", "홍"},
        {"c:name/*", "길동|홍"},
        {"c:name", "길동홍"},
        {"c:x", "<b> & c"},
        {"c:x/text()", "<b> & c"},
        {"id", ""},
        {"f:id", ""},
        {"c:name/c:given|c:id/@root", "1.2|길동"},
        {"count(c:name/*)", "2"},
        {"number(c:name)", ""},
        {"string(c:nothing)", ""},
        {"concat(c:name/c:family, ' ', c:name/c:given)", "홍 길동"},
        {"local-name()", "ClinicalDocument"},
        {"c:name[c:family='홍']/c:given", "길동"},
        {"not(c:name)", "false"},
        {"substring-after('tel:02', ':')", "02"},
        {"c:name/c:given/following-sibling::c:family", "홍"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_same(found(t, rows[i][0]), str_of(rows[i][1]), rows[i][0]);
    }
}

static void bad_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t pos;
    } rows[] = {
        {"", 0},
        {"c:id/", 5},
        {"x:id", 0},
        {"c:id/y:z", 5},
        {"c:id[", 5},
        {"document('x')", 0},
        {"c:id[$x]", 5},
        {"c:id[foo()]", 5},
        {"c:id[x:y()]", 5},
        {"'x:y' = z:a", 8},
        {"c:id[1=x:b and 2]", 7},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct xml_path *p;
        struct err e = {.code = ERR_NONE};
        enum err_code code = xml_path_compile(arena, &names, str_of(rows[i].text), &p, &e);
        if (code != ERR_SYNTAX || e.pos != rows[i].pos || p) {
            fail_msg("%s: %s at %zu: %s", rows[i].text, err_name(code), e.pos, e.msg);
        }
    }
}

/* A path that would take for ever is given up, and so is every other of that document then. */
static void steps(void **state)
{
    (void)state;
    char *text = arena_alloc(arena, 40020), *at = text;
    memcpy(at, "<r>", 3);
    for (at += 3; at < text + 40000; at += 4) {
        memcpy(at, "<a/>", 4);
    }
    memcpy(at, "</r>", 5);
    const struct xml_tree *t = tree(text);
    struct xml_result r;
    struct err e = {.code = ERR_NONE};
    assert_int_equal(
        xml_path_find(t, path("count(//a[count(//a) > 1])"), xml_tree_subject(t), arena, &r, &e),
        ERR_LIMIT);
    assert_int_equal(xml_path_find(t, path("a"), xml_tree_subject(t), arena, &r, &e), ERR_LIMIT);
}

/* So is one that resolves many references among many entries. */
static void many_references(void **state)
{
    (void)state;
    char *text = arena_alloc(arena, 2000000), *at = text;
    at += snprintf(
        at, 300,
        "{\"resourceType\":\"Bundle\",\"meta\":{\"tag\":[{\"system\":\"urn:dari:bundle\"}]},"
        "\"entry\":[{\"resource\":{\"resourceType\":\"Appointment\",\"a\":[{}");
    for (int i = 0; i < 15000; i++) {
        at += snprintf(at, 40, ",{\"reference\":\"Patient/%d\"}", i);
    }
    at += snprintf(at, 10, "]}}");
    for (int i = 0; i < 15000; i++) {
        at += snprintf(at, 80, ",{\"resource\":{\"resourceType\":\"Patient\",\"id\":\"%d\"}}", i);
    }
    snprintf(at, 10, "]}");
    const struct xml_tree *t = tree(text);
    struct xml_result r;
    assert_string_equal(xml_name(xml_tree_subject(t)), "Appointment");
    assert_int_equal(
        xml_path_find(t, path("resolve(f:a[7])/f:id"), xml_tree_subject(t), arena, &r, NULL),
        ERR_NONE);
    assert_int_equal(r.count, 1);
    assert_int_equal(xml_path_find(t, path("resolve(f:a)"), xml_tree_subject(t), arena, &r, NULL),
                     ERR_LIMIT);
}

static void places(void **state)
{
    (void)state;
    static const struct {
        const char *document, *path, *want;
    } rows[] = {
        {CDA, "c:name/c:family", "line 3: name/family"},
        {CDA, "c:id/@extension", "line 2: id/@extension"},
        {CDA, "c:x/text()", "line 4: x"},
        {"{\"resourceType\":\"A\",\"b\":[{\"c\":\"1\"},{\"c\":\"2\"}]}", "f:b[2]/f:c/@value",
         "b[2]/c/@value"},
        {"<r><aaaaaaaaaaaaaaaaaaaaaaaaa><bbbbbbbbbbbbbbbbbbbbbbbbbbbbb><ccccccccccccccccccccccccc/>"
         "</bbbbbbbbbbbbbbbbbbbbbbbbbbbbb></aaaaaaaaaaaaaaaaaaaaaaaaa></r>",
         "//ccccccccccccccccccccccccc", "line 1: …/ccccccccccccccccccccccccc"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char place[XML_PLACE];
        struct xml_result r;
        const struct xml_tree *t = tree(rows[i].document);
        assert_int_equal(xml_path_find(t, path(rows[i].path), xml_tree_subject(t), arena, &r, NULL),
                         ERR_NONE);
        assert_int_equal(r.count, 1);
        assert_string_equal(xml_place(t, r.nodes[0], place), rows[i].want);
    }
}

/* And back: where in the text a place is. */
static void find_places(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place, *want;
    } rows[] = {
        {CDA, "line 3: name/family", "family"},
        {CDA, "line 2: id/@extension", "extension"},
        {CDA, "line 2: id/@none", "<id root='1.2' extension='7'/>"},
        {CDA, "line 2", "<id root='1.2' extension='7'/>"},
        {"\n\n <a/>\n", "line 3", "<a/>"},
        {CDA, "line 9", NULL},
        {CDA, "nowhere", NULL},
        {"{\"resourceType\":\"A\",\"b\":[{\"c\":\"1\"},{\"c\":\"2\"}]}", "b[2]/c/@value", "\"2\""},
        {"\xef\xbb\xbf{\"b\":1.50}", "b/@value", "1.50"},
        {"{\"entry\":[{\"resource\":{\"b\":{\"c\":true}}},{\"resource\":{\"b\":{\"c\":false}}}]}",
         "b/c", "true"},
        {"{\"b\":1}", "b[2]", NULL},
        {"{\"b\":1}", "…/b", NULL},
        {"{\"b\":1}", "line 1", "{\"b\":1}"},
        {"{\"b\":", "b", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t from, n;
        struct str text = guard_copy(str_of(rows[i].text));
        bool found = xml_find_place(arena, text, str_of(rows[i].place), &from, &n);
        assert_row(found == (rows[i].want != NULL), rows[i].place);
        if (found) {
            assert_same(str_cut(text, from, from + n), str_of(rows[i].want), rows[i].place);
        }
    }
}

/* ---- FHIR ---- */

#define PATIENT                                                                                    \
    "{\"resourceType\":\"Patient\",\"id\":\"1\",\"active\":true,\"birthDate\":\"1980-03-01\","     \
    "\"_birthDate\":{\"id\":\"b\",\"extension\":[{\"url\":\"u\",\"valueDecimal\":1.10}]},"         \
    "\"name\":[{\"id\":\"n\",\"given\":[\"길\\ub3d9\",null],\"_given\":[null,{\"extension\":[{"   \
    "\"url\":\"v\",\"valueCode\":\"x\"}]}]}],\"contained\":[{\"resourceType\":\"Group\",\"id\":"   \
    "\"g\"}],\"text\":{\"div\":\"<div>\\u003c\\/"                                                  \
    "div>\"},\"x\":null,\"big\":12345678901234567890.10,"                                          \
    "\"_only\":{\"id\":\"o\"},\"managingOrganization\":{\"reference\":\"#g\"}}"

static void json(void **state)
{
    (void)state;
    const struct xml_tree *t = tree(PATIENT);
    static const char *const rows[][2] = {
        {"local-name()", "Patient"},
        {"f:id/@value", "1"},
        {"f:active/@value", "true"},
        {"f:birthDate/@value", "1980-03-01"},
        {"f:birthDate/@id", "b"},
        {"f:birthDate/f:extension[@url='u']/f:valueDecimal/@value", "1.10"},
        {"f:name/@id", "n"},
        {"f:name/f:given/@value", "길동"},
        {"count(f:name/f:given)", "2"},
        {"f:name/f:given[2]/f:extension/@url", "v"},
        {"f:contained/f:Group/f:id/@value", "g"},
        {"f:text/f:div", "<div></div>"},
        {"count(f:x)", "0"},
        {"f:big/@value", "12345678901234567890.10"},
        {"f:only/@id", "o"},
        {"local-name(resolve(f:managingOrganization))", "Group"},
        {"count(resolve(f:name))", "0"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_same(found(t, rows[i][0]), str_of(rows[i][1]), rows[i][0]);
    }
}

static void bad_json(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        enum err_code code;
        size_t pos;
        const char *where;
    } rows[] = {
        {STR_INIT("{"), ERR_SYNTAX, 1, "line 1"},
        {STR_INIT("{}"), ERR_SYNTAX, 0, "line 1"},
        {STR_INIT("{\"resourceType\":1}"), ERR_SYNTAX, 0, "line 1"},
        {STR_INIT("{\"resourceType\":\"A b\"}"), ERR_SYNTAX, 0, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\"} x"), ERR_SYNTAX, 21, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\n\"a\":1,\"a\":2}"), ERR_SYNTAX, 28, "line 2"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":[[1]]}"), ERR_SYNTAX, 25, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a b\":1}"), ERR_SYNTAX, 26, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":01}"), ERR_SYNTAX, 24, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":1.}"), ERR_SYNTAX, 24, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":NaN}"), ERR_SYNTAX, 24, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":\"\\u0000\"}"), ERR_SYNTAX, 25, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":\"\\ud800\"}"), ERR_SYNTAX, 25, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":\"\\x\"}"), ERR_SYNTAX, 25, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":\"\n\"}"), ERR_SYNTAX, 25, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":\"x"), ERR_SYNTAX, 25, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\",\"a\":1,}"), ERR_SYNTAX, 26, "line 1"},
        {STR_INIT("{\"resourceType\":\"A\" \"a\":1}"), ERR_SYNTAX, 20, "line 1"},
        {STR_INIT("{\"resourceType\" \"A\"}"), ERR_SYNTAX, 16, "line 1"},
        {STR_INIT("{\"a\0\":1}"), ERR_SYNTAX, 3, "line 1"},
        {STR_INIT("{\"a\":\"\xff\"}"), ERR_CHARSET, 6, "byte 6"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct xml_tree *t;
        enum charset used;
        struct err e = {.code = ERR_NONE};
        enum err_code code =
            xml_tree_read(arena, guard_copy(rows[i].in), NULL, NULL, &t, &used, &e);
        if (code != rows[i].code || e.pos != rows[i].pos || strcmp(e.where, rows[i].where) != 0) {
            fail_msg("%s: %s at %zu, %s: %s", rows[i].in.p, err_name(code), e.pos, e.where, e.msg);
        }
    }
}

static void json_limits(void **state)
{
    (void)state;
    struct err e = {.code = ERR_NONE};
    const struct xml_tree *t;
    enum charset used;
    char *deep = arena_alloc(arena, 4000), *wide = arena_alloc(arena, 20000), *at = wide;
    memset(deep, '[', 3999);
    memcpy(deep, "{\"a\":", 5);
    assert_int_equal(xml_tree_read(arena, str_of(deep), NULL, NULL, &t, &used, &e), ERR_LIMIT);
    assert_int_equal(e.pos, 5 + 127);
    at += snprintf(at, 30, "{\"resourceType\":\"A\"");
    for (int i = 0; i < 300; i++) {
        at += snprintf(at, 30, ",\"a%d\":%d", i, i);
    }
    snprintf(at, 30, "}");
    assert_int_equal(xml_tree_read(arena, str_of(wide), NULL, NULL, &t, &used, &e), ERR_LIMIT);
}

/* ---- what others published ---- */

/* Every document is read, but for one that brings a DOCTYPE. */
static void corpus(void **state)
{
    (void)state;
    static const char *const folders[] = {"cda", "fhir-xml", "hl7v2-xml"};
    const char *root = getenv("DARI_CORPUS") ? getenv("DARI_CORPUS") : "../shared/corpus";
    size_t read = 0, refused = 0;
    if (!file_exists(root)) {
        printf("# SKIP no corpus at %s\n", root);
        skip(); /* does not come back */
    }
    struct arena *one = arena_new(0);
    for (size_t i = 0; i < COUNT(folders); i++) {
        char **files;
        size_t count;
        char *folder = file_path(arena, root, folders[i]);
        assert_int_equal(file_list(arena, folder, ".xml", &files, &count, NULL), ERR_NONE);
        for (size_t k = 0; k < count; k++) {
            struct str raw;
            struct xml_batch *batch;
            struct xml_message m;
            bool more = true;
            struct err e = {.code = ERR_NONE};
            arena_reset(one);
            char *file = file_path(one, folder, files[k]);
            assert_int_equal(file_read(one, file, 1 << 24, &raw, NULL), ERR_NONE);
            assert_int_equal(xml_batch_open(one, raw, NULL, NULL, &batch, &e), ERR_NONE);
            while (xml_batch_next(batch, one, &m, &more, &e) == ERR_NONE && more) {
                const struct xml_tree *t;
                enum charset used;
                enum err_code code = xml_tree_read(one, m.raw, NULL, NULL, &t, &used, &e);
                if (code != ERR_NONE && code != ERR_REFUSED) {
                    fail_msg("%s %s: %s, %s", files[k], m.place, e.where, e.msg);
                }
                read += code == ERR_NONE;
                refused += code == ERR_REFUSED;
            }
        }
    }
    arena_free(&one);
    assert_true(read >= 412);
    assert_int_equal(refused, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),       cmocka_unit_test(bad_paths),
        cmocka_unit_test(steps),       cmocka_unit_test(places),
        cmocka_unit_test(json),        cmocka_unit_test(bad_json),
        cmocka_unit_test(json_limits), cmocka_unit_test(corpus),
        cmocka_unit_test(find_places), cmocka_unit_test(many_references),
    };
    return cmocka_run_group_tests_name("xml: trees", tests, setup, teardown);
}
