/*
 * Inside core/table: numbers of a workbook as people see them. Dates are numbers there, and only
 * the number format of a cell says so (ECMA-376 part 1, 18.8.30): 46092 is 2026-03-11.
 */
#ifndef DARI_TABLE_FORMATS_H
#define DARI_TABLE_FORMATS_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stdint.h>

enum shown_as {
    SHOWN_NUMBER,
    SHOWN_DATE,     /* 2026-03-11 */
    SHOWN_TIME,     /* 09:00, 09:00:30 */
    SHOWN_BOTH,     /* 2026-03-11 09:00 */
    SHOWN_DURATION, /* 27:30:00 */
    SHOWN_PERCENT,  /* 35% */
    SHOWN_SHAPE,    /* 00000000, 000000-0000000, "C"0000: zeros in front and what stands between */
    SHOWN_UNIT      /* #,##0"만원": the unit is part of what the number says */
};

enum { SHAPE_BYTES = 40, SHAPE_ZERO = '\1', SHAPE_DIGIT = '\2' };

struct format {
    enum shown_as as;
    /* Of a shape: SHAPE_ZERO for each 0, SHAPE_DIGIT for each # and what stands between them; of a
     * unit its text. With a NUL byte at the end. */
    char shape[SHAPE_BYTES];
    int64_t above; /* only larger numbers have the shape: [<=9999999]###-####;(0##) ###-#### */
};

/* Cell style → format. */
struct formats {
    struct format *styles;
    size_t count;
    bool since_1904; /* Macs count from 1904-01-01 */
};

/*
 * Of a format's number, or of its code when it has one of its own. The numbers that every country
 * has its own formats for (27 to 36, 50 to 58) are those of Korea.
 */
struct format format_builtin(int id);
struct format format_of(struct str code);

/*
 * Appends the number as it is shown. ERR_VALUE: it is no number, or no day (29 February 1900, which
 * spreadsheets believe in).
 */
enum err_code format_number(const struct formats *f, size_t style, struct str number,
                            struct buf *out, struct err *e);

/*
 * The same of a date that is stored as a text, 2026-03-11T09:00:00.000 (ECMA-376 18.17.4.1). Days
 * of a workbook have no zone: a Z behind it, which some writers put there, moves nothing. Other
 * texts stay as they are.
 */
void format_iso(const struct formats *f, size_t style, struct str text, struct buf *out);

#endif
