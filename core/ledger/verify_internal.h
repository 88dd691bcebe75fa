/* Inside core/ledger/verify_*.c: what the entries say against the database. */
#ifndef DARI_LEDGER_VERIFY_INTERNAL_H
#define DARI_LEDGER_VERIFY_INTERNAL_H

#include "core/ledger/tiles.h"
#include "core/ledger/verify_later.h"
#include "core/ledger/walk.h"
#include "core/store/db.h"

struct verification {
    struct db *db;
    struct arena *batch; /* one page of entries */
    struct arena *group; /* what a part of that names */
    struct arena *notes; /* the page of checkpoints being merged in */
    struct walk walk;
    struct tiles *tiles;
    struct later later; /* messages whose state a later entry says */
    struct db_rows *checkpoints;
    int at; /* next row of `checkpoints` */
    bool tile_reported;
};

/*
 * What the entries of a page (idx, body, day) name, read again and compared: messages that came one
 * by one, groups of rows, events, deliveries. What differs is told with walk_problem(); an error
 * means that it could not be found out.
 */
enum err_code verify_messages(struct verification *v, const struct db_rows *page, struct err *e);
enum err_code verify_rows(struct verification *v, const struct db_rows *page, struct err *e);
enum err_code verify_events(struct verification *v, const struct db_rows *page, struct err *e);
enum err_code verify_deliveries(struct verification *v, const struct db_rows *page, struct err *e);

#endif
