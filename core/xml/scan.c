#include "core/xml/scan.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool ends_name(char c)
{
    return is_blank(c) || c == '/' || c == '>' || c == '=' || c == '<' || c == '"' || c == '\'';
}

enum err_code xml_bad(struct str text, size_t pos, enum err_code code, const char *what,
                      struct err *e)
{
    size_t line = 1;
    for (size_t at = str_find(text, '\n', 0); at < pos && at < text.n;
         at = str_find(text, '\n', at + 1)) {
        line++;
    }
    ERR(e, code, pos, "%s", what);
    return err_at(e, "line %zu", line);
}

static enum err_code bad(const struct xml_scan *s, size_t pos, enum err_code code, const char *what,
                         struct err *e)
{
    return xml_bad(s->text, pos, code, what, e);
}

void xml_scan_begin(struct xml_scan *s, struct str text, const struct xml_limits *limits)
{
    s->text = text;
    s->limits = limits ? *limits : xml_default_limits;
    s->limits.depth = s->limits.depth < XML_MAX_DEPTH ? s->limits.depth : XML_MAX_DEPTH;
    s->at = s->nodes = 0;
    s->depth = s->namespaces = 0;
    s->rooted = false;
}

/* Where `end` is found at or after `from`, or text.n. */
static size_t find(struct str text, struct str end, size_t from)
{
    for (; (from = str_find(text, end.p[0], from)) < text.n; from++) {
        if (str_starts(str_cut(text, from, text.n), end)) {
            return from;
        }
    }
    return text.n;
}

/* A reference: one of the five entities, or a character by its number. */
static bool known_reference(struct str s)
{
    static const char *const five[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    enum { LONGEST = 12 };
    for (size_t i = 0; i < sizeof five / sizeof five[0]; i++) {
        if (str_starts(s, str_of(five[i]))) {
            return true;
        }
    }
    size_t end = str_find(str_cut(s, 0, LONGEST), ';', 0);
    return str_starts(s, STR("&#")) && end > 2 && end < s.n && end < LONGEST;
}

static enum err_code check_references(const struct xml_scan *s, struct str part, struct err *e)
{
    size_t from = (size_t)(part.p - s->text.p);
    for (size_t i = 0; (i = str_find(part, '&', i)) < part.n; i++) {
        if (!known_reference(str_cut(part, i, part.n))) {
            return bad(s, from + i, ERR_REFUSED,
                       "an entity other than the five of XML: nothing else is expanded", e);
        }
    }
    return ERR_NONE;
}

static enum err_code count_node(struct xml_scan *s, size_t pos, struct err *e)
{
    return ++s->nodes > s->limits.nodes
               ? bad(s, pos, ERR_LIMIT, "the document has too many elements, attributes and texts",
                     e)
               : ERR_NONE;
}

static enum err_code take(struct xml_scan *s, struct xml_token *t, size_t to)
{
    t->raw = str_cut(s->text, s->at, to);
    s->at = to;
    return ERR_NONE;
}

/* ---- texts, comments and the like ---- */

static enum err_code next_text(struct xml_scan *s, struct xml_token *t, struct err *e)
{
    size_t from = s->at;
    t->kind = XML_TOKEN_TEXT;
    take(s, t, str_find(s->text, '<', from));
    if (s->depth == 0) {
        for (size_t i = 0; i < t->raw.n; i++) {
            if (!is_blank(t->raw.p[i])) {
                return bad(s, from + i, ERR_SYNTAX, "text outside of the root element", e);
            }
        }
        return ERR_NONE;
    }
    if (t->raw.n > s->limits.value) {
        return bad(s, from, ERR_LIMIT, "a text is too long", e);
    }
    enum err_code code = check_references(s, t->raw, e);
    return code == ERR_NONE ? count_node(s, from, e) : code;
}

static enum err_code next_until(struct xml_scan *s, struct xml_token *t, struct str end,
                                const char *what, struct err *e)
{
    size_t to = find(s->text, end, s->at + 2);
    t->kind = XML_TOKEN_OTHER;
    if (to == s->text.n) {
        return bad(s, s->at, ERR_SYNTAX, what, e);
    }
    enum err_code code = count_node(s, s->at, e);
    return code == ERR_NONE ? take(s, t, to + end.n) : code;
}

static enum err_code next_special(struct xml_scan *s, struct xml_token *t, struct str rest,
                                  struct err *e)
{
    if (rest.p[1] == '?') {
        return next_until(s, t, STR("?>"), "a processing instruction that does not end", e);
    }
    if (str_starts(rest, STR("<!--"))) {
        return next_until(s, t, STR("-->"), "a comment that does not end", e);
    }
    if (str_starts(rest, STR("<![CDATA[")) && s->depth > 0) {
        enum err_code code = next_until(s, t, STR("]]>"), "a CDATA section that does not end", e);
        t->kind = XML_TOKEN_TEXT;
        return code;
    }
    if (str_starts(rest, STR("<!DOCTYPE"))) {
        return bad(s, s->at, ERR_REFUSED, "a DOCTYPE: documents may not bring their own grammar",
                   e);
    }
    return bad(s, s->at, ERR_SYNTAX, "a declaration that XML does not know here", e);
}

/* ---- tags ---- */

static enum err_code read_name(const struct xml_scan *s, size_t *at, struct str *name,
                               struct err *e)
{
    size_t from = *at;
    while (*at < s->text.n && !ends_name(s->text.p[*at])) {
        if (*at - from > s->limits.name) {
            return bad(s, from, ERR_LIMIT, "a name is too long", e);
        }
        (*at)++;
    }
    *name = str_cut(s->text, from, *at);
    return name->n ? ERR_NONE : bad(s, from, ERR_SYNTAX, "a name is missing", e);
}

static enum err_code next_end(struct xml_scan *s, struct xml_token *t, struct err *e)
{
    size_t at = s->at + 2;
    t->kind = XML_TOKEN_END;
    enum err_code code = read_name(s, &at, &t->name, e);
    if (code != ERR_NONE) {
        return code;
    }
    while (at < s->text.n && is_blank(s->text.p[at])) {
        at++;
    }
    if (at >= s->text.n || s->text.p[at] != '>') {
        return bad(s, s->at, ERR_SYNTAX, "an end tag that does not end", e);
    }
    if (s->depth == 0 || !str_eq(s->open[s->depth - 1].name, t->name)) {
        return bad(s, s->at, ERR_SYNTAX, "an end tag without its start tag", e);
    }
    s->depth--;
    s->namespaces -= s->open[s->depth].namespaces;
    return take(s, t, at + 1);
}

/* What a start tag has used of its limits. */
struct tag {
    size_t from, exempt;
    unsigned attributes, namespaces;
};

static enum err_code check_tag(const struct xml_scan *s, const struct tag *tag, size_t at,
                               struct err *e)
{
    if (at - tag->from - tag->exempt > s->limits.start_tag) {
        return bad(s, tag->from, ERR_LIMIT, "a start tag is too long", e);
    }
    if (tag->attributes > s->limits.attributes) {
        return bad(s, tag->from, ERR_LIMIT, "an element has too many attributes", e);
    }
    return s->namespaces + tag->namespaces > s->limits.namespaces
               ? bad(s, tag->from, ERR_LIMIT, "too many namespaces are declared", e)
               : ERR_NONE;
}

/* name="value", at the name; the place behind it goes to *at. */
static enum err_code read_attribute(struct xml_scan *s, struct tag *tag, size_t *at, struct err *e)
{
    struct str name, text = s->text;
    enum err_code code = read_name(s, at, &name, e);
    if (code != ERR_NONE) {
        return code;
    }
    while (*at < text.n && is_blank(text.p[*at])) {
        (*at)++;
    }
    bool equals = *at < text.n && text.p[*at] == '=';
    *at += equals;
    while (*at < text.n && is_blank(text.p[*at])) {
        (*at)++;
    }
    if (!equals || *at >= text.n || (text.p[*at] != '"' && text.p[*at] != '\'')) {
        return bad(s, *at, ERR_SYNTAX, "an attribute without a value in quotes", e);
    }
    size_t from = *at + 1, end = str_find(text, text.p[*at], from);
    struct str value = str_cut(text, from, end);
    if (end == text.n || memchr(value.p, '<', value.n)) {
        return bad(s, *at, ERR_SYNTAX, "the value of an attribute does not end", e);
    }
    *at = end + 1;
    if (value.n > s->limits.value) {
        return bad(s, from, ERR_LIMIT, "the value of an attribute is too long", e);
    }
    tag->exempt += str_is(name, "value") ? value.n : 0;
    tag->attributes++;
    tag->namespaces += str_starts(name, STR("xmlns"));
    code = check_references(s, value, e);
    return code == ERR_NONE ? count_node(s, from, e) : code;
}

static enum err_code open_element(struct xml_scan *s, const struct xml_token *t,
                                  const struct tag *tag, struct err *e)
{
    if (s->rooted && s->depth == 0) {
        return bad(s, tag->from, ERR_SYNTAX, "a second root element", e);
    }
    if (s->depth >= s->limits.depth) {
        return bad(s, tag->from, ERR_LIMIT, "elements are nested too deeply", e);
    }
    s->rooted = true;
    if (!t->empty) {
        s->open[s->depth].name = t->name;
        s->open[s->depth].namespaces = tag->namespaces;
        s->depth++;
        s->namespaces += tag->namespaces;
    }
    return count_node(s, tag->from, e);
}

static enum err_code next_start(struct xml_scan *s, struct xml_token *t, struct err *e)
{
    struct str text = s->text;
    struct tag tag = {.from = s->at};
    size_t at = s->at + 1;
    t->kind = XML_TOKEN_START;
    enum err_code code = read_name(s, &at, &t->name, e);
    while (code == ERR_NONE) {
        size_t blanks = at;
        while (at < text.n && is_blank(text.p[at])) {
            at++;
        }
        if (at >= text.n) {
            return bad(s, tag.from, ERR_SYNTAX, "a start tag that does not end", e);
        }
        if (text.p[at] == '>' || text.p[at] == '/') {
            break;
        }
        code = at == blanks ? bad(s, at, ERR_SYNTAX, "attributes without a blank between them", e)
                            : read_attribute(s, &tag, &at, e);
        code = code == ERR_NONE ? check_tag(s, &tag, at, e) : code;
    }
    if (code != ERR_NONE) {
        return code;
    }
    t->empty = text.p[at] == '/';
    at += t->empty;
    if (at >= text.n || text.p[at] != '>') {
        return bad(s, tag.from, ERR_SYNTAX, "a start tag that does not end", e);
    }
    code = check_tag(s, &tag, at, e);
    code = code == ERR_NONE ? open_element(s, t, &tag, e) : code;
    return code == ERR_NONE ? take(s, t, at + 1) : code;
}

enum err_code xml_scan_next(struct xml_scan *s, struct xml_token *t, struct err *e)
{
    *t = (struct xml_token){.kind = XML_TOKEN_END_OF_TEXT};
    if (s->at >= s->text.n) {
        if (s->depth > 0) {
            return bad(s, s->text.n, ERR_SYNTAX, "the document ends inside an element", e);
        }
        return s->rooted ? ERR_NONE : bad(s, s->text.n, ERR_SYNTAX, "there is no root element", e);
    }
    struct str rest = str_cut(s->text, s->at, s->text.n);
    if (rest.p[0] != '<') {
        return next_text(s, t, e);
    }
    if (rest.n == 1) {
        return bad(s, s->at, ERR_SYNTAX, "a tag that does not end", e);
    }
    if (rest.p[1] == '!' || rest.p[1] == '?') {
        return next_special(s, t, rest, e);
    }
    return rest.p[1] == '/' ? next_end(s, t, e) : next_start(s, t, e);
}

bool xml_scan_attribute(const struct xml_token *t, size_t *at, struct str *name, struct str *value)
{
    struct str raw = t->raw;
    size_t i = *at ? *at : 1 + t->name.n;
    while (i < raw.n && is_blank(raw.p[i])) {
        i++;
    }
    size_t equals = str_find(raw, '=', i), quote = equals + 1;
    while (quote < raw.n && is_blank(raw.p[quote])) {
        quote++;
    }
    if (quote >= raw.n) {
        return false;
    }
    size_t end = str_find(raw, raw.p[quote], quote + 1);
    *name = str_trim(str_cut(raw, i, equals));
    *value = str_cut(raw, quote + 1, end);
    *at = end + 1;
    return true;
}
