#include "core/base/log.h"
#include "core/intake/group.h"
#include "core/intake/host.h"
#include "core/intake/refused.h"

enum { STUCK_MS = 2000, GROUP_BYTES = 4 * 1024 * 1024 };

/* ---- in ---- */

void drain_put(struct adapter_host *h, size_t max)
{
    while (h->backlog && h->waiting.first && max > 0) {
        size_t n = backlog_put(h->backlog, &h->waiting, max);
        max -= n;
        while (n-- > 0) {
            struct job *j = jobs_pop(&h->waiting);
            adapter_count(h, j->refused ? "refused" : j->spooled ? "spooled" : "try_again", 1);
            j->again = !(j->refused || j->spooled);
            host_answer(h, j, j->refused || j->spooled ? j->reply : j->retry);
        }
    }
    if (!h->backlog) {
        host_answer_retry(h, &h->waiting);
    }
}

/* ---- out ---- */

/* Nobody may overtake what was answered: all of it waits until the cause is gone. */
static void stuck(struct adapter_host *h, const struct err *why)
{
    log_err(LOG_ERROR_, "spool.stuck", why);
    h->stuck_until = clock_mono() + (usec)STUCK_MS * 1000;
    host_soon(h);
}

bool drain_stuck(struct adapter_host *h)
{
    if (h->stuck_until && clock_mono() < h->stuck_until) {
        net_timer_set(h->pump, STUCK_MS);
        return true;
    }
    h->stuck_until = 0;
    return false;
}

/* Nothing was committed: the jobs are dropped, their records come again. */
static void take_back(struct adapter_host *h)
{
    for (struct job *j; (j = jobs_pop(&h->flying));) {
        host_job_done(h, j);
    }
    backlog_again(h->backlog);
}

/* A part of a message goes alone. */
static bool part_taken(const struct adapter_host *h)
{
    return h->flying.first && h->flying.first->p.part.is;
}

void drain_failed(struct adapter_host *h, const struct err *why)
{
    take_back(h);
    stuck(h, why);
}

/* One more into the group. ERR_NOTFOUND: it ends here. */
static enum err_code take_one(struct adapter_host *h, size_t *bytes, struct err *e)
{
    struct job *j = host_job(h);
    enum err_code code =
        j ? backlog_take(h->backlog, &h->prepare, j, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE && (code = refused_recall(h, j, e)) != ERR_NONE) {
        backlog_return(h->backlog);
    }
    if (code == ERR_NONE &&
        (commit_in_group(h, j) || part_taken(h) || (h->flying.first && j->p.part.is))) {
        backlog_return(h->backlog);
        code = ERR(e, ERR_NOTFOUND, 0, "it cannot go together with those before it");
    }
    if (code == ERR_NONE) {
        *bytes += j->sealed.n;
        jobs_push(&h->flying, j);
    } else if (j) {
        host_job_done(h, j);
    }
    return code;
}

static enum err_code form_group(struct adapter_host *h, struct err *e)
{
    size_t max = h->solo ? 1 : (size_t)h->s.max_group, bytes = 0;
    enum err_code code = ERR_NONE;
    while (code == ERR_NONE && h->flying.count < max && bytes < GROUP_BYTES) {
        code = take_one(h, &bytes, e);
    }
    return h->flying.first ? ERR_NONE : code;
}

static enum err_code commit_spooled(struct adapter_host *h, struct err *e)
{
    struct db_args q = {0};
    const struct db_statement *st;
    enum err_code code =
        spooled_args(&h->s, h->group_arena, h->flying.first, clock_now(), &st, &q, e);
    if (code == ERR_NONE) {
        h->doing = DOING_DRAIN;
        code = db_async_run(h->db, st, &q, e);
    }
    return code;
}

bool drain_run(struct adapter_host *h)
{
    struct err e = {0};
    if (backlog_count(h->backlog) == 0) {
        return false;
    }
    enum err_code code = form_group(h, &e);
    if (code == ERR_NOTFOUND) { /* the rest was damaged, and is set aside */
        backlog_done(h->backlog);
        host_soon(h);
        return true;
    }
    arena_reset(h->group_arena);
    if (code == ERR_NONE && part_taken(h)) {
        code = commit_part_begin(h, &e);
    } else if (code == ERR_NONE) {
        code = commit_spooled(h, &e);
    }
    if (code != ERR_NONE) {
        drain_failed(h, &e);
    }
    return true;
}

static void drained(struct adapter_host *h, struct db_rows *rows)
{
    bool news = false;
    for (int i = 0; i < db_count(rows); i++) {
        struct job *j = jobs_pop(&h->flying);
        news |= commit_count(h, j, rows, i);
        host_job_done(h, j); /* its reply left when it came */
    }
    h->solo -= h->solo > 0;
    backlog_done(h->backlog);
    if (news) {
        commit_wake_relay(h);
    }
    if (backlog_count(h->backlog)) {
        drain_put(h, (size_t)db_count(rows) / 2);
    } else {
        log_info("spool.empty", "feed=%s", h->s.feed);
    }
}

void drain_done(struct adapter_host *h, struct db_rows *rows, const struct err *failed)
{
    size_t n = h->flying.count;
    if (rows && (size_t)db_count(rows) == n) {
        drained(h, rows);
        return;
    }
    bool refused = failed && failed->code == ERR_DB && db_async_ready(h->db);
    bool again = refused && n == 1 && refused_remember(h, h->flying.first);
    take_back(h);
    if (refused) {
        log_err(LOG_ERROR_, "intake.refused", failed);
    }
    if (refused && n > 1) {
        h->solo = n; /* to find the culprit */
    } else if (again) {
        h->solo += h->solo == 0;
    } else if (refused) {
        stuck(h, failed);
    }
}
