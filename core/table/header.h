/*
 * Headers of tables. People name the same column in many ways (차트번호, 등록번호, CustID); the
 * dictionary mappings/headers.xml lists them as aliases of one canonical name (chart_no), and a
 * mapping may add its own. A header fits an alias when both are the same once normalised: Hangul
 * composed, full-width letters as ASCII, blanks and ( ) _ - / . * left out, ASCII letters in lower
 * case. Nothing is guessed beyond that: an unknown header stays what it is.
 */
#ifndef DARI_TABLE_HEADER_H
#define DARI_TABLE_HEADER_H

#include "core/base/arena.h"
#include "core/base/problem.h"

#include <stdint.h>

struct header_key {
    struct str text; /* normalised */
    uint64_t hash;
};

struct header_column {
    const char *name;              /* canonical */
    const struct header_key *keys; /* its own name, then its aliases, in the order of preference */
    size_t key_count;
    bool declared;     /* by the mapping, not by the dictionary alone */
    bool required;     /* a file without it is refused */
    bool fill_down;    /* an empty cell means the one above (merged cells) */
    const char *split; /* what separates several values in one cell; NULL: , ; / and line ends */
    bool rrn;          /* resident registration numbers: only their first seven digits are kept */
};

/* <key columns="…"/>: what tells rows apart. Of several the first whose columns are all there. */
struct header_identity {
    const struct header_column *const *columns;
    size_t count;
};

/* The columns that a mapping knows: its own, then the rest of the dictionary. No alias twice. */
struct header_names {
    const struct header_column *columns;
    size_t count;
    const struct header_identity *identities;
    size_t identity_count;
    bool short_rows;                 /* cells missing at the end of a row are empty ones */
    const struct header_names *next; /* of another mapping for the same files */
};

/* In `a`; text.p is NULL when memory is out. */
struct header_key header_key(struct arena *a, struct str header);

/* The column that a header names, or NULL. */
const struct header_column *header_find(const struct header_names *n, const struct header_key *k);
/* The column of a canonical name, or NULL. */
const struct header_column *header_named(const struct header_names *n, struct str name);

/* Index of the header that the column's alias names, n when there is none. */
size_t header_at(const struct header_column *c, size_t alias, const struct header_key *keys,
                 size_t n);
/* Is any of its aliases there? */
bool header_has(const struct header_column *c, const struct header_key *keys, size_t n);

/* The dictionary; problems with file and line. NULL when it cannot be used at all. */
const struct header_names *header_load(struct arena *a, const char *path, struct problems *p);

#endif
