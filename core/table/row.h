/*
 * A row of a table as a message: what is stored, sealed, and can be reprocessed from its bytes
 * alone. UTF-8 CSV (RFC 4180, LF), written like a difference:
 *
 *     #,차트번호,환자명,예약일시
 *     -,1001,홍길동,2026-03-11 09:00      the previous values: only when changed or gone
 *     +,1001,홍길동,2026-03-12 09:00      the present values: absent when gone
 *
 * Writing masks resident registration numbers (rrn.h), so a stored row never holds one.
 */
#ifndef DARI_TABLE_ROW_H
#define DARI_TABLE_ROW_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/table/header.h"

enum row_change { ROW_NEW, ROW_CHANGED, ROW_GONE };
const char *row_change_name(enum row_change c); /* "new", "changed", "gone" */

/* Headers that are the same for many rows, worked out once. */
struct row_layout {
    const struct str *header;
    const struct header_key *keys;
    size_t count;
};

struct row {
    enum row_change change;
    const struct row_layout *layout;
    const struct str *before, *now; /* layout->count cells each; NULL when there are none */
};

/* Keeps the layout of the last header that was parsed; rows of one file all have the same. */
struct row_cache;
struct row_cache *row_cache_new(void); /* NULL when memory is out */
void row_cache_free(struct row_cache **c);

/* Appends the canonical form; before or now may be NULL, not both. Ask buf_ok(b). */
void row_write(struct buf *b, const struct str *header, size_t n, const struct str *before,
               const struct str *now);

/* A row that is no row of this header (too few cells, bytes that are not valid), as it was found:
 * kept, and refused by row_parse(). */
void row_write_found(struct buf *b, const struct str *header, size_t n, const struct str *found,
                     size_t found_count);

/*
 * Cells point into `bytes` or are in `a`. ERR_SYNTAX or ERR_CHARSET with the offset, ERR_NOMEM.
 * With a cache the layout lives until the next row with another header is parsed with it.
 */
enum err_code row_parse(struct arena *a, struct str bytes, struct row *out, struct err *e);
enum err_code row_parse_cached(struct arena *a, struct str bytes, struct row_cache *cache,
                               struct row *out, struct err *e);

#endif
