/*
 * The rows of an export as messages in canonical form, for tests: all of them new, or, with the
 * export before it, what differs between the two. Everything is in memory.
 */
#ifndef DARI_TESTS_ROWS_H
#define DARI_TESTS_ROWS_H

#include "core/table/table.h"

/* A message, or (bytes.p NULL) a row or a file that is wrong by itself. */
typedef void (*row_fn)(void *ctx, struct str bytes, int64_t number, const struct err *problem);

/* `before` may be NULL. */
void rows_read(const char *before, const char *now, const struct table_settings *s, row_fn fn,
               void *ctx);

#endif
