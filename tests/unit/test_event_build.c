/* The builder: kinds, required fields, lists, classes kept apart. */
#include "core/event/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define KEY "0123456789abcdefghjkmnpqrs"

static struct catalogue *catalogue;
static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    catalogue = catalogue_load("mappings/catalogue.xml", &p);
    problems_print(&p, stderr);
    problems_release(&p);
    arena = arena_new(0);
    return catalogue && arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    catalogue_free(&catalogue);
    arena_free(&arena);
    return 0;
}

static struct event_builder *begin(const char *type)
{
    arena_reset(arena);
    const struct event_type *t = catalogue_find(catalogue, str_of(type));
    assert_non_null(t);
    struct event_builder *b = event_new(arena, t);
    assert_non_null(b);
    return b;
}

static void set(struct event_builder *b, const char *field, const char *value)
{
    struct err e = {0};
    assert_int_equal(event_set(b, str_of(field), str_of(value), &e), ERR_NONE);
}

static void item_set(struct event_builder *b, const char *field, const char *value)
{
    struct err e = {0};
    assert_int_equal(event_item_set(b, str_of(field), str_of(value), &e), ERR_NONE);
}

static void test_order_and_kinds(void **state)
{
    (void)state;
    struct event_builder *b = begin("appointment.booked");
    struct event out = {.test = true};
    set(b, "version", "+007");
    set(b, "dept", "내과 \"1\"\n");
    set(b, "start", "2026-03-11T09:00:00+09:00");
    set(b, "appointment_key", KEY);
    set(b, "kind", "first");
    set(b, "kind", "revisit");
    assert_true(event_has(b, STR("dept")));
    assert_false(event_has(b, STR("purpose")));
    assert_false(event_has(b, STR("nothing")));
    assert_int_equal(event_finish(b, &out, NULL), ERR_NONE);
    assert_string_equal(out.data.p,
                        "{\"appointment_key\":\"" KEY
                        "\",\"start\":\"2026-03-11T09:00:00+09:00\",\"dept\":\"내과 \\\"1\\\"\\n\","
                        "\"kind\":\"revisit\",\"version\":7}");
    assert_int_equal(out.secret.n, 0);
    assert_true(out.test);
    assert_string_equal(out.type->name, "appointment.booked");
}

static void test_secret_apart(void **state)
{
    (void)state;
    struct event_builder *b = begin("patient.registered");
    struct event out = {0};
    set(b, "chart_no", "123");
    set(b, "name", "홍길동");
    set(b, "inflow_channel", "sign");
    assert_int_equal(event_null(b, STR("address"), NULL), ERR_NONE);
    assert_true(event_has(b, STR("address")));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(event_item(b, STR("phones"), NULL), ERR_NONE);
        if (i == 1) {
            continue; /* never filled: left out */
        }
        item_set(b, "valid", "true");
        item_set(b, "e164", i ? "+8221234567" : "+821012345678");
    }
    assert_true(event_has(b, STR("phones")));
    assert_int_equal(event_finish(b, &out, NULL), ERR_NONE);
    assert_string_equal(out.data.p, "{\"inflow_channel\":\"sign\"}");
    assert_string_equal(out.secret.p,
                        "{\"chart_no\":\"123\",\"name\":\"홍길동\",\"phones\":[{\"e164\":"
                        "\"+821012345678\",\"valid\":true},{\"e164\":\"+8221234567\",\"valid\":"
                        "true}],\"address\":null}");
}

static void test_plain_list(void **state)
{
    (void)state;
    struct event_builder *b = begin("segment.entered");
    struct event out = {0};
    set(b, "segment", "SG02");
    assert_int_equal(event_item(b, STR("reasons"), NULL), ERR_NONE);
    assert_false(event_has(b, STR("reasons")));
    item_set(b, "", "a");
    assert_int_equal(event_item(b, STR("reasons"), NULL), ERR_NONE);
    item_set(b, "", "b");
    assert_int_equal(event_finish(b, &out, NULL), ERR_NONE);
    assert_string_equal(out.data.p, "{\"segment\":\"SG02\",\"reasons\":[\"a\",\"b\"]}");
}

static void test_empty_data(void **state)
{
    (void)state;
    struct event_builder *b = begin("patient.deceased");
    struct event out = {0};
    assert_int_equal(event_finish(b, &out, NULL), ERR_NONE);
    assert_string_equal(out.data.p, "{}");
    assert_int_equal(out.secret.n, 0);
}

struct bad {
    const char *type, *field, *value;
    enum err_code code;
    size_t pos;
};

static const struct bad bad_values[] = {
    {"appointment.booked", "appointment_key", "short", ERR_VALUE, 0},
    {"appointment.booked", "appointment_key", "0123456789abcdefghjkmnpqru", ERR_VALUE, 0},
    {"appointment.booked", "appointment_key", "0123456789ABCDEFGHJKMNPQRS", ERR_VALUE, 0},
    {"appointment.booked", "start", "2026-04-12", ERR_VALUE, 10},
    {"appointment.booked", "start", "2026-04-12T09:00:00", ERR_VALUE, 19},
    {"appointment.booked", "start", "2026-04-12 09:00:00Z", ERR_VALUE, 10},
    {"appointment.booked", "minutes", "30m", ERR_VALUE, 0},
    {"appointment.booked", "minutes", "", ERR_VALUE, 0},
    {"appointment.booked", "minutes", "9007199254740992", ERR_VALUE, 0},
    {"appointment.booked", "kind", "other", ERR_VALUE, 0},
    {"appointment.booked", "kind", "", ERR_VALUE, 0},
    {"appointment.booked", "dept", "", ERR_VALUE, 0},
    {"appointment.booked", "nothing", "x", ERR_UNSUPPORTED, 0},
    {"patient.registered", "birth_on", "1976-02-30", ERR_VALUE, 10},
    {"patient.registered", "birth_on", "19760617", ERR_VALUE, 4},
    {"patient.registered", "chart_no", "", ERR_REQUIRED, 0},
    {"patient.registered", "name", "a\xff", ERR_CHARSET, 1},
    {"patient.registered", "name", "850101-1234567", ERR_REFUSED, 0},
    {"patient.registered", "address", "no. (850101 1234567)", ERR_REFUSED, 0},
    {"patient.registered", "chart_no", "8501011234567", ERR_REFUSED, 0},
    {"patient.registered", "phones", "x", ERR_UNSUPPORTED, 0},
    {"payment.recorded", "refund", "yes", ERR_VALUE, 0},
    {"payment.recorded", "paid_krw", "1.5", ERR_VALUE, 0},
};

static void test_bad_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++) {
        const struct bad *c = &bad_values[i];
        struct event_builder *b = begin(c->type);
        struct err e = {0};
        enum err_code code = event_set(b, str_of(c->field), str_of(c->value), &e);
        if (code != c->code || e.pos != c->pos) {
            fail_msg("%s of %s: %s at %zu", c->field, c->type, err_name(code), e.pos);
        }
        if (code != ERR_UNSUPPORTED) {
            assert_string_equal(e.where, c->field);
        }
        assert_false(event_has(b, str_of(c->field)));
        if (c->value[0] && strlen(c->value) > 1) {
            assert_null(strstr(e.msg, c->value));
        }
    }
}

static void test_not_a_resident_number(void **state)
{
    (void)state;
    static const char *const good[] = {"850101-1******", "851301-1234567", "185010112345678",
                                       "85010112345",    "850101-123456",  "850101-12345678"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        set(begin("patient.registered"), "address", good[i]);
    }
}

static void test_nul_and_long(void **state)
{
    (void)state;
    static char text[EVENT_TEXT + 1];
    struct err e = {0};
    struct event_builder *b = begin("patient.registered");
    assert_int_equal(event_set(b, STR("name"), (struct str){"a\0b", 3}, &e), ERR_VALUE);
    assert_int_equal(e.pos, 1);
    memset(text, 'x', sizeof text);
    assert_int_equal(event_set(b, STR("name"), (struct str){text, EVENT_TEXT}, &e), ERR_NONE);
    assert_int_equal(event_set(b, STR("name"), (struct str){text, sizeof text}, &e), ERR_LIMIT);
    assert_int_equal(e.pos, EVENT_TEXT);
}

static void test_required(void **state)
{
    (void)state;
    struct err e = {0};
    struct event out = {0};
    struct event_builder *b = begin("appointment.booked");
    set(b, "appointment_key", KEY);
    assert_int_equal(event_finish(b, &out, &e), ERR_REQUIRED);
    assert_string_equal(e.where, "start");
    assert_null(out.data.p);

    b = begin("patient.updated");
    assert_int_equal(event_item(b, STR("changed"), NULL), ERR_NONE);
    assert_int_equal(event_finish(b, &out, &e), ERR_REQUIRED);
    assert_string_equal(e.where, "changed");
    item_set(b, "field", "name");
    assert_int_equal(event_finish(b, &out, &e), ERR_REQUIRED);
    assert_string_equal(e.where, "changed.new");
    assert_int_equal(event_item_null(b, STR("new"), NULL), ERR_NONE);
    assert_int_equal(event_finish(b, &out, &e), ERR_NONE);
    assert_string_equal(out.secret.p, "{\"changed\":[{\"field\":\"name\",\"new\":null}]}");
    assert_string_equal(out.data.p, "{}");
}

static void test_bad_items(void **state)
{
    (void)state;
    struct err e = {0};
    struct event_builder *b = begin("patient.registered");
    assert_int_equal(event_item_set(b, STR("e164"), STR("x"), &e), ERR_UNSUPPORTED);
    assert_int_equal(event_item(b, STR("name"), &e), ERR_UNSUPPORTED);
    assert_int_equal(event_item(b, STR("phones"), NULL), ERR_NONE);
    assert_int_equal(event_item_set(b, STR(""), STR("x"), &e), ERR_UNSUPPORTED);
    assert_int_equal(event_item_set(b, STR("use"), STR("pager"), &e), ERR_VALUE);
    assert_string_equal(e.where, "phones.use");
    assert_int_equal(event_item_null(b, STR("use"), &e), ERR_VALUE);
    assert_int_equal(event_null(b, STR("chart_no"), &e), ERR_VALUE);
    assert_string_equal(e.where, "chart_no");

    b = begin("patient.class_changed");
    assert_int_equal(event_item(b, STR("classes"), NULL), ERR_NONE);
    assert_int_equal(event_item_set(b, STR(""), STR("vip"), &e), ERR_VALUE);
    assert_string_equal(e.where, "classes");
    assert_int_equal(event_item_null(b, STR(""), &e), ERR_VALUE);
}

static void test_item_limit(void **state)
{
    (void)state;
    struct err e = {0};
    struct event_builder *b = begin("segment.entered");
    for (int i = 0; i < EVENT_ITEMS; i++) {
        assert_int_equal(event_item(b, STR("reasons"), &e), ERR_NONE);
    }
    assert_int_equal(event_item(b, STR("reasons"), &e), ERR_LIMIT);
    assert_string_equal(e.where, "reasons");
}

static void test_payload_limit(void **state)
{
    (void)state;
    static char text[EVENT_TEXT];
    struct err e = {0};
    struct event out = {0};
    memset(text, 'x', sizeof text);
    struct event_builder *b = begin("segment.entered");
    set(b, "segment", "SG02");
    for (int i = 0; i < EVENT_DATA / EVENT_TEXT; i++) {
        assert_int_equal(event_item(b, STR("reasons"), &e), ERR_NONE);
        assert_int_equal(event_item_set(b, STR(""), (struct str){text, sizeof text}, &e), ERR_NONE);
    }
    assert_int_equal(event_finish(b, &out, &e), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_kinds), cmocka_unit_test(test_secret_apart),
        cmocka_unit_test(test_plain_list),      cmocka_unit_test(test_empty_data),
        cmocka_unit_test(test_bad_values),      cmocka_unit_test(test_not_a_resident_number),
        cmocka_unit_test(test_nul_and_long),    cmocka_unit_test(test_required),
        cmocka_unit_test(test_bad_items),       cmocka_unit_test(test_item_limit),
        cmocka_unit_test(test_payload_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
