#include "core/ledger/tiles.h"

#include <string.h>

DB_STATEMENT(ledger_newest_tiles,
             "SELECT DISTINCT ON (level) level, tile, hashes FROM dari.ledger_tile "
             "WHERE site = $1 ORDER BY level, tile DESC");
DB_STATEMENT(ledger_get_tile, "SELECT hashes FROM dari.ledger_tile "
                              "WHERE site = $1 AND level = $2 AND tile = $3");
DB_STATEMENT(ledger_put_tile,
             "INSERT INTO dari.ledger_tile (site, level, tile, hashes) VALUES ($1, $2, $3, $4) "
             "ON CONFLICT (site, level, tile) DO UPDATE SET hashes = excluded.hashes");

/* Hashes of a row; -1 when it is not a whole number of them. */
static int hashes_of(struct str bytes, struct tree_hash *out)
{
    if (bytes.n % TREE_HASH || bytes.n > (size_t)TILE_WIDTH * TREE_HASH) {
        return -1;
    }
    if (bytes.n) {
        memcpy(out, bytes.p, bytes.n);
    }
    return (int)(bytes.n / TREE_HASH);
}

enum err_code tiles_load(struct db *db, struct arena *a, const char *site, struct tree *t,
                         struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    struct tree_hash hash[TILE_WIDTH];
    memset(t, 0, sizeof *t);
    arg_z(&q, site);
    enum err_code code = db_run(db, a, &ledger_newest_tiles, &q, &rows, e);
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        int64_t level = db_i64(rows, i, 0);
        int n = hashes_of(db_str(rows, i, 2), hash);
        if (level < 0 || level >= TILE_LEVELS || n < 0) {
            return ERR(e, ERR_REFUSED, 0, "a tile of level %lld is damaged", (long long)level);
        }
        tree_load(t, (int)level, db_i64(rows, i, 1), hash, n);
    }
    if (code == ERR_NONE && !tree_whole(t)) {
        code =
            ERR(e, ERR_REFUSED, 0,
                "the stored tiles do not fit each other: restore dari.ledger_tile from a backup");
    }
    return code;
}

static enum err_code put(void *ctx, int level, int64_t tile, const struct tree_hash *hash, int n,
                         struct err *e)
{
    const struct tiles *t = ctx;
    struct db_args q = {0};
    arg_z(&q, t->site);
    arg_i64(&q, level);
    arg_i64(&q, tile);
    arg_bytes(&q, (struct str){(const char *)hash, (size_t)n * TREE_HASH});
    return db_run(t->db, t->arena, &ledger_put_tile, &q, NULL, e);
}

struct tree_sink tiles_sink(struct tiles *t)
{
    return (struct tree_sink){put, t};
}

enum err_code tiles_get(struct tiles *t, int level, int64_t tile, struct err *e)
{
    if (t->last.n > 0 && t->last.level == level && t->last.tile == tile) {
        return ERR_NONE;
    }
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, t->site);
    arg_i64(&q, level);
    arg_i64(&q, tile);
    enum err_code code = db_run(t->db, t->arena, &ledger_get_tile, &q, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    int n = db_count(rows) ? hashes_of(db_str(rows, 0, 0), t->last.hash) : 0;
    t->last.level = level;
    t->last.tile = tile;
    t->last.n = n < 0 ? 0 : n;
    return n < 0
               ? ERR(e, ERR_REFUSED, 0, "tile %lld of level %d is damaged", (long long)tile, level)
               : ERR_NONE;
}

static enum err_code hash_at(void *ctx, int height, int64_t index, struct tree_hash *out,
                             struct err *e)
{
    struct tiles *t = ctx;
    int level = height / TILE_HEIGHT, inner = height % TILE_HEIGHT;
    int64_t first = index << inner, tile = first / TILE_WIDTH;
    enum err_code code = tiles_get(t, level, tile, e);
    if (code != ERR_NONE) {
        return code;
    }
    int at = (int)(first % TILE_WIDTH);
    if (at + (1 << inner) > t->last.n) {
        return ERR(e, ERR_REFUSED, 0, "tile %lld of level %d is missing or short", (long long)tile,
                   level);
    }
    *out = tree_in_tile(t->last.hash, inner, at >> inner);
    return ERR_NONE;
}

struct tree_source tiles_source(struct tiles *t)
{
    return (struct tree_source){hash_at, t};
}
