#include "core/xml/gate.h"

#include "core/xml/scan.h"

#include <string.h>

const struct xml_limits xml_default_limits = {
    .bytes = (size_t)16 << 20,
    .start_tag = 64 * 1024,
    .value = (size_t)8 << 20,
    .name = 256,
    .nodes = 500000,
    .depth = 128,
    .attributes = 256,
    .namespaces = 256,
};

/* ---- character sets ---- */

/* Sets that keep to themselves: no shifts between sets in the middle of a text. */
static const enum charset allowed[] = {
    CHARSET_UTF8,   CHARSET_ASCII,  CHARSET_CP949,   CHARSET_LATIN1, CHARSET_LATIN2,
    CHARSET_LATIN5, CHARSET_LATIN9, CHARSET_SJIS,    CHARSET_EUCJP,  CHARSET_GB18030,
    CHARSET_BIG5,   CHARSET_UTF16,  CHARSET_UTF16LE,
};

static bool is_utf16(enum charset c)
{
    return c == CHARSET_UTF16 || c == CHARSET_UTF16LE;
}

/* What a byte order mark says, and its length; 0 when there is none. */
static size_t mark_of(struct str raw, enum charset *out)
{
    if (str_starts(raw, STR("\xef\xbb\xbf"))) {
        *out = CHARSET_UTF8;
        return 3;
    }
    *out = str_starts(raw, STR("\xff\xfe")) ? CHARSET_UTF16LE : CHARSET_UTF16;
    return *out == CHARSET_UTF16LE || str_starts(raw, STR("\xfe\xff")) ? 2 : 0;
}

/* Two bytes a sign, seen at the first '<' or '{'. */
static bool wide(struct str raw, enum charset *out)
{
    if (raw.n < 2 || (raw.p[0] == '\0') == (raw.p[1] == '\0')) {
        return false;
    }
    *out = raw.p[0] == '\0' ? CHARSET_UTF16 : CHARSET_UTF16LE;
    return true;
}

/* encoding="…" of the declaration, empty when there is none. */
static struct str declared(struct str text)
{
    struct str none = {text.p, 0};
    size_t i = 0;
    while (i < text.n && (text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r'))) {
        i++;
    }
    if (!str_starts(str_cut(text, i, text.n), STR("<?xml"))) {
        return none;
    }
    struct str line = str_cut(text, i, i + 1024);
    line = str_cut(line, 0, str_find(line, '>', 0));
    for (size_t at = 0; (at = str_find(line, 'e', at)) < line.n; at++) {
        struct str rest = str_cut(line, at, line.n);
        if (!str_starts(rest, STR("encoding"))) {
            continue;
        }
        size_t quote = str_find(rest, '=', 0) + 1;
        while (quote < rest.n && rest.p[quote] == ' ') {
            quote++;
        }
        if (quote < rest.n && (rest.p[quote] == '"' || rest.p[quote] == '\'')) {
            return str_cut(rest, quote + 1, str_find(rest, rest.p[quote], quote + 1));
        }
    }
    return none;
}

static enum err_code read_declaration(struct str raw, enum charset *out, struct err *e)
{
    struct str name = declared(raw);
    if (name.n == 0) {
        *out = CHARSET_UTF8;
        return ERR_NONE;
    }
    bool known = charset_named(name, out);
    for (size_t i = 0; known && i < sizeof allowed / sizeof allowed[0]; i++) {
        if (allowed[i] == *out) {
            return is_utf16(*out) ? xml_bad(raw, (size_t)(name.p - raw.p), ERR_CHARSET,
                                            "the declaration contradicts the bytes: they are not "
                                            "UTF-16",
                                            e)
                                  : ERR_NONE;
        }
    }
    return xml_bad(raw, (size_t)(name.p - raw.p), ERR_UNSUPPORTED,
                   "the declaration names a character set that is not read", e);
}

/* Bytes that begin with a mark of one set and declare another. */
static enum err_code check_mark(struct str text, enum charset used, struct err *e)
{
    struct str name = declared(text);
    enum charset said = used;
    bool same = name.n == 0 || (charset_named(name, &said) &&
                                (said == used || (is_utf16(said) && is_utf16(used)) ||
                                 (said == CHARSET_ASCII && used == CHARSET_UTF8)));
    return same ? ERR_NONE
                : xml_bad(text, (size_t)(name.p - text.p), ERR_CHARSET,
                          "the declaration contradicts the byte order mark", e);
}

/* Which set it is in, and how long its byte order mark is. */
static enum err_code find_charset(struct str raw, const enum charset *override, enum charset *used,
                                  size_t *mark, struct err *e)
{
    *mark = mark_of(raw, used);
    if (*mark == 0 && override) {
        *used = *override;
    } else if (*mark == 0 && !wide(raw, used)) {
        return read_declaration(raw, used, e);
    }
    return ERR_NONE;
}

bool xml_is_utf8(struct str raw, const enum charset *override)
{
    enum charset used;
    size_t mark;
    return find_charset(raw, override, &used, &mark, NULL) == ERR_NONE &&
           (used == CHARSET_UTF8 || used == CHARSET_ASCII);
}

enum err_code xml_decode(struct arena *a, struct str raw, const enum charset *override,
                         struct str *text, enum charset *used, struct err *e)
{
    size_t mark;
    *text = (struct str){"", 0};
    enum err_code code = find_charset(raw, override, used, &mark, e);
    struct str body = str_cut(raw, mark, raw.n);
    if (code != ERR_NONE) {
        return code;
    }
    code = charset_decode(a, *used, body, text, e);
    if (code == ERR_CHARSET && e) {
        e->pos += mark;
        err_at(e, "byte %zu", e->pos);
    }
    return code == ERR_NONE && mark ? check_mark(*text, *used, e) : code;
}

/* ---- the gate ---- */

static enum err_code check_bytes(struct str text, size_t limit, struct err *e)
{
    if (text.n > limit) {
        return xml_bad(text, limit, ERR_LIMIT, "the document is too large", e);
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if ((unsigned char)c < ' ' && c != '\n' && c != '\r' && c != '\t') {
            return xml_bad(text, i, ERR_SYNTAX,
                           c ? "a control character that XML does not allow" : "a NUL byte", e);
        }
    }
    return ERR_NONE;
}

enum err_code xml_gate(struct str text, const struct xml_limits *limits, struct err *e)
{
    struct xml_scan s;
    struct xml_token t;
    limits = limits ? limits : &xml_default_limits;
    enum err_code code = check_bytes(text, limits->bytes, e);
    xml_scan_begin(&s, text, limits);
    do {
        code = code == ERR_NONE ? xml_scan_next(&s, &t, e) : code;
    } while (code == ERR_NONE && t.kind != XML_TOKEN_END_OF_TEXT);
    return code;
}

enum xml_kind xml_kind(struct str raw)
{
    enum charset ignored;
    size_t i = mark_of(raw, &ignored);
    while (i < raw.n &&
           (raw.p[i] == '\0' || raw.p[i] == ' ' || (raw.p[i] >= '\t' && raw.p[i] <= '\r'))) {
        i++;
    }
    char c = i < raw.n ? raw.p[i] : '\0';
    return c == '<' ? XML_KIND_XML : c == '{' ? XML_KIND_JSON : XML_KIND_OTHER;
}
