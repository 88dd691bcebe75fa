#include "adapters/mllp/client.h"

#include "core/base/clock.h"
#include "core/net/mllp.h"
#include "core/net/net.h"

#include <stdlib.h>
#include <string.h>

enum {
    BACKOFF_MS = 200, /* doubling */
    BACKOFF_MAX_MS = 5000,
    LOSSES_MAX = 10,          /* connections in a row that brought no reply */
    UNSENT_MAX = 1024 * 1024, /* bytes given to the connection and not with the kernel */
    MEMORY_MAX = 65536        /* slots: what `window` is cut to */
};

/* A message on its way. */
struct slot {
    size_t i;
    int64_t attempts;
    usec first_sent;
};

struct slots {
    struct slot *at;
    size_t n;
};

struct run {
    const struct mllp_client *c;
    struct net_loop *loop;
    struct net_conn *conn; /* NULL: none */
    bool open;             /* it stands */
    bool ever_open;
    bool committed; /* release 2: the oldest under way is kept there, its reply is still to come */
    bool holding;   /* a message is to be sent again: wait for `pause` first */
    struct mllp framer;
    struct slots under_way; /* sent, no reply yet; in the order sent */
    struct slots again;     /* to be sent again before anything new; in order */
    size_t window, next, finished;
    struct net_timer *late, *pause;
    int losses;   /* connections lost since the last reply */
    usec lost_at; /* the first of them */
    enum err_code code;
    struct err *e;
};

static void send_more(struct run *r);
static void connect_now(struct run *r);

static struct slot take_first(struct slots *s)
{
    struct slot first = s->at[0];
    s->n--;
    memmove(s->at, s->at + 1, s->n * sizeof *s->at);
    return first;
}

static void put_in_order(struct slots *s, struct slot slot)
{
    size_t at = s->n++;
    for (; at > 0 && s->at[at - 1].i > slot.i; at--) {
        s->at[at] = s->at[at - 1];
    }
    s->at[at] = slot;
}

static int64_t backoff(int64_t attempts)
{
    int64_t ms = BACKOFF_MS;
    while (--attempts > 0 && ms < BACKOFF_MAX_MS) {
        ms *= 2;
    }
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void give_up(struct run *r, const char *why)
{
    r->code = ERR(r->e, ERR_PEER, 0, "%s", why);
    net_loop_stop(r->loop);
}

static void disconnect(struct run *r)
{
    if (r->conn) {
        net_close(r->conn, false);
    }
    r->conn = NULL;
    r->open = r->committed = false;
    net_timer_set(r->late, -1);
    mllp_release(&r->framer);
    mllp_init(&r->framer, r->c->max_reply);
}

/* The connection is gone or no good any more: open another one after a while, or give up. */
static void lose(struct run *r, const char *why)
{
    usec now = clock_mono();
    disconnect(r);
    while (r->under_way.n) {
        put_in_order(&r->again, take_first(&r->under_way));
    }
    r->lost_at = r->losses++ ? r->lost_at : now;
    if (!r->ever_open || r->losses > LOSSES_MAX || now - r->lost_at > r->c->timeout_ms * 1000) {
        give_up(r, why);
        return;
    }
    net_timer_set(r->pause, backoff(r->losses));
}

static void finish(struct run *r, const struct slot *s, enum mllp_verdict verdict)
{
    r->finished++;
    r->c->done(r->c->ctx, s->i, verdict, (clock_mono() - s->first_sent) / 1000);
}

static void check_end(struct run *r)
{
    if (r->finished < r->c->count || (r->conn && net_queued(r->conn))) {
        return;
    }
    if (r->conn) {
        net_close(r->conn, true);
        r->conn = NULL;
        r->open = false;
    }
    net_loop_stop(r->loop);
}

static void send_frame(struct run *r, struct str bytes)
{
    net_send(r->conn, STR("\x0b"));
    net_send(r->conn, bytes);
    net_send(r->conn, STR("\x1c\r"));
}

/* Release 2: what a frame says about the oldest message under way. False: it is a reply. */
static bool one_commit(struct run *r, struct str frame, enum mllp_verdict *verdict)
{
    bool ack = frame.n == 1 && frame.p[0] == MLLP_ACK;
    bool nak = frame.n == 1 && frame.p[0] == MLLP_NAK;
    bool last = nak || (ack && r->c->messages[r->under_way.at[0].i].no_reply);
    if (!r->c->release_2 || (r->committed && !ack && !nak)) {
        if (r->c->release_2) {
            send_frame(r, STR("\x06"));
        }
        r->committed = false;
        return false;
    }
    r->committed = ack && !last;
    *verdict = nak ? MLLP_AGAIN : last ? MLLP_SILENT : MLLP_FOREIGN;
    return true;
}

static bool may_be_silent(const struct run *r, const struct slot *s)
{
    return r->c->messages[s->i].may_be_silent;
}

/*
 * What a reply says, and how many messages of those under way stand before the one that it is to:
 * replies come in order, so that nothing was said against them.
 */
static size_t judge(const struct run *r, struct str reply, enum mllp_verdict *verdict)
{
    const struct slots *sent = &r->under_way;
    size_t k = 0;
    *verdict = r->c->judge(r->c->ctx, sent->at[0].i, reply);
    while (*verdict == MLLP_FOREIGN && may_be_silent(r, &sent->at[k]) && k + 1 < sent->n) {
        *verdict = r->c->judge(r->c->ctx, sent->at[++k].i, reply);
    }
    return *verdict == MLLP_FOREIGN ? 0 : k;
}

static void one_reply(struct run *r, struct str reply)
{
    enum mllp_verdict verdict = MLLP_FOREIGN;
    if (!r->under_way.n) {
        return; /* to something that had its reply already */
    }
    bool commit = one_commit(r, reply, &verdict);
    if (r->committed) {
        return; /* its reply is still to come */
    }
    size_t silent = commit ? 0 : judge(r, reply, &verdict);
    struct slot s = take_first(&r->under_way);
    for (; silent > 0; silent--) {
        finish(r, &s, MLLP_SILENT);
        s = take_first(&r->under_way);
    }
    if (verdict == MLLP_AGAIN && s.attempts++ < r->c->retries) {
        put_in_order(&r->again, s);
        r->holding = true;
        net_timer_set(r->pause, backoff(s.attempts));
        return;
    }
    finish(r, &s, verdict);
    if (verdict == MLLP_FOREIGN) {
        lose(r, "the replies are not those to the messages sent");
    }
}

static void on_bytes(void *ctx, struct str bytes)
{
    struct run *r = ctx;
    struct str frame;
    enum mllp_what what;
    mllp_feed(&r->framer, bytes);
    while (r->conn && (what = mllp_next(&r->framer, &frame)) != MLLP_MORE) {
        if (what == MLLP_FRAME) {
            r->losses = 0;
            one_reply(r, frame);
        } else {
            lose(r, "a reply was too large");
        }
    }
    if (r->conn) {
        net_timer_set(r->late, r->under_way.n ? r->c->timeout_ms : -1);
        send_more(r);
    }
    check_end(r);
}

static bool next_slot(struct run *r, struct slot *s)
{
    if (r->again.n) {
        *s = take_first(&r->again);
        return true;
    }
    if (r->next == r->c->count) {
        return false;
    }
    *s = (struct slot){.i = r->next++, .first_sent = clock_mono()};
    return true;
}

static void send_more(struct run *r)
{
    struct slot s;
    while (r->open && !r->holding && r->under_way.n < r->window &&
           net_queued(r->conn) < UNSENT_MAX && next_slot(r, &s)) {
        const struct mllp_message *m = &r->c->messages[s.i];
        send_frame(r, m->bytes);
        if (m->no_reply && !r->c->release_2) {
            finish(r, &s, MLLP_SILENT);
            continue;
        }
        if (!r->under_way.n) {
            net_timer_set(r->late, r->c->timeout_ms);
        }
        r->under_way.at[r->under_way.n++] = s;
    }
}

static void on_drained(void *ctx)
{
    struct run *r = ctx;
    send_more(r);
    check_end(r);
}

static void on_connected(void *ctx)
{
    struct run *r = ctx;
    r->open = true;
    r->ever_open = true;
    send_more(r);
    check_end(r);
}

static void on_closed(void *ctx, const char *why)
{
    struct run *r = ctx;
    r->conn = NULL;
    lose(r, why ? why : "the other side closed the connection");
}

static const struct net_handlers handlers = {
    .bytes = on_bytes, .drained = on_drained, .closed = on_closed, .connected = on_connected};

static void connect_now(struct run *r)
{
    struct err e = {0};
    if (net_connect(r->loop, r->c->host, r->c->port, r->c->tls, &handlers, r, &r->conn, &e) !=
        ERR_NONE) {
        give_up(r, e.msg);
    }
}

static void on_late(void *ctx)
{
    struct run *r = ctx;
    if (may_be_silent(r, &r->under_way.at[0]) && (r->committed || !r->c->release_2)) {
        struct slot s = take_first(&r->under_way);
        r->committed = false;
        finish(r, &s, MLLP_SILENT);
        net_timer_set(r->late, r->under_way.n ? r->c->timeout_ms : -1);
        send_more(r);
        check_end(r);
    } else if (++r->under_way.at[0].attempts > r->c->retries) {
        give_up(r, "no reply in time");
    } else {
        lose(r, "no reply in time");
    }
}

static void on_pause(void *ctx)
{
    struct run *r = ctx;
    r->holding = false;
    if (r->conn) {
        send_more(r);
    } else {
        connect_now(r);
    }
}

enum err_code mllp_client_run(struct net_loop *loop, const struct mllp_client *c, struct err *e)
{
    int64_t wanted = c->release_2 ? 1 : c->window;
    size_t window = (size_t)(wanted < 1 ? 1 : wanted > MEMORY_MAX ? MEMORY_MAX : wanted);
    struct run r = {.c = c, .loop = loop, .window = window, .e = e};
    mllp_init(&r.framer, c->max_reply);
    r.under_way.at = calloc(window, sizeof *r.under_way.at);
    r.again.at = calloc(window, sizeof *r.again.at);
    r.late = net_timer_new(loop, on_late, &r);
    r.pause = net_timer_new(loop, on_pause, &r);
    if (!r.under_way.at || !r.again.at || !r.late || !r.pause) {
        r.code = ERR(e, ERR_NOMEM, 0, "no memory to send");
    } else if (c->count) {
        connect_now(&r);
        net_loop_run(loop);
        if (r.code == ERR_NONE && r.finished < c->count) {
            r.code = ERR(e, ERR_PEER, 0, "stopped");
        }
    }
    disconnect(&r);
    mllp_release(&r.framer);
    if (r.late) {
        net_timer_free(&r.late);
    }
    if (r.pause) {
        net_timer_free(&r.pause);
    }
    free(r.under_way.at);
    free(r.again.at);
    return r.code;
}
