#include "core/messaging/reason.h"

static const struct {
    const char *plan, *event;
} reasons[] = {
#define X(reason, plan, event) {plan, event},
    MESSAGE_REASONS(X)
#undef X
};

const char *reason_plan(enum message_reason r)
{
    return reasons[r].plan;
}

const char *reason_event(enum message_reason r)
{
    return reasons[r].event;
}
