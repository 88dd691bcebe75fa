/*
 * Recomputes the ledger from its entries: numbers without gaps, every leaf, the tree, the root and
 * the signature of every checkpoint, and that events are named once each and without gaps. Since
 * every root is computed from the same leaves, the checkpoints are also consistent with each other.
 *
 * From the database also: the stored tiles (they tell exactly which entry was changed), the digest
 * of every message as it lies there, the digests of all events, every delivery, the heads of the
 * stream.
 *
 * An anchor is a checkpoint that somebody outside kept (every consumer gets them): without one
 * nobody can tell that the newest entries and checkpoints were cut off together, or that everything
 * was rewritten by whoever holds the ledger's key.
 */
#ifndef DARI_LEDGER_VERIFY_H
#define DARI_LEDGER_VERIFY_H

#include "core/crypto/digest.h"
#include "core/store/db.h"

struct ledger_check {
    const char *site;         /* NULL for a file: as the file says */
    const unsigned char *key; /* ED25519_PUBLIC bytes */
    struct str anchor;        /* a note; empty: none */
    /* One call per problem; idx 0 when it is about no single entry. */
    void (*problem)(void *ctx, int64_t idx, const char *text);
    void *ctx;
};

struct ledger_report {
    char site[64];
    int64_t entries, checkpoints;
    int64_t sealed;                       /* entries under the newest good checkpoint */
    int64_t problems;                     /* 0: verified */
    int64_t wrong;                        /* the first wrong entry that could be told; 0: none */
    int64_t messages, events, deliveries; /* compared with what is stored (database only) */
};

/*
 * ERR_NONE also when there are problems: look into the report. Errors: could not be checked. The
 * database is read as of one moment; its tables are held meanwhile, so that no partition can be
 * added (the steward tries again).
 */
enum err_code ledger_verify_db(struct db *db, const struct ledger_check *c,
                               struct ledger_report *out, struct err *e);
enum err_code ledger_verify_file(const char *path, const struct ledger_check *c,
                                 struct ledger_report *out, struct err *e);

/*
 * The export, one line each, ended by LF:
 *
 *     dari-ledger 1 SITE
 *     entry IDX LINE                  every entry in order
 *     checkpoint SIZE AT BASE64       after entry SIZE: when it was signed, and its note
 *     end ENTRIES
 */
#define LEDGER_EXPORT_HEAD "dari-ledger 1 "
enum err_code ledger_export(struct db *db, const char *site,
                            void (*put)(void *ctx, struct str line), void *ctx, struct err *e);

#endif
