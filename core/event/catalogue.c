#include "core/event/event.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "core/xml/xml.h"

#include <stdlib.h>
#include <string.h>

static const char schema_file[] = "config/schemas/catalogue.rng";

struct code_list {
    const char *name;
    int line;
    const char *const *values;
    bool used;
};

struct catalogue {
    struct arena *arena;
    struct event_type *types; /* in the order of the file */
    const struct event_type **by_name;
    size_t count;
};

/* What is needed while loading. */
struct loader {
    struct arena *a;
    struct problems *p;
    const char *path;
    struct code_list *lists;
    size_t list_count;
    bool out_of_memory;
};

static size_t count_children(const struct xml_node *n, const char *name)
{
    size_t count = 0;
    for (const struct xml_node *c = xml_child(n, name); c; c = xml_sibling(c, name)) {
        count++;
    }
    return count;
}

static void *array(struct loader *l, size_t n, size_t size)
{
    void *p = arena_array(l->a, n ? n : 1, size);
    l->out_of_memory |= !p;
    return p;
}

static const char *keep(struct loader *l, const char *text)
{
    const char *z = arena_z(l->a, str_of(text));
    l->out_of_memory |= !z;
    return z ? z : "";
}

/* An attribute that the schema asks for; "" when the file is invalid anyway. */
static const char *attr(const struct xml_node *n, const char *name)
{
    return xml_attr_or(n, name, "");
}

static bool yes(const struct xml_node *n, const char *name, const char *dflt)
{
    return strcmp(xml_attr_or(n, name, dflt), "yes") == 0;
}

static const char *const *load_values(struct loader *l, const struct xml_node *n)
{
    struct str rest = str_of(attr(n, "values")), word;
    const char **values = array(l, rest.n + 1, sizeof *values);
    size_t count = 0;
    while (values && str_next(&rest, ' ', &word)) {
        word = str_trim(word);
        if (word.n == 0) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (str_is(word, values[i])) {
                problem_add(l->p, l->path, xml_line(n), "code list %s has %s twice: remove one",
                            attr(n, "name"), values[i]);
            }
        }
        const char *z = arena_z(l->a, word);
        l->out_of_memory |= !z;
        values[count++] = z ? z : "";
    }
    if (count == 0) {
        problem_add(l->p, l->path, xml_line(n),
                    "code list %s is empty: give it values, separated by blanks", attr(n, "name"));
    }
    return values;
}

static struct code_list *find_list(const struct loader *l, const char *name)
{
    for (size_t i = 0; i < l->list_count; i++) {
        if (strcmp(l->lists[i].name, name) == 0) {
            return &l->lists[i];
        }
    }
    return NULL;
}

static void load_lists(struct loader *l, const struct xml_node *root)
{
    l->lists = array(l, count_children(root, "codes"), sizeof *l->lists);
    const struct xml_node *n = l->lists ? xml_child(root, "codes") : NULL;
    for (; n; n = xml_sibling(n, "codes")) {
        const struct code_list *other = find_list(l, attr(n, "name"));
        if (other) {
            problem_add(l->p, l->path, xml_line(n),
                        "code list %s is already on line %d: rename or remove one", other->name,
                        other->line);
            continue;
        }
        l->lists[l->list_count++] =
            (struct code_list){keep(l, attr(n, "name")), xml_line(n), load_values(l, n), false};
    }
}

static bool kind_named(const char *name, enum kind *out)
{
    static const char *const names[] = {
        [KIND_KEY] = "key",   [KIND_STR] = "str",   [KIND_CODE] = "code",
        [KIND_DATE] = "date", [KIND_TS] = "ts",     [KIND_INT] = "int",
        [KIND_KRW] = "krw",   [KIND_BOOL] = "bool", [KIND_LIST] = "list",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum kind)i;
            return true;
        }
    }
    return false;
}

static enum kind load_kind(struct loader *l, const struct xml_node *n, const char *attribute)
{
    enum kind kind = KIND_STR;
    if (!kind_named(attr(n, attribute), &kind)) {
        problem_add(l->p, l->path, xml_line(n),
                    "field %s: no kind %s (key, str, code, date, ts, int, krw, bool or list)",
                    attr(n, "name"), attr(n, attribute));
    }
    return kind;
}

static enum class load_class(struct loader *l, const struct xml_node *n) {
    const char *text = attr(n, "class"); if (strcmp(text, "P4") == 0){
        problem_add(l->p, l->path, xml_line(n),
                    "field %s is of class P4: a unique identifier never enters an event, remove it",
                    attr(n, "name"));}
else if (text[0] != 'P' || text[1] < '0' || text[1] > '3' || text[2])
{
    problem_add(l->p, l->path, xml_line(n), "field %s: no class %s (P0, P1, P2 or P3)",
                attr(n, "name"), text);
}
else
{
    return (enum class)(text[1] - '0');
}
return CLASS_P3;
}

static void load_codes(struct loader *l, const struct xml_node *n, struct field *f)
{
    const char *name = xml_attr(n, "codes");
    enum kind kind = f->kind == KIND_LIST ? f->item_kind : f->kind;
    if (!name) {
        return;
    }
    struct code_list *list = find_list(l, name);
    if (kind != KIND_CODE) {
        problem_add(l->p, l->path, xml_line(n), "field %s: only a code has codes", f->name);
    } else if (!list) {
        problem_add(l->p, l->path, xml_line(n),
                    "field %s: no code list %s (declare it at the top of the file)", f->name, name);
    } else {
        list->used = true;
        f->codes = list->values;
    }
}

/* What field and item have in common; an item has the class of its list. */
static void load_value(struct loader *l, const struct xml_node *n, struct field *f)
{
    f->name = keep(l, attr(n, "name"));
    f->name_n = strlen(f->name);
    f->title = keep(l, attr(n, "title"));
    f->kind = load_kind(l, n, "kind");
    f->required = yes(n, "required", "no");
    f->nullable = yes(n, "nullable", "no");
    f->event_id = xml_attr(n, "names") != NULL;
    if (f->event_id && f->kind != KIND_KEY) {
        problem_add(l->p, l->path, xml_line(n), "field %s: only a key can name an event", f->name);
    }
}

static void load_items(struct loader *l, const struct xml_node *n, struct field *f)
{
    size_t count = count_children(n, "item");
    struct field *items = array(l, count, sizeof *items);
    if (count > EVENT_FIELDS) {
        problem_add(l->p, l->path, xml_line(n), "field %s: more than %d fields in an item", f->name,
                    EVENT_FIELDS);
    }
    const struct xml_node *c = items ? xml_child(n, "item") : NULL;
    for (; c; c = xml_sibling(c, "item")) {
        struct field *item = &items[f->item_count];
        load_value(l, c, item);
        item->class = f->class;
        if (item->kind == KIND_LIST) {
            problem_add(l->p, l->path, xml_line(c), "item %s: a list cannot hold lists",
                        item->name);
        }
        for (size_t i = 0; i < f->item_count; i++) {
            if (strcmp(items[i].name, item->name) == 0) {
                problem_add(l->p, l->path, xml_line(c), "field %s has item %s twice: rename one",
                            f->name, item->name);
            }
        }
        load_codes(l, c, item);
        f->item_count++;
    }
    f->items = items;
}

static void load_list_kind(struct loader *l, const struct xml_node *n, struct field *f)
{
    bool has_items = xml_child(n, "item") != NULL;
    bool has_of = xml_attr(n, "of") != NULL;
    if (f->kind != KIND_LIST) {
        if (has_items || has_of) {
            problem_add(l->p, l->path, xml_line(n), "field %s: only a list has items", f->name);
        }
        return;
    }
    if (f->nullable) {
        problem_add(l->p, l->path, xml_line(n), "field %s: a list cannot be null", f->name);
    }
    if (has_items == has_of) {
        problem_add(l->p, l->path, xml_line(n),
                    "list %s needs either item elements or of=\"kind\" for plain values", f->name);
    } else if (has_items) {
        load_items(l, n, f);
    } else {
        f->item_kind = load_kind(l, n, "of");
        if (f->item_kind == KIND_LIST) {
            problem_add(l->p, l->path, xml_line(n), "field %s: a list cannot hold lists", f->name);
        }
    }
}

static void load_fields(struct loader *l, const struct xml_node *n, struct event_type *t)
{
    struct field *fields = array(l, count_children(n, "field"), sizeof *fields);
    const struct xml_node *c = fields ? xml_child(n, "field") : NULL;
    t->class = CLASS_P0;
    for (; c; c = xml_sibling(c, "field")) {
        struct field *f = &fields[t->field_count];
        load_value(l, c, f);
        f->class = load_class(l, c);
        load_list_kind(l, c, f);
        load_codes(l, c, f);
        for (size_t i = 0; i < t->field_count; i++) {
            if (strcmp(fields[i].name, f->name) == 0) {
                problem_add(l->p, l->path, xml_line(c), "%s has field %s twice: rename one",
                            t->name, f->name);
            }
        }
        if (f->class > t->class) {
            t->class = f->class;
        }
        t->field_count++;
    }
    t->fields = fields;
    if (t->field_count > EVENT_FIELDS) {
        problem_add(l->p, l->path, xml_line(n), "%s has more than %d fields", t->name,
                    EVENT_FIELDS);
    }
}

static void load_type(struct loader *l, const struct xml_node *n, struct event_type *t)
{
    int64_t schema = 0;
    t->name = keep(l, attr(n, "type"));
    t->title = keep(l, attr(n, "title"));
    t->subject = yes(n, "subject", "yes");
    if (num_i64(str_of(attr(n, "schema")), 1, 10000, &schema, NULL) != ERR_NONE) {
        problem_add(l->p, l->path, xml_line(n), "%s: schema must be a number from 1 to 10000",
                    t->name);
    }
    t->schema = (int)schema;
    load_fields(l, n, t);
    if (t->class == CLASS_P0 && t->subject) {
        problem_add(l->p, l->path, xml_line(n),
                    "%s has only fields of class P0: say subject=\"no\", or give it a person",
                    t->name);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct event_type *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void load_types(struct loader *l, const struct xml_node *root, struct catalogue *c)
{
    size_t count = count_children(root, "event");
    c->types = array(l, count, sizeof *c->types);
    c->by_name = array(l, count, sizeof *c->by_name);
    if (!c->types || !c->by_name) {
        return;
    }
    for (const struct xml_node *n = xml_child(root, "event"); n; n = xml_sibling(n, "event")) {
        struct event_type *t = &c->types[c->count];
        load_type(l, n, t);
        for (size_t i = 0; i < c->count; i++) {
            if (strcmp(c->types[i].name, t->name) == 0) {
                problem_add(l->p, l->path, xml_line(n), "event %s is there twice: remove one",
                            t->name);
            }
        }
        c->by_name[c->count++] = t;
    }
    qsort(c->by_name, c->count, sizeof *c->by_name, by_name);
}

static void report_unused(const struct loader *l)
{
    for (size_t i = 0; i < l->list_count; i++) {
        if (!l->lists[i].used) {
            problem_add(l->p, l->path, l->lists[i].line, "no field uses code list %s: remove it",
                        l->lists[i].name);
        }
    }
}

struct catalogue *catalogue_load(const char *path, struct problems *p)
{
    size_t before = p->count;
    struct catalogue *c = calloc(1, sizeof *c);
    struct arena *a = arena_new(0);
    struct xml_doc *doc = c && a ? xml_load(path, schema_file, p) : NULL;
    struct loader l = {.a = a, .p = p, .path = path, .out_of_memory = !c || !a};
    if (doc) {
        c->arena = a;
        load_lists(&l, xml_root(doc));
        load_types(&l, xml_root(doc), c);
        report_unused(&l);
    }
    if (l.out_of_memory) {
        problem_add(p, path, 0, "out of memory");
    }
    xml_free(&doc);
    if (p->count > before || !c || !c->arena) {
        arena_free(&a);
        free(c);
        return NULL;
    }
    return c;
}

void catalogue_free(struct catalogue **c)
{
    if (*c) {
        arena_free(&(*c)->arena);
        free(*c);
        *c = NULL;
    }
}

const struct event_type *catalogue_find(const struct catalogue *c, struct str name)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = str_cmp(str_of(c->by_name[mid]->name), name);
        if (order == 0) {
            return c->by_name[mid];
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

size_t catalogue_count(const struct catalogue *c)
{
    return c->count;
}

const struct event_type *catalogue_at(const struct catalogue *c, size_t i)
{
    return &c->types[i];
}

const struct field *field_find(const struct event_type *t, struct str name)
{
    for (size_t i = 0; i < t->field_count; i++) {
        if (str_eq(name, field_name(&t->fields[i]))) {
            return &t->fields[i];
        }
    }
    return NULL;
}
