/*
 * Inside core/ledger/verify_*.c: messages whose entry does not have the last word. One that was
 * reprocessed, or a part that was given up or joined, has a state that a later entry says; a mark
 * on the message alone, which anybody who can write to the tables can set, says nothing.
 */
#ifndef DARI_LEDGER_VERIFY_LATER_H
#define DARI_LEDGER_VERIFY_LATER_H

#include "core/ledger/walk.h"

/* Some 50 bytes for each such message. */
struct later {
    struct later_message *slots; /* by number */
    size_t count, size;
};

/*
 * Message `no` carries the mark; it is in the state `stored`, and entry `idx` says `said` (states
 * by their first letter). To be called in the order of the entries. ERR_NOMEM.
 */
enum err_code later_keep(struct later *l, int64_t no, int64_t idx, char stored, char said,
                         struct err *e);
/* What an entry behind those says of such messages. */
void later_entry(struct later *l, struct str body);
/* Those whose state no entry says are problems of their first one. */
void later_end(const struct later *l, struct walk *w);
void later_free(struct later *l);

#endif
