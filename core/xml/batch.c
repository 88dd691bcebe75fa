#include "core/xml/batch.h"

#include "core/xml/batch_internal.h"
#include "core/xml/scan.h"
#include "core/xml/tree_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CARRIED = 16, MAX_CARRIED_BYTES = 64 * 1024 };

bool batch_add(struct xml_batch *b, const struct bundle_entry *entry)
{
    if (b->count == b->room) {
        size_t room = b->room ? b->room * 2 : 16;
        struct bundle_entry *more = arena_array(b->arena, room, sizeof *more);
        if (!more) {
            return false;
        }
        if (b->count) {
            memcpy(more, b->entries, b->count * sizeof *more);
        }
        b->entries = more;
        b->room = room;
    }
    b->entries[b->count++] = *entry;
    return true;
}

/* ---- which entry a reference names ---- */

static const struct xml_batch *sorting; /* qsort takes no context; one thread */

static int compare_id(const struct bundle_entry *a, struct str type, struct str id)
{
    int c = str_cmp(a->type, type);
    return c ? c : str_cmp(a->id, id);
}

static int by_url(const void *x, const void *y)
{
    const size_t *a = x, *b = y;
    int c = str_cmp(sorting->entries[*a].url, sorting->entries[*b].url);
    return c ? c : (*a > *b) - (*a < *b);
}

static int by_id(const void *x, const void *y)
{
    const size_t *a = x, *b = y;
    const struct bundle_entry *other = &sorting->entries[*b];
    int c = compare_id(&sorting->entries[*a], other->type, other->id);
    return c ? c : (*a > *b) - (*a < *b);
}

static bool make_index(struct xml_batch *b)
{
    b->by_url = arena_array(b->arena, b->count + 1, sizeof *b->by_url);
    b->by_id = arena_array(b->arena, b->count + 1, sizeof *b->by_id);
    if (!b->by_url || !b->by_id) {
        return false;
    }
    for (size_t i = 0; i < b->count; i++) {
        b->by_url[i] = b->by_id[i] = i;
    }
    sorting = b;
    qsort(b->by_url, b->count, sizeof *b->by_url, by_url);
    qsort(b->by_id, b->count, sizeof *b->by_id, by_id);
    return true;
}

/* The first entry of that name, or count. */
static size_t find_url(const struct xml_batch *b, struct str url)
{
    size_t low = 0, high = b->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        bool less = str_cmp(b->entries[b->by_url[middle]].url, url) < 0;
        low = less ? middle + 1 : low;
        high = less ? high : middle;
    }
    return low < b->count && str_eq(b->entries[b->by_url[low]].url, url) ? b->by_url[low]
                                                                         : b->count;
}

/* Of several servers' resources with that id the one that is meant; few have more than one. */
static size_t find_id(const struct xml_batch *b, struct str type, struct str id,
                      struct str reference, struct str from)
{
    size_t low = 0, high = b->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        bool less = compare_id(&b->entries[b->by_id[middle]], type, id) < 0;
        low = less ? middle + 1 : low;
        high = less ? high : middle;
    }
    for (size_t tries = 0; low < b->count && tries < MAX_CARRIED; low++, tries++) {
        const struct bundle_entry *entry = &b->entries[b->by_id[low]];
        if (compare_id(entry, type, id) != 0) {
            break;
        }
        if (fhir_same_server(reference, from, entry->url)) {
            return b->by_id[low];
        }
    }
    return b->count;
}

static size_t find_entry(const struct xml_batch *b, struct str reference, struct str from)
{
    struct str pair = fhir_type_and_id(reference);
    size_t slash = str_find(pair, '/', 0), i = b->count;
    if (reference.n) {
        i = find_url(b, reference);
    }
    return i == b->count && pair.n ? find_id(b, str_cut(pair, 0, slash),
                                             str_cut(pair, slash + 1, pair.n), reference, from)
                                   : i;
}

/* ---- what goes along with an entry ---- */

struct carried {
    const struct xml_batch *b;
    size_t self, entries[MAX_CARRIED], count;
};

static bool worth_carrying(struct str type)
{
    static const char *const types[] = {"Patient",          "Encounter",     "Appointment",
                                        "Practitioner",     "Location",      "Medication",
                                        "PractitionerRole", "ServiceRequest"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (str_is(type, types[i])) {
            return true;
        }
    }
    return false;
}

static bool carry(void *ctx, struct str reference)
{
    struct carried *c = ctx;
    size_t i = find_entry(c->b, reference, c->b->entries[c->self].url);
    if (i == c->b->count || i == c->self || !worth_carrying(c->b->entries[i].type)) {
        return true;
    }
    for (size_t k = 0; k < c->count; k++) {
        if (c->entries[k] == i) {
            return true;
        }
    }
    if (c->count < MAX_CARRIED) {
        c->entries[c->count++] = i;
    } else if (str_is(c->b->entries[i].type, "Patient")) {
        c->entries[MAX_CARRIED - 1] = i;
    }
    return true;
}

static void put_carried(struct buf *out, const struct carried *c, bool patients, size_t *room)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct bundle_entry *entry = &c->b->entries[c->entries[i]];
        if (str_is(entry->type, "Patient") == patients && entry->raw.n <= *room) {
            *room -= entry->raw.n;
            buf_addz(out, c->b->json ? "," : "");
            buf_add(out, entry->raw);
        }
    }
}

static void put_head(struct buf *out, const struct xml_batch *b, struct str prefix)
{
    buf_addz(out, b->mark ? "\xef\xbb\xbf" : "");
    if (b->json) {
        buf_addz(out, "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"meta\":{\"tag\":[{"
                      "\"system\":\"" FHIR_ENTRY_SYSTEM "\",\"code\":\"" FHIR_ENTRY_CODE
                      "\"}]},\"entry\":[");
        return;
    }
    int n = (int)prefix.n;
    buf_add(out, b->head);
    buf_printf(out,
               "<%.*smeta><%.*stag><%.*ssystem value=\"" FHIR_ENTRY_SYSTEM
               "\"/><%.*scode value=\"" FHIR_ENTRY_CODE "\"/></%.*stag></%.*smeta>",
               n, prefix.p, n, prefix.p, n, prefix.p, n, prefix.p, n, prefix.p, n, prefix.p);
}

static enum err_code put_entry(struct xml_batch *b, struct arena *a, size_t i, struct str *out,
                               struct err *e)
{
    struct carried c = {.b = b, .self = i};
    const struct bundle_entry *entry = &b->entries[i];
    struct err ignored; /* what is wrong with the entry is told when it is read */
    enum err_code code = b->json ? batch_references_json(b, a, entry->raw, carry, &c, &ignored)
                                 : batch_references_xml(b, a, entry->raw, carry, &c, &ignored);
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for an entry of a Bundle");
    }
    struct str prefix = b->prefix;
    size_t room = MAX_CARRIED_BYTES;
    struct buf text;
    buf_init(&text, SIZE_MAX / 4);
    put_head(&text, b, prefix);
    buf_add(&text, entry->raw);
    put_carried(&text, &c, true, &room);
    put_carried(&text, &c, false, &room);
    if (b->json) {
        buf_addz(&text, "]}");
    } else {
        buf_printf(&text, "</%.*sBundle>", (int)prefix.n, prefix.p);
    }
    *out = buf_ok(&text) ? arena_copy(a, buf_str(&text)) : (struct str){NULL, 0};
    buf_release(&text);
    return out->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for an entry of a Bundle");
}

/* ---- the batch ---- */

/* Nothing of a document is taken when a message of it would be too large. */
static enum err_code check_sizes(const struct xml_batch *b, struct err *e)
{
    size_t most = b->limits.bytes, line = 1;
    if (b->kind == BATCH_ONE && b->raw.n > most && b->text.n > most) {
        return xml_bad(b->text, most, ERR_LIMIT, "the document is too large", e);
    }
    for (size_t at = 0, end; b->kind == BATCH_LINES && at < b->text.n; at = end + 1, line++) {
        end = str_find(b->text, '\n', at);
        if (end - at > most) {
            ERR(e, ERR_LIMIT, at, "a line is larger than a message may be");
            return err_at(e, "line %zu", line);
        }
    }
    for (size_t i = 0; i < b->count; i++) {
        if (b->entries[i].raw.n > most) {
            ERR(e, ERR_LIMIT, (size_t)(b->entries[i].raw.p - b->text.p),
                "an entry is larger than a message may be");
            return err_at(e, "Bundle.entry[%zu]", i + 1);
        }
    }
    return ERR_NONE;
}

/* "}", an end of line, "{": only in a text of several objects, a line each. */
static bool in_lines(struct str text)
{
    struct str line = str_trim(str_cut(text, 0, str_find(text, '\n', 0)));
    struct str rest = str_trim(str_cut(text, str_find(text, '\n', 0), text.n));
    return line.n && line.p[line.n - 1] == '}' && rest.n && rest.p[0] == '{';
}

static enum err_code look(struct xml_batch *b, struct str raw, struct err *e)
{
    bool bundle = false;
    b->json = xml_kind(b->text) == XML_KIND_JSON;
    b->kind = BATCH_ONE;
    b->raw = raw;
    if (b->json && in_lines(b->text)) {
        b->kind = BATCH_LINES;
        return check_sizes(b, e);
    }
    enum err_code code = b->json ? batch_read_json(b, &bundle, e) : batch_read_xml(b, &bundle, e);
    if (code == ERR_NONE && bundle) {
        b->kind = BATCH_BUNDLE;
        code = make_index(b) ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a Bundle");
    }
    return code == ERR_NONE ? check_sizes(b, e) : code;
}

enum err_code xml_batch_open(struct arena *a, struct str raw, const enum charset *override,
                             const struct xml_limits *limits, struct xml_batch **out, struct err *e)
{
    enum charset used;
    struct xml_batch *b = arena_alloc(a, sizeof *b);
    *out = NULL;
    if (!b) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    b->arena = a;
    b->limits = limits ? *limits : xml_default_limits;
    b->mark = override && *override != CHARSET_UTF8;
    if (raw.n > b->limits.bytes && !xml_is_utf8(raw, override)) {
        return ERR(e, ERR_LIMIT, b->limits.bytes,
                   "the document is too large for another character set than UTF-8");
    }
    enum err_code code = xml_decode(a, raw, override, &b->text, &used, e);
    if (code == ERR_NONE) {
        code = look(b, raw, e);
    } else if (code != ERR_NOMEM) {
        b->raw = raw; /* one message, whose problem will be told when it is read */
        code = ERR_NONE;
    }
    *out = code == ERR_NONE ? b : NULL;
    return code;
}

/* The next line that is not blank. */
static bool next_line(struct xml_batch *b, struct xml_message *out)
{
    while (b->at < b->text.n) {
        size_t end = str_find(b->text, '\n', b->at);
        out->raw = str_trim(str_cut(b->text, b->at, end));
        b->at = end + 1;
        b->line++;
        if (out->raw.n) {
            return true;
        }
    }
    return false;
}

static enum err_code with_mark(struct arena *a, struct str *raw, struct err *e)
{
    char *p = arena_alloc(a, raw->n + 3);
    if (!p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    memcpy(p, "\xef\xbb\xbf", 3);
    memcpy(p + 3, raw->p, raw->n);
    *raw = (struct str){p, raw->n + 3};
    return ERR_NONE;
}

enum err_code xml_batch_next(struct xml_batch *b, struct arena *a, struct xml_message *out,
                             bool *more, struct err *e)
{
    enum err_code code = ERR_NONE;
    *out = (struct xml_message){.raw = {"", 0}};
    switch (b->kind) {
    case BATCH_ONE:
        *more = b->number == 0;
        out->raw = b->raw;
        break;
    case BATCH_LINES:
        *more = next_line(b, out);
        if (*more && b->mark) {
            code = with_mark(a, &out->raw, e);
        }
        snprintf(out->place, sizeof out->place, "line %zu", b->line);
        break;
    case BATCH_BUNDLE:
        *more = b->number < b->count;
        code = *more ? put_entry(b, a, b->number, &out->raw, e) : ERR_NONE;
        snprintf(out->place, sizeof out->place, "Bundle.entry[%zu]", b->number + 1);
        break;
    }
    b->number += *more;
    out->number = b->number;
    return code;
}

void xml_batch_seek(struct xml_batch *b, size_t after)
{
    struct xml_message skipped;
    b->number = b->at = b->line = 0;
    while (b->kind == BATCH_LINES && b->number < after && next_line(b, &skipped)) {
        b->number++;
    }
    b->number = after;
}

size_t xml_batch_offset(const struct xml_batch *b)
{
    if (b->kind == BATCH_BUNDLE && b->number < b->count) {
        return (size_t)(b->entries[b->number].raw.p - b->text.p);
    }
    bool done = b->kind == BATCH_BUNDLE || (b->kind == BATCH_ONE && b->number);
    size_t at = b->kind == BATCH_LINES && b->at < b->text.n ? b->at : b->text.n;
    return done || b->kind == BATCH_LINES ? at : 0;
}
