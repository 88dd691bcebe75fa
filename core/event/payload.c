/*
 * Cuts a payload to what a consumer may see. A stream's backlog runs through here, once per event
 * and consumer: members are found by one scan and copied as they stand; only keys that get
 * another name are rewritten. The scan is strict, so that nothing leaves that is not JSON.
 */
#include "core/event/event.h"

#include "core/event/event_internal.h"

#include <string.h>

enum { DEPTH = 4 };

struct scan {
    struct str s;
    size_t at;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char peek(struct scan *x)
{
    while (x->at < x->s.n && blank(x->s.p[x->at])) {
        x->at++;
    }
    return x->at < x->s.n ? x->s.p[x->at] : '\0';
}

static bool take(struct scan *x, char c)
{
    if (peek(x) != c) {
        return false;
    }
    x->at++;
    return true;
}

static bool hex4(const struct scan *x, size_t from)
{
    if (x->s.n - from < 4) {
        return false;
    }
    for (size_t i = from; i < from + 4; i++) {
        char c = x->s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
            return false;
        }
    }
    return true;
}

/* A string with its quotes. */
static bool scan_string(struct scan *x)
{
    if (!take(x, '"')) {
        return false;
    }
    while (x->at < x->s.n) {
        char c = x->s.p[x->at++];
        if (c == '"') {
            return true;
        }
        if ((unsigned char)c < 0x20) {
            return false;
        }
        if (c != '\\') {
            continue;
        }
        char escaped = x->at < x->s.n ? x->s.p[x->at++] : '\0';
        if (escaped == 'u') {
            if (!hex4(x, x->at)) {
                return false;
            }
            x->at += 4;
        } else if (!escaped || !strchr("\"\\/bfnrt", escaped)) {
            return false;
        }
    }
    return false;
}

/* Our numbers are whole. */
static bool scan_number(struct scan *x)
{
    if (x->at < x->s.n && x->s.p[x->at] == '-') {
        x->at++;
    }
    size_t from = x->at;
    while (x->at < x->s.n && x->s.p[x->at] >= '0' && x->s.p[x->at] <= '9') {
        x->at++;
    }
    return x->at > from && (x->s.p[from] != '0' || x->at == from + 1);
}

static bool scan_word(struct scan *x)
{
    static const struct str words[] = {STR_INIT("null"), STR_INIT("true"), STR_INIT("false")};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_starts(str_cut(x->s, x->at, x->s.n), words[i])) {
            x->at += words[i].n;
            return true;
        }
    }
    return false;
}

static bool scan_value(struct scan *x, int depth);

/* The rest of an object or array, its first character taken. */
static bool scan_members(struct scan *x, bool object, int depth)
{
    char end = object ? '}' : ']';
    if (depth == DEPTH) {
        return false;
    }
    if (take(x, end)) {
        return true;
    }
    do {
        if (object && (!scan_string(x) || !take(x, ':'))) {
            return false;
        }
        if (!scan_value(x, depth + 1)) {
            return false;
        }
    } while (take(x, ','));
    return take(x, end);
}

static bool scan_value(struct scan *x, int depth)
{
    switch (peek(x)) {
    case '"':
        return scan_string(x);
    case '{':
    case '[': {
        bool object = x->s.p[x->at++] == '{';
        return scan_members(x, object, depth);
    }
    case 'n':
    case 't':
    case 'f':
        return scan_word(x);
    default:
        return scan_number(x);
    }
}

/* Reads "name": value. The name is without quotes and as written: ours have no escapes. */
static bool scan_member(struct scan *x, struct str *name, struct str *value)
{
    peek(x);
    size_t from = x->at;
    if (!scan_string(x)) {
        return false;
    }
    *name = str_cut(x->s, from + 1, x->at - 1);
    if (!take(x, ':')) {
        return false;
    }
    peek(x);
    from = x->at;
    if (!scan_value(x, 0)) {
        return false;
    }
    *value = str_cut(x->s, from, x->at);
    return true;
}

static size_t field_index(const struct field *fields, size_t count, struct str name, size_t hint)
{
    /* Members come in catalogue order: the next one is rarely far away. */
    for (size_t k = 0; k < count; k++) {
        size_t i = hint + k < count ? hint + k : hint + k - count;
        if (str_is(name, fields[i].name)) {
            return i;
        }
    }
    return count;
}

/* Finds the members of one object that the catalogue knows; each may come once. */
static enum err_code find_members(struct scan *x, const struct field *fields, size_t count,
                                  struct str *values, struct err *e)
{
    if (!take(x, '{')) {
        return ERR(e, ERR_SYNTAX, x->at, "payload is not a JSON object");
    }
    size_t hint = 0;
    if (take(x, '}')) {
        return ERR_NONE;
    }
    do {
        struct str name, value;
        if (!scan_member(x, &name, &value)) {
            return ERR(e, ERR_SYNTAX, x->at, "payload is not valid JSON");
        }
        size_t i = field_index(fields, count, name, hint);
        if (i == count) {
            continue;
        }
        if (values[i].p) {
            ERR(e, ERR_SYNTAX, x->at, "payload has a member twice");
            return err_at(e, "%s", fields[i].name);
        }
        values[i] = value;
        hint = i + 1 < count ? i + 1 : 0;
    } while (take(x, ','));
    if (!take(x, '}')) {
        return ERR(e, ERR_SYNTAX, x->at, "payload is not valid JSON");
    }
    return ERR_NONE;
}

static enum err_code whole_object(struct str json, const struct event_type *t, struct str *values,
                                  struct err *e)
{
    struct scan x = {json, 0};
    enum err_code code = find_members(&x, t->fields, t->field_count, values, e);
    if (code != ERR_NONE) {
        return code;
    }
    peek(&x);
    return x.at == json.n ? ERR_NONE : ERR(e, ERR_SYNTAX, x.at, "text after the payload");
}

static enum err_code renamed_key(struct buf *out, struct str value, const struct event_cut *cut,
                                 struct err *e)
{
    char other[KEY_TEXT];
    if (str_is(value, "null")) {
        buf_add(out, value);
        return ERR_NONE;
    }
    struct str key = str_cut(value, 1, value.n ? value.n - 1 : 0);
    if (value.n != KEY_TEXT + 1 || value.p[0] != '"' || !key_valid(key)) {
        return ERR(e, ERR_VALUE, 0, "not a key of 26 characters");
    }
    cut->rename(cut->ctx, key, other);
    buf_json(out, str_of(other));
    return ERR_NONE;
}

static void write_name(struct buf *out, const char *name, bool *first)
{
    buf_addz(out, *first ? "\"" : ",\"");
    buf_addz(out, name);
    buf_addz(out, "\":");
    *first = false;
}

static bool renames(const struct field *f)
{
    return f->kind == KIND_KEY && !f->event_id;
}

static enum err_code renamed_item(struct buf *out, const struct field *list, struct scan *x,
                                  const struct event_cut *cut, struct err *e)
{
    struct str values[EVENT_FIELDS] = {{0}};
    enum err_code code = find_members(x, list->items, list->item_count, values, e);
    bool first = true;
    buf_addc(out, '{');
    for (size_t i = 0; i < list->item_count && code == ERR_NONE; i++) {
        if (!values[i].p) {
            continue;
        }
        write_name(out, list->items[i].name, &first);
        if (renames(&list->items[i])) {
            code = renamed_key(out, values[i], cut, e);
        } else {
            buf_add(out, values[i]);
        }
    }
    buf_addc(out, '}');
    return code;
}

static enum err_code renamed_list(struct buf *out, const struct field *list, struct str value,
                                  const struct event_cut *cut, struct err *e)
{
    struct scan x = {value, 0};
    if (!take(&x, '[')) {
        return ERR(e, ERR_VALUE, 0, "not a list");
    }
    buf_addc(out, '[');
    for (bool first = true; !take(&x, ']'); first = false) {
        if (!first) {
            take(&x, ','); /* there: the whole value was scanned before */
            buf_addc(out, ',');
        }
        enum err_code code;
        if (list->items) {
            code = renamed_item(out, list, &x, cut, e);
        } else {
            peek(&x);
            size_t from = x.at;
            scan_value(&x, 0);
            code = renamed_key(out, str_cut(value, from, x.at), cut, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
    }
    buf_addc(out, ']');
    return ERR_NONE;
}

static bool list_renames(const struct field *f)
{
    if (f->kind != KIND_LIST) {
        return false;
    }
    for (size_t i = 0; i < f->item_count; i++) {
        if (renames(&f->items[i])) {
            return true;
        }
    }
    return !f->items && f->item_kind == KIND_KEY;
}

static enum err_code write_value(struct buf *out, const struct field *f, struct str value,
                                 const struct event_cut *cut, struct err *e)
{
    enum err_code code = ERR_NONE;
    if (cut->rename && renames(f)) {
        code = renamed_key(out, value, cut, e);
    } else if (cut->rename && list_renames(f)) {
        code = renamed_list(out, f, value, cut, e);
    } else {
        buf_add(out, value);
    }
    return code == ERR_NONE ? code : err_at(e, "%s", f->name);
}

enum err_code event_payload(struct buf *out, const struct event_type *t, struct str data,
                            struct str secret, const struct event_cut *cut, struct err *e)
{
    struct str values[EVENT_FIELDS] = {{0}};
    enum err_code code = whole_object(data, t, values, e);
    if (code == ERR_NONE && secret.n) {
        code = whole_object(secret, t, values, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    bool first = true;
    buf_addc(out, '{');
    for (size_t i = 0; i < t->field_count; i++) {
        const struct field *f = &t->fields[i];
        if (!values[i].p || !cut->allow(cut->ctx, t, f)) {
            continue;
        }
        write_name(out, f->name, &first);
        code = write_value(out, f, values[i], cut, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    buf_addc(out, '}');
    return buf_ok(out) ? ERR_NONE : ERR(e, ERR_LIMIT, 0, "payload does not fit its buffer");
}
