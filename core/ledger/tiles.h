/* The tree's tiles in the database (dari.ledger_tile). */
#ifndef DARI_LEDGER_TILES_H
#define DARI_LEDGER_TILES_H

#include "core/ledger/tree.h"
#include "core/store/db.h"

/* The newest tile of every level into *t. ERR_REFUSED when the levels do not fit each other. */
enum err_code tiles_load(struct db *db, struct arena *a, const char *site, struct tree *t,
                         struct err *e);

/* Stores tiles, and gives hashes from stored ones; `arena` needs room for a few tiles. */
struct tiles {
    struct db *db;
    struct arena *arena;
    const char *site;
    struct { /* the tile asked for last */
        int level, n;
        int64_t tile;
        struct tree_hash hash[TILE_WIDTH];
    } last;
};
struct tree_sink tiles_sink(struct tiles *t);
struct tree_source tiles_source(struct tiles *t);

/* A stored tile into t->last; n is 0 when it is not there. */
enum err_code tiles_get(struct tiles *t, int level, int64_t tile, struct err *e);

#endif
