#include "core/mapping/load.h"

#include <string.h>

static const struct field *item_of(const struct field *list, struct str name)
{
    for (size_t i = 0; i < list->item_count && list->items; i++) {
        if (str_is(name, list->items[i].name)) {
            return &list->items[i];
        }
    }
    return NULL;
}

static bool has_rule(const struct rule *rules, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_is(rules[i].field, name)) {
            return true;
        }
    }
    return false;
}

static void load_fields(struct loader *l, const struct xml_node *n, struct event_rule *out)
{
    struct rule *rules = arena_array(l->a, load_count(n, "field") + 1, sizeof *rules);
    for (const struct xml_node *c = xml_child(n, "field"); c && rules;
         c = xml_sibling(c, "field")) {
        const char *name = xml_attr_or(c, "name", "");
        const struct field *f = field_find(out->type, str_of(name));
        if (!f) {
            PROBLEM(l, c, "%s has no field \"%s\" (see the catalogue)", out->type->name, name);
        } else if (f->kind == KIND_LIST) {
            PROBLEM(l, c, "%s is a list: write <list name=\"%s\" each=\"…\">", name, name);
        } else {
            load_value(l, c, f, &rules[out->rule_count++]);
        }
    }
    out->rules = rules;
}

static void load_list(struct loader *l, const struct xml_node *n, const struct event_type *type,
                      struct list_rule *out)
{
    const char *name = xml_attr_or(n, "name", "");
    const struct field *f = field_find(type, str_of(name));
    load_each(l, n, &out->each);
    out->when = load_when(l, n);
    if (!f || f->kind != KIND_LIST) {
        PROBLEM(l, n, "%s has no list \"%s\" (see the catalogue)", type->name, name);
        return;
    }
    out->name = str_of(f->name);
    out->field = f;
    struct rule *rules = arena_array(l->a, load_count(n, "field") + 1, sizeof *rules);
    for (const struct xml_node *c = xml_child(n, "field"); c && rules;
         c = xml_sibling(c, "field")) {
        const char *member = xml_attr_or(c, "name", "");
        struct field *plain = NULL;
        const struct field *item = item_of(f, str_of(member));
        if (!f->items && strcmp(member, f->name) == 0 &&
            (plain = arena_alloc(l->a, sizeof *plain))) {
            *plain = (struct field){.name = "", .kind = f->item_kind, .codes = f->codes};
            item = plain; /* a list of plain values: its own name stands for the value */
        }
        if (!item) {
            PROBLEM(l, c, "items of %s have no field \"%s\" (see the catalogue)", f->name, member);
        } else {
            load_value(l, c, item, &rules[out->rule_count++]);
        }
    }
    out->rules = rules;
    for (size_t i = 0; f->items && i < f->item_count; i++) {
        if (f->items[i].required && !has_rule(rules, out->rule_count, f->items[i].name)) {
            PROBLEM(l, n, "items of %s need a field %s", f->name, f->items[i].name);
        }
    }
}

static void load_lists(struct loader *l, const struct xml_node *n, struct event_rule *out)
{
    struct list_rule *lists = arena_array(l->a, load_count(n, "list") + 1, sizeof *lists);
    for (const struct xml_node *c = xml_child(n, "list"); c && lists; c = xml_sibling(c, "list")) {
        load_list(l, c, out->type, &lists[out->list_count++]);
    }
    out->lists = lists;
}

/* The list "changed": one item {field, new} per element. */
static void load_changed(struct loader *l, const struct xml_node *n, struct event_rule *out)
{
    size_t count = load_count(n, "changed");
    if (count == 0) {
        return;
    }
    const struct field *list = field_find(out->type, STR("changed"));
    const struct field *field = list ? item_of(list, STR("field")) : NULL;
    const struct field *value = list ? item_of(list, STR("new")) : NULL;
    struct changed_rule *changed = arena_array(l->a, count, sizeof *changed);
    if (!field || !value || !changed) {
        PROBLEM(l, n, "%s has no list of changes: <changed> is for patient.updated",
                out->type->name);
        return;
    }
    for (const struct xml_node *c = xml_child(n, "changed"); c; c = xml_sibling(c, "changed")) {
        struct changed_rule *r = &changed[out->changed_count++];
        const char *name = xml_attr_or(c, "field", "");
        load_each(l, c, &r->each);
        load_value(l, c, value, &r->rule);
        r->rule.field = arena_copy(l->a, str_of(name));
        bool known = !field->codes;
        for (size_t i = 0; field->codes && field->codes[i] && !known; i++) {
            known = strcmp(field->codes[i], name) == 0;
        }
        if (!known) {
            PROBLEM(l, c, "\"%s\" is not a field of a patient (see the catalogue)", name);
        }
    }
    out->changed = changed;
}

/* A field that the catalogue requires needs a rule; whether it finds a value is seen per message.
 */
static void check_required(struct loader *l, const struct xml_node *n, const struct event_rule *r)
{
    for (size_t i = 0; i < r->type->field_count; i++) {
        const struct field *f = &r->type->fields[i];
        bool there = has_rule(r->rules, r->rule_count, f->name) ||
                     (strcmp(f->name, "changed") == 0 && r->changed_count > 0);
        for (size_t k = 0; k < r->list_count; k++) {
            there = there || str_is(r->lists[k].name, f->name);
        }
        if (f->required && !there) {
            PROBLEM(l, n, "%s needs %s: add <%s name=\"%s\" …/>", r->type->name, f->name,
                    f->kind == KIND_LIST ? "list" : "field", f->name);
        }
    }
}

void load_event(struct loader *l, const struct xml_node *n, struct event_rule *out)
{
    const char *type = xml_attr_or(n, "type", "");
    out->type = catalogue_find(l->catalogue, str_of(type));
    out->when = load_when(l, n);
    out->otherwise = strcmp(xml_attr_or(n, "otherwise", "no"), "yes") == 0;
    load_each(l, n, &out->each);
    if (xml_attr(n, "time")) {
        load_paths(l, n, xml_attr(n, "time"), &out->time, &out->time_count);
    }
    out->refuse = load_verdicts(l, n, "refuse", &out->refuse_count);
    if (!out->type) {
        PROBLEM(l, n, "there is no event type \"%s\" in the catalogue", type);
        return;
    }
    load_fields(l, n, out);
    load_lists(l, n, out);
    load_changed(l, n, out);
    check_required(l, n, out);
}
