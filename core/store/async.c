#include "core/store/async.h"

#include "core/store/db_internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_FIRST = 200, RETRY_LAST = 5000, CONNECT_MS = 5000, MAX_PREPARED = 32 };

enum phase {
    PHASE_AWAY,
    PHASE_CONNECTING,
    PHASE_SETTING,
    PHASE_PREPARING,
    PHASE_READY,
    PHASE_RUNNING
};

struct db_async {
    struct net_loop *loop;
    struct db_async_settings s;
    struct db_async_handlers h;
    void *ctx;
    PGconn *conn;
    struct net_watch *watch;
    struct net_timer *timer; /* back-off, connect deadline, statement deadline */
    struct arena *arena;     /* of one result */
    enum phase phase;
    char state[6]; /* of the last failure */
    int64_t retry_ms;
    bool told_ready, told_away;
    const struct db_statement *prepared[MAX_PREPARED]; /* on this connection */
    int prepared_count;
    const struct db_statement *next; /* waiting for its preparation */
    struct db_args args;
    char *copies[40];
};

static void on_socket(void *ctx, int ready);
static void on_timer(void *ctx);

static void drop_copies(struct db_async *d)
{
    for (int i = 0; i < 40; i++) {
        free(d->copies[i]);
        d->copies[i] = NULL;
    }
}

static void disconnect(struct db_async *d)
{
    net_watch_free(&d->watch);
    PQfinish(d->conn);
    d->conn = NULL;
    d->prepared_count = 0;
}

/* Lost, for whatever reason: tell, end what was under way, try again later. */
static void lost(struct db_async *d, const struct err *why)
{
    bool running = d->phase == PHASE_RUNNING || d->phase == PHASE_PREPARING;
    bool sent = d->phase == PHASE_RUNNING;
    struct err failed = *why;
    disconnect(d);
    d->phase = PHASE_AWAY;
    d->retry_ms = d->retry_ms ? d->retry_ms * 2 : RETRY_FIRST;
    if (d->retry_ms > RETRY_LAST) {
        d->retry_ms = RETRY_LAST;
    }
    net_timer_set(d->timer, d->retry_ms);
    drop_copies(d);
    if (!d->told_away) {
        d->told_away = true;
        d->told_ready = false;
        d->h.state(d->ctx, false, why);
    }
    if (running) {
        failed.code = sent ? ERR_DB_UNKNOWN : ERR_DB;
        d->h.done(d->ctx, NULL, &failed);
    }
}

static void lost_connection(struct db_async *d)
{
    struct err e;
    const char *text = d->conn ? PQerrorMessage(d->conn) : "";
    ERR(&e, ERR_DB, 0, "%.*s", (int)strcspn(text, "\n"), text[0] ? text : "connection closed");
    lost(d, &e);
}

static void want(struct db_async *d, int events)
{
    net_watch_want(d->watch, events);
}

static void flush(struct db_async *d)
{
    int r = PQflush(d->conn);
    if (r < 0) {
        lost_connection(d);
        return;
    }
    want(d, r > 0 ? NET_READ | NET_WRITE : NET_READ);
}

/*
 * The feed prepares its one statement when tables may still be empty and keeps the plan: nothing
 * may tempt the planner into reading a whole table, and compiling a plan costs more than running
 * it.
 */
static void connect_now(struct db_async *d)
{
    struct err e = {0};
    arena_reset(d->arena);
    const char *conninfo = d->s.conninfo(d->ctx, d->arena, &e);
    if (!conninfo) {
        lost(d, &e);
        return;
    }
    /* A server that we no longer wait for must not wait for its lock for ever, one session for each
     * of our attempts. */
    const char *options = arena_printf(
        d->arena,
        "-c TimeZone=UTC -c DateStyle=ISO -c bytea_output=hex -c "
        "plan_cache_mode=force_generic_plan "
        "-c jit=off -c enable_seqscan=off -c client_min_messages=warning -c statement_timeout=%lld",
        (long long)d->s.statement_ms + CONNECT_MS);
    const char *keys[] = {"dbname",          "application_name", "gssencmode",
                          "keepalives",      "keepalives_idle",  "tcp_user_timeout",
                          "client_encoding", "options",          NULL};
    const char *values[] = {conninfo, d->s.app, "disable", "1", "30",
                            "15000",  "UTF8",   options,   NULL};
    d->conn = options ? PQconnectStartParams(keys, values, 1) : NULL;
    if (!d->conn || PQstatus(d->conn) == CONNECTION_BAD || PQsocket(d->conn) < 0) {
        lost_connection(d);
        return;
    }
    PQsetnonblocking(d->conn, 1);
    d->watch = net_watch_new(d->loop, PQsocket(d->conn), on_socket, d);
    d->phase = PHASE_CONNECTING;
    net_timer_set(d->timer, CONNECT_MS);
    want(d, NET_WRITE);
}

static void now_ready(struct db_async *d)
{
    d->phase = PHASE_READY;
    d->retry_ms = 0;
    net_timer_set(d->timer, -1);
    if (!d->told_ready) {
        d->told_ready = true;
        d->told_away = false;
        d->h.state(d->ctx, true, NULL);
    }
}

static void set_session(struct db_async *d)
{
    char sql[96] = "SELECT 1";
    if (d->s.role) {
        snprintf(sql, sizeof sql, "SET ROLE %s", d->s.role);
    }
    d->phase = PHASE_SETTING;
    if (!PQsendQuery(d->conn, sql)) {
        lost_connection(d);
        return;
    }
    flush(d);
}

/* The socket may change while libpq tries several addresses: watch the present one. */
static void go_on_connecting(struct db_async *d)
{
    PostgresPollingStatusType st = PQconnectPoll(d->conn);
    if (st == PGRES_POLLING_FAILED) {
        lost_connection(d);
        return;
    }
    net_watch_free(&d->watch);
    d->watch = net_watch_new(d->loop, PQsocket(d->conn), on_socket, d);
    if (st == PGRES_POLLING_OK) {
        net_watch_first(d->watch);
        set_session(d);
        return;
    }
    want(d, st == PGRES_POLLING_READING ? NET_READ : NET_WRITE);
}

static void send_execute(struct db_async *d)
{
    const char *values[40];
    int lengths[40], formats[40];
    for (int i = 0; i < d->args.n; i++) {
        values[i] = d->args.a[i].p;
        lengths[i] = d->args.a[i].len;
        formats[i] = d->args.a[i].binary;
    }
    d->phase = PHASE_RUNNING;
    int sent = PQsendQueryPrepared(d->conn, d->next->name, d->args.n, values, lengths, formats, 0);
    drop_copies(d); /* libpq has its own copy now */
    if (!sent) {
        lost_connection(d);
        return;
    }
    flush(d);
}

static void report(struct db_async *d, PGresult *res)
{
    struct err e = {0};
    struct db_rows rows = {res, d->arena};
    ExecStatusType st = PQresultStatus(res);
    if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK) {
        d->h.done(d->ctx, &rows, NULL);
        return;
    }
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    snprintf(d->state, sizeof d->state, "%s", state ? state : "");
    bool quotes = state && (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0);
    ERR(&e, ERR_DB, 0, "database refused (%s): %s", state ? state : "?",
        quotes || !text ? "a value" : text);
    d->h.done(d->ctx, NULL, &e);
}

static void got_result(struct db_async *d, PGresult *res)
{
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;
    enum phase phase = d->phase;
    /* Read off the end of the statement before anything new is sent. */
    PGresult *more;
    while ((more = PQgetResult(d->conn))) {
        PQclear(more);
    }
    if (phase == PHASE_SETTING && ok) {
        now_ready(d);
    } else if (phase == PHASE_PREPARING && ok) {
        d->prepared[d->prepared_count++] = d->next;
        send_execute(d);
    } else if (phase == PHASE_SETTING || PQstatus(d->conn) != CONNECTION_OK) {
        lost_connection(d);
    } else {
        drop_copies(d);
        now_ready(d);
        report(d, res);
    }
    PQclear(res);
}

static void on_socket(void *ctx, int ready)
{
    struct db_async *d = ctx;
    if (d->phase == PHASE_CONNECTING) {
        go_on_connecting(d);
        return;
    }
    if (ready & NET_WRITE) {
        flush(d);
        if (!d->conn) {
            return;
        }
    }
    if (!PQconsumeInput(d->conn)) {
        lost_connection(d);
        return;
    }
    if (d->phase == PHASE_READY) { /* nothing asked: a notice, or the end of the server */
        if (PQstatus(d->conn) != CONNECTION_OK) {
            lost_connection(d);
        }
        return;
    }
    if (!PQisBusy(d->conn)) {
        arena_reset(d->arena);
        PGresult *res = PQgetResult(d->conn);
        if (!res) {
            lost_connection(d);
            return;
        }
        got_result(d, res);
    }
}

static void on_timer(void *ctx)
{
    struct db_async *d = ctx;
    if (d->phase == PHASE_AWAY) {
        connect_now(d);
        return;
    }
    struct err e;
    ERR(&e, ERR_DB, 0, "the database did not answer in time");
    lost(d, &e);
}

struct db_async *db_async_new(struct net_loop *l, const struct db_async_settings *s,
                              const struct db_async_handlers *h, void *ctx)
{
    struct db_async *d = calloc(1, sizeof *d);
    if (!d || !(d->arena = arena_new(0))) {
        free(d);
        return NULL;
    }
    d->loop = l;
    d->s = *s;
    d->h = *h;
    d->ctx = ctx;
    d->timer = net_timer_new(l, on_timer, d);
    net_timer_set(d->timer, 0);
    return d;
}

void db_async_free(struct db_async **d)
{
    if (*d) {
        disconnect(*d);
        drop_copies(*d);
        net_timer_free(&(*d)->timer);
        arena_free(&(*d)->arena);
        free(*d);
        *d = NULL;
    }
}

const char *db_async_state(const struct db_async *d)
{
    return d->state;
}

bool db_async_ready(const struct db_async *d)
{
    return d->phase == PHASE_READY;
}

/* Parameters must live while the statement is being prepared. */
static enum err_code keep_args(struct db_async *d, const struct db_args *args, struct err *e)
{
    d->args.n = args->n;
    for (int i = 0; i < args->n; i++) {
        d->args.a[i].len = args->a[i].len;
        d->args.a[i].binary = args->a[i].binary;
        d->args.a[i].p = NULL;
        if (!args->a[i].p) {
            continue;
        }
        d->copies[i] = malloc((size_t)args->a[i].len + 1);
        if (!d->copies[i]) {
            drop_copies(d);
            return ERR(e, ERR_NOMEM, 0, "no memory for a statement");
        }
        memcpy(d->copies[i], args->a[i].p, (size_t)args->a[i].len);
        d->copies[i][args->a[i].len] = '\0';
        d->args.a[i].p = d->copies[i];
    }
    return ERR_NONE;
}

static bool is_prepared(const struct db_async *d, const struct db_statement *st)
{
    for (int i = 0; i < d->prepared_count; i++) {
        if (d->prepared[i] == st) {
            return true;
        }
    }
    return false;
}

enum err_code db_async_run(struct db_async *d, const struct db_statement *st,
                           const struct db_args *args, struct err *e)
{
    if (d->phase != PHASE_READY) {
        return ERR(e, ERR_DB, 0, "the database is away");
    }
    enum err_code code = db_args_check(args, e);
    if (code != ERR_NONE) {
        return code;
    }
    bool prepared = is_prepared(d, st);
    if (!prepared && d->prepared_count == MAX_PREPARED) {
        return ERR(e, ERR_BUG, 0, "more than %d statements on one connection", MAX_PREPARED);
    }
    d->next = st;
    if (prepared) {
        net_timer_set(d->timer, d->s.statement_ms);
        d->args = *args;
        for (int i = 0; i < args->n; i++) {
            if (args->a[i].p == args->a[i].text) {
                d->args.a[i].p = d->args.a[i].text;
            }
        }
        send_execute(d);
        return ERR_NONE;
    }
    code = keep_args(d, args, e);
    if (code != ERR_NONE) {
        return code;
    }
    net_timer_set(d->timer, d->s.statement_ms);
    d->phase = PHASE_PREPARING;
    if (!PQsendPrepare(d->conn, st->name, st->sql, 0, NULL)) {
        lost_connection(d);
        return ERR_NONE; /* done() told it */
    }
    flush(d);
    return ERR_NONE;
}
