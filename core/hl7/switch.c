#include "core/hl7/internal.h"

#include "core/base/text.h"

#include <string.h>

/*
 * What may be switched to (chapter 2.7.2): a set of 94 characters written with 7 bits is reached by
 * the same escape sequence of ISO 2022, one of 8 bits is a set of its own. Their names in table
 * 0211 are ISO IR 6, 100, 101, …
 */
static const struct repertoire {
    char code[8];
    enum charset set;
    const char *designates; /* "" for a set of 8 bits; NULL: back to the message's own set */
} repertoires[] = {
    {"C2842", CHARSET_ASCII, NULL},
    {"C2D41", CHARSET_LATIN1, ""},
    {"C2D42", CHARSET_LATIN2, ""},
    {"C2D43", CHARSET_LATIN3, ""},
    {"C2D44", CHARSET_LATIN4, ""},
    {"C2D4C", CHARSET_CYRILLIC, ""},
    {"C2D47", CHARSET_ARABIC, ""},
    {"C2D46", CHARSET_GREEK, ""},
    {"C2D48", CHARSET_HEBREW, ""},
    {"C2D4D", CHARSET_LATIN5, ""},
    {"C2D62", CHARSET_LATIN9, ""},
    {"C284A", CHARSET_ISO2022JP, "\x1b(J"},
    {"C2949", CHARSET_SJIS, ""},
    {"M2442", CHARSET_ISO2022JP, "\x1b$B"},
    {"M242844", CHARSET_ISO2022JP, "\x1b$(D"},
    {"M242843", CHARSET_ISO2022JP, "\x1b$(C"},
    {"M242943", CHARSET_CP949, ""},
};

/* Version 2.3 has these sequences and no MSH-20 yet (2.9.2 there); since 2.3.1 that field says so.
 */
static bool says_so(struct str msh)
{
    struct str scheme = str_trim(hl7_raw_field(msh, 20));
    return str_is(scheme.n ? scheme : str_trim(hl7_raw_field(msh, 12)), "2.3");
}

bool hl7_switches(const struct hl7_msg *m)
{
    struct hl7_memory *memory = m->memory;
    if (memory->switches == SWITCHES_UNKNOWN) {
        memory->switches = says_so(hl7_segment(m, 0)) ? SWITCHES_YES : SWITCHES_NO;
    }
    return memory->switches == SWITCHES_YES;
}

/* Does a switch begin here? *end is behind it. */
static const struct repertoire *switch_at(struct str in, char esc, size_t at, size_t *end)
{
    if (at + 1 >= in.n || in.p[at] != esc || (in.p[at + 1] != 'C' && in.p[at + 1] != 'M')) {
        return NULL;
    }
    size_t close = str_find(in, esc, at + 1);
    struct str code = str_cut(in, at + 1, close);
    for (size_t i = 0; close < in.n && i < sizeof repertoires / sizeof repertoires[0]; i++) {
        if (str_same(code, str_of(repertoires[i].code))) {
            *end = close + 1;
            return &repertoires[i];
        }
    }
    return NULL;
}

/* The first switch from *at on; *at is where it begins, the end of `in` when there is none. */
static const struct repertoire *next_switch(struct str in, char esc, size_t *at, size_t *end)
{
    for (*at = str_find(in, esc, *at); *at < in.n;) {
        const struct repertoire *r = switch_at(in, esc, *at, end);
        if (r) {
            return r;
        }
        size_t close = str_find(in, esc, *at + 1);
        bool sequence = close < in.n && hl7_plausible(str_cut(in, *at + 1, close));
        *at = sequence ? str_find(in, esc, close + 1) : close;
    }
    return NULL;
}

/* What is between two switches: bytes of the repertoire, as far as they are collected. */
struct run {
    struct arena *arena;
    const struct hl7_msg *m;
    const struct repertoire *r;
    struct buf bytes, *out;
};

static enum err_code flush(struct run *run, struct err *e)
{
    struct buf whole;
    struct str text = {"", 0};
    enum err_code code = ERR_NONE;
    if (run->bytes.n == 0) {
        return ERR_NONE;
    }
    buf_init(&whole, SIZE_MAX / 4);
    buf_addz(&whole, run->r->designates);
    buf_add(&whole, buf_str(&run->bytes));
    buf_addz(&whole, run->r->designates[0] ? "\x1b(B" : "");
    if (buf_ok(&whole)) {
        code = charset_decode(run->arena, run->r->set, buf_str(&whole), &text, e);
        buf_add(run->out, text);
    } else {
        code = ERR(e, ERR_NOMEM, 0, "no memory for a value");
    }
    buf_reset(&run->bytes);
    buf_release(&whole);
    return code;
}

/* Text that stands there as it is: the bytes it came from, as far as the message's set is 8 bits.
 */
static enum err_code add_text(struct run *run, struct str text, struct err *e)
{
    enum charset set = run->m->memory->charset;
    bool eight = set != CHARSET_UTF8 && set != CHARSET_UTF16 && set != CHARSET_UTF16LE &&
                 set != CHARSET_ISO2022JP && set != CHARSET_ISO2022KR;
    if (text_ascii(text) == text.n) {
        buf_add(&run->bytes, text);
        return ERR_NONE;
    }
    if (eight && charset_encode(run->arena, set, text, &text, NULL) == ERR_NONE) {
        buf_add(&run->bytes, text);
        return ERR_NONE;
    }
    enum err_code code = flush(run, e);
    buf_add(run->out, text);
    return code;
}

/* One sequence in a run: bytes, a delimiter, or what it would be outside. */
static enum err_code add_sequence(struct run *run, struct str sequence, struct err *e)
{
    struct str digits = str_cut(sequence, 2, sequence.n - 1), plain;
    if (sequence.n > 3 && sequence.p[1] == 'X' && digits.n % 2 == 0) {
        char *to = buf_room(&run->bytes, digits.n / 2);
        if (to && text_unhex(digits, to, NULL) == ERR_NONE) {
            buf_took(&run->bytes, digits.n / 2);
            return ERR_NONE;
        }
    }
    enum err_code code = hl7_unescape_plain(run->arena, run->m, sequence, &plain, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (sequence.n == 3 && plain.n == 1) {
        buf_add(&run->bytes, plain);
        return ERR_NONE;
    }
    code = flush(run, e);
    buf_add(run->out, plain);
    return code;
}

static enum err_code add_run(struct run *run, struct str in, struct err *e)
{
    char esc = run->m->d.escape;
    enum err_code code = ERR_NONE;
    for (size_t at = 0; at < in.n && code == ERR_NONE;) {
        size_t begin = str_find(in, esc, at), end = str_find(in, esc, begin + 1);
        bool sequence = end < in.n && hl7_plausible(str_cut(in, begin + 1, end));
        size_t literal = sequence ? begin : end;
        code = add_text(run, str_cut(in, at, literal), e);
        if (code == ERR_NONE && sequence) {
            code = add_sequence(run, str_cut(in, begin, end + 1), e);
            literal = end + 1;
        }
        at = literal;
    }
    return code == ERR_NONE ? flush(run, e) : code;
}

/* Everything up to the next switch, in what was switched to last. */
static enum err_code add_part(struct run *run, struct str part, struct err *e)
{
    struct str plain;
    if (run->r && run->r->designates) {
        return add_run(run, part, e);
    }
    enum err_code code = hl7_unescape_plain(run->arena, run->m, part, &plain, e);
    if (code == ERR_NONE) {
        buf_add(run->out, plain);
    }
    return code;
}

enum err_code hl7_unescape_switched(struct arena *a, const struct hl7_msg *m, struct str in,
                                    struct str *out, struct err *e)
{
    struct buf text;
    struct run run = {.arena = a, .m = m, .out = &text};
    enum err_code code = ERR_NONE;
    buf_init(&text, SIZE_MAX / 4);
    buf_init(&run.bytes, SIZE_MAX / 4);
    for (size_t from = 0; from < in.n && code == ERR_NONE;) {
        size_t at = from, end = in.n;
        const struct repertoire *next = next_switch(in, m->d.escape, &at, &end);
        code = add_part(&run, str_cut(in, from, at), e);
        if (code != ERR_NONE && e) {
            e->pos = from;
        }
        run.r = next ? next : run.r;
        from = next ? end : in.n;
    }
    if (code == ERR_NONE) {
        *out = buf_ok(&text) && buf_ok(&run.bytes) ? arena_copy(a, buf_str(&text)) : *out;
        code = out->p && buf_ok(&text) && buf_ok(&run.bytes)
                   ? ERR_NONE
                   : ERR(e, ERR_NOMEM, 0, "no memory for a value");
    }
    buf_release(&text);
    buf_release(&run.bytes);
    return code;
}
