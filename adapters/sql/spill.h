/*
 * The work folder of one feed: the result of a query as a CSV file, complete or not there at all.
 *
 *     lock            held while the feed runs: two feeds in one folder would take each other's
 *     rows.tmp …      under way; thrown away at the next start
 *     rows.csv        complete, once `ready` stands beside it: RFC 4180, UTF-8, LF, a header
 *     keys            with a "taken" statement: its parameters, row by row
 *     seen.next       with a mark: what the next result is compared with (overlap.h)
 *     ready           the commit point: mark, name, rows. Written last, removed last
 *     seen            of the newest result that was taken
 *     polled          when the query ran last, for schedules by time of the day
 *
 * Everything is readable by us alone (0600, folder 0700): these are patients.
 */
#ifndef DARI_ADAPTERS_SQL_SPILL_H
#define DARI_ADAPTERS_SQL_SPILL_H

#include "adapters/sql/mark.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"

struct cell {
    struct str text;
    bool null;
};

struct spill_limits {
    int64_t row, size; /* bytes */
};

struct spill_ready {
    bool marked;
    char mark[MARK_MAX + 1];
    char name[64];
    int64_t rows;
    bool more;      /* the result was cut: there is more to ask for at once */
    char keys[256]; /* names of what `keys` holds, "" for none */
};

struct spill;

/* Makes the folder, locks it, finishes what a crash left half done. ERR_EXISTS: in use. */
enum err_code spill_open(const char *folder, const struct spill_limits *limits, struct spill **out,
                         struct err *e);
void spill_close(struct spill **s);

/* "rows.csv", "seen" … with the folder in front; lives as long as the spill. */
const char *spill_path(struct spill *s, const char *name);

/* ---- writing ---- */

enum err_code spill_begin(struct spill *s, bool keys, struct err *e);
/* One row (or the header) as CSV, in a buffer that lives until the next call. NULL is blank, an
 * empty text is "". ERR_VALUE: a NUL byte; ERR_LIMIT: longer than a row may be. */
enum err_code spill_format(struct spill *s, const struct cell *cells, size_t n, struct str *row,
                           struct err *e);
/* ERR_IO (disk full), ERR_LIMIT: larger than a spill may be. */
enum err_code spill_row(struct spill *s, struct str row, struct err *e);
enum err_code spill_keys(struct spill *s, const struct cell *keys, size_t n, struct err *e);
int64_t spill_size(const struct spill *s);
void spill_discard(struct spill *s);
/* Everything on disk, then complete. seen.next was written before by its owner. */
enum err_code spill_publish(struct spill *s, const struct spill_ready *r, struct err *e);

/* ---- what is complete ---- */

bool spill_ready(struct spill *s, struct spill_ready *r);
enum err_code spill_finish(struct spill *s, struct err *e);
/* The whole result is to be forgotten: the host refused it. */
enum err_code spill_refuse(struct spill *s, struct err *e);

/* The parameters kept by spill_keys(), in order; the slices live until the next call. */
enum err_code spill_keys_open(struct spill *s, struct err *e);
enum err_code spill_keys_next(struct spill *s, struct cell *keys, size_t n, bool *more,
                              struct err *e);
void spill_keys_close(struct spill *s);

/* When the query ran last; 0: never. */
usec spill_polled(struct spill *s);
enum err_code spill_set_polled(struct spill *s, usec at, struct err *e);

#endif
