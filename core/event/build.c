#include "core/event/event.h"

#include "core/base/num.h"
#include "core/base/text.h"
#include "core/event/event_internal.h"

#include <string.h>

enum slot_state { SLOT_UNSET, SLOT_NULL, SLOT_SET };

struct slot {
    enum slot_state state;
    struct str text; /* as given, or canonical for numbers; in the arena */
};

struct item {
    struct item *next;
    struct slot *slots; /* one per field of the item; a single one for plain values */
};

struct list {
    struct item *first, *last;
    size_t count;
};

struct event_builder {
    struct arena *arena;
    const struct event_type *type;
    struct slot *slots;         /* by field */
    struct list *lists;         /* by field */
    const struct field *filled; /* list of the item begun last */
    struct item *item;
};

struct event_builder *event_new(struct arena *a, const struct event_type *t)
{
    struct event_builder *b = arena_alloc(a, sizeof *b);
    if (!b) {
        return NULL;
    }
    b->arena = a;
    b->type = t;
    b->slots = arena_array(a, t->field_count, sizeof *b->slots);
    b->lists = arena_array(a, t->field_count, sizeof *b->lists);
    return b->slots && b->lists ? b : NULL;
}

/* Letters of base32 as text_base32() writes it: a bit each. */
static bool key_letter(char c)
{
    const uint32_t not_used =
        1u << ('i' - 'a') | 1u << ('l' - 'a') | 1u << ('o' - 'a') | 1u << ('u' - 'a');
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z' && !(not_used >> (c - 'a') & 1));
}

bool key_valid(struct str s)
{
    bool valid = s.n == KEY_TEXT - 1;
    for (size_t i = 0; i < s.n && valid; i++) {
        valid = key_letter(s.p[i]);
    }
    return valid;
}

static bool digit(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

static bool digits(struct str s, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        if (!digit(s, i)) {
            return false;
        }
    }
    return true;
}

/*
 * A resident (or foreigner) registration number: YYMMDD, perhaps a hyphen or a blank, seven digits.
 * Numbers given since October 2020 have no check digit, so the date is all that can be checked.
 */
static bool has_resident_number(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++) {
        count += digit(s, i);
    }
    if (count < 13) {
        return false;
    }
    for (size_t i = 0; i + 13 <= s.n; i++) {
        if ((i > 0 && digit(s, i - 1)) || !digits(s, i, 6)) {
            continue;
        }
        size_t rest = i + 6 + (s.p[i + 6] == '-' || s.p[i + 6] == ' ');
        int month = (s.p[i + 2] - '0') * 10 + (s.p[i + 3] - '0');
        int day = (s.p[i + 4] - '0') * 10 + (s.p[i + 5] - '0');
        if (digits(s, rest, 7) && !digit(s, rest + 7) && day_valid(2000, month, day)) {
            return true;
        }
    }
    return false;
}

static enum err_code check_text(struct str v, size_t max, struct err *e)
{
    size_t bad;
    if (v.n > max) {
        return ERR(e, ERR_LIMIT, max, "longer than %zu bytes", max);
    }
    if (!text_utf8(v, &bad)) {
        return ERR(e, ERR_CHARSET, bad, "not valid UTF-8");
    }
    size_t nul = str_find(v, '\0', 0);
    if (nul < v.n) {
        return ERR(e, ERR_VALUE, nul, "holds a NUL character");
    }
    if (has_resident_number(v)) {
        return ERR(e, ERR_REFUSED, 0,
                   "looks like a resident registration number, which never enters an event");
    }
    return ERR_NONE;
}

static enum err_code check_code(const struct field *f, struct str v, struct err *e)
{
    if (v.n == 0) {
        return ERR(e, ERR_VALUE, 0, "a code cannot be empty");
    }
    if (!f->codes) {
        return check_text(v, EVENT_CODE, e);
    }
    for (size_t i = 0; f->codes[i]; i++) {
        if (str_is(v, f->codes[i])) {
            return ERR_NONE;
        }
    }
    return ERR(e, ERR_VALUE, 0, "not one of the codes in the catalogue");
}

static enum err_code check_number(struct arena *a, struct str *v, struct err *e)
{
    int64_t n;
    if (num_i64(*v, -EVENT_INT_MOST, EVENT_INT_MOST, &n, NULL) != ERR_NONE) {
        return ERR(e, ERR_VALUE, 0, "not a whole number");
    }
    char text[NUM_TEXT];
    *v = arena_copy(a, num_text(n, 1, text));
    return v->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "out of memory");
}

/* Checks *v against the kind; leaves the text to be written, in the arena. */
static enum err_code check(struct arena *a, const struct field *f, enum kind kind, struct str *v,
                           struct err *e)
{
    enum err_code code = ERR_NONE;
    int32_t day;
    usec at;
    switch (kind) {
    case KIND_KEY:
        if (!key_valid(*v)) {
            code = ERR(e, ERR_VALUE, 0, "not a key of 26 characters");
        }
        break;
    case KIND_STR:
        code = check_text(*v, EVENT_TEXT, e);
        break;
    case KIND_CODE:
        code = check_code(f, *v, e);
        break;
    case KIND_DATE:
        code = day_parse(*v, &day, e);
        break;
    case KIND_TS:
        code = clock_parse(*v, &at, e);
        if (code == ERR_NONE && v->p[10] != 'T') {
            code = ERR(e, ERR_VALUE, 10, "not an instant like 2026-03-11T09:00:00+09:00");
        }
        break;
    case KIND_INT:
    case KIND_KRW:
        return check_number(a, v, e);
    case KIND_BOOL:
        if (!str_is(*v, "true") && !str_is(*v, "false")) {
            code = ERR(e, ERR_VALUE, 0, "neither true nor false");
        }
        break;
    case KIND_LIST:
        code = ERR(e, ERR_UNSUPPORTED, 0, "a list has no single value");
        break;
    }
    if (code == ERR_NONE) {
        *v = arena_copy(a, *v);
        if (!v->p) {
            code = ERR(e, ERR_NOMEM, 0, "out of memory");
        }
    }
    return code;
}

static enum err_code fill(struct event_builder *b, const struct field *f, enum kind kind,
                          struct slot *slot, struct str value, struct err *e)
{
    if (f->required && kind == KIND_STR && value.n == 0) {
        return ERR(e, ERR_REQUIRED, 0, "a required field cannot be empty");
    }
    enum err_code code = check(b->arena, f, kind, &value, e);
    if (code == ERR_NONE) {
        *slot = (struct slot){SLOT_SET, value};
    }
    return code;
}

static enum err_code empty_slot(const struct field *f, struct slot *slot, struct err *e)
{
    if (!f->nullable) {
        return ERR(e, ERR_VALUE, 0, "cannot be null");
    }
    *slot = (struct slot){.state = SLOT_NULL};
    return ERR_NONE;
}

static enum err_code unknown(const struct event_builder *b, struct err *e)
{
    return ERR(e, ERR_UNSUPPORTED, 0, "%s has no such field", b->type->name);
}

enum err_code event_set(struct event_builder *b, struct str field, struct str value, struct err *e)
{
    const struct field *f = field_find(b->type, field);
    if (!f) {
        return unknown(b, e);
    }
    enum err_code code = fill(b, f, f->kind, &b->slots[f - b->type->fields], value, e);
    return code == ERR_NONE ? code : err_at(e, "%s", f->name);
}

enum err_code event_null(struct event_builder *b, struct str field, struct err *e)
{
    const struct field *f = field_find(b->type, field);
    if (!f) {
        return unknown(b, e);
    }
    enum err_code code = empty_slot(f, &b->slots[f - b->type->fields], e);
    return code == ERR_NONE ? code : err_at(e, "%s", f->name);
}

enum err_code event_item(struct event_builder *b, struct str list, struct err *e)
{
    const struct field *f = field_find(b->type, list);
    if (!f || f->kind != KIND_LIST) {
        return ERR(e, ERR_UNSUPPORTED, 0, "%s has no such list", b->type->name);
    }
    struct list *l = &b->lists[f - b->type->fields];
    if (l->count == EVENT_ITEMS) {
        ERR(e, ERR_LIMIT, 0, "more than %d items", EVENT_ITEMS);
        return err_at(e, "%s", f->name);
    }
    struct item *item = arena_alloc(b->arena, sizeof *item);
    struct slot *slots =
        item ? arena_array(b->arena, f->items ? f->item_count : 1, sizeof *slots) : NULL;
    if (!slots) {
        return ERR(e, ERR_NOMEM, 0, "out of memory");
    }
    item->slots = slots;
    if (l->last) {
        l->last->next = item;
    } else {
        l->first = item;
    }
    l->last = item;
    l->count++;
    b->filled = f;
    b->item = item;
    return ERR_NONE;
}

/* The field of the item begun last, and its slot; NULL when there is none. */
static const struct field *item_field(const struct event_builder *b, struct str field,
                                      struct slot **slot)
{
    const struct field *list = b->filled;
    if (!list || !list->items) {
        *slot = list && field.n == 0 ? b->item->slots : NULL;
        return *slot ? list : NULL;
    }
    for (size_t i = 0; i < list->item_count; i++) {
        if (str_eq(field, field_name(&list->items[i]))) {
            *slot = &b->item->slots[i];
            return &list->items[i];
        }
    }
    return NULL;
}

static enum err_code item_at(const struct event_builder *b, const struct field *f, struct err *e)
{
    return f == b->filled ? err_at(e, "%s", f->name) : err_at(e, "%s.%s", b->filled->name, f->name);
}

enum err_code event_item_set(struct event_builder *b, struct str field, struct str value,
                             struct err *e)
{
    struct slot *slot;
    const struct field *f = item_field(b, field, &slot);
    if (!f) {
        return unknown(b, e);
    }
    enum kind kind = f == b->filled ? f->item_kind : f->kind;
    enum err_code code = fill(b, f, kind, slot, value, e);
    return code == ERR_NONE ? code : item_at(b, f, e);
}

enum err_code event_item_null(struct event_builder *b, struct str field, struct err *e)
{
    struct slot *slot;
    const struct field *f = item_field(b, field, &slot);
    if (!f) {
        return unknown(b, e);
    }
    enum err_code code =
        f == b->filled ? ERR(e, ERR_VALUE, 0, "cannot be null") : empty_slot(f, slot, e);
    return code == ERR_NONE ? code : item_at(b, f, e);
}

static bool item_filled(const struct field *list, const struct item *item)
{
    for (size_t i = 0; i < (list->items ? list->item_count : 1); i++) {
        if (item->slots[i].state != SLOT_UNSET) {
            return true;
        }
    }
    return false;
}

static bool list_filled(const struct field *f, const struct list *l)
{
    for (const struct item *item = l->first; item; item = item->next) {
        if (item_filled(f, item)) {
            return true;
        }
    }
    return false;
}

bool event_has(const struct event_builder *b, struct str field)
{
    const struct field *f = field_find(b->type, field);
    if (!f) {
        return false;
    }
    size_t i = (size_t)(f - b->type->fields);
    return f->kind == KIND_LIST ? list_filled(f, &b->lists[i]) : b->slots[i].state != SLOT_UNSET;
}

static void write_slot(struct buf *out, enum kind kind, const struct slot *s)
{
    if (s->state == SLOT_NULL) {
        buf_addz(out, "null");
    } else if (kind == KIND_INT || kind == KIND_KRW || kind == KIND_BOOL) {
        buf_add(out, s->text);
    } else if (kind == KIND_KEY || kind == KIND_DATE || kind == KIND_TS) {
        buf_json_plain(out, s->text);
    } else {
        buf_json(out, s->text);
    }
}

/* The name of a member, behind a comma unless it is the first one. */
static void write_name(struct buf *out, const struct field *f)
{
    size_t n = f->name_n;
    char *to = buf_room(out, n + 4);
    if (!to) {
        return;
    }
    bool first = out->p[out->n - 1] == '{';
    size_t at = 0;
    if (!first) {
        to[at++] = ',';
    }
    to[at++] = '"';
    memcpy(to + at, f->name, n);
    memcpy(to + at + n, "\":", 2);
    buf_took(out, at + n + 2);
}

static enum err_code write_item(struct buf *out, const struct field *list, const struct item *item,
                                struct err *e)
{
    if (!list->items) {
        write_slot(out, list->item_kind, item->slots);
        return ERR_NONE;
    }
    buf_addc(out, '{');
    for (size_t i = 0; i < list->item_count; i++) {
        const struct field *f = &list->items[i];
        if (item->slots[i].state != SLOT_UNSET) {
            write_name(out, f);
            write_slot(out, f->kind, &item->slots[i]);
        } else if (f->required) {
            ERR(e, ERR_REQUIRED, 0, "a required field is missing");
            return err_at(e, "%s.%s", list->name, f->name);
        }
    }
    buf_addc(out, '}');
    return ERR_NONE;
}

static enum err_code write_list(struct buf *out, const struct field *f, const struct list *l,
                                struct err *e)
{
    buf_addc(out, '[');
    bool first = true;
    for (const struct item *item = l->first; item; item = item->next) {
        if (!item_filled(f, item)) {
            continue;
        }
        if (!first) {
            buf_addc(out, ',');
        }
        first = false;
        enum err_code code = write_item(out, f, item, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    buf_addc(out, ']');
    return ERR_NONE;
}

static enum err_code write_field(const struct event_builder *b, size_t i, struct buf *out,
                                 struct err *e)
{
    const struct field *f = &b->type->fields[i];
    bool filled =
        f->kind == KIND_LIST ? list_filled(f, &b->lists[i]) : b->slots[i].state != SLOT_UNSET;
    if (!filled) {
        if (f->required) {
            ERR(e, ERR_REQUIRED, 0, "a required field is missing");
            return err_at(e, "%s", f->name);
        }
        return ERR_NONE;
    }
    if (out->n == 0) {
        buf_addc(out, '{');
    }
    write_name(out, f);
    if (f->kind == KIND_LIST) {
        return write_list(out, f, &b->lists[i], e);
    }
    write_slot(out, f->kind, &b->slots[i]);
    return ERR_NONE;
}

/* Closes the object and moves it to the arena; an empty one becomes `none`. */
static enum err_code close_object(struct arena *a, struct buf *json, const char *none,
                                  struct str *out, struct err *e)
{
    bool empty = json->n == 0;
    if (!empty) {
        buf_addc(json, '}');
    }
    if (!buf_ok(json)) {
        return ERR(e, ERR_LIMIT, 0, "the payload is larger than %d bytes", EVENT_DATA);
    }
    *out = arena_copy(a, empty ? str_of(none) : buf_str(json));
    return out->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "out of memory");
}

enum { USUAL_DATA = 1000 }; /* most payloads fit: one allocation instead of three */

enum err_code event_finish(struct event_builder *b, struct event *out, struct err *e)
{
    struct buf data, secret;
    struct str data_json, secret_json;
    enum err_code code = ERR_NONE;
    buf_init(&data, EVENT_DATA);
    buf_init(&secret, EVENT_DATA);
    buf_room(&data, USUAL_DATA);
    for (size_t i = 0; i < b->type->field_count && code == ERR_NONE; i++) {
        code = write_field(b, i, b->type->fields[i].class == CLASS_P2 ? &secret : &data, e);
    }
    if (code == ERR_NONE) {
        code = close_object(b->arena, &data, "{}", &data_json, e);
    }
    if (code == ERR_NONE) {
        code = close_object(b->arena, &secret, "", &secret_json, e);
    }
    if (code == ERR_NONE) {
        out->type = b->type;
        out->data = data_json;
        out->secret = secret_json;
    }
    buf_release(&data);
    buf_release(&secret);
    return code;
}
