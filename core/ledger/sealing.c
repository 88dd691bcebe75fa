#include "core/ledger/sealing.h"

#include "core/base/log.h"
#include "core/ledger/checkpoint.h"
#include "core/ledger/tiles.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 4096 };
#define BATCH_TEXT "4096"

DB_STATEMENT(ledger_lock, "SELECT pg_advisory_xact_lock(1684107882, hashtext($1))");
DB_STATEMENT(ledger_next, "SELECT idx, body FROM dari.ledger WHERE site = $1 AND idx > $2 "
                          "ORDER BY idx LIMIT " BATCH_TEXT);
DB_STATEMENT(ledger_last_checkpoint, "SELECT size, at, root FROM dari.checkpoint WHERE site = $1 "
                                     "ORDER BY size DESC LIMIT 1");
DB_STATEMENT(ledger_put_checkpoint, "INSERT INTO dari.checkpoint (site, size, at, root, note) "
                                    "VALUES ($1, $2, $3, $4, $5)");

struct tick {
    struct db *db;
    struct arena *arena;
    const struct sealing *s;
    usec now;
    struct tree *tree;
    struct tiles *tiles;
    struct sealed *out;
};

static enum err_code add_new(struct tick *t, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    int64_t size = tree_size(t->tree);
    const struct tree_sink sink = tiles_sink(t->tiles);
    arg_z(&q, t->s->site);
    arg_i64(&q, size);
    enum err_code code = db_run(t->db, t->arena, &ledger_next, &q, &rows, e);
    int count = code == ERR_NONE ? db_count(rows) : 0;
    for (int i = 0; code == ERR_NONE && i < count; i++) {
        int64_t idx = db_i64(rows, i, 0);
        if (idx != size + 1) {
            log_error("ledger.gap", "site=%s expected=%lld found=%lld", t->s->site,
                      (long long)(size + 1), (long long)idx);
            return ERR(e, ERR_REFUSED, 0, "ledger entry %lld is missing; the next one is %lld",
                       (long long)(size + 1), (long long)idx);
        }
        const struct tree_hash leaf = tree_leaf(db_str(rows, i, 1));
        code = tree_add(t->tree, &leaf, &sink, e);
        size++;
    }
    code = code == ERR_NONE ? tree_flush(t->tree, &sink, e) : code;
    t->out->size = size;
    t->out->added = count;
    t->out->more = count == BATCH;
    return code;
}

/* Never sign a tree that is not a continuation of what was signed before. */
static enum err_code check_continues(struct tick *t, const struct checkpoint *last,
                                     const struct checkpoint *next, struct err *e)
{
    const struct tree_source source = tiles_source(t->tiles);
    struct tree_proof proof;
    enum err_code code = tree_consistency(&source, last->size, next->size, &proof, e);
    if (code == ERR_NONE &&
        !tree_consistent(last->size, &last->root, next->size, &next->root, &proof)) {
        code = ERR(e, ERR_REFUSED, 0,
                   "the stored tree contradicts the checkpoint of %lld entries: it was changed",
                   (long long)last->size);
    }
    if (code == ERR_REFUSED) {
        log_error("ledger.fork", "site=%s checkpoint=%lld size=%lld", t->s->site,
                  (long long)last->size, (long long)next->size);
    }
    return code;
}

static enum err_code sign(struct tick *t, const struct checkpoint *c, struct err *e)
{
    struct buf note;
    struct db_args q = {0};
    buf_init(&note, CHECKPOINT_MAX);
    enum err_code code = checkpoint_sign(&note, t->s->site, c, t->s->signer, e);
    if (code == ERR_NONE) {
        arg_z(&q, t->s->site);
        arg_i64(&q, c->size);
        arg_time(&q, t->now);
        arg_bytes(&q, (struct str){(const char *)c->root.b, TREE_HASH});
        arg_str(&q, buf_str(&note));
        code = db_run(t->db, t->arena, &ledger_put_checkpoint, &q, NULL, e);
    }
    buf_release(&note);
    t->out->checkpoint = code == ERR_NONE ? c->size : 0;
    return code;
}

static enum err_code sign_when_due(struct tick *t, struct err *e)
{
    struct checkpoint last = {0};
    const struct checkpoint next = {t->out->size, tree_root(t->tree)};
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, t->s->site);
    enum err_code code = db_run(t->db, t->arena, &ledger_last_checkpoint, &q, &rows, e);
    if (code != ERR_NONE || next.size == 0) {
        return code;
    }
    if (db_count(rows) == 0) {
        return sign(t, &next, e);
    }
    last.size = db_i64(rows, 0, 0);
    struct str root = db_str(rows, 0, 2);
    if (root.n != TREE_HASH || last.size > next.size || last.size < 1) {
        log_error("ledger.fork", "site=%s checkpoint=%lld size=%lld", t->s->site,
                  (long long)last.size, (long long)next.size);
        return ERR(e, ERR_REFUSED, 0, "the last checkpoint covers %lld entries, the tree has %lld",
                   (long long)last.size, (long long)next.size);
    }
    memcpy(last.root.b, root.p, TREE_HASH);
    /* A clock that was set back must not silence the signer. */
    usec since = t->now - db_time(rows, 0, 1);
    bool due = next.size - last.size >= t->s->every_entries ||
               (next.size > last.size && (since < 0 || since >= t->s->every_ms * 1000));
    if (!due) {
        return ERR_NONE;
    }
    code = check_continues(t, &last, &next, e);
    return code == ERR_NONE ? sign(t, &next, e) : code;
}

static enum err_code run(struct tick *t, struct err *e)
{
    struct db_args q = {0};
    enum err_code code = db_begin(t->db, e);
    if (code != ERR_NONE) {
        return code;
    }
    arg_z(&q, t->s->site);
    code = db_run(t->db, t->arena, &ledger_lock, &q, NULL, e);
    code = code == ERR_NONE ? tiles_load(t->db, t->arena, t->s->site, t->tree, e) : code;
    code = code == ERR_NONE ? add_new(t, e) : code;
    code = code == ERR_NONE ? sign_when_due(t, e) : code;
    if (code == ERR_NONE) {
        return db_commit(t->db, e);
    }
    db_rollback(t->db);
    return code;
}

enum err_code ledger_seal(struct db *db, const struct sealing *s, usec now, struct sealed *out,
                          struct err *e)
{
    *out = (struct sealed){0};
    struct tick t = {.db = db, .s = s, .now = now, .out = out};
    t.arena = arena_new(0);
    t.tree = calloc(1, sizeof *t.tree);
    t.tiles = calloc(1, sizeof *t.tiles);
    enum err_code code = ERR_NONE;
    if (!t.arena || !t.tree || !t.tiles) {
        code = ERR(e, ERR_NOMEM, 0, "no memory to seal the ledger");
    } else {
        *t.tiles = (struct tiles){.db = db, .arena = t.arena, .site = s->site};
        code = run(&t, e);
    }
    free(t.tiles);
    free(t.tree);
    arena_free(&t.arena);
    return code;
}
