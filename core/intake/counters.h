/* Counters of a feed: named once, bumped often, shown in a file that is rewritten when they
 * changed. A histogram is a row of counters NAME.le.BOUND, each the number of what was at most
 * BOUND, the last one NAME.le.inf: dari status and dari feed list show any that are there. */
#ifndef DARI_INTAKE_COUNTERS_H
#define DARI_INTAKE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum { COUNTERS_MAX = 96, SPREAD_MAX = 28 };
enum spread_of { SPREAD_REPLY, SPREAD_GROUP, SPREAD_QUEUE, SPREADS };

struct counters {
    struct {
        const char *name; /* a literal */
        int64_t value;
    } list[COUNTERS_MAX];
    struct {
        int64_t
            in[SPREAD_MAX + 1]; /* [i]: at most 2^i and more than 2^(i-1); the last: above all */
        int64_t sum;
    } spread[SPREADS];
    bool changed;
};

/* A number that is what it is now, not a sum. */
void counters_set(struct counters *c, const char *name, int64_t value);
void counters_add(struct counters *c, const char *name, int64_t by);
/* One more value into a histogram. */
void counters_spread(struct counters *c, enum spread_of what, int64_t value);
/* "name value" per line; of a histogram "name.le.BOUND value" with how many were at most that,
 * the last bound "inf", and "name.sum value", from the first value on; never half a file. Does
 * nothing when nothing changed. */
void counters_write(struct counters *c, const char *path);

#endif
