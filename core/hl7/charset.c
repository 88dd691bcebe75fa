#include "core/hl7/hl7.h"

#include "core/base/text.h"
#include "core/hl7/internal.h"

#include <string.h>

/* Table 0211. KS X 1001 is CP949, since that is what Korean systems write under its name. */
static const struct {
    struct str name;
    enum charset set;
} table_0211[] = {
    {STR_INIT("ASCII"), CHARSET_ASCII},          {STR_INIT("ISO IR6"), CHARSET_ASCII},
    {STR_INIT("8859/1"), CHARSET_LATIN1},        {STR_INIT("8859/2"), CHARSET_LATIN2},
    {STR_INIT("8859/3"), CHARSET_LATIN3},        {STR_INIT("8859/4"), CHARSET_LATIN4},
    {STR_INIT("8859/5"), CHARSET_CYRILLIC},      {STR_INIT("8859/6"), CHARSET_ARABIC},
    {STR_INIT("8859/7"), CHARSET_GREEK},         {STR_INIT("8859/8"), CHARSET_HEBREW},
    {STR_INIT("8859/9"), CHARSET_LATIN5},        {STR_INIT("8859/15"), CHARSET_LATIN9},
    {STR_INIT("UNICODE UTF-8"), CHARSET_UTF8},   {STR_INIT("UNICODE"), CHARSET_UTF8},
    {STR_INIT("UNICODE UTF-16"), CHARSET_UTF16}, {STR_INIT("KS X 1001"), CHARSET_CP949},
    {STR_INIT("ISO IR149"), CHARSET_CP949},      {STR_INIT("GB 18030-2000"), CHARSET_GB18030},
    {STR_INIT("BIG-5"), CHARSET_BIG5},           {STR_INIT("ISO IR14"), CHARSET_SJIS},
    {STR_INIT("ISO IR87"), CHARSET_ISO2022JP},   {STR_INIT("ISO IR159"), CHARSET_ISO2022JP},
};

bool hl7_charset_named(struct str name, enum charset *out)
{
    name = str_trim(name);
    for (size_t i = 0; i < sizeof table_0211 / sizeof table_0211[0]; i++) {
        if (str_same(name, table_0211[i].name)) {
            *out = table_0211[i].set;
            return true;
        }
    }
    return charset_named(name, out);
}

static bool is_utf16(enum charset c)
{
    return c == CHARSET_UTF16 || c == CHARSET_UTF16LE;
}

/* UTF-16 by its byte order mark, or by the NUL beside the M of MSH. */
static bool looks_utf16(struct str raw, enum charset *out)
{
    if (str_starts(raw, STR("\xff\xfe")) || str_starts(raw, STR("M\0S\0H\0"))) {
        *out = CHARSET_UTF16LE;
        return true;
    }
    *out = CHARSET_UTF16;
    return str_starts(raw, STR("\xfe\xff")) || str_starts(raw, STR("\0M\0S\0H"));
}

bool hl7_wide(struct str raw, const enum charset *override)
{
    enum charset ignored;
    return override ? is_utf16(*override) : looks_utf16(raw, &ignored);
}

/* What MSH-18 says, all repetitions considered: "~ISO IR87" is ASCII that switches to Japanese. */
static bool declared(struct str raw, struct str field, char repetition, enum charset *out)
{
    struct str rest = field, name;
    enum charset first = CHARSET_ASCII, next;
    bool escapes = memchr(raw.p, 0x1b, raw.n) != NULL, one = true, alternates = false;
    while (str_next(&rest, repetition, &name)) {
        if (name.n == 0 || str_is(name, "\"\"")) {
            next = CHARSET_ASCII;
        } else if (!hl7_charset_named(name, &next)) {
            return false;
        }
        if (one || first == CHARSET_ASCII) {
            first = next;
        }
        alternates |= !one && next != CHARSET_ASCII;
        one = false;
    }
    if (first == CHARSET_CP949 && escapes) {
        first = CHARSET_ISO2022KR;
    }
    if (escapes && alternates && first != CHARSET_ISO2022KR && first != CHARSET_ISO2022JP) {
        return false; /* switches between sets that no one converter reads */
    }
    *out = first;
    return true;
}

static enum err_code bad_declaration(struct str raw, struct str field, enum err_code code,
                                     const char *what, struct err *e)
{
    ERR(e, code, field.n ? (size_t)(field.p - raw.p) : 0, "%s", what);
    err_at(e, "MSH-18");
    return code;
}

static enum err_code find_charset(struct str raw, enum charset fallback, enum charset *out,
                                  struct err *e)
{
    struct str msh, field = {"", 0};
    struct hl7_delimiters d = {.repetition = '~'};
    bool mark = str_starts(raw, STR("\xef\xbb\xbf"));
    if (looks_utf16(raw, out)) {
        return ERR_NONE;
    }
    *out = mark ? CHARSET_UTF8 : fallback;
    if (!hl7_raw_msh(raw, &msh)) {
        return ERR_NONE;
    }
    field = hl7_raw_field(msh, 18);
    if (field.n == 0 || str_is(field, "\"\"")) {
        return ERR_NONE;
    }
    hl7_read_delimiters(msh, &d, NULL);
    enum charset said;
    if (!declared(raw, field, d.repetition, &said)) {
        return bad_declaration(raw, field, ERR_UNSUPPORTED,
                               "MSH-18 names character sets that are not supported", e);
    }
    if (is_utf16(said) || (mark && said != CHARSET_UTF8 && said != CHARSET_ASCII)) {
        return bad_declaration(raw, field, ERR_CHARSET, "MSH-18 contradicts how the message begins",
                               e);
    }
    *out = mark ? CHARSET_UTF8 : said;
    return ERR_NONE;
}

/* ESC $ ) C names KS X 1001; senders then write it with 8 bits, as DICOM does, or shift to 7. */
static const struct str designator = STR_INIT("\x1b$)C");

static bool is_korean_8bit(struct str raw)
{
    return text_ascii(raw) < raw.n && !memchr(raw.p, 0x0e, raw.n);
}

/* The same without the designators. */
static enum err_code drop_designators(struct arena *a, struct str in, struct str *out,
                                      struct err *e)
{
    char *to = arena_alloc(a, in.n + 1);
    size_t n = 0;
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory to convert a message");
    }
    for (size_t i = 0; i < in.n;) {
        if (str_starts(str_cut(in, i, in.n), designator)) {
            i += designator.n;
        } else {
            to[n++] = in.p[i++];
        }
    }
    *out = (struct str){to, n};
    return ERR_NONE;
}

/* Where in the raw bytes is what is at `pos` without designators? */
static size_t with_designators(struct str raw, size_t pos)
{
    size_t i = 0;
    while (i < raw.n) {
        if (str_starts(str_cut(raw, i, raw.n), designator)) {
            i += designator.n;
        } else if (pos-- == 0) {
            break;
        } else {
            i++;
        }
    }
    return i;
}

enum err_code hl7_decode(struct arena *a, struct str raw, const enum charset *override,
                         enum charset fallback, struct str *text, enum charset *used, struct err *e)
{
    *text = (struct str){"", 0};
    *used = override ? *override : fallback;
    if (!override) {
        enum err_code code = find_charset(raw, fallback, used, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    struct str body = raw;
    if (str_starts(raw, STR("\xef\xbb\xbf")) && *used != CHARSET_UTF8) {
        body = *used == CHARSET_ASCII ? str_cut(raw, 3, raw.n) : raw;
    }
    bool korean = *used == CHARSET_ISO2022KR && is_korean_8bit(raw);
    enum err_code code = korean ? drop_designators(a, raw, &body, e) : ERR_NONE;
    if (code == ERR_NONE) {
        *used = korean ? CHARSET_CP949 : *used;
        code = charset_decode(a, *used, body, text, e);
    }
    if (code == ERR_CHARSET && e && korean) {
        e->pos = with_designators(raw, e->pos);
        body = raw;
    }
    if (code == ERR_CHARSET && e) {
        char place[HL7_PLACE];
        size_t at = e->pos += raw.n - body.n;
        struct str before = raw;
        if (is_utf16(*used)) {
            /* the place is counted in what could be decoded */
            before = (struct str){"", 0};
            charset_decode(a, *used, str_cut(raw, 0, at & ~(size_t)1), &before, NULL);
            at = before.n;
        }
        err_at(e, "%s", hl7_place(before, at, place));
    }
    return code;
}
