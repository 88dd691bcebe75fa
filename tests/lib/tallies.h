/* What adapters count, for the hosts that tests play. */
#ifndef DARI_TESTS_TALLIES_H
#define DARI_TESTS_TALLIES_H

#include <stdint.h>

enum { COUNTERS = 16 };

/* Begins zeroed. More names than there is room for are an assertion. */
struct tallies {
    struct {
        char name[32];
        int64_t value;
    } rows[COUNTERS];
};

void tallies_add(struct tallies *c, const char *name, int64_t by);

/* 0 when it was never counted. */
int64_t tallies_value(const struct tallies *c, const char *name);

#endif
