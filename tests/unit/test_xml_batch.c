/* Documents as messages: Bundles in XML and JSON, JSON in lines; what goes along with an entry. */
#include "tests/lib/cm.h"

#include "core/base/buf.h"
#include "core/xml/batch.h"
#include "tests/lib/guard.h"

#include <stdio.h>
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

static struct xml_batch *open_batch(struct str raw, const enum charset *override)
{
    struct xml_batch *b;
    struct err e = {.code = ERR_NONE};
    if (xml_batch_open(arena, raw, override, NULL, &b, &e) != ERR_NONE) {
        fail_msg("%s: %s", e.where, e.msg);
    }
    return b;
}

static bool next(struct xml_batch *b, struct xml_message *m)
{
    bool more;
    assert_int_equal(xml_batch_next(b, arena, m, &more, NULL), ERR_NONE);
    return more;
}

/* Its subject's name and id, and the names of what it refers to. */
static const char *shown(struct str raw, const enum charset *override)
{
    const struct xml_tree *t;
    enum charset used;
    struct err e = {.code = ERR_NONE};
    if (xml_tree_read(arena, raw, override, NULL, &t, &used, &e) != ERR_NONE) {
        return arena_printf(arena, "%s %s", err_name(e.code), e.where);
    }
    const struct xml_node *s = xml_tree_subject(t), *id = xml_child(s, "id");
    const char *out = arena_printf(arena, "%s/%s", xml_name(s), id ? xml_attr(id, "value") : "");
    const struct xml_path *p;
    static const struct xml_prefix prefix = {"f", "http://hl7.org/fhir"};
    static const struct xml_names names = {&prefix, 1};
    struct xml_result r;
    assert_int_equal(xml_path_compile(arena, &names, STR("resolve(.//*)/f:id/@value"), &p, NULL),
                     ERR_NONE);
    assert_int_equal(xml_path_find(t, p, s, arena, &r, NULL), ERR_NONE);
    for (size_t i = 0; i < r.count; i++) {
        struct str v = xml_value(r.nodes[i], arena);
        out = arena_printf(arena, "%s %.*s", out, STR_ARG(v));
    }
    return out;
}

#define JSON_BUNDLE                                                                                \
    "{\"entry\":[\n"                                                                               \
    " {\"fullUrl\":\"http://s/Patient/p1\",\"resource\":{\"resourceType\":\"Patient\",\"id\":"     \
    "\"p1\"}},\n"                                                                                  \
    " {\"fullUrl\":\"urn:uuid:2\",\"resource\":{\"resourceType\":\"Patient\",\"id\":\"p2\"}},\n"   \
    " {\"resource\":{\"id\":\"a1\",\"resourceType\":\"Appointment\",\"participant\":[{\"actor\":"  \
    "{\"reference\":\"Patient\\/p1\"}},{\"actor\":{\"reference\":\"urn:uuid:2\"}},{\"actor\":"     \
    "{\"reference\":\"Group/g\"}}]}},\n"                                                           \
    " {\"resource\":{\"resourceType\":\"Encounter\",\"id\":\"e\",\"subject\":{\"reference\":"      \
    "\"http://s/Patient/p1/_history/3\"}}},\n"                                                     \
    " {\"request\":{\"method\":\"DELETE\",\"url\":\"Patient/p1\"}}],\n"                            \
    "\"resourceType\":\"Bundle\",\"type\":\"transaction\"}"

static const char *const entries[] = {"Patient/p1", "Patient/p2", "Appointment/a1 p1 p2",
                                      "Encounter/e p1", "Bundle/"};

static void check_entries(struct xml_batch *b, const enum charset *override)
{
    struct xml_message m;
    for (size_t i = 0; i < COUNT(entries); i++) {
        char place[32];
        snprintf(place, sizeof place, "Bundle.entry[%zu]", i + 1);
        assert_true(next(b, &m));
        assert_int_equal(m.number, i + 1);
        assert_string_equal(m.place, place);
        assert_string_equal(shown(m.raw, override), entries[i]);
    }
    assert_false(next(b, &m));
}

static void json_bundle(void **state)
{
    (void)state;
    check_entries(open_batch(guard_copy(STR(JSON_BUNDLE)), NULL), NULL);
    static const enum charset cp949 = CHARSET_CP949;
    check_entries(open_batch(guard_copy(STR(JSON_BUNDLE)), &cp949), &cp949);
}

/* The same id on two servers: a reference means its own one, or none that is here. */
static void servers(void **state)
{
    (void)state;
    static const char bundle[] =
        "{\"resourceType\":\"Bundle\",\"entry\":["
        "{\"fullUrl\":\"http://a/Patient/"
        "1\",\"resource\":{\"resourceType\":\"Patient\",\"id\":\"1\"}},"
        "{\"fullUrl\":\"http://b/Patient/"
        "1\",\"resource\":{\"resourceType\":\"Patient\",\"id\":\"1\","
        "\"contact\":[{\"organization\":{\"reference\":\"Location/x\"}}]}},"
        "{\"fullUrl\":\"http://b/Location/"
        "x\",\"resource\":{\"resourceType\":\"Location\",\"id\":\"x\"}},"
        "{\"fullUrl\":\"%s\",\"resource\":{\"resourceType\":\"Encounter\",\"id\":\"e\",\"subject\":"
        "{\"reference\":\"%s\"}}}]}";
    static const struct {
        const char *url, *reference;
        int patient; /* which entry, 0: none */
    } rows[] = {
        {"http://b/Encounter/e", "Patient/1", 2},
        {"http://a/Encounter/e", "Patient/1", 1},
        {"http://a/Encounter/e", "http://b/Patient/1/_history/4", 2},
        {"http://a/Encounter/e", "http://c/Patient/1", 0},
        {"http://c/Encounter/e", "Patient/1", 0},
        {"urn:uuid:7", "Patient/1", 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct xml_message m = {.number = 0};
        const char *text = arena_printf(arena, bundle, rows[i].url, rows[i].reference);
        struct xml_batch *b = open_batch(guard_copy(str_of(text)), NULL);
        for (int k = 0; k < 4; k++) {
            assert_true(next(b, &m));
        }
        const char *raw = arena_z(arena, m.raw);
        int carried = strstr(raw, "\"http://a/Patient/1\",\"resource")   ? 1
                      : strstr(raw, "\"http://b/Patient/1\",\"resource") ? 2
                                                                         : 0;
        assert_row(carried == rows[i].patient, rows[i].reference);
        assert_string_equal(shown(m.raw, NULL), carried ? "Encounter/e 1" : "Encounter/e");
    }
}

#define XML_ENTRIES(f)                                                                             \
    "<" f "type value='transaction'/>\n"                                                           \
    "<" f "entry><" f "fullUrl value='http://s/Patient/p1'/><" f "resource><" f "Patient><" f      \
    "id value='p1'/></" f "Patient></" f "resource></" f "entry>\n"                                \
    "<" f "entry><" f "fullUrl value='urn:uuid:2'/><" f "resource><" f "Patient><" f               \
    "id value='p2'/></" f "Patient></" f "resource></" f "entry><!-- x -->\n"                      \
    "<" f "entry><" f "resource><" f "Appointment><" f "id value='a1'/><" f "participant><" f      \
    "actor><" f "reference value='Patient/p1'/></" f "actor></" f "participant><" f                \
    "participant><" f "actor><" f "reference value='urn:uuid:2'/></" f "actor></" f                \
    "participant></" f "Appointment></" f "resource></" f "entry>"                                 \
    "<" f "entry><" f "resource><" f "Encounter><" f "id value='e'/><" f "subject><" f             \
    "reference value='http://s/Patient/p1/_history/3'/></" f "subject></" f "Encounter></" f       \
    "resource></" f "entry><" f "entry/>"

static void xml_bundle(void **state)
{
    (void)state;
    static const enum charset cp949 = CHARSET_CP949;
    static const struct str rows[] = {
        STR_INIT("<?xml version='1.0'?>\n<Bundle\nxmlns='http://hl7.org/fhir'>" XML_ENTRIES(
            "") "</Bundle>"),
        STR_INIT("<f:Bundle xmlns:f=\"http://hl7.org/fhir\">" XML_ENTRIES("f:") "</f:Bundle>"),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_entries(open_batch(guard_copy(rows[i]), NULL), NULL);
        check_entries(open_batch(guard_copy(rows[i]), &cp949), &cp949);
    }
}

static void single(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"<ClinicalDocument/>", "ClinicalDocument/"},
        {"<Bundle><entry/></Bundle>", "Bundle/"}, /* somebody else's */
        {"<a>", "syntax line 1"},
        {"<?xml version='1.0' encoding='utf-7'?><a/>", "unsupported line 1"},
        {"<a>\xff</a>", "charset byte 3"},
        {"{\"resourceType\":\"Patient\",\n\"id\":\"1\"}", "Patient/1"},
        {"{\"resourceType\":\"Patient\"", "syntax line 1"},
        {"{\n}\n{\n}", "syntax line 3"},
        {"{\"resourceType\":\"Bundle\"} 1", "syntax line 1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct xml_message m;
        struct str raw = guard_copy(str_of(rows[i][0]));
        struct xml_batch *b = open_batch(raw, NULL);
        assert_true(next(b, &m));
        assert_string_equal(m.place, "");
        assert_ptr_equal(m.raw.p, raw.p);
        assert_string_equal(shown(m.raw, NULL), rows[i][1]);
        assert_false(next(b, &m));
    }
}

static void empty_bundles(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "<Bundle xmlns='http://hl7.org/fhir'/>",
        "<Bundle xmlns='http://hl7.org/fhir'><total value='0'/></Bundle>",
        "{\"resourceType\":\"Bundle\",\"total\":0}",
        "{\"resourceType\":\"Bundle\",\"entry\":[]}",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct xml_message m;
        assert_false(next(open_batch(guard_copy(str_of(rows[i])), NULL), &m));
    }
}

static void broken_bundles(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum err_code code;
        const char *where;
    } rows[] = {
        {"<Bundle xmlns='http://hl7.org/fhir'>\n<entry></Bundle>", ERR_SYNTAX, "line 2"},
        {"<Bundle xmlns='http://hl7.org/fhir'><entry/>", ERR_SYNTAX, "line 1"},
        {"<Bundle xmlns='http://hl7.org/fhir'>&x;</Bundle>", ERR_REFUSED, "line 1"},
        {"{\"resourceType\":\"Bundle\",\n\"entry\":[],\"entry\":[]}", ERR_SYNTAX, "line 2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct xml_batch *b;
        struct err e = {.code = ERR_NONE};
        assert_int_equal(xml_batch_open(arena, guard_copy(str_of(rows[i].in)), NULL, NULL, &b, &e),
                         rows[i].code);
        assert_string_equal(e.where, rows[i].where);
        assert_null(b);
    }
}

#define LINES                                                                                      \
    "{\"resourceType\":\"Patient\",\"id\":\"1\"}\r\n\n{\"resourceType\":\"Patient\",\"id\":"       \
    "\"2\"}\n{\"resourceType\":\"Patient\",\n{\"resourceType\":\"Bundle\"}"

static void lines(void **state)
{
    (void)state;
    static const char *const want[][2] = {{"line 1", "Patient/1"},
                                          {"line 3", "Patient/2"},
                                          {"line 4", "syntax line 1"},
                                          {"line 5", "Bundle/"}};
    static const enum charset cp949 = CHARSET_CP949;
    const enum charset *const overrides[] = {NULL, &cp949};
    for (size_t k = 0; k < 2; k++) {
        struct xml_batch *b = open_batch(guard_copy(STR(LINES)), overrides[k]);
        struct xml_message m;
        for (size_t i = 0; i < 4; i++) {
            assert_true(next(b, &m));
            assert_string_equal(m.place, want[i][0]);
            assert_string_equal(shown(m.raw, overrides[k]), want[i][1]);
        }
        assert_false(next(b, &m));
        assert_int_equal(xml_batch_offset(b), sizeof LINES - 1);
    }
}

/* After a crash the same messages follow. */
static void seek(void **state)
{
    (void)state;
    struct xml_message m;
    const struct str rows[] = {STR_INIT(JSON_BUNDLE), STR_INIT(LINES)};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct xml_batch *b = open_batch(rows[i], NULL), *again = open_batch(rows[i], NULL);
        for (size_t after = 0; next(b, &m); after++) {
            struct xml_message other;
            xml_batch_seek(again, after);
            assert_true(next(again, &other));
            assert_int_equal(other.number, m.number);
            assert_string_equal(other.place, m.place);
            assert_same(other.raw, m.raw, m.place);
        }
    }
    struct xml_batch *one = open_batch(STR("<a/>"), NULL);
    assert_int_equal(xml_batch_offset(one), 0);
    xml_batch_seek(one, 1);
    assert_false(next(one, &m));
}

/* What would be too large as a message refuses the document before anything of it is taken. */
static void too_large(void **state)
{
    (void)state;
    static const enum charset cp949 = CHARSET_CP949;
    struct xml_limits limits = xml_default_limits;
    limits.bytes = 100;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < 101; i++) {
        buf_addc(&b, 'a');
    }
    const struct {
        const char *before, *after;
        const enum charset *override;
        const char *where;
    } rows[] = {
        {"<a>", "</a>", NULL, "line 1"},
        {"{\"resourceType\":\"A\",\n\"b\":\"", "\"}", NULL, "line 2"},
        {"{}\n{\"b\":\"", "\"}\n", NULL, "line 2"},
        {"{\"resourceType\":\"Bundle\",\"entry\":[{},{\"a\":\"", "\"}]}", NULL, "Bundle.entry[2]"},
        {"<Bundle xmlns='http://hl7.org/fhir'><entry>", "</entry></Bundle>", NULL,
         "Bundle.entry[1]"},
        {"<Bundle xmlns='http://hl7.org/fhir'><total value='", "'/></Bundle>", &cp949, ""},
        {"<Bundle xmlns='http://hl7.org/fhir'><total value='", "'/><entry/></Bundle>", NULL, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct xml_batch *batch;
        struct err e = {.code = ERR_NONE};
        const char *text = arena_printf(arena, "%s%s%s", rows[i].before, b.p, rows[i].after);
        enum err_code code =
            xml_batch_open(arena, guard_copy(str_of(text)), rows[i].override, &limits, &batch, &e);
        assert_int_equal(code, rows[i].where ? ERR_LIMIT : ERR_NONE);
        assert_string_equal(e.where, rows[i].where ? rows[i].where : "");
    }
    buf_release(&b);
}

/* What does not fit is left behind; patients go first. */
static void carried(void **state)
{
    (void)state;
    struct buf b;
    struct xml_message m;
    buf_init(&b, 1 << 20);
    buf_addz(&b, "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":"
                 "\"Encounter\",\"id\":\"e\",\"x\":[{\"reference\":\"Location/big\"},"
                 "{\"reference\":\"Practitioner/d\"},{\"reference\":\"Patient/p\"},"
                 "{\"reference\":\"Encounter/e\"}]}},{\"resource\":{\"resourceType\":\"Patient\","
                 "\"id\":\"p\",\"text\":\"");
    for (size_t i = 0; i < 40000; i++) {
        buf_addc(&b, 'a');
    }
    buf_addz(&b, "\"}},{\"resource\":{\"resourceType\":\"Practitioner\",\"id\":\"d\"}},"
                 "{\"resource\":{\"resourceType\":\"Location\",\"id\":\"big\",\"text\":\"");
    for (size_t i = 0; i < 30000; i++) {
        buf_addc(&b, 'a');
    }
    buf_addz(&b, "\"}}]}");
    struct xml_batch *batch = open_batch(buf_str(&b), NULL);
    assert_true(next(batch, &m));
    assert_string_equal(shown(m.raw, NULL), "Encounter/e e p d");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers),   cmocka_unit_test(json_bundle),    cmocka_unit_test(xml_bundle),
        cmocka_unit_test(single),    cmocka_unit_test(empty_bundles),  cmocka_unit_test(lines),
        cmocka_unit_test(seek),      cmocka_unit_test(broken_bundles), cmocka_unit_test(carried),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests_name("xml: batches", tests, setup, teardown);
}
