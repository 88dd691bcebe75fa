/*
 * The messaging sink: consumes the stream, plans what the journeys ask for, hands messages over
 * when they are due, and appends message.* events for what happened. Whoever owns the loop (the
 * role, a test) gives it events, a database connection and the time.
 *
 * Promises:
 *   - what an event does to our tables, the plans that follow from it and how far we have read are
 *     one transaction; an event with a number at or below our position does nothing;
 *   - a plan reaches exactly one of sent, failed, suppressed, cancelled, and a message is in the
 *     outbox at most once, whenever the process is killed;
 *   - no file is moved into the outbox after an event that forbids it was committed to the stream.
 * README.md tells how.
 */
#ifndef DARI_MESSAGING_MESSAGING_H
#define DARI_MESSAGING_MESSAGING_H

#include "core/crypto/keys.h"
#include "core/event/event.h"
#include "core/messaging/journey.h"
#include "core/store/db.h"

struct messaging;

/* Everything in it outlives the messaging object. */
struct messaging_settings {
    const char *site, *site_name, *site_phone;
    const char *sender; /* the site's registered sender number */
    const char *outbox; /* folder; also of what waits for channel http */
    const char *url;    /* channel http, or NULL for channel file */
    int64_t timeout_ms; /* of a call of the gateway */
    const struct keyring *keys;
    const struct catalogue *catalogue;
    const struct journeys *journeys;
};

/* ERR_CONFIG, ERR_REQUIRED (sender, a catalogue without message.* events), ERR_IO (outbox). */
enum err_code messaging_new(const struct messaging_settings *s, struct messaging **out,
                            struct err *e);
void messaging_free(struct messaging **m);

/*
 * After every (re)connection, before anything else: makes sure that we are the only one
 * (ERR_EXISTS), finishes hand-overs that were interrupted, and says after which event to read on.
 */
enum err_code messaging_attach(struct messaging *m, struct db *db, int64_t *position,
                               struct err *e);

/* Collects one event for the next messaging_apply(). ERR_DATA classes: it cannot be read. */
enum { MESSAGING_BATCH = 256 };
enum err_code messaging_take(struct messaging *m, int64_t seq, struct str json, struct err *e);
size_t messaging_taken(const struct messaging *m);
void messaging_drop(struct messaging *m); /* forgets what was collected */

/*
 * Applies what was collected in one transaction. Afterwards *position may be acknowledged. On an
 * error nothing happened; what was collected is forgotten (the stream has it).
 */
enum err_code messaging_apply(struct messaging *m, struct db *db, int64_t *position, struct err *e);

/*
 * Hands over what is due. *more: there may be more due now. After an error: attach again before
 * going on.
 */
enum err_code messaging_tick(struct messaging *m, struct db *db, bool *more, struct err *e);

#endif
