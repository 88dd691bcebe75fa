/* Running: which mappings, which events, alternatives, ids and times. Cases show the rest. */
#include "core/base/file.h"
#include "core/hl7/hl7.h"
#include "core/mapping/mapping.h"

#include "tests/lib/clinic.h"
#include "tests/lib/cm.h"
#include "tests/lib/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAPPING(name, body)                                                                        \
    "<mapping name=\"" name "\" version=\"3\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">"      \
    "<for message=\"ADT^*\"/><patient from=\"PID-3.1\"/>" body "</mapping>"
#define HEADER "MSH|^~\\&|A|B|||20260311090000||ADT^A04|7|P|2.5\r"

static struct clinic t;

static int setup(void **state)
{
    (void)state;
    if (!clinic_open(&t) || !folder_make() ||
        file_make_folder(in_folder("tables"), 0700, NULL) != ERR_NONE) {
        return -1;
    }
    folder_write("tables/sex.xml", "<table name=\"sex\" xmlns=\"urn:dari:table:1\">"
                                   "<code from=\"M\" to=\"male\"/></table>");
    folder_write("tables/other.xml", "<table name=\"other\" unknown=\"becomes\" becomes=\"other\" "
                                     "xmlns=\"urn:dari:table:1\"/>");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_drop();
    clinic_release(&t);
    return 0;
}

/* Runs one or two mappings; the result lives until the next run. */
static struct mapped run(const char *a, const char *b, const char *message, const char *id)
{
    static struct mapping_set *set;
    struct problems p = {0};
    struct mapped out;
    struct err e = {0};
    const struct hl7_msg *m;
    mapping_free(&set);
    arena_reset(t.arena);
    folder_write("a.xml", a);
    if (b) {
        folder_write("b.xml", b);
    } else {
        unlink(in_folder("b.xml"));
    }
    set = mapping_load(in_folder(""), t.catalogue, &p);
    if (!set) {
        fail_msg("%s", p.text);
    }
    problems_release(&p);
    assert_int_equal(hl7_parse(t.arena, str_of(message), NULL, &m, &e), ERR_NONE);
    struct mapping_context c = {
        .keys = t.keys, .site = "hanbit", .message_id = {id, 16}, .received_at = CLINIC_RECEIVED};
    assert_int_equal(mapping_run(set, record_of_hl7(t.arena, m), &c, t.arena, &out, &e), ERR_NONE);
    return out;
}

#define ID "0123456789abcdef"
#define VOIDED                                                                                     \
    "<event type=\"visit.voided\"><field name=\"visit_key\" from=\"PV1-19\" kind=\"v\"/></event>"
#define PERSON(fields)                                                                             \
    "<event type=\"patient.registered\"><field name=\"chart_no\" from=\"PID-3.1\"/>" fields        \
    "</event>"

static void test_ids(void **state)
{
    (void)state;
    static const char message[] = HEADER "PID|1||7\rPV1|||||||||||||||||||V1\r";
    struct mapped first = run(MAPPING("a", VOIDED VOIDED), MAPPING("b", VOIDED), message, ID);
    assert_int_equal(first.state, MAPPING_MAPPED);
    assert_int_equal(first.count, 3);
    assert_string_equal(first.mapping, "a@3+b@3");
    assert_string_equal(first.patient, first.events[2].subject);
    char ids[3][KEY_TEXT];
    for (size_t i = 0; i < 3; i++) {
        memcpy(ids[i], first.events[i].id, KEY_TEXT);
    }
    assert_string_not_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[1], ids[2]);
    struct mapped again = run(MAPPING("a", VOIDED VOIDED), MAPPING("b", VOIDED), message, ID);
    assert_memory_equal(again.events[2].id, ids[2], KEY_TEXT);
    struct mapped other = run(MAPPING("a", VOIDED), NULL, message, "fedcba9876543210");
    assert_memory_not_equal(other.events[0].id, ids[0], KEY_TEXT);
    assert_string_equal(other.mapping, "a@3");
}

static void test_one_outcome(void **state)
{
    (void)state;
    struct mapped m = run(MAPPING("a", PERSON("")), MAPPING("b", VOIDED), HEADER "PID|1||7\r", ID);
    assert_int_equal(m.state, MAPPING_QUARANTINED);
    assert_int_equal(m.count, 0); /* also not the event of the first */
    assert_string_equal(m.mapping, "b@3");
    assert_int_equal(m.problem.code, ERR_REQUIRED);
    assert_string_equal(m.problem.where, "PV1-19");
    m = run(MAPPING("a", "<ignore when=\"PID-8 = 'X'\" reason=\"not this\"/>" VOIDED),
            MAPPING("b", PERSON("")), HEADER "PID|1||7|||||X\r", ID);
    assert_int_equal(m.state, MAPPING_MAPPED); /* one ignores, the other does not */
    assert_int_equal(m.count, 1);
    m = run(MAPPING("a", "<ignore when=\"PID-8 = 'X'\" reason=\"not this\"/>" VOIDED), NULL,
            HEADER "PID|1||7|||||X\r", ID);
    assert_int_equal(m.state, MAPPING_IGNORED);
    assert_string_equal(m.reason, "not this");
    m = run(MAPPING("a", "<refuse when=\"PID-8 = 'X'\" at=\"PID-8\" reason=\"never\"/>" VOIDED),
            NULL, HEADER "PID|1||7|||||X\r", ID);
    assert_int_equal(m.state, MAPPING_QUARANTINED);
    assert_string_equal(m.problem.where, "PID-8");
    assert_string_equal(m.problem.msg, "never");
}

/* fields of patient.registered and PID-5.. of the message → payload of class P2, or the place */
static void test_values(void **state)
{
    static const struct {
        const char *mapping, *pid, *want;
    } rows[] = {
        {MAPPING("a", PERSON("<field name=\"address\" from=\"PID-5 PID-6\" as=\"text\"/>")), "|b",
         "\"address\":\"b\""},
        {MAPPING("a", PERSON("<field name=\"address\" from=\"PID-5\" or=\"PID-6\"/>")), "\"\"|b",
         "\"address\":null"},
        {MAPPING("a", PERSON("<field name=\"address\" from=\"PID-5\" default=\"-\"/>")), " ",
         "\"address\":\"-\""},
        {MAPPING("a", PERSON("<field name=\"address\" from=\"PID-5\" when=\"PID-6 = 'y'\"/>"
                             "<field name=\"address\" value=\"none\"/>")),
         "a|n", "\"address\":\"none\""},
        {MAPPING("a", PERSON("<field name=\"address\" from=\"PID-5\" when=\"PID-6 = 'y'\"/>"
                             "<field name=\"address\" value=\"none\"/>")),
         "a|y", "\"address\":\"a\""},
        {MAPPING("a", PERSON("<field name=\"birth_on\" from=\"PID-5\" bad=\"leave-out\"/>")), "x",
         "{\"chart_no\":\"7\"}"},
        {MAPPING("a", PERSON("<field name=\"birth_on\" from=\"PID-5 PID-6\" bad=\"leave-out\"/>")),
         "x|20000101", "2000-01-01"},
        {MAPPING("a", PERSON("<field name=\"birth_on\" from=\"PID-5\"/>")), "x", "value PID-5"},
        {MAPPING("a", PERSON("<field name=\"sex\" from=\"PID-5\" table=\"sex\"/>")), "m",
         "\"sex\":\"male\""},
        {MAPPING("a", PERSON("<field name=\"sex\" from=\"PID-5\" table=\"sex\"/>")), "x",
         "value PID-5"},
        {MAPPING("a", PERSON("<field name=\"sex\" from=\"PID-5\" table=\"sex\" "
                             "unknown=\"leave-out\"/>")),
         "x", "{\"chart_no\":\"7\"}"},
        {MAPPING("a", PERSON("<field name=\"sex\" from=\"PID-5\"/>")), "x", "value PID-5"},
        {MAPPING("a", PERSON("<field name=\"sex\" from=\"PID-5\" bad=\"leave-out\"/>")), "x",
         "{\"chart_no\":\"7\"}"},
        {MAPPING("a", PERSON("<field name=\"sex\" from=\"PID-5\" table=\"other\"/>")), "x",
         "\"sex\":\"other\""},
        {MAPPING("a", PERSON("<list name=\"phones\" each=\"PID-5\"><field name=\"e164\" "
                             "from=\"PID-5\" as=\"phone\"/><field name=\"use\" from=\"PID-5.2\"/>"
                             "</list>")),
         "01011112222^mobile~none^home~021112222^shop", "value PID-5(3).2"},
        {MAPPING("a", PERSON("<field name=\"address\" from=\"PID-5\"/>")), "8001011234567",
         "refused PID-5"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char message[512], got[256];
        snprintf(message, sizeof message, HEADER "PID|1||7||%s\r", rows[i].pid);
        struct mapped m = run(rows[i].mapping, NULL, message, ID);
        if (m.state == MAPPING_QUARANTINED) {
            snprintf(got, sizeof got, "%s %s", err_name(m.problem.code), m.problem.where);
        } else {
            assert_int_equal(m.count, 1);
            snprintf(got, sizeof got, "%.*s", STR_ARG(m.events[0].secret));
        }
        if (!strstr(got, rows[i].want)) {
            fail_msg("row %zu: %s, wanted %s", i, got, rows[i].want);
        }
    }
}

static void test_time(void **state)
{
    static const struct {
        const char *msh7, *evn, *pv1, *want;
    } rows[] = {
        {"20260311090000", "EVN||202603110850||||202603110840\r", "", "08:40:00+09:00"},
        {"20260311090000", "EVN||202603110850\r", "", "T08:50:00+09:00"},
        {"20260311090000", "EVN||x\r", "", "T09:00:00+09:00"},
        {"", "", "", "2026-03-11T10:00:00+09:00"}, /* received */
        {"20260311", "", "", "2026-03-11T10:00:00+09:00"},
        {"20260311090000", "", "202603101200", "2026-03-10T12:00:00+09:00"},
        {"20260311090000", "", "20260310", "2026-03-10T00:00:00+09:00"},
        {"20260311090000", "", "20260311", "2026-03-11T09:00:00+09:00"},
        {"20260311090000", "", "2026", "2026-03-11T09:00:00+09:00"},
        {"20260311000000+0000", "", "202603110100", "2026-03-11T10:00:00+09:00"},
        {"20260311090000", "", "20260231", "value PV1-44"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char message[512], got[256];
        snprintf(message, sizeof message,
                 "MSH|^~\\&|A|B|||%s||ADT^A04|7|P|2.5\r%sPID|1||7\r"
                 "PV1|||||||||||||||||||V1|||||||||||||||||||||||||%s\r",
                 rows[i].msh7, rows[i].evn, rows[i].pv1);
        struct mapped m =
            run(MAPPING("a", "<event type=\"visit.voided\" time=\"PV1-44\"><field "
                             "name=\"visit_key\" from=\"PV1-19\" kind=\"v\"/></event>"),
                NULL, message, ID);
        if (m.state == MAPPING_QUARANTINED) {
            snprintf(got, sizeof got, "%s %s", err_name(m.problem.code), m.problem.where);
        } else {
            assert_int_equal(m.count, 1);
            clock_text(m.events[0].time, got);
        }
        if (!strstr(got, rows[i].want)) {
            fail_msg("row %zu: %s, wanted %s", i, got, rows[i].want);
        }
    }
}

static void test_each_and_otherwise(void **state)
{
    static const char mapping[] =
        MAPPING("a", "<event type=\"visit.voided\" each=\"ZVA\" when=\"ZVA-1 = 'a'\"><field "
                     "name=\"visit_key\" from=\"ZVA-2\" kind=\"v\"/></event>"
                     "<event type=\"visit.voided\" otherwise=\"yes\" each=\"ZVA ZWA\"><field "
                     "name=\"visit_key\" from=\"ZWA-1\" kind=\"v\"/></event>");
    (void)state;
    struct mapped m = run(mapping, NULL, HEADER "PID|1||7\rZVA|a|1\rZVA|b|2\rZVA|a|3\r", ID);
    assert_int_equal(m.count, 2);
    m = run(mapping, NULL, HEADER "PID|1||7\rZVA|b|1\rZVA|b|2\rZWA|8\rZWA|9\r", ID);
    assert_int_equal(m.count, 2);
    assert_string_not_equal(m.events[0].data.p, m.events[1].data.p);
    m = run(mapping, NULL, HEADER "PID|1||7\rZVA|b|1\rZVA|b|2\rZWA|8\r", ID);
    assert_int_equal(m.state, MAPPING_QUARANTINED);
    assert_string_equal(m.problem.where, "ZWA(2)-1");
    m = run(mapping, NULL, HEADER "PID|1||7\r", ID);
    assert_int_equal(m.state, MAPPING_IGNORED);
    assert_string_equal(m.reason, "no rule applies");
}

/*
 * A mapping is made ready for the types that it names. That holds for messages that say just this
 * type; others of the same type are asked as the rules stand.
 */
static void test_types(void **state)
{
    (void)state;
#define TYPED(when)                                                                                \
    "<mapping name=\"a\" version=\"3\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">"             \
    "<for message=\"ADT^A04 ADT^A08\"/><patient from=\"PID-3.1\"/>"                                \
    "<ignore when=\"MSH-9.2 = 'A08' and PV1-2 = 'I'\" reason=\"in-patient\"/>"                     \
    "<event type=\"visit.voided\" when=\"" when "\"><field name=\"visit_key\" from=\"PV1-19\" "    \
    "kind=\"v\"/></event></mapping>"
#define SAYS(type, more)                                                                           \
    "MSH|^~\\&|A|B|||20260311090000||" type "|7|P|2.5\rPID|1||7\r"                                 \
    "PV1|1|O|||||||||||||||||V1\r" more
    static const struct {
        const char *mapping, *message;
        size_t events;
    } rows[] = {
        {TYPED("MSH-9.2 = 'A04'"), SAYS("ADT^A04", ""), 1},
        {TYPED("MSH-9.2 = 'A04'"), SAYS("ADT^A08", ""), 0},
        {TYPED("MSH-9.2 = 'A04'"), SAYS("ADT^ A04", ""), 0},
        {TYPED("MSH-9.2 = ' A04'"), SAYS("ADT^ A04", ""), 1},
        {TYPED("MSH-9.2 = 'A04'"), SAYS("ADT", "EVN|A04\r"), 1},
        {TYPED("MSH-9.2 = 'A04'"), SAYS("ADT^", "EVN|A08\r"), 0},
        {TYPED("MSH-9.2 is not set"), SAYS("ADT", ""), 0},
        {TYPED("MSH-9.2 = 'A04' and PV1-2 = 'O'"), SAYS("ADT^A04", ""), 1},
        {TYPED("MSH-9.2 = 'A04' and PV1-2 = 'I'"), SAYS("ADT^A04", ""), 0},
        {TYPED("PV1-2 = 'O' or MSH-9.2 = 'A08'"), SAYS("ADT^A04", ""), 1},
        {TYPED("MSH-9.1 = 'ADT'"), SAYS("ADT^A04", ""), 1},
        {TYPED("MSH-9.1 = 'ADT'"), SAYS("ADT^A05", ""), 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mapped m = run(rows[i].mapping, NULL, rows[i].message, ID);
        if (m.count != rows[i].events) {
            fail_msg("row %zu: %zu events, not %zu", i, m.count, rows[i].events);
        }
    }
}

/* A message with more events than a message may have is kept, not cut. */
static void test_limit(void **state)
{
    (void)state;
    struct buf message;
    buf_init(&message, 1 << 20);
    buf_addz(&message, HEADER "PID|1||7\r");
    for (int i = 0; i <= 10000; i++) {
        buf_addz(&message, "ZVA|a\r");
    }
    struct mapped m = run(MAPPING("a", "<event type=\"visit.voided\" each=\"ZVA\"><field "
                                       "name=\"visit_key\" from=\"ZVA-1\" kind=\"v\"/></event>"),
                          NULL, message.p, ID);
    assert_int_equal(m.state, MAPPING_QUARANTINED);
    assert_int_equal(m.problem.code, ERR_LIMIT);
    buf_release(&message);
}

/* Memory may be out at any allocation: an error, and nothing else. */
static void test_no_memory(void **state)
{
    (void)state;
    struct problems p = {0};
    struct mapping_set *set = mapping_load("mappings/hl7v2", t.catalogue, &p);
    assert_non_null(set);
    static const char message[] =
        HEADER "PID|1||7||홍^길동||19800101|M|||서울||010-1234-5678\rPV1|1|O\r";
    struct mapping_context c = {
        .keys = t.keys, .site = "hanbit", .message_id = {ID, 16}, .received_at = 1};
    size_t refused = 0;
    for (size_t limit = 256; limit < (size_t)1 << 20; limit += 16) {
        struct arena *small = arena_new(limit);
        const struct hl7_msg *m = NULL;
        struct mapped out;
        struct err e = {0};
        hl7_parse(small, str_of(message), NULL, &m, NULL);
        const struct record *r = m ? record_of_hl7(small, m) : NULL;
        enum err_code code = r ? mapping_run(set, r, &c, small, &out, &e) : ERR_NOMEM;
        arena_free(&small);
        if (code == ERR_NONE) {
            assert_int_equal(out.state, MAPPING_MAPPED);
            break;
        }
        assert_int_equal(code, ERR_NOMEM);
        refused++;
    }
    assert_true(refused > 0);
    mapping_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_one_outcome),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_each_and_otherwise),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("mapping: running", tests, setup, teardown);
}
