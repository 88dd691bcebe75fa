#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/stream/contract.h"
#include "tests/lib/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_A "0123456789abcdefghjkmnpqrs"
#define KEY_B "1123456789abcdefghjkmnpqrs"

static struct catalogue *catalogue;
static struct keyring *keys;
static struct arena *arena;
static struct buf out;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    catalogue = catalogue_load("mappings/catalogue.xml", &p);
    problems_release(&p);
    if (!catalogue || !folder_make()) {
        return -1;
    }
    const char *path = in_folder("keys");
    arena = arena_new(0);
    buf_init(&out, 1 << 20);
    return keys_init(path, NULL) == ERR_NONE && keyring_open(path, &keys, NULL) == ERR_NONE ? 0
                                                                                            : -1;
}

static int teardown(void **state)
{
    (void)state;
    catalogue_free(&catalogue);
    keyring_free(&keys);
    arena_free(&arena);
    buf_release(&out);
    folder_drop();
    return 0;
}

/* Loads `body` as the contract "x"; the problems go to `text`. */
static struct contract *load(const char *head, const char *body, char *text, size_t size)
{
    char xml[2048];
    struct problems p = {0};
    snprintf(xml, sizeof xml,
             "<contract name=\"x\" version=\"3\" %s>\n<basis>b</basis><purpose>p</purpose>\n%s\n"
             "</contract>\n",
             head, body);
    folder_write("x.xml", xml);
    struct contract *c = contract_load(in_folder(""), "x", catalogue, &p);
    assert_int_equal(c == NULL, p.count > 0);
    snprintf(text, size, "%s", p.text ? p.text : "");
    problems_release(&p);
    return c;
}

static void bad_contracts_are_refused_with_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *head, *body, *expected;
    } cases[] = {
        {"form=\"pseudonym\" classes=\"P1\"", "<type name=\"no.such\"/>",
         "x.xml:3: there is no event type \"no.such\""},
        {"form=\"pseudonym\" classes=\"P1\"",
         "<type name=\"appointment.booked\" fields=\"start strat\"/>", "has no field \"strat\""},
        {"form=\"pseudonym\" classes=\"P1\"", "<type name=\"patient.registered\" fields=\"name\"/>",
         "name of patient.registered is of"},
        {"form=\"pseudonym\" classes=\"P1 P2\"",
         "<type name=\"appointment.booked\" fields=\"purpose\"/>", "is of class P3"},
        {"form=\"pseudonym\" classes=\"P1\"",
         "<type name=\"patient.merged\"/><type name=\"patient.merged\"/>", "named twice"},
        {"form=\"key\" classes=\"P0 P1\"", "<everything/>", "needs all classes"},
        {"form=\"plain\" classes=\"P1\"", "<everything/>", "x.xml:1: "},
        {"form=\"key\" classes=\"P4\"", "<everything/>", "x.xml:1: "},
        {"form=\"key\" classes=\"P1\"", "", "x.xml"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        struct contract *c = load(cases[i].head, cases[i].body, text, sizeof text);
        assert_null(c);
        if (!strstr(text, cases[i].expected)) {
            fail_msg("case %zu: %s", i, text);
        }
    }
    struct problems p = {0};
    assert_null(contract_load(in_folder(""), "missing", catalogue, &p));
    assert_null(contract_load(in_folder(""), "../x", catalogue, &p));
    assert_int_equal(p.count, 2);
    problems_release(&p);
}

static void the_label_changes_with_the_file(void **state)
{
    (void)state;
    char text[256], first[128];
    const char *head = "form=\"pseudonym\" classes=\"P1\"";
    struct contract *c = load(head, "<type name=\"patient.merged\"/>", text, sizeof text);
    snprintf(first, sizeof first, "%s", contract_label(c));
    assert_int_equal(strncmp(first, "x@3:", 4), 0);
    assert_int_equal(strlen(first), 4 + 64);
    contract_free(&c);
    c = load(head, "<type name=\"visit.voided\"/>", text, sizeof text);
    assert_string_not_equal(contract_label(c), first);
    contract_free(&c);
    contract_free(&c);
}

static struct stored booked(void)
{
    return (struct stored){
        .seq = 7,
        .message_no = 12,
        .id = KEY_B,
        .subject = KEY_A,
        .source = "feed:emr",
        .mapping = "m@1",
        .type = STR("appointment.booked"),
        .data = STR("{\"appointment_key\":\"" KEY_B "\",\"start\":\"2026-03-11T09:00:00+09:00\","
                    "\"purpose\":\"SECRET\"}"),
    };
}

static enum err_code cut(const struct contract *c, const char *consumer, const struct stored *s)
{
    struct err e = {0};
    buf_reset(&out);
    return contract_event(c, keys, "site", consumer, s, arena, &out, &e);
}

static void fields_that_are_not_named_are_not_there(void **state)
{
    (void)state;
    char text[256], name[KEY_TEXT], other[KEY_TEXT];
    struct stored s = booked();
    struct contract *c = load(
        "form=\"pseudonym\" classes=\"P1\"",
        "<type name=\"appointment.booked\" fields=\"start appointment_key\"/>", text, sizeof text);
    assert_non_null(c);
    assert_true(contract_lets(c, s.type));
    assert_false(contract_lets(c, STR("patient.registered")));
    assert_string_equal(contract_types(c)[0], "appointment.booked");
    assert_null(contract_types(c)[1]);
    assert_int_equal(cut(c, "crm", &s), ERR_NONE);
    assert_non_null(strstr(out.p, "\"start\":"));
    const char *never[] = {"SECRET", "purpose", KEY_A, "darimapping", "darimessage"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        assert_null(strstr(out.p, never[i]));
    }
    key_pseudonym(keys, STR("crm"), STR(KEY_A), name);
    assert_non_null(strstr(out.p, name));
    key_pseudonym(keys, STR("crm"), STR(KEY_B), name);
    assert_non_null(strstr(out.p, name));
    key_pseudonym(keys, STR("other"), STR(KEY_A), other);
    assert_int_equal(cut(c, "other", &s), ERR_NONE);
    assert_non_null(strstr(out.p, other));
    s.type = STR("patient.registered");
    assert_int_equal(cut(c, "crm", &s), ERR_NOTFOUND);
    contract_free(&c);
}

static void sealed_fields_are_opened_only_when_needed(void **state)
{
    (void)state;
    char text[256];
    struct buf sealed;
    struct stored s = {.seq = 1,
                       .id = KEY_B,
                       .subject = KEY_A,
                       .source = "feed:emr",
                       .type = STR("patient.registered"),
                       .data = STR("{}")};
    buf_init(&sealed, 1 << 16);
    assert_int_equal(
        seal(keys, STR("site/event/" KEY_B), STR("{\"name\":\"SECRETNAME\"}"), &sealed, NULL),
        ERR_NONE);
    s.sealed = buf_str(&sealed);
    struct contract *c =
        load("form=\"pseudonym\" classes=\"P1 P2\"",
             "<type name=\"patient.registered\" fields=\"name\"/>", text, sizeof text);
    assert_int_equal(cut(c, "crm", &s), ERR_NONE);
    assert_non_null(strstr(out.p, "SECRETNAME"));
    s.sealed = STR("damaged, or sealed for another event");
    assert_int_equal(cut(c, "crm", &s), ERR_CRYPTO);
    contract_free(&c);
    c = load("form=\"pseudonym\" classes=\"P1\"", "<type name=\"patient.registered\"/>", text,
             sizeof text);
    assert_int_equal(cut(c, "crm", &s), ERR_NONE); /* not opened at all */
    assert_non_null(strstr(out.p, "\"data\":{}"));
    contract_free(&c);
    buf_release(&sealed);
}

static void shipped_contracts_load(void **state)
{
    (void)state;
    struct problems p = {0};
    struct stored s = booked();
    struct contract *internal = contract_load("config/contracts", "internal", catalogue, &p);
    struct contract *basic = contract_load("config/contracts", "crm-basic", catalogue, &p);
    if (p.count > 0) {
        fail_msg("%s", p.text);
    }
    assert_true(contract_everything(internal));
    assert_null(contract_types(internal));
    assert_int_equal(cut(internal, "segment", &s), ERR_NONE);
    assert_non_null(strstr(out.p, "SECRET"));
    assert_non_null(strstr(out.p, "\"subject\":\"" KEY_A "\""));
    assert_non_null(strstr(out.p, "\"darimapping\":\"m@1\""));
    assert_int_equal(cut(basic, "crm", &s), ERR_NONE);
    assert_null(strstr(out.p, "SECRET"));
    contract_free(&internal);
    contract_free(&basic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_contracts_are_refused_with_line_and_reason),
        cmocka_unit_test(the_label_changes_with_the_file),
        cmocka_unit_test(fields_that_are_not_named_are_not_there),
        cmocka_unit_test(sealed_fields_are_opened_only_when_needed),
        cmocka_unit_test(shipped_contracts_load),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
