#include "core/intake/counters.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void counters_add(struct counters *c, const char *name, int64_t by)
{
    c->changed = true;
    for (int i = 0; i < COUNTERS_MAX; i++) {
        if (!c->list[i].name || strcmp(c->list[i].name, name) == 0) {
            c->list[i].name = name;
            c->list[i].value += by;
            return;
        }
    }
}

void counters_set(struct counters *c, const char *name, int64_t value)
{
    for (int i = 0; i < COUNTERS_MAX && c->list[i].name; i++) {
        if (strcmp(c->list[i].name, name) == 0) {
            c->changed |= c->list[i].value != value;
            c->list[i].value = value;
            return;
        }
    }
    counters_add(c, name, value);
}

void counters_write(struct counters *c, const char *path)
{
    char temp[4096];
    if (!c->changed) {
        return;
    }
    c->changed = false;
    snprintf(temp, sizeof temp, "%s.tmp", path);
    FILE *f = fopen(temp, "we");
    if (!f) {
        return;
    }
    for (int i = 0; i < COUNTERS_MAX && c->list[i].name; i++) {
        fprintf(f, "%s %" PRId64 "\n", c->list[i].name, c->list[i].value);
    }
    if (fclose(f) == 0) {
        rename(temp, path);
    }
}
