#include "core/hl7/hl7.h"

#include "core/hl7/internal.h"

#include <string.h>

const struct hl7_limits hl7_default_limits = {16u << 20, 100000};

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool hl7_is_name(const char *p)
{
    return is_upper(p[0]) && (is_upper(p[1]) || is_digit(p[1])) &&
           (is_upper(p[2]) || is_digit(p[2]));
}

size_t hl7_leading(struct str raw)
{
    size_t i = str_starts(raw, STR("\xef\xbb\xbf")) ? 3 : 0;
    while (i < raw.n && (raw.p[i] == ' ' || (raw.p[i] >= '\t' && raw.p[i] <= '\r'))) {
        i++;
    }
    return i;
}

static bool is_delimiter(char c)
{
    return c > ' ' && c < 0x7f && !is_upper(c) && !is_digit(c) && !(c >= 'a' && c <= 'z');
}

/* Positions are relative to the segment. */
enum err_code hl7_read_delimiters(struct str msh, struct hl7_delimiters *out, struct err *e)
{
    if (msh.n < 4 || !is_delimiter(msh.p[3])) {
        ERR(e, ERR_SYNTAX, 3, "the field separator is missing or not a printable sign");
        err_at(e, "MSH-1");
        return ERR_SYNTAX;
    }
    struct str d = str_cut(msh, 4, str_find(msh, msh.p[3], 4));
    if (d.n < 2 || d.n > 5) {
        ERR(e, ERR_SYNTAX, 4, "the encoding characters are not 2 to 5");
        err_at(e, "MSH-2");
        return ERR_SYNTAX;
    }
    if (str_is(d, "^~\\\\&")) {
        d = STR("^~\\&");
    }
    for (size_t i = 0; i < d.n; i++) {
        bool twice = memchr(d.p, d.p[i], i) != NULL;
        if (twice || !is_delimiter(d.p[i])) {
            ERR(e, ERR_SYNTAX, 4 + i,
                twice ? "an encoding character appears twice"
                      : "an encoding character is not a printable sign");
            err_at(e, "MSH-2");
            return ERR_SYNTAX;
        }
    }
    *out = (struct hl7_delimiters){
        .field = msh.p[3],
        .component = d.p[0],
        .repetition = d.p[1],
        .escape = d.n > 2 ? d.p[2] : '\0',
        .sub = d.n > 3 ? d.p[3] : '\0',
        .truncation = d.n > 4 ? d.p[4] : '\0',
    };
    if (d.n == 3 && d.p[2] == '&') {
        out->sub = '&';
        out->escape = '\0';
    }
    return ERR_NONE;
}

/* The next line end of one kind, found once however many lines of the other kind lie before it. */
static size_t next_end(struct str text, char c, size_t known, size_t from)
{
    return known >= from ? known : str_find(text, c, from);
}

static bool is_blank(struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] != ' ' && line.p[i] != '\t') {
            return false;
        }
    }
    return true;
}

static bool grow(struct hl7_msg *m, size_t *room)
{
    size_t bigger = *room ? *room * 4 : 32;
    struct hl7_seg *segs = arena_array(m->arena, bigger, sizeof *segs);
    if (segs && m->count) {
        memcpy(segs, m->segs, m->count * sizeof *segs);
    }
    m->segs = segs;
    *room = bigger;
    return segs != NULL;
}

static enum err_code bad_line(const struct hl7_msg *m, size_t pos, enum err_code code,
                              const char *what, struct err *e)
{
    ERR(e, code, pos, "%s", what);
    err_at(e, "segment %zu", m->count + 1);
    return code;
}

static enum err_code check_line(const struct hl7_msg *m, struct str line, size_t at, struct err *e)
{
    if (line.n < 3 || !hl7_is_name(line.p) || (line.n > 3 && line.p[3] != m->d.field)) {
        return bad_line(m, at, ERR_SYNTAX, "the line does not begin with a segment name", e);
    }
    if (m->count > 0 && memcmp(line.p, "MSH", 3) == 0) {
        return bad_line(m, at, ERR_SYNTAX,
                        "a second message begins inside the message: send them one by one, or as a "
                        "batch (BHS to BTS)",
                        e);
    }
    return ERR_NONE;
}

static enum err_code find_segments(struct hl7_msg *m, size_t from, size_t limit, struct err *e)
{
    struct str text = m->text;
    size_t cr = str_find(text, '\r', from), lf = str_find(text, '\n', from), room = 0;
    for (size_t at = from; at < text.n;) {
        cr = next_end(text, '\r', cr, at);
        lf = next_end(text, '\n', lf, at);
        size_t end = cr < lf ? cr : lf;
        struct str line = str_cut(text, at, end);
        if (line.n > 2 || !is_blank(line)) {
            if (line.n > 2 && line.p[0] <= ' ' && is_blank(line)) {
                at = end + 1;
                continue;
            }
            enum err_code code = check_line(m, line, at, e);
            if (code != ERR_NONE) {
                return code;
            }
            if (m->count == limit) {
                return bad_line(m, at, ERR_LIMIT, "the message has too many segments", e);
            }
            if (m->count == room && !grow(m, &room)) {
                return ERR(e, ERR_NOMEM, at, "no memory for the segments");
            }
            m->segs[m->count++] = (struct hl7_seg){
                .at = (uint32_t)at, .n = (uint32_t)line.n, .name = hl7_name(line.p)};
        }
        at = end + 1;
    }
    return ERR_NONE;
}

static uint32_t slot_of(const struct hl7_msg *m, uint32_t name)
{
    uint32_t i = (name * 2654435761u) >> 12;
    for (;; i++) {
        const struct hl7_slot *s = &m->slots[i & m->mask];
        if (s->name == name || s->name == 0) {
            return i & m->mask;
        }
    }
}

/* Groups the segments by name, so that the n-th OBX is found without counting. */
static enum err_code index_names(struct hl7_msg *m, struct err *e)
{
    uint32_t size = 16;
    while (size < 2 * m->count && size < 1u << 17) {
        size *= 2;
    }
    m->mask = size - 1;
    m->slots = arena_array(m->arena, size, sizeof *m->slots);
    m->order = arena_array(m->arena, m->count, sizeof *m->order);
    if (!m->slots || !m->order) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the segments");
    }
    for (size_t i = 0; i < m->count; i++) {
        m->segs[i].slot = slot_of(m, m->segs[i].name);
        struct hl7_slot *s = &m->slots[m->segs[i].slot];
        s->name = m->segs[i].name;
        s->count++;
    }
    uint32_t first = 0;
    for (uint32_t i = 0; i < size; i++) {
        m->slots[i].first = first;
        first += m->slots[i].count;
        m->slots[i].count = 0;
    }
    for (size_t i = 0; i < m->count; i++) {
        struct hl7_slot *s = &m->slots[m->segs[i].slot];
        m->order[s->first + s->count++] = (uint32_t)i;
    }
    return ERR_NONE;
}

static enum err_code check_text(struct str text, const struct hl7_limits *limits, size_t from,
                                struct err *e)
{
    if (text.n > limits->bytes || text.n > UINT32_MAX) {
        return ERR(e, ERR_LIMIT, limits->bytes, "the message is larger than %zu bytes",
                   limits->bytes);
    }
    if (!str_starts(str_cut(text, from, text.n), STR("MSH"))) {
        ERR(e, ERR_SYNTAX, from, "the message does not begin with MSH");
        err_at(e, "segment 1");
        return ERR_SYNTAX;
    }
    return ERR_NONE;
}

/* After the delimiters: a NUL as delimiter is reported as one. */
static enum err_code check_nul(struct str text, struct err *e)
{
    const char *nul = memchr(text.p, 0, text.n);
    if (!nul) {
        return ERR_NONE;
    }
    char place[HL7_PLACE];
    size_t at = (size_t)(nul - text.p);
    ERR(e, ERR_SYNTAX, at, "a NUL byte");
    err_at(e, "%s", hl7_place(text, at, place));
    return ERR_SYNTAX;
}

enum err_code hl7_parse(struct arena *a, struct str text, const struct hl7_limits *limits,
                        const struct hl7_msg **out, struct err *e)
{
    *out = NULL;
    limits = limits ? limits : &hl7_default_limits;
    size_t from = hl7_leading(text);
    enum err_code code = check_text(text, limits, from, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct hl7_msg *m = arena_alloc(a, sizeof *m);
    struct hl7_memory *memory = arena_alloc(a, sizeof *memory);
    if (!m || !memory) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    *memory =
        (struct hl7_memory){.charset = CHARSET_UTF8, .segment = SIZE_MAX, .rep_field = SIZE_MAX};
    *m = (struct hl7_msg){.text = text, .arena = a, .memory = memory};
    struct str msh = str_cut(text, from, text.n);
    size_t cr = str_find(msh, '\r', 0), lf = str_find(str_cut(msh, 0, cr), '\n', 0);
    code = hl7_read_delimiters(str_cut(msh, 0, lf), &m->d, e);
    if (code != ERR_NONE) {
        if (e) {
            e->pos += from;
        }
        return code;
    }
    size_t msh2 = str_find(msh, m->d.field, 4) + from;
    m->escaped = m->d.escape && str_find(text, m->d.escape, msh2) < text.n;
    if ((code = check_nul(text, e)) != ERR_NONE ||
        (code = find_segments(m, from, limits->segments, e)) != ERR_NONE ||
        (code = index_names(m, e)) != ERR_NONE) {
        return code;
    }
    *out = m;
    return ERR_NONE;
}

size_t hl7_find(const struct hl7_msg *m, uint32_t name, unsigned occ)
{
    const struct hl7_slot *s = &m->slots[slot_of(m, name)];
    occ = occ ? occ : 1;
    return occ <= s->count ? m->order[s->first + occ - 1] : m->count;
}

size_t hl7_segments(const struct hl7_msg *m)
{
    return m->count;
}

struct str hl7_segment(const struct hl7_msg *m, size_t index)
{
    if (index >= m->count) {
        return (struct str){"", 0};
    }
    return (struct str){m->text.p + m->segs[index].at, m->segs[index].n};
}

unsigned hl7_occurrences(const struct hl7_msg *m, const char segment[4])
{
    return m->slots[slot_of(m, hl7_name(segment))].count;
}

unsigned hl7_before(const struct hl7_msg *m, const char segment[4], const char other[4],
                    unsigned occ)
{
    const struct hl7_slot *s = &m->slots[slot_of(m, hl7_name(segment))];
    size_t end = hl7_find(m, hl7_name(other), occ);
    unsigned from = 0, to = s->count;
    while (from < to) {
        unsigned middle = from + (to - from) / 2;
        if (m->order[s->first + middle] < end) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

size_t hl7_offset(const struct hl7_msg *m, struct str slice)
{
    uintptr_t from = (uintptr_t)m->text.p, p = (uintptr_t)slice.p;
    return p >= from && p - from <= m->text.n ? (size_t)(p - from) : 0;
}

struct hl7_delimiters hl7_delimiters(const struct hl7_msg *m)
{
    return m->d;
}

void hl7_set_charset(const struct hl7_msg *m, enum charset used)
{
    m->memory->charset = used;
}
