/*
 * A slice: bytes somewhere else, with their length. Owns nothing, may hold NUL bytes, and is passed
 * by value. Wire data is only ever touched through slices, never through strlen() or "%s".
 */
#ifndef DARI_BASE_STR_H
#define DARI_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* STR_INIT("x") initialises a static; STR("x") is an expression. Literals only. */
#define STR_INIT(lit)                                                                              \
    {                                                                                              \
        "" lit, sizeof(lit) - 1                                                                    \
    }
#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})

/* printf("%.*s", STR_ARG(s)): for our own identifiers only, never for patient data. */
#define STR_ARG(s) (int)(s).n, (s).p

/*
 * The smallest ones are here in full: they stand in every inner loop, and a literal's length is
 * then known to the compiler.
 */

/* Of a C string; NULL gives the empty slice. */
static inline struct str str_of(const char *z)
{
    return z ? (struct str){z, strlen(z)} : (struct str){"", 0};
}

/* Clamped, from <= to. */
static inline struct str str_cut(struct str s, size_t from, size_t to)
{
    to = to > s.n ? s.n : to;
    from = from > to ? to : from;
    return (struct str){from ? s.p + from : s.p, to - from};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

/* Index of the first `c` at or after `from`, or s.n when there is none. */
static inline size_t str_find(struct str s, char c, size_t from)
{
    if (from >= s.n) {
        return s.n;
    }
    const char *at = (const char *)memchr(s.p + from, c, s.n - from);
    return at ? (size_t)(at - s.p) : s.n;
}

struct str str_trim(struct str s);         /* ASCII blanks off both ends */
bool str_same(struct str a, struct str b); /* ASCII letters without regard to case */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b);

/*
 * Cuts the next piece up to `sep` off the front of `*rest`. False when nothing is left (rest->p is
 * then NULL): "a,,b" gives three pieces, "" gives one empty piece, "a," gives two.
 */
bool str_next(struct str *rest, char sep, struct str *piece);

#endif
