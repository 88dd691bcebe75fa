#include "core/ledger/tree.h"

#include "core/crypto/digest.h"

#include <assert.h>
#include <string.h>

struct tree_hash tree_leaf(struct str body)
{
    struct tree_hash out;
    const struct str parts[] = {STR("\0"), body};
    sha256_of(parts, 2, out.b);
    return out;
}

static struct str hash_str(const struct tree_hash *h)
{
    return (struct str){(const char *)h->b, TREE_HASH};
}

struct tree_hash tree_node(const struct tree_hash *left, const struct tree_hash *right)
{
    struct tree_hash out;
    const struct str parts[] = {STR("\1"), hash_str(left), hash_str(right)};
    sha256_of(parts, 3, out.b);
    return out;
}

bool tree_same(const struct tree_hash *a, const struct tree_hash *b)
{
    return memcmp(a->b, b->b, TREE_HASH) == 0;
}

struct tree_hash tree_in_tile(const struct tree_hash *hash, int height, int index)
{
    if (height == 0) {
        return hash[index];
    }
    struct tree_hash left = tree_in_tile(hash, height - 1, 2 * index);
    struct tree_hash right = tree_in_tile(hash, height - 1, 2 * index + 1);
    return tree_node(&left, &right);
}

/* ---- growing ---- */

int64_t tree_size(const struct tree *t)
{
    return t->level[0].tile * TILE_WIDTH + t->level[0].n;
}

static enum err_code add_at(struct tree *t, int level, const struct tree_hash *hash,
                            const struct tree_sink *sink, struct err *e)
{
    if (level == TILE_LEVELS) {
        return ERR(e, ERR_LIMIT, 0, "the ledger is full");
    }
    t->level[level].hash[t->level[level].n++] = *hash;
    t->level[level].changed = true;
    if (t->level[level].n < TILE_WIDTH) {
        return ERR_NONE;
    }
    enum err_code code = sink ? sink->tile(sink->ctx, level, t->level[level].tile,
                                           t->level[level].hash, TILE_WIDTH, e)
                              : ERR_NONE;
    if (code != ERR_NONE) {
        return code;
    }
    struct tree_hash root = tree_in_tile(t->level[level].hash, TILE_HEIGHT, 0);
    t->level[level].tile++;
    t->level[level].n = 0;
    t->level[level].changed = false;
    return add_at(t, level + 1, &root, sink, e);
}

enum err_code tree_add(struct tree *t, const struct tree_hash *leaf, const struct tree_sink *sink,
                       struct err *e)
{
    return add_at(t, 0, leaf, sink, e);
}

enum err_code tree_flush(struct tree *t, const struct tree_sink *sink, struct err *e)
{
    for (int l = 0; l < TILE_LEVELS; l++) {
        if (!t->level[l].changed) {
            continue;
        }
        enum err_code code =
            sink->tile(sink->ctx, l, t->level[l].tile, t->level[l].hash, t->level[l].n, e);
        if (code != ERR_NONE) {
            return code;
        }
        t->level[l].changed = false;
    }
    return ERR_NONE;
}

void tree_load(struct tree *t, int level, int64_t tile, const struct tree_hash *hash, int n)
{
    assert(level >= 0 && level < TILE_LEVELS && n >= 0 && n <= TILE_WIDTH);
    t->level[level].changed = false;
    if (n == TILE_WIDTH) {
        t->level[level].tile = tile + 1;
        t->level[level].n = 0;
        return;
    }
    t->level[level].tile = tile;
    t->level[level].n = n;
    memcpy(t->level[level].hash, hash, (size_t)n * sizeof *hash);
}

bool tree_whole(const struct tree *t)
{
    for (int l = 0; l + 1 < TILE_LEVELS; l++) {
        if (t->level[l + 1].tile * TILE_WIDTH + t->level[l + 1].n != t->level[l].tile) {
            return false;
        }
    }
    return true;
}

/* Folds the full subtrees from the smallest, rightmost one to the largest. */
struct tree_hash tree_root(const struct tree *t)
{
    struct tree_hash root;
    bool have = false;
    for (int l = 0; l < TILE_LEVELS; l++) {
        int end = t->level[l].n;
        for (int h = 0; h < TILE_HEIGHT; h++) {
            if (!(end >> h & 1)) {
                continue;
            }
            struct tree_hash peak = tree_in_tile(t->level[l].hash, h, (end >> h) - 1);
            root = have ? tree_node(&peak, &root) : peak;
            have = true;
        }
    }
    if (!have) {
        sha256(STR(""), root.b);
    }
    return root;
}

/* ---- proofs ---- */

/* The largest power of two below n, as its exponent; n > 1. */
static int split_height(int64_t n)
{
    int h = 0;
    while ((int64_t)2 << h < n) {
        h++;
    }
    return h;
}

/* MTH of the leaves from..from + n, where `from` is a multiple of a power of two not below n. */
static enum err_code range_root(const struct tree_source *s, int64_t from, int64_t n,
                                struct tree_hash *out, struct err *e)
{
    if ((n & (n - 1)) == 0) {
        int height = n == 1 ? 0 : split_height(n) + 1;
        return s->hash(s->ctx, height, from >> height, out, e);
    }
    int64_t k = (int64_t)1 << split_height(n);
    struct tree_hash left, right;
    enum err_code code = range_root(s, from, k, &left, e);
    code = code == ERR_NONE ? range_root(s, from + k, n - k, &right, e) : code;
    if (code == ERR_NONE) {
        *out = tree_node(&left, &right);
    }
    return code;
}

enum err_code tree_root_of(const struct tree_source *s, int64_t size, struct tree_hash *out,
                           struct err *e)
{
    if (size == 0) {
        sha256(STR(""), out->b);
        return ERR_NONE;
    }
    return range_root(s, 0, size, out, e);
}

static enum err_code push(const struct tree_source *s, int64_t from, int64_t n,
                          struct tree_proof *out, struct err *e)
{
    assert(out->n < TREE_PROOF_MAX);
    return range_root(s, from, n, &out->hash[out->n++], e);
}

static enum err_code path(const struct tree_source *s, int64_t index, int64_t from, int64_t n,
                          struct tree_proof *out, struct err *e)
{
    if (n == 1) {
        return ERR_NONE;
    }
    int64_t k = (int64_t)1 << split_height(n);
    bool left = index < k;
    enum err_code code =
        left ? path(s, index, from, k, out, e) : path(s, index - k, from + k, n - k, out, e);
    if (code != ERR_NONE) {
        return code;
    }
    return left ? push(s, from + k, n - k, out, e) : push(s, from, k, out, e);
}

enum err_code tree_inclusion(const struct tree_source *s, int64_t index, int64_t size,
                             struct tree_proof *out, struct err *e)
{
    out->n = 0;
    if (index < 0 || index >= size) {
        return ERR(e, ERR_BUG, 0, "no inclusion proof outside the tree");
    }
    return path(s, index, 0, size, out, e);
}

/* SUBPROOF(old, D[from:from + n], known) */
static enum err_code subproof(const struct tree_source *s, int64_t old, int64_t from, int64_t n,
                              bool known, struct tree_proof *out, struct err *e)
{
    if (old == n) {
        return known ? ERR_NONE : push(s, from, n, out, e);
    }
    int64_t k = (int64_t)1 << split_height(n);
    bool left = old <= k;
    enum err_code code = left ? subproof(s, old, from, k, known, out, e)
                              : subproof(s, old - k, from + k, n - k, false, out, e);
    if (code != ERR_NONE) {
        return code;
    }
    return left ? push(s, from + k, n - k, out, e) : push(s, from, k, out, e);
}

enum err_code tree_consistency(const struct tree_source *s, int64_t old, int64_t size,
                               struct tree_proof *out, struct err *e)
{
    out->n = 0;
    if (old < 1 || old > size) {
        return ERR(e, ERR_BUG, 0, "no consistency proof outside the tree");
    }
    return subproof(s, old, 0, size, true, out, e);
}

bool tree_included(const struct tree_hash *leaf, int64_t index, int64_t size,
                   const struct tree_proof *proof, const struct tree_hash *root)
{
    if (index < 0 || index >= size) {
        return false;
    }
    int64_t fn = index, sn = size - 1;
    struct tree_hash r = *leaf;
    for (int i = 0; i < proof->n; i++) {
        if (sn == 0) {
            return false;
        }
        if (fn & 1 || fn == sn) {
            r = tree_node(&proof->hash[i], &r);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            r = tree_node(&r, &proof->hash[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && tree_same(&r, root);
}

bool tree_consistent(int64_t old, const struct tree_hash *old_root, int64_t size,
                     const struct tree_hash *root, const struct tree_proof *proof)
{
    if (old < 1 || old > size) {
        return false;
    }
    if (old == size) {
        return proof->n == 0 && tree_same(old_root, root);
    }
    /* When the old tree was full its root is not repeated in the proof. */
    bool full = (old & (old - 1)) == 0;
    int at = full ? 0 : 1;
    if (proof->n < at + (full ? 1 : 0)) {
        return false;
    }
    struct tree_hash fr = full ? *old_root : proof->hash[0], sr = fr;
    int64_t fn = old - 1, sn = size - 1;
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    for (; at < proof->n; at++) {
        const struct tree_hash *c = &proof->hash[at];
        if (sn == 0) {
            return false;
        }
        if (fn & 1 || fn == sn) {
            fr = tree_node(c, &fr);
            sr = tree_node(c, &sr);
            while (!(fn & 1) && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            sr = tree_node(&sr, c);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && tree_same(&fr, old_root) && tree_same(&sr, root);
}
