/* Inside core/intake: the statement that commits a group of jobs. */
#ifndef DARI_INTAKE_GROUP_H
#define DARI_INTAKE_GROUP_H

#include "core/intake/intake.h"
#include "core/intake/jobs.h"
#include "core/intake/replies.h"
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
 * A message alone, as of a sender that waits for each reply, has a statement that costs less, when
 * group_alone() says so. It returns NULL as the number when the control id is known; nothing was
 * written then, and group_args() has the statement that finds out what that means.
 */
bool group_alone(const struct intake_settings *s, const struct job *first);
enum err_code alone_args(const struct intake_settings *s, struct arena *a, const struct job *j,
                         usec at, const struct db_statement **st, struct db_args *q, struct err *e);

/*
 * group_args() for jobs that come out of the spool: each keeps the time it was received, and a
 * control id that another message used is flagged even where the feed refuses that: the reply has
 * left already.
 */
enum err_code spooled_args(const struct intake_settings *s, struct arena *a,
                           const struct job *first, usec at, const struct db_statement **st,
                           struct db_args *q, struct err *e);

#endif
