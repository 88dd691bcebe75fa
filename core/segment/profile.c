#include "core/segment/profile.h"

#include "core/base/log.h"

#include <inttypes.h>
#include <string.h>

/* What all fact statements may use; the WITH clause names it, so that each takes what it needs. */
#define FACT                                                                                       \
    "WITH q AS (SELECT $1::text AS site, $2::text AS patient, $3::bigint AS seq, $4::text AS "     \
    "key, "                                                                                        \
    "$5::timestamptz AS at, $6::date AS day, $7::text AS status, $8::text AS dept, "               \
    "$9::text AS provider, $10::text AS kind, $11::bigint AS n, $12::text AS other) "

/* A key that now belongs to somebody else: the former patient is returned, to be looked at too. */
DB_STATEMENT(put_appointment, FACT
             ", old AS (SELECT a.patient FROM dari.profile_appointment a, q "
             "WHERE a.site = q.site AND a.appointment = q.key AND a.patient <> q.patient), "
             "up AS (INSERT INTO dari.profile_appointment AS a (site, appointment, patient, "
             "start_at, start_on, status, version, dept, provider, kind, last_seq) "
             "SELECT q.site, q.key, q.patient, q.at, q.day, q.status, coalesce(q.n, 1), q.dept, "
             "q.provider, q.kind, q.seq FROM q "
             "ON CONFLICT (site, appointment) DO UPDATE SET patient = excluded.patient, "
             "start_at = coalesce(excluded.start_at, a.start_at), "
             "start_on = coalesce(excluded.start_on, a.start_on), status = excluded.status, "
             "version = greatest(a.version, excluded.version), "
             "dept = coalesce(excluded.dept, a.dept), "
             "provider = coalesce(excluded.provider, a.provider), "
             "kind = coalesce(excluded.kind, a.kind), last_seq = excluded.last_seq) "
             "SELECT patient FROM old");

/* A confirmation never revives what was cancelled or missed. */
DB_STATEMENT(confirm_appointment,
             FACT ", up AS (INSERT INTO dari.profile_appointment AS a (site, appointment, patient, "
                  "status, last_seq) SELECT q.site, q.key, q.patient, 'confirmed', q.seq FROM q "
                  "ON CONFLICT (site, appointment) DO UPDATE SET status = 'confirmed', "
                  "last_seq = excluded.last_seq WHERE a.status = 'booked') "
                  "SELECT NULL::text WHERE false");

/* The visit, and what it means for the appointment it came from. */
DB_STATEMENT(put_visit, FACT
             ", old AS (SELECT v.patient, v.appointment FROM dari.profile_visit v, q "
             "WHERE v.site = q.site AND v.visit = q.key), "
             "up AS (INSERT INTO dari.profile_visit AS v (site, visit, patient, visited_on, "
             "arrived_at, started_at, completed_at, voided, stay, dept, provider, kind, "
             "appointment, last_seq) SELECT q.site, q.key, q.patient, q.day, "
             "CASE WHEN q.status IN ('arrived', 'admitted') THEN q.at END, "
             "CASE WHEN q.status = 'started' THEN q.at END, "
             "CASE WHEN q.status IN ('completed', 'discharged') THEN q.at END, "
             "q.status = 'voided', q.status IN ('admitted', 'discharged'), q.dept, q.provider, "
             "q.kind, q.other, q.seq FROM q "
             "ON CONFLICT (site, visit) DO UPDATE SET patient = excluded.patient, "
             "visited_on = CASE WHEN excluded.arrived_at IS NOT NULL THEN excluded.visited_on "
             "WHEN v.arrived_at IS NOT NULL THEN v.visited_on "
             "ELSE least(v.visited_on, excluded.visited_on) END, "
             "arrived_at = coalesce(excluded.arrived_at, v.arrived_at), "
             "started_at = coalesce(excluded.started_at, v.started_at), "
             "completed_at = coalesce(excluded.completed_at, v.completed_at), "
             "voided = excluded.voided, stay = v.stay OR excluded.stay, "
             "dept = coalesce(excluded.dept, v.dept), "
             "provider = coalesce(excluded.provider, v.provider), "
             "kind = coalesce(excluded.kind, v.kind), "
             "appointment = coalesce(excluded.appointment, v.appointment), "
             "last_seq = excluded.last_seq), "
             "ap AS (UPDATE dari.profile_appointment a SET status = CASE "
             "WHEN q.status = 'voided' THEN 'booked' "
             "WHEN q.status IN ('completed', 'discharged') THEN 'completed' ELSE 'arrived' END, "
             "last_seq = q.seq FROM q WHERE a.site = q.site AND a.appointment = "
             "coalesce(q.other, (SELECT old.appointment FROM old)) "
             "AND (q.status <> 'voided' OR a.status IN ('arrived', 'completed'))) "
             "SELECT old.patient FROM old, q WHERE old.patient <> q.patient");

DB_STATEMENT(put_payment, FACT
             ", up AS (INSERT INTO dari.profile_payment (site, event, patient, visit, paid_on, "
             "paid_krw) SELECT q.site, q.key, q.patient, q.other, q.day, coalesce(q.n, 0) FROM q "
             "ON CONFLICT DO NOTHING) SELECT NULL::text WHERE false");

/* The day is class P2 and not kept. */
DB_STATEMENT(put_death,
             FACT ", up AS (UPDATE dari.profile p SET deceased = true FROM q "
                  "WHERE p.site = q.site AND p.patient = q.patient) SELECT NULL::text WHERE false");

/* Makes the row when it is missing; a retired patient stands for the survivor. */
DB_STATEMENT(touch, "WITH i AS (INSERT INTO dari.profile (site, patient) VALUES ($1, $2) "
                    "ON CONFLICT DO NOTHING) "
                    "SELECT merged_into FROM dari.profile WHERE site = $1 AND patient = $2");

DB_STATEMENT(set_privacy,
             "UPDATE dari.profile SET privacy_flag = $3 WHERE site = $1 AND patient = $2");

/* Facts of $2 move to $3, paths to $2 are shortened, the strictest flags win. */
DB_STATEMENT(
    merge,
    "WITH a AS (UPDATE dari.profile_appointment SET patient = $3 WHERE site = $1 AND patient = "
    "$2), "
    "v AS (UPDATE dari.profile_visit SET patient = $3 WHERE site = $1 AND patient = $2), "
    "y AS (UPDATE dari.profile_payment SET patient = $3 WHERE site = $1 AND patient = $2), "
    "r AS (UPDATE dari.profile SET merged_into = $3 WHERE site = $1 "
    "AND (patient = $2 OR merged_into = $2) AND patient <> $3) "
    "UPDATE dari.profile s SET merged_into = NULL, deceased = s.deceased OR o.deceased, "
    "privacy_flag = s.privacy_flag OR o.privacy_flag "
    "FROM dari.profile o WHERE o.site = $1 AND o.patient = $2 AND s.site = $1 AND s.patient = $3");

DB_STATEMENT(
    refresh,
    "UPDATE dari.profile p SET first_visit_on = a.first, last_visit_on = a.last, "
    "last_visit_at = a.last_at, visit_count = a.n, visit_interval_median_days = g.median, "
    "primary_dept = d.dept, primary_provider = r.provider FROM unnest($2::text[]) AS u(patient) "
    "CROSS JOIN LATERAL (SELECT min(v.visited_on) AS first, max(v.visited_on) AS last, "
    "max(coalesce(v.arrived_at, v.started_at, v.completed_at)) AS last_at, count(*)::int AS n "
    "FROM dari.profile_visit v WHERE v.site = $1 AND v.patient = u.patient AND NOT v.voided) a "
    "CROSS JOIN LATERAL (SELECT floor(percentile_cont(0.5) WITHIN GROUP (ORDER BY x.gap) + "
    "0.5)::int "
    "AS median FROM (SELECT w.day - lag(w.day) OVER (ORDER BY w.day) AS gap FROM "
    "(SELECT DISTINCT v.visited_on AS day FROM dari.profile_visit v WHERE v.site = $1 "
    "AND v.patient = u.patient AND NOT v.voided) w) x WHERE x.gap IS NOT NULL) g "
    "LEFT JOIN LATERAL (SELECT v.dept FROM dari.profile_visit v WHERE v.site = $1 "
    "AND v.patient = u.patient AND NOT v.voided AND v.dept IS NOT NULL GROUP BY v.dept "
    "ORDER BY count(*) DESC, max(v.visited_on) DESC, v.dept LIMIT 1) d ON true "
    "LEFT JOIN LATERAL (SELECT v.provider FROM dari.profile_visit v WHERE v.site = $1 "
    "AND v.patient = u.patient AND NOT v.voided AND v.provider IS NOT NULL GROUP BY v.provider "
    "ORDER BY count(*) DESC, max(v.visited_on) DESC, v.provider LIMIT 1) r ON true "
    "WHERE p.site = $1 AND p.patient = u.patient");

enum instant_of { AT_NONE, AT_START, AT_HAPPENED };
enum effect { PATIENT, FACTS, VISIT, MERGE };

/* One row per event type: which statement, which field is the key, which the instant. */
static const struct kind_row {
    const char *type;
    enum effect effect;
    const struct db_statement *statement;
    const char *key; /* NULL: the event's own id */
    const char *status;
    enum instant_of at;
} kinds[] = {
    {"appointment.booked", FACTS, &put_appointment, "appointment_key", "booked", AT_START},
    {"appointment.rescheduled", FACTS, &put_appointment, "appointment_key", "booked", AT_START},
    {"appointment.cancelled", FACTS, &put_appointment, "appointment_key", "cancelled", AT_START},
    {"appointment.no_show", FACTS, &put_appointment, "appointment_key", "no_show", AT_START},
    {"appointment.confirmed", FACTS, &confirm_appointment, "appointment_key", "confirmed", AT_NONE},
    {"visit.arrived", VISIT, &put_visit, "visit_key", "arrived", AT_HAPPENED},
    {"visit.started", VISIT, &put_visit, "visit_key", "started", AT_HAPPENED},
    {"visit.completed", VISIT, &put_visit, "visit_key", "completed", AT_HAPPENED},
    {"visit.voided", VISIT, &put_visit, "visit_key", "voided", AT_NONE},
    {"stay.admitted", VISIT, &put_visit, "visit_key", "admitted", AT_HAPPENED},
    {"stay.discharged", VISIT, &put_visit, "visit_key", "discharged", AT_HAPPENED},
    {"payment.recorded", FACTS, &put_payment, NULL, "paid", AT_HAPPENED},
    {"patient.deceased", FACTS, &put_death, NULL, "deceased", AT_NONE},
    {"patient.registered", PATIENT, NULL, NULL, NULL, AT_NONE},
    {"patient.updated", PATIENT, NULL, NULL, NULL, AT_NONE},
    {"patient.merged", MERGE, NULL, NULL, NULL, AT_NONE},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const char *profile_type(size_t i)
{
    return i < KINDS ? kinds[i].type : NULL;
}

static const struct kind_row *kind_of(const char *type)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].type, type) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

bool profile_knows(const char *type)
{
    return kind_of(type) != NULL;
}

static void incomplete(const struct received_event *ev, const char *field)
{
    log_warn("segment.event_incomplete", "seq=%" PRId64 " type=%s field=%s", ev->seq, ev->type,
             field);
}

/* The patient that stands for `key`. */
static enum err_code resolve(const struct profile_scope *s, const char *key, const char **out,
                             struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, s->site);
    arg_z(&q, key);
    enum err_code code = db_run(s->db, s->a, &touch, &q, &rows, e);
    if (code == ERR_NONE) {
        bool merged = db_count(rows) == 1 && !db_null(rows, 0, 0);
        *out = merged ? db_z(rows, 0, 0) : key;
    }
    return code;
}

static void add(struct profile_change *out, const char *patient)
{
    for (size_t i = 0; i < out->count; i++) {
        if (strcmp(out->patients[i], patient) == 0) {
            return;
        }
    }
    if (out->count < PROFILE_TOUCHED) {
        out->patients[out->count++] = patient;
    }
}

static enum err_code refresh_visits(const struct profile_scope *s, const struct profile_change *c,
                                    struct err *e)
{
    struct db_array *patients = db_array_new(s->a);
    if (!patients) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a profile");
    }
    for (size_t i = 0; i < c->count; i++) {
        db_array_z(patients, c->patients[i]);
    }
    struct db_args q = {0};
    arg_z(&q, s->site);
    arg_array(&q, patients);
    return db_run(s->db, s->a, &refresh, &q, NULL, e);
}

/* at and its local day, for $5 and $6. */
static void arg_instant(struct db_args *q, const struct kind_row *k,
                        const struct received_event *ev)
{
    usec at = ev->time;
    bool has = false;
    switch (k->at) {
    case AT_NONE:
        break;
    case AT_START:
        has = data_instant(ev->data, "new_start", &at) || data_instant(ev->data, "start", &at);
        break;
    case AT_HAPPENED:
        data_instant(ev->data, "at", &at);
        has = true;
        break;
    }
    has ? arg_time(q, at) : arg_null(q);
    has ? arg_day(q, zone_day(at)) : arg_null(q);
}

/* paid_krw less refunds, or the appointment's version. */
static void arg_number(struct db_args *q, const struct received_event *ev)
{
    int64_t n;
    if (data_int(ev->data, "paid_krw", &n)) {
        bool refund = data_bool(ev->data, "refund", false);
        arg_i64(q, refund && n > 0 ? -n : n);
    } else if (data_int(ev->data, "version", &n)) {
        arg_i64(q, n < 1 ? 1 : n > INT32_MAX ? INT32_MAX : n);
    } else {
        arg_null(q);
    }
}

static enum err_code put_fact(const struct profile_scope *s, const struct kind_row *k,
                              const struct received_event *ev, struct profile_change *out,
                              struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    const char *key = k->key ? data_str(ev->data, k->key) : ev->id;
    if (!key || !key[0]) {
        incomplete(ev, k->key);
        return ERR_NONE;
    }
    arg_z(&q, s->site);
    arg_z(&q, out->patients[0]);
    arg_i64(&q, ev->seq);
    arg_z(&q, key);
    arg_instant(&q, k, ev);
    arg_z(&q, k->status);
    arg_z(&q, data_str(ev->data, "dept"));
    arg_z(&q, data_str(ev->data, "provider"));
    arg_z(&q, data_str(ev->data, "kind"));
    arg_number(&q, ev);
    /* A visit names its appointment, a payment its visit. */
    arg_z(&q, data_str(ev->data, k->effect == VISIT ? "appointment_key" : "visit_key"));
    enum err_code code = db_run(s->db, s->a, k->statement, &q, &rows, e);
    if (code == ERR_NONE && db_count(rows) > 0) {
        add(out, db_z(rows, 0, 0));
    }
    return code;
}

static enum err_code merge_patients(const struct profile_scope *s, const struct received_event *ev,
                                    struct profile_change *out, struct err *e)
{
    const char *surviving = data_str(ev->data, "surviving_key");
    const char *retired = data_str(ev->data, "retired_key");
    if (!surviving || !surviving[0] || !retired || !retired[0]) {
        incomplete(ev, !surviving || !surviving[0] ? "surviving_key" : "retired_key");
        return ERR_NONE;
    }
    const char *to, *from;
    enum err_code code = resolve(s, surviving, &to, e);
    if (code == ERR_NONE) {
        code = resolve(s, retired, &from, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    /* The source turned an earlier merge round: the one it calls surviving is revived. */
    if (strcmp(to, from) == 0) {
        to = surviving;
    }
    add(out, to);
    if (strcmp(to, from) == 0) {
        return ERR_NONE;
    }
    add(out, from);
    struct db_args q = {0};
    arg_z(&q, s->site);
    arg_z(&q, from);
    arg_z(&q, to);
    code = db_run(s->db, s->a, &merge, &q, NULL, e);
    return code == ERR_NONE ? refresh_visits(s, out, e) : code;
}

/* Of what patient.updated says, only the privacy flag is an attribute here. */
static const char *new_privacy(const struct received_event *ev)
{
    const json_t *changed = data_list(ev->data, "changed");
    for (size_t i = 0; changed && i < json_array_size(changed); i++) {
        const json_t *item = json_array_get(changed, i);
        const char *field = data_str(item, "field"), *value = data_str(item, "new");
        if (field && strcmp(field, "privacy_flag") == 0) {
            return value ? value : "";
        }
    }
    return NULL;
}

static enum err_code put_patient(const struct profile_scope *s, const struct received_event *ev,
                                 struct profile_change *out, struct err *e)
{
    const char *flag = new_privacy(ev);
    if (!flag) {
        return ERR_NONE;
    }
    struct db_args q = {0};
    arg_z(&q, s->site);
    arg_z(&q, out->patients[0]);
    arg_bool(&q, flag[0] && strcmp(flag, "false") != 0);
    return db_run(s->db, s->a, &set_privacy, &q, NULL, e);
}

enum err_code profile_apply(const struct profile_scope *s, const struct received_event *ev,
                            struct profile_change *out, struct err *e)
{
    const struct kind_row *k = kind_of(ev->type);
    *out = (struct profile_change){.known = k != NULL};
    if (!k) {
        return ERR_NONE;
    }
    out->appointments = strncmp(ev->type, "appointment.", 12) == 0;
    if (k->effect == MERGE) {
        return merge_patients(s, ev, out, e);
    }
    if (!ev->subject[0]) {
        incomplete(ev, "subject");
        return ERR_NONE;
    }
    const char *patient;
    enum err_code code = resolve(s, ev->subject, &patient, e);
    if (code != ERR_NONE) {
        return code;
    }
    add(out, patient);
    switch (k->effect) {
    case PATIENT:
        return put_patient(s, ev, out, e);
    case FACTS:
        return put_fact(s, k, ev, out, e);
    case VISIT:
        code = put_fact(s, k, ev, out, e);
        return code == ERR_NONE ? refresh_visits(s, out, e) : code;
    case MERGE:
        break;
    }
    return ERR_NONE;
}
