#include "core/messaging/messaging_internal.h"

#include "core/messaging/schedule.h"

#include <inttypes.h>
#include <string.h>

DB_STATEMENT(get_appointment,
             "SELECT patient, start, status, version FROM dari.contact_appointment "
             "WHERE site = $1 AND appointment = $2");
DB_STATEMENT(put_appointment,
             "INSERT INTO dari.contact_appointment "
             "(site, appointment, patient, start, status, version, booked_at, test, seq) "
             "VALUES ($1, $2, $3, $4, 'booked', $5, $6, $7, $8) "
             "ON CONFLICT (site, appointment) DO UPDATE SET patient = excluded.patient, "
             "start = excluded.start, status = excluded.status, version = excluded.version, "
             "booked_at = excluded.booked_at, test = excluded.test, seq = excluded.seq");
DB_STATEMENT(set_status, "UPDATE dari.contact_appointment SET status = $3, seq = $4 "
                         "WHERE site = $1 AND appointment = $2");
DB_STATEMENT(
    put_plan,
    "INSERT INTO dari.plan (site, id, journey, step, appointment, version, patient, class, "
    "channel, template, test, cause, planned_at, due_at, state, reason, done_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'sms', $9, $10, $11, $12, $13, "
    "CASE WHEN $14::text IS NULL THEN 'planned' ELSE 'suppressed' END, $14::text, "
    "CASE WHEN $14::text IS NULL THEN NULL ELSE $12::timestamptz END) "
    "ON CONFLICT DO NOTHING RETURNING id");

/* A call that may have reached the gateway cannot be taken back: such a plan did not end
 * "cancelled". */
#define END_PLANS                                                                                  \
    "UPDATE dari.plan SET state = CASE WHEN uncertain THEN 'failed' ELSE 'cancelled' END, "        \
    "reason = CASE WHEN uncertain THEN 'unknown' ELSE $3 END, done_at = $4, next_try_at = NULL "   \
    "WHERE site = $1 AND state IN ('planned', 'handing') "
#define END_COLUMNS                                                                                \
    "RETURNING id, patient, test, state, reason, journey, step, appointment, version, due_at"
DB_STATEMENT(end_appointment, "WITH e AS (" END_PLANS "AND appointment = $2 " END_COLUMNS
                              ") SELECT * FROM e ORDER BY id");
DB_STATEMENT(end_patient, "WITH e AS (" END_PLANS "AND patient = $2 " END_COLUMNS
                          ") SELECT * FROM e ORDER BY id");

/* Two charts of one person may both hold an appointment at the same time: one reminder is enough.
 */
DB_STATEMENT(same_time,
             "SELECT 1 FROM dari.contact_appointment o "
             "JOIN dari.contact_appointment a ON a.site = o.site AND a.start = o.start "
             "WHERE o.site = $1 AND o.appointment = $2 AND a.appointment <> o.appointment "
             "AND a.patient = $3 AND a.status = 'booked' LIMIT 1");
DB_STATEMENT(take_over, "UPDATE dari.contact_appointment SET patient = $3, seq = $4, "
                        "version = version + CASE WHEN status = 'booked' THEN 1 ELSE 0 END "
                        "WHERE site = $1 AND patient = $2");

static struct outgoing_plan ended_by(const struct applying *x, struct str id, struct str patient,
                                     bool test)
{
    return (struct outgoing_plan){.id = id,
                                  .patient = patient,
                                  .cause = str_of(x->event->id),
                                  .test = test,
                                  .at = x->event->recorded_at};
}

/* ---- ending ---- */

static enum err_code report_ended(struct applying *x, const struct db_rows *rows, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        struct outgoing_plan p =
            ended_by(x, db_str(rows, i, 0), db_str(rows, i, 1), db_bool(rows, i, 2));
        code = out_ended(x->m, x->a, x->out, &p, db_str(rows, i, 3), db_str(rows, i, 4), e);
    }
    return code;
}

static enum err_code end_plans(struct applying *x, const struct db_statement *st, struct str of,
                               enum message_reason reason, struct db_rows **rows, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, of);
    arg_z(&q, reason_plan(reason));
    arg_time(&q, x->event->recorded_at);
    enum err_code code = db_run(x->db, x->a, st, &q, rows, e);
    return code == ERR_NONE ? report_ended(x, *rows, e) : code;
}

enum err_code plan_end_patient(struct applying *x, struct str patient, enum message_reason reason,
                               struct err *e)
{
    struct db_rows *rows;
    return end_plans(x, &end_patient, patient, reason, &rows, e);
}

/* ---- making ---- */

struct making {
    const struct journey *journey;
    const struct journey_step *step;
    struct str appointment, patient;
    int64_t version;
    usec due;
    enum message_reason born;
    bool test;
};

static enum err_code make_plan(struct applying *x, const struct making *k, struct err *e)
{
    char id[KEY_TEXT];
    const char *key = arena_printf(x->a, "%s/%s/%.*s/%" PRId64, k->journey->id, k->step->id,
                                   STR_ARG(k->appointment), k->version);
    if (!key) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    key_opaque(x->m->s.keys, "plan", str_of(x->m->s.site), str_of(key), id);
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, x->m->s.site);
    arg_z(&q, id);
    arg_z(&q, k->journey->id);
    arg_z(&q, k->step->id);
    arg_str(&q, k->appointment);
    arg_i64(&q, k->version);
    arg_str(&q, k->patient);
    arg_z(&q, message_class_name(k->journey->class));
    arg_z(&q, k->step->template->id);
    arg_bool(&q, k->test);
    arg_z(&q, x->event->id);
    arg_time(&q, x->event->recorded_at);
    arg_time(&q, k->due);
    arg_z(&q, k->born == REASON_NONE ? NULL : reason_plan(k->born));
    enum err_code code = db_run(x->db, x->a, &put_plan, &q, &rows, e);
    if (code != ERR_NONE || db_count(rows) == 0) {
        return code;
    }
    struct outgoing_plan p = ended_by(x, db_str(rows, 0, 0), k->patient, k->test);
    code = out_requested(x->m, x->a, x->out, &p, k->journey, k->step, k->due, e);
    if (code == ERR_NONE && k->born != REASON_NONE) {
        code = out_suppressed(x->m, x->a, x->out, &p, reason_plan(k->born), e);
    }
    return code;
}

static enum err_code make_plans(struct applying *x, enum journey_entry entry,
                                struct str appointment, int64_t version,
                                const struct schedule_input *in, struct err *e)
{
    enum err_code code = ERR_NONE;
    const struct journeys *all = x->m->s.journeys;
    for (size_t i = 0; i < all->count; i++) {
        const struct journey *j = &all->items[i];
        for (size_t s = 0; code == ERR_NONE && (j->entries & entry) && s < j->step_count; s++) {
            struct making k = {.journey = j,
                               .step = &j->steps[s],
                               .appointment = appointment,
                               .patient = x->patient,
                               .version = version,
                               .test = x->event->test};
            if (schedule_step(j, k.step, in, &k.due, &k.born)) {
                k.born = k.test ? REASON_TEST : k.born;
                code = make_plan(x, &k, e);
            }
        }
    }
    return code;
}

/* ---- appointments ---- */

struct booking {
    struct str appointment;
    struct schedule_input in;
};

static enum err_code read_booking(const struct applying *x, struct booking *b, struct err *e)
{
    const json_t *d = x->event->data;
    *b = (struct booking){.appointment = str_of(data_str(d, "appointment_key"))};
    b->in.happened = b->in.booked = x->event->time;
    b->in.recorded = x->event->recorded_at;
    if (b->appointment.n == 0) {
        return ERR(e, ERR_REQUIRED, 0, "an appointment without appointment_key");
    }
    if (!data_instant(d, "new_start", &b->in.start) && !data_instant(d, "start", &b->in.start)) {
        return ERR(e, ERR_REQUIRED, 0, "an appointment without start");
    }
    data_instant(d, "booked_at", &b->in.booked);
    return ERR_NONE;
}

static enum err_code save_booking(struct applying *x, const struct booking *b, int64_t version,
                                  struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, b->appointment);
    arg_str(&q, x->patient);
    arg_time(&q, b->in.start);
    arg_i64(&q, version);
    arg_time(&q, b->in.booked);
    arg_bool(&q, x->event->test);
    arg_i64(&q, x->seq);
    return db_run(x->db, x->a, &put_appointment, &q, NULL, e);
}

/*
 * Booked or rescheduled. What decides is whether something changed for the person who comes, not
 * which of the two events the EMR chose: the same start again is no second confirmation.
 */
enum err_code plan_appointment(struct applying *x, struct err *e)
{
    struct booking b;
    struct db_rows *rows, *ended;
    enum journey_entry entry =
        strcmp(x->event->type, "appointment.booked") == 0 ? ENTRY_BOOKED : ENTRY_RESCHEDULED;
    int64_t version = 1;
    enum err_code code = read_booking(x, &b, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, b.appointment);
    code = db_run(x->db, x->a, &get_appointment, &q, &rows, e);
    if (code == ERR_NONE && db_count(rows)) {
        if (str_eq(db_str(rows, 0, 0), x->patient) && db_time(rows, 0, 1) == b.in.start &&
            str_is(db_str(rows, 0, 2), "booked")) {
            return ERR_NONE;
        }
        version = db_i64(rows, 0, 3) + 1;
        entry = ENTRY_RESCHEDULED;
        code = end_plans(x, &end_appointment, b.appointment, REASON_MOVED, &ended, e);
    }
    if (code == ERR_NONE) {
        code = save_booking(x, &b, version, e);
    }
    return code == ERR_NONE ? make_plans(x, entry, b.appointment, version, &b.in, e) : code;
}

enum err_code plan_status(struct applying *x, struct err *e)
{
    static const struct {
        const char *type, *status;
        enum message_reason reason;
    } ends[] = {{"appointment.cancelled", "cancelled", REASON_CANCELLED},
                {"appointment.no_show", "no_show", REASON_NO_SHOW},
                {"visit.arrived", "arrived", REASON_ARRIVED},
                {"visit.completed", "completed", REASON_COMPLETED}};
    struct str appointment = str_of(data_str(x->event->data, "appointment_key"));
    struct db_rows *rows;
    size_t i = 0;
    while (strcmp(ends[i].type, x->event->type) != 0) {
        i++;
    }
    if (appointment.n == 0) {
        return ERR_NONE; /* a visit that was not booked */
    }
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, appointment);
    arg_z(&q, ends[i].status);
    arg_i64(&q, x->seq);
    enum err_code code = db_run(x->db, x->a, &set_status, &q, NULL, e);
    return code == ERR_NONE ? end_plans(x, &end_appointment, appointment, ends[i].reason, &rows, e)
                            : code;
}

/* ---- merging ---- */

static enum err_code replan(struct applying *x, const struct db_rows *rows, int i,
                            struct str surviving, struct err *e)
{
    struct making k = {.appointment = db_str(rows, i, 7),
                       .patient = surviving,
                       .version = db_i64(rows, i, 8) + 1,
                       .due = db_time(rows, i, 9),
                       .test = db_bool(rows, i, 2)};
    struct db_rows *same;
    k.journey = journey_find(x->m->s.journeys, db_z(rows, i, 5));
    k.step = k.journey ? journey_step_find(k.journey, db_z(rows, i, 6)) : NULL;
    if (!k.step || !str_is(db_str(rows, i, 3), "cancelled")) {
        return ERR_NONE;
    }
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, k.appointment);
    arg_str(&q, surviving);
    enum err_code code = db_run(x->db, x->a, &same_time, &q, &same, e);
    return code == ERR_NONE && db_count(same) == 0 ? make_plan(x, &k, e) : code;
}

enum err_code plan_merge(struct applying *x, struct str retired, struct str surviving,
                         struct err *e)
{
    struct db_rows *rows;
    enum err_code code = end_plans(x, &end_patient, retired, REASON_MERGED, &rows, e);
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        code = replan(x, rows, i, surviving, e);
    }
    struct db_args q = {0};
    arg_z(&q, x->m->s.site);
    arg_str(&q, retired);
    arg_str(&q, surviving);
    arg_i64(&q, x->seq);
    return code == ERR_NONE ? db_run(x->db, x->a, &take_over, &q, NULL, e) : code;
}
