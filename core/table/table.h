/*
 * Tables as hospitals export them: CSV and TSV as they are really written, and workbooks (.xlsx).
 * A table is read row by row, whatever its size; only the current row is in memory.
 *
 * What is found out when it is not told: character set (a byte order mark, UTF-16 by its zero
 * bytes, valid UTF-8, else the fallback), delimiter, which row is the header (titles above it are
 * passed over), in a workbook which sheet. Rows that are empty, that repeat the header or that
 * begin with a word for a total (합계, 총계, 소계, total …) are no data. Cells come as text, blanks
 * at their ends cut off (wide and fixed ones too); resident registration numbers are masked before
 * anybody sees them.
 *
 * What is refused: NUL bytes, cells, rows or headers over their limits, formulas, workbooks that
 * refer to others or unpack to too much, old .xls and HTML under the name of a table. Errors name
 * the place (row 214, column 예약일시), never a value. RFC 4180; ECMA-376.
 */
#ifndef DARI_TABLE_TABLE_H
#define DARI_TABLE_TABLE_H

#include "core/base/arena.h"
#include "core/base/charset.h"
#include "core/base/err.h"
#include "core/table/header.h"

#include <stdint.h>

struct table;

enum { TABLE_NO_HEADER = -1, TABLE_HEADER_SEARCH = 50 };

struct table_settings {
    const enum charset
        *charset;          /* whatever it looks like, but for a byte order mark; NULL: found out */
    enum charset fallback; /* when it is neither marked nor valid UTF-8 */
    char delimiter;        /* , ; TAB |    0: found out */
    int header_row;        /* from 1; 0: found out; TABLE_NO_HEADER: columns are 1 2 3 */
    const char *sheet;     /* NULL: the first visible one with a header that fits */
    const struct header_names *names;                     /* NULL: no aliases, nothing required */
    int64_t max_cell, max_row, max_columns, max_unpacked; /* 0: 1 MiB, 4 MiB, 2,000, 2 GiB */
};

/*
 * Opens and reads up to the header. ERR_REQUIRED: no row holds the required columns (which ones are
 * missing is said); ERR_SYNTAX, ERR_CHARSET, ERR_LIMIT, ERR_UNSUPPORTED, ERR_REFUSED with the
 * place; ERR_NOTFOUND, ERR_IO, ERR_NOMEM. The settings' pointers must outlive the table.
 */
enum err_code table_open(const char *path, const struct table_settings *s, struct table **out,
                         struct err *e);
void table_close(struct table **t);

/* The headers as the source writes them; a column without one is called "column 3". */
const struct str *table_header(const struct table *t, size_t *n);
/* The names that fit the header: those of the first mapping whose required columns are all there.
 * NULL when the settings have none. */
const struct header_names *table_names(const struct table *t);
/* Which columns tell rows apart, in the order of <key columns="…">: indexes into the header. How
 * many; 0 when the mapping names none. */
size_t table_identity(const struct table *t, size_t *columns, size_t room);
const char *table_format(const struct table *t); /* "csv", "tsv", "xlsx" */

struct table_row {
    int64_t number;          /* as a spreadsheet counts: from 1, titles and empty rows included */
    const struct str *cells; /* as many as there are headers; until the next call */
    size_t count;
    struct err problem;      /* code ERR_NONE: none; else there are no cells, but: */
    const struct str *found; /* the cells as the file has them, which may not be UTF-8 */
    size_t found_count;
};

/*
 * The next row of data; *more is false at the end. A row that is wrong by itself (ragged, bad
 * bytes, a formula) has a problem with its place, no cells, and the next one may be right. An error
 * code means that the file cannot be read on.
 */
enum err_code table_next(struct table *t, struct table_row *row, bool *more, struct err *e);

/* The next table_next() gives the first row of data with a larger number. Backwards too. */
enum err_code table_seek(struct table *t, int64_t after_row, struct err *e);

/* For progress; of a workbook, unpacked bytes of the sheet. */
int64_t table_bytes_read(const struct table *t);
int64_t table_bytes(const struct table *t);
/* Rows passed over so far: totals and repeated headers. */
int64_t table_skipped(const struct table *t);

#endif
