/*
 * One PostgreSQL connection that never makes its loop wait: connects by itself, runs one statement
 * at a time, reconnects with back-off. For intake, which has senders waiting on the same loop.
 *
 * States: away (connecting, or waiting to try again) and ready. on_state tells both; a statement
 * under way when the connection is lost ends with ERR_DB_UNKNOWN: it may or may not have committed,
 * and the caller sends it again with the same keys.
 */
#ifndef DARI_STORE_ASYNC_H
#define DARI_STORE_ASYNC_H

#include "core/net/net.h"
#include "core/store/db.h"

struct db_async;

struct db_async_handlers {
    /* Ready, or away with the reason. Not called twice in a row with the same state. */
    void (*state)(void *ctx, bool ready, const struct err *why);
    /* The statement's end. rows is NULL on failure and lives until the call returns. */
    void (*done)(void *ctx, struct db_rows *rows, const struct err *failed);
};

/* `conninfo` is asked for at each attempt (it may stand in a file that appears later); NULL: not
 * yet. */
struct db_async_settings {
    const char *(*conninfo)(void *ctx, struct arena *a, struct err *e);
    const char *role, *app;
    int64_t statement_ms; /* a server that does not answer for so long counts as lost */
};

struct db_async *db_async_new(struct net_loop *l, const struct db_async_settings *s,
                              const struct db_async_handlers *h, void *ctx);
void db_async_free(struct db_async **d);
/* SQLSTATE of the last failure that the server told, "" when there was none. */
const char *db_async_state(const struct db_async *d);
bool db_async_ready(const struct db_async *d); /* connected, nothing under way */

/*
 * A statement outside any transaction block: it is its own transaction. `args` need not live on.
 * Only when ready; done() follows, but never from within this call when it returns an error.
 */
enum err_code db_async_run(struct db_async *d, const struct db_statement *st,
                           const struct db_args *args, struct err *e);

#endif
