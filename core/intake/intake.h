/*
 * From received bytes to a committed message, its events, its ledger entry and its reply (DESIGN
 * §4, steps 2-5). One per feed process; it is the adapter_host that adapters talk to.
 *
 * A message is prepared as it comes: character set → parse → record → mapping → events → seal. What
 * is prepared waits in order of arrival; when the database is idle everything waiting (at most
 * max_group) goes as one group, one statement, one transaction (dari.commit_group). While it
 * commits the next group fills. Replies leave after the commit, never before.
 *
 * While the database is away what is prepared goes into a local spool instead (spool.h), everything
 * waiting with one flush. When the database is back the spool is committed first, in order, through
 * the same preparation and the same statement; what arrives meanwhile is appended behind it, at
 * most half as much as is committed, so that the spool comes to its end under any load.
 *
 * Invariants:
 *  1. A positive reply was committed together with the message, or is in the spool together with
 * the message, flushed; or is the stored reply of the same message received before (in the
 * database, or in the spool: it will be the database's). Nothing newer is committed before the
 * spool is.
 *  2. While the database is away and the spool takes nothing (off, at its limit, broken) each
 * message gets a negative, retryable reply at once (table 0357: 207). A group whose commit is
 * unknown goes to the spool with the same replies: its commit recognises what is there already.
 * Without a spool it gets 207 too: the sender's repetition is then recognised.
 *  3. Each accepted request gets exactly one reply; at most max_pending messages are under way.
 *  4. A request may be a batch: its messages are taken one by one, their replies make one batch.
 */
#ifndef DARI_INTAKE_INTAKE_H
#define DARI_INTAKE_INTAKE_H

#include "core/adapter.h"
#include "core/base/charset.h"
#include "core/crypto/keys.h"
#include "core/intake/covers.h"
#include "core/intake/generation.h"
#include "core/net/net.h"
#include "core/table/table.h"

struct intake_settings {
    const char *site, *feed;
    const struct keyring *keys;
    struct generation *generation; /* the host holds it too */
    bool refuse_reuse, accept_quarantined;
    bool sequence; /* MSH-13 counts: core/intake/sequence.h */
    int64_t max_pending, max_group;
    int64_t max_parts, max_whole; /* of a message in parts: how many, bytes; max_parts 0: MSH-14
                                     means nothing here */
    int64_t max_message;          /* bytes */
    const char *senders; /* which certificate speaks for whom (senders.h); NULL or "": any */
    const char *(*conninfo)(void *ctx, struct arena *a, struct err *e);
    void *conninfo_ctx;
    bool snapshot; /* a table is the whole state each time: only changes are news, */
    struct snapshot_covers covers; /* and what it lacks of these is gone, */
    int64_t max_gone;              /* if that is not more than so many per cent */
    struct table_settings table;
    const char *spool;    /* folder of the local spool */
    int64_t spool_max;    /* bytes; 0: none */
    const char *role;     /* SET ROLE, or NULL */
    const char *wake;     /* socket of the relay that is told of new events; a hint only */
    const char *paused;   /* while this file exists every message gets a "try again"; or NULL */
    const char *counters; /* file that shows the counters, rewritten when they changed; or NULL */
};

struct adapter_host;

struct adapter_host *intake_new(struct net_loop *l, const struct intake_settings *s, struct err *e);
/* The adapter that gets the replies. Must be called before the first message. */
void intake_attach(struct adapter_host *h, const struct adapter_ops *ops, struct adapter *adapter);
/* Calls fn once, when the database is ready or known to be away: time to open the door. */
void intake_on_known(struct adapter_host *h, void (*fn)(void *ctx), void *ctx);
/*
 * From the next message on (and the next one out of the spool) another mapping. What is under way
 * ends as it began. The host holds it too: the caller drops its own hold as it likes.
 */
void intake_set_generation(struct adapter_host *h, struct generation *g);
/* Nothing under way any more? For an orderly end. */
bool intake_idle(const struct adapter_host *h);
void intake_free(struct adapter_host **h);

#endif
