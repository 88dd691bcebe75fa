/*
 * Journeys (config/journeys, one file each): which event starts which messages, and when. Data
 * only; what a journey means is in schedule.h (when) and decide.h (whether).
 *
 * A journey of this version is about one appointment, and its key is (journey, step, appointment,
 * version): the same patient may have several appointments at once, and a moved one starts anew.
 * What ends a journey is the same for all and cannot be configured away: cancelled, moved, arrived,
 * completed, no-show, deceased, merged.
 */
#ifndef DARI_MESSAGING_JOURNEY_H
#define DARI_MESSAGING_JOURNEY_H

#include "core/base/clock.h"
#include "core/base/problem.h"
#include "core/messaging/template.h"

enum journey_entry { ENTRY_BOOKED = 1, ENTRY_RESCHEDULED = 2 };

/* Minutes of the local day, [from, to). */
struct send_window {
    int from, to;
};

struct journey_step {
    const char *id;
    const struct template *template;
    bool once;           /* as soon as the event is there; otherwise … */
    int days_before;     /* … this many calendar days before the appointment … */
    int minute;          /* … at this minute of the local day */
    int32_t notice_days; /* not for who booked fewer calendar days before; 0: any */
    usec notice;         /* same, as a span of time */
    usec fresh;       /* the event must have happened at most this long before we got it; 0: any */
    usec expires;     /* useless this long after its due time; 0: until the appointment */
    bool passed_send; /* due time already past when planned: send at once, or else skip */
};

struct journey {
    const char *id, *title, *file;
    enum message_class class;
    bool essential; /* also for patients with the privacy flag */
    unsigned entries;
    struct send_window window;
    const struct journey_step *steps;
    size_t step_count;
};

struct journeys {
    const struct journey *items;
    size_t count;
};

/* All journeys of a folder, in `a`; problems with file and line. */
void journeys_load(struct arena *a, const char *folder, const struct templates *t,
                   struct journeys *out, struct problems *p);
const struct journey *journey_find(const struct journeys *j, const char *id);
const struct journey_step *journey_step_find(const struct journey *j, const char *id);

#endif
