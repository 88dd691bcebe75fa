/*
 * Character sets: strict decoding to UTF-8 and strict encoding from it. Nothing is replaced,
 * dropped or guessed; the first byte that is not valid is an error with its offset. CP949
 * (windows-949, UHC) is used wherever EUC-KR is declared: it is the superset that Korean systems
 * really write, and glibc's EUC-KR refuses 8,822 of its syllables.
 */
#ifndef DARI_BASE_CHARSET_H
#define DARI_BASE_CHARSET_H

#include "core/base/arena.h"
#include "core/base/err.h"

enum charset {
    CHARSET_ASCII,
    CHARSET_UTF8,
    CHARSET_CP949,
    CHARSET_LATIN1,
    CHARSET_LATIN2,
    CHARSET_LATIN3,
    CHARSET_LATIN4,
    CHARSET_CYRILLIC, /* ISO 8859-5 */
    CHARSET_ARABIC,   /* ISO 8859-6 */
    CHARSET_GREEK,    /* ISO 8859-7 */
    CHARSET_HEBREW,   /* ISO 8859-8 */
    CHARSET_LATIN5,   /* ISO 8859-9 */
    CHARSET_LATIN9,   /* ISO 8859-15 */
    CHARSET_UTF16,    /* with a byte order mark, which is no character, or big-endian */
    CHARSET_UTF16LE,  /* with or without one */
    CHARSET_SJIS,
    CHARSET_EUCJP,
    CHARSET_GB18030,
    CHARSET_BIG5,
    CHARSET_ISO2022KR,
    CHARSET_ISO2022JP,
    CHARSET_COUNT
};

/* By our own name ("utf-8", "cp949", "euc-kr", "ascii", "iso-8859-1", …), for configuration. */
bool charset_named(struct str name, enum charset *out);
const char *charset_name(enum charset c);

/*
 * To UTF-8 in `a`; ASCII and valid UTF-8 are returned as they are, without a copy. ERR_CHARSET with
 * the byte offset, ERR_NOMEM.
 */
enum err_code charset_decode(struct arena *a, enum charset from, struct str in, struct str *out,
                             struct err *e);

/* From UTF-8. ERR_CHARSET with the offset of the first character that `to` does not have. */
enum err_code charset_encode(struct arena *a, enum charset to, struct str in, struct str *out,
                             struct err *e);

#endif
