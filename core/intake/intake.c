#include "core/intake/intake.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/intake/group.h"
#include "core/intake/jobs.h"
#include "core/store/async.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    MAX_COUNTERS = 32,
    COUNTERS_MS = 1000,
    STATEMENT_MS = 30000,
    MAX_IDLE_JOBS = 512,
    NO_MEMORY_MS = 50
};

struct adapter_host {
    struct net_loop *loop;
    struct intake_settings s;
    struct prepare_settings prepare;
    const struct adapter_ops *ops;
    struct adapter *adapter;
    struct db_async *db;
    struct net_timer *pump, *tidy;
    struct arena *group_arena;
    struct jobs waiting; /* prepared, or refused: in order of arrival */
    struct jobs flying;  /* in the statement under way */
    struct job *idle;
    size_t idle_count;
    struct bundle
        *feeding; /* a batch that still has messages to become jobs; nothing else comes in */
    bool known, away, blocked, paused;
    size_t
        solo; /* after a group was refused: so many next messages go alone, to find the culprit */
    void (*on_known)(void *);
    void *on_known_ctx;
    int wake;
    struct {
        const char *name;
        int64_t value;
    } counters[MAX_COUNTERS];
    bool counters_changed;
};

/* ---- jobs ---- */

static struct job *job_take(struct adapter_host *h)
{
    struct job *j = h->idle;
    if (j) {
        h->idle = j->next;
        h->idle_count--;
        struct arena *a = j->arena;
        *j = (struct job){.arena = a};
        return j;
    }
    j = calloc(1, sizeof *j);
    if (j && !(j->arena = arena_new(0))) {
        free(j);
        j = NULL;
    }
    return j;
}

static void job_give(struct adapter_host *h, struct job *j)
{
    if (h->idle_count >= MAX_IDLE_JOBS) {
        job_free(j);
        return;
    }
    arena_reset(j->arena);
    j->next = h->idle;
    h->idle = j;
    h->idle_count++;
}

/* ---- counters ---- */

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    h->counters_changed = true;
    for (int i = 0; i < MAX_COUNTERS; i++) {
        if (!h->counters[i].name || strcmp(h->counters[i].name, counter) == 0) {
            h->counters[i].name = counter;
            h->counters[i].value += by;
            return;
        }
    }
}

static void look_for_pause(struct adapter_host *h)
{
    bool paused = h->s.paused && file_exists(h->s.paused);
    if (paused != h->paused) {
        h->paused = paused;
        log_warn("intake.paused", "feed=%s paused=%s", h->s.feed, paused ? "yes" : "no");
    }
}

static void housekeeping(void *ctx)
{
    struct adapter_host *h = ctx;
    net_timer_set(h->tidy, COUNTERS_MS);
    look_for_pause(h);
    if (!h->counters_changed || !h->s.counters) {
        return;
    }
    h->counters_changed = false;
    char temp[4096];
    snprintf(temp, sizeof temp, "%s.tmp", h->s.counters);
    FILE *f = fopen(temp, "we");
    if (!f) {
        return;
    }
    for (int i = 0; i < MAX_COUNTERS && h->counters[i].name; i++) {
        fprintf(f, "%s %" PRId64 "\n", h->counters[i].name, h->counters[i].value);
    }
    if (fclose(f) == 0) {
        rename(temp, h->s.counters);
    }
}

/* ---- replies out ---- */

static size_t pending(const struct adapter_host *h)
{
    return h->waiting.count + h->flying.count;
}

static void answer(struct adapter_host *h, struct job *j, struct str reply)
{
    struct bundle *b = j->bundle;
    if (!b) {
        h->ops->reply(h->adapter, j->ticket, reply);
    } else if (bundle_answer(b, j->place, reply, j->retry.n > 0)) {
        h->ops->reply(h->adapter, b->ticket, bundle_reply(b, job_reply_id(b->arena), clock_now()));
        bundle_free(&b);
    }
    job_give(h, j);
}

static void unblock(struct adapter_host *h)
{
    if (h->blocked && !h->feeding && pending(h) <= (size_t)h->s.max_pending / 2) {
        h->blocked = false;
        h->ops->resume(h->adapter);
    }
}

/* Everything in a list gets the negative reply that asks for another attempt. */
static void answer_retry(struct adapter_host *h, struct jobs *l)
{
    size_t n = l->count;
    while (n-- > 0) {
        struct job *j = jobs_pop(l);
        adapter_count(h, j->refused ? "refused" : "try_again", 1);
        answer(h, j, j->refused ? j->reply : j->retry);
    }
}

/* A hint to the relay: there may be news. Lost hints cost nothing but time. */
static void wake_relay(struct adapter_host *h)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (h->wake < 0 || !h->s.wake || strlen(h->s.wake) >= sizeof to.sun_path) {
        return;
    }
    memcpy(to.sun_path, h->s.wake, strlen(h->s.wake));
    sendto(h->wake, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to,
           sizeof to);
}

/* ---- groups ---- */

static void feed(struct adapter_host *h);

static bool in_group(const struct adapter_host *h, const struct job *j)
{
    for (const struct job *x = h->flying.first; x; x = x->next) {
        if (memcmp(x->p.id, j->p.id, sizeof j->p.id) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * Moves what may go together: at most max_group, and no message twice. A repetition in the same
 * group waits for the next one, where it is recognised.
 */
static void form_group(struct adapter_host *h)
{
    size_t max = h->solo ? 1 : (size_t)h->s.max_group;
    while (h->waiting.first && h->flying.count < max) {
        struct job *j = h->waiting.first;
        if (j->refused) {
            jobs_pop(&h->waiting);
            adapter_count(h, "refused", 1);
            answer(h, j, j->reply);
            continue;
        }
        if (in_group(h, j)) {
            return;
        }
        jobs_push(&h->flying, jobs_pop(&h->waiting));
    }
}

static void pump(void *ctx)
{
    struct adapter_host *h = ctx;
    struct db_args q = {0};
    struct err e = {0};
    feed(h);
    if (!db_async_ready(h->db) || h->paused) {
        if (h->away || h->paused) {
            answer_retry(h, &h->waiting);
            feed(h);
            unblock(h);
        }
        return;
    }
    form_group(h);
    if (!h->flying.first) {
        return;
    }
    arena_reset(h->group_arena);
    enum err_code code = group_args(&h->s, h->group_arena, h->flying.first, clock_now(), &q, &e);
    if (code == ERR_NONE) {
        code = db_async_run(h->db, group_statement, &q, &e);
    }
    if (code != ERR_NONE) {
        log_err(LOG_ERROR_, "intake.group", &e);
        answer_retry(h, &h->flying);
        unblock(h);
    }
}

static void soon(struct adapter_host *h)
{
    net_timer_set(h->pump, 0);
}

static void committed(struct adapter_host *h, struct db_rows *rows)
{
    bool news = false;
    for (int i = 0; i < db_count(rows); i++) {
        struct job *j = jobs_pop(&h->flying);
        int64_t outcome = db_i64(rows, i, 1);
        struct str stored = db_str(rows, i, 3);
        bool has_stored = !db_null(rows, i, 3);
        if (outcome == 1) {
            adapter_count(h, "duplicates", 1);
        } else {
            news |= j->p.mapped.count > 0;
            adapter_count(h, "stored", 1);
        }
        if (outcome == 2) {
            log_warn("intake.reused-control-id", "feed=%s message=%" PRId64, h->s.feed,
                     db_i64(rows, i, 2));
        }
        answer(h, j, has_stored ? stored : j->reply);
    }
    if (h->solo) {
        h->solo--;
    }
    if (news) {
        wake_relay(h);
    }
}

static void refused_by_database(struct adapter_host *h, const struct err *failed)
{
    size_t n = h->flying.count;
    log_err(LOG_ERROR_, "intake.refused", failed);
    if (n > 1) {
        /* One of them is the culprit: try each alone, in order, before anything newer. */
        h->solo = n;
        *h->flying.last = h->waiting.first;
        if (!h->waiting.first) {
            h->waiting.last = h->flying.last;
        }
        h->waiting.first = h->flying.first;
        h->waiting.count += n;
        jobs_init(&h->flying);
        return;
    }
    h->solo -= h->solo > 0;
    answer_retry(h, &h->flying);
}

static void on_done(void *ctx, struct db_rows *rows, const struct err *failed)
{
    struct adapter_host *h = ctx;
    if (rows && (size_t)db_count(rows) == h->flying.count) {
        committed(h, rows);
    } else if (failed && failed->code == ERR_DB && db_async_ready(h->db)) {
        refused_by_database(h, failed);
    } else {
        answer_retry(h, &h->flying);
    }
    unblock(h);
    soon(h);
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
    if (!h->known) {
        h->known = true;
        if (h->on_known) {
            h->on_known(h->on_known_ctx);
        }
    }
    soon(h);
}

/* ---- messages in ---- */

static enum err_code seal_raw(struct adapter_host *h, struct job *j, struct err *e)
{
    struct buf b, hex;
    buf_init(&b, j->p.raw.n + SEAL_OVERHEAD);
    buf_init(&hex, 256);
    buf_printf(&hex, "%s/message/", h->s.site);
    buf_hex(&hex, (struct str){(const char *)j->p.id, sizeof j->p.id});
    enum err_code code = seal(h->s.keys, buf_str(&hex), j->p.raw, &b, e);
    if (code == ERR_NONE) {
        j->sealed = arena_copy(j->arena, buf_str(&b));
        code = j->sealed.p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    buf_release(&b);
    buf_release(&hex);
    return code;
}

static enum err_code make_ready(struct adapter_host *h, struct job *j, struct str message,
                                struct err *e)
{
    usec at = clock_now();
    struct str raw = arena_copy(j->arena, message);
    if (!raw.p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    enum err_code code = prepare_message(&h->prepare, j->arena, raw, at, &j->p, e);
    if (code == ERR_NONE) {
        code = job_replies(&h->s, j, raw, at, e);
    }
    return code == ERR_NONE ? seal_raw(h, j, e) : code;
}

/* True when there is room for one more; else the adapter is told to stop until resume(). */
static bool has_room(struct adapter_host *h)
{
    if (!h->feeding && pending(h) < (size_t)h->s.max_pending) {
        return true;
    }
    h->blocked = true;
    adapter_count(h, "blocked", 1);
    return false;
}

static void enqueue(struct adapter_host *h, struct job *j, struct str message)
{
    struct err e = {0};
    if (make_ready(h, j, message, &e) != ERR_NONE) {
        log_err(LOG_ERROR_, "intake.prepare", &e);
        j->refused = true;
        j->reply = j->retry.p ? j->retry : STR("");
    }
    jobs_push(&h->waiting, j);
    soon(h);
}

/* Messages of the batch that comes in become jobs, as far as there is room. */
static void feed(struct adapter_host *h)
{
    struct bundle *b = h->feeding;
    struct str message;
    while (b && pending(h) < (size_t)h->s.max_pending) {
        struct job *j = job_take(h);
        if (!j) {
            net_timer_set(h->pump, NO_MEMORY_MS);
            return;
        }
        if (!bundle_next(b, &message, &j->place)) {
            job_give(h, j);
            break;
        }
        j->bundle = b;
        enqueue(h, j, message);
        if (b->taken == b->parts) {
            break;
        }
    }
    if (b && b->taken == b->parts) {
        h->feeding = NULL;
    }
}

/*
 * A batch: its messages are taken one by one like any other. One without messages, or with too
 * many, has no message to be taken; its reply waits its turn all the same.
 */
static bool submit_batch(struct adapter_host *h, struct str frame, void *ticket)
{
    struct bundle *b;
    struct err e = {0};
    struct job *j = job_take(h);
    enum err_code code = j ? bundle_new(frame, ticket, &b, &e) : ERR_NOMEM;
    if (code == ERR_NOMEM) {
        h->blocked = true;
        if (j) {
            job_give(h, j);
        }
        return false;
    }
    adapter_count(h, "batches", 1);
    if (code == ERR_NONE && b->batch.problem.code != ERR_NONE) {
        adapter_count(h, "batch_miscounts", 1);
        log_err(LOG_WARN_, "intake.batch", &b->batch.problem);
    }
    if (code == ERR_NONE && b->parts) {
        job_give(h, j);
        h->feeding = b;
        feed(h);
        return true;
    }
    j->ticket = ticket;
    j->refused = true;
    if (code == ERR_NONE) {
        struct str reply = bundle_reply(b, job_reply_id(b->arena), clock_now());
        j->reply = arena_copy(j->arena, reply);
        bundle_free(&b);
    } else {
        log_err(LOG_WARN_, "intake.batch", &e);
        job_batch_too_large(j, frame, clock_now(), &e);
    }
    jobs_push(&h->waiting, j);
    soon(h);
    return true;
}

bool adapter_submit(struct adapter_host *h, struct str message, void *ticket)
{
    bool room = has_room(h);
    if (room && hl7_is_batch(message)) {
        return submit_batch(h, message, ticket);
    }
    struct job *j = room ? job_take(h) : NULL;
    if (!j) {
        h->blocked = true;
        return false;
    }
    j->ticket = ticket;
    enqueue(h, j, message);
    return true;
}

bool adapter_submit_oversize(struct adapter_host *h, struct str beginning, void *ticket)
{
    struct err e = {0};
    struct job *j = has_room(h) ? job_take(h) : NULL;
    if (!j) {
        h->blocked = true;
        return false;
    }
    j->ticket = ticket;
    if (job_oversize(&h->s, j, beginning, clock_now(), &e) != ERR_NONE) {
        j->reply = STR("");
    }
    jobs_push(&h->waiting, j);
    soon(h);
    return true;
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
                                           .mapping = s->mapping,
                                           .charset = s->has_charset ? &h->s.charset : NULL,
                                           .fallback = s->fallback,
                                           .max_message = (size_t)s->max_message};
    jobs_init(&h->waiting);
    jobs_init(&h->flying);
    h->wake = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    h->pump = net_timer_new(l, pump, h);
    h->tidy = net_timer_new(l, housekeeping, h);
    net_timer_set(h->tidy, COUNTERS_MS);
    const struct db_async_settings ds = {
        .conninfo = conninfo, .role = s->role, .app = "dari feed", .statement_ms = STATEMENT_MS};
    const struct db_async_handlers dh = {.state = on_state, .done = on_done};
    h->db = db_async_new(l, &ds, &dh, h);
    return h;
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
    return pending(h) == 0 && !h->feeding;
}

void intake_free(struct adapter_host **ph)
{
    struct adapter_host *h = *ph;
    if (!h) {
        return;
    }
    db_async_free(&h->db);
    net_timer_free(&h->pump);
    net_timer_free(&h->tidy);
    jobs_free(&h->waiting);
    jobs_free(&h->flying);
    bundle_free(&h->feeding);
    while (h->idle) {
        struct job *j = h->idle;
        h->idle = j->next;
        job_free(j);
    }
    if (h->wake >= 0) {
        close(h->wake);
    }
    arena_free(&h->group_arena);
    free(h);
    *ph = NULL;
}
