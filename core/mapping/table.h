/*
 * Code tables (mappings/tables/NAME.xml): what a source calls it → what the catalogue calls it.
 * Keys are compared without regard to the case of ASCII letters and to blanks at their ends.
 */
#ifndef DARI_MAPPING_TABLE_H
#define DARI_MAPPING_TABLE_H

#include "core/base/arena.h"
#include "core/base/problem.h"

enum unknown_policy { UNKNOWN_REFUSE, UNKNOWN_KEEP, UNKNOWN_LEAVE_OUT, UNKNOWN_BECOMES };

struct table_row {
    struct str from, to;
    int line;
};

struct table {
    const char *name, *file;
    enum unknown_policy unknown;
    struct str becomes; /* UNKNOWN_BECOMES */
    int line;
    const struct table_row *rows; /* sorted */
    size_t count;
    const struct table *next;
};

/* Everything in `a`; problems with file and line; NULL when the file cannot be used at all. */
struct table *table_load(struct arena *a, const char *path, const char *name, struct problems *p);

/* NULL when the table has no such key. */
const struct str *table_find(const struct table *t, struct str key);

#endif
