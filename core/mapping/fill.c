#include "core/mapping/fill.h"

static enum err_code set_found(const struct run *r, struct event_builder *b,
                               const struct rule *rule, const struct found *v,
                               const struct spot *at, struct err *e)
{
    enum err_code rc = ERR_NONE;
    if (v->has == HAS_VALUE) {
        rc = event_set(b, rule->field, v->text, e);
    } else if (v->has == HAS_NULL && rule->nullable) {
        rc = event_null(b, rule->field, e);
    }
    if (rule->bad_left_out && (rc == ERR_VALUE || rc == ERR_LIMIT)) {
        return ERR_NONE; /* not one of the catalogue's codes, or too long */
    }
    return rc == ERR_NONE || rc == ERR_NOMEM || !v->path ? rc
                                                         : find_place(r, v->path, at->scope, e);
}

/* Rules for the same field are alternatives: the first that has something to say is heard. */
static enum err_code set_fields(const struct run *r, const struct event_rule *x,
                                const struct spot *at, struct event_builder *b, struct err *e)
{
    for (size_t i = 0; i < x->rule_count; i++) {
        struct found v;
        if (event_has(b, x->rules[i].field)) {
            continue;
        }
        enum err_code rc = find_value(r, &x->rules[i], at, &v, e);
        if (rc == ERR_NONE) {
            rc = set_found(r, b, &x->rules[i], &v, at, e);
        }
        if (rc != ERR_NONE) {
            return rc;
        }
    }
    return ERR_NONE;
}

static bool found_before(const struct list_rule *list, const struct found *found, size_t i)
{
    for (size_t n = 0; n < i; n++) {
        if (str_eq(list->rules[n].field, list->rules[i].field) && found[n].has != HAS_ABSENT) {
            return true;
        }
    }
    return false;
}

/* An item that lacks what the catalogue requires of it is no item: a telephone without a number. */
static bool complete(const struct list_rule *list, const struct found *found)
{
    for (size_t i = 0; list->field->items && i < list->field->item_count; i++) {
        const struct field *f = &list->field->items[i];
        bool there = !f->required;
        for (size_t n = 0; n < list->rule_count && !there; n++) {
            there = str_is(list->rules[n].field, f->name) &&
                    (found[n].has == HAS_VALUE || (found[n].has == HAS_NULL && f->nullable));
        }
        if (!there) {
            return false;
        }
    }
    return true;
}

static enum err_code set_item(const struct run *r, const struct list_rule *list,
                              const struct spot *at, struct event_builder *b, struct err *e)
{
    struct found *found = arena_array(r->a, list->rule_count, sizeof *found);
    enum err_code rc = found ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a list");
    for (size_t i = 0; i < list->rule_count && rc == ERR_NONE; i++) {
        if (!found_before(list, found, i)) {
            rc = find_value(r, &list->rules[i], at, &found[i], e);
        }
    }
    if (rc != ERR_NONE || !complete(list, found)) {
        return rc;
    }
    rc = event_item(b, list->name, e);
    for (size_t i = 0; i < list->rule_count && rc == ERR_NONE; i++) {
        const struct rule *rule = &list->rules[i];
        if (found[i].has == HAS_VALUE) {
            rc = event_item_set(b, rule->field, found[i].text, e);
        } else if (found[i].has == HAS_NULL && rule->nullable) {
            rc = event_item_null(b, rule->field, e);
        }
        if (rc != ERR_NONE && rc != ERR_NOMEM && found[i].path) {
            return find_place(r, found[i].path, at->scope, e);
        }
    }
    return rc;
}

static enum err_code set_lists(const struct run *r, const struct event_rule *x,
                               const struct spot *at, struct event_builder *b, struct err *e)
{
    for (size_t i = 0; i < x->list_count; i++) {
        const struct list_rule *list = &x->lists[i];
        unsigned count = record_count(r->record, list->each.paths[0], at->scope);
        for (unsigned n = 1; n <= count; n++) {
            struct repetition memory;
            struct spot inside = {find_scope(r, &list->each, n, at->scope, &memory), at->time};
            bool holds;
            enum err_code rc = find_holds(r, list->when, inside.scope, &holds, e);
            if (rc == ERR_NONE && holds) {
                rc = set_item(r, list, &inside, b, e);
            }
            if (rc != ERR_NONE) {
                return rc;
            }
        }
    }
    return ERR_NONE;
}

static enum err_code set_change(const struct run *r, const struct rule *rule, const struct found *v,
                                const struct spot *at, struct event_builder *b, struct err *e)
{
    enum err_code rc = event_item(b, STR("changed"), e);
    if (rc == ERR_NONE) {
        rc = event_item_set(b, STR("field"), rule->field, e);
    }
    if (rc == ERR_NONE) {
        rc = v->has == HAS_NULL ? event_item_null(b, STR("new"), e)
                                : event_item_set(b, STR("new"), v->text, e);
    }
    return rc == ERR_NONE || rc == ERR_NOMEM || !v->path ? rc
                                                         : find_place(r, v->path, at->scope, e);
}

static bool changed_before(const struct event_rule *x, const bool *set, size_t i)
{
    for (size_t n = 0; n < i; n++) {
        if (set[n] && str_eq(x->changed[n].rule.field, x->changed[i].rule.field)) {
            return true;
        }
    }
    return false;
}

/* What the message says about each field: a new value, "delete", or nothing. */
static enum err_code set_changed(const struct run *r, const struct event_rule *x,
                                 const struct spot *at, struct event_builder *b, bool *any,
                                 struct err *e)
{
    bool *set = arena_array(r->a, x->changed_count + 1, sizeof *set);
    if (!set) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a list");
    }
    for (size_t i = 0; i < x->changed_count; i++) {
        const struct changed_rule *c = &x->changed[i];
        unsigned count = c->each.count ? record_count(r->record, c->each.paths[0], at->scope) : 1;
        for (unsigned n = 1; n <= count && !changed_before(x, set, i) && !set[i]; n++) {
            struct repetition memory;
            struct spot inside = {find_scope(r, &c->each, n, at->scope, &memory), at->time};
            struct found v;
            enum err_code rc = find_value(r, &c->rule, &inside, &v, e);
            if (rc == ERR_NONE && v.has != HAS_ABSENT) {
                rc = set_change(r, &c->rule, &v, &inside, b, e);
                set[i] = *any = true;
            }
            if (rc != ERR_NONE) {
                return rc;
            }
        }
    }
    return ERR_NONE;
}

/* Says where a required value should have been. */
static enum err_code check_required(const struct run *r, const struct event_rule *x,
                                    const struct spot *at, const struct event_builder *b,
                                    struct err *e)
{
    for (size_t i = 0; i < x->type->field_count; i++) {
        const struct field *f = &x->type->fields[i];
        if (!f->required || event_has(b, str_of(f->name))) {
            continue;
        }
        enum err_code rc =
            ERR(e, ERR_REQUIRED, 0, "%s needs %s, and it is not here", x->type->name, f->name);
        for (size_t n = 0; n < x->rule_count; n++) {
            if (str_is(x->rules[n].field, f->name) && x->rules[n].source_count) {
                return find_place(r, x->rules[n].sources[0].path, at->scope, e);
            }
        }
        return rc;
    }
    return ERR_NONE;
}

enum err_code fill_event(const struct run *r, const struct event_rule *x, const struct spot *at,
                         struct event_builder *b, bool *any, struct err *e)
{
    *any = x->changed_count == 0;
    enum err_code rc = set_fields(r, x, at, b, e);
    if (rc == ERR_NONE) {
        rc = set_lists(r, x, at, b, e);
    }
    if (rc == ERR_NONE && x->changed_count) {
        rc = set_changed(r, x, at, b, any, e);
    }
    return rc == ERR_NONE && *any ? check_required(r, x, at, b, e) : rc;
}
