/*
 * What a person does with the command line is recorded in the ledger: who (user name or id), what,
 * on which of our own ids. The record is written before the thing is shown or done; if it cannot be
 * written, the thing does not happen.
 */
#ifndef DARI_APP_OPERATOR_H
#define DARI_APP_OPERATOR_H

#include "core/store/db.h"

/* Ledger line "operator site=… by=… action=… key=value…"; `details` is "key=value …" or "". */
enum err_code operator_record(struct db *db, struct arena *a, const char *site, const char *action,
                              const char *details, struct err *e);

/* The person as one word, for entries that are written elsewhere; NULL when memory is out. */
const char *operator_name(struct arena *a);

#endif
