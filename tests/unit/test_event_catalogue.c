/* The shipped catalogue, and every mistake that one can hold. */
#include "core/event/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct catalogue *shipped(void)
{
    struct problems p = {0};
    struct catalogue *c = catalogue_load("mappings/catalogue.xml", &p);
    problems_print(&p, stderr);
    assert_non_null(c);
    assert_int_equal(p.count, 0);
    problems_release(&p);
    return c;
}

static void test_shipped(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum class class;
        bool subject;
    } rows[] = {
        {"patient.registered", CLASS_P2, true},
        {"patient.updated", CLASS_P2, true},
        {"patient.merged", CLASS_P1, true},
        {"patient.deceased", CLASS_P2, true},
        {"patient.tag_changed", CLASS_P3, true},
        {"patient.class_changed", CLASS_P3, true},
        {"inquiry.received", CLASS_P3, true},
        {"call.received", CLASS_P2, false},
        {"appointment.booked", CLASS_P3, true},
        {"appointment.rescheduled", CLASS_P3, true},
        {"appointment.cancelled", CLASS_P3, true},
        {"appointment.no_show", CLASS_P3, true},
        {"appointment.confirmed", CLASS_P1, true},
        {"visit.arrived", CLASS_P3, true},
        {"visit.started", CLASS_P3, true},
        {"visit.completed", CLASS_P3, true},
        {"visit.voided", CLASS_P1, true},
        {"stay.admitted", CLASS_P3, true},
        {"stay.discharged", CLASS_P3, true},
        {"consult.recorded", CLASS_P3, true},
        {"treatment.decision_set", CLASS_P3, true},
        {"treatment.planned", CLASS_P3, true},
        {"procedure.performed", CLASS_P3, true},
        {"treatment.completed", CLASS_P3, true},
        {"course.session_recorded", CLASS_P3, true},
        {"prescription.issued", CLASS_P3, true},
        {"result.available", CLASS_P3, true},
        {"immunization.given", CLASS_P3, true},
        {"payment.recorded", CLASS_P1, true},
        {"referral.recorded", CLASS_P1, true},
        {"complaint.recorded", CLASS_P3, true},
        {"complaint.resolved", CLASS_P3, true},
        {"survey.submitted", CLASS_P3, true},
        {"consent.changed", CLASS_P2, true},
        {"contact.logged", CLASS_P3, true},
        {"task.opened", CLASS_P3, true},
        {"task.closed", CLASS_P3, true},
        {"cycle.due", CLASS_P3, true},
        {"segment.entered", CLASS_P3, true},
        {"segment.exited", CLASS_P3, true},
        {"message.requested", CLASS_P3, true},
        {"message.status_changed", CLASS_P1, true},
        {"message.suppressed", CLASS_P1, true},
        {"channel.cost_recorded", CLASS_P0, false},
        {"feed.record_rejected", CLASS_P0, false},
        {"feed.gap_detected", CLASS_P0, false},
        {"access.logged", CLASS_P1, false},
    };
    struct catalogue *c = shipped();
    assert_int_equal(catalogue_count(c), sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct event_type *t = catalogue_find(c, str_of(rows[i].type));
        assert_non_null(t);
        assert_ptr_equal(t, catalogue_at(c, i)); /* in the order of the file */
        assert_int_equal(t->schema, 1);
        assert_int_equal(t->class, rows[i].class);
        assert_int_equal(t->subject, rows[i].subject);
        assert_true(t->title[0] != '\0');
        for (size_t k = 0; k < t->field_count; k++) {
            assert_true(t->fields[k].title[0] != '\0');
        }
    }
    assert_null(catalogue_find(c, STR("appointment.book")));
    assert_null(catalogue_find(c, STR("appointment.booked2")));
    assert_null(catalogue_find(c, STR("")));
    catalogue_free(&c);
    assert_null(c);
    catalogue_free(&c);
}

static void test_fields(void **state)
{
    (void)state;
    struct catalogue *c = shipped();
    const struct event_type *t = catalogue_find(c, STR("patient.registered"));
    const struct field *f = field_find(t, STR("phones"));
    assert_non_null(f);
    assert_int_equal(f->kind, KIND_LIST);
    assert_int_equal(f->class, CLASS_P2);
    assert_int_equal(f->item_count, 3);
    assert_string_equal(f->items[0].name, "e164");
    assert_true(f->items[0].required);
    assert_int_equal(f->items[1].class, CLASS_P2);
    assert_string_equal(f->items[1].codes[0], "mobile");
    assert_null(f->items[1].codes[5]);
    f = field_find(t, STR("chart_no"));
    assert_true(f->required);
    assert_false(f->nullable);
    assert_true(field_find(t, STR("address"))->nullable);
    assert_null(field_find(t, STR("phone")));

    t = catalogue_find(c, STR("patient.class_changed"));
    f = field_find(t, STR("classes"));
    assert_null(f->items);
    assert_int_equal(f->item_kind, KIND_CODE);
    assert_string_equal(f->codes[6], "churned");

    /* What a consumer with class P1 alone can see of an appointment. */
    t = catalogue_find(c, STR("appointment.booked"));
    static const char *const health[] = {"minutes", "dept", "provider", "kind", "purpose"};
    for (size_t i = 0; i < sizeof health / sizeof health[0]; i++) {
        assert_int_equal(field_find(t, str_of(health[i]))->class, CLASS_P3);
    }
    assert_int_equal(field_find(t, STR("start"))->class, CLASS_P1);
    assert_int_equal(field_find(t, STR("version"))->class, CLASS_P1);
    assert_null(field_find(t, STR("dept"))->codes);

    t = catalogue_find(c, STR("visit.voided"));
    assert_true(field_find(t, STR("corrects"))->event_id);
    assert_false(field_find(t, STR("visit_key"))->event_id);
    catalogue_free(&c);
}

/* No field of a message may tell health or money of a patient (crm: prices never in messages). */
static void test_messages_hold_no_text(void **state)
{
    (void)state;
    struct catalogue *c = shipped();
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct event_type *t = catalogue_at(c, i);
        for (size_t k = 0; strncmp(t->name, "message.", 8) == 0 && k < t->field_count; k++) {
            assert_true(t->fields[k].kind != KIND_STR && t->fields[k].kind != KIND_LIST);
        }
    }
    catalogue_free(&c);
}

static char path[] = "/tmp/dari-catalogue-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_catalogue(const char *body)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "<catalogue version=\"1\">\n%s\n</catalogue>\n", body);
    assert_int_equal(fclose(f), 0);
}

#define EVENT(fields) "<event type='a.b' schema='1' title=''>\n" fields "</event>"
#define GOOD "<field name='k' kind='key' class='P1'/>\n"

/* The first line of what is reported must begin with the place and hold the words. */
static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int line;
        const char *words;
    } rows[] = {
        {EVENT(GOOD) EVENT(GOOD), 4, "there twice"},
        {EVENT(GOOD GOOD), 4, "field k twice"},
        {EVENT("<field name='k' kind='text' class='P1'/>"), 3, "no kind text"},
        {EVENT("<field name='k' kind='str' class='P4'/>"), 3, "P4"},
        {EVENT("<field name='k' kind='str' class='P5'/>"), 3, "no class P5"},
        {EVENT("<field name='k' kind='code' class='P1' codes='x'/>"), 3, "no code list x"},
        {EVENT("<field name='k' kind='int' class='P1' codes='x'/>"), 3, "only a code has codes"},
        {EVENT("<field name='k' kind='str' class='P1' of='str'/>"), 3, "only a list"},
        {EVENT("<field name='k' kind='str' class='P1'><item name='i' kind='str'/></field>"), 3,
         "only a list"},
        {EVENT("<field name='k' kind='list' class='P1'/>"), 3, "either item"},
        {EVENT("<field name='k' kind='list' class='P1' of='str'><item name='i' "
               "kind='str'/></field>"),
         3, "either item"},
        {EVENT("<field name='k' kind='list' class='P1' of='list'/>"), 3, "cannot hold lists"},
        {EVENT("<field name='k' kind='list' class='P1'><item name='i' kind='list'/></field>"), 3,
         "cannot hold lists"},
        {EVENT("<field name='k' kind='list' class='P1'>\n<item name='i' kind='str'/>\n<item "
               "name='i' kind='str'/></field>"),
         5, "item i twice"},
        {EVENT("<field name='k' kind='list' class='P1' of='str' nullable='yes'/>"), 3,
         "cannot be null"},
        {EVENT("<field name='k' kind='str' class='P1' names='event'/>"), 3, "only a key"},
        {EVENT("<field name='k' kind='int' class='P0'/>"), 2, "subject=\"no\""},
        {"<event type='a.b' schema='10001' title=''>" GOOD "</event>", 2, "schema"},
        {"<codes name='x' values='a'/>\n" EVENT(GOOD), 2, "no field uses"},
        {"<codes name='x' values='a b a'/>\n" EVENT(
             "<field name='k' kind='code' class='P1' codes='x'/>"),
         2, "has a twice"},
        {"<codes name='x' values=' '/>\n" EVENT(
             "<field name='k' kind='code' class='P1' codes='x'/>"),
         2, "is empty"},
        {"<codes name='x' values='a'/>\n<codes name='x' values='b'/>\n" EVENT(
             "<field name='k' kind='code' class='P1' codes='x'/>"),
         3, "already on line 2"},
        /* by the schema */
        {"<event type='A' schema='1' title=''>" GOOD "</event>", 2, ""},
        {"<event type='a.b' schema='0' title=''>" GOOD "</event>", 2, ""},
        {EVENT("<field name='K' kind='str' class='P1'/>"), 3, ""},
        {EVENT("<field name='k' kind='str' class='P1' requird='yes'/>"), 3, ""},
        {EVENT(""), 2, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char place[80];
        struct problems p = {0};
        write_catalogue(rows[i].body);
        struct catalogue *c = catalogue_load(path, &p);
        snprintf(place, sizeof place, "%s:%d: ", path, rows[i].line);
        if (c || !p.text || !strstr(p.text, rows[i].words) || !strstr(p.text, place)) {
            fail_msg("row %zu: %s", i, p.text ? p.text : "no problem");
        }
        problems_release(&p);
    }
}

static void test_all_at_once(void **state)
{
    (void)state;
    struct problems p = {0};
    write_catalogue(EVENT("<field name='a' kind='x' class='P1'/>\n<field name='b' kind='str' "
                          "class='P4'/>\n<field name='a' kind='str' class='P1'/>"));
    assert_null(catalogue_load(path, &p));
    assert_int_equal(p.count, 3);
    problems_release(&p);
}

static void test_missing_file(void **state)
{
    (void)state;
    struct problems p = {0};
    assert_null(catalogue_load("/nowhere/catalogue.xml", &p));
    assert_true(p.count > 0);
    problems_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_messages_hold_no_text),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
