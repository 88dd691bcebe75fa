#include "core/mapping/load.h"

#include "core/base/buf.h"
#include "core/mapping/find.h"

enum { MAX_PART = 2000 }; /* a path to a part of a name in a document */

/* A path below `base`: PID-5(2).1 */
static const struct record_path *part(struct loader *l, const struct xml_node *n, struct str base,
                                      unsigned repetition, const char *below)
{
    const char *text = repetition
                           ? arena_printf(l->a, "%.*s(%u)%s", STR_ARG(base), repetition, below)
                           : arena_printf(l->a, "%.*s%s", STR_ARG(base), below);
    if (!text) {
        PROBLEM(l, n, "no memory for this rule");
        return NULL;
    }
    return load_path(l, n, str_of(text));
}

/* A path that names a whole field: PID-5, PID-13(2), PID-13[3='CP']; no component. */
static bool whole_field(struct str path, bool *repeats)
{
    struct str bare = path;
    size_t bracket = str_find(path, '[', 0), dash = str_find(path, '-', 0);
    size_t close = str_find(path, ']', 0), paren = str_find(path, '(', dash);
    *repeats = bracket == path.n && paren == path.n;
    if (bracket < path.n && close < path.n) {
        bare = str_cut(path, close, path.n);
    }
    return dash < path.n && str_find(bare, '.', 0) == bare.n;
}

static const char *const name_parts[NAME_PARTS] = {".1.1", ".2", ".7", ".8"};
static const char *const phone_parts[PARTS] = {".1", ".12", ".5", ".6", ".7"};
static const char *const address_parts[ADDRESS_PARTS] = {".1.1", ".2", ".3", ".4"};

static bool is_phone(enum conversion as)
{
    return as == CONVERT_PHONE || as == CONVERT_PHONE_MOBILE || as == CONVERT_PHONE_FIXED ||
           as == CONVERT_PHONE_USE || as == CONVERT_PHONE_VALID;
}

/* Which components a conversion reads; NULL: it takes one text. */
static const char *const *parts_of(enum conversion as, size_t *count)
{
    *count = as == CONVERT_NAME      ? (size_t)NAME_PARTS
             : as == CONVERT_ADDRESS ? (size_t)ADDRESS_PARTS
                                     : (size_t)PARTS;
    return as == CONVERT_NAME      ? name_parts
           : as == CONVERT_ADDRESS ? address_parts
           : is_phone(as)          ? phone_parts
                                   : NULL;
}

/*
 * The same parts in a document, below a node: CDA has them as texts, FHIR as values. A name or an
 * address that is one text counts as its first part. $ is the node.
 */
#define PART(name) "$/*[local-name()='" name "'][not(@value)]|$/*[local-name()='" name "']/@value"
static const char *const xml_name_parts[NAME_PARTS] = {
    PART("family") "|$[not(*[local-name()='family'])]/*[local-name()='text']/@value|$[not(*)]",
    PART("given"),
    "$/@use|$/*[local-name()='use']/@value",
    "$/@representation",
};
static const char *const xml_address_parts[ADDRESS_PARTS] = {
    "$/*[local-name()='streetAddressLine'][1]|$/*[local-name()='line'][1]/@value|"
    "$[not(*[local-name()='line'])]/*[local-name()='text']/@value|$[not(*)]",
    "$/*[local-name()='streetAddressLine'][2]|$/*[local-name()='line'][2]/@value",
    PART("city"),
    PART("state"),
};
#undef PART

static const struct record_path *xml_part(struct loader *l, const struct xml_node *n,
                                          struct str base, size_t repetition, const char *part)
{
    struct buf text;
    buf_init(&text, MAX_PART);
    for (const char *c = part; *c; c++) {
        if (*c == '$') {
            buf_printf(&text, "(%.*s)[%zu]", STR_ARG(base), repetition);
        } else {
            buf_addc(&text, *c);
        }
    }
    const struct record_path *path = NULL;
    if (buf_ok(&text)) {
        path = load_path(l, n, buf_str(&text));
    } else {
        PROBLEM(l, n, "the path is too long to be taken apart");
    }
    buf_release(&text);
    return path;
}

static void load_xml_parts(struct loader *l, const struct xml_node *n, enum conversion as,
                           struct source *s)
{
    bool name = as == CONVERT_NAME;
    if (!name && as != CONVERT_ADDRESS) {
        return;
    }
    s->repetitions = name ? NAME_REPETITIONS : 1;
    s->parts = arena_array(l->a, s->repetitions, sizeof *s->parts);
    if (!s->parts) {
        PROBLEM(l, n, "no memory for this rule");
        return;
    }
    for (size_t r = 0; r < s->repetitions; r++) {
        for (size_t k = 0; k < (name ? (size_t)NAME_PARTS : (size_t)ADDRESS_PARTS); k++) {
            const char *part = name ? xml_name_parts[k] : xml_address_parts[k];
            s->parts[r][k] = xml_part(l, n, record_path_text(s->path), r + 1, part);
        }
    }
}

void load_parts(struct loader *l, const struct xml_node *n, enum conversion as, struct source *s)
{
    struct str path = record_path_text(s->path);
    bool repeats;
    size_t count;
    const char *const *below = parts_of(as, &count);
    if (l->names->format != RECORD_HL7) {
        if (l->names->format == RECORD_XML) {
            load_xml_parts(l, n, as, s);
        }
        return;
    }
    if (!below || (is_phone(as) && !whole_field(path, &repeats))) {
        return; /* also a telephone number in one component */
    }
    if (!whole_field(path, &repeats)) {
        PROBLEM(l, n, "names and addresses are read from a whole field (PID-5), not from %.*s",
                STR_ARG(path));
        return;
    }
    s->repetitions = as == CONVERT_NAME && repeats ? NAME_REPETITIONS : 1;
    s->parts = arena_array(l->a, s->repetitions, sizeof *s->parts);
    if (!s->parts) {
        PROBLEM(l, n, "no memory for this rule");
        return;
    }
    for (size_t r = 0; r < s->repetitions; r++) {
        for (size_t k = 0; k < count; k++) {
            unsigned number = s->repetitions > 1 ? (unsigned)r + 1 : 0;
            s->parts[r][k] = part(l, n, path, number, below[k]);
        }
    }
}
