/*
 * Inside core/intake: whether the next group waits a moment for the senders that were just
 * answered.
 *
 * Senders that wait for each reply fall into two halves when a flush is slow: while one half is
 * committed the other one waits, and each of them gets its reply after two flushes. A moment's
 * patience brings them together, and halves the flushes. It must not cost more than it brings: so
 * only after a commit that took long for what was in it, for a quarter of that time at most, and
 * less and less often while too few come back in that time. Meanwhile the loop asks its sockets
 * again and again: a timer is too coarse for it.
 */
#ifndef DARI_INTAKE_GATHER_H
#define DARI_INTAKE_GATHER_H

#include "core/base/clock.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    GATHER_LEAST_US = 1500, /* a commit that took less was no slow flush */
    GATHER_EACH_US = 220,   /* nor one that took less than this for each message */
    GATHER_MOST_US = 2000
};

struct gather {
    usec until; /* 0: nobody is waited for */
    size_t had, expected;
    unsigned skip, misses;
};

/* A group of `answered` messages was committed and took so long; `waiting` are there already. */
void gather_after(struct gather *g, usec now, usec took, size_t answered, size_t waiting,
                  size_t max_group);
/* May the next group, of what waits now, still not begin? To be asked until it says no. */
bool gather_waits(struct gather *g, usec now, size_t waiting);

#endif
