/*
 * The folder's logic when something is in the way: what is found again after the end at any
 * instruction, folders that are away, what cannot be opened or put away.
 */
#include "tests/lib/files_host.h"

/* ---- the end at any instruction ---- */

static void what_was_claimed_is_submitted_again(void **state)
{
    struct adapter_host *h = *state;
    h->silent = true;
    begin(h, NULL);
    write_file(h, "in/a.csv", STR("one"));
    run_until_given(h, 1);
    stop_at_once(h);
    assert_string_equal(names_in(h, "in"), "");
    h->silent = false;
    begin(h, NULL);
    run_until_away(h, 2);
    assert_string_equal(h->given[1].name, "a.csv");
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "a.csv");
}

static void jobs_of_before_come_first_and_in_order(void **state)
{
    struct adapter_host *h = *state;
    make_folder(h, "in/.dari/working/0000000000000002/in/sub");
    make_folder(h, "in/.dari/working/0000000000000001/in");
    write_file(h, "in/.dari/working/0000000000000002/in/sub/b", STR("two"));
    write_file(h, "in/.dari/working/0000000000000001/in/z", STR("one"));
    write_file(h, "in/a", STR("three"));
    begin(h, "complete", "rename");
    run_until_away(h, 3);
    assert_string_equal(h->given[0].name, "z");
    assert_string_equal(h->given[1].name, "sub/b");
    assert_string_equal(h->given[2].name, "a");
}

/* Each state that a claim can be left in. */
static void half_a_claim(void **state)
{
    struct adapter_host *h = *state;
    make_folder(h, "in/.dari/working/0000000000000001");        /* nothing but the folder */
    make_folder(h, "in/.dari/working/0000000000000002/in/sub"); /* not renamed yet */
    make_folder(h, "in/.dari/working/0000000000000003/in");     /* control renamed, file not */
    make_folder(h, "in/.dari/working/0000000000000003/control");
    write_file(h, "in/.dari/working/0000000000000003/control/a.csv", STR(""));
    write_file(h, "in/a.csv", STR("one"));
    make_folder(h, "in/.dari/working/0000000000000004/in"); /* the same, and the file is gone */
    make_folder(h, "in/.dari/working/0000000000000004/control");
    write_file(h, "in/.dari/working/0000000000000004/control/gone.csv", STR(""));
    make_folder(h, "in/.dari/working/0000000000000005/in"); /* both renamed */
    make_folder(h, "in/.dari/working/0000000000000005/control");
    write_file(h, "in/.dari/working/0000000000000005/control/b.csv", STR(""));
    write_file(h, "in/.dari/working/0000000000000005/in/b.csv", STR("two"));
    begin(h, "complete", "control");
    run_until_away(h, 2);
    assert_string_equal(h->given[0].name, "a.csv");
    assert_string_equal(h->given[1].name, "b.csv");
    assert_string_equal(names_in(h, "in"), "");
}

/* Ended after the problem was written and before the file was moved. */
static void half_a_refusal(void **state)
{
    struct adapter_host *h = *state;
    make_folder(h, "in/.dari/error");
    write_file(h, "in/.dari/error/a.csv.problem.txt", STR("row 3: no chart number\n"));
    begin(h, NULL);
    write_file(h, "in/a.csv", STR("REFUSE"));
    run_until_away(h, 1);
    assert_string_equal(names_in(h, "in/.dari/error"), "a.csv a.csv.problem.txt");
}

/* Somebody cleared the working folder: there is nothing to put away, and no reason to stop. */
static void a_claimed_file_that_vanished_is_let_go(void **state)
{
    struct adapter_host *h = *state;
    h->silent = true;
    begin(h, "complete", "rename");
    write_file(h, "in/a.csv", STR("one"));
    run_until_given(h, 1);
    const char *job = names_in(h, "in/.dari/working");
    assert_int_equal(unlink(at(h, arena_printf(h->memory, "in/.dari/working/%s/in/a.csv", job))),
                     0);
    host_answer(h, &h->given[0]);
    run_until_away(h, 1);
    assert_int_equal(counted(h, "troubles"), 0);
}

static void draining_takes_nothing_new(void **state)
{
    struct adapter_host *h = *state;
    h->silent = true;
    begin(h, "complete", "rename");
    write_file(h, "in/a.csv", STR("one"));
    run_until_given(h, 1);
    adapter_files.drain(h->adapter);
    write_file(h, "in/b.csv", STR("two"));
    host_answer(h, &h->given[0]);
    run_until_away(h, 1);
    run_for_a_while(h);
    assert_int_equal(h->count, 1);
    assert_true(there(h, "in/b.csv"));
}

/* ---- conditions ---- */

static bool so_many_troubles(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "troubles") >= wanted;
}

static void a_folder_that_is_away_is_waited_for(void **state)
{
    struct adapter_host *h = *state;
    assert_int_equal(rmdir(at(h, "in")), 0);
    begin(h, "complete", "rename");
    wanted = 1;
    run_until(h->loop, so_many_troubles, h);
    run_for_a_while(h);
    assert_int_equal(counted(h, "troubles"), 1); /* said once */
    make_folder(h, "in");
    write_file(h, "in/a.csv", STR("one"));
    run_until_away(h, 1);
    assert_int_equal(rename(at(h, "in"), at(h, "away")), 0);
    wanted = 2;
    run_until(h->loop, so_many_troubles, h);
    run_for_a_while(h);
    assert_int_equal(counted(h, "troubles"), 2);
    assert_int_equal(rename(at(h, "away"), at(h, "in")), 0);
    write_file(h, "in/b.csv", STR("two"));
    run_until_away(h, 2);
}

static bool one_trouble(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "troubles") == 1;
}

/* Root reads everything, so the test becomes somebody else; teardown becomes root again. */
static void become_nobody(struct adapter_host *h)
{
    enum { NOBODY = 65534 };
    if (geteuid() == 0) {
        assert_int_equal(chown(h->home, NOBODY, NOBODY), 0);
        assert_int_equal(chown(at(h, "in"), NOBODY, NOBODY), 0);
        assert_int_equal(seteuid(NOBODY), 0);
    }
}

static void a_file_that_cannot_be_opened_holds_nothing_up(void **state)
{
    struct adapter_host *h = *state;
    become_nobody(h);
    write_file(h, "in/a.csv", STR("one"));
    write_file(h, "in/b.csv", STR("two"));
    assert_int_equal(chmod(at(h, "in/a.csv"), 0), 0);
    begin(h, "complete", "rename");
    run_until_given(h, 1);
    run_until(h->loop, one_trouble, h);
    run_for_a_while(h);
    assert_string_equal(h->given[0].name, "b.csv");
    assert_int_equal(h->count, 1);
    assert_int_equal(counted(h, "troubles"), 1);
    assert_int_equal(chmod(at(h, "in/a.csv"), 0644), 0);
    run_until_away(h, 2);
}

/* What comes back is another disk, without our folders. */
static void our_folders_are_made_again(void **state)
{
    struct adapter_host *h = *state;
    begin(h, "complete", "rename");
    write_file(h, "in/a.csv", STR("one"));
    run_until_away(h, 1);
    assert_int_equal(rename(at(h, "in/.dari"), at(h, "gone")), 0);
    write_file(h, "in/b.csv", STR("two"));
    run_until_away(h, 2);
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "b.csv");
}

static void an_archive_that_cannot_be_written_holds_nothing_up(void **state)
{
    struct adapter_host *h = *state;
    write_file(h, "archive", STR("in the way"));
    begin(h, "complete", "rename", "archive", at(h, "archive"));
    write_file(h, "in/a.csv", STR("one"));
    write_file(h, "in/b.csv", STR("two"));
    run_until_given(h, 2);
    run_for_a_while(h);
    assert_int_equal(h->count, 2); /* taken once each, and kept */
    assert_int_equal(counted(h, "troubles"), 1);
    assert_int_equal(counted(h, "archived"), 0);
    assert_int_equal(unlink(at(h, "archive")), 0);
    run_until_away(h, 2);
    assert_string_equal(names_in(h, today(h, "archive")), "a.csv b.csv");
}

/* Copied, synced, then removed; the archive may be anywhere. */
static void the_archive_may_be_on_another_file_system(void **state)
{
    struct adapter_host *h = *state;
    struct stat here, shm;
    char archive[] = "/dev/shm/dari-files-XXXXXX";
    if (stat(h->home, &here) != 0 || stat("/dev/shm", &shm) != 0 || here.st_dev == shm.st_dev ||
        !mkdtemp(archive)) {
        skip();
    }
    begin(h, "complete", "rename", "archive", archive);
    for (int i = 0; i < 2; i++) {
        write_file(h, "in/a.csv", i ? STR("two") : STR("one"));
        run_until_away(h, i + 1);
    }
    char command[200];
    snprintf(command, sizeof command, "cat %s/*/a.csv %s/*/a.csv.2 | grep -qx onetwo", archive,
             archive);
    int found = system(command);
    remove_all(archive);
    assert_int_equal(found, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_claimed_is_submitted_again),
        TEST(jobs_of_before_come_first_and_in_order),
        TEST(half_a_claim),
        TEST(half_a_refusal),
        TEST(a_claimed_file_that_vanished_is_let_go),
        TEST(draining_takes_nothing_new),
        TEST(a_folder_that_is_away_is_waited_for),
        TEST(a_file_that_cannot_be_opened_holds_nothing_up),
        TEST(our_folders_are_made_again),
        TEST(an_archive_that_cannot_be_written_holds_nothing_up),
        TEST(the_archive_may_be_on_another_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
