/* Rows of a snapshot: what makes two of them the same row, and what makes one look changed. */
#include "core/intake/snapshot.h"
#include "core/mapping/mapping.h"
#include "tests/lib/clinic.h"
#include "tests/lib/cm.h"
#include "tests/lib/folder.h"

#define MAPPING                                                                                    \
    "<mapping name=\"m\" version=\"1\" format=\"table\" xmlns=\"urn:dari:mapping:1\">\n"           \
    "<for message=\"row^*\"/><columns>\n"                                                          \
    "<column name=\"chart_no\"/><column name=\"appt_no\"/><column name=\"dept\"/>\n"               \
    "<column name=\"purpose\"/></columns>\n"                                                       \
    "<key columns=\"chart_no appt_no\"/><patient from=\"chart_no\"/>\n"                            \
    "<event type=\"appointment.booked\"><field name=\"appointment_key\" from=\"appt_no\" "         \
    "as=\"key\" kind=\"appointment\"/><field name=\"start\" from=\"dept\"/></event></mapping>\n"

static struct clinic t;
static struct mapping_set *mapping;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    if (!clinic_open(&t) || !folder_make()) {
        return -1;
    }
    folder_write("m.xml", MAPPING);
    mapping = mapping_load(in_folder("m.xml"), t.catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    return mapping ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mapping_free(&mapping);
    folder_drop();
    clinic_release(&t);
    return 0;
}

/* The first row of a table with this header; a file of its own. */
static struct held held(const char *header, const char *row)
{
    struct table *table;
    struct table_row r;
    struct held out;
    bool more;
    const struct table_settings s = {.fallback = CHARSET_UTF8, .names = mapping_headers(mapping)};
    struct snapshot snapshot = {.site = "s", .feed = "f", .keys = t.keys};
    folder_write("t.csv", arena_printf(t.arena, "%s\n%s\n", header, row));
    assert_int_equal(table_open(in_folder("t.csv"), &s, &table, NULL), ERR_NONE);
    assert_int_equal(snapshot_begin(&snapshot, t.arena, table, NULL), ERR_NONE);
    assert_int_equal(table_next(table, &r, &more, NULL), ERR_NONE);
    assert_true(more);
    assert_int_equal(snapshot_hold(&snapshot, t.arena, &r, &out, NULL), ERR_NONE);
    assert_int_not_equal(out.is, HELD_BAD);
    snapshot_end(&snapshot);
    table_close(&table);
    return out;
}

#define HEADER "chart_no,appt_no,dept,purpose"

static const struct {
    const char *why, *header, *row;
    bool same_key, same_row; /* as those of the first */
} rows[] = {
    {"it", HEADER, "1,2,a,b", true, true},
    {"another place", HEADER, "1,2,a,c", true, false},
    {"another key", HEADER, "1,3,a,b", false, false},
    {"columns in another order", "purpose,dept,appt_no,chart_no", "b,a,2,1", true, true},
    {"a column that nobody declared", HEADER ",extra", "1,2,a,b,c", true, true},
    {"a column less", "chart_no,appt_no,dept", "1,2,a", true, false},
    /* what stands between cells, inside of one */
    {"all of it in one cell", HEADER,
     "1,2,a\x1Epurpose\x1F"
     "b,",
     true, false},
    {"the key in one cell", HEADER,
     "1\x1E"
     "2,3,a,b",
     false, false},
};

static void what_makes_rows_the_same(void **state)
{
    (void)state;
    const struct held first = held(rows[0].header, rows[0].row);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct held h = held(rows[i].header, rows[i].row);
        assert_row((memcmp(h.key, first.key, ROW_KEY) == 0) == rows[i].same_key, rows[i].why);
        assert_row((memcmp(h.digest, first.digest, ROW_KEY) == 0) == rows[i].same_row, rows[i].why);
    }
}

/* Two different keys that hold the same bytes. */
static void a_cell_does_not_reach_into_the_next(void **state)
{
    (void)state;
    const struct held a = held(HEADER, "1\x1E"
                                       "2,3,a,b");
    const struct held b = held(HEADER, "1,2\x1E"
                                       "3,a,b");
    assert_memory_not_equal(a.key, b.key, ROW_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_rows_the_same),
        cmocka_unit_test(a_cell_does_not_reach_into_the_next),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
