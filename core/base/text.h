/* Bytes as text: base32 for keys and ids (Crockford's alphabet, lower case), hexadecimal back to
 * bytes. */
#ifndef DARI_BASE_TEXT_H
#define DARI_BASE_TEXT_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/str.h"

/* 16 bytes become 26 characters. out needs (n * 8 + 4) / 5 + 1 bytes. */
void text_base32(struct str bytes, char *out);

/* out receives s.n / 2 bytes. ERR_VALUE with the position of the first bad digit. */
enum err_code text_unhex(struct str s, char *out, struct err *e);

/* How many bytes at the front are ASCII. */
size_t text_ascii(struct str s);

/* The next character of valid UTF-8 from *i, which moves on; what is broken is taken byte by byte.
 */
unsigned text_next(struct str s, size_t *i);
/* Writes a character as UTF-8; how many bytes it took. */
enum { TEXT_CHAR = 4 };
size_t text_put(unsigned c, char out[TEXT_CHAR]);
/* Full-width forms, the dashes and the wide blank as their ASCII selves; other letters as 'x'. */
char text_plain(unsigned c);

/* Valid UTF-8 (no overlong forms, no surrogates)? *bad is the offset of the first wrong byte. */
bool text_utf8(struct str s, size_t *bad);

/*
 * Blanks off both ends of UTF-8: those of ASCII, the wide and the fixed one that lists are padded
 * with (U+3000, U+00A0), and what has no width (U+200B to U+200F, U+FEFF).
 */
struct str text_trim(struct str s);

/*
 * Text of somebody else for a terminal: control characters (C0 except TAB, DEL, C1), which could
 * move the cursor or forge lines, become '?'. "" when there is no memory.
 */
const char *text_visible(struct arena *a, struct str s);

#endif
