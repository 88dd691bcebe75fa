#include "core/hl7/hl7.h"

#include "core/hl7/internal.h"

#include "core/base/num.h"
#include "core/base/text.h"

#include <string.h>

/* A few bytes of formatting ask for up to 255 blanks: all values of a message, however often they
 * are read, may grow by MAX_GROWTH that way. */
enum { MAX_UNKNOWN = 64, MAX_SKIP = 255, MAX_GROWTH = 1024 * 1024 };

/* The growing result; `p` is NULL once memory is out. */
struct sink {
    struct arena *arena;
    char *p;
    size_t n, cap;
    size_t growth; /* by formatting codes that are shorter than what they give */
};

static void put(struct sink *s, const char *p, size_t n)
{
    if (s->p && n > s->cap - s->n) {
        size_t cap = 2 * s->cap + n;
        char *bigger = arena_alloc(s->arena, cap);
        if (bigger) {
            memcpy(bigger, s->p, s->n);
        }
        s->p = bigger;
        s->cap = cap;
    }
    if (s->p && n) {
        memcpy(s->p + s->n, p, n);
        s->n += n;
    }
}

static void put_many(struct sink *s, char c, unsigned n)
{
    while (n--) {
        put(s, &c, 1);
    }
}

/* What one sequence means. */
enum what { IS_TEXT, IS_BYTES, IS_KEPT, IS_NOTHING_KNOWN };

static bool is_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
            return false;
        }
    }
    return s.n > 0 && s.n % 2 == 0;
}

/* \.sp3\ and its like. False when it is none of them. */
static bool format(struct sink *s, struct str code)
{
    static const struct {
        char name[4];
        bool number;
        char gives;
        unsigned count;
    } formats[] = {
        {".br", false, '\n', 1}, {".sp", true, '\n', 1}, {".in", true, ' ', 0},
        {".ti", true, ' ', 0},   {".fi", false, ' ', 0}, {".nf", false, ' ', 0},
        {".ce", false, '\n', 1}, {".sk", true, ' ', 1},
    };
    struct str name = str_cut(code, 0, 3), number = str_cut(code, 3, code.n);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (!str_is(name, formats[i].name)) {
            continue;
        }
        int64_t n = formats[i].count;
        if (number.n &&
            (!formats[i].number || num_i64(number, -MAX_SKIP, MAX_SKIP, &n, NULL) != ERR_NONE ||
             (formats[i].count && n < 1))) {
            return false;
        }
        s->growth += n > (int64_t)code.n ? (size_t)n - code.n : 0;
        put_many(s, formats[i].gives, n > 0 && s->growth <= MAX_GROWTH ? (unsigned)n : 0);
        return true;
    }
    return false;
}

/* The character a one-letter sequence stands for in this message; NUL when it has none. */
static char delimiter(struct hl7_delimiters d, char letter)
{
    switch (letter) {
    case 'F':
        return d.field;
    case 'S':
        return d.component;
    case 'T':
        return d.sub;
    case 'R':
        return d.repetition;
    case 'E':
        return d.escape;
    case 'P':
        return d.truncation;
    default:
        return '\0';
    }
}

bool hl7_plausible(struct str code)
{
    if (code.n == 0 || code.n > MAX_UNKNOWN) {
        return false;
    }
    for (size_t i = 0; i < code.n; i++) {
        char c = code.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '.' || c == '+' || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

static enum what translate(struct sink *s, struct hl7_delimiters d, struct str code)
{
    if (code.n == 1) {
        char c = delimiter(d, code.p[0]);
        put(s, &c, c != '\0');
        if (c || code.p[0] == 'H' || code.p[0] == 'N') {
            return IS_TEXT;
        }
    }
    if (code.n > 1 && code.p[0] == 'X' && is_hex(str_cut(code, 1, code.n))) {
        return IS_BYTES;
    }
    if (code.n > 2 && code.p[0] == '.' && format(s, code)) {
        return IS_TEXT;
    }
    return (code.n && code.p[0] == 'Z') || hl7_plausible(code) ? IS_KEPT : IS_NOTHING_KNOWN;
}

/* One \X..\ at `at`: its digits, and where it ends. */
static bool hex_at(struct str in, char esc, size_t at, struct str *digits, size_t *end)
{
    if (at + 2 >= in.n || in.p[at] != esc || in.p[at + 1] != 'X') {
        return false;
    }
    *end = str_find(in, esc, at + 1);
    *digits = str_cut(in, at + 2, *end);
    (*end)++;
    return *end <= in.n && is_hex(*digits);
}

/*
 * A run of \X..\ sequences without anything between them: their bytes together, since a sender may
 * give each byte of a character its own. *at moves behind the run.
 */
static enum err_code put_bytes(struct sink *s, const struct hl7_msg *m, struct str in, size_t *at,
                               struct err *e)
{
    size_t from = *at, n = 0, end;
    struct str digits, text;
    for (size_t i = from; hex_at(in, m->d.escape, i, &digits, &end); i = end) {
        *at = end;
    }
    char *bytes = arena_alloc(s->arena, (*at - from) / 2);
    if (!bytes) {
        return ERR(e, ERR_NOMEM, from, "no memory for an escape sequence");
    }
    for (size_t i = from; hex_at(in, m->d.escape, i, &digits, &end); i = end) {
        text_unhex(digits, bytes + n, NULL);
        n += digits.n / 2;
    }
    enum err_code code =
        charset_decode(s->arena, m->memory->charset, (struct str){bytes, n}, &text, e);
    if (code != ERR_NONE) {
        if (e) {
            e->pos = from;
        }
        return code;
    }
    put(s, text.p, text.n);
    return ERR_NONE;
}

static enum err_code unescape(struct sink *s, const struct hl7_msg *m, struct str in, size_t at,
                              struct err *e)
{
    size_t from = 0;
    while (at < in.n) {
        put(s, in.p + from, at - from);
        from = at;
        size_t end = str_find(in, m->d.escape, at + 1);
        if (end == in.n) {
            break;
        }
        enum err_code code;
        switch (translate(s, m->d, str_cut(in, at + 1, end))) {
        case IS_TEXT:
            if (s->growth > MAX_GROWTH) {
                return ERR(e, ERR_LIMIT, at, "formatting codes make the message too large");
            }
            from = at = end + 1;
            break;
        case IS_BYTES:
            if ((code = put_bytes(s, m, in, &at, e)) != ERR_NONE) {
                return code;
            }
            from = at;
            break;
        case IS_KEPT:
            at = end + 1;
            break;
        case IS_NOTHING_KNOWN: /* a lone escape character: the next one may begin a sequence */
            at = end;
            break;
        }
        at = str_find(in, m->d.escape, at);
    }
    put(s, in.p + from, in.n - from);
    return s->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a value");
}

enum err_code hl7_unescape_plain(struct arena *a, const struct hl7_msg *m, struct str in,
                                 struct str *out, struct err *e)
{
    size_t first = m->d.escape ? str_find(in, m->d.escape, 0) : in.n;
    *out = in;
    if (first == in.n) {
        return ERR_NONE;
    }
    struct sink s = {.arena = a, .cap = in.n + 8, .growth = m->memory->growth};
    *out = (struct str){"", 0};
    s.p = arena_alloc(a, s.cap);
    enum err_code code = unescape(&s, m, in, first, e);
    m->memory->growth = s.growth;
    if (code == ERR_NONE) {
        *out = (struct str){s.p, s.n};
    }
    return code;
}

enum err_code hl7_unescape(struct arena *a, const struct hl7_msg *m, struct str in, struct str *out,
                           struct err *e)
{
    if (!m->d.escape || str_find(in, m->d.escape, 0) == in.n) {
        *out = in;
        return ERR_NONE;
    }
    return hl7_switches(m) ? hl7_unescape_switched(a, m, in, out, e)
                           : hl7_unescape_plain(a, m, in, out, e);
}

bool hl7_has_escapes(const struct hl7_msg *m)
{
    return m->escaped;
}

/* ---- the other direction ---- */

static char letter_of(struct hl7_delimiters d, char c)
{
    static const char letters[] = "FSTREP";
    for (const char *l = letters; *l && c; l++) {
        if (delimiter(d, *l) == c) {
            return *l;
        }
    }
    return '\0';
}

/* Two bytes per character where the set has two. */
static void put_hex(struct buf *out, struct hl7_delimiters d, enum charset set, char c)
{
    buf_printf(out, "%cX%s%02X%s%c", d.escape, set == CHARSET_UTF16 ? "00" : "", (unsigned char)c,
               set == CHARSET_UTF16LE ? "00" : "", d.escape);
}

/* Not ESC, SO and SI where they switch sets: in hexadecimal they would switch, not be themselves.
 */
static bool must_be_hex(enum charset set, char c)
{
    bool shifts = set == CHARSET_ISO2022JP || set == CHARSET_ISO2022KR;
    return (unsigned char)c < ' ' && c != '\t' &&
           !(shifts && (c == 0x1b || c == 0x0e || c == 0x0f));
}

enum err_code hl7_escape_into(struct buf *out, struct hl7_delimiters d, enum charset set,
                              struct str in, struct err *e)
{
    bool quotes = str_is(in, "\"\"");
    size_t from = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i], letter = letter_of(d, c);
        bool hex = must_be_hex(set, c) || quotes;
        if (!letter && !hex) {
            continue;
        }
        if (!d.escape) {
            return ERR(e, ERR_UNSUPPORTED, i, "the message has no escape character for this");
        }
        buf_add(out, str_cut(in, from, i));
        from = i + 1;
        if (letter) {
            buf_printf(out, "%c%c%c", d.escape, letter, d.escape);
        } else {
            put_hex(out, d, set, c);
        }
    }
    buf_add(out, str_cut(in, from, in.n));
    return buf_ok(out) ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a value");
}

static bool needs_escape(struct hl7_delimiters d, enum charset set, struct str in)
{
    for (size_t i = 0; i < in.n; i++) {
        if (must_be_hex(set, in.p[i]) || letter_of(d, in.p[i])) {
            return true;
        }
    }
    return str_is(in, "\"\"");
}

enum err_code hl7_escape(struct arena *a, const struct hl7_msg *m, struct str in, struct str *out,
                         struct err *e)
{
    *out = in;
    if (!needs_escape(m->d, m->memory->charset, in)) {
        return ERR_NONE;
    }
    *out = (struct str){"", 0};
    struct buf b;
    buf_init(&b, SIZE_MAX / 4);
    enum err_code code = hl7_escape_into(&b, m->d, m->memory->charset, in, e);
    if (code == ERR_NONE) {
        *out = arena_copy(a, buf_str(&b));
        code = out->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a value");
    }
    buf_release(&b);
    return code;
}
