#include "core/messaging/messaging.h"

#include "core/base/log.h"
#include "core/messaging/fail.h"
#include "core/messaging/messaging_internal.h"
#include "core/messaging/outbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

DB_STATEMENT(alone, "SELECT pg_try_advisory_lock(hashtextextended('dari.messaging/' || $1, 0))");
DB_STATEMENT(make_position, "INSERT INTO dari.position (site, role) VALUES ($1, 'messaging') "
                            "ON CONFLICT DO NOTHING");
DB_STATEMENT(get_position, "SELECT seq FROM dari.position WHERE site = $1 AND role = 'messaging' "
                           "FOR UPDATE");
DB_STATEMENT(set_position,
             "UPDATE dari.position SET seq = $2 WHERE site = $1 AND role = 'messaging'");

static enum err_code find_types(struct messaging *m, struct err *e)
{
    const struct {
        const char *name;
        const struct event_type **type;
    } types[] = {{"message.requested", &m->requested},
                 {"message.status_changed", &m->status_changed},
                 {"message.suppressed", &m->suppressed}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        *types[i].type = catalogue_find(m->s.catalogue, str_of(types[i].name));
        if (!*types[i].type) {
            return ERR(e, ERR_CONFIG, 0, "the catalogue has no %s", types[i].name);
        }
    }
    return ERR_NONE;
}

/* 8 to 11 digits, hyphens allowed: what a registered sender number is. */
static bool sender_number(const char *z)
{
    size_t digits = 0;
    for (const char *p = z ? z : ""; *p; p++) {
        if (*p >= '0' && *p <= '9') {
            digits++;
        } else if (*p != '-') {
            return false;
        }
    }
    return digits >= 8 && digits <= 11;
}

enum err_code messaging_new(const struct messaging_settings *s, struct messaging **out,
                            struct err *e)
{
    *out = NULL;
    if (!sender_number(s->sender)) {
        return ERR(e, ERR_REQUIRED, 0,
                   "the site has no registered sender number of 8 to 11 digits");
    }
    struct messaging *m = calloc(1, sizeof *m);
    if (!m) {
        return ERR(e, ERR_NOMEM, 0, "no memory for messaging");
    }
    m->s = *s;
    m->arena = arena_new(0);
    enum err_code code = m->arena ? find_types(m, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        code = outbox_open(s->outbox, e);
    }
    if (code == ERR_NONE && s->url) {
        code = gateway_open(s->url, s->timeout_ms, &m->gateway, e);
    }
    if (code != ERR_NONE) {
        messaging_free(&m);
    }
    *out = m;
    return code;
}

void messaging_free(struct messaging **m)
{
    if (*m) {
        messaging_drop(*m);
        gateway_free(&(*m)->gateway);
        arena_free(&(*m)->arena);
        free(*m);
        *m = NULL;
    }
}

/* ---- position ---- */

static enum err_code read_position(struct messaging *m, struct db *db, struct err *e)
{
    struct db_rows *rows;
    struct db_args q = {0};
    arg_z(&q, m->s.site);
    enum err_code code = db_run(db, m->arena, &get_position, &q, &rows, e);
    if (code == ERR_NONE && db_count(rows) == 0) {
        return ERR(e, ERR_BUG, 0, "no position row");
    }
    if (code == ERR_NONE) {
        m->position = db_i64(rows, 0, 0);
    }
    return code;
}

static enum err_code save_position(struct messaging *m, struct db *db, int64_t seq, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, m->s.site);
    arg_i64(&q, seq);
    return db_run(db, m->arena, &set_position, &q, NULL, e);
}

enum err_code messaging_attach(struct messaging *m, struct db *db, int64_t *position, struct err *e)
{
    struct db_rows *rows;
    struct db_args q = {0};
    arg_z(&q, m->s.site);
    arena_reset(m->arena);
    messaging_drop(m);
    enum err_code code = db_run(db, m->arena, &alone, &q, &rows, e);
    if (code == ERR_NONE && !db_bool(rows, 0, 0)) {
        return ERR(e, ERR_EXISTS, 0, "another messaging role works for this site");
    }
    if (code == ERR_NONE) {
        code = db_run(db, m->arena, &make_position, &q, NULL, e);
    }
    if (code == ERR_NONE) {
        code = read_position(m, db, e);
    }
    if (code == ERR_NONE) {
        code = handover_recover(m, db, e);
    }
    *position = m->position;
    return code;
}

/* ---- applying ---- */

enum err_code messaging_take(struct messaging *m, int64_t seq, struct str json, struct err *e)
{
    if (seq <= m->position) {
        return ERR_NONE;
    }
    if (m->taken_count == MESSAGING_BATCH) {
        return ERR(e, ERR_FULL, 0, "apply first");
    }
    struct received_event *r = &m->taken[m->taken_count];
    enum err_code code = received_parse(json, r, e);
    if (code == ERR_NONE) {
        r->seq = seq;
        m->taken_count++;
    }
    return code;
}

size_t messaging_taken(const struct messaging *m)
{
    return m->taken_count;
}

void messaging_drop(struct messaging *m)
{
    for (size_t i = 0; i < m->taken_count; i++) {
        received_release(&m->taken[i]);
    }
    m->taken_count = 0;
}

static const struct {
    const char *type;
    enum err_code (*apply)(struct applying *x, struct err *e);
} appliers[] = {
    {"patient.registered", contact_registered},
    {"patient.updated", contact_updated},
    {"patient.merged", contact_merged},
    {"patient.deceased", contact_deceased},
    {"consent.changed", contact_consent},
    {"appointment.booked", plan_appointment},
    {"appointment.rescheduled", plan_appointment},
    {"appointment.cancelled", plan_status},
    {"appointment.no_show", plan_status},
    {"visit.arrived", plan_status},
    {"visit.completed", plan_status},
};

/* An event that makes no sense to us is said and passed over: it would make none the next time. */
static enum err_code apply_one(struct applying *x, struct err *e)
{
    struct err own = {0};
    size_t i = 0, n = sizeof appliers / sizeof appliers[0];
    while (i < n && strcmp(appliers[i].type, x->event->type) != 0) {
        i++;
    }
    if (i == n || !x->event->subject[0]) {
        return ERR_NONE;
    }
    enum err_code code =
        contact_resolve(x->db, x->a, x->m->s.site, str_of(x->event->subject), &x->patient, &own);
    if (code == ERR_NONE) {
        code = appliers[i].apply(x, &own);
    }
    if (code != ERR_NONE && err_class(code) == ERR_CLASS_DATA) {
        log_warn("messaging.passed-over", "seq=%" PRId64 " event=%s type=%s error=\"%s\"", x->seq,
                 x->event->id, x->event->type, own.msg);
        return ERR_NONE;
    }
    if (code != ERR_NONE && e) {
        *e = own;
    }
    return code;
}

static enum err_code apply_all(struct messaging *m, struct db *db, struct outgoing *out,
                               struct err *e)
{
    /* The row is locked until the commit: two of us could not both move it. */
    enum err_code code = read_position(m, db, e);
    int64_t last = m->position;
    for (size_t i = 0; code == ERR_NONE && i < m->taken_count; i++) {
        struct applying x = {.m = m,
                             .db = db,
                             .a = m->arena,
                             .out = out,
                             .event = &m->taken[i],
                             .seq = m->taken[i].seq};
        if (x.seq > last) {
            code = apply_one(&x, e);
            last = x.seq;
        }
    }
    if (code == ERR_NONE) {
        code = save_position(m, db, last, e);
    }
    if (code == ERR_NONE) {
        code = out_append(m, db, m->arena, out, "derived", e);
    }
    fail_point("messaging.before-apply");
    if (code == ERR_NONE) {
        code = db_commit(db, e);
    }
    if (code == ERR_NONE) {
        m->position = last;
    }
    return code;
}

enum err_code messaging_apply(struct messaging *m, struct db *db, int64_t *position, struct err *e)
{
    struct outgoing out = {0};
    arena_reset(m->arena);
    enum err_code code = db_begin(db, e);
    if (code == ERR_NONE) {
        code = apply_all(m, db, &out, e);
    }
    if (code == ERR_NONE) {
        fail_point("messaging.after-apply");
        out_unstage_all(m, &out);
    } else {
        db_rollback(db);
    }
    messaging_drop(m);
    *position = m->position;
    return code;
}
