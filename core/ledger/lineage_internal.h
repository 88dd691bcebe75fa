/* A story while it is collected and printed; inside this folder only. */
#ifndef DARI_LEDGER_LINEAGE_INTERNAL_H
#define DARI_LEDGER_LINEAGE_INTERNAL_H

#include "core/ledger/lineage.h"

struct lineage_message {
    int64_t no, size, ledger; /* ledger 0: the entry was not found */
    const char *id, *feed, *control_id, *type, *state, *mapping, *day;
    const char *parts; /* numbers of all parts of the message that it is a part of, or NULL */
    usec received_at;
    int64_t first_seq, events;
};

struct lineage_event {
    int64_t seq, message_no, ledger;
    const char *id, *type, *source, *cause, *mapping, *day;
    usec time, recorded_at;
    bool wanted; /* asked for by its own id or as part of a plan */
};

struct lineage_delivery {
    int64_t seq; /* of the event */
    const char *consumer, *contract;
    usec acked_at;
    int64_t ledger;
    bool sure; /* false: nothing is known about that version of the contract any more */
};

/* A message that a journey asked for because of an event. */
struct lineage_plan {
    const char *id, *journey, *step, *channel, *purpose, *state, *reason, *cause;
    usec planned_at, due_at, done_at; /* done_at 0: not yet */
};

struct lineage {
    struct lineage_message *messages;
    struct lineage_event *events; /* by seq */
    struct lineage_delivery *deliveries;
    struct lineage_plan *plans;
    int message_count, event_count, delivery_count, plan_count;
};

#endif
