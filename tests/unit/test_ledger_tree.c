#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/text.h"
#include "core/crypto/digest.h"
#include "core/ledger/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 300, LARGE = 70000 };
static struct tree_hash leaves[LARGE];

/* RFC 6962 2.1 written down as it stands there: the other opinion in these tests. */
static struct tree_hash naive(int from, int n)
{
    if (n == 1) {
        return leaves[from];
    }
    int k = 1;
    while (2 * k < n) {
        k *= 2;
    }
    struct tree_hash l = naive(from, k), r = naive(from + k, n - k);
    return tree_node(&l, &r);
}

static enum err_code naive_hash(void *ctx, int height, int64_t index, struct tree_hash *out,
                                struct err *e)
{
    (void)ctx, (void)e;
    *out = naive((int)(index << height), 1 << height);
    return ERR_NONE;
}

static const struct tree_source source = {naive_hash, NULL};

static struct tree_hash hash_of(const char *hex)
{
    struct tree_hash h;
    assert_int_equal(text_unhex(str_of(hex), (char *)h.b, NULL), ERR_NONE);
    return h;
}

static void assert_same(const struct tree_hash *a, const struct tree_hash *b, const char *what,
                        int n)
{
    if (!tree_same(a, b)) {
        fail_msg("%s differs at %d", what, n);
    }
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < LARGE; i++) {
        char body[32];
        int n = snprintf(body, sizeof body, "entry %d", i);
        leaves[i] = tree_leaf((struct str){body, (size_t)n});
    }
    return 0;
}

/* The vectors that implementations of Certificate Transparency share. */
static void known_roots(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct tree t = {0};
    struct tree_hash want =
        hash_of("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct tree_hash got = tree_root(&t);
    assert_same(&got, &want, "empty root", 0);
    for (int i = 0; i < 8; i++) {
        char bytes[32];
        struct str body = {bytes, strlen(bodies[i]) / 2};
        assert_int_equal(text_unhex(str_of(bodies[i]), bytes, NULL), ERR_NONE);
        struct tree_hash leaf = tree_leaf(body);
        assert_int_equal(tree_add(&t, &leaf, NULL, NULL), ERR_NONE);
        got = tree_root(&t);
        want = hash_of(roots[i]);
        assert_same(&got, &want, "root", i + 1);
        assert_int_equal(tree_size(&t), i + 1);
    }
}

static void every_root_up_to_300(void **state)
{
    (void)state;
    struct tree t = {0};
    for (int n = 1; n <= MANY; n++) {
        assert_int_equal(tree_add(&t, &leaves[n - 1], NULL, NULL), ERR_NONE);
        struct tree_hash want = naive(0, n), got = tree_root(&t), other;
        assert_same(&got, &want, "root", n);
        assert_int_equal(tree_root_of(&source, n, &other, NULL), ERR_NONE);
        assert_same(&other, &want, "root of source", n);
        assert_true(tree_whole(&t));
    }
}

static void every_inclusion_proof_up_to_130(void **state)
{
    (void)state;
    for (int n = 1; n <= 130; n++) {
        struct tree_hash root = naive(0, n);
        for (int i = 0; i < n; i++) {
            struct tree_proof p;
            assert_int_equal(tree_inclusion(&source, i, n, &p, NULL), ERR_NONE);
            assert_true(tree_included(&leaves[i], i, n, &p, &root));
            assert_false(tree_included(&leaves[(i + 1) % MANY], i, n, &p, &root));
            assert_false(tree_included(&leaves[i], i, n + n, &p, &root));
            if (n > 1) {
                assert_false(tree_included(&leaves[i], (i + 1) % n, n, &p, &root));
            }
            if (p.n > 0) {
                p.hash[p.n / 2].b[5] ^= 4;
                assert_false(tree_included(&leaves[i], i, n, &p, &root));
                p.hash[p.n / 2].b[5] ^= 4;
                p.n--;
                assert_false(tree_included(&leaves[i], i, n, &p, &root));
                p.n += 2;
                p.hash[p.n - 1] = root;
                assert_false(tree_included(&leaves[i], i, n, &p, &root));
            }
        }
    }
    struct tree_proof p;
    assert_int_equal(tree_inclusion(&source, 5, 5, &p, NULL), ERR_BUG);
    assert_int_equal(tree_inclusion(&source, -1, 5, &p, NULL), ERR_BUG);
}

static void every_consistency_proof_up_to_130(void **state)
{
    (void)state;
    for (int n = 1; n <= 130; n++) {
        struct tree_hash root = naive(0, n);
        for (int m = 1; m <= n; m++) {
            struct tree_hash old = naive(0, m), wrong = old;
            struct tree_proof p;
            wrong.b[0] ^= 1;
            assert_int_equal(tree_consistency(&source, m, n, &p, NULL), ERR_NONE);
            assert_true(tree_consistent(m, &old, n, &root, &p));
            assert_false(tree_consistent(m, &wrong, n, &root, &p));
            assert_false(tree_consistent(m, &old, n, &wrong, &p));
            if (m < n) {
                assert_false(tree_consistent(m + 1, &old, n, &root, &p));
                p.n--;
                assert_false(tree_consistent(m, &old, n, &root, &p));
                p.n++;
                p.hash[p.n - 1].b[31] ^= 128;
                assert_false(tree_consistent(m, &old, n, &root, &p));
            }
        }
    }
    struct tree_proof p;
    assert_int_equal(tree_consistency(&source, 0, 5, &p, NULL), ERR_BUG);
    assert_int_equal(tree_consistency(&source, 6, 5, &p, NULL), ERR_BUG);
}

/* ---- tiles ---- */

struct store {
    struct tree_hash tile[2][TILE_WIDTH + 20][TILE_WIDTH];
    int n[2][TILE_WIDTH + 20];
    int top;
};

static enum err_code keep(void *ctx, int level, int64_t tile, const struct tree_hash *hash, int n,
                          struct err *e)
{
    (void)e;
    struct store *s = ctx;
    if (level < 2) {
        memcpy(s->tile[level][tile], hash, (size_t)n * sizeof *hash);
        s->n[level][tile] = n;
    } else {
        s->top++;
    }
    return ERR_NONE;
}

static enum err_code refuse(void *ctx, int level, int64_t tile, const struct tree_hash *hash, int n,
                            struct err *e)
{
    (void)ctx, (void)level, (void)tile, (void)hash, (void)n;
    return ERR(e, ERR_IO, 0, "no");
}

/* Three levels, put back from the stored tiles again and again, give the same root as in one go. */
static void a_tree_put_back_goes_on(void **state)
{
    (void)state;
    struct store *s = calloc(1, sizeof *s);
    struct tree *t = calloc(1, sizeof *t), *whole = calloc(1, sizeof *whole);
    assert_non_null(s);
    const struct tree_sink sink = {keep, s};
    static const int stops[] = {0, 1, 255, 256, 257, 511, 512, 1000, 65535, 65536, 65537, LARGE};
    int at = 0;
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        for (; at < stops[i]; at++) {
            assert_int_equal(tree_add(t, &leaves[at], &sink, NULL), ERR_NONE);
            assert_int_equal(tree_add(whole, &leaves[at], NULL, NULL), ERR_NONE);
        }
        assert_int_equal(tree_flush(t, &sink, NULL), ERR_NONE);
        struct tree *again = calloc(1, sizeof *again);
        assert_non_null(again);
        for (int l = 0; l < 2; l++) {
            for (int64_t k = TILE_WIDTH + 19; k >= 0; k--) {
                if (s->n[l][k]) {
                    tree_load(again, l, k, s->tile[l][k], s->n[l][k]);
                    break;
                }
            }
        }
        if (s->top) {
            tree_load(again, 2, 0, t->level[2].hash, t->level[2].n);
        }
        assert_true(tree_whole(again));
        assert_int_equal(tree_size(again), stops[i]);
        struct tree_hash a = tree_root(again), b = tree_root(whole);
        assert_same(&a, &b, "root after loading", stops[i]);
        free(t);
        t = again;
    }
    struct tree_hash root = tree_root(t), want = naive(0, LARGE);
    assert_same(&root, &want, "large root", LARGE);
    t->level[1].tile++;
    assert_false(tree_whole(t));
    free(t);
    free(whole);
    free(s);
}

static void a_store_that_fails_is_reported(void **state)
{
    (void)state;
    struct tree *t = calloc(1, sizeof *t);
    const struct tree_sink sink = {refuse, NULL};
    struct err e = {0};
    assert_non_null(t);
    for (int i = 0; i < TILE_WIDTH - 1; i++) {
        assert_int_equal(tree_add(t, &leaves[i], &sink, &e), ERR_NONE);
    }
    assert_int_equal(tree_flush(t, &sink, &e), ERR_IO);
    assert_int_equal(tree_add(t, &leaves[0], &sink, &e), ERR_IO);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_roots),
        cmocka_unit_test(every_root_up_to_300),
        cmocka_unit_test(every_inclusion_proof_up_to_130),
        cmocka_unit_test(every_consistency_proof_up_to_130),
        cmocka_unit_test(a_tree_put_back_goes_on),
        cmocka_unit_test(a_store_that_fails_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
