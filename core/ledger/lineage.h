/*
 * From one thing to everything it came from and led to: message → events → what led to them and
 * what they led to → who acknowledged them when, each with the ledger entry that says so. Ids,
 * types and times only; nothing about a person.
 */
#ifndef DARI_LEDGER_LINEAGE_H
#define DARI_LEDGER_LINEAGE_H

#include "core/base/buf.h"
#include "core/store/db.h"

/*
 * A range that a consumer acknowledged also covers events its contract did not let through. The
 * caller says which did: `contract` is the label of the delivery.
 */
enum lineage_passed { LINEAGE_NO, LINEAGE_YES, LINEAGE_UNKNOWN };
struct lineage_view {
    enum lineage_passed (*passed)(void *ctx, struct str contract, struct str type);
    void *ctx;
};

/*
 * `id` is a message's number or id (32 hexadecimal digits), a control id, an event's id or number
 * (#17), or a plan's key. The whole story is collected around it: back to the message that started
 * it and forward to everything that came of that. ERR_NOTFOUND; ERR_LIMIT when it is too much to
 * print.
 */
struct lineage; /* in the arena */
enum err_code lineage_find(struct db *db, struct arena *a, const char *site, struct str id,
                           const struct lineage_view *view, struct lineage **out, struct err *e);

void lineage_text(const struct lineage *l, struct buf *out); /* a tree */
void lineage_json(const struct lineage *l, struct buf *out); /* one object */

#endif
