/*
 * Appending events outside intake (dari.append_events): what segmentation, messaging and
 * reprocessing add to the stream, inside the caller's transaction, as late in it as possible.
 */
#ifndef DARI_STORE_EVENTS_H
#define DARI_STORE_EVENTS_H

#include "core/crypto/digest.h"
#include "core/event/event.h"
#include "core/store/db.h"

struct event_batch {
    const char *site;
    const char *source; /* "role:segment" */
    const char *kind;   /* ledger kind: "derived", "handed", "reprocessed" */
    usec at;
    int64_t message_no; /* 0: none */
    const char *mapping;
    const struct event *events;
    size_t count;
};

/*
 * The digest of one event as it is stored, the same as the SQL function dari.event_digest(): id,
 * type, subject, time in microseconds since 1970, source, cause, mapping, t or f for test, data,
 * each ended by LF, and the sealed part. What is NULL counts as empty.
 */
struct event_row {
    struct str id, type, subject, source, cause, mapping, data, sealed;
    usec time;
    bool test;
};
void event_row_digest(const struct event_row *r, unsigned char out[SHA256_BYTES]);

/*
 * The digest of one message as it is stored, which its `received` entry names: control id, type and
 * character set, each ended by LF, and the sealed bytes. (Feed, state, time and reply code stand in
 * the entry themselves.)
 */
void message_row_digest(struct str control_id, struct str type, struct str charset,
                        struct str sealed, unsigned char out[SHA256_BYTES]);

/* The sealed P2 part of an event; *out has p == NULL when it has none. */
enum err_code event_seal(const struct keyring *keys, struct arena *a, const char *site,
                         const struct event *ev, struct str *out, struct err *e);

/* *first is the number of the first one, 0 when all were already in the stream. */
enum err_code events_append(struct db *db, struct arena *a, const struct keyring *keys,
                            const struct event_batch *b, int64_t *first, struct err *e);

#endif
