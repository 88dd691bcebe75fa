/*
 * The folder's logic against a host that the test plays: what is taken and when, in which order,
 * where it ends up.
 */
#include "tests/lib/files_host.h"

/* ---- the way of a file ---- */

static void a_file_is_taken_and_archived(void **state)
{
    struct adapter_host *h = *state;
    begin(h, NULL);
    write_file(h, "in/예약.csv", STR("one"));
    run_until_away(h, 1);
    assert_string_equal(h->given[0].name, "예약.csv");
    assert_string_equal(h->given[0].content, "one");
    assert_string_equal(names_in(h, "in"), "");
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "예약.csv");
    assert_same(text_of(h, arena_printf(h->memory, "%s/예약.csv", today(h, "in/.dari/archive"))),
                STR("one"), "bytes");
    assert_int_equal(counted(h, "files"), 1);
    assert_int_equal(counted(h, "archived"), 1);
}

static void an_answer_from_inside_is_as_good(void **state)
{
    struct adapter_host *h = *state;
    h->at_once = true;
    begin(h, NULL);
    write_file(h, "in/a", STR("one"));
    write_file(h, "in/b", STR("two"));
    run_until_away(h, 2);
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "a b");
}

static void nothing_in_the_archive_is_overwritten(void **state)
{
    struct adapter_host *h = *state;
    begin(h, NULL);
    static const struct str contents[] = {STR_INIT("one"), STR_INIT("two"), STR_INIT("three")};
    for (int i = 0; i < 3; i++) {
        write_file(h, "in/a.csv", contents[i]);
        run_until_away(h, i + 1);
    }
    const char *day = today(h, "in/.dari/archive");
    assert_string_equal(names_in(h, day), "a.csv a.csv.2 a.csv.3");
    assert_same(text_of(h, arena_printf(h->memory, "%s/a.csv", day)), STR("one"), "first");
    assert_same(text_of(h, arena_printf(h->memory, "%s/a.csv.3", day)), STR("three"), "last");
}

static void known_content_is_marked_in_the_archive(void **state)
{
    struct adapter_host *h = *state;
    begin(h, NULL);
    write_file(h, "in/a.csv", STR("one"));
    run_until_away(h, 1);
    write_file(h, "in/other.csv", STR("one"));
    run_until_away(h, 2);
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "a.csv other.csv.duplicate");
    assert_int_equal(counted(h, "duplicates"), 1);
}

static void a_refused_file_goes_to_error_with_the_reason(void **state)
{
    struct adapter_host *h = *state;
    begin(h, NULL);
    for (int i = 1; i <= 2; i++) {
        write_file(h, "in/a.csv", i == 1 ? STR("REFUSE") : STR("REFUSE again"));
        write_file(h, "in/b.csv", i == 1 ? STR("one") : STR("two"));
        run_until_away(h, 2 * i);
    }
    assert_string_equal(names_in(h, "in/.dari/error"),
                        "a.csv a.csv.2 a.csv.2.problem.txt a.csv.problem.txt");
    assert_same(text_of(h, "in/.dari/error/a.csv.problem.txt"), STR("row 3: no chart number\n"),
                "reason");
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "b.csv b.csv.2");
    assert_int_equal(counted(h, "refused"), 2);
}

static void retry_stays_and_comes_again(void **state)
{
    struct adapter_host *h = *state;
    h->retries = 2;
    begin(h, NULL);
    write_file(h, "in/a.csv", STR("RETRY"));
    run_until_away(h, 3);
    assert_int_equal(h->count, 3);
    assert_string_equal(h->given[2].name, "a.csv");
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "a.csv");
}

static void a_full_host_gets_it_after_resume(void **state)
{
    struct adapter_host *h = *state;
    h->room = 0;
    begin(h, NULL);
    write_file(h, "in/a.csv", STR("one"));
    run_for_a_while(h);
    assert_int_equal(h->count, 0);
    h->room = -1;
    adapter_files.resume(h->adapter);
    run_until_away(h, 1);
}

static void a_batch_reply_is_written(void **state)
{
    struct adapter_host *h = *state;
    begin(h, "reply", at(h, "replies"));
    write_file(h, "in/batch.hl7", STR("REPLY"));
    run_until_away(h, 1);
    assert_string_equal(names_in(h, "replies"), "batch.hl7.reply");
    assert_same(text_of(h, "replies/batch.hl7.reply"), STR("FHS|reply\rFTS|1\r"), "reply");
    write_file(h, "in/batch.hl7", STR("REPLY")); /* the same reply is not written twice */
    run_until_away(h, 2);
    assert_string_equal(names_in(h, "replies"), "batch.hl7.reply");
}

static void a_file_written_to_while_it_is_read_is_put_aside(void **state)
{
    struct adapter_host *h = *state;
    h->silent = true;
    begin(h, NULL);
    write_file(h, "in/a.csv", STR("one"));
    int fd = open(at(h, "in/a.csv"), O_WRONLY | O_APPEND | O_CLOEXEC);
    run_until_given(h, 1);
    assert_int_equal(write(fd, "more", 4), 4);
    close(fd);
    host_answer(h, &h->given[0]);
    run_until_away(h, 1);
    assert_string_equal(names_in(h, "in/.dari/error"), "a.csv a.csv.problem.txt");
    assert_same(text_of(h, "in/.dari/error/a.csv.problem.txt"),
                STR("it was written to while it was being read; what stood in it then was "
                    "taken\n"),
                "reason");
}

/* The first is with the host while the others become something else. */
static void what_changed_since_the_look_is_not_taken(void **state)
{
    struct adapter_host *h = *state;
    h->silent = true;
    write_file(h, "in/a.csv", STR("one"));
    write_file(h, "in/b.csv", STR("two"));
    write_file(h, "in/c.csv", STR("three"));
    write_file(h, "in/d.csv", STR("four"));
    begin(h, "complete", "rename", "scan", "1h");
    run_until_given(h, 1);
    assert_int_equal(unlink(at(h, "in/b.csv")), 0);
    assert_int_equal(mkfifo(at(h, "in/b.csv"), 0644), 0);
    assert_int_equal(unlink(at(h, "in/c.csv")), 0);
    host_answer(h, &h->given[0]); /* the next one is claimed by what the look had seen */
    h->silent = false;
    run_until_away(h, 2);
    assert_string_equal(h->given[1].name, "d.csv");
    assert_true(there(h, "in/b.csv"));
    assert_string_equal(names_in(h, "in/.dari/error"), "");
}

/* ---- what is taken ---- */

static void names_that_are_not_taken(void **state)
{
    struct adapter_host *h = *state;
    begin(h, "match", "*.csv|*.tmp|*.part", "complete", "rename");
    static const char *const left[] = {"in/a.csv.tmp", "in/b.part", "in/.c.csv", "in/d.txt",
                                       "in/~$e.csv"};
    for (size_t i = 0; i < COUNT(left); i++) {
        write_file(h, left[i], STR("left"));
    }
    write_file(h, "in/a.csv", STR("one"));
    run_until_away(h, 1);
    run_for_a_while(h);
    assert_int_equal(h->count, 1);
    for (size_t i = 0; i < COUNT(left); i++) {
        assert_row(there(h, left[i]), left[i]);
    }
}

static void links_pipes_and_folders_are_left_alone(void **state)
{
    struct adapter_host *h = *state;
    write_file(h, "secret.csv", STR("secret"));
    make_folder(h, "elsewhere");
    write_file(h, "elsewhere/x.csv", STR("secret"));
    assert_int_equal(symlink(at(h, "secret.csv"), at(h, "in/link.csv")), 0);
    assert_int_equal(symlink(at(h, "elsewhere"), at(h, "in/folder")), 0);
    assert_int_equal(mkfifo(at(h, "in/pipe.csv"), 0644), 0);
    make_folder(h, "in/folder.csv");
    begin(h, "complete", "rename", "recursive", "yes");
    write_file(h, "in/z.csv", STR("one"));
    run_until_away(h, 1);
    run_for_a_while(h);
    assert_int_equal(h->count, 1);
    assert_true(there(h, "in/link.csv") && there(h, "in/pipe.csv") && there(h, "secret.csv"));
    assert_true(there(h, "elsewhere/x.csv"));
}

static void a_growing_file_waits_until_it_is_stable(void **state)
{
    struct adapter_host *h = *state;
    begin(h, "min-age", "60s");
    write_file(h, "in/a.csv", STR("one"));
    run_for_a_while(h);
    assert_int_equal(h->count, 0);
    assert_string_equal(names_in(h, "in/.dari/working"), "");
    assert_true(there(h, "in/a.csv"));
}

static void a_renamed_file_is_taken_at_once(void **state)
{
    struct adapter_host *h = *state;
    begin(h, "complete", "rename", "scan", "1h"); /* so it is inotify that tells */
    run_for_a_while(h);
    write_file(h, "in/a.csv.tmp", STR("one"));
    run_for_a_while(h);
    assert_int_equal(h->count, 0);
    assert_int_equal(rename(at(h, "in/a.csv.tmp"), at(h, "in/a.csv")), 0);
    run_until_away(h, 1);
}

static void a_control_file_releases_and_goes(void **state)
{
    struct adapter_host *h = *state;
    begin(h, "complete", "control", "match", "*.csv");
    write_file(h, "in/a.csv", STR("one"));
    write_file(h, "in/b.csv", STR("two"));
    write_file(h, "in/b.csv.done", STR(""));
    run_until_away(h, 1);
    run_for_a_while(h);
    assert_int_equal(h->count, 1);
    assert_string_equal(h->given[0].name, "b.csv");
    assert_string_equal(names_in(h, "in"), "a.csv");
    write_file(h, "in/a.csv.done", STR(""));
    run_until_away(h, 2);
    assert_string_equal(names_in(h, "in"), "");
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "a.csv b.csv");
}

static void order(void **state)
{
    struct adapter_host *h = *state;
    static const char *const names[] = {"c.csv", "a.csv", "b.csv"};
    for (int i = 0; i < 3; i++) {
        char path[32];
        snprintf(path, sizeof path, "in/%s", names[i]);
        write_file(h, path, str_of(names[i]));
        const struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        assert_int_equal(utimensat(AT_FDCWD, at(h, path), times, 0), 0);
    }
    begin(h, "order", "time", "complete", "rename");
    run_until_away(h, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(h->given[i].name, names[i]);
    }
}

static void folders_below(void **state)
{
    struct adapter_host *h = *state;
    make_folder(h, "in/2026/03");
    make_folder(h, "in/1/2/3");
    make_folder(h, "in/.hidden");
    write_file(h, "in/2026/03/a.csv", STR("one"));
    write_file(h, "in/b.csv", STR("two"));
    write_file(h, "in/1/2/3/deep.csv", STR("deep"));
    write_file(h, "in/.hidden/c.csv", STR("hidden"));
    begin(h, "recursive", "yes", "max-depth", "2", "work", at(h, "in/own"));
    run_until_given(h, 2);
    run_for_a_while(h);
    assert_int_equal(h->count, 2); /* neither hidden nor deep, nor our own folders */
    assert_string_equal(h->given[0].name, "2026/03/a.csv");
    assert_string_equal(h->given[1].name, "b.csv");
    const char *day = today(h, "in/own/archive");
    assert_true(there(h, arena_printf(h->memory, "%s/2026/03/a.csv", day)));
}

static void strange_names(void **state)
{
    struct adapter_host *h = *state;
    char longest[260] = "in/";
    begin(h, "complete", "rename");
    for (size_t i = 3; i < 3 + 252; i += 3) {
        memcpy(longest + i, "가", 4);
    }
    write_file(h, "in/a\n\x1b[31m.csv", STR("REFUSE"));
    write_file(h, "in/\xb1\xe6.csv", STR("two"));
    write_file(h, longest, STR("REFUSE too"));
    run_until_away(h, 3);
    assert_string_equal(h->given[0].name, "a\\n\\x1b[31m.csv");
    assert_string_equal(h->given[1].name, "\\xb1\\xe6.csv");
    assert_true(there(h, "in/.dari/error/a\n\x1b[31m.csv.problem.txt"));
    const char *errors = names_in(h, "in/.dari/error");
    assert_non_null(strstr(errors, "가.problem.txt")); /* shortened at a character */
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    struct adapter_host *h = *state;
    char *big = calloc(1, 2000);
    begin(h, "complete", "rename", "max-file", "1k");
    write_file(h, "in/big.csv", (struct str){big, 2000});
    write_file(h, "in/small.csv", STR("one"));
    run_until_away(h, 1);
    run_for_a_while(h);
    assert_int_equal(h->count, 1);
    assert_same(text_of(h, "in/.dari/error/big.csv.problem.txt"),
                STR("it is larger than max-file\n"), "reason");
    free(big);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_taken_and_archived),
        TEST(an_answer_from_inside_is_as_good),
        TEST(nothing_in_the_archive_is_overwritten),
        TEST(known_content_is_marked_in_the_archive),
        TEST(a_refused_file_goes_to_error_with_the_reason),
        TEST(retry_stays_and_comes_again),
        TEST(a_full_host_gets_it_after_resume),
        TEST(a_batch_reply_is_written),
        TEST(a_file_written_to_while_it_is_read_is_put_aside),
        TEST(what_changed_since_the_look_is_not_taken),
        TEST(names_that_are_not_taken),
        TEST(links_pipes_and_folders_are_left_alone),
        TEST(a_growing_file_waits_until_it_is_stable),
        TEST(a_renamed_file_is_taken_at_once),
        TEST(a_control_file_releases_and_goes),
        TEST(order),
        TEST(folders_below),
        TEST(strange_names),
        TEST(a_file_that_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
