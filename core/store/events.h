/*
 * Appending events outside intake (dari.append_events): what segmentation, messaging and
 * reprocessing add to the stream, inside the caller's transaction, as late in it as possible.
 */
#ifndef DARI_STORE_EVENTS_H
#define DARI_STORE_EVENTS_H

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

/* The sealed P2 part of an event; *out has p == NULL when it has none. */
enum err_code event_seal(const struct keyring *keys, struct arena *a, const char *site,
                         const struct event *ev, struct str *out, struct err *e);

/* *first is the number of the first one, 0 when all were already in the stream. */
enum err_code events_append(struct db *db, struct arena *a, const struct keyring *keys,
                            const struct event_batch *b, int64_t *first, struct err *e);

#endif
