/* What a snapshot covers: part of a feed's settings. */
#ifndef DARI_INTAKE_COVERS_H
#define DARI_INTAKE_COVERS_H

#include <stdbool.h>
#include <stdint.h>

/* Rows of a snapshot that are gone when a file no longer has them: all, or (with a column) those
 * whose day there lies `from` to `to` days from today. */
struct snapshot_covers {
    bool any;
    const char *column; /* canonical name; NULL: all */
    int64_t from, to;
};

#endif
