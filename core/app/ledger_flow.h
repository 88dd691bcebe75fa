/* `dari ledger flow`: who got how many events of which type. */
#ifndef DARI_APP_LEDGER_FLOW_H
#define DARI_APP_LEDGER_FLOW_H

#include "core/app/config.h"

/* from, to: days of the site's zone, both included, or NULL. Returns the exit status. */
int ledger_flow(struct db *db, struct arena *a, const struct config *c, const char *from,
                const char *to, bool json);

#endif
