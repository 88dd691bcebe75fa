/*
 * Inside core/intake: jobs into the spool while the database is away, and out of it again. Replies
 * are sealed there as well, context site/spool/hex(id).
 */
#ifndef DARI_INTAKE_BACKLOG_H
#define DARI_INTAKE_BACKLOG_H

#include "core/intake/intake.h"
#include "core/intake/jobs.h"
#include "core/intake/spool.h"

struct backlog;

/*
 * *out is NULL when the feed has no spool. One that was switched off is committed to its end, but
 * takes nothing. A feed with sequence numbers takes nothing: the reply must name a number that only
 * the database knows.
 */
enum err_code backlog_open(const struct intake_settings *s, struct backlog **out, struct err *e);
void backlog_free(struct backlog **b);

/*
 * The first `max` jobs, with one flush, or fewer of them when they are large: returns how many were
 * looked at. Those that are in the spool now are marked `spooled`; one that was there before got
 * the reply of its first copy. The others were refused, or the spool takes nothing.
 */
size_t backlog_put(struct backlog *b, const struct jobs *from, size_t max);

/* The next job to commit: prepared again, as of when it was received, with its reply.
 * ERR_NOTFOUND: no more. Anything else: it cannot be read now, and comes again. */
enum err_code backlog_take(struct backlog *b, const struct prepare_settings *p, struct job *j,
                           struct err *e);
/* All that were taken are committed; or: none was, they come again. */
void backlog_done(struct backlog *b);
void backlog_again(struct backlog *b);
void backlog_return(struct backlog *b); /* the last one taken comes again */

/* Of NULL: 0 and NULL. */
size_t backlog_count(const struct backlog *b);
const struct spool *backlog_spool(const struct backlog *b);

#endif
