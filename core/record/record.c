#include "core/record/record.h"

#include "core/hl7/hl7.h"

#include <string.h>

struct record_path {
    enum record_format format;
    struct str text;
    struct hl7_path hl7;
};

struct record {
    enum record_format format;
    const struct hl7_msg *hl7;
};

enum err_code record_path(struct arena *a, enum record_format f, struct str text,
                          const struct record_path **out, struct err *e)
{
    *out = NULL;
    struct record_path *p = arena_alloc(a, sizeof *p);
    struct str copy = arena_copy(a, text);
    if (!p || !copy.p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    p->format = f;
    p->text = copy;
    enum err_code code = hl7_path_parse(copy, &p->hl7, e);
    if (code == ERR_NONE) {
        *out = p;
    }
    return code;
}

struct str record_path_text(const struct record_path *p)
{
    return p->text;
}

const struct record *record_of_hl7(struct arena *a, const struct hl7_msg *m)
{
    struct record *r = arena_alloc(a, sizeof *r);
    if (r) {
        *r = (struct record){RECORD_HL7, m};
    }
    return r;
}

static void apply_segment(struct hl7_path *p, const struct record_scope *s)
{
    if (p->occ == 0) {
        p->occ = s->over->hl7.occ ? s->over->hl7.occ : s->index;
    }
}

static void apply_field(struct hl7_path *p, const struct record_scope *s)
{
    const struct hl7_path *over = &s->over->hl7;
    if (p->field != over->field || p->rep || p->choose || (p->occ && p->occ != over->occ)) {
        return;
    }
    p->occ = over->occ;
    p->choose = over->choose;
    p->chosen = over->chosen;
    if (!over->choose) {
        p->rep = over->rep ? over->rep : s->index;
    }
}

/* The path as it is meant inside its scopes, the innermost first. */
static struct hl7_path resolve(const struct hl7_path *path, const struct record_scope *scope)
{
    struct hl7_path p = *path;
    for (; scope; scope = scope->up) {
        const struct hl7_path *over = &scope->over->hl7;
        if (memcmp(p.segment, over->segment, 3) != 0) {
            continue;
        }
        if (over->field == 0) {
            apply_segment(&p, scope);
        } else {
            apply_field(&p, scope);
        }
    }
    return p;
}

unsigned record_count(const struct record *r, const struct record_path *over,
                      const struct record_scope *scope)
{
    struct hl7_path p = resolve(&over->hl7, scope);
    struct str ignored;
    if (p.rep || p.choose || (p.field == 0 && p.occ)) {
        p.comp = p.sub = 0;
        enum hl7_has has = hl7_get(r->hl7, &p, &ignored);
        return has == HL7_VALUE || has == HL7_NULL;
    }
    return p.field ? hl7_repetitions(r->hl7, &p) : hl7_occurrences(r->hl7, p.segment);
}

enum err_code record_get(const struct record *r, struct arena *a, const struct record_path *path,
                         const struct record_scope *scope, struct value *out, struct err *e)
{
    static const enum has has_of[] = {
        [HL7_ABSENT] = HAS_ABSENT,
        [HL7_EMPTY] = HAS_EMPTY,
        [HL7_NULL] = HAS_NULL,
        [HL7_VALUE] = HAS_VALUE,
    };
    struct hl7_path p = resolve(&path->hl7, scope);
    struct str escaped;
    enum hl7_has has = hl7_get(r->hl7, &p, &escaped);
    *out = (struct value){has_of[has], {"", 0}};
    /* MSH-1 and MSH-2 are delimiters, not text with delimiters in it. */
    if (has != HL7_VALUE || (p.field && p.field <= 2 && memcmp(p.segment + 1, "SH", 2) == 0)) {
        out->text = escaped;
        return ERR_NONE;
    }
    enum err_code code = hl7_unescape(a, r->hl7, escaped, &out->text, e);
    if (code != ERR_NONE) {
        char place[HL7_PLACE];
        *out = (struct value){HAS_ABSENT, {"", 0}};
        if (e) {
            e->pos += hl7_offset(r->hl7, escaped);
            err_at(e, "%s", hl7_path_text(&p, place));
        }
    }
    return code;
}
