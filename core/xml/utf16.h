/*
 * Inside core/xml: UTF-16 as it comes, piece by piece, to UTF-8. Parts of a workbook may be in
 * either (ECMA-376 part 2, 8.1.4).
 */
#ifndef DARI_XML_UTF16_H
#define DARI_XML_UTF16_H

#include <stdbool.h>
#include <stddef.h>

struct utf16 {
    bool started, wide, big; /* big: the high byte of a letter comes first */
    unsigned char held[4];   /* of a letter that was cut by the end of a piece */
    size_t held_n;
};

/* What n bytes may become. */
#define UTF16_ROOM(n) ((n)*3 / 2 + 8)

/*
 * Takes a piece; what it is, is seen by the first one: a mark, or a '<' with a zero byte. Anything
 * else is copied as it is. How many bytes are in `out`; false: no UTF-16 (half a pair). n == 0: the
 * end.
 */
bool utf16_take(struct utf16 *u, const char *in, size_t n, char *out, size_t *out_n);

#endif
