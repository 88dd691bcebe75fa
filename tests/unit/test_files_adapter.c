/*
 * The folder's logic against a host that the test plays: what is taken and when, in which order,
 * where it ends up, and what is found again after the end at any instruction.
 */
#include "tests/lib/files_host.h"

#include <sys/resource.h>

static struct adapter_host *of(void **state)
{
    return *state;
}

/* ---- conditions to wait for ---- */

static int wanted; /* files given to the host */

static bool given(struct adapter_host *h)
{
    return h->count >= wanted;
}

static bool nothing_in_working(struct adapter_host *h)
{
    return given(h) && !names_in(h, "in/.dari/working")[0];
}

static void run_until_given(struct adapter_host *h, int n)
{
    wanted = n;
    run_until(h, given);
}

static void run_until_away(struct adapter_host *h, int n)
{
    wanted = n;
    run_until(h, nothing_in_working);
}

/* A number of looks, for what must not happen: counts turns of the loop, not time. */
static int looks_left;
static bool looked(struct adapter_host *h)
{
    (void)h;
    return --looks_left <= 0;
}

static void run_for_a_while(struct adapter_host *h)
{
    looks_left = 150;
    run_until(h, looked);
}

/* ---- the way of a file ---- */

static void a_file_is_taken_and_archived(void **state)
{
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
    h->at_once = true;
    begin(h, NULL);
    write_file(h, "in/a", STR("one"));
    write_file(h, "in/b", STR("two"));
    run_until_away(h, 2);
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "a b");
}

static void nothing_in_the_archive_is_overwritten(void **state)
{
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
    begin(h, "min-age", "60s");
    write_file(h, "in/a.csv", STR("one"));
    run_for_a_while(h);
    assert_int_equal(h->count, 0);
    assert_string_equal(names_in(h, "in/.dari/working"), "");
    assert_true(there(h, "in/a.csv"));
}

static void a_renamed_file_is_taken_at_once(void **state)
{
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
    make_folder(h, "in/2026/03");
    make_folder(h, "in/1/2/3");
    make_folder(h, "in/.hidden");
    write_file(h, "in/2026/03/a.csv", STR("one"));
    write_file(h, "in/b.csv", STR("two"));
    write_file(h, "in/1/2/3/deep.csv", STR("deep"));
    write_file(h, "in/.hidden/c.csv", STR("hidden"));
    begin(h, "recursive", "yes", "max-depth", "2", "work", at(h, "in/own"));
    wanted = 2;
    run_until(h, given);
    run_for_a_while(h);
    assert_int_equal(h->count, 2); /* neither hidden nor deep, nor our own folders */
    assert_string_equal(h->given[0].name, "2026/03/a.csv");
    assert_string_equal(h->given[1].name, "b.csv");
    const char *day = today(h, "in/own/archive");
    assert_true(there(h, arena_printf(h->memory, "%s/2026/03/a.csv", day)));
}

static void strange_names(void **state)
{
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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

/* ---- the end at any instruction ---- */

static void what_was_claimed_is_submitted_again(void **state)
{
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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

static bool so_many_troubles(struct adapter_host *h)
{
    return counted(h, "troubles") >= wanted;
}

static void a_folder_that_is_away_is_waited_for(void **state)
{
    struct adapter_host *h = of(state);
    assert_int_equal(rmdir(at(h, "in")), 0);
    begin(h, "complete", "rename");
    wanted = 1;
    run_until(h, so_many_troubles);
    run_for_a_while(h);
    assert_int_equal(counted(h, "troubles"), 1); /* said once */
    make_folder(h, "in");
    write_file(h, "in/a.csv", STR("one"));
    run_until_away(h, 1);
    assert_int_equal(rename(at(h, "in"), at(h, "away")), 0);
    wanted = 2;
    run_until(h, so_many_troubles);
    run_for_a_while(h);
    assert_int_equal(counted(h, "troubles"), 2);
    assert_int_equal(rename(at(h, "away"), at(h, "in")), 0);
    write_file(h, "in/b.csv", STR("two"));
    run_until_away(h, 2);
}

static bool one_trouble(struct adapter_host *h)
{
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
    struct adapter_host *h = of(state);
    become_nobody(h);
    write_file(h, "in/a.csv", STR("one"));
    write_file(h, "in/b.csv", STR("two"));
    assert_int_equal(chmod(at(h, "in/a.csv"), 0), 0);
    begin(h, "complete", "rename");
    run_until_given(h, 1);
    run_until(h, one_trouble);
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
    struct adapter_host *h = of(state);
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
    struct adapter_host *h = of(state);
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

/* ---- options ---- */

static void wrong_options_are_named(void **state)
{
    struct adapter_host *h = of(state);
    static const struct {
        const char *option, *value, *says;
    } rows[] = {{"folder", "", "give folder"},
                {"url", "sftp://a@b/c/", "give folder"},
                {"order", "size", "order must be"},
                {"complete", "maybe", "complete must be"},
                {"control", "a/b", "control is"},
                {"match", "*.csv|", "match: an empty pattern"},
                {"exclude", "[a", "exclude: a [ without"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct problems p = {0};
        set_options(h, (const char *const[]){rows[i].option, rows[i].value, NULL});
        assert_row(begin_with(h, &e) == ERR_CONFIG, rows[i].option);
        assert_row(strstr(e.msg, rows[i].says) != NULL, rows[i].says);
        adapter_files.check(h->options, "dari.xml", 7, &p);
        assert_row(p.count == 1 && strstr(p.text, "dari.xml:7: ") && strstr(p.text, rows[i].says),
                   rows[i].says);
        problems_release(&p);
    }
}

static void wrong_urls_are_named(void **state)
{
    struct adapter_host *h = of(state);
    static const struct {
        const char *url, *option, *value, *says;
    } rows[] = {{"http://a@b/c/", "key", "k", "url must be like"},
                {"sftp://a:s3cret@b/c/", "key", "k", "must not hold a password"},
                {"sftp://b/c/", "key", "k", "needs the user"},
                {"sftp://a@b/c/?x=1", "key", "k", "question mark"},
                {"sftp://a@b/c/", "key", "", "needs key"},
                {"sftp://a@b/c/", "known-hosts", "", "needs known-hosts"},
                {"sftp://a@b/c/", "work", "", "needs work"},
                {"sftp://a@b/c/", "remote-after", "burn", "remote-after must be"},
                {"sftp://a@b/c/", "remote-archive", "../up", "remote-archive is"},
                {"sftp://a@b/c/", "remote-archive", "/abs", "remote-archive is"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        set_options(h,
                    (const char *const[]){"folder", "", "url", rows[i].url, "work", "w", "key", "k",
                                          "known-hosts", "h", rows[i].option, rows[i].value, NULL});
        assert_row(begin_with(h, &e) == ERR_CONFIG, rows[i].says);
        assert_row(strstr(e.msg, rows[i].says) != NULL, e.msg);
        assert_null(strstr(e.msg, "s3cret"));
    }
    struct problems p = {0};
    set_options(h, (const char *const[]){"folder", "", "url", "sftp://a@b/c/", "work", "w", "key",
                                         at(h, "none"), "known-hosts", at(h, "in"), NULL});
    adapter_files.surroundings(h->options, "dari.xml", 7, &p);
    assert_int_equal(p.count, 1);
    assert_non_null(strstr(p.text, "dari.xml:7: key: "));
    problems_release(&p);
}

static void dari_check_misses_the_folder(void **state)
{
    struct adapter_host *h = of(state);
    struct problems p = {0};
    set_options(h, (const char *const[]){"folder", at(h, "none"), NULL});
    adapter_files.check(h->options, "dari.xml", 7, &p);
    assert_int_equal(p.count, 0);
    adapter_files.surroundings(h->options, "dari.xml", 7, &p);
    assert_int_equal(p.count, 1);
    assert_non_null(strstr(p.text, "dari.xml:7: folder: "));
    problems_release(&p);
}

static void two_feeds_do_not_share_a_work_folder(void **state)
{
    struct adapter_host *h = of(state);
    struct adapter *second;
    struct err e = {0};
    begin(h, NULL);
    assert_int_equal(adapter_files.start(h, h->loop, h->options, &second, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "another feed"));
}

static void work_must_be_on_the_same_file_system(void **state)
{
    struct adapter_host *h = of(state);
    struct stat here, shm;
    char work[] = "/dev/shm/dari-files-XXXXXX";
    if (stat(h->home, &here) != 0 || stat("/dev/shm", &shm) != 0 || here.st_dev == shm.st_dev ||
        !mkdtemp(work)) {
        skip();
    }
    struct err e = {0};
    set_options(h, (const char *const[]){"work", work, NULL});
    enum err_code code = begin_with(h, &e);
    remove_all(work);
    assert_int_equal(code, ERR_CONFIG);
    assert_non_null(strstr(e.msg, "another file system"));
}

/* Copied, synced, then removed; the archive may be anywhere. */
static void the_archive_may_be_on_another_file_system(void **state)
{
    struct adapter_host *h = of(state);
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
        TEST(wrong_options_are_named),
        TEST(wrong_urls_are_named),
        TEST(dari_check_misses_the_folder),
        TEST(two_feeds_do_not_share_a_work_folder),
        TEST(work_must_be_on_the_same_file_system),
        TEST(the_archive_may_be_on_another_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
