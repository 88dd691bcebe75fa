#include "tests/lib/rows.h"

#include "core/table/row.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 1000, COLUMNS = 100 };

struct kept {
    int64_t number;
    struct str *cells;
    struct err problem;
    bool seen;
};

struct export
{
    struct arena *a;
    struct str *header;
    size_t columns, key[COLUMNS], keys, count;
    struct kept rows[MOST];
    struct err problem; /* of the file */
};

static struct str *copy_cells(struct arena *a, const struct str *cells, size_t n)
{
    struct str *out = arena_array(a, n + 1, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i] = arena_copy(a, cells[i]);
    }
    return out;
}

static void load(struct export *x, const char *path, const struct table_settings *s)
{
    struct table *t;
    struct table_row row;
    bool more = true;
    x->a = arena_new(0);
    if (table_open(path, s, &t, &x->problem) != ERR_NONE) {
        return;
    }
    const struct str *header = table_header(t, &x->columns);
    x->header = copy_cells(x->a, header, x->columns);
    x->keys = table_identity(t, x->key, COLUMNS);
    while (x->count < MOST && table_next(t, &row, &more, &x->problem) == ERR_NONE && more) {
        struct kept *k = &x->rows[x->count++];
        *k = (struct kept){.number = row.number, .problem = row.problem};
        k->cells = row.cells ? copy_cells(x->a, row.cells, row.count) : NULL;
    }
    table_close(&t);
}

static struct kept *find(struct export *x, const struct export *other, const struct kept *k)
{
    for (size_t i = 0; i < x->count; i++) {
        bool same = x->keys > 0 && x->rows[i].cells && k->cells;
        for (size_t n = 0; same && n < x->keys; n++) {
            same = str_eq(x->rows[i].cells[x->key[n]], k->cells[other->key[n]]);
        }
        if (same) {
            return &x->rows[i];
        }
    }
    return NULL;
}

static void tell(const struct export *x, const struct str *before, const struct str *now,
                 int64_t number, row_fn fn, void *ctx)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    row_write(&b, x->header, x->columns, before, now);
    fn(ctx, buf_str(&b), number, NULL);
    buf_release(&b);
}

static void tell_row(struct export *old, const struct export *x, const struct kept *k, row_fn fn,
                     void *ctx)
{
    struct kept *was = find(old, x, k);
    bool same = was != NULL;
    if (was) {
        was->seen = true;
    }
    for (size_t i = 0; same && i < x->columns; i++) {
        same = str_eq(was->cells[i], k->cells[i]);
    }
    if (!same) {
        tell(x, was ? was->cells : NULL, k->cells, k->number, fn, ctx);
    }
}

void rows_read(const char *before, const char *now, const struct table_settings *s, row_fn fn,
               void *ctx)
{
    static struct export old, x;
    memset(&old, 0, sizeof old);
    memset(&x, 0, sizeof x);
    if (before) {
        load(&old, before, s);
    }
    load(&x, now, s);
    for (size_t i = 0; i < x.count; i++) {
        if (x.rows[i].cells) {
            tell_row(&old, &x, &x.rows[i], fn, ctx);
        } else {
            fn(ctx, (struct str){NULL, 0}, x.rows[i].number, &x.rows[i].problem);
        }
    }
    for (size_t i = 0; i < old.count; i++) {
        if (!old.rows[i].seen) {
            tell(&old, old.rows[i].cells, NULL, 0, fn, ctx);
        }
    }
    if (x.problem.code != ERR_NONE) {
        fn(ctx, (struct str){NULL, 0}, 0, &x.problem);
    }
    arena_free(&old.a);
    arena_free(&x.a);
}
