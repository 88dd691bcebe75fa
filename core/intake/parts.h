/*
 * Messages that come in parts (HL7 v2 chapter 2.10.2, core/hl7/join.h), inside core/intake.
 *
 * Each part is a message of its own: kept, sealed, answered (AA or CA: it is durable), with a row
 * in the ledger; its state is "ignored", since it has nothing to say alone. dari.part says which
 * part goes before which; all state is there, so that a crash loses nothing. The part that makes a
 * message whole, in whatever order they came, has its events: it is committed together with them,
 * and its reply is the one of the whole. Looking up and committing are two statements, one part at
 * a time; only this feed joins its parts, and a part that was given up between the two fails the
 * second one.
 *
 * Refused (AE, quarantine) is a part whose pointer another waiting part has already: two senders
 * with the same pointers must not get each other's text. So is one too many or too large. Parts
 * whose others do not come within the feed's time go to quarantine (parts_give_up).
 *
 * While the database is away a part is answered and spooled like any message; it is joined when the
 * spool is drained, and what is wrong with the whole is then found too late for a reply.
 */
#ifndef DARI_INTAKE_PARTS_H
#define DARI_INTAKE_PARTS_H

#include "core/intake/intake.h"
#include "core/intake/jobs.h"
#include "core/store/db.h"

/* What is stored of the message that a part belongs to. */
extern const struct db_statement *const parts_find;
void parts_find_args(const struct intake_settings *s, const struct job *j, struct db_args *q);

/*
 * With the rows of parts_find: what is mapped (the whole, nothing yet, or why not), and how the
 * part is kept. Can be called again for the same job. Fails when a part cannot be opened, or
 * without memory.
 */
enum err_code parts_settle(const struct intake_settings *s, const struct prepare_settings *p,
                           struct job *j, struct db_rows *rows, struct err *e);

/* The statement that commits the one job that parts_settle() was called for. */
enum err_code parts_commit_args(const struct intake_settings *s, struct arena *a,
                                const struct job *j, usec at, const struct db_statement **st,
                                struct db_args *q, struct err *e);

/* Quarantines what has been waiting since before `since`; one log line. For the steward. */
enum err_code parts_give_up(struct db *db, const char *site, const char *feed, usec since, usec now,
                            struct err *e);

/* Forgets parts whose days have no messages any more (retention removes whole days); one log line
 * when there were any. For the steward, once a day. */
enum err_code parts_forget(struct db *db, const char *site, struct err *e);

/*
 * A stored part is reprocessed (message `no`, prepared again, in the caller's transaction). The one
 * that has the events of its whole: the whole is mapped again. One that was given up or refused: it
 * waits again, as if it had just come, and makes its message whole when nothing else is missing.
 * Others stay what they are. ERR_DB when another part with the same pointer waits meanwhile.
 */
enum err_code parts_again(struct db *db, struct arena *a, const struct prepare_settings *p,
                          int64_t no, int32_t day, usec received_at, struct prepared *m,
                          struct err *e);

#endif
