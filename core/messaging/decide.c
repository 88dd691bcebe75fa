#include "core/messaging/decide.h"

#include "core/messaging/schedule.h"

static enum message_reason ended(const struct plan_facts *f)
{
    static const struct {
        const char *status;
        enum message_reason reason;
    } ends[] = {{"cancelled", REASON_CANCELLED},
                {"no_show", REASON_NO_SHOW},
                {"arrived", REASON_ARRIVED},
                {"completed", REASON_COMPLETED}};
    if (f->deceased) {
        return REASON_DECEASED;
    }
    if (f->merged) {
        return REASON_MERGED;
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (str_is(f->status, ends[i].status)) {
            return ends[i].reason;
        }
    }
    return f->current ? REASON_NONE : REASON_MOVED;
}

static enum message_reason refused(const struct plan_facts *f)
{
    if (f->test) {
        return REASON_TEST;
    }
    if (!f->journey || !f->step) {
        return REASON_LINT;
    }
    if (f->privacy && !f->journey->essential) {
        return REASON_PRIVACY_FLAG;
    }
    if (!f->has_phone) {
        return REASON_NO_PHONE;
    }
    if (f->journey->class == MESSAGE_AD) {
        if (f->ad != CONSENT_GRANTED) {
            return f->ad == CONSENT_REFUSED ? REASON_OPTOUT : REASON_NO_CONSENT;
        }
        if (f->recent_ads >= ADS_PER_WEEK) {
            return REASON_CAP;
        }
    }
    return REASON_NONE;
}

enum verdict decide(const struct plan_facts *f, usec now, usec *hold, enum message_reason *reason)
{
    *reason = ended(f);
    if (*reason != REASON_NONE) {
        return VERDICT_CANCEL;
    }
    *reason = refused(f);
    if (*reason != REASON_NONE) {
        return VERDICT_SUPPRESS;
    }
    usec deadline = schedule_deadline(f->step, f->due, f->start);
    if (now >= deadline) {
        *reason = f->due >= deadline ? REASON_NIGHT_HOLD : REASON_STALE;
        return VERDICT_SUPPRESS;
    }
    *hold = window_next(f->journey->window, f->journey->class, f->night == CONSENT_GRANTED, now);
    if (*hold == now) {
        return VERDICT_SEND;
    }
    if (*hold >= deadline) {
        *reason = REASON_NIGHT_HOLD;
        return VERDICT_SUPPRESS;
    }
    return VERDICT_HOLD;
}
