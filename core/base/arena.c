#include "core/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most rows of a table fit into the first block, most messages into the second. */
enum { FIRST = 4000, BLOCK = 16 * 1024 };

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) char data[];
};

struct defer {
    struct defer *next;
    void (*release)(void *);
    void *object;
};

struct arena {
    struct block *head;
    struct defer *defers;
    size_t limit, total;
};

static struct block *block_new(size_t size)
{
    struct block *b = malloc(sizeof *b + size);
    if (b) {
        b->next = NULL;
        b->size = size;
        b->used = 0;
    }
    return b;
}

struct arena *arena_new(size_t limit)
{
    struct arena *a = calloc(1, sizeof *a);
    if (!a) {
        return NULL;
    }
    a->limit = limit;
    a->head = block_new(FIRST);
    if (!a->head) {
        free(a);
        return NULL;
    }
    return a;
}

static void run_defers(struct arena *a)
{
    while (a->defers) {
        struct defer *d = a->defers;
        a->defers = d->next;
        d->release(d->object);
    }
}

void arena_reset(struct arena *a)
{
    run_defers(a);
    struct block *kept = NULL; /* the largest, but for those of one large object */
    for (struct block *b = a->head, *next; b; b = next) {
        next = b->next;
        bool better = b->size <= BLOCK && (!kept || b->size > kept->size);
        free(better ? kept : b);
        kept = better ? b : kept;
    }
    kept->next = NULL;
    kept->used = 0;
    a->head = kept;
    a->total = 0;
}

void arena_free(struct arena **a)
{
    if (!*a) {
        return;
    }
    run_defers(*a);
    for (struct block *b = (*a)->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(*a);
    *a = NULL;
}

size_t arena_used(const struct arena *a)
{
    return a->total;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t unit = alignof(max_align_t);
    if (n > SIZE_MAX / 2) {
        return NULL;
    }
    n = (n + unit - 1) / unit * unit;
    if (a->limit && n > a->limit - a->total) {
        return NULL;
    }
    struct block *b = a->head;
    if (n > b->size - b->used) {
        b = block_new(n > BLOCK ? n : BLOCK);
        if (!b) {
            return NULL;
        }
        b->next = a->head;
        a->head = b;
    }
    void *p = b->data + b->used;
    b->used += n;
    a->total += n;
    memset(p, 0, n);
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    if (size && n > SIZE_MAX / 2 / size) {
        return NULL;
    }
    return arena_alloc(a, n * size);
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *p = arena_z(a, s);
    return p ? (struct str){p, s.n} : (struct str){NULL, 0};
}

char *arena_z(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (p && s.n) {
        memcpy(p, s.p, s.n);
    }
    return p;
}

struct str arena_join(struct arena *a, const struct str *parts, size_t count)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        n += parts[i].n;
    }
    char *to = arena_alloc(a, n + 1);
    for (size_t i = 0; i < count && to; i++) {
        memcpy(to + at, parts[i].n ? parts[i].p : "", parts[i].n);
        at += parts[i].n;
    }
    return to ? (struct str){to, n} : (struct str){NULL, 0};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p) {
        va_start(ap, fmt);
        vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return p;
}

bool arena_defer(struct arena *a, void (*release)(void *), void *object)
{
    struct defer *d = arena_alloc(a, sizeof *d);
    if (!d) {
        return false;
    }
    *d = (struct defer){a->defers, release, object};
    a->defers = d;
    return true;
}
