#include "core/base/charset.h"

#include "core/base/text.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>

static const struct {
    const char *name, *iconv;
    const char *aliases; /* blank-separated, without case */
} sets[] = {
    [CHARSET_ASCII] = {"ascii", "ASCII", "ascii us-ascii"},
    [CHARSET_UTF8] = {"utf-8", "UTF-8", "utf-8 utf8"},
    [CHARSET_CP949] = {"cp949", "CP949",
                       "cp949 euc-kr euckr uhc ms949 windows-949 ks_c_5601-1987 ksc5601 ksx1001"},
    [CHARSET_LATIN1] = {"iso-8859-1", "ISO-8859-1", "iso-8859-1 latin1"},
    [CHARSET_LATIN2] = {"iso-8859-2", "ISO-8859-2", "iso-8859-2 latin2"},
    [CHARSET_LATIN3] = {"iso-8859-3", "ISO-8859-3", "iso-8859-3 latin3"},
    [CHARSET_LATIN4] = {"iso-8859-4", "ISO-8859-4", "iso-8859-4 latin4"},
    [CHARSET_CYRILLIC] = {"iso-8859-5", "ISO-8859-5", "iso-8859-5 cyrillic"},
    [CHARSET_ARABIC] = {"iso-8859-6", "ISO-8859-6", "iso-8859-6 arabic"},
    [CHARSET_GREEK] = {"iso-8859-7", "ISO-8859-7", "iso-8859-7 greek"},
    [CHARSET_HEBREW] = {"iso-8859-8", "ISO-8859-8", "iso-8859-8 hebrew"},
    [CHARSET_LATIN5] = {"iso-8859-9", "ISO-8859-9", "iso-8859-9 latin5"},
    [CHARSET_LATIN9] = {"iso-8859-15", "ISO-8859-15", "iso-8859-15 latin9"},
    [CHARSET_UTF16] = {"utf-16", "UTF-16", "utf-16 utf-16be"},
    [CHARSET_UTF16LE] = {"utf-16le", "UTF-16LE", "utf-16le"},
    [CHARSET_SJIS] = {"shift_jis", "CP932", "shift_jis sjis cp932"},
    [CHARSET_EUCJP] = {"euc-jp", "EUC-JP", "euc-jp eucjp"},
    [CHARSET_GB18030] = {"gb18030", "GB18030", "gb18030 gb2312 gbk"},
    [CHARSET_BIG5] = {"big5", "BIG5", "big5"},
    [CHARSET_ISO2022KR] = {"iso-2022-kr", "ISO-2022-KR", "iso-2022-kr"},
    [CHARSET_ISO2022JP] = {"iso-2022-jp", "ISO-2022-JP-2", "iso-2022-jp"},
};

bool charset_named(struct str name, enum charset *out)
{
    for (int i = 0; i < CHARSET_COUNT; i++) {
        struct str rest = str_of(sets[i].aliases), alias;
        while (str_next(&rest, ' ', &alias)) {
            if (str_same(alias, name)) {
                *out = (enum charset)i;
                return true;
            }
        }
    }
    return false;
}

const char *charset_name(enum charset c)
{
    return sets[c].name;
}

static bool is_ascii(struct str s, size_t *bad)
{
    *bad = text_ascii(s);
    return *bad == s.n;
}

/* iconv descriptors are kept: opening one costs a file look-up. One thread, one set per direction.
 */
static iconv_t descriptor(enum charset c, bool encode)
{
    static iconv_t open[CHARSET_COUNT][2];
    static bool opened[CHARSET_COUNT][2];
    if (!opened[c][encode]) {
        /* Without a mark iconv takes UTF-16 for the machine's own order; Unicode says big-endian.
         */
        const char *from = c == CHARSET_UTF16 ? "UTF-16BE" : sets[c].iconv;
        open[c][encode] = encode ? iconv_open(sets[c].iconv, "UTF-8") : iconv_open("UTF-8", from);
        opened[c][encode] = true;
    }
    return open[c][encode];
}

static enum err_code convert(struct arena *a, enum charset c, bool encode, struct str in,
                             struct str *out, struct err *e)
{
    iconv_t cd = descriptor(c, encode);
    if (cd == (iconv_t)-1) {
        return ERR(e, ERR_UNSUPPORTED, 0, "this system's iconv does not know %s", sets[c].iconv);
    }
    iconv(cd, NULL, NULL, NULL, NULL);
    size_t room = in.n * 4 + 16;
    char *to = arena_alloc(a, room);
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory to convert %s", sets[c].name);
    }
    union {
        const char *in;
        char *iconv;
    } from = {in.p}; /* iconv's prototype lacks a const */
    char *end = to;
    size_t left = in.n, space = room;
    size_t r = iconv(cd, &from.iconv, &left, &end, &space);
    if (r == 0) {
        r = iconv(cd, NULL, NULL, &end, &space);
    }
    if (r != 0) {
        return ERR(e, ERR_CHARSET, in.n - left,
                   encode ? "a character does not exist in %s" : "bytes are not valid %s",
                   sets[c].name);
    }
    *out = (struct str){to, room - space};
    return ERR_NONE;
}

/*
 * CP949 is what most Korean exports are written in, and iconv takes three tables for each character
 * of it. All its characters are of two bytes and in the first plane: one table, asked of iconv
 * once.
 */
enum { LEAD_FIRST = 0x81, LEAD_LAST = 0xfe, TRAIL_FIRST = 0x41, TRAIL_LAST = 0xfe };
static uint16_t cp949[LEAD_LAST - LEAD_FIRST + 1][TRAIL_LAST - TRAIL_FIRST + 1];

static bool load_cp949(void)
{
    static bool loaded;
    iconv_t cd = loaded ? (iconv_t)-1 : iconv_open("UTF-16LE", "CP949");
    if (loaded || cd == (iconv_t)-1) {
        return loaded;
    }
    for (int lead = LEAD_FIRST; lead <= LEAD_LAST; lead++) {
        for (int trail = TRAIL_FIRST; trail <= TRAIL_LAST; trail++) {
            char in[2] = {(char)lead, (char)trail}, *from = in;
            unsigned char out[4];
            char *to = (char *)out;
            size_t left = sizeof in, space = sizeof out;
            iconv(cd, NULL, NULL, NULL, NULL);
            if (iconv(cd, &from, &left, &to, &space) == 0 && left == 0 && space == 2) {
                cp949[lead - LEAD_FIRST][trail - TRAIL_FIRST] = (uint16_t)(out[0] | out[1] << 8);
            }
        }
    }
    iconv_close(cd);
    loaded = true;
    return true;
}

static enum err_code decode_cp949(struct arena *a, struct str in, struct str *out, struct err *e)
{
    char *to = arena_alloc(a, in.n + in.n / 2 + TEXT_CHAR); /* two bytes become three at most */
    size_t n = 0;
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory to convert %s", sets[CHARSET_CP949].name);
    }
    for (size_t i = 0; i < in.n; i++) {
        unsigned char lead = (unsigned char)in.p[i];
        if (lead < 0x80) {
            to[n++] = (char)lead;
            continue;
        }
        unsigned char trail = i + 1 < in.n ? (unsigned char)in.p[i + 1] : 0;
        bool pair =
            lead >= LEAD_FIRST && lead <= LEAD_LAST && trail >= TRAIL_FIRST && trail <= TRAIL_LAST;
        unsigned c = pair ? cp949[lead - LEAD_FIRST][trail - TRAIL_FIRST] : 0;
        if (!c) {
            return ERR(e, ERR_CHARSET, i, "bytes are not valid %s", sets[CHARSET_CP949].name);
        }
        n += text_put(c, to + n);
        i++;
    }
    *out = (struct str){to, n};
    return ERR_NONE;
}

static enum err_code decode_utf16(struct arena *a, enum charset from, struct str in,
                                  struct str *out, struct err *e)
{
    bool little = str_starts(in, STR("\xff\xfe"));
    bool big = from == CHARSET_UTF16 && str_starts(in, STR("\xfe\xff"));
    size_t mark = little || big ? 2 : 0;
    enum err_code code =
        convert(a, little ? CHARSET_UTF16LE : from, false, str_cut(in, mark, in.n), out, e);
    if (code == ERR_CHARSET && e) {
        e->pos += mark;
    }
    return code;
}

enum err_code charset_decode(struct arena *a, enum charset from, struct str in, struct str *out,
                             struct err *e)
{
    size_t bad = 0;
    if (from == CHARSET_UTF8 || from == CHARSET_ASCII) {
        if (from == CHARSET_UTF8 ? !text_utf8(in, &bad) : !is_ascii(in, &bad)) {
            return ERR(e, ERR_CHARSET, bad, "bytes are not valid %s", sets[from].name);
        }
        *out = in;
        return ERR_NONE;
    }
    if (from == CHARSET_UTF16 || from == CHARSET_UTF16LE) {
        return decode_utf16(a, from, in, out, e);
    }
    if (from != CHARSET_ISO2022KR && from != CHARSET_ISO2022JP && is_ascii(in, &bad)) {
        *out = in;
        return ERR_NONE;
    }
    if (from == CHARSET_CP949 && load_cp949()) {
        return decode_cp949(a, in, out, e);
    }
    return convert(a, from, false, in, out, e);
}

enum err_code charset_encode(struct arena *a, enum charset to, struct str in, struct str *out,
                             struct err *e)
{
    size_t bad = 0;
    if (to == CHARSET_UTF8) {
        *out = in;
        return ERR_NONE;
    }
    if (to == CHARSET_ASCII) {
        if (!is_ascii(in, &bad)) {
            return ERR(e, ERR_CHARSET, bad, "a character does not exist in ascii");
        }
        *out = in;
        return ERR_NONE;
    }
    return convert(a, to, true, in, out, e);
}
