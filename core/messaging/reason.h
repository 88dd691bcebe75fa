/*
 * Why a message was not handed over: the codes of message.suppressed (crm vocabulary, row 41), also
 * in dari.plan.reason. `arrived`, `no_show` and `completed` are ours: the plan says what happened,
 * the event says `stale`.
 */
#ifndef DARI_MESSAGING_REASON_H
#define DARI_MESSAGING_REASON_H

/* reason, code in dari.plan, code in the event */
#define MESSAGE_REASONS(X)                                                                         \
    X(REASON_NONE, "", "")                                                                         \
    X(REASON_NO_CONSENT, "no_consent", "no_consent")                                               \
    X(REASON_NIGHT_HOLD, "night_hold", "night_hold") /* the window opens too late */               \
    X(REASON_CAP, "cap", "cap")                                                                    \
    X(REASON_OPTOUT, "optout", "optout")                                                           \
    X(REASON_NO_PHONE, "no_phone", "no_phone")                                                     \
    X(REASON_MERGED, "merged", "merged")                                                           \
    X(REASON_DECEASED, "deceased", "deceased")                                                     \
    X(REASON_MOVED, "moved", "moved")                                                              \
    X(REASON_CANCELLED, "cancelled", "cancelled")                                                  \
    X(REASON_NO_SHOW, "no_show", "stale")                                                          \
    X(REASON_ARRIVED, "arrived", "stale")                                                          \
    X(REASON_COMPLETED, "completed", "stale")                                                      \
    X(REASON_STALE, "stale", "stale") /* too late to be of use */                                  \
    X(REASON_CHARSET, "charset", "charset")                                                        \
    X(REASON_TOO_LONG, "too_long", "too_long")                                                     \
    X(REASON_LINT, "lint", "lint") /* a variable without a value, a resident number, no journey */ \
    X(REASON_TEST, "test", "test")                                                                 \
    X(REASON_PRIVACY_FLAG, "privacy_flag", "privacy_flag")                                         \
    X(REASON_GATEWAY, "gateway", "failed")  /* the gateway refused it for good */                  \
    X(REASON_UNKNOWN, "unknown", "unknown") /* a call broke off and must not be repeated */

enum message_reason {
#define X(reason, plan, event) reason,
    MESSAGE_REASONS(X)
#undef X
};

const char *reason_plan(enum message_reason r);
const char *reason_event(enum message_reason r);

#endif
