#include "core/base/log.h"
#include "core/intake/group.h"
#include "core/intake/host.h"
#include "core/intake/senders.h"

#include <string.h>

enum { NO_MEMORY_MS = 50 };

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

enum err_code host_prepare(struct adapter_host *h, struct job *j, struct str given,
                           struct str message, struct err *e)
{
    usec at = j->at = clock_now();
    struct str raw = arena_copy(j->arena, message);
    if (!raw.p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    enum err_code code = prepare_message(&h->prepare, j->arena, given, raw, at, &j->p, e);
    if (code == ERR_NONE && h->s.sequence) {
        sequence_read(j);
    }
    if (code == ERR_NONE) {
        code = job_replies(&h->s, j, raw, at, e);
    }
    if (code == ERR_NONE) {
        code = job_seal_events(&h->s, j->arena, &j->p.mapped, &j->rows, e);
    }
    return code == ERR_NONE ? seal_raw(h, j, e) : code;
}

/* True when there is room for one more; else the adapter is told to stop until resume(). */
static bool has_room(struct adapter_host *h)
{
    if (!h->feeding && host_pending(h) < (size_t)h->s.max_pending) {
        return true;
    }
    h->blocked = true;
    adapter_count(h, "blocked", 1);
    return false;
}

void adapter_sender(struct adapter_host *h, const char *subject)
{
    h->sender = subject;
}

/* A message of somebody else than the holder of the certificate is not kept, only refused. */
static void check_sender(struct adapter_host *h, struct job *j, const char *subject)
{
    struct err e = {0};
    if (!h->s.senders || !h->s.senders[0] || !j->p.message ||
        senders_allow(str_of(h->s.senders), str_of(subject ? subject : ""), j->p.message)) {
        return;
    }
    adapter_count(h, "senders_refused", 1);
    log_warn("intake.sender-refused", "feed=%s subject=\"%s\"", h->s.feed,
             subject && subject[0] ? subject : "-");
    if (job_foreign(j, j->at, &e) != ERR_NONE) {
        log_err(LOG_ERROR_, "intake.prepare", &e);
        j->again = true;
        j->reply = j->retry;
    }
}

static void enqueue(struct adapter_host *h, struct job *j, struct str message, const char *sender)
{
    struct err e = {0};
    j->came = clock_mono();
    if (host_prepare(h, j, STR(""), message, &e) != ERR_NONE) {
        log_err(LOG_ERROR_, "intake.prepare", &e);
        j->refused = j->again = true;
        j->reply = j->retry.p ? j->retry : STR("");
    } else {
        check_sender(h, j, sender);
    }
    jobs_push(&h->waiting, j);
    host_soon(h);
}

/* Messages of the batch that comes in become jobs, as far as there is room. */
void host_feed(struct adapter_host *h)
{
    struct bundle *b = h->feeding;
    struct str message;
    while (b && host_pending(h) < (size_t)h->s.max_pending) {
        struct job *j = host_job(h);
        if (!j) {
            net_timer_set(h->pump, NO_MEMORY_MS);
            return;
        }
        if (!bundle_next(b, &message, &j->place)) {
            host_job_done(h, j);
            break;
        }
        j->bundle = b;
        enqueue(h, j, message, b->sender);
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
    struct job *j = host_job(h);
    enum err_code code = j ? bundle_new(frame, ticket, &b, &e) : ERR_NOMEM;
    if (code == ERR_NOMEM) {
        h->blocked = true;
        if (j) {
            host_job_done(h, j);
        }
        return false;
    }
    adapter_count(h, "batches", 1);
    if (code == ERR_NONE && b->batch.problem.code != ERR_NONE) {
        adapter_count(h, "batch_miscounts", 1);
        log_err(LOG_WARN_, "intake.batch", &b->batch.problem);
    }
    if (code == ERR_NONE && b->parts) {
        host_job_done(h, j);
        b->sender = arena_z(b->arena, str_of(h->sender ? h->sender : ""));
        h->feeding = b;
        host_feed(h);
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
    host_soon(h);
    return true;
}

bool adapter_submit(struct adapter_host *h, struct str message, void *ticket)
{
    bool room = has_room(h);
    if (room && hl7_is_batch(message)) {
        return submit_batch(h, message, ticket);
    }
    struct job *j = room ? host_job(h) : NULL;
    if (!j) {
        h->blocked = true;
        return false;
    }
    j->ticket = ticket;
    enqueue(h, j, message, h->sender);
    return true;
}

bool adapter_submit_oversize(struct adapter_host *h, struct str beginning, void *ticket)
{
    struct err e = {0};
    struct job *j = has_room(h) ? host_job(h) : NULL;
    if (!j) {
        h->blocked = true;
        return false;
    }
    j->ticket = ticket;
    if (job_oversize(&h->s, j, beginning, clock_now(), &e) != ERR_NONE) {
        j->reply = STR("");
    }
    jobs_push(&h->waiting, j);
    host_soon(h);
    return true;
}
