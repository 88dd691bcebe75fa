/* Places marked in a message, and events compared. */
#include "core/app/event_compare.h"
#include "core/app/message_mark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define MESSAGE                                                                                    \
    "MSH|^~\\&|HIS|H|D|C|20260309||ADT^A28|X1|P|2.5.1\r"                                           \
    "PID|1||A1^^^H^MR~B2^^^H^PI||홍^길동||hello\r"                                              \
    "OBX|1|TX|a\rOBX|2|TX|b||found\r"

static void places_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *place, *is; /* NULL: nowhere */
    } cases[] = {{"PID-7", "hello"},    {"PID-5.2", "길동"},
                 {"PID-3(2).1", "B2"},  {"PID-3[5='PI'].1", "B2"},
                 {"OBX(2)-5", "found"}, {"PID-8", "PID"},
                 {"OBX(2)-9.1", "OBX"}, {"PID-5.7", "홍^길동"},
                 {"segment 2", "PID"},  {"byte 0", "M"},
                 {"MSH-9.2", "A28"},    {"byte 99999", NULL},
                 {"NK1-1", NULL},       {"OBX(3)-1", NULL},
                 {"segment 9", NULL},   {"", NULL},
                 {"row 7", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new(0);
        size_t from = 0, n = 0;
        bool found = message_place(a, STR(MESSAGE), str_of(cases[i].place), &from, &n);
        if (found != (cases[i].is != NULL)) {
            fail_msg("%s: %s", cases[i].place, found ? "found" : "not found");
        }
        if (found && !str_is(str_cut(STR(MESSAGE), from, from + n), cases[i].is)) {
            fail_msg("%s: offset %zu, %zu bytes", cases[i].place, from, n);
        }
        arena_free(&a);
    }
}

static void cells_are_found(void **state)
{
    (void)state;
    const struct str row =
        STR("#,차트번호,예약일,상태\n-,1001,2026-03-11,예약\n+,1001,2026-03-12,\n");
    static const struct {
        const char *place, *is;
    } cases[] = {{"row 4, column 예약일", "2026-03-12"},
                 {"row 4, column 2", "2026-03-12"},
                 {"row 4, column 상태", ""},
                 {"row 4, column 이름", NULL},
                 {"row 4", NULL},
                 {"row 4, column 9", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new(0);
        size_t from = 0, n = 0;
        bool found = message_place(a, row, str_of(cases[i].place), &from, &n);
        if (found != (cases[i].is != NULL)) {
            fail_msg("%s: %s", cases[i].place, found ? "found" : "not found");
        }
        assert_true(!found || str_is(str_cut(row, from, from + n), cases[i].is));
        arena_free(&a);
    }
}

static void columns_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(text_columns(STR("")), 0);
    assert_int_equal(text_columns(STR("PID|")), 4);
    assert_int_equal(text_columns(STR("홍길동")), 6);
    assert_int_equal(text_columns(STR("é|中")), 4);
    assert_int_equal(text_columns(STR("\xed\x99")), 1); /* cut short */
    assert_int_equal(text_columns(STR("\xff\xfe")), 2); /* no UTF-8 at all */
}

/* ---- events ---- */

static const struct event_type registered = {.name = "patient.registered"},
                               updated = {.name = "patient.updated"};

static void compare(const struct old_event *old, size_t n, const struct event *new, size_t m,
                    bool json, bool values, const char *expected, struct event_changes want)
{
    const struct compared c = {
        .old = old, .old_count = n, .new = new, .new_count = m, .json = json, .values = values};
    struct event_changes got = {0};
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(event_compare(&c, &out, &got, NULL), ERR_NONE);
    assert_string_equal(out.p ? out.p : "", expected);
    assert_int_equal(got.added, want.added);
    assert_int_equal(got.removed, want.removed);
    assert_int_equal(got.changed, want.changed);
    buf_release(&out);
}

static void events_of_one_id_are_the_same(void **state)
{
    (void)state;
    const struct old_event old[] = {
        {.id = STR("a"),
         .type = STR("patient.registered"),
         .subject = STR("p"),
         .data = STR("{\"sex\":\"F\",\"n\":1}"),
         .secret = STR("{\"name\":\"Kim\"}")},
        {.id = STR("b"), .type = STR("patient.updated"), .subject = STR("p"), .data = STR("{}")}};
    struct event new[] = {{.type = &registered,
                           .id = "a",
                           .subject = "p",
                           .data = STR("{\"n\":1,\"sex\":\"F\"}"), /* the order means nothing */
                           .secret = STR("{\"name\":\"Kim\"}")},
                          {.type = &updated, .id = "b", .subject = "p", .data = STR("{}")},
                          {.type = &updated, .id = "c", .subject = "p", .data = STR("{}")}};
    compare(old, 2, new, 2, false, false, "", (struct event_changes){0});
    compare(old, 2, new, 3, false, false, "  + patient.updated\n",
            (struct event_changes){.added = 1});
    compare(old, 2, new, 1, false, false, "  - patient.updated\n",
            (struct event_changes){.removed = 1});
    new[0].data = STR("{\"n\":2,\"city\":\"x\"}");
    compare(old, 1, new, 1, false, false, "  ~ patient.registered: sex, n, city\n",
            (struct event_changes){.changed = 1});
    compare(old, 1, new, 1, false, true,
            "  ~ patient.registered: sex \"F\" → absent, n 1 → 2, city absent → \"x\"\n",
            (struct event_changes){.changed = 1});
    compare(old, 1, new, 1, true, false,
            "{\"change\":\"changed\",\"type\":\"patient.registered\",\"id\":\"a\",\"fields\":"
            "[\"sex\",\"n\",\"city\"]}",
            (struct event_changes){.changed = 1});
}

static void what_is_no_field_counts_too(void **state)
{
    (void)state;
    const struct old_event old[] = {{.id = STR("a"),
                                     .type = STR("patient.updated"),
                                     .time = 1,
                                     .subject = STR("p"),
                                     .data = STR("{\"x\":null}")}};
    const struct event new[] = {
        {.type = &updated, .id = "a", .time = 2, .subject = "q", .data = STR("{}")}};
    compare(old, 1, new, 1, false, false, "  ~ patient.updated: x, (subject), (time)\n",
            (struct event_changes){.changed = 1});
}

static void a_damaged_payload_is_an_error(void **state)
{
    (void)state;
    const struct old_event old[] = {
        {.id = STR("a"), .type = STR("patient.updated"), .data = STR("[1]")}};
    const struct event new[] = {{.type = &updated, .id = "a", .data = STR("{}")}};
    const struct compared c = {.old = old, .old_count = 1, .new = new, .new_count = 1};
    struct event_changes n = {0};
    struct err e = {0};
    struct buf out;
    buf_init(&out, 1024);
    assert_int_equal(event_compare(&c, &out, &n, &e), ERR_SYNTAX);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(places_are_found),
                                       cmocka_unit_test(cells_are_found),
                                       cmocka_unit_test(columns_of_a_terminal),
                                       cmocka_unit_test(events_of_one_id_are_the_same),
                                       cmocka_unit_test(what_is_no_field_counts_too),
                                       cmocka_unit_test(a_damaged_payload_is_an_error)};
    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
