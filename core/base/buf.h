/*
 * A growable byte buffer that is born with a maximum. Writers need not check every step: a buffer
 * that could not grow stays failed until reset, and buf_ok() is asked once at the end.
 */
#ifndef DARI_BASE_BUF_H
#define DARI_BASE_BUF_H

#include "core/base/str.h"

#include <stdint.h>
#include <string.h>

struct buf {
    char *p; /* NUL-terminated whenever non-NULL */
    size_t n, cap, max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);
void buf_reset(struct buf *b); /* empty, memory kept */
bool buf_ok(const struct buf *b);
struct str buf_str(const struct buf *b);

/* Where there is no room yet, or no more: buf_add() as a whole. */
void buf_add_growing(struct buf *b, struct str s);
static inline void buf_add(struct buf *b, struct str s)
{
    if (s.n == 0 || s.n >= b->cap - b->n || b->failed) {
        buf_add_growing(b, s);
        return;
    }
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    b->p[b->n] = '\0';
}
static inline void buf_addc(struct buf *b, char c)
{
    buf_add(b, (struct str){&c, 1});
}
void buf_addz(struct buf *b, const char *z);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for n more bytes and returns where they go, or NULL; buf_took() says how many came. */
char *buf_room(struct buf *b, size_t n);
void buf_took(struct buf *b, size_t n);
/* Drops n bytes from the front. */
void buf_drop(struct buf *b, size_t n);

void buf_hex(struct buf *b, struct str bytes);

/* A JSON string with its quotes; `s` must be valid UTF-8 (control characters are escaped). */
void buf_json(struct buf *b, struct str s);
/* The same for what never needs an escape: keys, dates, names of our own. */
void buf_json_plain(struct buf *b, struct str s);

#endif
