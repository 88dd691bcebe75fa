/*
 * Contracts (config/contracts/NAME.xml): which event types and which of their fields a consumer
 * gets, in which form and on which legal basis. What a contract does not name is not sent, and what
 * no named field needs is not even unsealed. Loaded at HELLO, so a changed file holds from the next
 * session on; the label (name@version:digest of the file) goes into every delivery and ledger
 * entry.
 */
#ifndef DARI_STREAM_CONTRACT_H
#define DARI_STREAM_CONTRACT_H

#include "core/base/problem.h"
#include "core/event/event.h"
#include "core/stream/page.h"

struct contract;

/*
 * NULL with problems: no such file, not valid, a type or field the catalogue does not have, a field
 * of a class that the contract does not claim, a name that is not the file's. The catalogue must
 * outlive it.
 */
struct contract *contract_load(const char *folder, const char *name, const struct catalogue *c,
                               struct problems *p);
void contract_free(struct contract **c);

const char *contract_label(const struct contract *c); /* crm-basic@1:2f0c… */
bool contract_everything(const struct contract *c);   /* every type and field: our own roles */
/* Does the contract let this type through at all? */
bool contract_lets(const struct contract *c, struct str type);
/* All types let through; a NULL-terminated array. NULL when everything is. */
const char *const *contract_types(const struct contract *c);

/*
 * The event as this consumer may see it: one line of JSON added to `out`. ERR_NOTFOUND: the type is
 * not in the catalogue; ERR_CRYPTO: cannot be unsealed; ERR_LIMIT: larger than `out` may be.
 */
enum err_code contract_event(const struct contract *c, const struct keyring *keys, const char *site,
                             const char *consumer, const struct stored *s, struct arena *scratch,
                             struct buf *out, struct err *e);

#endif
