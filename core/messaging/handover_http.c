/*
 * Channel http: tx2 has given the word and noted that a call begins; the call is made without any
 * lock, and tx3 records its result. What is not known is kept as unknown: `uncertain` stays set
 * until the gateway gives an answer that can only mean one thing.
 */
#include "core/base/log.h"
#include "core/messaging/fail.h"
#include "core/messaging/messaging_internal.h"
#include "core/messaging/outbox.h"

#include <inttypes.h>

/* A message waits longer and longer; the others wait at most PAUSE_MS for it. */
enum { RETRY_FIRST_S = 1, RETRY_LAST_S = 300, PAUSE_MS = 5000 };

DB_STATEMENT(to_later, "UPDATE dari.plan SET next_try_at = $3, uncertain = $4 "
                       "WHERE site = $1 AND id = $2 AND state = 'handing'");
DB_STATEMENT(to_certain, "UPDATE dari.plan SET uncertain = false WHERE site = $1 AND id = $2");
/* ---- channel http ---- */

static usec back_off(int64_t attempts)
{
    int64_t s = RETRY_FIRST_S;
    for (int64_t i = 1; i < attempts && s < RETRY_LAST_S; i++) {
        s *= 2;
    }
    return (s < RETRY_LAST_S ? s : RETRY_LAST_S) * USEC_SECOND;
}

static enum err_code record_end(struct round *r, const struct facts *f, enum gateway_result result,
                                struct err *e)
{
    struct db_args q;
    enum err_code code;
    if (result == GATEWAY_ACCEPTED) {
        code = handover_sent(r, f, clock_now(), e);
    } else {
        plan_args(r->m, &q, f->id);
        code = db_run(r->db, r->m->arena, &to_certain, &q, NULL, e);
        if (code == ERR_NONE) {
            code = handover_end(r, f, "failed", REASON_GATEWAY, clock_now(), e);
        }
    }
    return code == ERR_NONE ? handover_append(r, e) : code;
}

static enum err_code record_later(struct round *r, const struct facts *f,
                                  enum gateway_result result, struct err *e)
{
    struct db_args q;
    usec wait = back_off(f->attempts);
    r->m->gateway_again = clock_mono() + (wait < PAUSE_MS * 1000 ? wait : PAUSE_MS * 1000);
    plan_args(r->m, &q, f->id);
    arg_time(&q, clock_real() + wait);
    arg_bool(&q, result == GATEWAY_UNCERTAIN);
    return db_run(r->db, r->m->arena, &to_later, &q, NULL, e);
}

/* tx3 */
static enum err_code record(struct round *r, const struct facts *f, enum gateway_result result,
                            struct err *e)
{
    bool ends = result == GATEWAY_ACCEPTED || result == GATEWAY_REFUSED;
    enum err_code code = db_begin(r->db, e);
    if (code == ERR_NONE) {
        code = ends ? record_end(r, f, result, e) : record_later(r, f, result, e);
    }
    if (code == ERR_NONE) {
        fail_point("messaging.before-recorded");
        code = db_commit(r->db, e);
    }
    if (code != ERR_NONE) {
        db_rollback(r->db);
        return code;
    }
    fail_point("messaging.after-recorded");
    if (ends) {
        outbox_unstage(r->m->s.outbox, r->moving[0]);
    }
    return ERR_NONE;
}

enum err_code handover_call(struct round *r, struct err *e)
{
    struct messaging *m = r->m;
    struct db_array *ids = db_array_new(m->arena);
    struct facts *f;
    struct str body;
    size_t n;
    long status;
    if (!ids) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    db_array_z(ids, r->moving[0]);
    enum err_code code = facts_again(m, r->db, ids, clock_now(), &f, &n, e);
    if (code != ERR_NONE || n != 1) {
        return code;
    }
    code = outbox_read(m->s.outbox, r->moving[0], m->arena, &body, e);
    if (code != ERR_NONE) {
        return code;
    }
    fail_point("messaging.before-call");
    enum gateway_result result = gateway_post(m->gateway, r->moving[0], body, &status);
    fail_point("messaging.after-call");
    log_info("messaging.called", "plan=%s attempt=%" PRId64 " status=%ld", r->moving[0],
             f->attempts, status);
    f->provider_code = status;
    r->handed = r->derived = (struct outgoing){0}; /* tx2 has appended what it had */
    return record(r, f, result, e);
}
