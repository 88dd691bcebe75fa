#include "core/app/event_compare.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- payloads ---- */

static enum err_code merge(json_t *into, struct str object, struct err *e)
{
    if (object.n == 0) {
        return ERR_NONE;
    }
    json_t *j = json_loadb(object.p, object.n, JSON_REJECT_DUPLICATES, NULL);
    int rc = json_is_object(j) ? json_object_update(into, j) : -1;
    json_decref(j);
    return rc == 0 ? ERR_NONE : ERR(e, ERR_SYNTAX, 0, "the payload of an event is no JSON object");
}

static void set_text(json_t *o, const char *name, struct str value)
{
    json_object_set_new(o, name, json_stringn(value.p ? value.p : "", value.n));
}

/* All that may differ in one object: the envelope's part under names that no field has. */
static json_t *whole(struct str data, struct str secret, struct str subject, usec time,
                     struct err *e)
{
    char at[CLOCK_TEXT];
    json_t *o = json_object();
    if (!o || merge(o, data, e) != ERR_NONE || merge(o, secret, e) != ERR_NONE) {
        json_decref(o);
        return NULL;
    }
    set_text(o, "(subject)", subject);
    set_text(o, "(time)", str_of(clock_text_utc(time, at)));
    return o;
}

static bool differs(const json_t *a, const json_t *b, const char *name)
{
    const json_t *x = json_object_get(a, name), *y = json_object_get(b, name);
    return !x || !y ? x != y : !json_equal(x, y);
}

/* ---- output ---- */

static void add_value(struct buf *out, const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    buf_addz(out, text ? text : v ? "?" : "absent");
    free(text);
}

static void add_field(const struct compared *c, struct buf *out, const json_t *old,
                      const json_t *new, const char *name, size_t place)
{
    if (c->json) {
        buf_addz(out, place ? "," : "");
        buf_json(out, str_of(name));
        return;
    }
    buf_printf(out, "%s%s", place ? ", " : " ", name);
    if (c->values) {
        buf_addc(out, ' ');
        add_value(out, old, name);
        buf_addz(out, " → ");
        add_value(out, new, name);
    }
}

static void add_object(struct buf *out, const char *name, const json_t *o)
{
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    buf_printf(out, ",\"%s\":", name);
    buf_addz(out, text ? text : "null");
    free(text);
}

static void begin_line(const struct compared *c, struct buf *out, const char *change, char sign,
                       struct str type, struct str id)
{
    if (c->json) {
        buf_printf(out, "%s{\"change\":\"%s\",\"type\":\"%.*s\",\"id\":\"%.*s\"", out->n ? "," : "",
                   change, STR_ARG(type), STR_ARG(id));
    } else {
        buf_printf(out, "  %c %.*s", sign, STR_ARG(type));
    }
}

static void end_line(const struct compared *c, struct buf *out, const json_t *old,
                     const json_t *new)
{
    if (c->json && c->values) {
        add_object(out, "old", old);
        add_object(out, "new", new);
    }
    buf_addz(out, c->json ? "}" : "\n");
}

/* ---- comparing ---- */

static json_t *whole_old(const struct old_event *o, struct err *e)
{
    return whole(o->data, o->secret, o->subject, o->time, e);
}

static json_t *whole_new(const struct event *n, usec time, struct err *e)
{
    return whole(n->data, n->secret, str_of(n->subject), time, e);
}

/* The time to compare: both mean "when it was received" when neither message nor mapping names one.
 */
static usec time_of(const struct compared *c, const struct old_event *o, const struct event *x)
{
    const usec near = 10 * USEC_MINUTE;
    usec apart = o->time - x->time;
    return x->time == c->received_at && apart > -near && apart < near ? o->time : x->time;
}

/* Names in the order of the old one, then those that only the new one has. */
static size_t add_differences(const struct compared *c, struct buf *out, const json_t *old,
                              const json_t *new)
{
    const json_t *sides[] = {old, new};
    size_t n = 0;
    for (int side = 0; side < 2; side++) {
        void *at = json_object_iter((json_t *)(uintptr_t)sides[side]);
        for (; at; at = json_object_iter_next((json_t *)(uintptr_t)sides[side], at)) {
            const char *name = json_object_iter_key(at);
            if ((side == 0 || !json_object_get(old, name)) && differs(old, new, name)) {
                add_field(c, out, old, new, name, n++);
            }
        }
    }
    return n;
}

static enum err_code both(const struct compared *c, const struct old_event *o,
                          const struct event *x, struct buf *out, struct event_changes *n,
                          struct err *e)
{
    json_t *old = whole_old(o, e), *new = old ? whole_new(x, time_of(c, o, x), e) : NULL;
    enum err_code code = old && new ? ERR_NONE : ERR(e, ERR_SYNTAX, 0, "an event cannot be read");
    if (code == ERR_NONE && !json_equal(old, new)) {
        n->changed++;
        begin_line(c, out, "changed", '~', o->type, o->id);
        buf_addz(out, c->json ? ",\"fields\":[" : ":");
        add_differences(c, out, old, new);
        buf_addz(out, c->json ? "]" : "");
        end_line(c, out, old, new);
    }
    json_decref(old);
    json_decref(new);
    return code;
}

static enum err_code one_side(const struct compared *c, const struct old_event *o,
                              const struct event *x, struct buf *out, struct err *e)
{
    json_t *it = NULL;
    if (c->json && c->values && !(it = o ? whole_old(o, e) : whole_new(x, x->time, e))) {
        return ERR(e, ERR_SYNTAX, 0, "an event cannot be read");
    }
    if (o) {
        begin_line(c, out, "removed", '-', o->type, o->id);
    } else {
        begin_line(c, out, "added", '+', str_of(x->type->name), str_of(x->id));
    }
    end_line(c, out, o ? it : NULL, o ? NULL : it);
    json_decref(it);
    return ERR_NONE;
}

static const struct event *find_new(const struct compared *c, struct str id)
{
    for (size_t i = 0; i < c->new_count; i++) {
        if (str_is(id, c->new[i].id)) {
            return &c->new[i];
        }
    }
    return NULL;
}

static bool is_old(const struct compared *c, const char *id)
{
    for (size_t i = 0; i < c->old_count; i++) {
        if (str_is(c->old[i].id, id)) {
            return true;
        }
    }
    return false;
}

enum err_code event_compare(const struct compared *c, struct buf *out, struct event_changes *n,
                            struct err *e)
{
    enum err_code code = ERR_NONE;
    for (size_t i = 0; code == ERR_NONE && i < c->old_count; i++) {
        const struct event *x = find_new(c, c->old[i].id);
        n->removed += !x;
        code = x ? both(c, &c->old[i], x, out, n, e) : one_side(c, &c->old[i], NULL, out, e);
    }
    for (size_t i = 0; code == ERR_NONE && i < c->new_count; i++) {
        if (!is_old(c, c->new[i].id)) {
            n->added++;
            code = one_side(c, NULL, &c->new[i], out, e);
        }
    }
    return code == ERR_NONE && !buf_ok(out) ? ERR(e, ERR_NOMEM, 0, "no memory to compare") : code;
}
