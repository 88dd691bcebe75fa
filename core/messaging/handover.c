/*
 * The hand-over. README.md has the argument; here are the steps.
 *
 *   tx1   due plans: decide, make the text, write and fsync it in .staging, plan → handing; commit
 *   tx2   lock the stream's head, see that no event is waiting that could forbid it, decide again;
 *         channel file: plan → sent with its event, rename into the outbox, commit
 *         channel http: note that a call begins, commit; call; tx3 records what came of it
 *
 * The lock makes tx2 and every commit of an event one after the other: an event that was committed
 * before is seen here, one that comes later comes after the rename.
 */
#include "core/base/log.h"
#include "core/messaging/fail.h"
#include "core/messaging/messaging_internal.h"
#include "core/messaging/outbox.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_JSON = 64 * 1024, MAX_BEHIND = 20000, POSTPONE_MS = 300 };

DB_STATEMENT(to_handing, "UPDATE dari.plan SET state = 'handing', via = $3, rendered_on = $4, "
                         "bytes = $5, next_try_at = $6 WHERE site = $1 AND id = $2");
DB_STATEMENT(lock_stream, "SELECT head FROM dari.stream WHERE site = $1 FOR UPDATE");
/* An event may still name a chart that was merged into the patient's. */
DB_STATEMENT(waiting, "SELECT DISTINCT coalesce(c.merged_into, e.subject), "
                      "e.type = 'patient.merged' FROM dari.event e "
                      "LEFT JOIN dari.contact c ON c.site = e.site AND c.patient = e.subject "
                      "WHERE e.site = $1 AND e.seq > $2 AND e.source <> 'role:messaging' "
                      "AND (coalesce(c.merged_into, e.subject) = ANY($3::text[]) "
                      "OR e.type = 'patient.merged')");
DB_STATEMENT(to_hold, "UPDATE dari.plan SET state = 'planned', due_at = $3, next_try_at = NULL "
                      "WHERE site = $1 AND id = $2");
DB_STATEMENT(to_calling, "UPDATE dari.plan SET attempts = attempts + 1, uncertain = true, "
                         "next_try_at = $3 WHERE site = $1 AND id = $2");
DB_STATEMENT(to_wait, "UPDATE dari.plan SET next_try_at = $3 "
                      "WHERE site = $1 AND id = $2 AND state = 'handing'");

DB_STATEMENT(to_sent, "UPDATE dari.plan SET state = 'sent', done_at = $3, next_try_at = NULL, "
                      "uncertain = false WHERE site = $1 AND id = $2");
DB_STATEMENT(to_end, "UPDATE dari.plan SET state = CASE WHEN uncertain THEN 'failed' ELSE $3 END, "
                     "reason = CASE WHEN uncertain THEN 'unknown' ELSE $4 END, done_at = $5, "
                     "next_try_at = NULL WHERE site = $1 AND id = $2 RETURNING state, reason");

void plan_args(const struct messaging *m, struct db_args *q, struct str id)
{
    *q = (struct db_args){0};
    arg_z(q, m->s.site);
    arg_str(q, id);
}

struct outgoing_plan outgoing_of(const struct facts *f, usec now)
{
    return (struct outgoing_plan){.id = f->id,
                                  .patient = f->patient,
                                  .cause = f->cause,
                                  .test = f->f.test,
                                  .at = now,
                                  .provider_code = f->provider_code};
}

enum err_code handover_end(struct round *r, const struct facts *f, const char *state,
                           enum message_reason reason, usec now, struct err *e)
{
    struct messaging *m = r->m;
    struct db_args q;
    struct db_rows *rows;
    plan_args(m, &q, f->id);
    arg_z(&q, state);
    arg_z(&q, reason_plan(reason));
    arg_time(&q, now);
    enum err_code code = db_run(r->db, m->arena, &to_end, &q, &rows, e);
    if (code != ERR_NONE || db_count(rows) == 0) {
        return code;
    }
    struct outgoing_plan p = outgoing_of(f, now);
    return out_ended(m, m->arena, &r->derived, &p, db_str(rows, 0, 0), db_str(rows, 0, 1), e);
}

enum err_code handover_sent(struct round *r, const struct facts *f, usec now, struct err *e)
{
    struct messaging *m = r->m;
    struct outgoing_plan p = outgoing_of(f, now);
    struct db_args q;
    plan_args(m, &q, f->id);
    arg_time(&q, now);
    enum err_code code = db_run(r->db, m->arena, &to_sent, &q, NULL, e);
    return code == ERR_NONE ? out_status(m, m->arena, &r->handed, &p, MESSAGE_ACCEPTED, e) : code;
}

enum err_code handover_append(struct round *r, struct err *e)
{
    enum err_code code = out_append(r->m, r->db, r->m->arena, &r->derived, "derived", e);
    return code == ERR_NONE ? out_append(r->m, r->db, r->m->arena, &r->handed, "handed", e) : code;
}

/* ---- tx1 ---- */

static enum err_code stage(struct round *r, const struct facts *f, struct item *item, usec now,
                           struct err *e)
{
    struct messaging *m = r->m;
    struct buf json;
    size_t bytes = 0;
    char id[KEY_TEXT];
    snprintf(id, sizeof id, "%.*s", STR_ARG(f->id));
    buf_init(&json, MAX_JSON);
    enum err_code code = message_make(m, m->arena, f, now, &json, &bytes, &item->refused, e);
    if (code == ERR_NONE && item->refused == REASON_NONE) {
        code = outbox_stage(m->s.outbox, id, buf_str(&json), e);
        fail_point("messaging.after-stage");
        item->staged = code == ERR_NONE;
    }
    buf_release(&json);
    if (!item->staged) {
        return code;
    }
    struct db_args q;
    plan_args(m, &q, f->id);
    arg_z(&q, m->gateway ? "http" : "file");
    arg_day(&q, zone_day(now));
    arg_i64(&q, (int64_t)bytes);
    arg_time(&q, clock_real());
    return db_run(r->db, m->arena, &to_handing, &q, NULL, e);
}

static enum err_code prepare(struct round *r, int limit, struct err *e)
{
    struct facts *f;
    size_t n;
    usec now = clock_now();
    enum err_code code = facts_due(r->m, r->db, now, clock_real(), limit, &f, &n, e);
    for (size_t i = 0; code == ERR_NONE && i < n; i++) {
        struct item *item = &r->items[r->count++];
        usec hold;
        enum message_reason reason;
        item->id = f[i].id;
        if (f[i].uncertain) {
            item->staged = true; /* what the gateway may already have stays, byte for byte */
        } else if (decide(&f[i].f, now, &hold, &reason) == VERDICT_SEND) {
            code = stage(r, &f[i], item, now, e);
        }
    }
    return code;
}

static enum err_code tx1(struct round *r, int limit, struct err *e)
{
    enum err_code code = db_begin(r->db, e);
    if (code == ERR_NONE) {
        code = prepare(r, limit, e);
    }
    if (code == ERR_NONE) {
        fail_point("messaging.before-handing");
        code = db_commit(r->db, e);
    }
    if (code != ERR_NONE) {
        db_rollback(r->db);
        return code;
    }
    fail_point("messaging.after-handing");
    return ERR_NONE;
}

/* ---- tx2 ---- */

struct waiting_events {
    const struct db_rows *rows;
    bool merge, far; /* a merge of whomever; too much to look through */
};

static enum err_code lock(struct round *r, int64_t *head, struct err *e)
{
    struct db_rows *rows;
    struct db_args q = {0};
    arg_z(&q, r->m->s.site);
    enum err_code code = db_run(r->db, r->m->arena, &lock_stream, &q, &rows, e);
    if (code == ERR_NONE && db_count(rows) == 0) {
        return ERR(e, ERR_DB, 0, "the database has no stream for this site");
    }
    if (code == ERR_NONE) {
        *head = db_i64(rows, 0, 0);
        fail_point("messaging.locked");
    }
    return code;
}

static enum err_code find_waiting(struct round *r, int64_t head, const struct facts *f, size_t n,
                                  struct waiting_events *out, struct err *e)
{
    struct messaging *m = r->m;
    struct db_rows *rows;
    struct db_args q = {0};
    *out = (struct waiting_events){.far = head - m->position > MAX_BEHIND};
    if (head == m->position || out->far) {
        return ERR_NONE;
    }
    struct db_array *subjects = db_array_new(m->arena);
    for (size_t i = 0; subjects && i < n; i++) {
        db_array_str(subjects, f[i].patient);
    }
    if (!subjects) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    arg_z(&q, m->s.site);
    arg_i64(&q, m->position);
    arg_array(&q, subjects);
    enum err_code code = db_run(r->db, m->arena, &waiting, &q, &rows, e);
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        out->merge |= db_bool(rows, i, 1);
    }
    out->rows = code == ERR_NONE ? rows : NULL;
    return code;
}

static bool waits(const struct waiting_events *w, struct str patient)
{
    if (w->merge || w->far) {
        return true;
    }
    for (int i = 0; w->rows && i < db_count(w->rows); i++) {
        if (str_eq(db_str(w->rows, i, 0), patient)) {
            return true;
        }
    }
    return false;
}

static enum err_code hold_until(struct round *r, const struct facts *f, usec until, struct err *e)
{
    struct db_args q;
    plan_args(r->m, &q, f->id);
    arg_time(&q, until);
    enum err_code code = db_run(r->db, r->m->arena, &to_hold, &q, NULL, e);
    return code == ERR_NONE ? out_unstage(r->m->arena, &r->derived, f->id, e) : code;
}

/* An event about this patient is in the stream that we have not read yet. */
static enum err_code postpone(struct round *r, const struct facts *f, struct err *e)
{
    struct db_args q;
    plan_args(r->m, &q, f->id);
    arg_time(&q, clock_real() + POSTPONE_MS * 1000);
    r->later++;
    return db_run(r->db, r->m->arena, &to_wait, &q, NULL, e);
}

static enum err_code begin_call(struct round *r, const struct facts *f, struct err *e)
{
    struct db_args q;
    plan_args(r->m, &q, f->id);
    arg_time(&q, clock_real());
    return db_run(r->db, r->m->arena, &to_calling, &q, NULL, e);
}

/* The word is given: from the commit of this transaction on it is handed over (http: may be). */
static enum err_code release(struct round *r, const struct facts *f, usec now, struct err *e)
{
    enum err_code code = r->m->gateway ? begin_call(r, f, e) : handover_sent(r, f, now, e);
    const char *id = arena_z(r->m->arena, f->id);
    if (code == ERR_NONE && !id) {
        code = ERR(e, ERR_NOMEM, 0, "no memory");
    }
    r->moving[r->moving_count++] = id;
    return code;
}

static const struct item *item_of(const struct round *r, struct str id)
{
    for (size_t i = 0; i < r->count; i++) {
        if (str_eq(r->items[i].id, id)) {
            return &r->items[i];
        }
    }
    return NULL;
}

static enum err_code settle(struct round *r, const struct facts *f, usec now, struct err *e)
{
    const struct item *item = item_of(r, f->id);
    usec until;
    enum message_reason reason;
    enum verdict v = decide(&f->f, now, &until, &reason);
    if (v == VERDICT_SEND && item && item->refused != REASON_NONE) {
        v = VERDICT_SUPPRESS;
        reason = item->refused;
    }
    if (f->uncertain && (v == VERDICT_HOLD || f->rendered_on != zone_day(now))) {
        /* The text says "tomorrow" and may be with the gateway; another one must not follow it. */
        return handover_end(r, f, "failed", REASON_UNKNOWN, now, e);
    }
    switch (v) {
    case VERDICT_CANCEL:
        return handover_end(r, f, "cancelled", reason, now, e);
    case VERDICT_SUPPRESS:
        return handover_end(r, f, "suppressed", reason, now, e);
    case VERDICT_HOLD:
        return hold_until(r, f, until, e);
    case VERDICT_SEND:
        break;
    }
    /* Staged under another day's light or not at all (the clock moved in between): next round. */
    bool ready = item && item->staged && f->has_day && f->rendered_on == zone_day(now) &&
                 f->http == (r->m->gateway != NULL);
    return ready ? release(r, f, now, e) : ERR_NONE;
}

static enum err_code move_all(struct round *r, struct err *e)
{
    struct messaging *m = r->m;
    fail_point("messaging.before-rename");
    for (size_t i = 0; i < r->moving_count; i++) {
        enum err_code code = outbox_move(m->s.outbox, r->moving[i], e);
        if (code != ERR_NONE) {
            return code;
        }
        fail_point("messaging.after-rename");
    }
    return r->moving_count ? outbox_sync(m->s.outbox, e) : ERR_NONE;
}

static enum err_code settle_all(struct round *r, struct err *e)
{
    struct messaging *m = r->m;
    struct db_array *ids = db_array_new(m->arena);
    struct facts *f;
    struct waiting_events w;
    size_t n = 0;
    int64_t head = 0;
    for (size_t i = 0; ids && i < r->count; i++) {
        db_array_str(ids, r->items[i].id);
    }
    enum err_code code = ids ? lock(r, &head, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    usec now = clock_now();
    if (code == ERR_NONE) {
        code = facts_again(m, r->db, ids, now, &f, &n, e);
    }
    if (code == ERR_NONE) {
        code = find_waiting(r, head, f, n, &w, e);
    }
    for (size_t i = 0; code == ERR_NONE && i < n; i++) {
        code = waits(&w, f[i].patient) ? postpone(r, &f[i], e) : settle(r, &f[i], now, e);
    }
    return code == ERR_NONE ? handover_append(r, e) : code;
}

static enum err_code tx2(struct round *r, struct err *e)
{
    enum err_code code = db_begin(r->db, e);
    if (code == ERR_NONE) {
        code = settle_all(r, e);
    }
    if (code == ERR_NONE && !r->m->gateway) {
        code = move_all(r, e); /* last, so that only the commit can still fail after it */
    }
    if (code == ERR_NONE) {
        fail_point("messaging.before-sent");
        code = db_commit(r->db, e);
    }
    if (code != ERR_NONE) {
        db_rollback(r->db);
        return code;
    }
    fail_point("messaging.after-sent");
    out_unstage_all(r->m, &r->derived);
    return ERR_NONE;
}

/* ---- rounds ---- */

enum err_code messaging_tick(struct messaging *m, struct db *db, bool *more, struct err *e)
{
    struct round r = {.m = m, .db = db};
    /* One message per decision over http: between the word and the call nothing else happens. */
    int limit = m->gateway ? 1 : ROUND;
    *more = false;
    if (m->gateway && clock_mono() < m->gateway_again) {
        return ERR_NONE;
    }
    arena_reset(m->arena);
    enum err_code code = tx1(&r, limit, e);
    if (code != ERR_NONE || r.count == 0) {
        return code;
    }
    code = tx2(&r, e);
    if (code == ERR_NONE && m->gateway && r.moving_count) {
        code = handover_call(&r, e);
    }
    *more = code == ERR_NONE && r.count == (size_t)limit && r.later == 0;
    return code;
}
