#include "core/record/record_internal.h"

#include "core/hl7/hl7.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

const struct record_names record_hl7 = {.format = RECORD_HL7};

struct hl7_record_path {
    struct record_path base;
    struct hl7_path hl7;
};

struct hl7_record {
    struct record base;
    const struct hl7_msg *msg;
};

static const struct hl7_path *path_of(const struct record_path *p)
{
    return &((const struct hl7_record_path *)p)->hl7;
}

static const struct hl7_msg *msg_of(const struct record *r)
{
    return ((const struct hl7_record *)r)->msg;
}

static enum err_code compile(struct arena *a, const struct record_names *names, struct str text,
                             const struct record_path **out, struct err *e)
{
    struct hl7_record_path *p = arena_alloc(a, sizeof *p);
    (void)names;
    if (!p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    p->base = (struct record_path){RECORD_HL7, text};
    *out = &p->base;
    return hl7_path_parse(text, &p->hl7, e);
}

const struct record *record_of_hl7(struct arena *a, const struct hl7_msg *m)
{
    struct hl7_record *r = arena_alloc(a, sizeof *r);
    if (!r) {
        return NULL;
    }
    *r = (struct hl7_record){.base = {.format = RECORD_HL7}, .msg = m};
    return &r->base;
}

static void apply_segment(struct hl7_path *p, const struct record_scope *s)
{
    if (p->occ == 0) {
        p->occ = path_of(s->over)->occ ? path_of(s->over)->occ : s->index;
    }
}

static void apply_field(struct hl7_path *p, const struct record_scope *s)
{
    const struct hl7_path *over = path_of(s->over);
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

/* Segments that say who the patient is, and what of him all that follows is about. */
static bool of_patient(const struct hl7_path *p)
{
    static const char names[][4] = {"PID", "PD1", "PV1", "PV2"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        found = found || memcmp(p->segment, names[i], 3) == 0;
    }
    return found;
}

/*
 * A message may be about several patients, whose PID stands before what is theirs (ORU). Inside
 * "for each OBR" it is the one before that OBR; his PV1 stands behind his PID, or is absent.
 */
static unsigned patient_at(const struct hl7_msg *m, const struct hl7_path *path,
                           const struct record_scope *scope)
{
    while (scope && (path_of(scope->over)->field || of_patient(path_of(scope->over)))) {
        scope = scope->up;
    }
    if (!scope || hl7_occurrences(m, "PID") < 2) {
        return 0;
    }
    const struct hl7_path *over = path_of(scope->over);
    unsigned occ = over->occ ? over->occ : scope->index;
    unsigned pid = hl7_before(m, "PID", over->segment, occ);
    unsigned n = hl7_before(m, path->segment, over->segment, occ);
    bool his = memcmp(path->segment, "PID", 3) == 0 ||
               (n && hl7_before(m, "PID", path->segment, n) == pid);
    return his && n ? n : UINT_MAX;
}

/* The path as it is meant inside its scopes, the innermost first: itself, or changed in `memory`.
 */
static const struct hl7_path *resolve(const struct hl7_msg *m, const struct hl7_path *path,
                                      const struct record_scope *scope, struct hl7_path *memory)
{
    const struct hl7_path *p = path;
    const struct record_scope *all = scope;
    for (; scope; scope = scope->up) {
        const struct hl7_path *over = path_of(scope->over);
        if (memcmp(path->segment, over->segment, 3) != 0) {
            continue;
        }
        if (p == path) {
            *memory = *path;
            p = memory;
        }
        if (over->field == 0) {
            apply_segment(memory, scope);
        } else {
            apply_field(memory, scope);
        }
    }
    if (all && p->occ == 0 && of_patient(p)) {
        *memory = *p;
        memory->occ = patient_at(m, path, all);
        p = memory;
    }
    return p;
}

static unsigned count(const struct record *r, const struct record_path *over,
                      const struct record_scope *scope)
{
    struct hl7_path memory, whole;
    const struct hl7_path *p = resolve(msg_of(r), path_of(over), scope, &memory);
    struct str ignored;
    if (p->rep || p->choose || (p->field == 0 && p->occ)) {
        whole = *p;
        whole.comp = whole.sub = 0;
        enum hl7_has has = hl7_get(msg_of(r), &whole, &ignored);
        return has == HL7_VALUE || has == HL7_NULL;
    }
    return p->field ? hl7_repetitions(msg_of(r), p) : hl7_occurrences(msg_of(r), p->segment);
}

/* All of the one stand behind all of the other, or before them, and there are as many. */
static bool not_grouped(const struct hl7_msg *m, const char lead[4], const char own[4])
{
    unsigned leads = hl7_occurrences(m, lead), owns = hl7_occurrences(m, own);
    return leads == owns &&
           (hl7_before(m, own, lead, leads) == 0 || hl7_before(m, own, lead, 1) == owns);
}

static const char *opener_of(const struct hl7_msg *m, const struct record_path *const *paths,
                             size_t count)
{
    const char *first = path_of(paths[0])->segment;
    for (size_t i = 1; i < count; i++) {
        const char *other = path_of(paths[i])->segment;
        first = hl7_before(m, other, first, 1) ? other : first;
    }
    return first;
}

static unsigned beside(const struct record *r, const struct record_path *const *paths, size_t count,
                       size_t which, unsigned index)
{
    const struct hl7_msg *m = msg_of(r);
    const struct hl7_path *a = path_of(paths[0]), *b = path_of(paths[which]);
    if (a->field || b->field || a->occ || b->occ || not_grouped(m, a->segment, b->segment)) {
        return index;
    }
    const char *lead = a->segment, *own = b->segment, *opener = opener_of(m, paths, count);
    bool leads = memcmp(opener, lead, 3) == 0;
    unsigned group = leads ? index : hl7_before(m, opener, lead, index);
    bool opened =
        leads || (group && (index == 1 || hl7_before(m, opener, lead, index - 1) < group));
    unsigned from = opened ? hl7_before(m, own, opener, group) : hl7_before(m, own, lead, index);
    unsigned next = hl7_before(m, own, opener, group + 1), to = hl7_before(m, own, lead, index + 1);
    to = next < to ? next : to;
    return from < to ? from + 1 : hl7_occurrences(m, own) + 1;
}

/* MSH-1 and MSH-2 are delimiters, not text with delimiters in it. */
static bool is_delimiters(const struct hl7_path *p)
{
    return p->field && p->field <= 2 && memcmp(p->segment + 1, "SH", 2) == 0;
}

/*
 * Before 2.2 MSH-9 was the type alone: what happened stands in EVN-1, and of orders and results,
 * which have no EVN, there was one kind each.
 */
static enum hl7_has trigger(const struct hl7_msg *m, struct str *out)
{
    static const struct hl7_path evn = {.segment = "EVN", .field = 1, .comp = 1};
    static const struct hl7_path msh = {.segment = "MSH", .field = 9, .comp = 1};
    enum hl7_has has = hl7_get(m, &evn, out);
    struct str type;
    if (has == HL7_ABSENT && hl7_get(m, &msh, &type) == HL7_VALUE) {
        *out = str_is(type, "ORM") ? STR("O01") : str_is(type, "ORU") ? STR("R01") : *out;
        has = out->n ? HL7_VALUE : HL7_ABSENT;
    }
    return has;
}

static bool is_trigger(const struct hl7_path *p)
{
    return p->field == 9 && p->comp == 2 && p->occ <= 1 && p->rep <= 1 && p->sub <= 1 &&
           !p->choose && memcmp(p->segment, "MSH", 3) == 0;
}

static enum err_code get(const struct record *r, struct arena *a, const struct record_path *path,
                         const struct record_scope *scope, struct value *out, struct err *e)
{
    static const enum has has_of[] = {
        [HL7_ABSENT] = HAS_ABSENT,
        [HL7_EMPTY] = HAS_EMPTY,
        [HL7_NULL] = HAS_NULL,
        [HL7_VALUE] = HAS_VALUE,
    };
    struct hl7_path memory;
    const struct hl7_path *p = resolve(msg_of(r), path_of(path), scope, &memory);
    struct str escaped;
    enum hl7_has has = hl7_get(msg_of(r), p, &escaped);
    if ((has == HL7_ABSENT || has == HL7_EMPTY) && is_trigger(p)) {
        has = trigger(msg_of(r), &escaped);
    }
    *out = (struct value){has_of[has], escaped};
    if (has != HL7_VALUE || !hl7_has_escapes(msg_of(r)) || is_delimiters(p)) {
        return ERR_NONE;
    }
    enum err_code code = hl7_unescape(a, msg_of(r), escaped, &out->text, e);
    if (code != ERR_NONE) {
        char place[HL7_PLACE];
        *out = (struct value){HAS_ABSENT, {"", 0}};
        if (e) {
            e->pos += hl7_offset(msg_of(r), escaped);
            err_at(e, "%s", hl7_path_text(p, place));
        }
    }
    return code;
}

static const char *place(const struct record *r, const struct record_path *p,
                         const struct record_scope *scope, char out[RECORD_PLACE])
{
    struct str text = p->text;
    size_t choice = str_find(text, '[', 0), end = str_find(text, ']', choice);
    struct hl7_path memory;
    const struct hl7_path *path = resolve(msg_of(r), path_of(p), scope, &memory);
    if (of_patient(path) && path->occ > 1 && path->occ < UINT_MAX) {
        return hl7_path_text(path, out); /* of the patient whose turn it is */
    }
    if (end < text.n) { /* the place of PID-3[5='MR'].1 is PID-3.1 */
        struct str below = str_cut(text, end + 1, text.n);
        snprintf(out, RECORD_PLACE, "%.*s%.*s", (int)choice, text.p, STR_ARG(below));
        return out;
    }
    snprintf(out, RECORD_PLACE, "%.*s", STR_ARG(text));
    for (const struct record_scope *s = scope; s; s = s->up) {
        struct str over = s->over->text;
        bool below = text.n == over.n || (text.n > over.n && strchr("-.[", text.p[over.n]));
        if (below && str_starts(text, over)) {
            struct str rest = str_cut(text, over.n, text.n);
            snprintf(out, RECORD_PLACE, "%.*s(%u)%.*s", STR_ARG(over), s->index, STR_ARG(rest));
            break;
        }
    }
    return out;
}

const struct record_ops record_hl7_ops = {
    .compile = compile, .count = count, .get = get, .beside = beside, .place = place};
