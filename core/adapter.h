/*
 * An adapter turns one transport into requests, and takes the answers back to the peer. It knows
 * framing and connections, not HL7, not the database. One adapter instance per configured feed, in
 * a process of its own.
 */
#ifndef DARI_ADAPTER_H
#define DARI_ADAPTER_H

#include "core/base/option.h"
#include "core/base/err.h"

struct net_loop;
struct adapter;      /* the instance, private to the adapter */
struct adapter_host; /* the intake side */

/*
 * Hands one received message over. The bytes are copied or finished with before it returns. The
 * answer comes later through ops->reply() with the same ticket, always exactly once per accepted
 * request, not necessarily in order: the adapter restores the order of its connection. False: the
 * host is at its limits; the adapter stops reading from everybody until ops->resume().
 */
bool adapter_submit(struct adapter_host *h, struct str message, void *ticket);

/* A message so broken that the transport had to cut it (too large). Gives the reply for it. */
bool adapter_submit_oversize(struct adapter_host *h, struct str beginning, void *ticket);

/* Counters shown by dari status: named once, bumped often. */
void adapter_count(struct adapter_host *h, const char *counter, int64_t by);

struct adapter_ops {
    const char *name, *help;
    const struct option_row *options;
    size_t options_size;
    /* Listens or starts to poll. Errors name the option at fault and say what to do. */
    enum err_code (*start)(struct adapter_host *h, struct net_loop *loop, const void *options,
                           struct adapter **out, struct err *e);
    /* `reply` may be empty: the peer asked for none. The ticket is used up. */
    void (*reply)(struct adapter *a, void *ticket, struct str reply);
    void (*resume)(struct adapter *a);
    /* Take nothing new; requests under way still get their reply. */
    void (*drain)(struct adapter *a);
    void (*stop)(struct adapter **a);
};

/* All adapters, ends with NULL. In core/app, which is the only place that knows their names. */
extern const struct adapter_ops *const adapters[];

#endif
