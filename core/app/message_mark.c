#include "core/app/message_mark.h"

#include "core/base/num.h"
#include "core/hl7/hl7.h"
#include "core/table/row.h"
#include "core/xml/tree.h"

#include <stdio.h>
#include <string.h>

static size_t line_end(struct str text, size_t from)
{
    while (from < text.n && text.p[from] != '\r' && text.p[from] != '\n') {
        from++;
    }
    return from;
}

static bool find_line(struct str text, int64_t number, size_t *from, size_t *n)
{
    for (size_t at = 0; at < text.n; at = line_end(text, at) + 1) {
        size_t end = line_end(text, at);
        number -= end > at;
        if (end > at && number == 0) {
            *from = at;
            *n = end - at < 3 ? end - at : 3; /* its name */
            return true;
        }
    }
    return false;
}

/* The segment of a path, by its name. */
static bool find_segment(const struct hl7_msg *m, const struct hl7_path *path, size_t *from,
                         size_t *n)
{
    unsigned occ = path->occ ? path->occ : 1;
    for (size_t i = 0; i < hl7_segments(m); i++) {
        struct str line = hl7_segment(m, i);
        if (line.n >= 3 && memcmp(line.p, path->segment, 3) == 0 && --occ == 0) {
            *from = hl7_offset(m, line);
            *n = 3;
            return true;
        }
    }
    return false;
}

static bool find_path(struct arena *a, struct str text, struct str place, size_t *from, size_t *n)
{
    const struct hl7_msg *m;
    struct hl7_path path;
    struct str at;
    if (hl7_path_parse(place, &path, NULL) != ERR_NONE ||
        hl7_parse(a, text, &hl7_default_limits, &m, NULL) != ERR_NONE) {
        return false;
    }
    struct hl7_path field = {.occ = path.occ, .field = path.field, .rep = path.rep};
    memcpy(field.segment, path.segment, sizeof field.segment);
    bool found =
        path.field && (hl7_get(m, &path, &at) == HL7_VALUE || hl7_get(m, &field, &at) == HL7_VALUE);
    if (!found) {
        return find_segment(m, &path, from, n);
    }
    *from = hl7_offset(m, at);
    *n = at.n;
    return true;
}

/* "row 214, column 예약일시": the cell in the row as it is stored, which is one line. */
static bool find_cell(struct arena *a, struct str text, struct str place, size_t *from, size_t *n)
{
    struct row r;
    size_t comma = str_find(place, ',', 0);
    struct str name = str_cut(place, comma, place.n);
    int64_t number = 0;
    if (!str_starts(name, STR(", column ")) || row_parse(a, text, &r, NULL) != ERR_NONE) {
        return false;
    }
    name = str_cut(name, sizeof ", column " - 1, name.n);
    num_i64(name, 1, INT32_MAX, &number, NULL);
    const struct str *cells = r.now ? r.now : r.before;
    for (size_t i = 0; i < r.layout->count; i++) {
        bool in_text = cells[i].p >= text.p && cells[i].p <= text.p + text.n;
        if (in_text && (str_eq(r.layout->header[i], name) || number == (int64_t)i + 1)) {
            *from = (size_t)(cells[i].p - text.p);
            *n = cells[i].n;
            return true;
        }
    }
    return false;
}

bool message_place(struct arena *a, struct str text, struct str place, size_t *from, size_t *n)
{
    int64_t number;
    if (xml_kind(text) != XML_KIND_OTHER && !str_starts(place, STR("byte "))) {
        return xml_find_place(a, text, place, from, n);
    }
    size_t blank = str_find(place, ' ', 0);
    struct str word = str_cut(place, 0, blank), rest = str_cut(place, blank + 1, place.n);
    bool numbered = num_i64(rest, 0, INT32_MAX, &number, NULL) == ERR_NONE;
    if (numbered && str_is(word, "byte")) {
        *from = (size_t)number;
        *n = 1;
        return *from < text.n;
    }
    if (numbered && (str_is(word, "segment") || str_is(word, "line"))) {
        return find_line(text, number, from, n);
    }
    if (str_is(word, "row")) {
        return find_cell(a, text, place, from, n);
    }
    return place.n && find_path(a, text, place, from, n);
}

static bool is_wide(unsigned c)
{
    static const unsigned ranges[][2] = {{0x1100, 0x115f},  {0x2e80, 0xa4cf}, {0xa960, 0xa97f},
                                         {0xac00, 0xd7a3},  {0xf900, 0xfaff}, {0xfe30, 0xfe4f},
                                         {0xff00, 0xff60},  {0xffe0, 0xffe6}, {0x1f300, 0x1faff},
                                         {0x20000, 0x3fffd}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1]) {
            return true;
        }
    }
    return false;
}

size_t text_columns(struct str s)
{
    size_t columns = 0;
    for (size_t i = 0; i < s.n;) {
        unsigned char first = (unsigned char)s.p[i];
        size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
        unsigned c = more ? first & (0x3fu >> more) : first;
        for (i++; more > 0 && i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80; more--, i++) {
            c = c << 6 | ((unsigned char)s.p[i] & 0x3fu);
        }
        columns += is_wide(c) ? 2 : 1;
    }
    return columns;
}

static void put_repeated(char c, size_t n)
{
    while (n-- > 0) {
        putchar(c);
    }
}

static void put_line(struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        putchar((c < ' ' && c != '\t') || c == 0x7f ? '?' : c);
    }
    putchar('\n');
}

/* Below the line, as far as the place lies in it. */
static void put_mark(struct str line, size_t from, size_t n)
{
    size_t width = text_columns(str_cut(line, from, from + n));
    put_repeated(' ', text_columns(str_cut(line, 0, from)));
    put_repeated('^', width ? width : 1);
    putchar('\n');
}

void print_marked(struct arena *a, struct str text, struct str place)
{
    size_t from = 0, n = 0;
    bool mark = message_place(a, text, place, &from, &n);
    for (size_t at = 0; at < text.n;) {
        size_t end = line_end(text, at);
        struct str line = str_cut(text, at, end);
        put_line(line);
        if (mark && from >= at && from <= end) {
            put_mark(line, from - at, n);
            mark = false;
        }
        bool crlf = end + 1 < text.n && text.p[end] == '\r' && text.p[end + 1] == '\n';
        at = end + (crlf ? 2 : 1);
    }
}
