#include "core/hl7/hl7.h"

#include "core/hl7/internal.h"

#include <stdio.h>
#include <string.h>

static size_t line_end(struct str text, size_t from)
{
    while (from < text.n && text.p[from] != '\r' && text.p[from] != '\n') {
        from++;
    }
    return from;
}

/* Field of an offset inside a segment whose separator is its fourth byte. */
static unsigned field_of(struct str line, size_t offset, bool header)
{
    unsigned field = header ? 1 : 0;
    for (size_t i = 3; i < offset; i++) {
        field += line.p[i] == line.p[3];
    }
    return field;
}

const char *hl7_place(struct str text, size_t offset, char out[HL7_PLACE])
{
    size_t at = hl7_leading(text), number = 0;
    char separator = '\0';
    struct str line = {"", 0};
    while (at < text.n) {
        size_t end = line_end(text, at);
        if (end > at) {
            number++;
            line = str_cut(text, at, end);
            separator = separator || line.n < 4 ? separator : line.p[3];
        }
        if (end >= offset || end == text.n) {
            break;
        }
        at = end + 1;
    }
    size_t inside = offset > at ? offset - at : 0;
    if (line.n < 4 || !hl7_is_name(line.p) || line.p[3] != separator || inside < 3) {
        snprintf(out, HL7_PLACE, "segment %zu", number ? number : 1);
        return out;
    }
    struct hl7_path place = {.occ = 0, .chosen = {"", 0}};
    memcpy(place.segment, line.p, 3);
    bool header = hl7_is_header(hl7_name(line.p));
    place.field = field_of(line, inside < line.n ? inside : line.n, header);
    for (size_t from = hl7_leading(text); from <= at; from = line_end(text, from) + 1) {
        struct str other = str_cut(text, from, from + 3);
        place.occ += str_eq(other, str_cut(line, 0, 3));
    }
    return hl7_path_text(&place, out);
}

bool hl7_raw_msh(struct str raw, struct str *msh)
{
    size_t at = hl7_leading(raw), cr = str_find(raw, '\r', at);
    *msh = str_cut(raw, at, str_find(str_cut(raw, 0, cr), '\n', at));
    return msh->n > 3 && memcmp(msh->p, "MSH", 3) == 0;
}

struct str hl7_raw_field(struct str msh, unsigned f)
{
    size_t from = 4, end = 4;
    for (; end < msh.n && f >= 2; end++) {
        if (msh.p[end] != msh.p[3]) {
            continue;
        }
        if (f-- == 2) {
            break;
        }
        from = end + 1;
    }
    return f > 2 ? (struct str){"", 0} : str_cut(msh, from, end);
}
