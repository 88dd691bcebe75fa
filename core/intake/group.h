/* Inside core/intake: the statement that commits a group of jobs, and the replies of a job. */
#ifndef DARI_INTAKE_GROUP_H
#define DARI_INTAKE_GROUP_H

#include "core/intake/intake.h"
#include "core/intake/jobs.h"
#include "core/store/db.h"

enum { GROUP_PLACE = 32, FLAG_TEST = 2, FLAG_SPOOLED = 8 };

/* What every statement begins with that commits messages: its first parameters are group_args(). */
#define GROUP_CALL "dari.commit_group($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"

/* What becomes of a message, as the database calls it, by enum mapping_state. */
extern const char *const group_states[3];
/* Its events: none unless it is mapped. */
size_t group_events(const struct mapped *m);
/* Where the problem is: its place, or "byte N" in `room`. */
const char *group_place(const struct err *problem, char room[GROUP_PLACE]);

/* The rows of a message's events, made when it comes, so that the database need not wait for it. */
enum err_code job_seal_events(const struct intake_settings *s, struct arena *a,
                              const struct mapped *m, struct event_rows *out, struct err *e);

/*
 * The statement that commits a list of jobs, with its arguments; arrays live in `a`. It writes the
 * sequence number of the last job that has one.
 */
enum err_code group_args(const struct intake_settings *s, struct arena *a, const struct job *first,
                         usec at, const struct db_statement **st, struct db_args *q, struct err *e);

/*
 * The same for jobs that come out of the spool: each keeps the time it was received, and a control
 * id that another message used is flagged even where the feed refuses that: the reply has left
 * already.
 */
enum err_code spooled_args(const struct intake_settings *s, struct arena *a,
                           const struct job *first, usec at, const struct db_statement **st,
                           struct db_args *q, struct err *e);

/* The three replies of a job, in its arena. `id` makes our own MSH-10. */
enum err_code job_replies(const struct intake_settings *s, struct job *j, struct str raw, usec at,
                          struct err *e);
/* Replaces the reply by one that names the expected sequence number: AA, or AE when refused. */
enum err_code job_expects(struct job *j, bool refused, int64_t expected, usec at, struct err *e);
/* Finds the code of j->reply. */
void job_read_code(struct job *j);
/* Our own MSH-10, unique in this feed. */
struct str job_reply_id(struct arena *a);
/* The reply to a batch of more messages than are taken at a time; the job is then refused. */
enum err_code job_batch_too_large(struct job *j, struct str frame, usec at, struct err *e);
/* The reply to a message whose sender is not who its certificate says; the job is then refused. */
enum err_code job_foreign(struct job *j, usec at, struct err *e);
/* The reply to a message that was cut by the transport. */
enum err_code job_oversize(const struct intake_settings *s, struct job *j, struct str beginning,
                           usec at, struct err *e);

#endif
