#include "core/hl7/v2xml.h"

#include "core/hl7/internal.h"

#include <stdio.h>
#include <string.h>

/* Data types of the fields of a reply that have components; field 0 ends. */
static const struct {
    char segment[4];
    unsigned field;
    const char *type;
} types[] = {
    {"MSH", 3, "HD"},  {"MSH", 4, "HD"},  {"MSH", 5, "HD"},   {"MSH", 6, "HD"},  {"MSH", 7, "TS"},
    {"MSH", 9, "MSG"}, {"MSH", 11, "PT"}, {"MSH", 12, "VID"}, {"MSH", 19, "CE"}, {"MSH", 21, "EI"},
    {"MSA", 6, "CE"},  {"ERR", 1, "ELD"}, {"ERR", 2, "ERL"},  {"ERR", 3, "CWE"}, {"ERR", 5, "CWE"},
};

struct writing {
    struct buf *out;
    struct arena *arena;
    const struct hl7_msg *m;
    struct hl7_delimiters d;
    struct str version;
};

/* NULL: no components, or none that we know the name of. Since 2.6 a time is one value. */
static const char *type_of(const struct writing *w, const char segment[4], unsigned field)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (memcmp(types[i].segment, segment, 3) == 0 && types[i].field == field) {
            bool time = strcmp(types[i].type, "TS") == 0;
            return time && str_cmp(w->version, STR("2.6")) >= 0 ? NULL : types[i].type;
        }
    }
    return NULL;
}

static void put_text(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '<':
            buf_addz(out, "&lt;");
            break;
        case '>':
            buf_addz(out, "&gt;");
            break;
        case '&':
            buf_addz(out, "&amp;");
            break;
        case '\r':
            buf_addz(out, "&#13;");
            break;
        default: /* a control character has no form in XML */
            buf_addc(out, (unsigned char)s.p[i] >= ' ' || s.p[i] == '\n' || s.p[i] == '\t' ? s.p[i]
                                                                                           : '?');
        }
    }
}

static enum err_code put_value(struct writing *w, struct str escaped, struct err *e)
{
    struct str plain;
    enum err_code code = hl7_unescape(w->arena, w->m, escaped, &plain, e);
    if (code == ERR_NONE) {
        put_text(w->out, plain);
    }
    return code;
}

/* <HD.1>…</HD.1><HD.2>…</HD.2>; of a component its subcomponents, named after it. */
static enum err_code put_parts(struct writing *w, const char *name, char separator, struct str in,
                               struct err *e)
{
    struct str rest = in, part;
    enum err_code code = ERR_NONE;
    for (unsigned k = 1; code == ERR_NONE && str_next(&rest, separator, &part); k++) {
        char below[48];
        if (part.n == 0) {
            continue;
        }
        snprintf(below, sizeof below, "%.40s.%u", name, k);
        buf_printf(w->out, "<%s>", below);
        bool subs = separator == w->d.component && w->d.sub && memchr(part.p, w->d.sub, part.n);
        code = subs ? put_parts(w, below, w->d.sub, part, e) : put_value(w, part, e);
        buf_printf(w->out, "</%s>", below);
    }
    return code;
}

static enum err_code put_field(struct writing *w, const char segment[4], unsigned field,
                               struct str rep, struct err *e)
{
    char name[16];
    const char *type = type_of(w, segment, field);
    bool parts = type || (w->d.component && memchr(rep.p, w->d.component, rep.n));
    snprintf(name, sizeof name, "%.3s.%u", segment, field);
    buf_printf(w->out, "<%s>", name);
    enum err_code code =
        parts ? put_parts(w, type ? type : name, w->d.component, rep, e) : put_value(w, rep, e);
    buf_printf(w->out, "</%s>", name);
    return code;
}

static enum err_code put_segment(struct writing *w, struct str seg, struct err *e)
{
    char name[4] = {seg.p[0], seg.p[1], seg.p[2], '\0'};
    bool header = hl7_is_header(hl7_name(name));
    struct str rest = {NULL, 0}, field;
    unsigned number = 0;
    enum err_code code = ERR_NONE;
    if (seg.n > 3) {
        rest = str_cut(seg, 4, seg.n);
    }
    buf_printf(w->out, "<%s>", name);
    if (header && str_next(&rest, w->d.field, &field)) {
        buf_printf(w->out, "<%s.1>", name);
        put_text(w->out, (struct str){&w->d.field, 1});
        buf_printf(w->out, "</%s.1><%s.2>", name, name);
        put_text(w->out, field);
        buf_printf(w->out, "</%s.2>", name);
        number = 2;
    }
    while (code == ERR_NONE && str_next(&rest, w->d.field, &field)) {
        struct str reps = field, rep;
        number++;
        while (field.n && code == ERR_NONE && str_next(&reps, w->d.repetition, &rep)) {
            code = put_field(w, name, number, rep, e);
        }
    }
    buf_printf(w->out, "</%s>", name);
    return code;
}

/* MSH-9.3 when it can be the name of an element. */
static struct str root_name(const struct hl7_msg *m)
{
    struct hl7_header h;
    hl7_header(m, &h);
    for (size_t i = 0; i < h.structure.n; i++) {
        char c = h.structure.p[i];
        bool letter = c >= 'A' && c <= 'Z';
        if (!letter && (i == 0 || (c != '_' && (c < '0' || c > '9')))) {
            return STR("ACK");
        }
    }
    return h.structure.n ? h.structure : STR("ACK");
}

enum err_code hl7_to_v2xml(struct buf *out, struct arena *a, const struct hl7_msg *m, struct err *e)
{
    struct writing w = {.out = out, .arena = a, .m = m, .d = hl7_delimiters(m)};
    struct str root = root_name(m);
    struct hl7_header h;
    hl7_header(m, &h);
    w.version = h.version;
    buf_printf(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%.*s xmlns=\"urn:hl7-org:v2xml\">",
               STR_ARG(root));
    enum err_code code = ERR_NONE;
    for (size_t i = 0; i < hl7_segments(m) && code == ERR_NONE; i++) {
        code = put_segment(&w, hl7_segment(m, i), e);
    }
    buf_printf(out, "</%.*s>\n", STR_ARG(root));
    return code == ERR_NONE && !buf_ok(out) ? ERR(e, ERR_NOMEM, 0, "no memory for a reply") : code;
}
