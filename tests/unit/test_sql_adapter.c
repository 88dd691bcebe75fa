/*
 * adapters/sql against a host that this file plays and an ODBC driver that does what its connection
 * string says (tests/drivers/odbc_fake.c), crashes and hangs included. This program is also the
 * driver's process: the adapter starts it again with "odbc".
 */
#include "adapters/sql/sql.h"
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/net/net.h"
#include "tests/lib/cm.h"
#include "tests/lib/counters.h"
#include "tests/lib/until.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 16 };

/* The host: what it was given, what it says. */
struct adapter_host {
    struct net_loop *loop;
    struct adapter *adapter;
    struct arena *memory;
    void *options;
    char mark[100];
    bool mark_unknown;
    char files[FILES][400]; /* the content of each */
    int count;
    int room;                      /* how many more it takes */
    enum adapter_outcome outcomes; /* of each */
    void *ticket;
    char next_mark[100];
    bool has_mark;
    struct net_timer *answer;
    struct counters counters;
};

static char folder[] = "/tmp/dari-sql-XXXXXX";
static char driver[4096];

const char *adapter_mark(const struct adapter_host *h)
{
    return h->mark_unknown ? NULL : h->mark;
}

bool adapter_submit_file(struct adapter_host *h, const struct adapter_file *f, void *ticket)
{
    struct str text;
    struct arena *a = arena_new(0);
    if (h->room == 0) {
        arena_free(&a);
        return false;
    }
    h->room--;
    assert_int_equal(file_read(a, f->path, 1 << 20, &text, NULL), ERR_NONE);
    assert_true(str_starts(str_of(f->name), STR("query 20")));
    if (h->count < FILES) {
        snprintf(h->files[h->count++], sizeof h->files[0], "%.*s", STR_ARG(text));
    }
    h->has_mark = f->mark != NULL;
    snprintf(h->next_mark, sizeof h->next_mark, "%s", f->mark ? f->mark : "");
    h->ticket = ticket;
    net_timer_set(h->answer, 1);
    arena_free(&a);
    return true;
}

static void answer(void *ctx)
{
    struct adapter_host *h = ctx;
    struct adapter_result r = {.outcome = h->outcomes, .problem = STR("no column chart_no")};
    if (h->outcomes == ADAPTER_TAKEN && h->has_mark) {
        snprintf(h->mark, sizeof h->mark, "%s", h->next_mark);
    }
    adapter_sql.finished(h->adapter, h->ticket, &r);
}

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    counters_add(&h->counters, counter, by);
}

static int64_t counted(const struct adapter_host *h, const char *counter)
{
    return counters_value(&h->counters, counter);
}

static const char *in_folder(const char *name)
{
    static char paths[4][300];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    assert_int_equal(file_write(in_folder(name), str_of(text), 0600, NULL), ERR_NONE);
}

static bool holds(const char *name, const char *want)
{
    struct arena *a = arena_new(0);
    struct str text = {0};
    bool same =
        file_read(a, in_folder(name), 1 << 20, &text, NULL) == ERR_NONE && str_is(text, want);
    arena_free(&a);
    return same;
}

static void set(struct adapter_host *h, const char *name, const char *value)
{
    const struct option_row *row = option_find(adapter_sql.options, str_of(name));
    struct err e = {0};
    if (option_set(h->memory, row, h->options, str_of(value), &e) != ERR_NONE) {
        fail_msg("%s=\"%s\": %s", name, value, e.msg);
    }
}

/* What the driver does from its next connection on. */
static void does(const char *what, int rows)
{
    char text[8192];
    snprintf(text, sizeof text, "Driver=%s;Do=%s;Rows=%d;Log=%s;PWD=secret", driver, what, rows,
             in_folder("log"));
    write_text("connection", text);
}

static int begin(void **state)
{
    struct adapter_host *h = calloc(1, sizeof *h);
    struct err e = {0};
    h->memory = arena_new(0);
    h->loop = net_loop_new(&e);
    h->answer = net_timer_new(h->loop, answer, h);
    h->options = arena_alloc(h->memory, adapter_sql.options_size);
    h->room = 1000;
    option_defaults(adapter_sql.options, h->options);
    set(h, "via", "odbc");
    set(h, "odbc-charset", "utf-8");
    set(h, "connection-file", in_folder("connection"));
    set(h, "work", in_folder("work"));
    set(h, "query", "SELECT id, name FROM t");
    set(h, "every", "100ms");
    set(h, "retry", "10ms");
    set(h, "connect-timeout", "20s");
    does("well", 3);
    *state = h;
    return 0;
}

static void remove_all(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *f; d && (f = readdir(d));) {
        char name[600];
        snprintf(name, sizeof name, "%s/%s", path, f->d_name);
        if (f->d_name[0] != '.' && remove(name) != 0) {
            remove_all(name);
        }
    }
    if (d) {
        closedir(d);
    }
    rmdir(path);
}

static int end(void **state)
{
    struct adapter_host *h = *state;
    adapter_sql.stop(&h->adapter);
    net_timer_free(&h->answer);
    net_loop_free(&h->loop);
    arena_free(&h->memory);
    free(h);
    remove_all(folder);
    return mkdir(folder, 0700);
}

static void start(struct adapter_host *h)
{
    struct err e = {0};
    net_timer_set(h->answer, -1); /* a host that ended answers nobody */
    if (adapter_sql.start(h, h->loop, h->options, &h->adapter, &e) != ERR_NONE) {
        fail_msg("start: %s", e.msg);
    }
}

static void start_again(struct adapter_host *h)
{
    adapter_sql.stop(&h->adapter);
    start(h);
}

static bool one_file(void *ctx)
{
    struct adapter_host *h = ctx;
    return h->count >= 1;
}

static bool two_files(void *ctx)
{
    struct adapter_host *h = ctx;
    return h->count >= 2;
}

static int goal;

static bool queries(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "sql_queries") >= goal;
}

static bool failures(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "sql_failures") >= goal;
}

static bool rows_marked(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "sql_rows_marked") > 0;
}

static void log_to(const char *name, int *kept)
{
    FILE *f = fopen(in_folder(name), "we");
    assert_non_null(f);
    fflush(stderr);
    *kept = dup(2);
    dup2(fileno(f), 2);
    fclose(f);
}

static void log_back(int kept)
{
    dup2(kept, 2);
    close(kept);
}

static bool logged(const char *name, const char *what)
{
    struct arena *a = arena_new(0);
    struct str text = {0};
    assert_int_equal(file_read(a, in_folder(name), 1 << 20, &text, NULL), ERR_NONE);
    bool found = text.n && strstr(text.p, what);
    arena_free(&a);
    return found;
}

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
    write_text("clock", instant);
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

/* ---- what drivers do wrong ---- */

static const struct {
    const char *what, *says;
} mishaps[] = {
    {"crash-connect", "ended its process (signal 11)"},
    {"crash-prepare", "ended its process (signal 11)"},
    {"crash-execute", "ended its process (signal 11)"},
    {"crash-row", "ended its process (signal 11)"},
    {"crash-end", "ended its process (signal 11)"},
    {"exit-connect", "ended its process (status 0)"},
    {"exit-row", "ended its process (status 0)"},
    {"hang-connect", "no connection within 200 ms"},
    {"hang-execute", "no result within 200 ms"},
    {"hang-row", "no result within 200 ms"},
    {"garbage-connect", "sent"},
    {"garbage-row", "sent"},
    {"refuse", "could not connect (28000)"},
    {"value", "refused the query (22018)\""},
    {"long", "longer than max-row"},
};

/* The next one comes as if nothing had been; of values and passwords nothing is said. */
static void a_driver_that_fails_is_a_failed_query(void **state)
{
    struct adapter_host *h = *state;
    set(h, "connect-timeout", "200ms");
    set(h, "timeout", "200ms");
    set(h, "max-row", "200k");
    for (size_t i = 0; i < COUNT(mishaps); i++) {
        int kept;
        does(mishaps[i].what, 4);
        h->count = 0;
        goal = (int)counted(h, "sql_failures") + 1;
        log_to("said", &kept);
        start(h);
        run_until(h->loop, failures, h);
        log_back(kept);
        assert_row(h->count == 0, mishaps[i].what);
        assert_row(logged("said", mishaps[i].says), mishaps[i].what);
        assert_row(!logged("said", "900101") && !logged("said", "secret"), mishaps[i].what);
        assert_row(!file_exists(in_folder("work/ready")), mishaps[i].what);
        set(h, "timeout", "20s");
        set(h, "connect-timeout", "20s");
        does("well", 4);
        run_until(h->loop, one_file, h);
        assert_row(str_is(str_of(h->files[0]), "ID,name\n1,row 1\n2,row 2\n3,row 3\n4,row 4\n"),
                   mishaps[i].what);
        adapter_sql.stop(&h->adapter);
        remove_all(in_folder("work"));
        set(h, "timeout", "200ms");
        set(h, "connect-timeout", "200ms");
    }
}

static void what_a_driver_does_afterwards_is_its_own_affair(void **state)
{
    struct adapter_host *h = *state;
    static const char *const what[] = {"print", "crash-disconnect", "hang-disconnect"};
    for (size_t i = 0; i < COUNT(what); i++) {
        int kept;
        does(what[i], 2);
        h->count = 0;
        log_to("said", &kept);
        start(h);
        run_until(h->loop, one_file, h);
        log_back(kept);
        adapter_sql.stop(&h->adapter);
        assert_row(str_is(str_of(h->files[0]), "ID,name\n1,row 1\n2,row 2\n"), what[i]);
        assert_row(!logged("said", "this driver prints"), what[i]);
        assert_int_equal(counted(h, "sql_failures"), 0);
    }
}

static bool recovery_said(void *ctx)
{
    (void)ctx;
    return logged("said", "sql.recovered");
}

static void trouble_is_said_once_and_its_end_too(void **state)
{
    struct adapter_host *h = *state;
    int kept;
    does("crash-row", 4);
    log_to("said", &kept);
    start(h);
    goal = 3;
    run_until(h->loop, failures, h);
    does("well", 4);
    run_until(h->loop, recovery_said, h);
    log_back(kept);
    struct arena *a = arena_new(0);
    struct str text;
    assert_int_equal(file_read(a, in_folder("said"), 1 << 20, &text, NULL), ERR_NONE);
    char *first = strstr(text.p, "sql.failing");
    assert_non_null(first);
    assert_null(strstr(first + 1, "sql.failing"));
    arena_free(&a);
}

static void draining_ends_what_hangs(void **state)
{
    struct adapter_host *h = *state;
    does("hang-row", 4);
    start(h);
    run_for(h->loop, 200);
    adapter_sql.drain(h->adapter);
    adapter_sql.stop(&h->adapter);
    assert_false(file_exists(in_folder("work/rows.tmp")));
}

/* ---- options ---- */

static const struct {
    const char *name, *value, *name2, *value2, *says;
} wrong[] = {
    {"via", "jdbc", NULL, NULL, "via must be libpq or odbc"},
    {"binary", "yes", NULL, NULL, "binary must be"},
    {"odbc-charset", "klingon", NULL, NULL, "odbc-charset must be"},
    {"at", "3am", NULL, NULL, "HH:MM"},
    {"query", "", NULL, NULL, "query or query-file"},
    {"query-file", "/nonexistent", NULL, NULL, "not both"},
    {"query", "SELECT 'x", NULL, NULL, "does not end"},
    {"query", "SELECT 1; SELECT 2", NULL, NULL, "one statement only"},
    {"query", "SELECT :other", NULL, NULL, "only :mark"},
    {"query", "SELECT :mark", NULL, NULL, "mark= must name"},
    {"mark", "id", NULL, NULL, "needs a query with :mark"},
    {"mark", "id", "query", "SELECT :mark", "mark-start"},
    {"taken", "UPDATE t SET taken = 1", NULL, NULL, "which row"},
    {"connection-file", "/nonexistent", NULL, NULL, "does not exist"},
};

static void wrong_options_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        void *own = NULL;
        begin(&own);
        struct adapter_host *h = own;
        struct problems p = {0};
        adapter_sql.check(h->options, "dari.xml", 7, &p);
        assert_row(p.count == 0, wrong[i].says);
        set(h, wrong[i].name, wrong[i].value);
        if (wrong[i].name2) {
            set(h, wrong[i].name2, wrong[i].value2);
        }
        adapter_sql.check(h->options, "dari.xml", 7, &p);
        assert_row(p.count == 1 && strstr(p.text, wrong[i].says), wrong[i].says);
        assert_row(str_starts(str_of(p.text), STR("dari.xml:7: ")), wrong[i].says);
        problems_release(&p);
        end(&own);
    }
}

static void an_open_connection_file_is_refused(void **state)
{
    struct adapter_host *h = *state;
    chmod(in_folder("connection"), 0644);
    goal = 1;
    start(h);
    run_until(h->loop, failures, h);
    chmod(in_folder("connection"), 0640);
    run_until(h->loop, one_file, h);
}

static void a_work_folder_has_one_owner(void **state)
{
    struct adapter_host *h = *state;
    struct adapter *other;
    struct err e = {0};
    start(h);
    assert_int_equal(adapter_sql.start(h, h->loop, h->options, &other, &e), ERR_EXISTS);
    assert_null(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "odbc") == 0) {
        return sql_odbc_helper();
    }
    /* build/MODE/tests/unit/test_sql_adapter → build/MODE/tests/drivers/odbc_fake.so */
    char self[3000];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    *strstr(self, "/unit/") = '\0';
    snprintf(driver, sizeof driver, "%s/drivers/odbc_fake.so", self);
    if (!mkdtemp(folder)) {
        return 1;
    }
    setenv("DARI_CLOCK", in_folder("clock"), 1); /* while there is none: the real time */
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
        TEST(a_driver_that_fails_is_a_failed_query),
        TEST(what_a_driver_does_afterwards_is_its_own_affair),
        TEST(trouble_is_said_once_and_its_end_too),
        TEST(draining_ends_what_hangs),
        TEST(an_open_connection_file_is_refused),
        TEST(a_work_folder_has_one_owner),
        cmocka_unit_test(wrong_options_are_named),
    };
    alarm(180);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
