/* The envelope as written, checked with jansson, and read back. */
#include "core/event/event.h"
#include "core/event/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdefghjkmnpqrs"
#define SUBJECT "srqpnmkjhgfedcba9876543210"

static const struct envelope full = {
    .site = "서울 \"내과\"",
    .source = "feed:emr",
    .id = ID,
    .type = "appointment.booked",
    .subject = SUBJECT,
    .schema = 3,
    .time = 1773187200 * (usec)USEC_SECOND,
    .recorded_at = 1773187201 * (usec)USEC_SECOND + 5,
    .seq = 42,
    .message_no = 5000000000,
    .mapping = "appointments@1",
    .cause = ID,
    .test = true,
    .data = STR_INIT("{\"n\":7}"),
};

static int setup(void **state)
{
    (void)state;
    return zone_set("Asia/Seoul", NULL) == ERR_NONE ? 0 : -1;
}

static void test_text(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    envelope_json(&out, &full);
    assert_string_equal(
        out.p, "{\"specversion\":\"1.0\",\"id\":\"" ID "\",\"source\":\"feed:emr\",\"type\":"
               "\"appointment.booked\",\"subject\":\"" SUBJECT
               "\",\"time\":\"2026-03-11T09:00:00+09:00\",\"datacontenttype\":\"application/json\","
               "\"dataschema\":\"urn:dari:event:appointment.booked:3\",\"sequence\":"
               "\"00000000000000000042\",\"partitionkey\":\"" SUBJECT
               "\",\"recordedtime\":\"2026-03-11T00:00:01.000005Z\",\"darisite\":\"서울 "
               "\\\"내과\\\"\",\"darimessage\":\"5000000000\",\"darimapping\":\"appointments@1\","
               "\"daritest\":true,\"causationid\":\"" ID "\",\"data\":{\"n\":7}}");
    buf_release(&out);
}

/* CloudEvents 1.0: attribute names are lower-case letters and digits, no nulls. */
static void test_names(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    envelope_json(&out, &full);
    json_t *root = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789"), strlen(name));
        assert_false(json_is_null(value));
    }
    json_decref(root);
    buf_release(&out);
}

static void test_least(void **state)
{
    (void)state;
    struct envelope v = {.site = "a",
                         .source = "role:steward",
                         .id = ID,
                         .type = "feed.gap_detected",
                         .subject = "",
                         .schema = 1,
                         .time = 0,
                         .data = STR("{}")};
    struct buf out;
    buf_init(&out, 4096);
    envelope_json(&out, &v);
    assert_string_equal(out.p, "{\"specversion\":\"1.0\",\"id\":\"" ID
                               "\",\"source\":\"role:steward\",\"type\":\"feed.gap_detected\","
                               "\"time\":\"1970-01-01T09:00:00+09:00\",\"datacontenttype\":"
                               "\"application/json\",\"dataschema\":\"urn:dari:event:feed.gap_"
                               "detected:1\",\"recordedtime\":\"1970-01-01T00:00:00Z\","
                               "\"darisite\":\"a\",\"data\":{}}");
    buf_release(&out);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct received_event r;
    struct buf out;
    buf_init(&out, 4096);
    envelope_json(&out, &full);
    assert_int_equal(received_parse(buf_str(&out), &r, NULL), ERR_NONE);
    assert_int_equal(r.seq, 42);
    assert_int_equal(r.schema, 3);
    assert_string_equal(r.id, ID);
    assert_string_equal(r.type, full.type);
    assert_string_equal(r.subject, SUBJECT);
    assert_string_equal(r.source, "feed:emr");
    assert_string_equal(r.cause, ID);
    assert_string_equal(r.mapping, "appointments@1");
    assert_string_equal(r.site, full.site);
    assert_int_equal(r.message_no, 5000000000);
    assert_int_equal(r.time, full.time);
    assert_int_equal(r.recorded_at, full.recorded_at);
    assert_true(r.test);
    int64_t n;
    assert_true(data_int(r.data, "n", &n));
    assert_int_equal(n, 7);
    received_release(&r);
    received_release(&r);
    buf_release(&out);
}

#define HEAD "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\","
#define TIME "\"time\":\"2026-03-11T09:00:00Z\""

static void test_getters(void **state)
{
    (void)state;
    struct received_event r;
    static const char json[] = HEAD TIME
        ",\"unknown\":1,\"subject\":null,\"data\":{\"s\":\"\",\"i\":5,\"b\":true,\"d\":"
        "\"2026-03-11\",\"t\":\"2026-03-11T09:00:00Z\",\"z\":null,\"l\":[{\"s\":\"x\"}]}}";
    assert_int_equal(received_parse(str_of(json), &r, NULL), ERR_NONE);
    assert_string_equal(r.subject, "");
    assert_int_equal(r.seq, 0);
    assert_int_equal(r.schema, 0);
    assert_int_equal(r.recorded_at, r.time);
    assert_false(r.test);
    assert_null(r.cause);

    int64_t i = 0;
    int32_t day = 0;
    usec at = 0;
    assert_true(data_has(r.data, "s"));
    assert_false(data_has(r.data, "z"));
    assert_true(data_null(r.data, "z"));
    assert_false(data_null(r.data, "nothing"));
    assert_string_equal(data_str(r.data, "s"), "");
    assert_null(data_str(r.data, "i"));
    assert_true(data_int(r.data, "i", &i));
    assert_int_equal(i, 5);
    assert_false(data_int(r.data, "s", &i));
    assert_true(data_bool(r.data, "b", false));
    assert_true(data_bool(r.data, "nothing", true));
    assert_false(data_bool(r.data, "i", false));
    assert_true(data_date(r.data, "d", &day));
    assert_int_equal(day, day_of(2026, 3, 11));
    assert_false(data_date(r.data, "s", &day));
    assert_false(data_date(r.data, "nothing", &day));
    assert_true(data_instant(r.data, "t", &at));
    assert_int_equal(at, r.time);
    assert_false(data_instant(r.data, "d", &at));
    assert_null(data_list(r.data, "s"));
    const json_t *list = data_list(r.data, "l");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(data_str(json_array_get(list, 0), "s"), "x");
    received_release(&r);
}

static void test_no_data(void **state)
{
    (void)state;
    struct received_event r;
    assert_int_equal(received_parse(STR(HEAD TIME "}"), &r, NULL), ERR_NONE);
    assert_int_equal(json_object_size(r.data), 0);
    received_release(&r);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum err_code code;
        const char *where;
    } rows[] = {
        {"", ERR_SYNTAX, ""},
        {"[]", ERR_SYNTAX, ""},
        {HEAD TIME, ERR_SYNTAX, ""},
        {HEAD TIME "}x", ERR_SYNTAX, ""},
        {HEAD TIME "," TIME "}", ERR_SYNTAX, ""},
        {"{\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"," TIME "}", ERR_REQUIRED, "specversion"},
        {"{\"specversion\":\"0.3\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"," TIME "}",
         ERR_VALUE, "specversion"},
        {"{\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"t\"," TIME "}", ERR_REQUIRED, "id"},
        {HEAD "\"subject\":\"p\"}", ERR_REQUIRED, "time"},
        {HEAD "\"time\":\"today\"}", ERR_VALUE, "time"},
        {HEAD "\"time\":5}", ERR_VALUE, "time"},
        {HEAD TIME ",\"recordedtime\":\"x\"}", ERR_VALUE, "recordedtime"},
        {HEAD TIME ",\"sequence\":\"x\"}", ERR_VALUE, "sequence"},
        {HEAD TIME ",\"sequence\":\"-1\"}", ERR_LIMIT, "sequence"},
        {HEAD TIME ",\"subject\":5}", ERR_VALUE, "subject"},
        {HEAD TIME ",\"data\":[]}", ERR_VALUE, "data"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct received_event r;
        struct err e = {0};
        enum err_code code = received_parse(str_of(rows[i].json), &r, &e);
        if (code != rows[i].code || strcmp(e.where, rows[i].where) != 0) {
            fail_msg("row %zu: %s at %s", i, err_name(code), e.where);
        }
        assert_null(r.root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_least),   cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_getters), cmocka_unit_test(test_no_data),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
