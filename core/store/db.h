/*
 * PostgreSQL, synchronously: for command line, relay, segment, messaging and steward, which may
 * wait for the database. core/store is the only owner of libpq. (Intake must not wait:
 * core/store/async.h.)
 *
 * Statements are declared with DB_STATEMENT next to the code that runs them, prepared on first use,
 * and only ever take $n parameters. All declared statements are known to db_prepare_all(), so that
 * a test finds a typo. Parameters are sent as text except bytea; results come back as text except
 * bytea, which is given as bytes.
 */
#ifndef DARI_STORE_DB_H
#define DARI_STORE_DB_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#include <stdint.h>

struct db;

struct db_statement {
    const char *name, *sql;
};
#define DB_STATEMENT(id, text)                                                                     \
    static const struct db_statement id = {#id, text};                                             \
    __attribute__((                                                                                \
        used, section("db_statements"))) static const struct db_statement *const id##_entry = &id

struct db_settings {
    const char *conninfo; /* libpq connection string or URI */
    const char *role;     /* SET ROLE after connecting, or NULL */
    const char *app;      /* application_name */
};

/*
 * Connects (5 s) and sets UTC and timeouts. ERR_DB says what to do: is the server
 * running, is the migration applied. Passwords never appear in messages.
 */
enum err_code db_open(const struct db_settings *s, struct db **out, struct err *e);
void db_free(struct db **db);
bool db_alive(const struct db *db); /* false after a lost connection: free and open again */
int db_socket(const struct db *db);

/* ---- parameters: filled in order, at most 40 ---- */
struct db_args {
    int n;
    bool broken; /* an array ran out of memory or grew past 512 MiB: running it fails, ERR_NOMEM */
    struct {
        const char *p;
        int len;
        int binary;
        char text[40];
    } a[40];
};
void arg_str(struct db_args *q, struct str s);   /* s must live until the call */
void arg_z(struct db_args *q, const char *z);    /* NULL → SQL NULL */
void arg_bytes(struct db_args *q, struct str s); /* p == NULL → SQL NULL */
void arg_i64(struct db_args *q, int64_t v);
void arg_bool(struct db_args *q, bool v);
void arg_time(struct db_args *q, usec at);    /* timestamptz */
void arg_day(struct db_args *q, int32_t day); /* date */
void arg_null(struct db_args *q);

/* ---- running ---- */
struct db_rows; /* lives in the arena given to db_run */

/* rows may be NULL. ERR_DB (retry), ERR_DB_UNKNOWN (a COMMIT without answer), ERR_BUG (bad SQL). */
enum err_code db_run(struct db *db, struct arena *a, const struct db_statement *st,
                     const struct db_args *args, struct db_rows **rows, struct err *e);
/* A text that is not declared: generated SQL (segments) or a migration. Never from outside. */
enum err_code db_text(struct db *db, struct arena *a, const char *sql, const struct db_args *args,
                      struct db_rows **rows, struct err *e);
/* Several statements without parameters or results. */
enum err_code db_script(struct db *db, const char *sql, struct err *e);

enum err_code db_begin(struct db *db, struct err *e);
enum err_code db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db); /* no error: a lost connection rolls back too */

/* SQLSTATE of the last failure, "" when it had none ("40001", "23505", …). */
const char *db_state(const struct db *db);

/* ---- results ---- */
int db_count(const struct db_rows *r);
bool db_null(const struct db_rows *r, int row, int col);
struct str db_str(const struct db_rows *r, int row, int col); /* "" for NULL */
const char *db_z(const struct db_rows *r, int row, int col);  /* NUL-terminated */
int64_t db_i64(const struct db_rows *r, int row, int col);    /* 0 for NULL */
bool db_bool(const struct db_rows *r, int row, int col);
usec db_time(const struct db_rows *r, int row, int col);
int32_t db_day(const struct db_rows *r, int row, int col);

/*
 * ---- array parameters: text[], bytea[], int[], bigint[], boolean[] or timestamptz[], as the
 * elements are; the statement must expect exactly that type (bigint[], not int[]) ----
 */
struct db_array;
struct db_array *db_array_new(struct arena *a);
void db_array_str(struct db_array *x, struct str s);
void db_array_z(struct db_array *x, const char *z); /* NULL → NULL element */
void db_array_bytes(struct db_array *x, struct str s);
void db_array_i32(struct db_array *x, int32_t v);
void db_array_i64(struct db_array *x, int64_t v);
void db_array_no_i64(struct db_array *x); /* a NULL element */
void db_array_bool(struct db_array *x, bool v);
void db_array_time(struct db_array *x, usec at);
void arg_array(struct db_args *q, struct db_array *x);
/* Two dimensions: rows of `width` elements, of which the array has a whole number. */
void arg_table(struct db_args *q, struct db_array *x, uint32_t width);

enum err_code db_prepare_all(struct db *db, struct err *e);

#endif
