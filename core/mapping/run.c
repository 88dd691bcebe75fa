#include "core/mapping/fill.h"
#include "core/mapping/plan.h"

#include <string.h>

/* Events of one message while they are being made. */
struct making {
    struct run run;
    struct key_memory keys;
    struct mapped *out;
    struct event *events;
    size_t count, room;
    usec default_time;
};

/* ---- header ---- */

static enum err_code header(const struct run *r, enum header_path which, struct value *out,
                            struct err *e)
{
    enum err_code rc = record_get(r->record, r->a, r->set->header[which], NULL, out, e);
    out->text = str_trim(out->text);
    return rc;
}

/* True when a time of the header can be used. It may be missing or odd: then the next one is asked.
 */
static bool header_time(struct run *r, enum header_path which, struct hl7_time *out)
{
    struct value v;
    return header(r, which, &v, NULL) == ERR_NONE && v.has == HAS_VALUE &&
           hl7_time_parse(v.text, out, NULL) == ERR_NONE;
}

/*
 * When what a message tells happened, unless its mapping knows better: EVN-6 (event occurred),
 * EVN-2 (recorded), MSH-7 (written), else when we received it.
 */
static usec default_time(struct run *r, usec received_at)
{
    static const enum header_path order[] = {HEADER_OCCURRED, HEADER_RECORDED, HEADER_TIME};
    struct hl7_time t;
    struct convert_rules rules = {.as = CONVERT_TIME};
    if (header_time(r, HEADER_TIME, &t) && t.has_offset) {
        r->has_offset = true;
        r->offset = t.at.offset;
    }
    rules.has_offset = r->has_offset;
    rules.offset = r->offset;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (header_time(r, order[i], &t) && t.precision >= PRECISION_HOUR) {
            return hl7_time_instant(&t, &rules);
        }
    }
    return received_at;
}

/* ---- one event ---- */

static enum err_code patient_key(struct making *k, const struct mapping *m, const struct spot *at,
                                 const char *type, char out[KEY_TEXT], struct err *e)
{
    struct found v;
    enum err_code rc = find_value(&k->run, &m->patient, at, &v, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    if (v.has != HAS_VALUE) {
        ERR(e, ERR_REQUIRED, 0, "%s is about a patient, and no chart number is here", type);
        return m->patient.source_count
                   ? find_place(&k->run, m->patient.sources[0].path, at->scope, e)
                   : ERR_REQUIRED;
    }
    memcpy(out, v.text.p, KEY_TEXT - 1);
    out[KEY_TEXT - 1] = '\0';
    if (!k->out->patient[0]) {
        memcpy(k->out->patient, out, KEY_TEXT);
    }
    return ERR_NONE;
}

static struct event *new_event(struct making *k, struct err *e)
{
    if (k->count == MAPPING_EVENTS) {
        ERR(e, ERR_LIMIT, 0, "more than %d events from one message", MAPPING_EVENTS);
        return NULL;
    }
    if (k->count == k->room) {
        size_t room = k->room ? k->room * 2 : 4;
        struct event *more = arena_array(k->run.a, room, sizeof *more);
        if (!more) {
            ERR(e, ERR_NOMEM, 0, "no memory for an event");
            return NULL;
        }
        if (k->count) {
            memcpy(more, k->events, k->count * sizeof *more);
        }
        k->events = more;
        k->room = room;
    }
    return &k->events[k->count];
}

static enum err_code judge(const struct run *r, const struct verdict *v, size_t count,
                           const struct record_scope *scope, const struct verdict **out,
                           struct err *e)
{
    *out = NULL;
    for (size_t i = 0; i < count && !*out; i++) {
        bool holds;
        enum err_code rc = find_holds(r, v[i].when, scope, &holds, e);
        if (rc != ERR_NONE) {
            return rc;
        }
        *out = holds ? &v[i] : NULL;
    }
    return ERR_NONE;
}

static enum err_code check_refused(const struct run *r, const struct verdict *v, size_t count,
                                   const struct record_scope *scope, struct err *e)
{
    const struct verdict *refused;
    enum err_code rc = judge(r, v, count, scope, &refused, e);
    if (rc == ERR_NONE && refused) {
        ERR(e, ERR_VALUE, 0, "%s", refused->reason);
        rc = refused->at ? find_place(r, refused->at, scope, e) : ERR_VALUE;
    }
    return rc;
}

/*
 * The first of the paths that names a time. A day alone is that day's default time when it is the
 * same day, else its beginning.
 */
static enum err_code event_time(const struct making *k, const struct event_rule *x,
                                const struct record_scope *scope, usec *out, struct err *e)
{
    *out = k->default_time;
    for (size_t i = 0; i < x->time_count; i++) {
        struct value v;
        struct hl7_time t;
        enum err_code rc = find_text(&k->run, x->time[i], scope, &v, e);
        if (rc == ERR_NONE && v.has != HAS_VALUE) {
            continue;
        }
        if (rc == ERR_NONE) {
            rc = find_time(&k->run, v.text, &t, e);
        }
        if (rc != ERR_NONE) {
            return rc == ERR_NOMEM ? rc : find_place(&k->run, x->time[i], scope, e);
        }
        if (t.precision < PRECISION_DAY) {
            continue;
        }
        struct convert_rules rules = {.has_offset = k->run.has_offset, .offset = k->run.offset};
        bool same_day = t.precision == PRECISION_DAY &&
                        zone_day(*out) == day_of(t.at.year, t.at.month, t.at.day);
        *out = same_day ? *out : hl7_time_instant(&t, &rules);
        return ERR_NONE;
    }
    return ERR_NONE;
}

static enum err_code make_event(struct making *k, const struct mapping *m,
                                const struct event_rule *x, const struct record_scope *scope,
                                struct err *e)
{
    struct spot at = {scope, 0};
    struct event *event = new_event(k, e);
    struct event_builder *b = event ? event_new(k->run.a, x->type) : NULL;
    bool any = true;
    if (!b) {
        return event ? ERR(e, ERR_NOMEM, 0, "no memory for an event") : e->code;
    }
    *event = (struct event){.type = x->type, .test = k->out->test};
    enum err_code rc = check_refused(&k->run, x->refuse, x->refuse_count, scope, e);
    if (rc == ERR_NONE) {
        rc = event_time(k, x, scope, &at.time, e);
    }
    if (rc == ERR_NONE && x->type->subject) {
        rc = patient_key(k, m, &at, x->type->name, event->subject, e);
    }
    if (rc == ERR_NONE) {
        rc = fill_event(&k->run, x, &at, b, &any, e);
    }
    if (rc != ERR_NONE || !any) {
        return rc; /* an update that names nothing is no event */
    }
    rc = event_finish(b, event, e);
    if (rc == ERR_NONE) {
        event->time = at.time;
        key_event(k->run.context->keys, k->run.context->message_id, str_of(x->type->name),
                  (unsigned)k->count, event->id);
        k->count++;
    }
    return rc;
}

static enum err_code make_events(struct making *k, const struct mapping *m,
                                 const struct event_rule *x, struct err *e)
{
    unsigned count = x->each.count ? record_count(k->run.record, x->each.paths[0], NULL) : 1;
    enum err_code rc = ERR_NONE;
    for (unsigned n = 1; n <= count && rc == ERR_NONE; n++) {
        struct repetition memory;
        const struct record_scope *scope = find_scope(&k->run, &x->each, n, NULL, &memory);
        bool holds;
        rc = find_holds(&k->run, x->when, scope, &holds, e);
        if (rc == ERR_NONE && holds) {
            rc = make_event(k, m, x, scope, e);
        }
    }
    return rc;
}

/* ---- one mapping, and the set ---- */

static enum err_code add_label(struct making *k, const struct mapping *m, struct err *e)
{
    const struct str both[] = {str_of(k->out->mapping), STR("+"), str_of(m->label)};
    k->out->mapping = k->out->mapping ? arena_join(k->run.a, both, 3).p : m->label;
    return k->out->mapping ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a name");
}

static enum err_code run_mapping(struct making *k, const struct mapping *m, struct err *e)
{
    const struct verdict *ignored;
    bool test = false;
    enum err_code rc = judge(&k->run, m->ignore, m->ignore_count, NULL, &ignored, e);
    if (rc == ERR_NONE && m->test) {
        rc = find_holds(&k->run, m->test, NULL, &test, e);
    }
    if (rc != ERR_NONE) {
        return rc;
    }
    k->out->test = k->out->test || test;
    if (ignored) {
        k->out->reason = ignored->reason;
        return k->out->mapping ? ERR_NONE : add_label(k, m, e);
    }
    rc = check_refused(&k->run, m->refuse, m->refuse_count, NULL, e);
    size_t before = k->count;
    for (size_t i = 0; i < m->event_count && rc == ERR_NONE; i++) {
        if (!m->events[i].otherwise || k->count == before) {
            rc = make_events(k, m, &m->events[i], e);
        }
    }
    if (rc != ERR_NONE) {
        k->out->mapping = m->label; /* whose rule it was */
        return rc;
    }
    return k->count > before ? add_label(k, m, e) : ERR_NONE;
}

/* The type of a message. `exact`: its header says just that, at MSH-9. */
struct type {
    struct str code, trigger;
    bool exact;
};

/* What HL7 v2 says of a message in its header; other formats give their type themselves. */
static enum err_code read_header(struct making *k, struct type *type, struct err *e)
{
    struct value c, t, processing;
    enum err_code rc =
        record_get(k->run.record, k->run.a, k->run.set->header[HEADER_CODE], NULL, &c, e);
    if (rc == ERR_NONE) {
        rc = record_get(k->run.record, k->run.a, k->run.set->header[HEADER_TRIGGER], NULL, &t, e);
    }
    if (rc == ERR_NONE) {
        *type = (struct type){str_trim(c.text), str_trim(t.text), t.has == HAS_VALUE};
        type->exact = type->exact && type->code.n == c.text.n && type->trigger.n == t.text.n;
    }
    if (rc == ERR_NONE) {
        rc = header(&k->run, HEADER_PROCESSING, &processing, e);
    }
    if (rc != ERR_NONE) {
        return rc;
    }
    k->out->test = str_is(processing.text, "T") || str_is(processing.text, "D");
    k->default_time = default_time(&k->run, k->run.context->received_at);
    return ERR_NONE;
}

/* A row is for a mapping that finds the columns it requires: a folder may hold several lists. */
static bool meant_for(const struct making *k, const struct mapping *m, const struct type *type)
{
    enum record_format format = record_format(k->run.record);
    return m->names.format == format && plan_meant_for(m, type->code, type->trigger) &&
           (format != RECORD_TABLE || record_fits(k->run.record, m->names.headers));
}

/* Every mapping that is for this type; a plan has those ready. */
static enum err_code run_type(struct making *k, const struct type *type, bool *any, struct err *e)
{
    const struct mapping_set *set = k->run.set;
    const struct plan *plan = type->exact ? plan_find(set, type->code, type->trigger) : NULL;
    const struct mapping *const *mappings = plan ? plan->mappings : set->mappings;
    size_t count = plan ? plan->count : set->count;
    enum err_code rc = ERR_NONE;
    for (size_t i = 0; rc == ERR_NONE && i < count; i++) {
        if (plan || meant_for(k, mappings[i], type)) {
            *any = true;
            rc = run_mapping(k, mappings[i], e);
        }
    }
    return rc;
}

static enum err_code run_set(struct making *k, struct err *e)
{
    struct type type = {.exact = false};
    bool any = false;
    enum err_code rc = ERR_NONE;
    k->default_time = k->run.context->received_at;
    if (record_format(k->run.record) == RECORD_HL7) {
        rc = read_header(k, &type, e);
    } else {
        record_type(k->run.record, &type.code, &type.trigger);
    }
    if (rc == ERR_NONE) {
        rc = run_type(k, &type, &any, e);
    }
    if (rc == ERR_NONE && k->count == 0 && !k->out->reason) {
        k->out->reason = any ? "no rule applies" : "no mapping for this message type";
    }
    return rc;
}

enum err_code mapping_run(const struct mapping_set *m, const struct record *r,
                          const struct mapping_context *c, struct arena *a, struct mapped *out,
                          struct err *e)
{
    struct making k = {.run = {.set = m, .record = r, .context = c, .a = a}, .out = out};
    k.run.keys = &k.keys;
    k.run.year = record_format(r) == RECORD_TABLE ? zone_local(c->received_at).year : 0;
    struct err problem = {.code = ERR_NONE};
    *out = (struct mapped){.state = MAPPING_IGNORED};
    enum err_code rc = run_set(&k, &problem);
    if (rc == ERR_NOMEM) {
        if (e) {
            *e = problem;
        }
        return rc;
    }
    if (rc != ERR_NONE) {
        out->state = MAPPING_QUARANTINED;
        out->problem = problem;
        out->reason = NULL;
    } else if (k.count) {
        out->state = MAPPING_MAPPED;
        out->reason = NULL;
        out->events = k.events;
        out->count = k.count;
    }
    return ERR_NONE;
}
