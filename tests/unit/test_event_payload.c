/* Cutting a payload to a contract: order, merging, renaming, and text that is not ours. */
#include "core/event/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEY "0123456789abcdefghjkmnpqrs"
#define KEY2 "1123456789abcdefghjkmnpqrs"
#define OTHER "x123456789abcdefghjkmnpqrs"

static struct catalogue *catalogue;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    catalogue = catalogue_load("mappings/catalogue.xml", &p);
    problems_print(&p, stderr);
    problems_release(&p);
    return catalogue ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    catalogue_free(&catalogue);
    return 0;
}

/* ctx: names between blanks; "*" for all */
static bool allow(void *ctx, const struct event_type *t, const struct field *f)
{
    (void)t;
    const char *names = ctx;
    char word[80];
    snprintf(word, sizeof word, " %s ", f->name);
    return strcmp(names, "*") == 0 || strstr(names, word);
}

static void rename_key(void *ctx, struct str key, char out[KEY_TEXT])
{
    (void)ctx;
    assert_int_equal(key.n, KEY_TEXT - 1);
    memcpy(out, key.p, key.n);
    out[key.n] = '\0';
    out[0] = 'x';
}

struct row {
    const char *type, *data, *secret, *allowed;
    bool rename;
    const char *wanted;
};

static void test_cut(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"appointment.booked", "{}", "", "*", true, "{}"},
        {"appointment.booked",
         "{\"appointment_key\":\"" KEY "\",\"start\":\"s\",\"dept\":\"내과 \\\"\\u0001\"}", "", "*",
         false, "{\"appointment_key\":\"" KEY "\",\"start\":\"s\",\"dept\":\"내과 \\\"\\u0001\"}"},
        {"appointment.booked",
         "{\"appointment_key\":\"" KEY "\",\"start\":\"s\",\"dept\":\"d\",\"version\":2}", "",
         " appointment_key start version ", true,
         "{\"appointment_key\":\"" OTHER "\",\"start\":\"s\",\"version\":2}"},
        /* catalogue order, whatever the order was; blanks between tokens go */
        {"appointment.booked", " { \"version\" : -2 , \"start\" : \"s\" } ", "", "*", false,
         "{\"start\":\"s\",\"version\":-2}"},
        {"appointment.booked", "{\"version\":2}", "", "  ", false, "{}"},
        /* merged */
        {"patient.registered", "{\"inflow_channel\":\"sign\"}",
         "{\"chart_no\":\"1\",\"address\":null}", "*", false,
         "{\"chart_no\":\"1\",\"address\":null,\"inflow_channel\":\"sign\"}"},
        {"patient.registered", "{\"inflow_channel\":\"sign\"}", "", " chart_no inflow_channel ",
         false, "{\"inflow_channel\":\"sign\"}"},
        /* unknown to the catalogue: never sent */
        {"patient.deceased", "{\"on\":\"d\",\"cause\":{\"a\":[1,{}]}}", "", "*", false,
         "{\"on\":\"d\"}"},
        /* keys in lists; ids of events are not renamed */
        {"call.received", "{\"patient_keys\":[\"" KEY "\", \"" KEY2 "\"]}", "{\"caller\":\"c\"}",
         "*", true,
         "{\"caller\":\"c\",\"patient_keys\":[\"" OTHER "\",\"x123456789abcdefghjkmnpqrs\"]}"},
        {"call.received", "{\"patient_keys\":[]}", "", "*", true, "{\"patient_keys\":[]}"},
        {"visit.voided", "{\"visit_key\":\"" KEY "\",\"corrects\":\"" KEY "\"}", "", "*", true,
         "{\"visit_key\":\"" OTHER "\",\"corrects\":\"" KEY "\"}"},
        {"visit.voided", "{\"visit_key\":null}", "", "*", true, "{\"visit_key\":null}"},
        {"segment.entered", "{\"reasons\":[\"a,b]\",\"c\"]}", "", "*", true,
         "{\"reasons\":[\"a,b]\",\"c\"]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct event_type *t = catalogue_find(catalogue, str_of(rows[i].type));
        struct event_cut cut = {allow, rows[i].rename ? rename_key : NULL,
                                (void *)(uintptr_t)rows[i].allowed};
        struct err e = {0};
        struct buf out;
        buf_init(&out, 4096);
        if (event_payload(&out, t, str_of(rows[i].data), str_of(rows[i].secret), &cut, &e)) {
            fail_msg("row %zu: %s at %zu", i, e.msg, e.pos);
        }
        assert_string_equal(out.p, rows[i].wanted);
        buf_release(&out);
    }
}

/* A key inside the objects of a list: no type of the shipped catalogue has one. */
static void test_key_in_items(void **state)
{
    (void)state;
    static const struct field items[] = {{.name = "k", .kind = KIND_KEY},
                                         {.name = "e", .kind = KIND_KEY, .event_id = true},
                                         {.name = "n", .kind = KIND_INT}};
    static const struct field fields[] = {
        {.name = "l", .kind = KIND_LIST, .items = items, .item_count = 3}};
    static const struct event_type t = {.name = "a.b", .fields = fields, .field_count = 1};
    static char all[] = "*";
    struct event_cut cut = {allow, rename_key, all};
    struct err e = {0};
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(
        event_payload(&out, &t,
                      STR("{\"l\":[{\"n\":1,\"k\":\"" KEY "\",\"e\":\"" KEY "\",\"z\":[]}, {}]}"),
                      STR(""), &cut, NULL),
        ERR_NONE);
    assert_string_equal(out.p, "{\"l\":[{\"k\":\"" OTHER "\",\"e\":\"" KEY "\",\"n\":1},{}]}");
    static const char *const bad[] = {"{\"l\":[1]}", "{\"l\":5}", "{\"l\":[{\"k\":7}]}",
                                      "{\"l\":[{\"n\":1,\"n\":2}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buf_reset(&out);
        assert_true(event_payload(&out, &t, str_of(bad[i]), STR(""), &cut, &e) != ERR_NONE);
        assert_true(strncmp(e.where, "l", 1) == 0 || strcmp(e.where, "n") == 0);
    }
    buf_release(&out);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *data, *secret;
        enum err_code code;
        size_t pos;
    } rows[] = {
        {"", "", ERR_SYNTAX, 0},
        {"[]", "", ERR_SYNTAX, 0},
        {"{", "", ERR_SYNTAX, 1},
        {"{\"a\"}", "", ERR_SYNTAX, 4},
        {"{\"a\":1,}", "", ERR_SYNTAX, 7},
        {"{\"a\":1", "", ERR_SYNTAX, 6},
        {"{\"a\":1} x", "", ERR_SYNTAX, 8},
        {"{\"a\":01}", "", ERR_SYNTAX, 7},
        {"{\"a\":-}", "", ERR_SYNTAX, 6},
        {"{\"a\":1.5}", "", ERR_SYNTAX, 6},
        {"{\"a\":nul}", "", ERR_SYNTAX, 5},
        {"{\"a\":\"x}", "", ERR_SYNTAX, 8},
        {"{\"a\":\"\n\"}", "", ERR_SYNTAX, 7},
        {"{\"a\":\"\\x\"}", "", ERR_SYNTAX, 8},
        {"{\"a\":\"\\u00g0\"}", "", ERR_SYNTAX, 8},
        {"{\"a\":\"\\u00", "", ERR_SYNTAX, 8},
        {"{\"a\":[1 2]}", "", ERR_SYNTAX, 8},
        {"{\"a\":[[[[[1]]]]]}", "", ERR_SYNTAX, 10},
        {"{\"visit_key\":null,\"visit_key\":null}", "", ERR_SYNTAX, 34},
        {"{\"visit_key\":null}", "{\"visit_key\":null}", ERR_SYNTAX, 17},
        {"{}", "{", ERR_SYNTAX, 1},
        {"{\"visit_key\":\"short\"}", "", ERR_VALUE, 0},
        {"{\"visit_key\":12345678901234567890123456}", "", ERR_VALUE, 0},
        {"{\"visit_key\":1234567890123456789012345678}", "", ERR_VALUE, 0},
    };
    static char all[] = "*";
    const struct event_type *t = catalogue_find(catalogue, STR("visit.voided"));
    struct event_cut cut = {allow, rename_key, all};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err e = {0};
        struct buf out;
        buf_init(&out, 4096);
        enum err_code code =
            event_payload(&out, t, str_of(rows[i].data), str_of(rows[i].secret), &cut, &e);
        if (code != rows[i].code || e.pos != rows[i].pos) {
            fail_msg("row %zu: %s at %zu", i, err_name(code), e.pos);
        }
        buf_release(&out);
    }
}

static void test_nul_and_room(void **state)
{
    (void)state;
    static char all[] = "*";
    const struct event_type *t = catalogue_find(catalogue, STR("visit.voided"));
    struct event_cut cut = {allow, NULL, all};
    struct err e = {0};
    struct buf out;
    buf_init(&out, 10);
    assert_int_equal(event_payload(&out, t, (struct str){"{}\0", 3}, STR(""), &cut, &e),
                     ERR_SYNTAX);
    assert_int_equal(e.pos, 2);
    assert_int_equal(event_payload(&out, t, STR("{\"visit_key\":\"" KEY "\"}"), STR(""), &cut, &e),
                     ERR_LIMIT);
    buf_release(&out);
}

/* What the builder writes is what the cutter reads. */
static void test_from_builder(void **state)
{
    (void)state;
    static char all[] = "*";
    struct arena *a = arena_new(0);
    struct event_builder *b = event_new(a, catalogue_find(catalogue, STR("patient.registered")));
    struct event_cut cut = {allow, rename_key, all};
    struct event ev;
    struct buf out;
    assert_int_equal(event_set(b, STR("chart_no"), STR("\"\\\b{}[],:"), NULL), ERR_NONE);
    assert_int_equal(event_set(b, STR("lead_id"), STR(KEY), NULL), ERR_NONE);
    assert_int_equal(event_item(b, STR("phones"), NULL), ERR_NONE);
    assert_int_equal(event_item_set(b, STR("e164"), STR("}]"), NULL), ERR_NONE);
    assert_int_equal(event_finish(b, &ev, NULL), ERR_NONE);
    buf_init(&out, 4096);
    assert_int_equal(event_payload(&out, ev.type, ev.data, ev.secret, &cut, NULL), ERR_NONE);
    assert_string_equal(out.p, "{\"chart_no\":\"\\\"\\\\\\u0008{}[],:\",\"phones\":[{\"e164\":"
                               "\"}]\"}],\"lead_id\":\"" OTHER "\"}");
    buf_release(&out);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),          cmocka_unit_test(test_key_in_items),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_nul_and_room),
        cmocka_unit_test(test_from_builder),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
