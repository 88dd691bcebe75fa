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

/* Which bounds are shown: powers of two. Times are in microseconds: 64 µs to 67 s. */
static const struct {
    const char *name;
    int low, high;
} spreads[SPREADS] = {[SPREAD_REPLY] = {"reply_us", 6, 26},
                      [SPREAD_GROUP] = {"group_size", 0, 10},
                      [SPREAD_QUEUE] = {"queue_us", 6, 26}};

void counters_spread(struct counters *c, enum spread_of what, int64_t value)
{
    int i = 0;
    while (i < SPREAD_MAX && value > (int64_t)1 << i) {
        i++;
    }
    c->spread[what].in[i]++;
    c->spread[what].sum += value;
    c->changed = true;
}

static void write_spread(FILE *f, const struct counters *c, int what)
{
    int64_t count = 0;
    for (int i = 0; i <= SPREAD_MAX; i++) {
        count += c->spread[what].in[i];
    }
    if (!count) {
        return;
    }
    int64_t below = 0;
    for (int i = 0; i <= spreads[what].high; i++) {
        below += c->spread[what].in[i];
        if (i >= spreads[what].low) {
            fprintf(f, "%s.le.%" PRId64 " %" PRId64 "\n", spreads[what].name, (int64_t)1 << i,
                    below);
        }
    }
    fprintf(f, "%s.le.inf %" PRId64 "\n%s.sum %" PRId64 "\n", spreads[what].name, count,
            spreads[what].name, c->spread[what].sum);
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
    for (int i = 0; i < SPREADS; i++) {
        write_spread(f, c, i);
    }
    if (fclose(f) == 0) {
        rename(temp, path);
    }
}
