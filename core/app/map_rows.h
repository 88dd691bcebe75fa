/* The rows of a table as messages, for "dari map". */
#ifndef DARI_APP_MAP_ROWS_H
#define DARI_APP_MAP_ROWS_H

#include "core/table/table.h"

struct map_rows {
    void *ctx;
    const char *file; /* as people named it */
    void (*row)(void *ctx, const char *file, int64_t number, struct str raw); /* canonical form */
    void (*wrong)(void *ctx, const char *file, const struct err *e); /* a row, or the rest of it */
};

void map_rows(const char *path, const struct table_settings *s, const struct map_rows *to);

/* What is neither HL7 v2, XML, JSON nor a row is taken for a table. */
bool map_is_table(struct str raw);
/* The same of a file, by its beginning; false for what is no file (a pipe). */
bool map_begins_as_table(const char *path);

#endif
