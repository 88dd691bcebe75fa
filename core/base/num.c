#include "core/base/num.h"

#include <inttypes.h>
#include <stdio.h>

/* Digits from *at on; false without one or when it would overflow. */
static bool read_digits(struct str s, size_t *at, uint64_t *out)
{
    uint64_t v = 0;
    size_t from = *at;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++) {
        uint64_t d = (uint64_t)(s.p[*at] - '0');
        if (v > (UINT64_C(1) << 62) / 10) {
            return false;
        }
        v = v * 10 + d;
    }
    *out = v;
    return *at > from;
}

static enum err_code in_range(int64_t v, int64_t min, int64_t max, int64_t *out, struct err *e)
{
    if (v < min || v > max) {
        return ERR(e, ERR_LIMIT, 0, "number must lie between %" PRId64 " and %" PRId64, min, max);
    }
    *out = v;
    return ERR_NONE;
}

enum err_code num_i64(struct str s, int64_t min, int64_t max, int64_t *out, struct err *e)
{
    size_t at = 0;
    bool minus = s.n > 0 && s.p[0] == '-';
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
        at = 1;
    }
    uint64_t v;
    if (!read_digits(s, &at, &v) || at != s.n) {
        return ERR(e, ERR_VALUE, at, "not a whole number");
    }
    return in_range(minus ? -(int64_t)v : (int64_t)v, min, max, out, e);
}

struct unit {
    const char *name;
    int64_t factor;
};

/* As people write it: in the largest unit of which it is a whole number. */
static const char *as_people(int64_t v, const struct unit *units, char out[32])
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name; u++) {
        best = v && v % u->factor == 0 ? u : best;
    }
    snprintf(out, 32, "%" PRId64 "%s", v / best->factor, best->name);
    return out;
}

/* `which`: the names of the units. */
static enum err_code with_unit(struct str s, const struct unit *units, const char *which,
                               int64_t min, int64_t max, int64_t *out, struct err *e)
{
    char low[32], high[32];
    size_t at = 0;
    uint64_t v;
    if (!read_digits(s, &at, &v)) {
        return ERR(e, ERR_VALUE, at, "not a number");
    }
    struct str rest = str_cut(s, at, s.n);
    for (const struct unit *u = units; u->name; u++) {
        if (str_same(rest, str_of(u->name))) {
            if (v > (uint64_t)(INT64_MAX / u->factor)) {
                return ERR(e, ERR_LIMIT, 0, "number is too large");
            }
            return in_range((int64_t)v * u->factor, min, max, out, NULL) == ERR_NONE
                       ? ERR_NONE
                       : ERR(e, ERR_LIMIT, 0, "must lie between %s and %s",
                             as_people(min, units, low), as_people(max, units, high));
        }
    }
    return ERR(e, ERR_VALUE, at, "the unit behind the number is %s", which);
}

enum err_code num_size(struct str s, int64_t min, int64_t max, int64_t *out, struct err *e)
{
    static const struct unit units[] = {
        {"", 1}, {"k", 1024}, {"m", 1024 * 1024}, {"g", 1024 * 1024 * 1024}, {NULL, 0}};
    return with_unit(s, units, "k, m or g (none: bytes)", min, max, out, e);
}

enum err_code num_ms(struct str s, int64_t min, int64_t max, int64_t *out, struct err *e)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return with_unit(s, units, "ms, s, m, h or d", min, max, out, e);
}

struct str num_text(int64_t n, int width, char out[NUM_TEXT])
{
    uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
    char *end = out + NUM_TEXT, *to = end;
    do {
        *--to = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest || end - to < width);
    if (n < 0) {
        *--to = '-';
    }
    return (struct str){to, (size_t)(end - to)};
}
