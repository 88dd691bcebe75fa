#include "core/hl7/v2xml.h"

#include "core/hl7/internal.h"

#include "core/base/num.h"

#include <stdlib.h>
#include <string.h>

#define V2XML "urn:hl7-org:v2xml"

enum { MAX_NUMBER = 999, LEVELS = 3 }; /* field, component, subcomponent */

struct writing {
    struct arena *arena;
    const struct xml_tree *tree;
    struct buf out;
    struct hl7_delimiters d;
};

/* One child with the number in its name. */
struct numbered {
    const struct xml_node *node;
    unsigned number, order;
};

static enum err_code bad(const struct writing *w, const struct xml_node *n, enum err_code code,
                         const char *what, struct err *e)
{
    char place[XML_PLACE];
    ERR(e, code, 0, "%s", what);
    return err_at(e, "%s", xml_place(w->tree, n, place));
}

/* ---- is it one? ---- */

static bool is_message(const struct xml_node *n)
{
    const struct xml_node *first = n ? xml_child(n, NULL) : NULL;
    return n && (strcmp(xml_namespace(n), V2XML) == 0 ||
                 (first && strcmp(xml_name(first), "MSH") == 0 && !*xml_namespace(n)));
}

static const struct xml_node *message_of(const struct xml_tree *t)
{
    const struct xml_node *n = xml_tree_root(t);
    if (strcmp(xml_name(n), "Envelope") == 0) {
        n = xml_child(n, "Body");
        n = n ? xml_child(n, NULL) : NULL;
    }
    return is_message(n) ? n : NULL;
}

bool hl7_is_v2xml(const struct xml_tree *t)
{
    return message_of(t) != NULL;
}

/* ---- values ---- */

static bool is_escape(const struct xml_node *n)
{
    return strcmp(xml_name(n), "escape") == 0;
}

static bool has_parts(const struct xml_node *n)
{
    const struct xml_node *c = xml_child(n, NULL);
    while (c && is_escape(c)) {
        c = xml_sibling(c, NULL);
    }
    return c != NULL;
}

/* Indentation is no part of a value; blanks that somebody typed are. */
static struct str without_indent(struct str s)
{
    struct str t = str_trim(s);
    size_t before = t.n ? (size_t)(t.p - s.p) : s.n;
    bool indented =
        memchr(s.p, '\n', before) || memchr(s.p + before + t.n, '\n', s.n - before - t.n);
    return indented ? t : s;
}

static enum err_code put_escape(struct writing *w, const struct xml_node *n, struct err *e)
{
    struct str code = str_of(xml_attr_or(n, "V", ""));
    if (!w->d.escape || !hl7_plausible(code)) {
        return bad(w, n, ERR_SYNTAX, "an escape that HL7 cannot write", e);
    }
    buf_addc(&w->out, w->d.escape);
    buf_add(&w->out, code);
    buf_addc(&w->out, w->d.escape);
    return ERR_NONE;
}

static enum err_code put_leaf(struct writing *w, const struct xml_node *n, struct err *e)
{
    enum err_code code = ERR_NONE;
    const struct xml_node *escape = xml_child(n, NULL);
    if (!escape) {
        struct str text = without_indent(xml_value(n, w->arena));
        if (str_is(text, "\"\"")) {
            buf_add(&w->out, text);
            return ERR_NONE;
        }
        code = hl7_escape_into(&w->out, w->d, CHARSET_UTF8, text, e);
    }
    for (struct xml_piece p = {.node = NULL}; escape && code == ERR_NONE && xml_pieces(n, &p);) {
        code = p.element ? put_escape(w, p.element, e)
                         : hl7_escape_into(&w->out, w->d, CHARSET_UTF8, p.text, e);
    }
    if (code == ERR_NOMEM && !buf_ok(&w->out)) {
        code = ERR(e, ERR_LIMIT, 0, "the message is too large");
    }
    if (code != ERR_NONE && code != ERR_NOMEM && e && !e->where[0]) {
        char place[XML_PLACE];
        err_at(e, "%s", xml_place(w->tree, n, place));
    }
    return code;
}

/* ---- children by their numbers ---- */

static int by_number(const void *x, const void *y)
{
    const struct numbered *a = x, *b = y;
    return a->number != b->number ? (a->number > b->number) - (a->number < b->number)
                                  : (a->order > b->order) - (a->order < b->order);
}

static bool number_of(const struct xml_node *n, unsigned *out)
{
    struct str name = str_of(xml_name(n));
    size_t from = name.n;
    int64_t number;
    while (from > 0 && name.p[from - 1] != '.') {
        from--;
    }
    if (from < 2 ||
        num_i64(str_cut(name, from, name.n), 1, MAX_NUMBER, &number, NULL) != ERR_NONE) {
        return false;
    }
    *out = (unsigned)number;
    return true;
}

static enum err_code list_children(const struct writing *w, const struct xml_node *n,
                                   struct numbered **out, size_t *count, struct err *e)
{
    *count = 0;
    for (const struct xml_node *c = xml_child(n, NULL); c; c = xml_sibling(c, NULL)) {
        (*count)++;
    }
    struct numbered *list = arena_array(w->arena, *count + 1, sizeof *list);
    unsigned i = 0;
    if (!list) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    for (const struct xml_node *c = xml_child(n, NULL); c; c = xml_sibling(c, NULL), i++) {
        list[i] = (struct numbered){.node = c, .order = i};
        if (!number_of(c, &list[i].number)) {
            return bad(w, c, ERR_SYNTAX, "an element that is no field and no component", e);
        }
    }
    struct xml_piece p = {.node = NULL};
    while (xml_pieces(n, &p)) {
        if (!p.element && str_trim(p.text).n) {
            return bad(w, n, ERR_SYNTAX, "text between elements", e);
        }
    }
    qsort(list, *count, sizeof *list, by_number);
    *out = list;
    return ERR_NONE;
}

/* Below a subcomponent ER7 has no level: its first part stands for it, others must be empty. */
static enum err_code put_deepest(struct writing *w, const struct xml_node *n, struct err *e)
{
    while (has_parts(n)) {
        struct numbered *list;
        size_t count;
        enum err_code code = list_children(w, n, &list, &count, e);
        for (size_t i = 0; i < count && code == ERR_NONE; i++) {
            bool first = i == 0 && list[i].number == 1;
            if (!first && str_trim(xml_value(list[i].node, w->arena)).n) {
                code = bad(w, list[i].node, ERR_UNSUPPORTED,
                           "a part that HL7 has no place for outside of XML", e);
            }
        }
        if (code != ERR_NONE || count == 0 || list[0].number != 1) {
            return code;
        }
        n = list[0].node;
    }
    return put_leaf(w, n, e);
}

/* A field (level 0), a component or a subcomponent. */
static enum err_code put_value(struct writing *w, const struct xml_node *n, unsigned level,
                               struct err *e)
{
    const char separators[LEVELS] = {w->d.component, w->d.sub, '\0'};
    struct numbered *list;
    size_t count;
    if (!has_parts(n)) {
        return put_leaf(w, n, e);
    }
    if (level + 1 == LEVELS || !separators[level]) {
        return put_deepest(w, n, e);
    }
    enum err_code code = list_children(w, n, &list, &count, e);
    unsigned at = 1;
    for (size_t i = 0; i < count && code == ERR_NONE; i++) {
        if (i && list[i].number == list[i - 1].number) {
            return bad(w, list[i].node, ERR_SYNTAX, "a component that stands there twice", e);
        }
        for (; at < list[i].number; at++) {
            buf_addc(&w->out, separators[level]);
        }
        code = put_value(w, list[i].node, level + 1, e);
    }
    return code;
}

/* ---- segments ---- */

/* MSH.1 and MSH.2, which say the delimiters of everything after them. */
static enum err_code put_delimiters(struct writing *w, const struct xml_node *n, struct err *e)
{
    const struct xml_node *first = xml_child(n, "MSH.1"), *second = xml_child(n, "MSH.2");
    struct str field = first ? str_trim(xml_value(first, w->arena)) : STR("");
    struct str others = second ? str_trim(xml_value(second, w->arena)) : STR("");
    char text[16];
    field = field.n == 1 ? field : STR("|");
    others = others.n ? others : STR("^~\\&");
    if (others.n > 8) {
        return bad(w, second, ERR_SYNTAX, "the encoding characters are not 2 to 5", e);
    }
    memcpy(text, "MSH", 3);
    text[3] = field.p[0];
    memcpy(text + 4, others.p, others.n);
    text[4 + others.n] = field.p[0];
    struct str msh = {text, 5 + others.n};
    struct err problem;
    enum err_code code = hl7_read_delimiters(msh, &w->d, &problem);
    if (code != ERR_NONE) {
        return bad(w, second ? second : n, code, problem.msg, e);
    }
    buf_add(&w->out, str_cut(msh, 3, msh.n - 1));
    return ERR_NONE;
}

static enum err_code put_segment(struct writing *w, const struct xml_node *n, struct err *e)
{
    struct numbered *list;
    size_t count;
    const char *name = xml_name(n);
    bool msh = strcmp(name, "MSH") == 0;
    buf_addz(&w->out, name);
    enum err_code code = msh ? put_delimiters(w, n, e) : ERR_NONE;
    code = code == ERR_NONE ? list_children(w, n, &list, &count, e) : code;
    unsigned at = msh ? 2 : 0;
    for (size_t i = 0; code == ERR_NONE && i < count; i++) {
        if (msh && list[i].number <= 2) {
            continue;
        }
        if (list[i].number == at) {
            buf_addc(&w->out, w->d.repetition);
        }
        for (; at < list[i].number; at++) {
            buf_addc(&w->out, w->d.field);
        }
        code = put_value(w, list[i].node, 0, e);
    }
    buf_addc(&w->out, '\r');
    return code;
}

/* The message, or a group in it: everything whose name is not that of a segment. */
static enum err_code put_group(struct writing *w, const struct xml_node *n, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (const struct xml_node *c = xml_child(n, NULL); c && code == ERR_NONE;
         c = xml_sibling(c, NULL)) {
        const char *name = xml_name(c);
        code = strlen(name) == 3 && hl7_is_name(name) ? put_segment(w, c, e) : put_group(w, c, e);
        if (code == ERR_NONE && !buf_ok(&w->out)) {
            code = bad(w, c, ERR_LIMIT, "the message is too large", e);
        }
    }
    return code;
}

enum err_code hl7_from_v2xml(struct arena *a, const struct xml_tree *t, size_t max, struct str *er7,
                             struct err *e)
{
    struct writing w = {.arena = a, .tree = t, .d = {'|', '^', '~', '\\', '&', '\0'}};
    const struct xml_node *message = message_of(t);
    *er7 = (struct str){"", 0};
    if (!message) {
        return ERR(e, ERR_SYNTAX, 0, "the document is no HL7 v2 message");
    }
    buf_init(&w.out, max);
    enum err_code code = put_group(&w, message, e);
    if (code == ERR_NONE) {
        *er7 = arena_copy(a, buf_str(&w.out));
        code = er7->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    buf_release(&w.out);
    return code;
}
