#include "core/xml/batch_internal.h"
#include "core/xml/json.h"
#include "core/xml/scan.h"

/* A small text, unescaped; empty when the value is no text. */
static enum err_code take_text(struct json_scan *s, struct arena *a, struct str *out, struct err *e)
{
    const struct json *v;
    struct arena *before = s->arena;
    if (json_peek(s) != '"') {
        return json_value(s, &v, e);
    }
    s->arena = a;
    enum err_code code = json_value(s, &v, e);
    s->arena = before;
    if (code == ERR_NONE) {
        *out = v->text;
    }
    return code;
}

static enum err_code pass(struct json_scan *s, struct err *e)
{
    const struct json *ignored;
    return json_value(s, &ignored, e);
}

static enum err_code read_resource(struct xml_batch *b, struct json_scan *s,
                                   struct bundle_entry *entry, struct err *e)
{
    bool first = true, more = true;
    struct str key;
    enum err_code code = ERR_NONE;
    while (code == ERR_NONE && (code = json_next(s, '{', &first, &key, &more, e)) == ERR_NONE &&
           more) {
        code = str_is(key, "resourceType") ? take_text(s, b->arena, &entry->type, e)
               : str_is(key, "id")         ? take_text(s, b->arena, &entry->id, e)
                                           : pass(s, e);
    }
    return code;
}

static enum err_code read_entry(struct xml_batch *b, struct json_scan *s, struct err *e)
{
    struct bundle_entry entry = {.url = {"", 0}, .type = {"", 0}, .id = {"", 0}};
    bool first = true, more = true;
    struct str key;
    bool object = json_peek(s) == '{';
    size_t from = s->at;
    enum err_code code = object ? ERR_NONE : pass(s, e);
    while (object && code == ERR_NONE &&
           (code = json_next(s, '{', &first, &key, &more, e)) == ERR_NONE && more) {
        bool resource = str_is(key, "resource") && json_peek(s) == '{';
        code = resource                 ? read_resource(b, s, &entry, e)
               : str_is(key, "fullUrl") ? take_text(s, b->arena, &entry.url, e)
                                        : pass(s, e);
    }
    entry.raw = str_cut(b->text, from, s->at);
    if (code == ERR_NONE && !batch_add(b, &entry)) {
        code = ERR(e, ERR_NOMEM, 0, "no memory for a Bundle");
    }
    return code;
}

static enum err_code read_entries(struct xml_batch *b, size_t at, struct err *e)
{
    struct json_scan s = {.text = b->text, .limits = &b->limits, .at = at};
    bool first = true, more = true;
    enum err_code code = ERR_NONE;
    while (code == ERR_NONE && (code = json_next(&s, '[', &first, NULL, &more, e)) == ERR_NONE &&
           more) {
        s.nodes = 0;
        code = read_entry(b, &s, e);
    }
    return code;
}

enum err_code batch_read_json(struct xml_batch *b, bool *bundle, struct err *e)
{
    struct xml_limits limits = b->limits;
    limits.nodes = SIZE_MAX;
    struct json_scan s = {.text = b->text, .limits = &limits};
    struct str key, type = {"", 0};
    bool first = true, more = true;
    size_t entries = 0;
    enum err_code code = ERR_NONE;
    json_peek(&s);
    while (code == ERR_NONE && (code = json_next(&s, '{', &first, &key, &more, e)) == ERR_NONE &&
           more) {
        bool list = str_is(key, "entry") && json_peek(&s) == '[';
        if (list && entries) {
            return xml_bad(s.text, s.at, ERR_SYNTAX, "a name appears twice", e);
        }
        entries = list ? s.at : entries;
        code = str_is(key, "resourceType") ? take_text(&s, b->arena, &type, e) : pass(&s, e);
    }
    *bundle = code == ERR_NONE && str_is(type, "Bundle");
    if (!*bundle) {
        return code == ERR_NOMEM ? code : ERR_NONE; /* told when the message is read */
    }
    json_peek(&s);
    if (s.at < s.text.n) {
        *bundle = false;
        return ERR_NONE;
    }
    return entries ? read_entries(b, entries, e) : ERR_NONE;
}

static bool walk(const struct json *v, reference_found *found, void *ctx)
{
    for (const struct json *m = v->first; m; m = m->next) {
        bool go = v->type == JSON_OBJECT && m->type == JSON_STRING && str_is(m->key, "reference")
                      ? found(ctx, m->text)
                      : walk(m, found, ctx);
        if (!go) {
            return false;
        }
    }
    return true;
}

enum err_code batch_references_json(const struct xml_batch *b, struct arena *a, struct str entry,
                                    reference_found *found, void *ctx, struct err *e)
{
    struct json_scan s = {.text = entry, .limits = &b->limits, .arena = a};
    const struct json *v = NULL;
    enum err_code code = json_value(&s, &v, e);
    if (code == ERR_NONE) {
        walk(v, found, ctx);
    }
    return code;
}
