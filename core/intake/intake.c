#include "core/intake/intake.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/intake/group.h"
#include "core/intake/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COUNTERS_MS = 1000, STATEMENT_MS = 30000, MAX_IDLE_JOBS = 512 };

/* ---- jobs ---- */

struct job *host_job(struct adapter_host *h)
{
    struct job *j = h->idle;
    if (j) {
        h->idle = j->next;
        h->idle_count--;
        struct arena *a = j->arena;
        *j = (struct job){.arena = a, .generation = generation_hold(h->generation)};
        return j;
    }
    j = calloc(1, sizeof *j);
    if (j && !(j->arena = arena_new(0))) {
        free(j);
        j = NULL;
    }
    if (j) {
        j->generation = generation_hold(h->generation);
    }
    return j;
}

void host_job_done(struct adapter_host *h, struct job *j)
{
    if (h->idle_count >= MAX_IDLE_JOBS) {
        job_free(j);
        return;
    }
    generation_drop(&j->generation);
    arena_reset(j->arena);
    j->next = h->idle;
    h->idle = j;
    h->idle_count++;
}

/* ---- counters ---- */

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    counters_add(&h->counters, counter, by);
}

static void look_for_pause(struct adapter_host *h)
{
    bool paused = h->s.paused && file_exists(h->s.paused);
    if (paused != h->paused) {
        h->paused = paused;
        log_warn("intake.paused", "feed=%s paused=%s", h->s.feed, paused ? "yes" : "no");
        host_soon(h); /* a file on its way goes on */
    }
}

static void write_counters(struct adapter_host *h)
{
    const struct spool *s = backlog_spool(h->backlog);
    if (s) {
        counters_set(&h->counters, "in_spool", (int64_t)spool_count(s));
        counters_set(&h->counters, "spool_damaged", (int64_t)spool_damaged(s));
        counters_set(&h->counters, "spool_broken", spool_broken(s));
    }
    if (h->s.counters) {
        counters_write(&h->counters, h->s.counters);
    }
}

static void housekeeping(void *ctx)
{
    struct adapter_host *h = ctx;
    net_timer_set(h->tidy, COUNTERS_MS);
    look_for_pause(h);
    write_counters(h);
}

/* ---- replies out ---- */

size_t host_pending(const struct adapter_host *h)
{
    return h->waiting.count + h->flying.count + h->repeated;
}

static void answer(struct adapter_host *h, void *ticket, enum adapter_outcome outcome,
                   struct str reply)
{
    if (h->ops->answer) {
        h->ops->answer(h->adapter, ticket, outcome, reply);
    } else {
        h->ops->reply(h->adapter, ticket, reply);
    }
}

bool adapter_kept(const struct adapter_host *h)
{
    return h->kept;
}

void host_answer(struct adapter_host *h, struct job *j, struct str reply)
{
    struct bundle *b = j->bundle;
    if (j->came) {
        counters_spread(&h->counters, SPREAD_REPLY, clock_mono() - j->came);
    }
    bool bad = j->refused || (j->p.mapped.state == MAPPING_QUARANTINED && !h->s.accept_quarantined);
    h->kept = !j->refused && !j->again;
    if (b) {
        b->lost |= !h->kept;
        h->kept = !b->lost;
    }
    if (!b) {
        answer(h, j->ticket,
               j->again ? ADAPTER_RETRY
               : bad    ? ADAPTER_REFUSED
                        : ADAPTER_TAKEN,
               reply);
        host_job_done(h, j);
        return;
    }
    b->again |= j->again;
    if (bundle_answer(b, j->place, reply, j->retry.n > 0)) {
        answer(h, b->ticket, b->again ? ADAPTER_RETRY : ADAPTER_TAKEN,
               bundle_reply(b, job_reply_id(b->arena), clock_now()));
        bundle_free(&b);
    }
    host_job_done(h, j);
}

void host_unblock(struct adapter_host *h)
{
    if (h->blocked && !h->feeding && host_pending(h) <= (size_t)h->s.max_pending / 2) {
        h->blocked = false;
        h->ops->resume(h->adapter);
    }
}

/* Everything in a list gets the negative reply that asks for another attempt. */
void host_answer_retry(struct adapter_host *h, struct jobs *l)
{
    jobs_spread(l);
    size_t n = l->count;
    while (n-- > 0) {
        struct job *j = jobs_pop(l);
        adapter_count(h, j->refused ? "refused" : "try_again", 1);
        j->again = !j->refused;
        host_answer(h, j, j->refused ? j->reply : j->retry);
    }
}

void host_soon(struct adapter_host *h)
{
    net_timer_set(h->pump, 0);
}

static void become_known(struct adapter_host *h)
{
    if (!h->known) {
        h->known = true;
        if (h->on_known) {
            h->on_known(h->on_known_ctx);
        }
    }
}

void host_set_mark(struct adapter_host *h, const char *mark)
{
    char *copy = strdup(mark);
    if (copy) {
        free(h->mark);
        h->mark = copy;
        become_known(h);
    }
}

const char *adapter_mark(const struct adapter_host *h)
{
    return h->mark;
}

static void on_state(void *ctx, bool ready, const struct err *why)
{
    struct adapter_host *h = ctx;
    h->away = !ready;
    if (ready) {
        log_info("intake.database", "feed=%s state=ready", h->s.feed);
    } else {
        log_warn("intake.database", "feed=%s state=away error=\"%s\"", h->s.feed, why->msg);
    }
    if (h->mark || !ready) {
        become_known(h);
    }
    host_soon(h);
}

/* ---- life ---- */

static const char *conninfo(void *ctx, struct arena *a, struct err *e)
{
    struct adapter_host *h = ctx;
    return h->s.conninfo(h->s.conninfo_ctx, a, e);
}

struct adapter_host *intake_new(struct net_loop *l, const struct intake_settings *s, struct err *e)
{
    struct adapter_host *h = calloc(1, sizeof *h);
    if (!h || !(h->group_arena = arena_new(0))) {
        free(h);
        ERR(e, ERR_NOMEM, 0, "no memory");
        return NULL;
    }
    h->loop = l;
    h->s = *s;
    h->prepare = (struct prepare_settings){.site = s->site,
                                           .feed = s->feed,
                                           .keys = s->keys,
                                           .max_message = (size_t)s->max_message,
                                           .no_parts = s->max_parts == 0};
    intake_set_generation(h, s->generation);
    jobs_init(&h->waiting);
    jobs_init(&h->flying);
    if (backlog_open(&h->s, &h->backlog, e) != ERR_NONE) {
        generation_drop(&h->generation);
        arena_free(&h->group_arena);
        free(h);
        return NULL;
    }
    h->wake = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    h->pump = net_timer_new(l, commit_pump, h);
    h->tidy = net_timer_new(l, housekeeping, h);
    net_timer_set(h->tidy, COUNTERS_MS);
    const struct db_async_settings ds = {
        .conninfo = conninfo, .role = s->role, .app = "dari feed", .statement_ms = STATEMENT_MS};
    const struct db_async_handlers dh = {.state = on_state, .done = commit_done};
    h->db = db_async_new(l, &ds, &dh, h);
    return h;
}

void intake_set_generation(struct adapter_host *h, struct generation *g)
{
    generation_hold(g);
    generation_drop(&h->generation);
    h->generation = g;
    h->prepare.mapping = g->mapping;
    h->prepare.charset = g->has_charset ? &g->charset : NULL;
    h->prepare.fallback = g->fallback;
}

void intake_attach(struct adapter_host *h, const struct adapter_ops *ops, struct adapter *adapter)
{
    h->ops = ops;
    h->adapter = adapter;
}

void intake_on_known(struct adapter_host *h, void (*fn)(void *ctx), void *ctx)
{
    h->on_known = fn;
    h->on_known_ctx = ctx;
}

bool intake_idle(const struct adapter_host *h)
{
    /* What the spool still has waits for the next start. */
    size_t waited_for = h->doing == DOING_DRAIN ? 0 : h->flying.count;
    return h->waiting.count + waited_for == 0 && !h->feeding;
}

void intake_free(struct adapter_host **ph)
{
    struct adapter_host *h = *ph;
    if (!h) {
        return;
    }
    write_counters(h);
    db_async_free(&h->db);
    backlog_free(&h->backlog);
    net_timer_free(&h->pump);
    net_timer_free(&h->tidy);
    jobs_free(&h->waiting);
    jobs_free(&h->flying);
    bundle_free(&h->feeding);
    import_free(&h->import);
    free(h->mark);
    while (h->idle) {
        struct job *j = h->idle;
        h->idle = j->next;
        job_free(j);
    }
    if (h->wake >= 0) {
        close(h->wake);
    }
    generation_drop(&h->generation);
    arena_free(&h->group_arena);
    free(h);
    *ph = NULL;
}
