#include "adapters/sql/statement.h"

#include "core/base/buf.h"

#include <string.h>

#define NO_END ((size_t)-1)

struct scan {
    struct arena *a;
    enum statement_style style;
    struct str sql;
    size_t at;
    struct buf text;
    struct statement *out;
};

static bool name_begin(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool name_char(char c)
{
    return name_begin(c) || (c >= '0' && c <= '9');
}

static char peek(const struct scan *s, size_t ahead)
{
    return s->at + ahead < s->sql.n ? s->sql.p[s->at + ahead] : '\0';
}

static void keep(struct scan *s, size_t end)
{
    buf_add(&s->text, str_cut(s->sql, s->at, end));
    s->at = end < s->sql.n ? end : s->sql.n;
}

/* Behind the closing quote; a doubled one is two strings for us, which comes to the same. */
static size_t quoted_end(const struct scan *s, char quote, bool backslash)
{
    for (size_t i = s->at + 1; i < s->sql.n; i++) {
        if (backslash && s->sql.p[i] == '\\') {
            i++;
        } else if (s->sql.p[i] == quote) {
            return i + 1;
        }
    }
    return NO_END;
}

/* $tag$ … $tag$; the position itself when it is none. */
static size_t dollar_end(const struct scan *s)
{
    size_t end = s->at + 1;
    while (end < s->sql.n && name_char(s->sql.p[end])) {
        end++;
    }
    if (end >= s->sql.n || s->sql.p[end] != '$' || (s->at && name_char(s->sql.p[s->at - 1]))) {
        return s->at;
    }
    struct str tag = str_cut(s->sql, s->at, end + 1);
    for (size_t i = end + 1; i + tag.n <= s->sql.n; i++) {
        if (memcmp(s->sql.p + i, tag.p, tag.n) == 0) {
            return i + tag.n;
        }
    }
    return NO_END;
}

static size_t line_end(const struct scan *s)
{
    return str_find(s->sql, '\n', s->at);
}

/* Comments nest in PostgreSQL. */
static size_t comment_end(const struct scan *s)
{
    int depth = 0;
    for (size_t i = s->at; i + 1 < s->sql.n; i++) {
        if (s->sql.p[i] == '/' && s->sql.p[i + 1] == '*') {
            depth++;
            i++;
        } else if (s->sql.p[i] == '*' && s->sql.p[i + 1] == '/') {
            i++;
            if (--depth == 0) {
                return i + 1;
            }
        }
    }
    return NO_END;
}

/* Quotes and comments: where what begins here ends. The position itself: it is neither. */
static size_t opaque_end(const struct scan *s)
{
    char c = peek(s, 0), before = s->at ? s->sql.p[s->at - 1] : ' ';
    bool escapes = (before == 'E' || before == 'e') && s->at >= 1 &&
                   (s->at == 1 || !name_char(s->sql.p[s->at - 2]));
    if (c == '\'' || c == '"') {
        return quoted_end(s, c, c == '\'' && escapes);
    }
    if (c == '$') {
        return dollar_end(s);
    }
    if (c == '-' && peek(s, 1) == '-') {
        return line_end(s);
    }
    return c == '/' && peek(s, 1) == '*' ? comment_end(s) : s->at;
}

static enum err_code add_place(struct scan *s, struct str name, struct err *e)
{
    struct statement *o = s->out;
    size_t i = 0;
    while (i < o->count && (s->style == STATEMENT_QUESTION || !str_eq(o->names[i], name))) {
        i++;
    }
    if (i == o->count) {
        if (o->count == STATEMENT_PLACES) {
            return ERR(e, ERR_LIMIT, s->at, "more than %d named places", STATEMENT_PLACES);
        }
        o->names[o->count++] = name;
    }
    if (s->style == STATEMENT_QUESTION) {
        buf_addc(&s->text, '?');
    } else {
        buf_printf(&s->text, "$%zu", i + 1);
    }
    return ERR_NONE;
}

static enum err_code step(struct scan *s, struct err *e)
{
    size_t end = opaque_end(s);
    if (end == NO_END) {
        return ERR(e, ERR_SYNTAX, s->at, "the quote or comment at byte %zu does not end", s->at);
    }
    if (end > s->at) {
        keep(s, end);
        return ERR_NONE;
    }
    char c = peek(s, 0);
    if (c == ';') {
        return ERR(e, ERR_SYNTAX, s->at, "one statement only: there is a ; at byte %zu", s->at);
    }
    if (c == ':' && peek(s, 1) == ':') {
        keep(s, s->at + 2);
        return ERR_NONE;
    }
    if (c != ':' || !name_begin(peek(s, 1))) {
        keep(s, s->at + 1);
        return ERR_NONE;
    }
    size_t name_end = s->at + 1;
    while (name_end < s->sql.n && name_char(s->sql.p[name_end])) {
        name_end++;
    }
    enum err_code code = add_place(s, str_cut(s->sql, s->at + 1, name_end), e);
    s->at = name_end;
    return code;
}

static struct str without_end(struct str sql)
{
    sql = str_trim(sql);
    while (str_ends(sql, STR(";"))) {
        sql = str_trim(str_cut(sql, 0, sql.n - 1));
    }
    return sql;
}

enum err_code statement_parse(struct arena *a, struct str sql, enum statement_style style,
                              struct statement *out, struct err *e)
{
    enum err_code code = ERR_NONE;
    *out = (struct statement){0};
    struct scan s = {.a = a, .style = style, .sql = arena_copy(a, without_end(sql)), .out = out};
    if (!s.sql.p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a statement");
    }
    if (s.sql.n == 0) {
        return ERR(e, ERR_SYNTAX, 0, "there is no statement");
    }
    if (memchr(s.sql.p, '\0', s.sql.n)) {
        return ERR(e, ERR_SYNTAX, 0, "the statement has a NUL byte");
    }
    buf_init(&s.text, s.sql.n * 4 + 64);
    while (code == ERR_NONE && s.at < s.sql.n) {
        code = step(&s, e);
    }
    if (code == ERR_NONE) {
        out->text = buf_ok(&s.text) ? arena_z(a, buf_str(&s.text)) : NULL;
        code = out->text ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a statement");
    }
    buf_release(&s.text);
    return code;
}
