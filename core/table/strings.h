/*
 * Inside core/table: the shared strings of a workbook, whatever their number. Up to a few MiB they
 * stay in memory; beyond that they go to a temporary file that has no name any more, so nothing is
 * left behind, and are read back through a small cache.
 */
#ifndef DARI_TABLE_STRINGS_H
#define DARI_TABLE_STRINGS_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct strings;

struct strings *strings_new(void); /* NULL when memory is out */
void strings_free(struct strings **s);

/* The next string, number strings_count(). ERR_IO, ERR_NOMEM, ERR_LIMIT. */
enum err_code strings_add(struct strings *s, struct str text, struct err *e);
size_t strings_count(const struct strings *s);
/* Appends string i; ERR_VALUE when there is none of that number, ERR_IO. */
enum err_code strings_get(struct strings *s, size_t i, struct buf *out, struct err *e);

#endif
