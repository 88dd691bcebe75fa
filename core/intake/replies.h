/* Inside core/intake: the replies of a job. */
#ifndef DARI_INTAKE_REPLIES_H
#define DARI_INTAKE_REPLIES_H

#include "core/intake/intake.h"
#include "core/intake/jobs.h"

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
