#include "tests/lib/tallies.h"

#include "tests/lib/cm.h"

#include <stdio.h>
#include <string.h>

void tallies_add(struct tallies *c, const char *name, int64_t by)
{
    int i = 0;
    while (i < COUNTERS && c->rows[i].name[0] && strcmp(c->rows[i].name, name) != 0) {
        i++;
    }
    assert_true(i < COUNTERS);
    snprintf(c->rows[i].name, sizeof c->rows[i].name, "%s", name);
    c->rows[i].value += by;
}

int64_t tallies_value(const struct tallies *c, const char *name)
{
    for (int i = 0; i < COUNTERS; i++) {
        if (strcmp(c->rows[i].name, name) == 0) {
            return c->rows[i].value;
        }
    }
    return 0;
}
