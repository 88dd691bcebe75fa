/*
 * For tests of adapters/sql: a host that this file plays and an ODBC driver that does what its
 * connection string says (tests/drivers/odbc_fake.c), crashes and hangs included. The program is
 * also the driver's process: the adapter starts it again with "odbc", so main() begins with
 * is_driver(). To be included by one program each.
 */
#ifndef DARI_TESTS_SQL_HOST_H
#define DARI_TESTS_SQL_HOST_H

#include "adapters/sql/sql.h"
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/net/net.h"
#include "tests/lib/cm.h"
#include "tests/lib/tallies.h"
#include "tests/lib/folder.h"
#include "tests/lib/until.h"

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
    void *ticket;                  /* of the file that is not answered yet */
    char next_mark[100];
    bool has_mark;
    struct net_timer *answer;
    struct tallies counters;
};

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

static inline void answer(void *ctx)
{
    struct adapter_host *h = ctx;
    struct adapter_result r = {.outcome = h->outcomes, .problem = STR("no column chart_no")};
    if (h->outcomes == ADAPTER_TAKEN && h->has_mark) {
        snprintf(h->mark, sizeof h->mark, "%s", h->next_mark);
    }
    void *ticket = h->ticket;
    h->ticket = NULL;
    adapter_sql.finished(h->adapter, ticket, &r);
}

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    tallies_add(&h->counters, counter, by);
}

static inline int64_t counted(const struct adapter_host *h, const char *counter)
{
    return tallies_value(&h->counters, counter);
}

static inline bool holds(const char *name, const char *want)
{
    struct arena *a = arena_new(0);
    struct str text = {0};
    bool same =
        file_read(a, in_folder(name), 1 << 20, &text, NULL) == ERR_NONE && str_is(text, want);
    arena_free(&a);
    return same;
}

static inline void set(struct adapter_host *h, const char *name, const char *value)
{
    const struct option_row *row = option_find(adapter_sql.options, str_of(name));
    struct err e = {0};
    if (option_set(h->memory, row, h->options, str_of(value), &e) != ERR_NONE) {
        fail_msg("%s=\"%s\": %s", name, value, e.msg);
    }
}

/* What the driver does from its next connection on. */
static inline void does(const char *what, int rows)
{
    char text[8192];
    snprintf(text, sizeof text, "Driver=%s;Do=%s;Rows=%d;Log=%s;PWD=secret", driver, what, rows,
             in_folder("log"));
    folder_write("connection", text);
}

static inline int begin(void **state)
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

static inline int end(void **state)
{
    struct adapter_host *h = *state;
    adapter_sql.stop(&h->adapter);
    net_timer_free(&h->answer);
    net_loop_free(&h->loop);
    arena_free(&h->memory);
    free(h);
    return folder_empty() ? 0 : -1;
}

static inline void start(struct adapter_host *h)
{
    struct err e = {0};
    net_timer_set(h->answer, -1); /* a host that ended answers nobody */
    h->ticket = NULL;
    if (adapter_sql.start(h, h->loop, h->options, &h->adapter, &e) != ERR_NONE) {
        fail_msg("start: %s", e.msg);
    }
}

static inline void start_again(struct adapter_host *h)
{
    adapter_sql.stop(&h->adapter);
    start(h);
}

static inline bool one_file(void *ctx)
{
    struct adapter_host *h = ctx;
    return h->count >= 1;
}

static inline bool two_files(void *ctx)
{
    struct adapter_host *h = ctx;
    return h->count >= 2;
}

/* The host has answered what it was given last. */
static inline bool answered(void *ctx)
{
    struct adapter_host *h = ctx;
    return !h->ticket;
}

static int goal;

static inline bool queries(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "sql_queries") >= goal;
}

static inline bool failures(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "sql_failures") >= goal;
}

static inline bool rows_marked(void *ctx)
{
    struct adapter_host *h = ctx;
    return counted(h, "sql_rows_marked") > 0;
}

static inline void log_to(const char *name, int *kept)
{
    FILE *f = fopen(in_folder(name), "we");
    assert_non_null(f);
    fflush(stderr);
    *kept = dup(2);
    dup2(fileno(f), 2);
    fclose(f);
}

static inline void log_back(int kept)
{
    dup2(kept, 2);
    close(kept);
}

static inline bool logged(const char *name, const char *what)
{
    struct arena *a = arena_new(0);
    struct str text = {0};
    assert_int_equal(file_read(a, in_folder(name), 1 << 20, &text, NULL), ERR_NONE);
    bool found = text.n && strstr(text.p, what);
    arena_free(&a);
    return found;
}

/* The program was started as the driver's process. */
static inline bool is_driver(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "odbc") == 0;
}

/* Of the group: where the driver is, and a folder whose file "clock" is the time once it is there.
 */
static inline int open_group(void **state)
{
    /* build/MODE/tests/unit/test_sql_… → build/MODE/tests/drivers/odbc_fake.so */
    char self[3000];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    *strstr(self, "/unit/") = '\0';
    snprintf(driver, sizeof driver, "%s/drivers/odbc_fake.so", self);
    alarm(180);
    return folder_setup(state) == 0 ? setenv("DARI_CLOCK", in_folder("clock"), 1) : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
