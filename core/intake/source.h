/*
 * The messages of one file, one after the other, whatever the file is: HL7 v2 messages or a batch
 * of them, an XML or JSON document, the rows of a table. What it is, is seen from its content.
 *
 * Tables are read as a stream, whatever their size. Everything else is held in memory as a
 * whole, so that nobody changes it under our hands: at most SOURCE_MAX bytes, larger ones are
 * refused (ERR_LIMIT), as is one that is cut off while it is read (ERR_REFUSED).
 */
#ifndef DARI_INTAKE_SOURCE_H
#define DARI_INTAKE_SOURCE_H

#include "core/base/charset.h"
#include "core/base/err.h"
#include "core/hl7/batch.h"
#include "core/table/table.h"

enum { SOURCE_MAX = 256 * 1024 * 1024 };

struct source;

/* One message. Slices live until the next call. */
struct part {
    int64_t number;              /* rises; of a table the row's number, else 1, 2, 3 … */
    struct str bytes;            /* not of a table: its rows become messages with row_write() */
    const struct table_row *row; /* of a table, else NULL */
};

struct source_settings {
    const enum charset *charset; /* override, or NULL */
    enum charset fallback;
    struct table_settings table;
};

/* Errors say why the file as a whole cannot be read, and where. */
enum err_code source_open(const char *path, const struct source_settings *s, struct source **out,
                          struct err *e);
void source_close(struct source **s);

/* *more false: there are no others. An error ends the file. */
enum err_code source_next(struct source *s, struct part *p, bool *more, struct err *e);
/* The next part is the first with a number above `after`. Only before the first one. */
enum err_code source_seek(struct source *s, int64_t after, struct err *e);

const struct table *source_table(const struct source *s);     /* NULL: no table */
const struct hl7_batch *source_batch(const struct source *s); /* NULL: no HL7 batch */
int64_t source_bytes(const struct source *s);                 /* read so far */

#endif
