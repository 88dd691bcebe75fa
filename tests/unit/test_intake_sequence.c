/* Sequence numbers: row F20 of the comparison of interface engines. */
#include "tests/lib/cm.h"

#include "core/intake/sequence.h"

#include <stdio.h>
#include <string.h>

static void turns(void **state)
{
    (void)state;
    const struct {
        bool any, numbered;
        int64_t last, number;
        enum sequence_is is;
    } rows[] = {
        {false, false, 0, 0, SEQUENCE_NEXT}, /* takes no part */
        {true, false, 7, 99, SEQUENCE_NEXT},
        {false, true, 0, 1, SEQUENCE_NEXT}, /* nothing known: any number */
        {false, true, 0, 500, SEQUENCE_NEXT},
        {true, true, 7, 8, SEQUENCE_NEXT},
        {true, true, 7, 7, SEQUENCE_OLD},
        {true, true, 7, 1, SEQUENCE_OLD},
        {true, true, 7, 9, SEQUENCE_GAP},
        {true, true, 7, SEQUENCE_MAX, SEQUENCE_GAP},
        {true, true, SEQUENCE_MAX - 1, SEQUENCE_MAX, SEQUENCE_NEXT},
        {true, true, 7, 0, SEQUENCE_START},
        {false, true, 0, 0, SEQUENCE_START},
        {true, true, 7, -1, SEQUENCE_RESYNC},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char why[32];
        snprintf(why, sizeof why, "row %zu", i);
        const struct sequence s = {.known = true, .any = rows[i].any, .last = rows[i].last};
        const struct job j = {.numbered = rows[i].numbered, .number = rows[i].number};
        assert_row(sequence_of(&s, &j) == rows[i].is, why);
        assert_row(sequence_expected(&s) == (rows[i].any ? rows[i].last + 1 : -1), why);
        struct db_args q = {0};
        const struct intake_settings settings = {.site = "s", .feed = "f"};
        bool settles = sequence_settle(&settings, &s, &j, 0, &q) != NULL;
        assert_row(settles == (rows[i].is > SEQUENCE_START), why);
    }
}

static void reading(void **state)
{
    (void)state;
    const struct {
        const char *field;
        bool numbered, bad;
        int64_t number;
    } rows[] = {
        {"", false, false, 0},
        {"\"\"", false, false, 0},
        {"0", true, false, 0},
        {"-1", true, false, -1},
        {" 12 ", true, false, 12},
        {"999999999999999", true, false, SEQUENCE_MAX},
        {"1000000000000000", false, true, 0},
        {"-2", false, true, 0},
        {"1.5", false, true, 0},
        {"eleven", false, true, 0},
        {"1^2", false, true, 0},
    };
    struct arena *a = arena_new(0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[100];
        int n = snprintf(text, sizeof text, "MSH|^~\\&|||||||ADT^A04|1|P|2.5|%s|\r", rows[i].field);
        struct job j = {.p = {.mapped = {.state = MAPPING_MAPPED, .count = 1}}};
        assert_int_equal(hl7_parse(a, (struct str){text, (size_t)n}, NULL, &j.p.message, NULL),
                         ERR_NONE);
        sequence_read(&j);
        assert_row(j.numbered == rows[i].numbered, rows[i].field);
        assert_row(!j.numbered || j.number == rows[i].number, rows[i].field);
        const struct mapped *m = &j.p.mapped;
        assert_row((m->state == MAPPING_QUARANTINED) == rows[i].bad, rows[i].field);
        assert_row(!rows[i].bad || (m->problem.code == ERR_VALUE && m->problem.pos == 31 &&
                                    strcmp(m->problem.where, "MSH-13") == 0 && m->count == 0),
                   rows[i].field);
    }
    struct job unread = {.numbered = false};
    sequence_read(&unread);
    assert_false(unread.numbered);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(turns), cmocka_unit_test(reading)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
