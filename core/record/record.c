#include "core/record/record.h"

#include "core/record/record_internal.h"

static const struct record_ops *const ops[] = {
    [RECORD_HL7] = &record_hl7_ops,
    [RECORD_TABLE] = &record_table_ops,
    [RECORD_XML] = &record_xml_ops,
};

enum err_code record_path(struct arena *a, const struct record_names *names, struct str text,
                          const struct record_path **out, struct err *e)
{
    const struct record_path *p = NULL;
    struct str copy = arena_copy(a, text);
    *out = NULL;
    if (!copy.p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    enum err_code code = ops[names->format]->compile(a, names, copy, &p, e);
    if (code == ERR_NONE) {
        *out = p;
    }
    return code;
}

struct str record_path_text(const struct record_path *p)
{
    return p->text;
}

enum record_format record_format(const struct record *r)
{
    return r->format;
}

void record_type(const struct record *r, struct str *code, struct str *trigger)
{
    *code = r->code;
    *trigger = r->trigger;
}

unsigned record_count(const struct record *r, const struct record_path *over,
                      const struct record_scope *scope)
{
    return ops[r->format]->count(r, over, scope);
}

unsigned record_beside(const struct record *r, const struct record_path *const *paths, size_t count,
                       size_t which, unsigned index)
{
    return which && ops[r->format]->beside ? ops[r->format]->beside(r, paths, count, which, index)
                                           : index;
}

enum err_code record_get(const struct record *r, struct arena *a, const struct record_path *p,
                         const struct record_scope *scope, struct value *out, struct err *e)
{
    return ops[r->format]->get(r, a, p, scope, out, e);
}

const char *record_place(const struct record *r, const struct record_path *p,
                         const struct record_scope *scope, char out[RECORD_PLACE])
{
    return ops[r->format]->place(r, p, scope, out);
}
