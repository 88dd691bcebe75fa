/* adapters/sql against a host and a driver that does well: what is asked, handed over and marked.
 */
#include "tests/lib/sql_host.h"

/* ---- what goes right ---- */

static void a_snapshot_is_handed_over_each_time(void **state)
{
    struct adapter_host *h = *state;
    start(h);
    run_until(h->loop, two_files, h);
    assert_string_equal(h->files[0], "ID,name\n1,row 1\n2,row 2\n3,row 3\n");
    assert_string_equal(h->files[1], h->files[0]);
    assert_false(h->has_mark);
    does("well", 0);
    h->count = 0;
    run_until(h->loop, two_files, h);
    assert_string_equal(h->files[1], "ID,name\n");
}

static void a_mark_goes_on_from_where_it_was(void **state)
{
    struct adapter_host *h = *state;
    set(h, "query", "SELECT id, name FROM t WHERE id >= :mark ORDER BY id");
    set(h, "mark", "id");
    set(h, "mark-start", "0");
    start(h);
    goal = 3;
    run_until(h->loop, queries, h); /* two of them had nothing new */
    assert_int_equal(h->count, 1);
    assert_string_equal(h->mark, "3");
    does("well", 5);
    run_until(h->loop, two_files, h);
    assert_string_equal(h->files[1], "ID,name\n4,row 4\n5,row 5\n");
    run_until(h->loop, answered, h);
    start_again(h);
    does("well", 6);
    h->count = 0;
    run_until(h->loop, one_file, h);
    assert_string_equal(h->files[0], "ID,name\n6,row 6\n");
}

static void a_large_result_comes_in_parts(void **state)
{
    struct adapter_host *h = *state;
    set(h, "query", "SELECT id, name FROM t WHERE id >= :mark ORDER BY id");
    set(h, "mark", "id");
    set(h, "mark-start", "0");
    set(h, "max-rows", "2");
    set(h, "every", "1h");
    start(h);
    run_until(h->loop, two_files, h);
    assert_string_equal(h->files[0], "ID,name\n1,row 1\n2,row 2\n");
    assert_string_equal(h->files[1], "ID,name\n3,row 3\n");
}

static void a_snapshot_is_never_a_part(void **state)
{
    struct adapter_host *h = *state;
    set(h, "max-rows", "2");
    set(h, "retry", "500ms"); /* time to look at what is left */
    start(h);
    goal = 1;
    run_until(h->loop, failures, h);
    assert_int_equal(h->count, 0);
    assert_false(file_exists(in_folder("work/rows.tmp")));
    does("well", 2);
    run_until(h->loop, one_file, h);
}

static void rows_are_marked_after_the_commit(void **state)
{
    struct adapter_host *h = *state;
    set(h, "taken", "UPDATE t SET taken = 1 WHERE id = :id");
    h->outcomes = ADAPTER_RETRY;
    start(h);
    run_until(h->loop, one_file, h);
    assert_false(file_exists(in_folder("log")));
    h->outcomes = ADAPTER_TAKEN;
    run_until(h->loop, rows_marked, h);
    assert_true(holds("log", "1\n2\n3\n"));
}

static void marking_is_tried_until_it_is_done(void **state)
{
    struct adapter_host *h = *state;
    set(h, "taken", "UPDATE t SET taken = 1 WHERE id = :id");
    does("crash-taken", 3);
    start(h);
    goal = 2;
    run_until(h->loop, failures, h);
    assert_int_equal(h->count, 1); /* nothing else is asked meanwhile */
    start_again(h);                /* as after a kill */
    h->outcomes = ADAPTER_KNOWN;
    run_until(h->loop, two_files, h);
    does("well", 3);
    run_until(h->loop, rows_marked, h);
    assert_true(holds("log", "1\n2\n3\n"));
    assert_string_equal(h->files[0], h->files[1]);
}

static bool nothing_marked_said(void *ctx)
{
    (void)ctx;
    return logged("said", "sql.nothing-marked rows=3");
}

static void a_statement_that_marks_nothing_is_told_of(void **state)
{
    struct adapter_host *h = *state;
    int kept;
    set(h, "taken", "UPDATE t SET taken = 1 WHERE id = :id");
    does("none", 3);
    log_to("said", &kept);
    start(h);
    run_until(h->loop, nothing_marked_said, h);
    log_back(kept);
}

static void the_clock_is(const char *instant)
{
    folder_write("clock", instant);
}

/* At 03:00, once a day, also when nobody ran at 03:00; not at once at the very first start. */
static void times_of_the_day(void **state)
{
    struct adapter_host *h = *state;
    assert_int_equal(zone_set("Asia/Seoul", NULL), ERR_NONE);
    set(h, "at", "03:00");
    the_clock_is("2026-03-11T12:00:00+09:00");
    start(h);
    run_for(h->loop, 1500);
    assert_int_equal(h->count, 0);
    the_clock_is("2026-03-12T03:00:00+09:00");
    run_until(h->loop, one_file, h);
    run_for(h->loop, 1500);
    start_again(h);
    run_for(h->loop, 300);
    assert_int_equal(h->count, 1);
    adapter_sql.stop(&h->adapter);
    the_clock_is("2026-03-13T09:00:00+09:00");
    start(h);
    run_until(h->loop, two_files, h);
    run_for(h->loop, 1500);
    assert_int_equal(h->count, 2);
}

/* ---- the host ---- */

static void a_full_host_gets_it_later(void **state)
{
    struct adapter_host *h = *state;
    h->room = 0;
    start(h);
    goal = 1;
    run_until(h->loop, queries, h);
    assert_true(file_exists(in_folder("work/ready")));
    run_for(h->loop, 300);
    assert_int_equal(counted(h, "sql_queries"), 1); /* and none on top of it */
    h->room = 10;
    adapter_sql.resume(h->adapter);
    run_until(h->loop, one_file, h);
}

static void what_was_complete_comes_first(void **state)
{
    struct adapter_host *h = *state;
    set(h, "query", "SELECT id, name FROM t WHERE id >= :mark ORDER BY id");
    set(h, "mark", "id");
    set(h, "mark-start", "0");
    h->outcomes = ADAPTER_RETRY;
    start(h);
    run_until(h->loop, one_file, h);
    adapter_sql.stop(&h->adapter); /* killed while intake had it */
    h->outcomes = ADAPTER_TAKEN;
    does("well", 4);
    start(h);
    run_until(h->loop, two_files, h);
    assert_string_equal(h->files[1], h->files[0]);
    h->count = 0;
    run_until(h->loop, one_file, h);
    assert_string_equal(h->files[0], "ID,name\n4,row 4\n");
}

static void nothing_is_asked_while_the_mark_is_unknown(void **state)
{
    struct adapter_host *h = *state;
    h->mark_unknown = true;
    start(h);
    run_for(h->loop, 300);
    assert_int_equal(counted(h, "sql_queries"), 0);
    h->mark_unknown = false;
    run_until(h->loop, one_file, h);
}

static void a_refused_result_does_not_move_the_mark(void **state)
{
    struct adapter_host *h = *state;
    h->outcomes = ADAPTER_REFUSED;
    set(h, "retry", "500ms");
    start(h);
    goal = 1;
    run_until(h->loop, failures, h);
    assert_string_equal(h->mark, "");
    assert_false(file_exists(in_folder("work/ready")));
    assert_false(file_exists(in_folder("work/rows.csv")));
    h->outcomes = ADAPTER_TAKEN;
    run_until(h->loop, two_files, h);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_is_handed_over_each_time),
        TEST(a_mark_goes_on_from_where_it_was),
        TEST(a_large_result_comes_in_parts),
        TEST(a_snapshot_is_never_a_part),
        TEST(rows_are_marked_after_the_commit),
        TEST(marking_is_tried_until_it_is_done),
        TEST(a_statement_that_marks_nothing_is_told_of),
        TEST(times_of_the_day),
        TEST(a_full_host_gets_it_later),
        TEST(what_was_complete_comes_first),
        TEST(nothing_is_asked_while_the_mark_is_unknown),
        TEST(a_refused_result_does_not_move_the_mark),
    };
    return is_driver(argc, argv) ? sql_odbc_helper()
                                 : cmocka_run_group_tests(tests, open_group, folder_teardown);
}
