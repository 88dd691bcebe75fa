#include "tests/lib/counters.h"

#include "tests/lib/cm.h"

#include <stdio.h>
#include <string.h>

void counters_add(struct counters *c, const char *name, int64_t by)
{
    int i = 0;
    while (i < COUNTERS && c->rows[i].name[0] && strcmp(c->rows[i].name, name) != 0) {
        i++;
    }
    assert_true(i < COUNTERS);
    snprintf(c->rows[i].name, sizeof c->rows[i].name, "%s", name);
    c->rows[i].value += by;
}

int64_t counters_value(const struct counters *c, const char *name)
{
    for (int i = 0; i < COUNTERS; i++) {
        if (strcmp(c->rows[i].name, name) == 0) {
            return c->rows[i].value;
        }
    }
    return 0;
}
