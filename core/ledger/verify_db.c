#include "core/ledger/verify.h"

#include "core/ledger/verify_internal.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_TEXT "1000"
enum { BATCH = 1000 };

DB_STATEMENT(ledger_page, "SELECT idx, body, day FROM dari.ledger WHERE site = $1 AND idx >= $2 "
                          "ORDER BY idx, day LIMIT " BATCH_TEXT);
DB_STATEMENT(ledger_checkpoints,
             "SELECT size, at, root, note FROM dari.checkpoint WHERE site = $1 AND size > $2 "
             "ORDER BY size LIMIT " BATCH_TEXT);
DB_STATEMENT(ledger_heads, "SELECT head, ledger FROM dari.stream WHERE site = $1");
DB_STATEMENT(ledger_delivery_count, "SELECT count(*) FROM dari.delivery WHERE site = $1");

/* ---- tiles: which entry exactly is not what was sealed ---- */

/* Every computed tile is compared with the stored one, as far as that goes. */
static enum err_code compare_tile(void *ctx, int level, int64_t tile, const struct tree_hash *hash,
                                  int n, struct err *e)
{
    struct verification *v = ctx;
    v->tiles->last.n = 0;
    enum err_code code = tiles_get(v->tiles, level, tile, e);
    if (code == ERR_REFUSED) {
        walk_problem(&v->walk, 0, "%s", e->msg);
        return ERR_NONE;
    }
    for (int i = 0; code == ERR_NONE && i < n && i < v->tiles->last.n; i++) {
        if (tree_same(&hash[i], &v->tiles->last.hash[i])) {
            continue;
        }
        if (level == 0) {
            walk_problem(&v->walk, tile * TILE_WIDTH + i + 1, "is not what was sealed");
        } else if (!v->tile_reported) { /* a wrong leaf makes those above it wrong too */
            v->tile_reported = true;
            walk_problem(&v->walk, 0, "tile %lld of level %d is not what the entries give",
                         (long long)tile, level);
        }
    }
    return code;
}

/* ---- checkpoints, merged in where they belong ---- */

static enum err_code next_checkpoints(struct verification *v, int64_t after, struct err *e)
{
    struct db_args q = {0};
    arena_reset(v->notes);
    arg_z(&q, v->walk.site);
    arg_i64(&q, after);
    v->at = 0;
    return db_run(v->db, v->notes, &ledger_checkpoints, &q, &v->checkpoints, e);
}

static enum err_code checkpoints_up_to(struct verification *v, int64_t size, struct err *e)
{
    while (v->at < db_count(v->checkpoints) && db_i64(v->checkpoints, v->at, 0) <= size) {
        int64_t its = db_i64(v->checkpoints, v->at, 0);
        walk_checkpoint(&v->walk, its, db_str(v->checkpoints, v->at, 3));
        v->at++;
        if (v->at == BATCH) {
            enum err_code code = next_checkpoints(v, its, e);
            if (code != ERR_NONE) {
                return code;
            }
        }
    }
    return ERR_NONE;
}

static enum err_code count_deliveries(struct verification *v, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, v->walk.site);
    enum err_code code = db_run(v->db, v->batch, &ledger_delivery_count, &q, &rows, e);
    if (code == ERR_NONE && db_i64(rows, 0, 0) > v->walk.report->deliveries) {
        walk_problem(&v->walk, 0, "there are %lld deliveries, the ledger names %lld",
                     (long long)db_i64(rows, 0, 0), (long long)v->walk.report->deliveries);
    }
    return code;
}

/* ---- the whole ---- */

static enum err_code check_page(struct verification *v, const struct db_rows *page, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(page) && !v->walk.stopped; i++) {
        code = walk_entry(&v->walk, db_i64(page, i, 0), db_str(page, i, 1), e);
        code = code == ERR_NONE ? checkpoints_up_to(v, v->walk.report->entries, e) : code;
    }
    code = code == ERR_NONE ? verify_messages(v, page, e) : code;
    code = code == ERR_NONE ? verify_rows(v, page, e) : code;
    for (int i = 0; code == ERR_NONE && i < db_count(page); i++) {
        later_entry(&v->later, db_str(page, i, 1));
    }
    code = code == ERR_NONE ? verify_events(v, page, e) : code;
    return code == ERR_NONE ? verify_deliveries(v, page, e) : code;
}

static enum err_code check_heads(struct verification *v, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arena_reset(v->batch);
    arg_z(&q, v->walk.site);
    enum err_code code = db_run(v->db, v->batch, &ledger_heads, &q, &rows, e);
    if (code != ERR_NONE || v->walk.stopped) {
        return code;
    }
    int64_t head = db_count(rows) ? db_i64(rows, 0, 0) : 0;
    int64_t ledger = db_count(rows) ? db_i64(rows, 0, 1) : 0;
    int64_t entries = v->walk.report->entries;
    if (ledger > entries) {
        walk_problem(&v->walk, entries + 1, "is missing: the site has written %lld entries",
                     (long long)ledger);
    } else if (ledger < entries) {
        walk_problem(&v->walk, ledger + 1, "was not written by the site: it counts %lld entries",
                     (long long)ledger);
    }
    if (head != v->walk.next_seq - 1) {
        walk_problem(&v->walk, 0, "the stream has %lld events, the ledger names %lld",
                     (long long)head, (long long)(v->walk.next_seq - 1));
    }
    return count_deliveries(v, e);
}

static enum err_code run(struct verification *v, const struct tree_sink *sink, struct err *e)
{
    enum err_code code = next_checkpoints(v, 0, e);
    bool more = true;
    while (code == ERR_NONE && more && !v->walk.stopped) {
        struct db_args q = {0};
        struct db_rows *page;
        arena_reset(v->batch);
        arg_z(&q, v->walk.site);
        arg_i64(&q, v->walk.report->entries + 1);
        code = db_run(v->db, v->batch, &ledger_page, &q, &page, e);
        more = code == ERR_NONE && db_count(page) == BATCH;
        code = code == ERR_NONE ? check_page(v, page, e) : code;
    }
    if (code == ERR_NONE && !v->walk.stopped) {
        code = tree_flush(v->walk.tree, sink, e);
        code = code == ERR_NONE ? checkpoints_up_to(v, INT64_MAX, e) : code;
    }
    code = code == ERR_NONE ? check_heads(v, e) : code;
    if (!v->walk.stopped) { /* else a later entry may be missing */
        later_end(&v->later, &v->walk);
    }
    walk_end(&v->walk);
    return code;
}

/*
 * One moment of the database: roles go on writing meanwhile. All tables are held from the
 * beginning, in the order in which the steward takes them to add partitions: one after the other as
 * they are read, we and the steward could wait for each other.
 */
static enum err_code begin(struct db *db, struct err *e)
{
    enum err_code code = db_begin(db, e);
    if (code == ERR_NONE) {
        code = db_script(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", e);
    }
    if (code == ERR_NONE) {
        code = db_script(db,
                         "LOCK TABLE dari.message, dari.event, dari.ledger, dari.delivery "
                         "IN ACCESS SHARE MODE",
                         e);
    }
    return code;
}

enum err_code ledger_verify_db(struct db *db, const struct ledger_check *c,
                               struct ledger_report *out, struct err *e)
{
    struct verification v = {
        .db = db, .batch = arena_new(0), .group = arena_new(0), .notes = arena_new(0)};
    struct tree *tree = calloc(1, sizeof *tree);
    const struct tree_sink sink = {compare_tile, &v};
    v.tiles = calloc(1, sizeof *v.tiles);
    memset(out, 0, sizeof *out);
    enum err_code code = ERR_NONE;
    if (!v.batch || !v.group || !v.notes || !tree || !v.tiles) {
        code = ERR(e, ERR_NOMEM, 0, "no memory to verify the ledger");
        goto out;
    }
    *v.tiles = (struct tiles){.db = db, .arena = v.batch, .site = c->site};
    code = begin(db, e);
    if (code == ERR_NONE) {
        walk_begin(&v.walk, c, c->site, out, tree, &sink);
        code = run(&v, &sink, e);
    }
    db_rollback(db);
out:
    later_free(&v.later);
    free(v.tiles);
    free(tree);
    arena_free(&v.notes);
    arena_free(&v.group);
    arena_free(&v.batch);
    return code;
}
