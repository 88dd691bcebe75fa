#include "adapters/sql/sql.h"

#include "adapters/sql/sql_internal.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct sql_options, field)
#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)
#define GIB ((int64_t)1 << 30)

enum { QUERY_MAX = 256 * 1024 };

static const struct option_row rows[] = {
    {"via", OPTION_TEXT, "libpq", 0, 0, AT(via), "libpq (PostgreSQL) or odbc"},
    {"connection-file", OPTION_PATH, NULL, 0, 0, AT(connection_file),
     "file with the connection string (it may hold the password: chmod 600)"},
    {"work", OPTION_PATH, NULL, 0, 0, AT(work),
     "folder of this feed alone: results on their way, and how far it is"},
    {"query", OPTION_TEXT, "", 0, 0, AT(query), "what is asked; or in a file: query-file"},
    {"query-file", OPTION_PATH, "", 0, 0, AT(query_file), "file with what is asked"},
    {"every", OPTION_MS, "5m", 100, DAY_MS, AT(every_ms), "from one query to the next"},
    {"at", OPTION_TEXT, "", 0, 0, AT(at), "instead: times of the site's day, like 03:00,12:30"},
    {"mark", OPTION_TEXT, "", 0, 0, AT(mark),
     "column that only grows, by which the query is ordered and from which it goes on (:mark)"},
    {"mark-start", OPTION_TEXT, "", 0, 0, AT(mark_start),
     "what :mark is the first time, like 1900-01-01 or 0"},
    {"overlap", OPTION_INT, "100000", 1, 5000000, AT(overlap),
     "rows kept in mind, to know them again when the query gives them again"},
    {"taken", OPTION_TEXT, "", 0, 0, AT(taken),
     "statement that marks a row as taken, with :COLUMN of the query; may come twice"},
    {"binary", OPTION_TEXT, "refuse", 0, 0, AT(binary), "binary columns: refuse or hex"},
    {"odbc-charset", OPTION_TEXT, "utf-16", 0, 0, AT(odbc_charset),
     "utf-16, or what an old driver writes: cp949, utf-8, …"},
    {"connect-timeout", OPTION_MS, "10s", 100, DAY_MS, AT(connect_ms), "for the connection"},
    {"timeout", OPTION_MS, "10m", 100, DAY_MS, AT(timeout_ms), "for the query with all its rows"},
    {"retry", OPTION_MS, "2s", 10, DAY_MS, AT(retry_ms),
     "after a failure; doubled each time, up to 5m"},
    {"max-rows", OPTION_INT, "5000000", 1, 1000000000, AT(max_rows),
     "rows of one result; more come with the next one, a snapshot is refused"},
    {"max-size", OPTION_SIZE, "4g", 64 * 1024, 1024 * GIB, AT(max_size),
     "bytes of one result, likewise"},
    {"max-row", OPTION_SIZE, "4m", 1024, 256 * 1024 * 1024, AT(max_row), "bytes of one row"},
    {NULL, OPTION_TEXT, NULL, 0, 0, 0, NULL}};

const struct foreign_kind *sql_kind(const struct sql_options *o)
{
    return strcmp(o->via, "odbc") == 0 ? &foreign_odbc : &foreign_pq;
}

/* ---- what the options say together ---- */

static enum err_code read_query(const struct sql_options *o, struct arena *a, struct str *out,
                                struct err *e)
{
    if (!o->query[0] == !o->query_file[0]) {
        return ERR(e, ERR_CONFIG, 0, "query or query-file must be given, and not both");
    }
    *out = str_of(o->query);
    return o->query[0] ? ERR_NONE : file_read(a, o->query_file, QUERY_MAX, out, e);
}

static enum err_code check_marks(const struct sql_options *o, const struct statement *query,
                                 struct err *e)
{
    bool asks = false;
    for (size_t i = 0; i < query->count; i++) {
        if (!str_is(query->names[i], "mark")) {
            return ERR(e, ERR_CONFIG, 0, "the query has :%.*s; only :mark has a meaning there",
                       STR_ARG(query->names[i]));
        }
        asks = true;
    }
    if (asks != (o->mark[0] != '\0')) {
        return ERR(e, ERR_CONFIG, 0,
                   asks ? "the query has :mark, so mark= must name the column it is about"
                        : "mark= needs a query with :mark (… WHERE changed >= :mark ORDER BY "
                          "changed)");
    }
    if (o->mark[0] && mark_fits(str_of(o->mark_start), NULL) != ERR_NONE) {
        return ERR(e, ERR_CONFIG, 0,
                   "mark= needs mark-start: where to begin, like 1900-01-01 or 0");
    }
    return ERR_NONE;
}

enum err_code sql_statements(const struct sql_options *o, struct arena *a,
                             const struct foreign_kind *kind, struct statement *query,
                             struct statement *taken, struct err *e)
{
    struct str text;
    *taken = (struct statement){0};
    enum err_code code = read_query(o, a, &text, e);
    if (code == ERR_NONE && statement_parse(a, text, kind->style, query, e) != ERR_NONE) {
        code = err_in(e, "query");
    }
    if (code == ERR_NONE) {
        code = check_marks(o, query, e);
    }
    if (code != ERR_NONE || !o->taken[0]) {
        return code;
    }
    if (statement_parse(a, str_of(o->taken), kind->style, taken, e) != ERR_NONE) {
        return err_in(e, "taken");
    }
    if (taken->count == 0) {
        return ERR(e, ERR_CONFIG, 0,
                   "taken= must say which row it is about: UPDATE … WHERE id = :id");
    }
    return o->mark[0] ? ERR(e, ERR_CONFIG, 0, "mark= and taken= are two ways to go on: use one")
                      : ERR_NONE;
}

static const char *wrong_word(const struct sql_options *o)
{
    enum charset c;
    if (strcmp(o->via, "libpq") != 0 && strcmp(o->via, "odbc") != 0) {
        return "via must be libpq or odbc";
    }
    if (strcmp(o->binary, "refuse") != 0 && strcmp(o->binary, "hex") != 0) {
        return "binary must be refuse or hex";
    }
    if (strcmp(o->odbc_charset, "utf-16") != 0 && !charset_named(str_of(o->odbc_charset), &c)) {
        return "odbc-charset must be utf-16, utf-8, cp949, …";
    }
    return NULL;
}

static void check(const void *options, const char *file, int line, struct problems *p)
{
    const struct sql_options *o = options;
    struct schedule schedule;
    struct statement query, taken;
    struct err e = {0};
    if (!o->connection_file || !o->work) {
        problem_add(p, file, line, "the feed needs <sql connection-file=… work=… query=…/>");
        return;
    }
    if (wrong_word(o)) {
        problem_add(p, file, line, "%s", wrong_word(o));
    }
    if (schedule_parse(str_of(o->at), &schedule, &e) != ERR_NONE) {
        problem_add(p, file, line, "at=\"%s\": %s", o->at, e.msg);
    }
    if (!file_exists(o->connection_file)) {
        problem_add(p, file, line, "connection-file: %s does not exist", o->connection_file);
    }
    struct arena *a = arena_new(0);
    if (a && sql_statements(o, a, sql_kind(o), &query, &taken, &e) != ERR_NONE) {
        problem_add(p, file, line, "%s", e.msg);
    }
    arena_free(&a);
}

/* ---- life ---- */

static void stop(struct adapter **a)
{
    if (!*a) {
        return;
    }
    if ((*a)->spill) {
        poll_drain(*a);
    }
    spill_close(&(*a)->spill);
    net_timer_free(&(*a)->timer);
    arena_free(&(*a)->job_memory);
    arena_free(&(*a)->memory);
    free(*a);
    *a = NULL;
}

static enum err_code prepare(struct adapter *a, struct err *e)
{
    const struct sql_options *o = a->options;
    const struct spill_limits limits = {.row = o->max_row, .size = o->max_size};
    a->memory = arena_new(0);
    a->job_memory = arena_new(0);
    a->timer = net_timer_new(a->loop, poll_timer, a);
    if (!a->memory || !a->job_memory || !a->timer) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the adapter");
    }
    a->kind = sql_kind(o);
    enum err_code code = schedule_parse(str_of(o->at), &a->schedule, e);
    if (code == ERR_NONE) {
        code = sql_statements(o, a->memory, a->kind, &a->query, &a->taken, e);
    }
    return code == ERR_NONE ? spill_open(o->work, &limits, &a->spill, e) : code;
}

static enum err_code start(struct adapter_host *h, struct net_loop *loop, const void *options,
                           struct adapter **out, struct err *e)
{
    *out = NULL;
    struct adapter *a = calloc(1, sizeof *a);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the adapter");
    }
    *a = (struct adapter){.host = h, .loop = loop, .options = options};
    enum err_code code = prepare(a, e);
    if (code != ERR_NONE) {
        stop(&a);
        return code;
    }
    log_info("sql.polling", "via=%s mode=%s at=\"%s\" every_ms=%lld", a->options->via,
             a->options->mark[0]    ? "mark"
             : a->options->taken[0] ? "taken"
                                    : "snapshot",
             a->options->at, (long long)(a->schedule.count ? 0 : a->options->every_ms));
    poll_begin(a);
    *out = a;
    return ERR_NONE;
}

static void finished(struct adapter *a, void *ticket, const struct adapter_result *result)
{
    (void)ticket;
    poll_finished(a, result);
}

static void resume(struct adapter *a)
{
    if (a->phase == PHASE_HOLDING && !a->trouble.away) {
        poll_submit(a);
    }
}

static void drain(struct adapter *a)
{
    poll_drain(a);
}

const struct adapter_ops adapter_sql = {.name = "sql",
                                        .help = "a query on a foreign database, again and again",
                                        .options = rows,
                                        .options_size = sizeof(struct sql_options),
                                        .check = check,
                                        .start = start,
                                        .finished = finished,
                                        .resume = resume,
                                        .drain = drain,
                                        .stop = stop};
