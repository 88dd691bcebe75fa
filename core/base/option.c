#include "core/base/option.h"

#include "core/base/num.h"

#include <string.h>

const struct option_row *option_find(const struct option_row *rows, struct str name)
{
    for (; rows->name; rows++) {
        if (str_is(name, rows->name)) {
            return rows;
        }
    }
    return NULL;
}

static enum err_code set_bool(struct str value, bool *out, struct err *e)
{
    bool yes = str_is(value, "yes");
    if (!yes && !str_is(value, "no")) {
        return ERR(e, ERR_VALUE, 0, "must be yes or no");
    }
    *out = yes;
    return ERR_NONE;
}

enum err_code option_set(struct arena *a, const struct option_row *row, void *options,
                         struct str value, struct err *e)
{
    void *at = (char *)options + row->offset;
    switch (row->type) {
    case OPTION_TEXT:
    case OPTION_PATH: {
        const char *z = arena_z(a, value);
        if (!z) {
            return ERR(e, ERR_NOMEM, 0, "no memory");
        }
        memcpy(at, &z, sizeof z);
        return ERR_NONE;
    }
    case OPTION_INT:
        return num_i64(value, row->min, row->max, at, e);
    case OPTION_SIZE:
        return num_size(value, row->min, row->max, at, e);
    case OPTION_MS:
        return num_ms(value, row->min, row->max, at, e);
    case OPTION_BOOL:
        return set_bool(value, at, e);
    }
    return ERR(e, ERR_BUG, 0, "unknown option type");
}

void option_defaults(const struct option_row *rows, void *options)
{
    for (; rows->name; rows++) {
        void *at = (char *)options + rows->offset;
        if (!rows->dflt) {
            continue;
        }
        if (rows->type == OPTION_TEXT || rows->type == OPTION_PATH) {
            memcpy(at, &rows->dflt, sizeof rows->dflt);
        } else {
            option_set(NULL, rows, options, str_of(rows->dflt), NULL);
        }
    }
}

void option_print(FILE *to, const char *element, const struct option_row *rows)
{
    fprintf(to, "<%s>\n", element);
    for (; rows->name; rows++) {
        const char *dflt = !rows->dflt ? "required" : rows->dflt[0] ? rows->dflt : "none";
        fprintf(to, "  %-20s %-22s %s\n", rows->name, dflt, rows->help);
    }
}
