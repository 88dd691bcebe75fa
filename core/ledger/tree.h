/*
 * A Merkle tree over the ledger's entries, as RFC 6962 section 2.1 hashes it: a leaf is SHA-256 of
 * 0x00 and the entry's line, a node SHA-256 of 0x01 and its two children. Leaves are counted from 0
 * here; ledger entries from 1.
 *
 * The tree is kept as tiles (C2SP tlog-tiles, height 8): tile t of level 0 holds the leaf hashes
 * 256 t .. 256 t + 255; a hash of level n + 1 is the root of one full tile of level n. The newest
 * tile of each level is all that is needed to go on, and any proof needs a few tiles only.
 */
#ifndef DARI_LEDGER_TREE_H
#define DARI_LEDGER_TREE_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { TREE_HASH = 32, TILE_WIDTH = 256, TILE_HEIGHT = 8, TILE_LEVELS = 7, TREE_PROOF_MAX = 64 };

struct tree_hash {
    unsigned char b[TREE_HASH];
};

struct tree_hash tree_leaf(struct str body);
struct tree_hash tree_node(const struct tree_hash *left, const struct tree_hash *right);
bool tree_same(const struct tree_hash *a, const struct tree_hash *b);

/* ---- growing ---- */

/* The newest, not yet full tile of every level. All zero is the empty tree. */
struct tree {
    struct {
        int64_t tile; /* its number */
        int n;        /* 0 .. TILE_WIDTH - 1 hashes */
        bool changed; /* since tree_flush() */
        struct tree_hash hash[TILE_WIDTH];
    } level[TILE_LEVELS];
};

/* Gets every tile that became full, and from tree_flush() the partial ones that changed. */
struct tree_sink {
    enum err_code (*tile)(void *ctx, int level, int64_t tile, const struct tree_hash *hash, int n,
                          struct err *e);
    void *ctx;
};

int64_t tree_size(const struct tree *t);
enum err_code tree_add(struct tree *t, const struct tree_hash *leaf, const struct tree_sink *sink,
                       struct err *e);
enum err_code tree_flush(struct tree *t, const struct tree_sink *sink, struct err *e);

/* Puts a stored newest tile back; n may be TILE_WIDTH. tree_whole() then says whether the levels
 * fit each other (a level above counts the full tiles below). */
void tree_load(struct tree *t, int level, int64_t tile, const struct tree_hash *hash, int n);
bool tree_whole(const struct tree *t);

/* Of all leaves so far; of none, SHA-256 of nothing. */
struct tree_hash tree_root(const struct tree *t);

/* ---- proofs ---- */

/* Where proofs take hashes from: the root of the full subtree of 2^height leaves from index <<
 * height on. */
struct tree_source {
    enum err_code (*hash)(void *ctx, int height, int64_t index, struct tree_hash *out,
                          struct err *e);
    void *ctx;
};

struct tree_proof {
    int n;
    struct tree_hash hash[TREE_PROOF_MAX];
};

/* The root of the first `size` leaves. */
enum err_code tree_root_of(const struct tree_source *s, int64_t size, struct tree_hash *out,
                           struct err *e);
/* RFC 6962 2.1.1: `index` < size. ERR_BUG otherwise. */
enum err_code tree_inclusion(const struct tree_source *s, int64_t index, int64_t size,
                             struct tree_proof *out, struct err *e);
/* RFC 6962 2.1.2: 1 <= old <= size. */
enum err_code tree_consistency(const struct tree_source *s, int64_t old, int64_t size,
                               struct tree_proof *out, struct err *e);

/* RFC 9162 2.1.3.2 and 2.1.4.2: need nothing but their arguments. */
bool tree_included(const struct tree_hash *leaf, int64_t index, int64_t size,
                   const struct tree_proof *proof, const struct tree_hash *root);
bool tree_consistent(int64_t old, const struct tree_hash *old_root, int64_t size,
                     const struct tree_hash *root, const struct tree_proof *proof);

/* The hash of a subtree inside one tile: `height` < TILE_HEIGHT above the tile's own hashes. */
struct tree_hash tree_in_tile(const struct tree_hash *hash, int height, int index);

#endif
