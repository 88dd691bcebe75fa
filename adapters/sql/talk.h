/*
 * What we and the ODBC helper say to each other over two pipes: frames of a length (u32, of what
 * follows), a type (u8) and fields. A field is a number (u32) or a text (u32 length, bytes; length
 * 0xffffffff: NULL). Both ends are the same program on the same machine: native byte order.
 *
 *     we → helper   OPEN connection read-write connect-s timeout-s charset max-row hex
 *                   QUERY sql n value…
 *                   PREPARE sql · EXECUTE n value… · COMMIT
 *     helper → we   OPENED · COLUMNS n name… · ROW n value… · END
 *                   PREPARED · COMMITTED rows-changed
 *                   FAILED stage sqlstate text      (no sqlstate: the helper's own words)
 *
 * The helper works through them one after the other; it writes only what was asked for.
 */
#ifndef DARI_ADAPTERS_SQL_TALK_H
#define DARI_ADAPTERS_SQL_TALK_H

#include "adapters/sql/spill.h"

enum talk_type {
    TALK_OPEN = 1,
    TALK_QUERY,
    TALK_PREPARE,
    TALK_EXECUTE,
    TALK_COMMIT,
    TALK_OPENED,
    TALK_COLUMNS,
    TALK_ROW,
    TALK_END,
    TALK_PREPARED,
    TALK_COMMITTED,
    TALK_FAILED
};

enum { TALK_HEAD = 5, TALK_SLACK = 64 * 1024, TALK_WIDE = 0xffff /* charset: UTF-16 */ };

/* ---- writing: begin, fields, end ---- */

size_t talk_begin(struct buf *b, enum talk_type type); /* returns where the frame begins */
void talk_number(struct buf *b, uint32_t n);
void talk_text(struct buf *b, struct str s);
void talk_null(struct buf *b);
void talk_end(struct buf *b, size_t begin);

/* ---- reading ---- */

struct talk_frame {
    enum talk_type type;
    struct str rest; /* fields that were not read yet */
    bool broken;     /* a field was not there */
};

/*
 * The frame at the front of `bytes`; `*size` is how much of them it is, 0: it is not complete yet.
 * False: longer than `max`, so there is no use in waiting.
 */
bool talk_frame(struct str bytes, size_t max, struct talk_frame *f, size_t *size);
uint32_t talk_read_number(struct talk_frame *f);
struct cell talk_read_text(struct talk_frame *f);

#endif
