/*
 * The register of consumers: what an operator does with it, and the list of keys that the relay
 * takes from it. Every change is one statement with its ledger entry. Keys are valid by the real
 * clock, never by the movable one: moving a clock must not open a door.
 */
#ifndef DARI_STREAM_CONSUMERS_H
#define DARI_STREAM_CONSUMERS_H

#include "core/store/db.h"
#include "core/stream/zap.h"

struct consumers { /* where and who: for every change */
    struct db *db;
    struct arena *arena;
    const char *site;
    const char *by; /* the operator, as one word: uid:1000 */
};

/* ERR_EXISTS: the name or the key is taken; ERR_NOTFOUND: no such consumer. */
enum err_code consumers_add(const struct consumers *c, const char *name, const char *key,
                            const char *contract, bool internal, struct err *e);
/* Its keys end now, its sessions at once: the relay hears of it. */
enum err_code consumers_revoke(const struct consumers *c, const char *name, struct err *e);
/* A new key; the old ones end after `overlap`. */
enum err_code consumers_rotate(const struct consumers *c, const char *name, const char *key,
                               usec overlap, struct err *e);
/* Goes on after a NACK; the event that was refused comes again. ERR_REFUSED: it is not paused. */
enum err_code consumers_resume(const struct consumers *c, const char *name, struct err *e);

struct consumer_row {
    const char *name, *contract, *state, *reason;
    bool internal;
    int64_t acked, behind, keys; /* behind: numbers between cursor and head */
    usec acked_at;               /* 0: never */
};
enum err_code consumers_list(const struct consumers *c, struct consumer_row **rows, size_t *count,
                             struct err *e);

/* Our own roles, when their public key lies in the keys folder: registered, or given that key. */
enum err_code consumers_own(const struct consumers *c, const char *keys_folder, struct err *e);

/* The keys that are valid now, of consumers that are not revoked. */
enum err_code consumers_allowed(const struct consumers *c, struct allow_list *out, struct err *e);

/* Tells the relay to look at its list now; it looks once a second anyway. */
void consumers_wake(const char *run_folder);

#endif
