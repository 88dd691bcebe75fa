#include "core/segment/change.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_CAP = 64, CAUSE_TEXT = 256 };

/* One difference, from whichever rows. */
struct change {
    const char *patient, *segment;
    int version;
    bool enters;
    const char *holds;               /* "{t,f,…}" or NULL */
    const char *because;             /* instead of conditions */
    const struct segment_rule *rule; /* NULL: removed */
    usec now;
    const struct change_cause *cause;
};

enum err_code change_init(struct change_list *l, const struct segment_settings *set,
                          struct arena *a, struct err *e)
{
    *l = (struct change_list){.set = set, .a = a};
    l->entered = catalogue_find(set->catalogue, STR("segment.entered"));
    l->exited = catalogue_find(set->catalogue, STR("segment.exited"));
    return l->entered && l->exited
               ? ERR_NONE
               : ERR(e, ERR_CONFIG, 0,
                     "the catalogue has no segment.entered or segment.exited: add them");
}

void change_reset(struct change_list *l)
{
    l->events = NULL;
    l->count = l->cap = 0;
}

static struct event *room(struct change_list *l)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : FIRST_CAP;
        struct event *events = arena_array(l->a, cap, sizeof *events);
        if (!events) {
            return NULL;
        }
        if (l->count > 0) {
            memcpy(events, l->events, l->count * sizeof *events);
        }
        l->events = events;
        l->cap = cap;
    }
    return &l->events[l->count];
}

static enum err_code add_reason(struct event_builder *b, const char *reason, struct err *e)
{
    enum err_code code = event_item(b, STR("reasons"), e);
    return code == ERR_NONE ? event_item_set(b, STR(""), str_of(reason), e) : code;
}

/* Why somebody is in: all conditions. Why somebody is out: those that do not hold. */
static enum err_code add_reasons(struct event_builder *b, const struct change *c, struct err *e)
{
    if (c->because) {
        return add_reason(b, c->because, e);
    }
    enum err_code code = ERR_NONE;
    for (size_t k = 0; code == ERR_NONE && k < c->rule->when_count; k++) {
        bool holds = c->holds[1 + 2 * k] == 't'; /* {t,f,t} */
        if (holds == c->enters) {
            code = add_reason(b, c->rule->whens[k].reason, e);
        }
    }
    return code;
}

static enum err_code payload(struct event_builder *b, const struct change *c, struct err *e)
{
    char text[CLOCK_TEXT], version[16];
    int n = snprintf(version, sizeof version, "%d", c->version);
    enum err_code code = event_set(b, STR("segment"), str_of(c->segment), e);
    if (code == ERR_NONE) {
        code = event_set(b, STR("rule_version"), (struct str){version, (size_t)n}, e);
    }
    if (code == ERR_NONE) {
        code = event_set(b, STR("at"), str_of(clock_text(c->now, text)), e);
    }
    return code == ERR_NONE ? add_reasons(b, c, e) : code;
}

/* The same cause gives the same id: repeated work adds nothing to the stream. */
static void identify(const struct change_list *l, const struct change *c, struct event *ev)
{
    char cause[CAUSE_TEXT], text[CLOCK_TEXT];
    int n = c->cause->event
                ? snprintf(cause, sizeof cause, "%s/%s/%s", c->cause->event, c->segment, c->patient)
                : snprintf(cause, sizeof cause, "%s/%s/%s/%s/%s", c->cause->name, l->set->site,
                           clock_text_utc(c->now, text), c->segment, c->patient);
    size_t used = n < (int)sizeof cause ? (size_t)n : sizeof cause - 1;
    key_event(l->set->keys, (struct str){cause, used}, str_of(ev->type->name), 0, ev->id);
}

static enum err_code put(struct change_list *l, const struct change *c, struct err *e)
{
    const struct event_type *type = c->enters ? l->entered : l->exited;
    struct event *slot = room(l), ev = {0};
    struct event_builder *b = event_new(l->a, type);
    if (!slot || !b) {
        return ERR(e, ERR_NOMEM, 0, "no memory for derived events");
    }
    enum err_code code = payload(b, c, e);
    if (code == ERR_NONE) {
        code = event_finish(b, &ev, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    ev.type = type;
    ev.time = c->now;
    ev.test = c->cause->test;
    ev.cause = c->cause->event ? arena_z(l->a, str_of(c->cause->event)) : NULL;
    snprintf(ev.subject, sizeof ev.subject, "%s", c->patient);
    identify(l, c, &ev);
    *slot = ev;
    l->count++;
    return ERR_NONE;
}

enum err_code change_add(struct change_list *l, const struct db_rows *rows, usec now,
                         const struct change_cause *cause, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        struct change c = {.patient = db_z(rows, i, 0),
                           .segment = db_z(rows, i, 1),
                           .enters = db_bool(rows, i, 2),
                           .holds = db_z(rows, i, 3),
                           .because = db_bool(rows, i, 4) ? "merged" : NULL,
                           .now = now,
                           .cause = cause};
        c.rule = segment_rule_find(l->set->rules, c.segment);
        if (!c.rule) {
            return ERR(e, ERR_BUG, 0, "a segment without a rule was evaluated");
        }
        c.version = c.rule->version;
        code = put(l, &c, e);
    }
    return code;
}

enum err_code change_removed(struct change_list *l, const struct db_rows *rows, usec now,
                             struct err *e)
{
    static const struct change_cause removed = {.name = "removed"};
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        struct change c = {.patient = db_z(rows, i, 0),
                           .segment = db_z(rows, i, 1),
                           .version = (int)db_i64(rows, i, 2),
                           .because = "segment-removed",
                           .now = now,
                           .cause = &removed};
        code = put(l, &c, e);
    }
    return code;
}
