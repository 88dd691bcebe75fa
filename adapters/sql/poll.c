#include "adapters/sql/sql_internal.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LOOK_MS = 1000, BACKOFF_MAX = 5 * 60 * 1000, CONNECTION_MAX = 16 * 1024 };

static void wait_in(struct adapter *a, enum phase phase, int64_t ms)
{
    a->phase = phase;
    net_timer_set(a->timer, ms);
}

/* ---- trouble: said once, and once when it is over ---- */

static int64_t trouble(struct adapter *a, const struct err *e)
{
    if (!a->trouble.away || strcmp(a->trouble.said, e->msg) != 0) {
        log_err(LOG_WARN_, "sql.failing", e);
        snprintf(a->trouble.said, sizeof a->trouble.said, "%s", e->msg);
    }
    adapter_count(a->host, "sql_failures", 1);
    a->trouble.ms = a->trouble.away ? a->trouble.ms * 2 : a->options->retry_ms;
    if (a->trouble.ms > BACKOFF_MAX) {
        a->trouble.ms = BACKOFF_MAX;
    }
    a->trouble.away = true;
    return a->trouble.ms;
}

static void no_trouble(struct adapter *a)
{
    if (a->trouble.away) {
        log_info("sql.recovered", "");
    }
    a->trouble.away = false;
}

/* ---- a piece of work on the foreign database ---- */

static void end_job(struct adapter *a)
{
    if (a->source) {
        a->kind->free(&a->source);
    }
    overlap_free(&a->seen);
    spill_keys_close(a->spill);
    explicit_bzero(&a->job, sizeof a->job);
    arena_reset(a->job_memory);
}

/* Read each time: passwords are changed. */
static enum err_code read_connection(struct adapter *a, struct str *out, struct err *e)
{
    const char *path = a->options->connection_file;
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & 007)) {
        return ERR(e, ERR_CONFIG, 0, "%s can be read by everybody: chmod 640 or 600 it", path);
    }
    enum err_code code = file_read(a->job_memory, path, CONNECTION_MAX, out, e);
    *out = code == ERR_NONE ? str_trim(*out) : STR("");
    return code == ERR_NONE && out->n == 0 ? ERR(e, ERR_CONFIG, 0, "%s is empty", path) : code;
}

static enum err_code start_job(struct adapter *a, const struct statement *statement, bool writes,
                               const char *mark, const struct foreign_handlers *h, struct err *e)
{
    const struct sql_options *o = a->options;
    a->failed = (struct err){0};
    a->rows = a->again = a->changed = 0;
    a->cut = false;
    a->began = clock_now();
    a->began_mono = clock_mono();
    a->job = (struct foreign_job){.statement = statement,
                                  .mark = mark,
                                  .writes = writes,
                                  .hex = strcmp(o->binary, "hex") == 0,
                                  .wide = strcmp(o->odbc_charset, "utf-16") == 0,
                                  .connect_ms = o->connect_ms,
                                  .timeout_ms = o->timeout_ms,
                                  .max_row = o->max_row};
    if (!a->job.wide) {
        charset_named(str_of(o->odbc_charset), &a->job.charset);
    }
    enum err_code code = read_connection(a, &a->job.connection, e);
    return code == ERR_NONE ? a->kind->start(a->loop, &a->job, h, a, &a->source, e) : code;
}

/* ---- the query ---- */

static void next_round(struct adapter *a, bool now)
{
    no_trouble(a);
    a->resumed = false;
    a->next = now ? 0 : a->next;
    wait_in(a, PHASE_WAITING, 0);
}

static void query_failed(struct adapter *a, const struct err *e)
{
    spill_discard(a->spill);
    a->next = clock_mono() + trouble(a, e) * 1000;
    wait_in(a, PHASE_WAITING, (a->next - clock_mono()) / 1000);
}

static void set_next(struct adapter *a)
{
    struct err e = {0};
    a->next = a->began_mono + a->options->every_ms * 1000;
    if (a->schedule.count && spill_set_polled(a->spill, a->began, &e) != ERR_NONE) {
        log_err(LOG_WARN_, "sql.polled", &e);
    }
}

static void query_done(void *ctx, const struct err *failed)
{
    struct adapter *a = ctx;
    struct err e = a->failed.code != ERR_NONE ? a->failed : failed ? *failed : (struct err){0};
    bool any = false;
    if (e.code == ERR_NONE) {
        result_end(a, &any, &e);
    }
    end_job(a);
    adapter_count(a->host, "sql_queries", 1);
    if (e.code != ERR_NONE) {
        query_failed(a, &e);
        return;
    }
    adapter_count(a->host, "sql_rows", a->rows);
    adapter_count(a->host, "sql_rows_again", a->again);
    set_next(a);
    if (any) {
        poll_submit(a);
    } else {
        next_round(a, false);
    }
}

static const struct foreign_handlers query_handlers = {
    .columns = result_columns, .row = result_row, .done = query_done};

static enum err_code ask(struct adapter *a, const char *mark, struct err *e)
{
    enum err_code code = spill_begin(a->spill, a->options->taken[0], e);
    if (code == ERR_NONE && a->options->mark[0]) {
        bool lost;
        code = overlap_open(spill_path(a->spill, "seen"), str_of(mark), a->options->overlap,
                            &a->seen, &lost, e);
        if (code == ERR_NONE && lost) {
            log_warn("sql.seen-lost", "hint=\"the work folder does not fit the mark: rows at the "
                                      "mark come again\"");
        }
        mark = mark[0] ? mark : a->options->mark_start;
    }
    return code == ERR_NONE ? start_job(a, &a->query, false, mark, &query_handlers, e) : code;
}

/* ---- the host ---- */

/* Nothing is asked while the host cannot say how far we are. */
static void begin_round(struct adapter *a)
{
    struct err e = {0};
    const char *mark = adapter_mark(a->host);
    if (!mark) {
        net_timer_set(a->timer, LOOK_MS);
        return;
    }
    snprintf(a->mark, sizeof a->mark, "%s", mark);
    a->phase = PHASE_ASKING;
    if (ask(a, a->mark, &e) != ERR_NONE) {
        end_job(a);
        query_failed(a, &e);
    }
}

void poll_submit(struct adapter *a)
{
    const struct adapter_file f = {.path = spill_path(a->spill, "rows.csv"),
                                   .name = a->ready.name,
                                   .mark = a->ready.marked ? a->ready.mark : NULL};
    a->phase = PHASE_WITH_HOST;
    net_timer_set(a->timer, -1);
    if (!adapter_submit_file(a->host, &f, a)) {
        wait_in(a, PHASE_HOLDING, LOOK_MS);
    }
}

static void mark_taken(struct adapter *a);

static void round_over(struct adapter *a)
{
    struct err e = {0};
    if (spill_finish(a->spill, &e) != ERR_NONE) {
        wait_in(a, PHASE_HOLDING, trouble(a, &e)); /* the host will know it */
        return;
    }
    next_round(a, a->ready.more);
}

/* As a whole: a column is missing, say. Nothing moved on; it is asked for again. */
static void refused(struct adapter *a, struct str problem)
{
    struct err e = {0};
    if (a->phase == PHASE_OVER) {
        return;
    }
    if (spill_refuse(a->spill, &e) != ERR_NONE) {
        wait_in(a, PHASE_HOLDING, trouble(a, &e));
        return;
    }
    ERR(&e, ERR_REFUSED, 0, "the result was refused: %.*s", STR_ARG(problem));
    query_failed(a, &e);
}

void poll_finished(struct adapter *a, const struct adapter_result *r)
{
    bool over = a->phase == PHASE_OVER;
    switch (r->outcome) {
    case ADAPTER_KNOWN:
        a->ready.more = false; /* what was asked for did not move on: no hurry */
        /* fall through */
    case ADAPTER_TAKEN:
        if (over) {
            break; /* it stays complete: known at the next start, and then marked */
        }
        if (a->taken.count && a->ready.keys[0]) {
            mark_taken(a);
        } else {
            round_over(a);
        }
        break;
    case ADAPTER_REFUSED:
        refused(a, r->problem);
        break;
    case ADAPTER_RETRY:
        if (!over) {
            wait_in(a, PHASE_HOLDING, LOOK_MS);
        }
        break;
    }
}

/* ---- mark as taken ---- */

static bool next_keys(void *ctx, struct cell *params, size_t n)
{
    struct adapter *a = ctx;
    bool more = false;
    return spill_keys_next(a->spill, params, n, &more, &a->failed) == ERR_NONE && more;
}

static void marked(void *ctx, int64_t rows)
{
    ((struct adapter *)ctx)->changed += rows;
}

static void marking_done(void *ctx, const struct err *failed)
{
    struct adapter *a = ctx;
    struct err e = a->failed.code != ERR_NONE ? a->failed : failed ? *failed : (struct err){0};
    end_job(a);
    if (e.code != ERR_NONE) {
        wait_in(a, PHASE_MARKING_LATER, trouble(a, &e));
        return;
    }
    if (a->changed == 0 && !a->resumed) {
        log_warn("sql.nothing-marked",
                 "rows=%lld hint=\"the taken statement changed no row: rows that "
                 "are not marked come again, and with others become events again\"",
                 (long long)a->ready.rows);
    }
    adapter_count(a->host, "sql_rows_marked", a->changed);
    round_over(a);
}

static const struct foreign_handlers marking_handlers = {
    .next = next_keys, .marked = marked, .done = marking_done};

static void mark_taken(struct adapter *a)
{
    struct err e = {0};
    char names[sizeof a->ready.keys];
    result_key_names(a, names, sizeof names);
    a->phase = PHASE_MARKING;
    enum err_code code = ERR_NONE;
    if (strcmp(names, a->ready.keys) != 0) {
        code = ERR(&e, ERR_CONFIG, 0,
                   "rows are still to be marked as taken by %s: let taken= have these once more",
                   a->ready.keys);
    }
    if (code == ERR_NONE) {
        code = spill_keys_open(a->spill, &e);
    }
    if (code == ERR_NONE) {
        code = start_job(a, &a->taken, true, NULL, &marking_handlers, &e);
    }
    if (code != ERR_NONE) {
        end_job(a);
        wait_in(a, PHASE_MARKING_LATER, trouble(a, &e));
    }
}

/* ---- time ---- */

static int64_t wait_ms(struct adapter *a)
{
    int64_t left = (a->next - clock_mono() + 999) / 1000;
    if (a->trouble.away || !a->schedule.count || a->next == 0) {
        return left > 0 ? left : 0;
    }
    return schedule_last(&a->schedule, clock_now()) > spill_polled(a->spill) ? 0 : LOOK_MS;
}

void poll_timer(void *ctx)
{
    struct adapter *a = ctx;
    int64_t ms;
    switch (a->phase) {
    case PHASE_WAITING:
        ms = wait_ms(a);
        if (ms > 0) {
            net_timer_set(a->timer, ms);
        } else {
            begin_round(a);
        }
        break;
    case PHASE_HOLDING:
        poll_submit(a);
        break;
    case PHASE_MARKING_LATER:
        mark_taken(a);
        break;
    case PHASE_ASKING:
    case PHASE_WITH_HOST:
    case PHASE_MARKING:
    case PHASE_OVER:
        break;
    }
}

/* What was complete when we ended the last time comes first. */
void poll_begin(struct adapter *a)
{
    struct err e = {0};
    a->next = 0;
    if (a->schedule.count) {
        a->next = clock_mono(); /* by the times of the day; the first start waits for the next */
        if (!spill_polled(a->spill) && spill_set_polled(a->spill, clock_now(), &e) != ERR_NONE) {
            log_err(LOG_WARN_, "sql.polled", &e);
        }
    }
    bool ready = a->resumed = spill_ready(a->spill, &a->ready);
    if (ready) {
        log_info("sql.resumed", "rows=%lld", (long long)a->ready.rows);
    }
    wait_in(a, ready ? PHASE_HOLDING : PHASE_WAITING, 0);
}

void poll_drain(struct adapter *a)
{
    bool asking = a->phase == PHASE_ASKING;
    a->phase = PHASE_OVER;
    net_timer_set(a->timer, -1);
    end_job(a);
    if (asking) {
        spill_discard(a->spill);
    }
}
