/* Inside core/intake: where in the spool the record of a message is. */
#ifndef DARI_INTAKE_SPOOL_INDEX_H
#define DARI_INTAKE_SPOOL_INDEX_H

#include "core/base/str.h"

#include <stdint.h>

/* Ids are keyed digests: their first bytes are as good as random, and serve as hash. */
struct spool_index {
    struct spool_slot {
        uint64_t key, place; /* place: offset + 1, 0 for a free slot */
    } * slots;
    size_t count, size; /* size: a power of two, or 0 */
};

/* False: no memory. */
bool spool_index_add(struct spool_index *x, const unsigned char id[16], uint64_t offset);
/* Offsets that may be of this id, one by one; *cursor starts at 0. False: no more. */
bool spool_index_next(const struct spool_index *x, const unsigned char id[16], size_t *cursor,
                      uint64_t *offset);
void spool_index_reset(struct spool_index *x); /* frees */

#endif
