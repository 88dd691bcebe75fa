#include "core/hl7/hl7.h"

#include "core/hl7/internal.h"

#include <string.h>

static const struct str nothing = {"", 0};

static bool is_null(struct str s)
{
    return s.n == 2 && s.p[0] == '"' && s.p[1] == '"';
}

static enum hl7_has classify(struct str s)
{
    return s.n == 0 ? HL7_EMPTY : is_null(s) ? HL7_NULL : HL7_VALUE;
}

/* MSH-1 and MSH-2, which are delimiters and not delimited. Field 2 begins right after field 1. */
static bool header_field(const struct hl7_msg *m, struct str seg, unsigned field, struct str *out)
{
    if (seg.n < 4) {
        return false;
    }
    *out = field == 1 ? str_cut(seg, 3, 4) : str_cut(seg, 4, str_find(seg, m->d.field, 4));
    return true;
}

/* Finds the ends of the fields up to `n`, as far as a segment keeps them. */
static bool find_ends(const struct hl7_msg *m, struct hl7_seg *s, struct str seg, size_t n)
{
    if (!s->ends) {
        s->ends = arena_array(m->arena, seg.n < FIELDS_KEPT ? seg.n : FIELDS_KEPT, sizeof *s->ends);
    }
    size_t end = s->known ? s->ends[s->known - 1] : 3;
    while (s->ends && s->known <= n && s->known < FIELDS_KEPT && end < seg.n) {
        end = str_find(seg, m->d.field, end + 1);
        if (end > UINT16_MAX) {
            break;
        }
        s->ends[s->known++] = (uint16_t)end;
    }
    return n < s->known;
}

/* A field behind those that are kept, by walking on from the last of them or the last one asked. */
static bool walk_to_field(const struct hl7_msg *m, size_t index, size_t n, struct str *out)
{
    struct hl7_memory *c = m->memory;
    const struct hl7_seg *s = &m->segs[index];
    struct str seg = hl7_segment(m, index);
    if (c->segment != index || c->field > n) {
        size_t last = s->known ? s->known - 1 : 0;
        c->segment = index;
        c->field = last;
        c->from = last ? s->ends[last - 1] + (size_t)1 : 4;
        c->to = str_find(seg, m->d.field, c->from);
    }
    while (c->field < n) {
        if (c->to >= seg.n) {
            return false;
        }
        c->from = c->to + 1;
        c->to = str_find(seg, m->d.field, c->from);
        c->field++;
    }
    *out = str_cut(seg, c->from, c->to);
    return true;
}

/* Field `field` of a segment, with all its repetitions. */
static bool field_at(const struct hl7_msg *m, size_t index, unsigned field, struct str *out)
{
    struct hl7_seg *s = &m->segs[index];
    struct str seg = hl7_segment(m, index);
    bool header = hl7_is_header(s->name);
    if (header && field <= 2) {
        return header_field(m, seg, field, out);
    }
    if (seg.n < 4) {
        return false;
    }
    size_t n = header ? field - 2 : field - 1;
    if (n >= s->known && !find_ends(m, s, seg, n)) {
        return walk_to_field(m, index, n, out);
    }
    *out = str_cut(seg, n ? s->ends[n - 1] + (size_t)1 : 4, s->ends[n]);
    return true;
}

/* Repetition `rep` (from 1); its cursor works like the one for fields. */
static bool repetition_at(const struct hl7_msg *m, struct str field, unsigned rep, struct str *out)
{
    struct hl7_memory *c = m->memory;
    size_t at = hl7_offset(m, field);
    if (c->rep_field != at || c->rep > rep) {
        c->rep_field = at;
        c->rep = 1;
        c->rep_from = 0;
    }
    size_t end = str_find(field, m->d.repetition, c->rep_from);
    while (c->rep < rep) {
        if (end >= field.n) {
            return false;
        }
        c->rep_from = end + 1;
        c->rep++;
        end = str_find(field, m->d.repetition, c->rep_from);
    }
    *out = str_cut(field, c->rep_from, end);
    return true;
}

/* Piece n (from 1) between separators; without a separator the whole is piece 1. */
static bool piece_at(struct str in, char separator, unsigned n, struct str *out)
{
    size_t from = 0, end = separator ? str_find(in, separator, 0) : in.n;
    for (; n > 1; n--) {
        if (end >= in.n) {
            return false;
        }
        from = end + 1;
        end = str_find(in, separator, from);
    }
    *out = str_cut(in, from, end);
    return true;
}

static bool component_is(const struct hl7_msg *m, struct str rep, unsigned n, struct str want)
{
    struct str comp, plain;
    if (!piece_at(rep, m->d.component, n, &comp)) {
        return false;
    }
    if (!m->d.escape || !memchr(comp.p, m->d.escape, comp.n)) {
        return str_eq(comp, want);
    }
    return hl7_unescape(m->arena, m, comp, &plain, NULL) == ERR_NONE && str_eq(plain, want);
}

static bool choose(const struct hl7_msg *m, const struct hl7_path *at, struct str field,
                   struct str *out)
{
    for (size_t from = 0; from <= field.n;) {
        size_t end = str_find(field, m->d.repetition, from);
        *out = str_cut(field, from, end);
        if (component_is(m, *out, at->choose, at->chosen)) {
            return true;
        }
        from = end + 1;
    }
    return false;
}

/* Below a field that is not null: repetition, component, subcomponent. */
static enum hl7_has get_below(const struct hl7_msg *m, const struct hl7_path *at, struct str field,
                              struct str *out)
{
    struct str s = str_cut(field, 0, str_find(field, m->d.repetition, 0));
    if ((at->choose && !choose(m, at, field, &s)) ||
        (at->rep > 1 && !repetition_at(m, field, at->rep, &s))) {
        return HL7_ABSENT;
    }
    unsigned comp = at->comp ? at->comp : at->sub ? 1 : 0;
    if (comp) {
        if (is_null(s)) {
            return HL7_NULL;
        }
        if (!piece_at(s, m->d.component, comp, &s)) {
            return HL7_ABSENT;
        }
    }
    if (at->sub) {
        if (is_null(s)) {
            return HL7_NULL;
        }
        if (!piece_at(s, m->d.sub, at->sub, &s)) {
            return HL7_ABSENT;
        }
    }
    enum hl7_has has = classify(s);
    if (has == HL7_VALUE) {
        *out = s;
    }
    return has;
}

enum hl7_has hl7_get(const struct hl7_msg *m, const struct hl7_path *at, struct str *out)
{
    *out = nothing;
    uint32_t name = hl7_name(at->segment);
    size_t index = hl7_find(m, name, at->occ);
    if (index == m->count) {
        return HL7_ABSENT;
    }
    if (at->field == 0) {
        *out = hl7_segment(m, index);
        return HL7_VALUE;
    }
    struct str field;
    if (!field_at(m, index, at->field, &field)) {
        return HL7_ABSENT;
    }
    if (at->field <= 2 && hl7_is_header(name)) {
        bool other = at->rep > 1 || at->comp > 1 || at->sub > 1 || at->choose;
        enum hl7_has has = other ? HL7_ABSENT : classify(field);
        *out = has == HL7_VALUE ? field : nothing;
        return has;
    }
    return is_null(field) ? HL7_NULL : get_below(m, at, field, out);
}

unsigned hl7_repetitions(const struct hl7_msg *m, const struct hl7_path *at)
{
    uint32_t name = hl7_name(at->segment);
    size_t index = hl7_find(m, name, at->occ);
    struct str field;
    if (index == m->count || at->field == 0 || !field_at(m, index, at->field, &field) ||
        field.n == 0) {
        return 0;
    }
    unsigned n = 1;
    if (at->field > 2 || !hl7_is_header(name)) {
        for (size_t i = 0; (i = str_find(field, m->d.repetition, i)) < field.n; i++) {
            n++;
        }
    }
    return n;
}

unsigned hl7_fields(const struct hl7_msg *m, size_t index)
{
    struct str seg = hl7_segment(m, index);
    if (seg.n < 4) {
        return 0;
    }
    unsigned n = hl7_is_header(m->segs[index].name) ? 2 : 1;
    for (size_t i = 4; (i = str_find(seg, m->d.field, i)) < seg.n; i++) {
        n++;
    }
    return n;
}

/* A field of the header, which is the first segment. */
static struct str value_at(const struct hl7_msg *m, unsigned field, unsigned comp)
{
    const struct hl7_path at = {.segment = "MSH", .field = field, .comp = comp};
    struct str whole, out = nothing;
    if (field_at(m, 0, field, &whole) && !is_null(whole)) {
        get_below(m, &at, whole, &out);
    }
    return out;
}

void hl7_header(const struct hl7_msg *m, struct hl7_header *out)
{
    *out = (struct hl7_header){
        .sending_app = value_at(m, 3, 0),
        .sending_facility = value_at(m, 4, 0),
        .receiving_app = value_at(m, 5, 0),
        .receiving_facility = value_at(m, 6, 0),
        .time = value_at(m, 7, 0),
    };
    out->code = value_at(m, 9, 1);
    out->trigger = value_at(m, 9, 2);
    out->structure = value_at(m, 9, 3);
    out->control_id = value_at(m, 10, 0);
    out->processing_id = value_at(m, 11, 1);
    out->version = value_at(m, 12, 1);
    out->sequence = value_at(m, 13, 0);
    out->accept_ack = value_at(m, 15, 0);
    out->application_ack = value_at(m, 16, 0);
    out->charset = value_at(m, 18, 0);
}
