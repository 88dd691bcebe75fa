/*
 * Inside core/intake: a file on its way from adapter_submit_file() to its result. One at a time per
 * feed, beside the messages that come one by one.
 *
 * Hash → open → (read → compare → commit)* → gone → close. Each commit holds a group of messages,
 * their events and ledger entries, and how far the file was read (dari.batch); the digest of the
 * content names the file. Whatever fails on the way, the file is opened again behind the last
 * commit: nothing is lost and nothing doubled. While the database is away the file waits: it is its
 * own spool.
 */
#ifndef DARI_INTAKE_IMPORT_H
#define DARI_INTAKE_IMPORT_H

#include "core/adapter.h"

#include <stdbool.h>

struct import;
struct db_rows;

/* The next step, when the database is idle. True: a statement runs now. */
bool import_step(struct adapter_host *h);
/* Reads some more of the file while the database commits what was read before. */
void import_ahead(struct adapter_host *h);
void import_done(struct adapter_host *h, struct db_rows *rows, const struct err *failed);
void import_free(struct import **i);

#endif
