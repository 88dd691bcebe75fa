/*
 * Which rows of the previous result were taken already. A query with a mark asks for rows whose
 * mark is the newest one taken *or greater* (or, to catch transactions that committed late, from
 * some time before it on), so some rows come again: those that look exactly like a row of the
 * previous result are skipped, each of them once.
 *
 * That is enough: a query that asks from a mark on, with marks that only grow, gives every
 * unchanged row that it gives now also in each earlier result since the row was first taken. Kept
 * are the digests of the last `limit` rows of a result, 16 bytes each; a result that would need
 * more is an error, never a guess. Digests are keyed (SipHash-2-4, 128 bits, a random key in the
 * file): nothing can be learned from them about patients.
 */
#ifndef DARI_ADAPTERS_SQL_OVERLAP_H
#define DARI_ADAPTERS_SQL_OVERLAP_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

struct overlap;

/*
 * The rows taken up to `mark`, from the file that overlap_save() wrote with that mark. `*lost` when
 * there should be such a file (mark is not empty) and is not: rows at the mark come again then.
 */
enum err_code overlap_open(const char *path, struct str mark, int64_t limit, struct overlap **out,
                           bool *lost, struct err *e);
void overlap_free(struct overlap **s);

/*
 * The next row of the present result. `*known`: it was taken before. ERR_LIMIT: the query goes back
 * further than what was kept. ERR_VALUE: the rows are not in the order of their marks.
 */
enum err_code overlap_row(struct overlap *s, struct str row, struct str mark, bool *known,
                          struct err *e);

/* Has the present result passed the mark of before? Only then may it be cut. */
bool overlap_past(const struct overlap *s);

/* The mark of the newest row, or the one of before when nothing newer came. */
struct str overlap_mark(const struct overlap *s);

/* The rows of the present result are those of the next one's past; fsynced. ERR_LIMIT: more than
 * `limit` of them share the newest mark. */
enum err_code overlap_save(const struct overlap *s, const char *path, struct err *e);

#endif
