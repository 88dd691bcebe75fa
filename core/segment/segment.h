/*
 * The segmentation core: from the stream to profiles, members and segment.entered/exited.
 *
 * The result is a pure function of the stream, whatever the batches, crashes and delays were. Time
 * runs along the stream: before an event recorded at R is applied, every instant T <= R at which
 * membership could change without an event is evaluated in order, at exactly T: local midnights
 * (everybody) and appointment starts (their patients). Then the event is applied and its patients
 * are evaluated at R. While no event comes, the role lets the clock do the same with
 * segment_tick(). Ids of derived events follow from their cause, so a repetition adds nothing.
 *
 * Everything up to segment_commit() is one transaction: facts, members, derived events, position.
 * After any error: segment_rollback(), or segment_attach() when the connection is lost.
 */
#ifndef DARI_SEGMENT_SEGMENT_H
#define DARI_SEGMENT_SEGMENT_H

#include "core/event/event.h"
#include "core/event/read.h"
#include "core/segment/rule.h"
#include "core/store/db.h"

struct segment_settings {
    const char *site;
    const struct keyring *keys;
    const struct catalogue *catalogue;
    const struct segment_rules *rules;
};
struct segmenter;

/* ERR_CONFIG when the catalogue lacks segment.entered or segment.exited. */
enum err_code segment_new(const struct segment_settings *s, struct segmenter **out, struct err *e);
void segment_free(struct segmenter **s);

/*
 * Takes a (new) connection, which stays the caller's: reads where we are, and looks at everybody
 * once when the rules are not those of the last time. Two processes with different rules exclude
 * each other: the one with the older ones gets ERR_CONFIG at its next transaction.
 */
enum err_code segment_attach(struct segmenter *s, struct db *db, struct err *e);

/* The last event whose effect is committed (0: none); the instant everything is brought up to. */
int64_t segment_position(const struct segmenter *s);
usec segment_at(const struct segmenter *s); /* SEGMENT_NEVER before the first event */
#define SEGMENT_NEVER INT64_MIN

/* Events up to the position are ignored. */
enum err_code segment_apply(struct segmenter *s, const struct received_event *ev, struct err *e);

/* The next instant at which membership may change by itself; INT64_MAX: none. */
enum err_code segment_due(struct segmenter *s, usec *due, struct err *e);
/*
 * Brings time up to `now`. Only right when every event recorded until then has been applied:
 * segment_waiting() tells whether the stream holds more for us.
 */
enum err_code segment_tick(struct segmenter *s, usec now, struct err *e);
enum err_code segment_waiting(struct segmenter *s, bool *more, struct err *e);

/*
 * Looks at everybody as of segment_at(); changes nothing when the core did its work. `which`: some
 * of the rules (segment_rules_only()), NULL for all.
 */
enum err_code segment_recompute(struct segmenter *s, const struct segment_rules *which,
                                struct err *e);

/* How many changes since the last commit: a measure for when to commit. */
size_t segment_pending(const struct segmenter *s);
enum err_code segment_commit(struct segmenter *s, struct err *e);
/* Gives the open transaction up; where we are is read again. */
enum err_code segment_rollback(struct segmenter *s, struct err *e);

#endif
