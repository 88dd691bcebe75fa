/*
 * When a step is due: civil arithmetic in the site's zone, a pure function of the event. The moment
 * of planning is when the event entered the stream, not when we read it, so that every replay makes
 * the same plans however late it runs.
 */
#ifndef DARI_MESSAGING_SCHEDULE_H
#define DARI_MESSAGING_SCHEDULE_H

#include "core/messaging/journey.h"

struct schedule_input {
    usec start;    /* of the appointment */
    usec booked;   /* when it was booked or moved */
    usec happened; /* the event's own time */
    usec recorded; /* when the event entered the stream */
};

/*
 * False: the step does not apply (the appointment is over, or was booked too late for it).
 * Otherwise the due time, moved to the opening of the window where it lies outside, and *born:
 * REASON_NONE, or REASON_STALE for a step that is planned only to say that it was too late.
 */
bool schedule_step(const struct journey *j, const struct journey_step *s,
                   const struct schedule_input *in, usec *due, enum message_reason *born);

/* The last moment (exclusive) at which the step is still of use. */
usec schedule_deadline(const struct journey_step *s, usec due, usec start);

/*
 * `at` when a message may leave then, else the next opening. Without consent for the night an ad
 * never leaves in [21:00, 08:00) local time, whatever window is configured.
 */
usec window_next(struct send_window w, enum message_class class, bool night_consent, usec at);

#endif
