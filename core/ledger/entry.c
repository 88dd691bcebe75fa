#include "core/ledger/entry.h"

#include "core/base/num.h"

struct str entry_kind(struct str body)
{
    return str_cut(body, 0, str_find(body, ' ', 0));
}

struct str entry_get(struct str body, const char *key)
{
    struct str rest = body, piece, name = str_of(key);
    while (str_next(&rest, ' ', &piece)) {
        if (piece.n > name.n && piece.p[name.n] == '=' && str_starts(piece, name)) {
            struct str value = str_cut(piece, name.n + 1, piece.n);
            return str_is(value, "-") ? STR("") : value;
        }
    }
    return STR("");
}

static int64_t positive(struct str s)
{
    int64_t v = 0;
    return num_i64(s, 1, INT64_MAX, &v, NULL) == ERR_NONE ? v : 0;
}

int64_t entry_number(struct str body, const char *key)
{
    return positive(entry_get(body, key));
}

bool entry_range(struct str body, const char *key, int64_t *first, int64_t *last)
{
    struct str value = entry_get(body, key);
    size_t dash = str_find(value, '-', 0);
    *first = positive(str_cut(value, 0, dash));
    *last = dash < value.n ? positive(str_cut(value, dash + 1, value.n)) : *first;
    return *first > 0 && *last >= *first;
}
