/*
 * Inside core/intake: a table that is the whole state each time it comes. Rows are told apart by
 * the columns that the mapping names as their key, and compared by keyed digests of the columns
 * that the mapping declares (of all columns when it declares none): neither the order of rows and
 * columns nor a column that no rule uses makes a row look changed. Rows are compared with
 * dari.snapshot in chunks; only what is new or changed becomes a message. When the feed covers all,
 * rows that are no longer there become messages too, once the file was read to its end.
 */
#ifndef DARI_INTAKE_SNAPSHOT_H
#define DARI_INTAKE_SNAPSHOT_H

#include "core/base/arena.h"
#include "core/crypto/keys.h"
#include "core/intake/seen.h"
#include "core/store/db.h"
#include "core/table/table.h"

enum { SNAPSHOT_ROWS = 1000, SNAPSHOT_BYTES = 8 * 1024 * 1024 };

enum held_is { HELD_NEW, HELD_SAME, HELD_CHANGED, HELD_BAD };

/* A row that waits for its comparison, or for its commit. */
struct held {
    int64_t number;
    const struct str *cells;
    size_t count;
    bool found;         /* `cells` are what was found, not those of the header */
    struct err problem; /* of HELD_BAD */
    enum held_is is;
    unsigned char key[ROW_KEY], digest[ROW_KEY];
    bool has_day;
    int32_t day;              /* days since 1970, of the column that says what a file covers */
    const struct str *before; /* cells of the row it was, in the order of the present header */
};

/* What tells rows of one file apart. */
struct snapshot {
    const char *site, *feed;
    const struct keyring *keys;
    const struct str *header;
    size_t columns;
    size_t *key, *compared; /* indexes into the header; compared: in the order of their names */
    size_t key_count, compared_count;
    const char *day_column; /* canonical name of the column that says what a file covers, or NULL */
    size_t day_at;
    struct seen *seen;
};

/* ERR_REQUIRED: the mapping names no key, or the file lacks the day_column. The rest lives in `a`;
 * free the keys seen with snapshot_end(). */
enum err_code snapshot_begin(struct snapshot *s, struct arena *a, const struct table *t,
                             struct err *e);
void snapshot_end(struct snapshot *s);

/* By which columns rows are told apart: their canonical names, in `a`. NULL: no memory. */
const char *snapshot_key_names(const struct snapshot *s, struct arena *a, const struct table *t);

/* Copies a row and finds its key and digest. A row without its key, or whose key came before in
 * the same file, is bad. ERR_NOMEM, ERR_LIMIT. */
enum err_code snapshot_hold(struct snapshot *s, struct arena *a, const struct table_row *row,
                            struct held *out, struct err *e);

/* The comparison of a chunk, and what it says. */
enum err_code snapshot_compare_args(const struct snapshot *s, struct arena *a,
                                    const struct held *rows, size_t count, struct db_args *q,
                                    const struct db_statement **st, struct err *e);
enum err_code snapshot_compared(const struct snapshot *s, struct arena *a, struct held *rows,
                                size_t count, struct db_rows *answer, struct err *e);

/* ---- rows that are gone ---- */

struct gone_key {
    unsigned char key[ROW_KEY];
};

/* The next page of keys, after `after` (NULL: from the first). */
enum { SNAPSHOT_PAGE = 5000 };
void snapshot_page_args(const struct snapshot *s, const unsigned char *after, struct db_args *q,
                        const struct db_statement **st);
/* The messages of keys that are gone, to tell them with. */
enum err_code snapshot_gone_args(const struct snapshot *s, struct arena *a,
                                 const struct gone_key *keys, size_t count, struct db_args *q,
                                 const struct db_statement **st, struct err *e);
/* Cells of the row in answer line `i`, in the order of the present header; ERR_NOTFOUND when the
 * message is no longer kept. */
enum err_code snapshot_gone(const struct snapshot *s, struct arena *a, struct db_rows *answer,
                            int i, const struct str **cells, struct err *e);

#endif
