/* Inside core/table: the table itself, between its source and its reader. */
#ifndef DARI_TABLE_INTERNAL_H
#define DARI_TABLE_INTERNAL_H

#include "core/base/buf.h"
#include "core/table/source.h"

enum { HEADER_BYTES = 256 };

struct workbook;

struct table {
    struct table_settings settings;
    struct source_limits limit;
    struct source *source;
    struct workbook *workbook;
    struct arena *arena; /* header */
    struct arena *row;   /* masked cells of the current row */
    struct str *header;
    struct header_key *keys;
    struct str *cells;                    /* of the current row */
    const struct header_column **columns; /* what the mapping knows of each; NULL: nothing */
    size_t count;
    const struct header_names *names;
    struct buf *above; /* last value of columns to fill down; NULL: there is none such */
    int64_t header_row, after, skipped;
    bool csv;
};

/* Looks for the header, and reads it into `t`. */
enum err_code header_search(struct table *t, struct err *e);
enum err_code header_read(struct table *t, int64_t number, struct err *e);
enum err_code header_number(struct table *t, struct err *e);

/* No cell of it is filled. */
bool row_is_empty(const struct raw_row *row);
/* Printed lists repeat their header on every page, and have totals: passed over, and counted. */
bool row_is_skipped(struct table *t, const struct raw_row *row);

#endif
