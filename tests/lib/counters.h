/* What adapters count, for the hosts that tests play. */
#ifndef DARI_TESTS_COUNTERS_H
#define DARI_TESTS_COUNTERS_H

#include <stdint.h>

enum { COUNTERS = 16 };

/* Begins zeroed. More names than there is room for are an assertion. */
struct counters {
    struct {
        char name[32];
        int64_t value;
    } rows[COUNTERS];
};

void counters_add(struct counters *c, const char *name, int64_t by);

/* 0 when it was never counted. */
int64_t counters_value(const struct counters *c, const char *name);

#endif
