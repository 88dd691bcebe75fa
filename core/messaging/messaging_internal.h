/* What the files of this room share. */
#ifndef DARI_MESSAGING_MESSAGING_INTERNAL_H
#define DARI_MESSAGING_MESSAGING_INTERNAL_H

#include "core/event/read.h"
#include "core/messaging/decide.h"
#include "core/messaging/gateway.h"
#include "core/messaging/messaging.h"
#include "core/store/events.h"

enum { MAX_OUTGOING = 16384, ROUND = 64 };

/* Events that a transaction will append at its end, and staged files to remove after its commit. */
struct outgoing {
    struct event *events;
    size_t count, cap;
    const char **unstage;
    size_t unstage_count, unstage_cap;
};

struct messaging {
    struct messaging_settings s;
    const struct event_type *requested, *status_changed, *suppressed;
    struct gateway *gateway; /* NULL: channel file */
    struct arena *arena;     /* of one transaction */
    struct received_event taken[MESSAGING_BATCH];
    size_t taken_count;
    int64_t position;
    usec gateway_again; /* monotonic: no call before */
};

/* The event being applied, and where its effects go. */
struct applying {
    struct messaging *m;
    struct db *db;
    struct arena *a;
    struct outgoing *out;
    const struct received_event *event;
    int64_t seq;
    struct str patient; /* the subject, or whom it was merged into */
};

/* ---- outgoing.c: message.* events ---- */

struct outgoing_plan {
    struct str id, patient, cause; /* cause: the event that led to this */
    bool test;
    usec at;
    long provider_code; /* HTTP status of the gateway, 0: none */
};
enum message_status { MESSAGE_ACCEPTED, MESSAGE_FAILED, MESSAGE_UNKNOWN };

enum err_code out_requested(struct messaging *m, struct arena *a, struct outgoing *out,
                            const struct outgoing_plan *p, const struct journey *j,
                            const struct journey_step *s, usec send_at, struct err *e);
enum err_code out_suppressed(struct messaging *m, struct arena *a, struct outgoing *out,
                             const struct outgoing_plan *p, const char *plan_reason, struct err *e);
enum err_code out_status(struct messaging *m, struct arena *a, struct outgoing *out,
                         const struct outgoing_plan *p, enum message_status status, struct err *e);
/* A plan that ended in state failed, suppressed or cancelled. */
enum err_code out_ended(struct messaging *m, struct arena *a, struct outgoing *out,
                        const struct outgoing_plan *p, struct str state, struct str reason,
                        struct err *e);
/* Appends all of it: takes the site's lock. */
enum err_code out_append(struct messaging *m, struct db *db, struct arena *a,
                         const struct outgoing *out, const char *kind, struct err *e);
enum err_code out_unstage(struct arena *a, struct outgoing *out, struct str id, struct err *e);
void out_unstage_all(const struct messaging *m, const struct outgoing *out);

/* ---- contact.c: who, what allowed ---- */

enum err_code contact_resolve(struct db *db, struct arena *a, const char *site, struct str patient,
                              struct str *out, struct err *e);
enum err_code contact_registered(struct applying *x, struct err *e);
enum err_code contact_updated(struct applying *x, struct err *e);
enum err_code contact_consent(struct applying *x, struct err *e);
enum err_code contact_deceased(struct applying *x, struct err *e);
enum err_code contact_merged(struct applying *x, struct err *e);
/* The seal's context of a column of dari.contact. */
const char *contact_context(struct arena *a, const char *site, struct str patient,
                            const char *column);

/* ---- plan.c: appointments, plans made and ended ---- */

enum err_code plan_appointment(struct applying *x, struct err *e);
enum err_code plan_status(struct applying *x, struct err *e);
enum err_code plan_end_patient(struct applying *x, struct str patient, enum message_reason reason,
                               struct err *e);
/* The open plans of a retired patient go on as new ones of the surviving one. */
enum err_code plan_merge(struct applying *x, struct str retired, struct str surviving,
                         struct err *e);

/* ---- facts.c: what the hand-over decides on ---- */

struct facts {
    struct plan_facts f;
    struct str id, patient, appointment, cause, state;
    const char *journey, *step;
    int64_t version, attempts;
    bool uncertain, http;
    bool has_day;
    int32_t rendered_on;
    struct str name, phone; /* sealed */
    long provider_code;     /* what the gateway answered to this attempt */
};

/* Due plans and those whose hand-over began, oldest first. `wall` is real time. */
enum err_code facts_due(struct messaging *m, struct db *db, usec now, usec wall, int limit,
                        struct facts **out, size_t *count, struct err *e);
/* The same plans again. Those that ended meanwhile are left out. */
enum err_code facts_again(struct messaging *m, struct db *db, struct db_array *ids, usec now,
                          struct facts **out, size_t *count, struct err *e);

/* The text for the outbox. A reason other than REASON_NONE refuses the message. */
enum err_code message_make(struct messaging *m, struct arena *a, const struct facts *f, usec now,
                           struct buf *json, size_t *bytes, enum message_reason *reason,
                           struct err *e);
enum err_code message_phone(struct messaging *m, struct arena *a, const struct facts *f,
                            struct str *out, struct err *e);

/* ---- handover.c, handover_http.c, handover_recover.c ---- */

/* One plan on its way through a round. */
struct item {
    struct str id;
    bool staged;                 /* its text lies in .staging */
    enum message_reason refused; /* its text could not be made */
};

struct round {
    struct messaging *m;
    struct db *db;
    struct item items[ROUND];
    size_t count;
    struct outgoing handed, derived;
    const char *moving[ROUND]; /* ids to rename */
    size_t moving_count;
    size_t later; /* plans that wait for an event to be read first */
};

/* The first two parameters of every statement about one plan: site and id. */
void plan_args(const struct messaging *m, struct db_args *q, struct str id);
struct outgoing_plan outgoing_of(const struct facts *f, usec now);

/* The plan ends in `state`, or as failed/unknown when a call is in doubt; its event is collected.
 */
enum err_code handover_end(struct round *r, const struct facts *f, const char *state,
                           enum message_reason reason, usec now, struct err *e);
/* The plan was handed over; its event is collected in r->handed. */
enum err_code handover_sent(struct round *r, const struct facts *f, usec now, struct err *e);
/* Appends what was collected: takes the site's lock. */
enum err_code handover_append(struct round *r, struct err *e);

/* Calls the gateway for the one plan that tx2 released, and records what came of it. */
enum err_code handover_call(struct round *r, struct err *e);
enum err_code handover_recover(struct messaging *m, struct db *db, struct err *e);

#endif
