/*
 * After a crash or a lost connection: what became of the plans whose hand-over had begun.
 */
#include "core/base/log.h"
#include "core/messaging/fail.h"
#include "core/messaging/messaging_internal.h"
#include "core/messaging/outbox.h"

#include <stdio.h>

DB_STATEMENT(handing, "SELECT id, patient, cause, test, uncertain, via FROM dari.plan "
                      "WHERE site = $1 AND state = 'handing' ORDER BY due_at, id");
DB_STATEMENT(to_planned, "UPDATE dari.plan SET state = 'planned', next_try_at = NULL "
                         "WHERE site = $1 AND id = $2");

/* channel file: a staged file that is gone was moved. http: a text that was never used is made
 * again. */
static enum err_code recover_one(struct round *r, const struct facts *f, struct err *e)
{
    struct db_args q;
    char id[KEY_TEXT];
    usec now = clock_now();
    snprintf(id, sizeof id, "%.*s", STR_ARG(f->id));
    if (outbox_staged(r->m->s.outbox, id)) {
        return ERR_NONE;
    }
    if (f->http && f->uncertain) {
        return handover_end(r, f, "failed", REASON_UNKNOWN, now, e);
    }
    if (f->http) {
        plan_args(r->m, &q, f->id);
        return db_run(r->db, r->m->arena, &to_planned, &q, NULL, e);
    }
    log_info("messaging.recovered", "plan=%s state=sent", id);
    return handover_sent(r, f, now, e);
}

static enum err_code recover_all(struct round *r, const struct db_rows *rows, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        const struct facts f = {.id = db_str(rows, i, 0),
                                .patient = db_str(rows, i, 1),
                                .cause = db_str(rows, i, 2),
                                .f.test = db_bool(rows, i, 3),
                                .uncertain = db_bool(rows, i, 4),
                                .http = str_is(db_str(rows, i, 5), "http")};
        code = recover_one(r, &f, e);
    }
    if (code == ERR_NONE) {
        code = handover_append(r, e);
    }
    fail_point("messaging.before-recovered");
    return code == ERR_NONE ? db_commit(r->db, e) : code;
}

/* Staged files of plans that ended, or whose tx1 was never committed. */
static enum err_code sweep(struct messaging *m, const struct db_rows *rows, struct err *e)
{
    char **ids;
    size_t n;
    enum err_code code = outbox_list(m->s.outbox, m->arena, &ids, &n, e);
    for (size_t i = 0; code == ERR_NONE && i < n; i++) {
        bool open = false;
        for (int k = 0; k < db_count(rows) && !open; k++) {
            open = str_is(db_str(rows, k, 0), ids[i]);
        }
        if (!open) {
            outbox_unstage(m->s.outbox, ids[i]);
        }
    }
    return code;
}

enum err_code handover_recover(struct messaging *m, struct db *db, struct err *e)
{
    struct round r = {.m = m, .db = db};
    struct db_rows *rows;
    struct db_args q = {0};
    arg_z(&q, m->s.site);
    enum err_code code = db_begin(db, e);
    if (code == ERR_NONE) {
        code = db_run(db, m->arena, &handing, &q, &rows, e);
    }
    if (code == ERR_NONE) {
        code = recover_all(&r, rows, e);
    }
    if (code != ERR_NONE) {
        db_rollback(db);
        return code;
    }
    return sweep(m, rows, e);
}
