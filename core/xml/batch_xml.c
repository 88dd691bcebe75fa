#include "core/xml/batch_internal.h"
#include "core/xml/scan.h"

#define FHIR_URI "http://hl7.org/fhir"

static struct str local(struct str name)
{
    size_t colon = str_find(name, ':', 0);
    return colon < name.n ? str_cut(name, colon + 1, name.n) : name;
}

static struct str attribute(const struct xml_token *t, struct str wanted)
{
    struct str name, value;
    for (size_t at = 0; xml_scan_attribute(t, &at, &name, &value);) {
        if (str_eq(name, wanted)) {
            return value;
        }
    }
    return (struct str){"", 0};
}

/* A root named Bundle in FHIR's namespace, declared for its own prefix. */
static bool is_bundle(const struct xml_token *t)
{
    size_t colon = str_find(t->name, ':', 0);
    if (!str_is(local(t->name), "Bundle")) {
        return false;
    }
    struct str name, value;
    for (size_t at = 0; xml_scan_attribute(t, &at, &name, &value);) {
        struct str prefix = str_starts(name, STR("xmlns:")) ? str_cut(name, 6, name.n)
                            : str_is(name, "xmlns")         ? (struct str){"", 0}
                                                            : (struct str){"?", 1};
        if (str_eq(prefix, str_cut(t->name, 0, colon < t->name.n ? colon : 0))) {
            return str_is(value, FHIR_URI);
        }
    }
    return false;
}

/* What of an entry is remembered, seen at the depth where FHIR has it. */
static void look_at(struct bundle_entry *entry, const struct xml_scan *s, const struct xml_token *t)
{
    unsigned depth = s->depth - !t->empty; /* around the element: 1 in Bundle, 2 in entry … */
    struct str name = local(t->name);
    if (depth == 2 && str_is(name, "fullUrl")) {
        entry->url = attribute(t, STR("value"));
    } else if (depth == 3 && str_is(local(s->open[2].name), "resource")) {
        entry->type = name;
    } else if (depth == 4 && str_is(name, "id") && str_is(local(s->open[2].name), "resource")) {
        entry->id = attribute(t, STR("value"));
    }
}

static enum err_code read_entries(struct xml_batch *b, struct xml_scan *s, struct err *e)
{
    struct xml_token t;
    struct bundle_entry entry = {.raw = {NULL, 0}};
    size_t from = 0;
    for (;;) {
        enum err_code code = xml_scan_next(s, &t, e);
        if (code != ERR_NONE || t.kind == XML_TOKEN_END_OF_TEXT) {
            return code;
        }
        bool start = t.kind == XML_TOKEN_START;
        bool here =
            (start && s->depth == 2U - t.empty) || (t.kind == XML_TOKEN_END && s->depth == 1);
        if (start && here && str_is(local(t.name), "entry")) {
            entry = (struct bundle_entry){.url = {"", 0}, .type = {"", 0}, .id = {"", 0}};
            from = s->at - t.raw.n;
        } else if (start && s->depth > 1) {
            look_at(&entry, s, &t);
        }
        bool ends = here && (t.kind == XML_TOKEN_END || t.empty);
        if (ends && str_is(local(t.name), "entry")) {
            entry.raw = str_cut(b->text, from, s->at);
            if (!batch_add(b, &entry)) {
                return ERR(e, ERR_NOMEM, 0, "no memory for a Bundle");
            }
        }
    }
}

enum err_code batch_read_xml(struct xml_batch *b, bool *bundle, struct err *e)
{
    struct xml_scan s;
    struct xml_token t;
    struct xml_limits limits = b->limits;
    limits.bytes = limits.nodes = SIZE_MAX;
    *bundle = false;
    xml_scan_begin(&s, b->text, &limits);
    do {
        if (xml_scan_next(&s, &t, NULL) != ERR_NONE) {
            return ERR_NONE; /* one message, whose problem will be told when it is read */
        }
    } while (t.kind != XML_TOKEN_START && t.kind != XML_TOKEN_END_OF_TEXT);
    if (t.kind != XML_TOKEN_START || !is_bundle(&t)) {
        return ERR_NONE;
    }
    *bundle = true;
    b->head = t.raw;
    b->prefix = str_cut(t.name, 0, t.name.n - local(t.name).n);
    return t.empty ? ERR_NONE : read_entries(b, &s, e);
}

enum err_code batch_references_xml(const struct xml_batch *b, struct arena *a, struct str entry,
                                   reference_found *found, void *ctx, struct err *e)
{
    struct xml_scan s;
    struct xml_token t = {.kind = XML_TOKEN_OTHER};
    enum err_code code = ERR_NONE;
    (void)a;
    xml_scan_begin(&s, entry, &b->limits);
    s.limits.nodes = SIZE_MAX;
    while (code == ERR_NONE && (code = xml_scan_next(&s, &t, e)) == ERR_NONE &&
           t.kind != XML_TOKEN_END_OF_TEXT) {
        if (t.kind == XML_TOKEN_START && str_is(local(t.name), "reference") &&
            !found(ctx, attribute(&t, STR("value")))) {
            break;
        }
    }
    return code;
}
