/* Inside core/table: a text table, shared by csv.c (reads it) and csv_find.c (finds out what it
 * is). */
#ifndef DARI_TABLE_CSV_INTERNAL_H
#define DARI_TABLE_CSV_INTERNAL_H

#include "core/table/input.h"
#include "core/table/source.h"

struct csv {
    struct source base;
    struct input in;
    struct source_limits limit;
    char delimiter, line_end;
    bool special[256]; /* bytes that end a cell without quotes */
    bool charset_known;
    enum charset charset, fallback;
    int64_t row;
    struct str *cells; /* of the current row */
    unsigned char *forms;
    size_t count, room;
    bool stray; /* text behind a closing quote */
    size_t stray_column;
    struct arena *a; /* decoded cells of the current row */
};

/* Character set, line end and delimiter, as far as they are not given; the input is anywhere then.
 */
enum err_code csv_find(struct csv *c, const struct table_settings *s, struct err *e);

#endif
