#include "core/messaging/schedule.h"

enum { NIGHT_ENDS = 8 * 60, NIGHT_BEGINS = 21 * 60 };

static usec local(int32_t day, int minute)
{
    return minute == 24 * 60 ? zone_instant(day + 1, 0, 0, 0)
                             : zone_instant(day, minute / 60, minute % 60, 0);
}

usec window_next(struct send_window w, enum message_class class, bool night_consent, usec at)
{
    if (class == MESSAGE_AD && !night_consent) {
        w.from = w.from < NIGHT_ENDS ? NIGHT_ENDS : w.from;
        w.to = w.to > NIGHT_BEGINS ? NIGHT_BEGINS : w.to;
    }
    int32_t day = zone_day(at);
    usec opens = local(day, w.from);
    if (at < opens) {
        return opens;
    }
    return at < local(day, w.to) ? at : local(day + 1, w.from);
}

usec schedule_deadline(const struct journey_step *s, usec due, usec start)
{
    usec useless = due + s->expires;
    return s->expires && useless < start ? useless : start;
}

static bool booked_too_late(const struct journey_step *s, const struct schedule_input *in)
{
    return (s->notice_days && zone_day(in->start) - zone_day(in->booked) < s->notice_days) ||
           (s->notice && in->start - in->booked < s->notice);
}

bool schedule_step(const struct journey *j, const struct journey_step *s,
                   const struct schedule_input *in, usec *due, enum message_reason *born)
{
    if (in->start <= in->recorded || booked_too_late(s, in)) {
        return false;
    }
    usec at = s->once ? in->recorded : local(zone_day(in->start) - s->days_before, s->minute);
    *born = REASON_NONE;
    if (at < in->recorded) {
        *born = s->passed_send ? REASON_NONE : REASON_STALE;
        at = in->recorded;
    }
    if (s->fresh && in->recorded - in->happened > s->fresh) {
        *born = REASON_STALE;
    }
    *due = window_next(j->window, j->class, false, at);
    return true;
}
