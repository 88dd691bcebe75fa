/* Workbooks for tests: parts given as text, the frame of an .xlsx around them. */
#ifndef DARI_TESTS_BOOK_H
#define DARI_TESTS_BOOK_H

#include "core/base/str.h"

struct book_part {
    const char *name;
    const char *text;
    size_t n; /* 0: all of `text` */
};

/* Writes an archive of the parts, a NULL name ends them. */
bool book_write_parts(const char *path, const struct book_part *parts);

/*
 * One sheet "예약" of these rows ("<row r=\"1\">…</row>"), with shared strings ("<si>…</si>…") and
 * the styles 0 general, 1 date, 2 date and time, 3 time, 4 00000000, 5 [h]:mm:ss. `extra` (NULL:
 * none) adds or replaces a part.
 */
bool book_write(const char *path, const char *rows, const char *strings,
                const struct book_part *extra);

#endif
