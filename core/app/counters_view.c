#include "core/app/counters_view.h"

#include "core/base/file.h"
#include "core/base/num.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 256 * 1024, MAX_LINES = 4096 };

static const char mark[] = ".le.";

/* Where the mark of a histogram stands in a name; n: nowhere. */
static size_t find_mark(struct str name)
{
    for (size_t i = 1; i + sizeof mark - 1 < name.n; i++) {
        if (str_starts(str_cut(name, i, name.n), STR(".le."))) {
            return i;
        }
    }
    return name.n;
}

static struct histogram *histogram_of(struct arena *a, struct counters_view *v, struct str name)
{
    for (size_t i = 0; i < v->histogram_count; i++) {
        if (str_eq(v->histograms[i].name, name)) {
            return &v->histograms[i];
        }
    }
    struct histogram *h = &v->histograms[v->histogram_count];
    *h = (struct histogram){.name = name};
    h->buckets = arena_array(a, MAX_LINES / 32, sizeof *h->buckets);
    v->histogram_count += h->buckets != NULL;
    return h->buckets ? h : NULL;
}

static void add_bucket(struct arena *a, struct counters_view *v, struct str name, int64_t value)
{
    size_t at = find_mark(name);
    struct str bound = str_cut(name, at + sizeof mark - 1, name.n);
    int64_t limit = INT64_MAX;
    struct histogram *h = histogram_of(a, v, str_cut(name, 0, at));
    if (!h || h->n == MAX_LINES / 32 ||
        (!str_is(bound, "inf") && num_i64(bound, 0, INT64_MAX - 1, &limit, NULL) != ERR_NONE)) {
        return;
    }
    size_t i = h->n++;
    for (; i > 0 && h->buckets[i - 1].bound > limit; i--) {
        h->buckets[i] = h->buckets[i - 1];
    }
    h->buckets[i].bound = limit;
    h->buckets[i].count = value;
}

/* Behind the row of its histogram. */
static bool add_sum(struct counters_view *v, struct str name, int64_t value)
{
    struct str of = str_cut(name, 0, name.n - (name.n < 4 ? name.n : 4));
    for (size_t i = 0; str_ends(name, STR(".sum")) && i < v->histogram_count; i++) {
        if (str_eq(v->histograms[i].name, of)) {
            v->histograms[i].sum = value;
            return true;
        }
    }
    return false;
}

void counters_parse(struct arena *a, struct str text, struct counters_view *out)
{
    struct str line;
    size_t lines = 0;
    *out = (struct counters_view){.list = arena_array(a, MAX_LINES, sizeof *out->list),
                                  .histograms =
                                      arena_array(a, MAX_LINES / 16, sizeof *out->histograms)};
    while (out->list && out->histograms && lines < MAX_LINES && str_next(&text, '\n', &line)) {
        size_t blank = str_find(line, ' ', 0);
        struct str name = str_cut(line, 0, blank);
        int64_t value;
        if (num_i64(str_cut(line, blank + 1, line.n), INT64_MIN, INT64_MAX, &value, NULL) !=
            ERR_NONE) {
            continue;
        }
        lines++;
        if (add_sum(out, name, value)) {
            continue;
        }
        if (find_mark(name) == name.n) {
            out->list[out->count++] = (struct counter){name, value};
        } else if (out->histogram_count < MAX_LINES / 16) {
            add_bucket(a, out, name, value);
        }
    }
}

void counters_read(struct arena *a, const char *run, const char *feed, struct counters_view *out)
{
    struct str text;
    const char *path = arena_printf(a, "%s/feed-%s.counters", run, feed);
    if (!path || file_read(a, path, MAX_FILE, &text, NULL) != ERR_NONE) {
        text = STR("");
    }
    counters_parse(a, text, out);
}

int64_t counters_value(const struct counters_view *v, const char *name)
{
    for (size_t i = 0; i < v->count; i++) {
        if (str_is(v->list[i].name, name)) {
            return v->list[i].value;
        }
    }
    return 0;
}

int64_t histogram_total(const struct histogram *h)
{
    return h->n ? h->buckets[h->n - 1].count : 0;
}

int64_t histogram_quantile(const struct histogram *h, int per_mille)
{
    int64_t total = histogram_total(h);
    if (total <= 0) {
        return 0;
    }
    int64_t wanted = total / 1000 * per_mille + (total % 1000 * per_mille + 999) / 1000;
    for (size_t i = 0; i < h->n; i++) {
        if (h->buckets[i].count >= wanted) {
            return h->buckets[i].bound;
        }
    }
    return INT64_MAX;
}

/* Times are in microseconds, when the name says so. */
static void add_bound(const struct histogram *h, struct buf *out, int64_t bound)
{
    if (!str_ends(h->name, STR("_us"))) {
        buf_printf(out, "%" PRId64, bound);
    } else if (bound < 1000) {
        buf_printf(out, "%" PRId64 " µs", bound);
    } else if (bound < 1000000) {
        buf_printf(out, "%" PRId64 ".%" PRId64 " ms", bound / 1000, bound % 1000 / 100);
    } else {
        buf_printf(out, "%" PRId64 ".%" PRId64 " s", bound / 1000000, bound % 1000000 / 100000);
    }
}

static void add_quantile(const struct histogram *h, struct buf *out, const char *what,
                         int per_mille)
{
    int64_t bound = histogram_quantile(h, per_mille);
    if (bound < INT64_MAX) {
        buf_printf(out, ", %s at most ", what);
        add_bound(h, out, bound);
    } else if (h->n > 1) {
        buf_printf(out, ", %s above ", what);
        add_bound(h, out, h->buckets[h->n - 2].bound);
    }
}

void histogram_text(const struct histogram *h, struct buf *out)
{
    buf_printf(out, "%" PRId64, histogram_total(h));
    if (histogram_total(h) > 0) {
        add_quantile(h, out, "half", 500);
        add_quantile(h, out, "99 %", 990);
    }
}
