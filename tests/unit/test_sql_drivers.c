/* adapters/sql: what drivers do wrong is a failed query and nothing else; options. */
#include "tests/lib/sql_host.h"

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
    set(h, "max-row", "200k");
    for (size_t i = 0; i < COUNT(mishaps); i++) {
        int kept;
        bool hangs = str_starts(str_of(mishaps[i].what), STR("hang"));
        bool connecting = strcmp(mishaps[i].what, "hang-connect") == 0;
        if (hangs) {
            set(h, connecting ? "connect-timeout" : "timeout", "200ms");
        }
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
    }
}

/* A password in braces may hold what else ends it. */
static void a_password_is_not_told_however_it_is_written(void **state)
{
    struct adapter_host *h = *state;
    static const char *const passwords[] = {"PWD=secret", "Pwd = {secret}",
                                            "PASSWORD={its; second}", "PWD={its; second};UID=x"};
    for (size_t i = 0; i < COUNT(passwords); i++) {
        char text[8192];
        int kept;
        snprintf(text, sizeof text, "Driver=%s;Do=refuse;Rows=1;%s", driver, passwords[i]);
        folder_write("connection", text);
        goal = (int)counted(h, "sql_failures") + 1;
        log_to("said", &kept);
        start(h);
        run_until(h->loop, failures, h);
        log_back(kept);
        adapter_sql.stop(&h->adapter);
        assert_row(logged("said", "could not connect (28000)"), passwords[i]);
        assert_row(!logged("said", "no login"), passwords[i]);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_driver_that_fails_is_a_failed_query),
        TEST(a_password_is_not_told_however_it_is_written),
        TEST(what_a_driver_does_afterwards_is_its_own_affair),
        TEST(trouble_is_said_once_and_its_end_too),
        TEST(draining_ends_what_hangs),
        TEST(an_open_connection_file_is_refused),
        TEST(a_work_folder_has_one_owner),
        cmocka_unit_test(wrong_options_are_named),
    };
    return is_driver(argc, argv) ? sql_odbc_helper()
                                 : cmocka_run_group_tests(tests, open_group, folder_teardown);
}
