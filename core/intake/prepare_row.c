#include "core/intake/prepare_internal.h"

#include "core/base/num.h"
#include "core/table/row.h"

/* A row's control id is DIGEST#NUMBER: its place is told with the number people look for. */
static void tell_row(const struct prepared *p, struct err *problem)
{
    size_t hash = str_find(p->control_id, '#', 0);
    struct str number = str_cut(p->control_id, hash + 1, p->control_id.n);
    int64_t row;
    if (num_i64(number, 1, INT64_MAX, &row, NULL) == ERR_NONE) {
        struct err column = *problem;
        err_at(problem, "row %.*s%s%s", STR_ARG(number), column.where[0] ? ", " : "", column.where);
    }
}

enum err_code prepare_row(const struct prepare_settings *s, struct arena *a, usec at,
                          struct prepared *p, struct err *e)
{
    struct row *row = arena_alloc(a, sizeof *row);
    struct err *problem = &p->mapped.problem;
    enum err_code code = row ? row_parse(a, p->raw, row, problem) : ERR_NOMEM;
    prepare_unread(s, p); /* the id: the same row again when all of its bytes are */
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    p->charset = "utf-8";
    if (code == ERR_NONE) {
        char *type = arena_printf(a, "row^%s", row_change_name(row->change));
        p->type = type ? str_of(type) : STR("");
        code = prepare_record(s, a, type ? record_of_row(a, row) : NULL, at, p, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    if (p->mapped.state == MAPPING_QUARANTINED) {
        tell_row(p, problem);
    }
    return ERR_NONE;
}
