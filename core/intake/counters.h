/* Counters of a feed: named once, bumped often, shown in a file that is rewritten when they
 * changed. A histogram is a row of counters NAME.le.BOUND, each the number of what was at most
 * BOUND, the last one NAME.le.inf: dari status and dari feed list show any that are there. */
#ifndef DARI_INTAKE_COUNTERS_H
#define DARI_INTAKE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum { COUNTERS_MAX = 32 };

struct counters {
    struct {
        const char *name; /* a literal */
        int64_t value;
    } list[COUNTERS_MAX];
    bool changed;
};

/* A number that is what it is now, not a sum. */
void counters_set(struct counters *c, const char *name, int64_t value);
void counters_add(struct counters *c, const char *name, int64_t by);
/* "name value" per line; never half a file. Does nothing when nothing changed. */
void counters_write(struct counters *c, const char *path);

#endif
