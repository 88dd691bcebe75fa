/*
 * Migrations: numbered .sql files compiled into the binary, applied in order, each in its own
 * transaction, under an advisory lock; what is applied is remembered with its checksum. A database
 * newer than the binary, or one whose applied files were changed, is refused.
 */
#ifndef DARI_STORE_MIGRATE_H
#define DARI_STORE_MIGRATE_H

#include "core/store/db.h"

struct migration_state {
    int known;   /* in this binary */
    int applied; /* in the database */
};

enum err_code migrate_state(struct db *db, struct migration_state *out, struct err *e);
/* Applies what is missing; *applied says how many. Also makes partitions around now. */
enum err_code migrate_apply(struct db *db, int *applied, struct err *e);
/* ERR_CONFIG when the database is not exactly at this binary's version: run dari db migrate. */
enum err_code migrate_check(struct db *db, struct err *e);
/*
 * The row of a site in dari.stream; made when missing. `key_check` (key_opaque of "check") is
 * remembered the first time and compared from then on: ERR_CONFIG when this database was written
 * with other keys. NULL: not looked at.
 */
enum err_code migrate_site(struct db *db, const char *site, const char *key_check, struct err *e);

#endif
