#include "core/intake/gather.h"

enum { MOST_MISSES = 6 };

void gather_after(struct gather *g, usec now, usec took, size_t answered, size_t waiting,
                  size_t max_group)
{
    g->until = 0;
    bool alone = answered + waiting < 2;
    if (alone || waiting >= max_group || took < GATHER_LEAST_US ||
        took < (usec)answered * GATHER_EACH_US) {
        return;
    }
    if (g->skip > 0) {
        g->skip--;
        return;
    }
    usec patience = took / 4 < GATHER_MOST_US ? took / 4 : GATHER_MOST_US;
    g->had = waiting;
    g->expected = answered + waiting < max_group ? answered + waiting : max_group;
    g->until = now + patience;
}

bool gather_waits(struct gather *g, usec now, size_t waiting)
{
    if (g->until == 0 || (waiting < g->expected && now < g->until)) {
        return g->until != 0;
    }
    g->until = 0;
    bool paid = waiting >= g->expected || waiting > g->had + g->had / 4;
    g->misses = paid ? 0 : g->misses < MOST_MISSES ? g->misses + 1 : MOST_MISSES;
    g->skip = paid ? 0 : 1U << g->misses;
    return false;
}
