#include "core/stream/consumers.h"

#include "core/stream/wake.h"

#include <stdio.h>
#include <string.h>

DB_STATEMENT(consumer_add,
             "WITH c AS (INSERT INTO dari.consumer (site, name, internal, contract, created_at)"
             "  VALUES ($1, $2, $5, $4, $6) ON CONFLICT DO NOTHING RETURNING name),"
             " k AS (INSERT INTO dari.consumer_key (site, public_key, name, from_at)"
             "  SELECT $1, $3, c.name, $7 FROM c)"
             " SELECT dari.ledger_append($1, $6, 'consumer-added site=' || $1 || ' consumer=' ||"
             "  c.name || ' contract=' || $4 || ' key=' || $3 || ' by=' || $8::text) FROM c");

DB_STATEMENT(consumer_revoke,
             "WITH c AS (UPDATE dari.consumer SET state = 'revoked' WHERE site = $1 AND name = $2"
             "  RETURNING name),"
             " k AS (UPDATE dari.consumer_key SET until_at = $4 WHERE site = $1 AND name = $2"
             "  AND (until_at IS NULL OR until_at > $4))"
             " SELECT dari.ledger_append($1, $3, 'consumer-revoked site=' || $1 || ' consumer=' ||"
             "  c.name || ' by=' || $5::text) FROM c");

DB_STATEMENT(
    consumer_rotate,
    "WITH c AS (SELECT name FROM dari.consumer WHERE site = $1 AND name = $2"
    "  AND state <> 'revoked'),"
    " k AS (INSERT INTO dari.consumer_key AS k (site, public_key, name, from_at)"
    "  SELECT $1, $3, c.name, $5 FROM c"
    "  ON CONFLICT (site, public_key) DO UPDATE SET from_at = $5, until_at = NULL"
    "  WHERE k.name = $2 RETURNING k.name),"
    " o AS (UPDATE dari.consumer_key SET until_at = $6 WHERE site = $1 AND name = $2"
    "  AND public_key <> $3 AND (until_at IS NULL OR until_at > $6) AND EXISTS (SELECT FROM k))"
    " SELECT dari.ledger_append($1, $4, 'consumer-rotated site=' || $1 || ' consumer=' ||"
    "  k.name || ' key=' || $3 || ' by=' || $7::text) FROM k");

DB_STATEMENT(consumer_resume,
             "WITH c AS (UPDATE dari.consumer SET state = 'active', reason = NULL"
             "  WHERE site = $1 AND name = $2 AND state = 'paused' RETURNING name)"
             " SELECT dari.ledger_append($1, $3, 'consumer-resumed site=' || $1 || ' consumer=' ||"
             "  c.name || ' by=' || $4::text) FROM c");

DB_STATEMENT(consumer_state, "SELECT state FROM dari.consumer WHERE site = $1 AND name = $2");

DB_STATEMENT(consumer_rows,
             "SELECT c.name, c.contract, c.state, c.reason, c.internal, c.acked,"
             " s.head - c.acked, c.acked_at,"
             " (SELECT count(*) FROM dari.consumer_key k WHERE k.site = c.site AND k.name = c.name"
             "  AND k.from_at <= $2 AND (k.until_at IS NULL OR k.until_at > $2))"
             " FROM dari.consumer c JOIN dari.stream s ON s.site = c.site WHERE c.site = $1"
             " ORDER BY c.internal DESC, c.name");

DB_STATEMENT(consumer_keys, "SELECT k.public_key, k.name FROM dari.consumer_key k"
                            " JOIN dari.consumer c ON c.site = k.site AND c.name = k.name"
                            " WHERE k.site = $1 AND c.state <> 'revoked' AND k.from_at <= $2"
                            " AND (k.until_at IS NULL OR k.until_at > $2) ORDER BY k.public_key");

DB_STATEMENT(consumer_has_key, "SELECT 1 FROM dari.consumer_key WHERE site = $1 AND name = $2"
                               " AND public_key = $3 AND until_at IS NULL");

/* Runs a change that returns one row when it was done. */
static enum err_code change(const struct consumers *c, const struct db_statement *st,
                            const struct db_args *q, bool *done, struct err *e)
{
    struct db_rows *r;
    enum err_code code = db_run(c->db, c->arena, st, q, &r, e);
    if (code != ERR_NONE && strcmp(db_state(c->db), "23505") == 0) {
        return ERR(e, ERR_EXISTS, 0, "this key belongs to a consumer already: make a new one");
    }
    *done = code == ERR_NONE && db_count(r) > 0;
    return code;
}

enum err_code consumers_add(const struct consumers *c, const char *name, const char *key,
                            const char *contract, bool internal, struct err *e)
{
    struct db_args q = {0};
    bool done = false;
    arg_z(&q, c->site);
    arg_z(&q, name);
    arg_z(&q, key);
    arg_z(&q, contract);
    arg_bool(&q, internal);
    arg_time(&q, clock_now());
    arg_time(&q, clock_real());
    arg_z(&q, c->by);
    enum err_code code = change(c, &consumer_add, &q, &done, e);
    return code != ERR_NONE || done
               ? code
               : ERR(e, ERR_EXISTS, 0, "there is a consumer %s already: see dari consumer list",
                     name);
}

static enum err_code unknown(const char *name, struct err *e)
{
    return ERR(e, ERR_NOTFOUND, 0,
               "there is no consumer %s, or it was revoked: see dari consumer list", name);
}

enum err_code consumers_revoke(const struct consumers *c, const char *name, struct err *e)
{
    struct db_args q = {0};
    bool done = false;
    arg_z(&q, c->site);
    arg_z(&q, name);
    arg_time(&q, clock_now());
    arg_time(&q, clock_real());
    arg_z(&q, c->by);
    enum err_code code = change(c, &consumer_revoke, &q, &done, e);
    return code != ERR_NONE || done ? code : unknown(name, e);
}

enum err_code consumers_rotate(const struct consumers *c, const char *name, const char *key,
                               usec overlap, struct err *e)
{
    struct db_args q = {0};
    bool done = false;
    arg_z(&q, c->site);
    arg_z(&q, name);
    arg_z(&q, key);
    arg_time(&q, clock_now());
    arg_time(&q, clock_real());
    arg_time(&q, clock_real() + overlap);
    arg_z(&q, c->by);
    enum err_code code = change(c, &consumer_rotate, &q, &done, e);
    if (code != ERR_NONE || done) {
        return code;
    }
    struct db_rows *r;
    q.n = 2;
    code = db_run(c->db, c->arena, &consumer_state, &q, &r, e);
    bool active = code == ERR_NONE && db_count(r) > 0 && !str_is(db_str(r, 0, 0), "revoked");
    return code != ERR_NONE ? code
           : active ? ERR(e, ERR_EXISTS, 0, "this key belongs to another consumer: make a new one")
                    : unknown(name, e);
}

enum err_code consumers_resume(const struct consumers *c, const char *name, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    bool done = false;
    arg_z(&q, c->site);
    arg_z(&q, name);
    arg_time(&q, clock_now());
    arg_z(&q, c->by);
    enum err_code code = change(c, &consumer_resume, &q, &done, e);
    if (code != ERR_NONE || done) {
        return code;
    }
    q.n = 2;
    code = db_run(c->db, c->arena, &consumer_state, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    return db_count(r) == 0
               ? unknown(name, e)
               : ERR(e, ERR_REFUSED, 0, "consumer %s is not paused, it is %s", name, db_z(r, 0, 0));
}

enum err_code consumers_list(const struct consumers *c, struct consumer_row **rows, size_t *count,
                             struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    *rows = NULL;
    *count = 0;
    arg_z(&q, c->site);
    arg_time(&q, clock_real());
    enum err_code code = db_run(c->db, c->arena, &consumer_rows, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    size_t n = (size_t)db_count(r);
    *rows = arena_array(c->arena, n + 1, sizeof **rows);
    if (!*rows) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the list of consumers");
    }
    for (int i = 0; i < (int)n; i++) {
        (*rows)[i] = (struct consumer_row){
            .name = db_z(r, i, 0),
            .contract = db_z(r, i, 1),
            .state = db_z(r, i, 2),
            .reason = db_z(r, i, 3),
            .internal = db_bool(r, i, 4),
            .acked = db_i64(r, i, 5),
            .behind = db_i64(r, i, 6),
            .acked_at = db_null(r, i, 7) ? 0 : db_time(r, i, 7),
            .keys = db_i64(r, i, 8),
        };
    }
    *count = n;
    return ERR_NONE;
}

static enum err_code own(const struct consumers *c, const char *name, const char *key,
                         struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, c->site);
    arg_z(&q, name);
    arg_z(&q, key);
    q.n = 2;
    enum err_code code = db_run(c->db, c->arena, &consumer_state, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (db_count(r) == 0) {
        return consumers_add(c, name, key, "internal", true, e);
    }
    if (strcmp(db_z(r, 0, 0), "revoked") == 0) {
        return ERR_NONE; /* somebody decided that */
    }
    q.n = 3;
    code = db_run(c->db, c->arena, &consumer_has_key, &q, &r, e);
    return code != ERR_NONE || db_count(r) > 0 ? code : consumers_rotate(c, name, key, 0, e);
}

enum err_code consumers_own(const struct consumers *c, const char *keys_folder, struct err *e)
{
    static const char *const names[] = {"segment", "messaging", "tail"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char file[32], key[CURVE_TEXT];
        snprintf(file, sizeof file, "%s.pub", names[i]);
        enum err_code code = curve_read(keys_folder, file, key, e);
        if (code == ERR_NONE) {
            code = own(c, names[i], key, e);
        } else if (code == ERR_NOTFOUND) {
            code = ERR_NONE; /* this one is not used here */
        }
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

enum err_code consumers_allowed(const struct consumers *c, struct allow_list *out, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    *out = (struct allow_list){0};
    arg_z(&q, c->site);
    arg_time(&q, clock_real());
    enum err_code code = db_run(c->db, c->arena, &consumer_keys, &q, &r, e);
    for (int i = 0; code == ERR_NONE && i < db_count(r); i++) {
        code = allow_add(out, db_z(r, i, 0), db_z(r, i, 1), e);
    }
    if (code != ERR_NONE) {
        allow_release(out);
    }
    return code;
}

void consumers_wake(const char *run_folder)
{
    wake_send(run_folder, WAKE_KEYS);
}
