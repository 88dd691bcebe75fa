#include "core/xml/json.h"

#include "core/base/text.h"
#include "core/xml/scan.h"

#include <string.h>

static enum err_code bad(const struct json_scan *s, size_t pos, enum err_code code,
                         const char *what, struct err *e)
{
    return xml_bad(s->text, pos, code, what, e);
}

char json_peek(struct json_scan *s)
{
    while (s->at < s->text.n && (s->text.p[s->at] == ' ' || s->text.p[s->at] == '\t' ||
                                 s->text.p[s->at] == '\n' || s->text.p[s->at] == '\r')) {
        s->at++;
    }
    return s->at < s->text.n ? s->text.p[s->at] : '\0';
}

/* ---- strings ---- */

static bool hex4(struct str s, size_t at, unsigned *out)
{
    char bytes[2];
    if (at + 4 > s.n || text_unhex(str_cut(s, at, at + 4), bytes, NULL) != ERR_NONE) {
        return false;
    }
    *out = (unsigned)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
    return true;
}

/* The character of \uXXXX (\uXXXX) at `at`, behind the \u; *n how many signs it takes. */
static bool escaped_char(struct str s, size_t at, unsigned *out, size_t *n)
{
    unsigned low;
    *n = 4;
    if (!hex4(s, at, out) || *out == 0 || (*out >= 0xdc00 && *out < 0xe000)) {
        return false;
    }
    if (*out < 0xd800 || *out >= 0xe000) {
        return true;
    }
    if (!str_starts(str_cut(s, at + 4, s.n), STR("\\u")) || !hex4(s, at + 6, &low) ||
        low < 0xdc00 || low >= 0xe000) {
        return false;
    }
    *n = 10;
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static size_t put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) {
        to[i] = (char)(0x80 | (c & 0x3f));
    }
    to[0] = (char)(lead[n] | c);
    return n;
}

/* One escape at the backslash; writes to `to` unless NULL. 0: not known. */
static size_t unescape_one(struct str s, size_t at, char *to, size_t *n)
{
    static const char letters[] = "\"\\/bfnrt", gives[] = "\"\\/\b\f\n\r\t";
    char c = at + 1 < s.n ? s.p[at + 1] : '\0', four[4];
    const char *plain = c ? strchr(letters, c) : NULL;
    unsigned code;
    size_t digits;
    to = to ? to : four;
    if (plain) {
        to[0] = gives[plain - letters];
        *n = 1;
        return 2;
    }
    if (c != 'u' || !escaped_char(s, at + 2, &code, &digits)) {
        return 0;
    }
    *n = put_utf8(to, code);
    return 2 + digits;
}

static enum err_code unescape(const struct json_scan *s, struct str in, bool escapes,
                              struct str *out, struct err *e)
{
    if (!escapes) {
        *out = arena_copy(s->arena, in);
        return out->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    char *to = arena_alloc(s->arena, in.n + 1);
    size_t n = 0, more;
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    for (size_t i = 0; i < in.n;) {
        if (in.p[i] != '\\') {
            to[n++] = in.p[i++];
            continue;
        }
        i += unescape_one(in, i, to + n, &more);
        n += more;
    }
    *out = (struct str){to, n};
    return ERR_NONE;
}

/* At the quote; *raw is what stands between the quotes. */
static enum err_code read_string(struct json_scan *s, size_t limit, struct str *raw, bool *escapes,
                                 struct err *e)
{
    size_t from = s->at + 1, i = from, ignored;
    *escapes = false;
    while (i < s->text.n && s->text.p[i] != '"') {
        if ((unsigned char)s->text.p[i] < ' ') {
            return bad(s, i, ERR_SYNTAX, "a control character inside a text", e);
        }
        size_t step = s->text.p[i] == '\\' ? unescape_one(s->text, i, NULL, &ignored) : 1;
        *escapes |= s->text.p[i] == '\\';
        if (step == 0) {
            return bad(s, i, ERR_SYNTAX, "an escape that JSON or a text does not allow", e);
        }
        i += step;
        if (i - from > limit) {
            return bad(s, from, ERR_LIMIT, "a text is too long", e);
        }
    }
    if (i >= s->text.n) {
        return bad(s, from, ERR_SYNTAX, "a text that does not end", e);
    }
    *raw = str_cut(s->text, from, i);
    s->at = i + 1;
    return ERR_NONE;
}

/* ---- values ---- */

static size_t digits(struct str s, size_t from)
{
    size_t i = from;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
        i++;
    }
    return i - from;
}

static enum err_code read_number(struct json_scan *s, struct str *raw, struct err *e)
{
    struct str t = s->text;
    size_t i = s->at + (t.p[s->at] == '-'), whole = digits(t, i);
    bool ok = whole > 0 && (whole == 1 || t.p[i] != '0');
    i += whole;
    if (i < t.n && t.p[i] == '.') {
        size_t n = digits(t, i + 1);
        ok = ok && n;
        i += 1 + n;
    }
    if (i < t.n && (t.p[i] == 'e' || t.p[i] == 'E')) {
        i++;
        i += i < t.n && (t.p[i] == '+' || t.p[i] == '-');
        size_t n = digits(t, i);
        ok = ok && n;
        i += n;
    }
    if (!ok) {
        return bad(s, s->at, ERR_SYNTAX, "a value that JSON does not know", e);
    }
    *raw = str_cut(t, s->at, i);
    s->at = i;
    return ERR_NONE;
}

static enum err_code read_word(struct json_scan *s, enum json_type *type, struct str *raw,
                               struct err *e)
{
    static const struct {
        const char *word;
        enum json_type type;
    } words[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};
    struct str rest = str_cut(s->text, s->at, s->text.n);
    for (size_t i = 0; i < 3; i++) {
        struct str word = str_of(words[i].word);
        if (str_starts(rest, word)) {
            *type = words[i].type;
            *raw = str_cut(rest, 0, word.n);
            s->at += word.n;
            return ERR_NONE;
        }
    }
    *type = JSON_NUMBER;
    return read_number(s, raw, e);
}

enum err_code json_next(struct json_scan *s, char open, bool *first, struct str *key, bool *more,
                        struct err *e)
{
    char c = json_peek(s), close = open == '{' ? '}' : ']';
    bool escapes;
    if (*first) {
        s->at++;
        c = json_peek(s);
    }
    *more = c != close;
    if (c == close) {
        s->at++;
        return ERR_NONE;
    }
    if (!*first) {
        if (c != ',') {
            return bad(s, s->at, ERR_SYNTAX, "a comma or the end of a list is missing", e);
        }
        s->at++;
        c = json_peek(s);
    }
    *first = false;
    if (!key) {
        return ERR_NONE;
    }
    if (c != '"') {
        return bad(s, s->at, ERR_SYNTAX, "a name in quotes is missing", e);
    }
    enum err_code code = read_string(s, s->limits->name, key, &escapes, e);
    if (code == ERR_NONE && escapes) {
        return bad(s, (size_t)(key->p - s->text.p), ERR_SYNTAX, "a name with escapes in it", e);
    }
    if (code == ERR_NONE && json_peek(s) != ':') {
        return bad(s, s->at, ERR_SYNTAX, "a colon is missing", e);
    }
    s->at += code == ERR_NONE;
    return code;
}

const struct json *json_member(const struct json *object, const char *key)
{
    for (const struct json *m = object->first; m; m = m->next) {
        if (str_is(m->key, key)) {
            return m;
        }
    }
    return NULL;
}

static bool has_key(const struct json *object, struct str key)
{
    for (const struct json *m = object->first; m; m = m->next) {
        if (str_eq(m->key, key)) {
            return true;
        }
    }
    return false;
}

static enum err_code read_list(struct json_scan *s, char open, struct json *out, struct err *e)
{
    bool first = true, more = true;
    const struct json **tail = out ? &out->first : NULL;
    unsigned count = 0;
    if (++s->depth > s->limits->depth) {
        return bad(s, s->at, ERR_LIMIT, "values are nested too deeply", e);
    }
    for (;;) {
        struct str key = {"", 0};
        const struct json *item = NULL;
        enum err_code code = json_next(s, open, &first, open == '{' ? &key : NULL, &more, e);
        if (code != ERR_NONE || !more) {
            s->depth--;
            return code;
        }
        if (open == '{' && ++count > s->limits->attributes) {
            return bad(s, s->at, ERR_LIMIT, "an object has too many members", e);
        }
        if (open == '{' && out && has_key(out, key)) {
            return bad(s, (size_t)(key.p - s->text.p), ERR_SYNTAX, "a name appears twice", e);
        }
        code = json_value(s, &item, e);
        if (code != ERR_NONE) {
            return code;
        }
        if (tail) {
            union {
                const struct json *given;
                struct json *own; /* made a moment ago */
            } made = {item};
            made.own->key = key;
            *tail = item;
            tail = &made.own->next;
        }
    }
}

enum err_code json_value(struct json_scan *s, const struct json **out, struct err *e)
{
    struct str raw = {"", 0};
    bool escapes = false;
    char c = json_peek(s);
    struct json *made = s->arena ? arena_alloc(s->arena, sizeof *made) : NULL;
    *out = made;
    if (s->arena && !made) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    if (++s->nodes > s->limits->nodes) {
        return bad(s, s->at, ERR_LIMIT, "the document has too many values", e);
    }
    size_t at = s->at;
    enum json_type type = c == '{' ? JSON_OBJECT : c == '[' ? JSON_ARRAY : JSON_STRING;
    if (made) {
        made->at = at;
    }
    enum err_code code = c == '{' || c == '[' ? read_list(s, c, made, e)
                         : c == '"'           ? read_string(s, s->limits->value, &raw, &escapes, e)
                         : c                  ? read_word(s, &type, &raw, e)
                                              : bad(s, at, ERR_SYNTAX, "a value is missing", e);
    if (code == ERR_NONE && made) {
        made->type = type;
        code = unescape(s, raw, escapes, &made->text, e);
    }
    return code;
}

enum err_code json_read(struct arena *a, struct str text, const struct xml_limits *limits,
                        const struct json **out, struct err *e)
{
    struct json_scan s = {.text = text, .limits = limits, .arena = a};
    *out = NULL;
    if (text.n > limits->bytes) {
        return bad(&s, limits->bytes, ERR_LIMIT, "the document is too large", e);
    }
    enum err_code code = json_value(&s, out, e);
    if (code == ERR_NONE) {
        json_peek(&s);
        code = s.at < text.n ? bad(&s, s.at, ERR_SYNTAX, "something behind the end", e) : code;
    }
    return code;
}
