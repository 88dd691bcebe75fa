/* Inside core/intake: jobs, and the statement that commits a group of them. */
#ifndef DARI_INTAKE_GROUP_H
#define DARI_INTAKE_GROUP_H

#include "core/intake/intake.h"
#include "core/intake/prepare.h"
#include "core/store/db.h"

/* A message between its arrival and its reply. */
struct job {
    struct job *next;
    void *ticket;
    struct arena *arena; /* everything below; reset when the job is used again */
    bool refused;        /* never stored: the reply is all there is (too large, no memory) */
    struct prepared p;
    struct str sealed;
    struct str reply, refusal, retry; /* for: committed, reused control id, database away */
    char code[3];                     /* MSA-1 of `reply` for the ledger, "-" when none is wanted */
};

extern const struct db_statement *const group_statement;

/* The arguments of dari.commit_group for a list of jobs; arrays live in `a`. */
enum err_code group_args(const struct intake_settings *s, struct arena *a, const struct job *first,
                         usec at, struct db_args *q, struct err *e);

/* The three replies of a job, in its arena. `id` makes our own MSH-10. */
enum err_code job_replies(const struct intake_settings *s, struct job *j, struct str raw, usec at,
                          struct err *e);
/* The reply to a message that was cut by the transport. */
enum err_code job_oversize(const struct intake_settings *s, struct job *j, struct str beginning,
                           usec at, struct err *e);

#endif
