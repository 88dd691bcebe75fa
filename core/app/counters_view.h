/*
 * The counters that a feed writes into the run folder (core/intake/counters.h), read back for
 * people: plain ones, and histograms. A histogram is a row of counters NAME.le.BOUND, each the
 * number of what was at most BOUND, the last one NAME.le.inf, and NAME.sum, the sum of all.
 */
#ifndef DARI_APP_COUNTERS_VIEW_H
#define DARI_APP_COUNTERS_VIEW_H

#include "core/base/arena.h"
#include "core/base/buf.h"

#include <stdint.h>

struct counter {
    struct str name;
    int64_t value;
};

struct bucket {
    int64_t bound, count; /* INT64_MAX: inf */
};

struct histogram {
    struct str name;        /* reply_us */
    struct bucket *buckets; /* by bound, counts rising */
    size_t n;
    int64_t sum; /* 0: not told */
};

struct counters_view {
    struct counter *list; /* plain ones, in the order of the file */
    size_t count;
    struct histogram *histograms;
    size_t histogram_count;
};

/* Of a feed; empty when there is no file, or none that can be read. */
void counters_read(struct arena *a, const char *run, const char *feed, struct counters_view *out);
/* The same of the file's text. */
void counters_parse(struct arena *a, struct str text, struct counters_view *out);
int64_t counters_value(const struct counters_view *v, const char *name); /* 0: not there */

int64_t histogram_total(const struct histogram *h);
/* The bound below which `per_mille` of all lie; INT64_MAX: above the last bound; 0: none at all. */
int64_t histogram_quantile(const struct histogram *h, int per_mille);
/* "1200, half at most 5, 99 % at most 20"; of a NAME_us with units: "half at most 4.1 ms". */
void histogram_text(const struct histogram *h, struct buf *out);

#endif
