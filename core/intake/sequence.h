/*
 * The sequence number protocol (HL7 v2 chapter 2.10.1): MSH-13 of a message, MSA-4 of its reply.
 * For one sender per feed, on a feed that says sequence="yes"; a message without MSH-13 takes no
 * part.
 *
 * The number of the last message taken lies in dari.feed_sequence and is written in the transaction
 * that takes the message. Between transactions it is known here; after any failure it is read
 * again. What comes in its turn is taken and its number echoed. 0 asks which number is expected, -1
 * begins anew with whatever number comes next; neither is a message. A number that has passed gets
 * its stored reply if it is that message again, else a refusal; a number too high is a gap: it is
 * recorded in dari.feed_gap and refused until the missing ones have come. A refusal (AE, 207) names
 * the expected number in MSA-4, and stores nothing.
 */
#ifndef DARI_INTAKE_SEQUENCE_H
#define DARI_INTAKE_SEQUENCE_H

#include "core/intake/intake.h"
#include "core/intake/jobs.h"
#include "core/store/db.h"

/* MSH-13 has at most 15 digits. */
#define SEQUENCE_MAX INT64_C(999999999999999)

struct sequence {
    bool known, any; /* any: there was one since the beginning or the last -1 */
    int64_t last;    /* of the database, and of the group being formed */
};

enum sequence_is {
    SEQUENCE_NEXT,   /* in its turn, or takes no part */
    SEQUENCE_START,  /* 0 */
    SEQUENCE_RESYNC, /* -1 */
    SEQUENCE_OLD,
    SEQUENCE_GAP
};

/* What a job's number is now. */
enum sequence_is sequence_of(const struct sequence *s, const struct job *j);
int64_t sequence_expected(const struct sequence *s); /* -1: any */

/* MSH-13 into the job. One that is no number of the protocol quarantines its message. */
void sequence_read(struct job *j);

/* ---- statements ---- */
extern const struct db_statement *const sequence_load; /* → last */
void sequence_load_args(const struct intake_settings *s, struct db_args *q);
void sequence_loaded(struct sequence *s, const struct db_rows *rows);

/* What must be in the database before a job that is not NEXT is answered; NULL: nothing. */
const struct db_statement *sequence_settle(const struct intake_settings *s,
                                           const struct sequence *n, const struct job *j, usec at,
                                           struct db_args *q);

#endif
