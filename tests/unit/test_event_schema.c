/* JSON Schema and AsyncAPI of a small catalogue: every kind, both forms, read back with jansson. */
#include "core/event/asyncapi.h"
#include "core/event/schema.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char text[] =
    "<catalogue version=\"1\">"
    "<codes name=\"sex\" values=\"male female\"/>"
    "<event type=\"visit.made\" schema=\"3\" title=\"예 · example\">"
    "<field name=\"k\" kind=\"key\" class=\"P1\" required=\"yes\" title=\"키\"/>"
    "<field name=\"s\" kind=\"str\" class=\"P2\" nullable=\"yes\"/>"
    "<field name=\"c\" kind=\"code\" codes=\"sex\" class=\"P2\" nullable=\"yes\"/>"
    "<field name=\"open\" kind=\"code\" class=\"P3\"/>"
    "<field name=\"d\" kind=\"date\" class=\"P1\"/>"
    "<field name=\"t\" kind=\"ts\" class=\"P1\"/>"
    "<field name=\"n\" kind=\"int\" class=\"P1\"/>"
    "<field name=\"w\" kind=\"krw\" class=\"P1\"/>"
    "<field name=\"b\" kind=\"bool\" class=\"P1\"/>"
    "<field name=\"e\" kind=\"key\" names=\"event\" class=\"P1\"/>"
    "<field name=\"l\" kind=\"list\" class=\"P3\">"
    "<item name=\"x\" kind=\"str\" required=\"yes\"/><item name=\"y\" kind=\"int\"/></field>"
    "<field name=\"p\" kind=\"list\" of=\"code\" codes=\"sex\" class=\"P3\"/>"
    "</event>"
    "<event type=\"ops.run\" schema=\"1\" subject=\"no\" title=\"ops\"><field name=\"n\" "
    "kind=\"int\" "
    "class=\"P0\"/></event>"
    "</catalogue>";

static struct catalogue *catalogue;

static int setup(void **state)
{
    (void)state;
    char path[] = "/tmp/dari-schema-XXXXXX";
    struct problems p = {0};
    int fd = mkstemp(path);
    bool ok = fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)(sizeof text - 1);
    catalogue = ok ? catalogue_load(path, &p) : NULL;
    problems_print(&p, stderr);
    problems_release(&p);
    close(fd);
    unlink(path);
    return catalogue ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    catalogue_free(&catalogue);
    return 0;
}

static json_t *parse(struct buf *b)
{
    json_error_t error;
    assert_true(buf_ok(b));
    assert_int_equal(b->p[b->n - 1], '\n');
    json_t *root = json_loadb(b->p, b->n, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        fail_msg("line %d: %s", error.line, error.text);
    }
    buf_release(b);
    return root;
}

static json_t *schema(const char *type, enum schema_form form)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    schema_write(&b, catalogue_find(catalogue, str_of(type)), form);
    return parse(&b);
}

/* "properties/data/type": the value there as compact JSON must be `want`; "" for nothing there. */
static void same(json_t *root, const char *path, const char *want)
{
    struct str rest = str_of(path), name;
    char key[64];
    while (root && str_next(&rest, '/', &name)) {
        snprintf(key, sizeof key, "%.*s", STR_ARG(name));
        root = json_object_get(root, key);
    }
    char *got = root ? json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (strcmp(got ? got : "", want) != 0) {
        fail_msg("%s: expected %s, got %s", path, want, got ? got : "nothing");
    }
    free(got);
}

static void test_kinds(void **state)
{
    (void)state;
#define KEY "\"^[0-9a-hjkmnp-tv-z]{26}$\""
    static const struct {
        const char *path, *open, *strict;
    } rows[] = {
        {"k/type", "\"string\"", "\"string\""},
        {"k/pattern", KEY, KEY},
        {"k/description", "\"키\"", "\"키\""},
        {"k/x-dari-class", "\"P1\"", "\"P1\""},
        {"k/x-dari-required", "true", "true"},
        {"s/type", "[\"string\",\"null\"]", "[\"string\",\"null\"]"},
        {"s/maxLength", "8192", "8192"},
        {"s/x-dari-required", "", ""},
        {"c/enum", "", "[\"male\",\"female\",null]"},
        {"c/x-dari-codes", "[\"male\",\"female\"]", ""},
        {"open/enum", "", ""},
        {"open/minLength", "1", "1"},
        {"open/x-dari-kind", "\"code\"", "\"code\""},
        {"d/format", "\"date\"", "\"date\""},
        {"t/format", "\"date-time\"", "\"date-time\""},
        {"n/type", "\"integer\"", "\"integer\""},
        {"n/maximum", "9007199254740991", "9007199254740991"},
        {"w/type", "\"integer\"", "\"integer\""},
        {"b/type", "\"boolean\"", "\"boolean\""},
        {"e/x-dari-names", "\"event\"", "\"event\""},
        {"l/type", "\"array\"", "\"array\""},
        {"l/minItems", "0", "1"},
        {"l/maxItems", "1000", "1000"},
        {"l/items/required", "[\"x\"]", "[\"x\"]"},
        {"l/items/additionalProperties", "", "false"},
        {"l/items/properties/x/minLength", "1", "1"},
        {"l/items/properties/y/x-dari-class", "\"P3\"", "\"P3\""},
        {"p/items/type", "\"string\"", "\"string\""},
        {"p/items/enum", "", "[\"male\",\"female\"]"},
    };
    json_t *open = schema("visit.made", SCHEMA_OPEN), *strict = schema("visit.made", SCHEMA_STRICT);
    char path[128];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(path, sizeof path, "properties/data/properties/%s", rows[i].path);
        same(open, path, rows[i].open);
        same(strict, path, rows[i].strict);
    }
    json_decref(open);
    json_decref(strict);
}

static void test_forms(void **state)
{
    (void)state;
    json_t *open = schema("visit.made", SCHEMA_OPEN), *strict = schema("visit.made", SCHEMA_STRICT);
    same(open, "$id", "\"urn:dari:event:visit.made:3\"");
    same(strict, "$id", "\"urn:dari:event:visit.made:3:strict\"");
    same(strict, "properties/dataschema/const", "\"urn:dari:event:visit.made:3\"");
    same(open, "title", "\"visit.made\"");
    same(open, "description", "\"예 · example\"");
    same(open, "x-dari-class", "\"P3\"");
    same(open, "x-dari-schema", "3");
    same(open, "additionalProperties", "");
    same(strict, "additionalProperties", "false");
    same(open, "properties/data/required", "");
    same(strict, "properties/data/required", "[\"k\"]");
    same(open, "properties/data/additionalProperties", "");
    same(strict, "properties/data/additionalProperties", "false");
    json_decref(open);
    json_decref(strict);
}

/* An event about no patient has no subject and is of no partition. */
static void test_subject(void **state)
{
    (void)state;
    json_t *person = schema("visit.made", SCHEMA_STRICT), *ops = schema("ops.run", SCHEMA_STRICT);
    same(person, "x-dari-subject", "true");
    same(ops, "x-dari-subject", "false");
    same(ops, "properties/subject", "");
    same(ops, "properties/partitionkey", "");
    same(ops, "required",
         "[\"specversion\",\"id\",\"source\",\"type\",\"time\",\"datacontenttype\",\"dataschema\","
         "\"recordedtime\",\"darisite\",\"data\"]");
    same(person, "required",
         "[\"specversion\",\"id\",\"source\",\"type\",\"subject\",\"partitionkey\",\"time\","
         "\"datacontenttype\",\"dataschema\",\"recordedtime\",\"darisite\",\"data\"]");
    json_decref(person);
    json_decref(ops);
}

static void test_asyncapi(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    asyncapi_write(&b, catalogue);
    json_t *root = parse(&b);
    same(root, "asyncapi", "\"3.0.0\"");
    same(root, "servers/relay/protocol", "\"zmq+curve\"");
    same(root, "servers/relay/protocolVersion", "\"dari/1\"");
    same(root, "channels/events/messages",
         "{\"visit.made\":{\"$ref\":\"#/components/messages/visit.made\"},"
         "\"ops.run\":{\"$ref\":\"#/components/messages/ops.run\"}}");
    same(root, "components/messages/visit.made/payload", "{\"$ref\":\"schemas/visit.made.json\"}");
    same(root, "components/messages/visit.made/x-dari-class", "\"P3\"");
    same(root, "operations/sendEvents/action", "\"send\"");
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_asyncapi),
    };
    return cmocka_run_group_tests_name("event: schemas", tests, setup, teardown);
}
