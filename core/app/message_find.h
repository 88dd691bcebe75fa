/*
 * Stored messages that fit a filter, in portions. The search goes from day to day and looks into
 * one partition at a time, by the indexes of migration 0005; it ends when nobody asks for more, so
 * its cost does not grow with what is stored elsewhere.
 */
#ifndef DARI_APP_MESSAGE_FIND_H
#define DARI_APP_MESSAGE_FIND_H

#include "core/crypto/keys.h"
#include "core/store/db.h"

struct message_filter {
    const char *feed, *type, *state, *control_id; /* NULL: any */
    char patient[KEY_TEXT];                       /* patient key; "": any */
    bool has_from, has_until;
    usec from, until;             /* received: from <= at < until */
    int64_t before;               /* numbers below this one; 0: all */
    int64_t number;               /* this one alone; 0: all */
    const char *batch;            /* control ids that begin so; NULL: any (message_batch.h) */
    usec batch_from, batch_until; /* and were committed then */
    bool batch_few;               /* there are not many of them */
    bool oldest_first;
};

struct message_find;

/* Lives in `a`, as do its portions until the arena of message_find_next() is reset. */
enum err_code message_find_new(struct db *db, struct arena *a, const char *site,
                               const struct message_filter *f, struct message_find **out,
                               struct err *e);

/*
 * The next at most `max` messages: the columns named (SQL, comma-separated, each with a name of its
 * own), the number first. No rows: there are no more.
 */
enum err_code message_find_next(struct message_find *s, struct arena *a, const char *columns,
                                int64_t max, struct db_rows **rows, struct err *e);

#endif
