/*
 * Inside core/table: where rows come from. A source knows how a file is cut into rows and cells;
 * what a row means (title, header, total, data) is decided in table.c, the same for all.
 */
#ifndef DARI_TABLE_SOURCE_H
#define DARI_TABLE_SOURCE_H

#include "core/table/table.h"

/* Settings with their defaults filled in. */
struct source_limits {
    size_t cell, row, columns, unpacked;
};

struct raw_row {
    int64_t number;
    const struct str *cells; /* UTF-8, until the next call */
    size_t count;
    struct err problem; /* of this row alone; cells are not to be used then */
    size_t column;      /* where the problem is, from 1; 0: nowhere in particular */
    size_t formula;     /* the first cell that a spreadsheet computes, from 1; 0: none */
};

struct source;

struct source_ops {
    /* Next row, empty ones included where the file has them. Errors as of table_next(). */
    enum err_code (*next)(struct source *s, struct raw_row *out, bool *more, struct err *e);
    enum err_code (*rewind)(struct source *s, struct err *e);
    int64_t (*read)(const struct source *s);
    int64_t (*size)(const struct source *s);
    void (*close)(struct source *s);
};

struct source {
    const struct source_ops *ops;
    const char *format;
    bool pads; /* cells that are missing at the end of a row are empty ones (workbooks) */
};

/* *out is NULL on failure. */
enum err_code csv_open(const char *path, const struct table_settings *s,
                       const struct source_limits *l, struct source **out, struct err *e);

/*
 * How well a row does as a header: aliases of the names that it holds, each once. *fits tells the
 * names whose required columns are all there (NULL: none).
 */
size_t header_hits(const struct header_names *names, struct arena *a, const struct raw_row *row,
                   const struct header_names **fits);

#endif
