/* Inside core/intake: a message on its way, and queues of them. */
#ifndef DARI_INTAKE_JOBS_H
#define DARI_INTAKE_JOBS_H

#include "core/crypto/digest.h"
#include "core/intake/bundle.h"
#include "core/intake/generation.h"
#include "core/intake/prepare.h"

/* How a part of a message is kept (parts.h). */
struct job_part {
    bool keep; /* as a part; else it is quarantined for itself */
    const int64_t
        *order; /* the numbers of all parts of the whole, 0 for this one; NULL: it waits */
    size_t count;
};

/* Events ready for their rows. */
struct event_rows {
    const struct event *of; /* these; NULL: nothing is ready */
    struct str *sealed;
    unsigned char (*digests)[SHA256_BYTES]; /* of each */
    unsigned char digest[SHA256_BYTES];     /* over those of all */
};

/* A message between its arrival and its reply. */
struct job {
    struct job *next;
    struct job *repeats; /* in a group: the same message again, answered like this one */
    void *ticket;
    struct bundle *bundle; /* of a batch: it has the ticket, and gets the reply at `place` */
    size_t place;
    struct generation *generation; /* `p` points into it */
    struct arena *arena;           /* everything below; reset when the job is used again */
    bool numbered;                 /* takes part in the sequence number protocol, with `number` */
    int64_t number;
    bool silent;             /* nobody waits for a reply: a message of a file */
    bool again;              /* the answer asks to send it again */
    bool refused;            /* never stored: the reply is all there is (too large, no memory) */
    bool spooled;            /* flushed in the local spool: `reply` may leave */
    int doubt;               /* how often the database refused it for itself: refused.h */
    usec at;                 /* received */
    usec came;               /* the same on the monotonic clock; 0: nobody waits for a reply */
    const struct held *held; /* of a snapshot: its row; import_internal.h */
    struct prepared p;
    struct job_part part;
    struct str sealed;
    struct event_rows rows;
    struct str reply, refusal, retry; /* for: committed, reused control id, database away */
    char code[3];                     /* MSA-1 of `reply` for the ledger, "-" when none is wanted */
};

/* First in, first out. */
struct jobs {
    struct job *first, **last;
    size_t count;
};

void jobs_init(struct jobs *l);
void jobs_push(struct jobs *l, struct job *j);
struct job *jobs_pop(struct jobs *l); /* NULL when empty */
/* All of `from`, which is empty then. */
void jobs_take(struct jobs *l, struct jobs *from);
/* Puts repeats behind the message that they repeat, as jobs of their own. */
void jobs_spread(struct jobs *l);
void job_free(struct job *j);
/* All of them, and the batches that have no other job left. */
void jobs_free(struct jobs *l);

#endif
