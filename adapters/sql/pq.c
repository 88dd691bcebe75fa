/* PostgreSQL, without blocking: libpq's socket is watched by our loop. */
#include "adapters/sql/foreign.h"

#include "core/base/num.h"

#include <libpq-fe.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRACE_MS = 5000, TLS_LOOK_MS = 100, BYTEA = 17 };

enum step {
    STEP_CONNECTING,
    STEP_SESSION, /* BEGIN and the settings of the transaction */
    STEP_QUERY,   /* rows come */
    STEP_PREPARE,
    STEP_EXECUTE,
    STEP_COMMIT,
    STEP_OVER
};

struct foreign {
    struct net_loop *loop;
    const struct foreign_job *job;
    const struct foreign_handlers *h;
    void *ctx;
    PGconn *conn;
    struct net_watch *watch;
    struct net_timer *deadline, *again; /* again: rows are there already, after others had a turn */
    enum step step;
    bool told_columns, last;
    size_t columns;
    int64_t executed; /* since the last commit */
    struct err failed;
};

bool foreign_shows(struct str sqlstate)
{
    static const char *const classes[] = {"08", "0A", "25", "28",  "3D",  "3F",
                                          "42", "53", "57", "HYT", "HYC", "IM"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (str_starts(sqlstate, str_of(classes[i]))) {
            return true;
        }
    }
    return false;
}

/* The owner is told from the timer, where nobody of ours is on the stack: it may free the source.
 */
static void finish(struct foreign *s)
{
    s->step = STEP_OVER;
    net_timer_set(s->again, -1);
    net_watch_free(&s->watch);
    PQfinish(s->conn);
    s->conn = NULL;
    net_timer_set(s->deadline, 0);
}

static void fail_connection(struct foreign *s, const char *what)
{
    struct str text = str_of(s->conn ? PQerrorMessage(s->conn) : "no memory");
    text = str_trim(str_cut(text, 0, str_find(text, '\n', 0)));
    ERR(&s->failed, ERR_DB, 0, "%s: %.*s", what, STR_ARG(text));
    finish(s);
}

static void fail_result(struct foreign *s, const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (!state) {
        ERR(&s->failed, ERR_DB, 0, "the connection was lost, or the query is no SELECT");
    } else {
        ERR(&s->failed, ERR_DB, 0, "the database refused the %s (%s)%s%s",
            s->job->writes ? "taken statement" : "query", state,
            text && foreign_shows(str_of(state)) ? ": " : "",
            text && foreign_shows(str_of(state)) ? text : "");
    }
}

static void on_socket(void *ctx, int ready);

static void watch(struct foreign *s, int events)
{
    net_watch_want(s->watch, events);
}

static void flush(struct foreign *s)
{
    int left = PQflush(s->conn);
    if (left < 0) {
        fail_connection(s, "the connection was lost");
        return;
    }
    watch(s, left ? NET_READ | NET_WRITE : NET_READ);
}

static void send(struct foreign *s, enum step step, int sent)
{
    s->step = step;
    if (!sent) {
        fail_connection(s, "could not send to the database");
        return;
    }
    flush(s);
}

/* Everything of this transaction only, so that a pooler in between keeps nothing of it: each of
 * several says it anew. `step` is what comes behind it. */
static void begin(struct foreign *s, enum step step)
{
    char sql[640];
    snprintf(sql, sizeof sql,
             "BEGIN %s; SET LOCAL statement_timeout = %lld; SET LOCAL DateStyle = 'ISO, YMD'; SET "
             "LOCAL IntervalStyle = iso_8601; SET LOCAL TimeZone = 'UTC'; SET LOCAL "
             "extra_float_digits = 3; SET LOCAL bytea_output = hex; SELECT set_config(name, '5s', "
             "true) FROM pg_settings WHERE name = 'client_connection_check_interval'",
             s->job->writes ? "READ WRITE" : "ISOLATION LEVEL REPEATABLE READ READ ONLY",
             (long long)s->job->timeout_ms);
    send(s, step, PQsendQuery(s->conn, sql));
}

static void query(struct foreign *s)
{
    const char *values[STATEMENT_PLACES];
    for (size_t i = 0; i < s->job->statement->count; i++) {
        values[i] = s->job->mark;
    }
    int sent = PQsendQueryParams(s->conn, s->job->statement->text, (int)s->job->statement->count,
                                 NULL, values, NULL, NULL, 0);
    send(s, STEP_QUERY, sent && PQsetSingleRowMode(s->conn));
}

/* The parameters must be C strings: libpq copies them. */
static bool execute(struct foreign *s)
{
    struct cell params[STATEMENT_PLACES];
    const char *values[STATEMENT_PLACES];
    size_t n = s->job->statement->count;
    if (!s->h->next(s->ctx, params, n)) {
        return false;
    }
    struct arena *a = arena_new(0);
    for (size_t i = 0; a && i < n; i++) {
        values[i] = params[i].null ? NULL : arena_z(a, params[i].text);
    }
    s->executed++;
    int sent = a && PQsendQueryPrepared(s->conn, "taken", (int)n, values, NULL, NULL, 0);
    arena_free(&a);
    send(s, STEP_EXECUTE, sent);
    return true;
}

static void commit(struct foreign *s)
{
    s->executed = 0;
    send(s, STEP_COMMIT, PQsendQuery(s->conn, "COMMIT"));
}

static void execute_or_commit(struct foreign *s)
{
    if (s->executed >= FOREIGN_COMMIT) {
        commit(s);
    } else if (!execute(s)) {
        s->last = true;
        commit(s);
    }
}

/* A statement has ended as it should: what comes next? */
static void next_step(struct foreign *s)
{
    switch (s->step) {
    case STEP_SESSION:
        if (!s->job->writes) {
            query(s);
        } else {
            send(s, STEP_PREPARE,
                 PQsendPrepare(s->conn, "taken", s->job->statement->text, 0, NULL));
        }
        break;
    case STEP_PREPARE:
    case STEP_EXECUTE:
        execute_or_commit(s);
        break;
    case STEP_COMMIT:
        if (s->last) {
            finish(s);
        } else {
            net_timer_set(s->deadline, s->job->timeout_ms + GRACE_MS);
            begin(s, STEP_PREPARE); /* the statement stays prepared */
        }
        break;
    case STEP_QUERY:
    case STEP_CONNECTING:
    case STEP_OVER:
        finish(s);
        break;
    }
}

static bool tell_columns(struct foreign *s, const PGresult *res)
{
    static struct str names[FOREIGN_COLUMNS];
    int n = PQnfields(res);
    if (n < 1 || n > FOREIGN_COLUMNS) {
        ERR(&s->failed, ERR_LIMIT, 0, "the query gives %d columns; 1 to %d are possible", n,
            FOREIGN_COLUMNS);
        return false;
    }
    for (int i = 0; i < n; i++) {
        names[i] = str_of(PQfname(res, i));
        if (PQftype(res, i) == BYTEA && !s->job->hex) {
            ERR(&s->failed, ERR_VALUE, (size_t)i + 1,
                "column %d is binary: leave it out, or say binary=\"hex\"", i + 1);
            return false;
        }
    }
    s->told_columns = true;
    s->columns = (size_t)n;
    return s->h->columns(s->ctx, names, s->columns);
}

static bool tell_row(struct foreign *s, const PGresult *res)
{
    static struct cell cells[FOREIGN_COLUMNS];
    for (int i = 0; i < (int)s->columns; i++) {
        cells[i].null = PQgetisnull(res, 0, i);
        cells[i].text = (struct str){PQgetvalue(res, 0, i), (size_t)PQgetlength(res, 0, i)};
        if (PQftype(res, i) == BYTEA && str_starts(cells[i].text, STR("\\x"))) {
            cells[i].text = str_cut(cells[i].text, 2, cells[i].text.n);
        }
    }
    return s->h->row(s->ctx, cells, s->columns);
}

static int64_t affected(const PGresult *res)
{
    int64_t n = 0;
    /* libpq only reads it; its prototype is older than const */
    const char *text = PQcmdTuples((PGresult *)(uintptr_t)res);
    return num_i64(str_of(text), 0, INT64_MAX, &n, NULL) == ERR_NONE ? n : 0;
}

/* False: it is over. */
static bool take_result(struct foreign *s, const PGresult *res)
{
    ExecStatusType st = PQresultStatus(res);
    bool rows = st == PGRES_SINGLE_TUPLE || st == PGRES_TUPLES_OK;
    if (!rows && st != PGRES_COMMAND_OK) {
        fail_result(s, res); /* or a COPY: there is no end to read on to */
        return false;
    }
    if (s->step == STEP_EXECUTE) {
        s->h->marked(s->ctx, affected(res));
    }
    if (s->step != STEP_QUERY) {
        return true;
    }
    if (!rows) {
        ERR(&s->failed, ERR_CONFIG, 0, "the query gives no rows: it must be a SELECT");
        return false;
    }
    if (!s->told_columns && !tell_columns(s, res)) {
        return false;
    }
    return st != PGRES_SINGLE_TUPLE || tell_row(s, res);
}

/* TLS may hold bytes back that the socket has given already: then nothing would wake us. */
static void wait_for_more(struct foreign *s)
{
    if (PQsslInUse(s->conn)) {
        net_timer_set(s->again, TLS_LOOK_MS);
    }
    flush(s);
}

static void take_results(struct foreign *s)
{
    for (int i = 0; i < FOREIGN_TURN; i++) {
        if (PQisBusy(s->conn)) {
            wait_for_more(s);
            return;
        }
        PGresult *res = PQgetResult(s->conn);
        if (!res) {
            next_step(s);
            return; /* what was sent is answered later */
        }
        bool more = take_result(s, res);
        PQclear(res);
        if (!more) {
            finish(s);
            return;
        }
    }
    watch(s, 0); /* nothing more is read before these are through */
    net_timer_set(s->again, 0);
}

static void read_more(struct foreign *s)
{
    if (!PQconsumeInput(s->conn)) {
        fail_connection(s, "the connection was lost");
        return;
    }
    take_results(s);
}

static void on_again(void *ctx)
{
    struct foreign *s = ctx;
    if (PQisBusy(s->conn)) {
        read_more(s);
    } else {
        take_results(s);
    }
}

/* The socket may change, or come back under its old number, while addresses are tried. */
static void go_on_connecting(struct foreign *s)
{
    net_watch_free(&s->watch);
    PostgresPollingStatusType st = PQconnectPoll(s->conn);
    if (st == PGRES_POLLING_FAILED) {
        fail_connection(s, "could not connect");
        return;
    }
    s->watch = net_watch_new(s->loop, PQsocket(s->conn), on_socket, s);
    if (!s->watch) {
        fail_connection(s, "could not watch the connection");
        return;
    }
    if (st != PGRES_POLLING_OK) {
        watch(s, st == PGRES_POLLING_READING ? NET_READ : NET_WRITE);
        return;
    }
    net_timer_set(s->deadline, s->job->timeout_ms + GRACE_MS);
    begin(s, STEP_SESSION);
}

static void on_socket(void *ctx, int ready)
{
    struct foreign *s = ctx;
    if (s->step == STEP_CONNECTING) {
        go_on_connecting(s);
        return;
    }
    if (ready & NET_WRITE) {
        flush(s);
        if (s->step == STEP_OVER) {
            return;
        }
    }
    if (ready & NET_READ) {
        read_more(s);
    }
}

static void on_deadline(void *ctx)
{
    struct foreign *s = ctx;
    if (s->step == STEP_OVER) {
        s->h->done(s->ctx, s->failed.code == ERR_NONE ? NULL : &s->failed);
        return;
    }
    ERR(&s->failed, ERR_DB, 0,
        s->step == STEP_CONNECTING ? "no connection within %lld ms" : "no end within %lld ms",
        (long long)(s->step == STEP_CONNECTING ? s->job->connect_ms : s->job->timeout_ms));
    finish(s);
}

static void pq_free(struct foreign **s)
{
    if (!*s) {
        return;
    }
    net_timer_free(&(*s)->deadline);
    net_timer_free(&(*s)->again);
    net_watch_free(&(*s)->watch);
    PQfinish((*s)->conn);
    free(*s);
    *s = NULL;
}

static bool open_connection(struct foreign *s)
{
    struct arena *a = arena_new(0);
    const char *conninfo = a ? arena_z(a, s->job->connection) : NULL;
    const char *keys[] = {"fallback_application_name", "keepalives_idle",
                          "tcp_user_timeout",          "dbname",
                          "client_encoding",           NULL};
    const char *values[] = {"dari", "30", "30000", conninfo, "UTF8", NULL};
    s->conn = conninfo ? PQconnectStartParams(keys, values, 1) : NULL;
    arena_free(&a);
    return s->conn != NULL;
}

/* What the server raises may be about patients; libpq would print it. */
static void no_notice(void *ctx, const PGresult *res)
{
    (void)ctx;
    (void)res;
}

/* A bad connection string is told of by the first callback too: one way for all errors. */
static enum err_code pq_start(struct net_loop *l, const struct foreign_job *job,
                              const struct foreign_handlers *h, void *ctx, struct foreign **out,
                              struct err *e)
{
    *out = NULL;
    struct foreign *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a connection");
    }
    *s = (struct foreign){.loop = l, .job = job, .h = h, .ctx = ctx};
    s->deadline = net_timer_new(l, on_deadline, s);
    s->again = net_timer_new(l, on_again, s);
    enum err_code code = ERR_NONE;
    if (!s->deadline || !s->again || !open_connection(s)) {
        code = ERR(e, ERR_NOMEM, 0, "no memory for a connection");
    } else if (PQstatus(s->conn) == CONNECTION_BAD || PQsocket(s->conn) < 0) {
        struct str text = str_of(PQerrorMessage(s->conn));
        text = str_trim(str_cut(text, 0, str_find(text, '\n', 0)));
        code = ERR(e, ERR_DB, 0, "could not connect: %.*s", STR_ARG(text));
    } else {
        PQsetnonblocking(s->conn, 1);
        PQsetNoticeReceiver(s->conn, no_notice, NULL);
        s->watch = net_watch_new(l, PQsocket(s->conn), on_socket, s);
        code = s->watch ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a connection");
    }
    if (code != ERR_NONE) {
        pq_free(&s);
        return code;
    }
    watch(s, NET_WRITE);
    net_timer_set(s->deadline, job->connect_ms);
    *out = s;
    return ERR_NONE;
}

const struct foreign_kind foreign_pq = {STATEMENT_NUMBERED, pq_start, pq_free};
