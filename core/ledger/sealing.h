/*
 * What the steward does with the ledger at every tick: new entries are hashed into the tree, and
 * every so many entries or minutes the root is signed. Entries are only ever read here; they are
 * written by the SQL functions inside the transaction of each step.
 *
 * Nothing is kept between two ticks: the newest tiles in the database are the state. One tick is
 * one transaction, and an advisory lock keeps a second steward out.
 */
#ifndef DARI_LEDGER_SEALING_H
#define DARI_LEDGER_SEALING_H

#include "core/crypto/digest.h"
#include "core/store/db.h"

struct sealing {
    const char *site;
    const struct signer *signer;
    int64_t every_entries; /* a checkpoint after so many entries … */
    int64_t every_ms;      /* … or after so long when there is any entry at all */
};

struct sealed {
    int64_t size;       /* of the tree now */
    int64_t added;      /* in this tick */
    int64_t checkpoint; /* size of the checkpoint signed in this tick; 0: none was due */
    bool more;          /* there was more than one tick takes: call again */
};

/*
 * ERR_REFUSED: an entry is missing or the stored tree contradicts the last checkpoint; nothing was
 * sealed or signed, the log says what, and a person has to look (dari ledger verify). ERR_DB:
 * later.
 */
enum err_code ledger_seal(struct db *db, const struct sealing *s, usec now, struct sealed *out,
                          struct err *e);

#endif
