/*
 * A stored message once more, after its mapping was repaired: the same preparation as intake, the
 * events appended to the stream (those already there, by id, are left out), the message's state and
 * the counts of the feed and (label.h) of its file changed, a ledger entry. One transaction.
 */
#ifndef DARI_INTAKE_REPROCESS_H
#define DARI_INTAKE_REPROCESS_H

#include "core/intake/prepare.h"
#include "core/store/db.h"

struct reprocessed {
    enum mapping_state before, after;
    size_t events;      /* appended now */
    struct err problem; /* of quarantined */
};

/*
 * `feed` of the settings must be the message's. ERR_NOTFOUND when there is no such message. `dry`:
 * everything is done and taken back, so that what is said is what would be.
 */
enum err_code reprocess_message(struct db *db, struct arena *a, const struct prepare_settings *s,
                                int64_t no, bool dry, struct reprocessed *out, struct err *e);

#endif
