#include "core/record/record_internal.h"

#include "core/xml/tree.h"

#include <stdio.h>
#include <string.h>

struct xml_record_path {
    struct record_path base;
    const struct xml_path *xml;
};

/*
 * What "for each" runs over, remembered: every path inside it asks for the same nodes again. One
 * list per nesting is enough, since turns follow each other.
 */
struct turn {
    const struct record_path *over;
    const struct xml_node *from;
    struct xml_result found;
};
enum { TURNS = 4 };

struct xml_record {
    struct record base;
    const struct xml_tree *tree;
    struct arena *arena;
    struct turn *turns;
    unsigned next; /* the oldest turn */
};

static const struct xml_path *path_of(const struct record_path *p)
{
    return ((const struct xml_record_path *)p)->xml;
}

static const struct xml_record *record_of(const struct record *r)
{
    return (const struct xml_record *)r;
}

static enum err_code compile(struct arena *a, const struct record_names *names, struct str text,
                             const struct record_path **out, struct err *e)
{
    struct xml_record_path *p = arena_alloc(a, sizeof *p);
    if (!p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    p->base = (struct record_path){RECORD_XML, text};
    *out = &p->base;
    return xml_path_compile(a, names->xml, text, &p->xml, e);
}

const struct record *record_of_xml(struct arena *a, const struct xml_tree *t)
{
    struct xml_record *r = arena_alloc(a, sizeof *r);
    if (r) {
        r->turns = arena_array(a, TURNS, sizeof *r->turns);
    }
    if (!r || !r->turns) {
        return NULL;
    }
    r->base.format = RECORD_XML;
    r->base.code = str_of(xml_name(xml_tree_subject(t)));
    r->base.trigger = (struct str){"", 0};
    r->tree = t;
    r->arena = a;
    return &r->base;
}

/* ---- where a path begins ---- */

static enum err_code find_context(const struct xml_record *r, const struct record_scope *scope,
                                  const struct xml_node **out, struct err *e);

/* All nodes that "for each over" runs over. */
static enum err_code find_turns(const struct xml_record *record, const struct record_path *over,
                                const struct record_scope *up, const struct xml_result **out,
                                struct err *e)
{
    union {
        const struct xml_record *given;
        struct xml_record *own; /* what it remembers changes nothing that is seen */
    } r = {record};
    const struct xml_node *from;
    enum err_code code = find_context(record, up, &from, e);
    if (code != ERR_NONE) {
        return code;
    }
    for (unsigned i = 0; i < TURNS; i++) {
        if (record->turns[i].over == over && record->turns[i].from == from) {
            *out = &record->turns[i].found;
            return ERR_NONE;
        }
    }
    struct turn *t = &r.own->turns[r.own->next++ % TURNS];
    *t = (struct turn){.over = NULL};
    if (from) {
        code = xml_path_find(record->tree, path_of(over), from, record->arena, &t->found, e);
    }
    if (code == ERR_NONE) {
        t->over = over;
        t->from = from;
    }
    *out = &t->found;
    return code;
}

/* The node of this turn; NULL when there are not so many. */
static enum err_code find_context(const struct xml_record *r, const struct record_scope *scope,
                                  const struct xml_node **out, struct err *e)
{
    const struct xml_result *turns;
    *out = xml_tree_subject(r->tree);
    if (!scope) {
        return ERR_NONE;
    }
    enum err_code code = find_turns(r, scope->over, scope->up, &turns, e);
    if (code == ERR_NONE) {
        size_t i = scope->index ? scope->index - 1 : 0;
        *out = i < turns->count ? turns->nodes[i] : NULL;
    }
    return code;
}

static unsigned count(const struct record *r, const struct record_path *over,
                      const struct record_scope *scope)
{
    const struct xml_result *turns;
    return find_turns(record_of(r), over, scope, &turns, NULL) == ERR_NONE ? (unsigned)turns->count
                                                                           : 0;
}

/* ---- values ---- */

static struct value value_of(const struct xml_node *n, struct arena *a)
{
    struct str text = xml_value(n, a);
    if (str_trim(text).n) {
        return (struct value){HAS_VALUE, text};
    }
    return (struct value){xml_element_attr(n, "nullFlavor") ? HAS_ABSENT : HAS_EMPTY, {"", 0}};
}

static enum err_code get(const struct record *record, struct arena *a,
                         const struct record_path *path, const struct record_scope *scope,
                         struct value *out, struct err *e)
{
    const struct xml_record *r = record_of(record);
    const struct xml_node *from;
    struct xml_result found = {.text = {"", 0}};
    *out = (struct value){HAS_ABSENT, {"", 0}};
    enum err_code code = find_context(r, scope, &from, e);
    if (code == ERR_NONE && from) {
        code = xml_path_find(r->tree, path_of(path), from, a, &found, e);
    }
    if (code != ERR_NONE) {
        err_at(e, "%.*s", STR_ARG(path->text));
    } else if (found.computed && found.text.n) {
        *out = (struct value){HAS_VALUE, found.text};
    } else if (found.count) {
        *out = value_of(found.nodes[0], a);
    }
    return code;
}

static size_t name_end(struct str s, size_t from)
{
    while (from < s.n && s.p[from] > ' ' && !strchr("/:|()[]@=,'\"*", s.p[from])) {
        from++;
    }
    return from;
}

/* A path as people name it: without choices, prefixes and axes. */
static struct str plain_text(struct str text, char *out)
{
    size_t n = 0, depth = 0;
    for (size_t i = 0; i < text.n;) {
        size_t end = name_end(text, i);
        size_t colons = end < text.n && text.p[end] == ':' ? 1U : 0U;
        depth += text.p[i] == '[';
        if (depth) {
            depth -= text.p[i] == ']';
            i++;
        } else if (end > i && colons) {
            i = end + colons + (end + 1 < text.n && text.p[end + 1] == ':');
        } else {
            end = end > i ? end : i + 1;
            memcpy(out + n, text.p + i, end - i);
            n += end - i;
            i = end;
        }
    }
    return (struct str){out, n};
}

/* The node itself, or where the path begins and the end of its text. */
static const char *place(const struct record *record, const struct record_path *path,
                         const struct record_scope *scope, char out[RECORD_PLACE])
{
    const struct xml_record *r = record_of(record);
    const struct xml_node *from = NULL;
    struct xml_result found = {.count = 0};
    _Static_assert((int)RECORD_PLACE >= (int)XML_PLACE, "a place of a document fits");
    if (find_context(r, scope, &from, NULL) == ERR_NONE && from) {
        xml_path_find(r->tree, path_of(path), from, r->arena, &found, NULL);
    }
    if (found.count) {
        return xml_place(r->tree, found.nodes[0], out);
    }
    char where[XML_PLACE] = "", *shorter = arena_alloc(r->arena, path->text.n + 1);
    struct str text = shorter ? plain_text(path->text, shorter) : path->text;
    if (scope && from) {
        xml_place(r->tree, from, where);
    }
    size_t room = RECORD_PLACE - strlen(where) - 3;
    bool cut = text.n > room;
    if (cut) { /* its end says more than its beginning */
        text = room > 20 ? str_cut(text, text.n - room + 3, text.n) : (struct str){"", 0};
        while (text.n && ((unsigned char)text.p[0] & 0xc0) == 0x80) {
            text = str_cut(text, 1, text.n);
        }
    }
    snprintf(out, RECORD_PLACE, "%s%s%s%.*s", where, where[0] && text.n ? ": " : "",
             cut && text.n ? "…" : "", STR_ARG(text));
    return out;
}

const struct record_ops record_xml_ops = {
    .compile = compile, .count = count, .get = get, .place = place};
