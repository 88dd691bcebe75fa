/*
 * Files compiled into the binary, so that it never searches for its own parts: the RELAX NG schemas
 * ("config/schemas/dari.rng") and the SQL migrations ("core/store/migrations/0001_store.sql").
 * core/base/embed.sh makes the table; names are paths in the source tree, sorted.
 */
#ifndef DARI_BASE_EMBED_H
#define DARI_BASE_EMBED_H

#include "core/base/str.h"

struct embedded {
    const char *name;
    struct str bytes;
};

extern const struct embedded embedded_files[]; /* ends with a NULL name */

/* NULL when there is none. */
const struct embedded *embed_find(const char *name);

#endif
