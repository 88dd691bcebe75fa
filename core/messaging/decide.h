/*
 * Whether a planned message may leave now: asked when its text is made, and again under the lock of
 * the stream at the moment of the hand-over. A pure function of the facts.
 */
#ifndef DARI_MESSAGING_DECIDE_H
#define DARI_MESSAGING_DECIDE_H

#include "core/messaging/journey.h"

enum consent { CONSENT_NONE, CONSENT_REFUSED, CONSENT_EXPIRED, CONSENT_GRANTED };

struct plan_facts {
    const struct journey *journey; /* NULL: no longer configured */
    const struct journey_step *step;
    usec due;
    bool test;
    bool current; /* the appointment has this version and belongs to this patient */
    bool has_phone, privacy, deceased, merged;
    struct str status; /* of the appointment: booked, … */
    usec start;
    enum consent ad, night;
    int64_t recent_ads; /* handed over to this patient in the last 7 days */
};

enum { ADS_PER_WEEK = 1 };

enum verdict {
    VERDICT_SEND,
    VERDICT_HOLD,     /* until *hold */
    VERDICT_SUPPRESS, /* we decided against it */
    VERDICT_CANCEL    /* what it is about is no more */
};

enum verdict decide(const struct plan_facts *f, usec now, usec *hold, enum message_reason *reason);

#endif
