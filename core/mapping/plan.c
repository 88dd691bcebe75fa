#include "core/mapping/plan.h"

#include <stdlib.h>

bool plan_meant_for(const struct mapping *m, struct str code, struct str trigger)
{
    for (size_t i = 0; i < m->type_count; i++) {
        const struct message_type *t = &m->types[i];
        if (str_eq(t->code, code) && (str_is(t->trigger, "*") || str_eq(t->trigger, trigger))) {
            return true;
        }
    }
    return false;
}

/* ---- one mapping for one type ---- */

struct planner {
    struct arena *a;
    struct expr_known known[3]; /* MSH-9.1, MSH-9.2 */
    bool failed;
};

/* False: it never holds. A condition that always does is left out. */
static bool may_hold(struct planner *p, const struct expr **when)
{
    const struct expr *left;
    enum truth settled;
    if (!*when) {
        return true;
    }
    if (expr_given(p->a, *when, p->known, &left, &settled) != ERR_NONE) {
        p->failed = true;
        return false;
    }
    *when = settled == TRUTH_TRUE ? NULL : left;
    return settled != TRUTH_FALSE;
}

static const struct verdict *plan_verdicts(struct planner *p, const struct verdict *v, size_t count,
                                           size_t *left)
{
    struct verdict *out = arena_array(p->a, count + 1, sizeof *out);
    *left = 0;
    for (size_t i = 0; i < count && out; i++) {
        out[*left] = v[i];
        *left += may_hold(p, &out[*left].when);
    }
    p->failed = p->failed || !out;
    return out;
}

/* Inside "for each MSH-9" a path to MSH-9.2 would mean another repetition. */
static bool repeats_header(const struct each *each)
{
    bool found = false;
    for (size_t i = 0; i < each->count; i++) {
        found = found || str_starts(record_path_text(each->paths[i]), STR("MSH"));
    }
    return found;
}

static const struct event_rule *plan_events(struct planner *p, const struct mapping *m,
                                            size_t *left)
{
    struct event_rule *out = arena_array(p->a, m->event_count + 1, sizeof *out);
    *left = 0;
    for (size_t i = 0; i < m->event_count && out; i++) {
        out[*left] = m->events[i];
        *left += repeats_header(&m->events[i].each) || may_hold(p, &out[*left].when);
    }
    p->failed = p->failed || !out;
    return out;
}

static const struct mapping *plan_mapping(struct planner *p, const struct mapping *m)
{
    struct mapping *out = arena_alloc(p->a, sizeof *out);
    if (!out) {
        p->failed = true;
        return NULL;
    }
    *out = *m;
    out->ignore = plan_verdicts(p, m->ignore, m->ignore_count, &out->ignore_count);
    out->refuse = plan_verdicts(p, m->refuse, m->refuse_count, &out->refuse_count);
    out->events = plan_events(p, m, &out->event_count);
    return out;
}

/* ---- all types of a set ---- */

static bool plan_type(const struct mapping_set *m, const struct message_type *t, struct plan *out)
{
    struct planner p = {.a = m->arena, .known = {{"MSH-9.1", t->code}, {"MSH-9.2", t->trigger}}};
    *out = (struct plan){t->code, t->trigger, arena_array(m->arena, m->count, sizeof(void *)), 0};
    for (size_t i = 0; i < m->count && out->mappings; i++) {
        const struct mapping *one = m->mappings[i];
        if (one->names.format == RECORD_HL7 && plan_meant_for(one, t->code, t->trigger)) {
            out->mappings[out->count++] = plan_mapping(&p, one);
        }
    }
    return out->mappings && !p.failed;
}

static int by_type(const void *a, const void *b)
{
    const struct plan *x = a, *y = b;
    int order = str_cmp(x->trigger, y->trigger);
    return order ? order : str_cmp(x->code, y->code);
}

static bool planned(const struct plan *plans, size_t count, const struct message_type *t)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(plans[i].code, t->code) && str_eq(plans[i].trigger, t->trigger)) {
            return true;
        }
    }
    return false;
}

bool plan_all(struct mapping_set *m)
{
    size_t most = 1;
    for (size_t i = 0; i < m->count; i++) {
        most += m->mappings[i]->type_count;
    }
    struct plan *plans = arena_array(m->arena, most, sizeof *plans);
    for (size_t i = 0; i < m->count && plans; i++) {
        const struct mapping *one = m->mappings[i];
        for (size_t k = 0; one->names.format == RECORD_HL7 && k < one->type_count; k++) {
            const struct message_type *t = &one->types[k];
            if (str_is(t->trigger, "*") || planned(plans, m->plan_count, t)) {
                continue;
            }
            if (!plan_type(m, t, &plans[m->plan_count++])) {
                return false;
            }
        }
    }
    if (plans) {
        qsort(plans, m->plan_count, sizeof *plans, by_type);
    }
    m->plans = plans;
    return plans != NULL;
}

const struct plan *plan_find(const struct mapping_set *m, struct str code, struct str trigger)
{
    const struct plan wanted = {.code = code, .trigger = trigger};
    return bsearch(&wanted, m->plans, m->plan_count, sizeof *m->plans, by_type);
}
