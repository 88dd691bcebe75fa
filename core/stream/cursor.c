#include "core/stream/cursor.h"

DB_STATEMENT(
    cursor_look,
    "SELECT c.state, c.reason, c.contract, c.acked, s.head,"
    " coalesce((SELECT e.seq FROM dari.event e WHERE e.site = $1 ORDER BY e.seq LIMIT 1),"
    "          s.head + 1),"
    " CASE WHEN $3::timestamptz IS NOT NULL THEN"
    "  coalesce((SELECT e.seq FROM dari.event e WHERE e.site = $1 AND e.recorded_at >= $3"
    "            AND e.day >= ($3 AT TIME ZONE 'UTC')::date ORDER BY e.seq LIMIT 1), s.head + 1)"
    " END,"
    " (SELECT k.note FROM dari.checkpoint k WHERE k.site = $1 ORDER BY k.size DESC LIMIT 1)"
    " FROM dari.consumer c JOIN dari.stream s ON s.site = c.site"
    " WHERE c.site = $1 AND c.name = $2");

DB_STATEMENT(cursor_start,
             "WITH c AS (UPDATE dari.consumer SET epoch = epoch + 1"
             " WHERE site = $1 AND name = $2 AND state = 'active' AND contract = $3"
             " RETURNING epoch)"
             " SELECT c.epoch, dari.ledger_append($1, $4, 'session site=' || $1 || ' consumer=' ||"
             " $2 || ' epoch=' || c.epoch || ' start=' || $5::bigint || ' contract=' || $6::text)"
             " FROM c");

/* A range without an event for this consumer moves the cursor only: nothing was delivered. */
DB_STATEMENT(
    cursor_confirm,
    "WITH c AS (UPDATE dari.consumer SET acked = greatest(acked, $5::bigint), acked_at = $6"
    "  WHERE site = $1 AND name = $2 AND epoch = $3 AND state = 'active' RETURNING epoch),"
    " n AS (SELECT c.epoch, CASE WHEN $7::text[] IS NULL THEN $5::bigint - $4::bigint + 1"
    "   ELSE (SELECT count(*) FROM dari.event e WHERE e.site = $1 AND e.seq >= $4 AND e.seq <= $5"
    "         AND e.type = ANY ($7)) END AS n FROM c),"
    " l AS (SELECT n.n, n.epoch, dari.ledger_append($1, $6, 'delivered site=' || $1 ||"
    "   ' consumer=' || $2 || ' epoch=' || n.epoch || ' first=' || $4 || ' last=' || $5 ||"
    "   ' events=' || n.n || ' contract=' || $8::text || ' claimed=' || $9::text) AS idx"
    "  FROM n WHERE n.n > 0),"
    " d AS (INSERT INTO dari.delivery (site, day, consumer, last_seq, first_seq, events, contract,"
    "   epoch, acked_at, ledger)"
    "  SELECT $1, ($6 AT TIME ZONE 'UTC')::date, $2, $5, $4, l.n, $8, l.epoch, $6, l.idx FROM l)"
    " SELECT n.n FROM n");

DB_STATEMENT(cursor_find, "SELECT 1 FROM dari.delivery WHERE site = $1 AND consumer = $2"
                          " AND epoch = $3 AND last_seq = $4");

DB_STATEMENT(cursor_stop,
             "WITH c AS (UPDATE dari.consumer SET state = 'paused',"
             "  reason = 'event ' || $4::bigint || ' refused: ' || $5::text"
             " WHERE site = $1 AND name = $2 AND epoch = $3 AND state = 'active' RETURNING epoch)"
             " SELECT dari.ledger_append($1, $6, 'paused site=' || $1 || ' consumer=' || $2 ||"
             " ' epoch=' || c.epoch || ' seq=' || $4 || ' code=' || $5) FROM c");

DB_STATEMENT(cursor_leave,
             "SELECT dari.ledger_append($1, $2, 'unconfirmed site=' || $1 || ' consumer=' ||"
             " $3::text || ' epoch=' || $4::bigint || ' first=' || $5::bigint || ' last=' ||"
             " $6::bigint || ' contract=' || $7::text)");

DB_STATEMENT(cursor_newest, "SELECT head FROM dari.stream WHERE site = $1");

enum err_code cursor_view(struct db *db, struct arena *a, const char *site, const char *name,
                          usec time, struct cursor_view *out, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    *out = (struct cursor_view){.contract = "", .checkpoint = ""};
    arg_z(&q, site);
    arg_z(&q, name);
    if (time) {
        arg_time(&q, time);
    } else {
        arg_null(&q);
    }
    enum err_code code = db_run(db, a, &cursor_look, &q, &r, e);
    if (code == ERR_NONE && db_count(r) == 1) {
        *out = (struct cursor_view){
            .state = db_str(r, 0, 0),
            .reason = db_str(r, 0, 1),
            .contract = db_z(r, 0, 2),
            .acked = db_i64(r, 0, 3),
            .head = db_i64(r, 0, 4),
            .first = db_i64(r, 0, 5),
            .at_time = db_i64(r, 0, 6),
            .checkpoint = db_null(r, 0, 7) ? "" : db_z(r, 0, 7),
        };
    }
    return code;
}

enum err_code cursor_begin(struct db *db, struct arena *a, const char *site, const char *name,
                           const char *contract, const char *label, int64_t start, usec now,
                           int64_t *epoch, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, site);
    arg_z(&q, name);
    arg_z(&q, contract);
    arg_time(&q, now);
    arg_i64(&q, start);
    arg_z(&q, label);
    enum err_code code = db_run(db, a, &cursor_start, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (db_count(r) == 0) {
        return ERR(e, ERR_REFUSED, 0, "the consumer was changed just now");
    }
    *epoch = db_i64(r, 0, 0);
    return ERR_NONE;
}

static void arg_types(struct db_args *q, struct arena *a, const char *const *types)
{
    struct db_array *x = types ? db_array_new(a) : NULL;
    for (; x && *types; types++) {
        db_array_z(x, *types);
    }
    if (x) {
        arg_array(q, x);
    } else {
        arg_null(q);
    }
}

enum err_code cursor_ack(struct db *db, struct arena *a, const struct cursor_ack *k, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    const char *claimed =
        k->claimed >= k->first
            ? arena_printf(a, "%lld-%lld", (long long)k->first,
                           (long long)(k->claimed < k->last ? k->claimed : k->last))
            : "-";
    arg_z(&q, k->site);
    arg_z(&q, k->name);
    arg_i64(&q, k->epoch);
    arg_i64(&q, k->first);
    arg_i64(&q, k->last);
    arg_time(&q, k->now);
    arg_types(&q, a, k->types);
    arg_z(&q, k->label);
    arg_z(&q, claimed ? claimed : "-");
    enum err_code code = db_run(db, a, &cursor_confirm, &q, &r, e);
    if (code == ERR_NONE && db_count(r) == 0) {
        code = ERR(e, ERR_REFUSED, 0, "a newer session or a revocation came between");
    }
    return code;
}

enum err_code cursor_acked(struct db *db, struct arena *a, const char *site, const char *name,
                           int64_t epoch, int64_t last, bool *yes, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, site);
    arg_z(&q, name);
    arg_i64(&q, epoch);
    arg_i64(&q, last);
    enum err_code code = db_run(db, a, &cursor_find, &q, &r, e);
    *yes = code == ERR_NONE && db_count(r) > 0;
    return code;
}

enum err_code cursor_pause(struct db *db, struct arena *a, const char *site, const char *name,
                           int64_t epoch, int64_t seq, struct str word, usec now, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, site);
    arg_z(&q, name);
    arg_i64(&q, epoch);
    arg_i64(&q, seq);
    arg_str(&q, arena_copy(a, word));
    arg_time(&q, now);
    enum err_code code = db_run(db, a, &cursor_stop, &q, &r, e);
    if (code == ERR_NONE && db_count(r) == 0) {
        code = ERR(e, ERR_REFUSED, 0, "a newer session or a revocation came between");
    }
    return code;
}

enum err_code cursor_unconfirmed(struct db *db, struct arena *a, const char *site, const char *name,
                                 const char *label, int64_t epoch, int64_t first, int64_t last,
                                 usec now, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, site);
    arg_time(&q, now);
    arg_z(&q, name);
    arg_i64(&q, epoch);
    arg_i64(&q, first);
    arg_i64(&q, last);
    arg_z(&q, label);
    return db_run(db, a, &cursor_leave, &q, NULL, e);
}

enum err_code cursor_head(struct db *db, struct arena *a, const char *site, int64_t *head,
                          struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, site);
    enum err_code code = db_run(db, a, &cursor_newest, &q, &r, e);
    if (code == ERR_NONE && db_count(r) == 1) {
        *head = db_i64(r, 0, 0);
    }
    return code;
}
