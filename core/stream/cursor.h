/*
 * What the relay keeps in PostgreSQL about a consumer: its cursor, its epoch, its deliveries. Each
 * function is one statement and so one transaction, with the ledger entry inside: if the entry
 * cannot be written, nothing happens.
 *
 * `confirmed` below is per session, the cursor per consumer: a replay below the cursor confirms
 * again (and is a delivery again) without moving the cursor back.
 */
#ifndef DARI_STREAM_CURSOR_H
#define DARI_STREAM_CURSOR_H

#include "core/store/db.h"
#include "core/stream/wire.h"

struct cursor_view {
    struct str state, reason; /* active, paused, revoked; "" when there is no such consumer */
    const char *contract;
    int64_t acked, head, first; /* first: oldest event that is still there; head + 1 for none */
    int64_t at_time;            /* first event recorded at or after the asked time, or head + 1 */
    const char *checkpoint;     /* newest signed note, or "" */
};
/* `time` 0: not asked for. Texts live in `a`. */
enum err_code cursor_view(struct db *db, struct arena *a, const char *site, const char *name,
                          usec time, struct cursor_view *out, struct err *e);

/* Begins a session: the next epoch. ERR_REFUSED: no longer active, or the contract changed. */
enum err_code cursor_begin(struct db *db, struct arena *a, const char *site, const char *name,
                           const char *contract, const char *label, int64_t start, usec now,
                           int64_t *epoch, struct err *e);

struct cursor_ack {
    const char *site, *name, *label;
    int64_t epoch;
    int64_t first, last;      /* the range that is confirmed */
    int64_t claimed;          /* up to here the consumer says it has them from before; 0: none */
    const char *const *types; /* let through; NULL: all */
    usec now;
};
/* ERR_REFUSED: another session or a revocation came between. */
enum err_code cursor_ack(struct db *db, struct arena *a, const struct cursor_ack *k, struct err *e);
/* After a lost answer: is this acknowledgement on record? */
enum err_code cursor_acked(struct db *db, struct arena *a, const char *site, const char *name,
                           int64_t epoch, int64_t last, bool *yes, struct err *e);

/* NACK: pauses the consumer. ERR_REFUSED as above. */
enum err_code cursor_pause(struct db *db, struct arena *a, const char *site, const char *name,
                           int64_t epoch, int64_t seq, struct str code, usec now, struct err *e);

/* A session ended with numbers sent but not acknowledged: they have left, so they are on record. */
enum err_code cursor_unconfirmed(struct db *db, struct arena *a, const char *site, const char *name,
                                 const char *label, int64_t epoch, int64_t first, int64_t last,
                                 usec now, struct err *e);

enum err_code cursor_head(struct db *db, struct arena *a, const char *site, int64_t *head,
                          struct err *e);

#endif
