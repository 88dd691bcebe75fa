#include "core/store/db.h"

#include "core/store/db_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PREPARED = 256 };

struct db {
    PGconn *conn;
    const struct db_statement *prepared[MAX_PREPARED];
    size_t prepared_count;
    char state[6];
};

/* libpq's messages may have several lines and, for data errors, values: only the first line of
 * those about connections is passed on; for statements the SQLSTATE and the primary message. */
static void first_line(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%.*s", (int)strcspn(text ? text : "", "\n"), text ? text : "");
}

static enum err_code open_error(PGconn *conn, struct err *e)
{
    char line[200];
    first_line(line, sizeof line, PQerrorMessage(conn));
    return ERR(e, ERR_DB, 0, "could not reach the database: %s", line[0] ? line : "no answer");
}

static enum err_code prepare_session(struct db *db, const struct db_settings *s, struct err *e)
{
    enum err_code code =
        db_script(db,
                  "SET TIME ZONE 'UTC'; SET DateStyle TO ISO; SET statement_timeout = '60s'; "
                  "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'; "
                  "SET client_min_messages = warning; SET bytea_output = hex",
                  e);
    if (code == ERR_NONE && s->role) {
        char sql[96];
        snprintf(sql, sizeof sql, "SET ROLE %s", s->role);
        code = db_script(db, sql, e);
    }
    return code;
}

enum err_code db_open(const struct db_settings *s, struct db **out, struct err *e)
{
    const char *keys[] = {"dbname",           "application_name", "connect_timeout",
                          "gssencmode",       "keepalives",       "keepalives_idle",
                          "tcp_user_timeout", "client_encoding",  NULL};
    const char *values[] = {s->conninfo, s->app, "5", "disable", "1", "30", "15000", "UTF8", NULL};
    *out = NULL;
    struct db *db = calloc(1, sizeof *db);
    if (!db) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a database connection");
    }
    db->conn = PQconnectdbParams(keys, values, 1);
    enum err_code code =
        PQstatus(db->conn) == CONNECTION_OK ? prepare_session(db, s, e) : open_error(db->conn, e);
    if (code != ERR_NONE) {
        db_free(&db);
        return code;
    }
    *out = db;
    return ERR_NONE;
}

void db_free(struct db **db)
{
    if (*db) {
        PQfinish((*db)->conn);
        free(*db);
        *db = NULL;
    }
}

bool db_alive(const struct db *db)
{
    return db && PQstatus(db->conn) == CONNECTION_OK;
}

int db_socket(const struct db *db)
{
    return PQsocket(db->conn);
}

const char *db_state(const struct db *db)
{
    return db->state;
}

/* ---- parameters ---- */

static void arg(struct db_args *q, const char *p, size_t n, int binary)
{
    assert(q->n < (int)(sizeof q->a / sizeof q->a[0]));
    q->a[q->n].p = p;
    q->a[q->n].len = (int)n;
    q->a[q->n].binary = binary;
    q->n++;
}

void arg_null(struct db_args *q)
{
    arg(q, NULL, 0, 0);
}

/* Text goes in binary format too: it is the bytes themselves, and needs no terminating NUL. */
void arg_str(struct db_args *q, struct str s)
{
    arg(q, s.p ? s.p : "", s.n, 1);
}

void arg_z(struct db_args *q, const char *z)
{
    arg(q, z, z ? strlen(z) : 0, 1);
}

void arg_bytes(struct db_args *q, struct str s)
{
    arg(q, s.p, s.n, 1);
}

#define ARG_TEXT(q, ...)                                                                           \
    do {                                                                                           \
        int n_ = snprintf((q)->a[(q)->n].text, sizeof(q)->a[0].text, __VA_ARGS__);                 \
        arg((q), (q)->a[(q)->n].text, (size_t)n_, 0);                                              \
    } while (0)

void arg_i64(struct db_args *q, int64_t v)
{
    ARG_TEXT(q, "%" PRId64, v);
}

void arg_bool(struct db_args *q, bool v)
{
    ARG_TEXT(q, "%s", v ? "t" : "f");
}

void arg_time(struct db_args *q, usec at)
{
    char text[CLOCK_TEXT];
    ARG_TEXT(q, "%s", clock_text_utc(at, text));
}

void arg_day(struct db_args *q, int32_t day)
{
    char text[CLOCK_TEXT];
    ARG_TEXT(q, "%s", day_text(day, text));
}

/* ---- running ---- */

static void release_rows(void *rows)
{
    PQclear(((struct db_rows *)rows)->res);
}

static enum err_code failure(struct db *db, PGresult *res, struct err *e)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    snprintf(db->state, sizeof db->state, "%s", state ? state : "");
    if (!db->state[0] || PQstatus(db->conn) != CONNECTION_OK) {
        char line[200];
        first_line(line, sizeof line, PQerrorMessage(db->conn));
        return ERR(e, ERR_DB, 0, "lost the database: %s", line[0] ? line : "no answer");
    }
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    /* Class 22 (data exception) and 23 (constraint) quote values in their text. */
    bool quotes = strncmp(db->state, "22", 2) == 0 || strncmp(db->state, "23", 2) == 0;
    const char *name = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    bool ours = strncmp(db->state, "42", 2) == 0 && strcmp(db->state, "42501") != 0;
    return ERR(e, ours ? ERR_BUG : ERR_DB, 0, "database refused (%s): %s", db->state,
               quotes ? (name ? name : "a value") : (text ? text : ""));
}

static enum err_code finish(struct db *db, struct arena *a, PGresult *res, struct db_rows **rows,
                            struct err *e)
{
    ExecStatusType st = PQresultStatus(res);
    if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK) {
        enum err_code code = failure(db, res, e);
        PQclear(res);
        return code;
    }
    if (!rows) {
        PQclear(res);
        return ERR_NONE;
    }
    struct db_rows *r = arena_alloc(a, sizeof *r);
    if (!r || (r->res = res, !arena_defer(a, release_rows, r))) {
        PQclear(res);
        return ERR(e, ERR_NOMEM, 0, "no memory for a result");
    }
    r->arena = a;
    *rows = r;
    return ERR_NONE;
}

/* An array that is not whole must never look like an absent one. */
enum err_code db_args_check(const struct db_args *q, struct err *e)
{
    return q && q->broken ? ERR(e, ERR_NOMEM, 0, "no memory for the values of a statement")
                          : ERR_NONE;
}

struct raw_args {
    const char *values[40];
    int lengths[40];
    int formats[40];
};

static void raw(const struct db_args *q, struct raw_args *out)
{
    for (int i = 0; q && i < q->n; i++) {
        out->values[i] = q->a[i].p;
        out->lengths[i] = q->a[i].len;
        out->formats[i] = q->a[i].binary;
    }
}

static enum err_code prepare(struct db *db, const struct db_statement *st, struct err *e)
{
    for (size_t i = 0; i < db->prepared_count; i++) {
        if (db->prepared[i] == st) {
            return ERR_NONE;
        }
    }
    if (db->prepared_count == MAX_PREPARED) {
        return ERR(e, ERR_BUG, 0, "too many statements");
    }
    /* Two rooms may use one name: the address makes it unique. */
    char name[96];
    snprintf(name, sizeof name, "%s_%" PRIxPTR, st->name, (uintptr_t)st);
    PGresult *res = PQprepare(db->conn, name, st->sql, 0, NULL);
    enum err_code code = PQresultStatus(res) == PGRES_COMMAND_OK ? ERR_NONE : failure(db, res, e);
    PQclear(res);
    if (code == ERR_NONE) {
        db->prepared[db->prepared_count++] = st;
    } else {
        err_in(e, "statement %s", st->name);
    }
    return code;
}

enum err_code db_run(struct db *db, struct arena *a, const struct db_statement *st,
                     const struct db_args *args, struct db_rows **rows, struct err *e)
{
    enum err_code code = db_args_check(args, e);
    code = code == ERR_NONE ? prepare(db, st, e) : code;
    if (code != ERR_NONE) {
        return code;
    }
    char name[96];
    snprintf(name, sizeof name, "%s_%" PRIxPTR, st->name, (uintptr_t)st);
    struct raw_args r;
    raw(args, &r);
    PGresult *res =
        PQexecPrepared(db->conn, name, args ? args->n : 0, r.values, r.lengths, r.formats, 0);
    return finish(db, a, res, rows, e);
}

enum err_code db_text(struct db *db, struct arena *a, const char *sql, const struct db_args *args,
                      struct db_rows **rows, struct err *e)
{
    struct raw_args r;
    if (db_args_check(args, e) != ERR_NONE) {
        return ERR_NOMEM;
    }
    raw(args, &r);
    PGresult *res =
        PQexecParams(db->conn, sql, args ? args->n : 0, NULL, r.values, r.lengths, r.formats, 0);
    return finish(db, a, res, rows, e);
}

enum err_code db_script(struct db *db, const char *sql, struct err *e)
{
    return finish(db, NULL, PQexec(db->conn, sql), NULL, e);
}

enum err_code db_begin(struct db *db, struct err *e)
{
    return db_script(db, "BEGIN", e);
}

enum err_code db_commit(struct db *db, struct err *e)
{
    PGresult *res = PQexec(db->conn, "COMMIT");
    bool done = PQresultStatus(res) == PGRES_COMMAND_OK;
    /* COMMIT of a failed transaction answers ROLLBACK. */
    bool committed = done && strcmp(PQcmdStatus(res), "COMMIT") == 0;
    enum err_code code = ERR_NONE;
    if (!done) {
        code = failure(db, res, e);
        if (!db_alive(db)) {
            code = ERR(e, ERR_DB_UNKNOWN, 0, "lost the database while it committed");
        }
    } else if (!committed) {
        code = ERR(e, ERR_DB, 0, "the transaction had failed and was rolled back");
    }
    PQclear(res);
    return code;
}

void db_rollback(struct db *db)
{
    if (db_alive(db) && PQtransactionStatus(db->conn) != PQTRANS_IDLE) {
        PQclear(PQexec(db->conn, "ROLLBACK"));
    }
}

/* ---- the list of declared statements, made by the linker from DB_STATEMENT ---- */

extern const struct db_statement *const __start_db_statements[];
extern const struct db_statement *const __stop_db_statements[];

enum err_code db_prepare_all(struct db *db, struct err *e)
{
    for (const struct db_statement *const *s = __start_db_statements; s < __stop_db_statements;
         s++) {
        enum err_code code = prepare(db, *s, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}
