/*
 * One connection of a sender. Frames go to the host as long as nothing is in the way:
 *
 *   - the host is full (adapter_submit said no): nobody is read, the frame waits in its framer;
 *   - this peer has `window` messages under way, or does not read its replies: it is not read;
 *   - max-in-flight is reached: only one peer is read, the one with the most of a frame, so that
 *     unfinished frames cannot hold the memory for ever;
 *   - the adapter drains.
 *
 * pump() hands over and settle() says whether the socket is read; whatever changes one of the four
 * calls one of them. Replies wait in `waiting` until those before them have left.
 */
#include "adapters/mllp/mllp_internal.h"

#include "core/base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    REPLY_MAX = 1024 * 1024,
    REPLIES_MAX = 256 * 1024, /* bytes that a peer may leave unread */
    KEEP = 4096,              /* an idle peer's framer keeps no more than this */
};

static void append(struct requests *q, struct request *r)
{
    r->next = NULL;
    r->prev = q->last;
    *(q->last ? &q->last->next : &q->first) = r;
    q->last = r;
}

static void take_out(struct requests *q, struct request *r)
{
    *(r->prev ? &r->prev->next : &q->first) = r->next;
    *(r->next ? &r->next->prev : &q->last) = r->prev;
}

static struct request *request_new(struct adapter *a)
{
    struct request *r = a->spare;
    if (r) {
        a->spare = r->next;
    } else {
        r = calloc(1, sizeof *r);
        if (r) {
            buf_init(&r->reply, REPLY_MAX);
        }
    }
    return r;
}

static void request_done(struct adapter *a, struct request *r)
{
    buf_release(&r->reply);
    *r = (struct request){.reply = r->reply, .next = a->spare};
    a->spare = r;
}

bool peer_blocked(const struct peer *p)
{
    return p->a->host_full || p->a->draining || p->broken || p->throttled ||
           answers_full(p->a->answers) || p->under_way >= p->a->options->window ||
           net_queued(p->conn) >= REPLIES_MAX;
}

static void settle(struct peer *p)
{
    const struct adapter *a = p->a;
    net_pause(p->conn,
              peer_blocked(p) || !p->input_done || p->ended || (a->over && a->chosen != p));
}

static void settle_all(struct adapter *a)
{
    for (struct peer *p = a->peers; p; p = p->next) {
        settle(p);
    }
}

static struct peer *most_of_a_frame(const struct adapter *a)
{
    struct peer *best = NULL;
    for (struct peer *p = a->peers; p; p = p->next) {
        if (p->framer.inside && p->input_done && !p->ended &&
            (!best || p->buffered > best->buffered)) {
            best = p;
        }
    }
    return best;
}

/* To be called when `held` has changed. */
static void check_memory(struct adapter *a)
{
    bool over = a->held >= (size_t)a->options->max_in_flight;
    if (!over && !a->over) {
        return;
    }
    struct peer *chosen = over ? a->chosen : NULL;
    if (over && (!chosen || !chosen->framer.inside || !chosen->input_done)) {
        chosen = most_of_a_frame(a);
    }
    if (over != a->over) {
        adapter_count(a->host, "memory_full", over);
    }
    if (over != a->over || chosen != a->chosen) {
        a->over = over;
        a->chosen = chosen;
        settle_all(a);
    }
}

static void peer_free(struct peer *p)
{
    struct adapter *a = p->a;
    struct request *r;
    while ((r = p->waiting.first)) {
        take_out(&p->waiting, r);
        if (r->answered) { /* it came, but those before it did not */
            adapter_count(a->host, "lost_replies", 1);
            request_done(a, r);
        } else {
            r->peer = NULL;
            append(&a->orphans, r);
        }
    }
    *p->prev = p->next;
    if (p->next) {
        p->next->prev = p->prev;
    }
    a->count--;
    adapter_count(a->host, "connections", -1);
    a->held -= p->buffered;
    a->refused = a->refused == p ? NULL : a->refused;
    a->chosen = a->chosen == p ? NULL : a->chosen;
    mllp_release(&p->framer);
    gate_leave(p->source);
    free(p);
    check_memory(a);
}

void peer_hang_up(struct peer *p)
{
    net_close(p->conn, true);
    peer_free(p);
}

/* Ends a peer that has said all and got all. True: it is freed. */
static bool finished(struct peer *p)
{
    bool more = !p->a->draining && (!p->ended || !p->input_done);
    if (p->pumping || p->under_way || more) {
        return false;
    }
    peer_hang_up(p);
    return true;
}

/* The framer after a pump: its noise, its size, and its memory given back when there is nothing in.
 */
static void account(struct peer *p)
{
    struct adapter *a = p->a;
    struct mllp *m = &p->framer;
    if (m->noise != p->noise) {
        adapter_count(a->host, "noise_bytes", (int64_t)(m->noise - p->noise));
        p->noise = m->noise;
    }
    if (p->input_done && m->taken >= m->in.n && m->in.cap > KEEP) {
        buf_release(&m->in);
        m->taken = m->scanned = m->no_fs = 0;
    }
    size_t now = m->in.n - m->taken;
    a->held += now - p->buffered;
    p->buffered = now;
    if (!m->inside) {
        p->frame_began = 0;
    } else if (!p->frame_began) {
        p->frame_began = p->heard;
    }
}

static void send_answer(struct peer *p, const struct request *r, struct str reply)
{
    if (!net_queued(p->conn)) {
        p->reply_stuck = clock_mono();
    }
    block_answer(p, r, reply);
    adapter_count(p->a->host, "replies", reply.n > 0);
}

static void pop(struct peer *p)
{
    struct request *r = p->waiting.first;
    take_out(&p->waiting, r);
    p->under_way--;
    request_done(p->a, r);
}

/* What is answered and has nothing before it leaves. */
static void send_answered(struct peer *p)
{
    while (p->waiting.first && p->waiting.first->answered && !p->broken) {
        send_answer(p, p->waiting.first, buf_str(&p->waiting.first->reply));
        pop(p);
    }
}

/* A request that waits for its answer, behind those before it. NULL: no memory. */
static struct request *request_begin(struct peer *p, size_t bytes)
{
    struct request *r = request_new(p->a);
    if (!r) {
        p->broken = true;
        return NULL;
    }
    r->peer = p;
    r->bytes = bytes;
    append(&p->waiting, r);
    p->under_way++;
    p->a->held += bytes;
    return r;
}

/* A broken block never gets to the host: its sender is told in its turn. */
static bool refuse_block(struct peer *p, char nak)
{
    struct request *r = request_begin(p, 0);
    if (!r) {
        return false;
    }
    r->nak = nak;
    r->answered = true;
    adapter_count(p->a->host, "broken_blocks", 1);
    log_warn("mllp.broken-block", "peer=%s reason=%c", net_peer(p->conn), nak);
    send_answered(p);
    return true;
}

/* Hands the frame over. False: the host did not take it, or it may not pass yet; it stays. */
static bool submit(struct peer *p)
{
    struct adapter *a = p->a;
    struct str message = p->frame;
    char nak = 'B';
    bool large = p->what == MLLP_TOO_LARGE;
    enum block_what what = !large                                ? block_read(p, &message, &nak)
                           : a->settings.framing == FRAMING_HLLP ? BLOCK_BROKEN
                                                                 : BLOCK_MESSAGE;
    if (what != BLOCK_MESSAGE) {
        return what == BLOCK_TOLD || refuse_block(p, nak);
    }
    struct request *r = gate_pass(p) ? request_begin(p, p->frame.n) : NULL;
    if (!r) {
        return false;
    }
    size_t bytes = r->bytes; /* the reply may come before the call returns: r is gone then */
    adapter_sender(a->host, net_peer_cert(p->conn));
    if (large ? adapter_submit_oversize(a->host, message, r)
              : adapter_submit(a->host, message, r)) {
        adapter_count(a->host, large ? "oversize" : "frames", 1);
        return true;
    }
    take_out(&p->waiting, r);
    request_done(a, r);
    p->under_way--;
    a->held -= bytes;
    a->host_full = true;
    a->refused = p;
    gate_give_back(p);
    settle_all(a);
    return false;
}

/* May free the peer at its end. */
static void pump(struct peer *p)
{
    struct adapter *a = p->a;
    if (p->pumping) {
        return;
    }
    p->pumping = true;
    while (!peer_blocked(p)) {
        if (p->what == MLLP_MORE) {
            p->what = mllp_next(&p->framer, &p->frame);
            p->input_done = p->what == MLLP_MORE;
        }
        if (p->what == MLLP_MORE || !submit(p)) {
            break;
        }
        p->what = MLLP_MORE;
    }
    p->pumping = false;
    account(p);
    settle(p);
    if (!finished(p)) {
        check_memory(a);
    }
}

void peer_reply(struct adapter *a, struct request *r, struct str reply)
{
    struct peer *p = r->peer;
    a->held -= r->bytes;
    r->bytes = 0;
    if (!p) {
        take_out(&a->orphans, r);
        request_done(a, r);
        adapter_count(a->host, "lost_replies", reply.n > 0);
        check_memory(a);
        return;
    }
    r->kept = adapter_kept(a->host);
    if (r != p->waiting.first) {
        buf_add(&r->reply, reply);
        r->answered = true;
        p->broken = p->broken || !buf_ok(&r->reply);
        check_memory(a);
        return;
    }
    send_answer(p, r, reply);
    pop(p);
    send_answered(p);
    pump(p);
}

/* Time has passed: those that were too fast may go on. */
void peers_unthrottle(struct adapter *a)
{
    struct peer *next;
    for (struct peer *p = a->peers; p; p = p->next) {
        p->throttled = false;
    }
    for (struct peer *p = a->peers; p && !a->host_full; p = next) {
        next = p->next;
        pump(p);
    }
}

void peers_go_on(struct adapter *a)
{
    struct peer *first = a->refused, *next;
    a->host_full = false;
    a->refused = NULL;
    if (first) {
        pump(first);
    }
    for (struct peer *p = a->peers; p && !a->host_full; p = next) {
        next = p->next;
        pump(p);
    }
}

void peers_drain(struct adapter *a)
{
    struct peer *next;
    a->draining = true;
    for (struct peer *p = a->peers; p; p = next) {
        next = p->next;
        settle(p);
        finished(p);
    }
}

void peers_free(struct adapter *a)
{
    struct request *r;
    a->draining = true;
    while (a->peers) {
        peer_hang_up(a->peers);
    }
    while ((r = a->orphans.first)) {
        take_out(&a->orphans, r);
        request_done(a, r);
    }
    while ((r = a->spare)) {
        a->spare = r->next;
        free(r);
    }
}

static void *on_accept(void *listener_ctx, struct net_conn *c)
{
    struct adapter *a = listener_ctx;
    struct source *source = gate_admit(a, c);
    struct peer *p = source ? calloc(1, sizeof *p) : NULL;
    if (source && !p) {
        gate_leave(source);
        log_warn("mllp.refused", "peer=%s reason=no-memory", net_peer(c));
        adapter_count(a->host, "connections_refused", 1);
    }
    if (!p) {
        return NULL;
    }
    p->source = source;
    p->a = a;
    p->conn = c;
    p->input_done = true;
    p->heard = clock_mono();
    mllp_init(&p->framer, (size_t)a->options->max_message);
    p->framer.marks = a->settings.marks;
    p->framer.lone_cr_ok = a->options->lone_fs;
    p->next = a->peers;
    p->prev = &a->peers;
    if (p->next) {
        p->next->prev = &p->next;
    }
    a->peers = p;
    a->count++;
    adapter_count(a->host, "connections", 1);
    if (net_peer_cert(c)[0]) {
        log_info("mllp.connected", "peer=%s subject=\"%s\"", net_peer(c), net_peer_cert(c));
    } else {
        log_info("mllp.connected", "peer=%s", net_peer(c));
    }
    settle(p);
    return p;
}

static void on_bytes(void *conn_ctx, struct str bytes)
{
    struct peer *p = conn_ctx;
    p->heard = clock_mono();
    mllp_feed(&p->framer, bytes);
    if (!buf_ok(&p->framer.in)) {
        peer_give_up(p, "no-memory");
        return;
    }
    p->input_done = false;
    pump(p);
}

static void on_drained(void *conn_ctx)
{
    struct peer *p = conn_ctx;
    if (!p->input_done) {
        pump(p);
    } else {
        settle(p);
    }
}

static void on_ended(void *conn_ctx)
{
    struct peer *p = conn_ctx;
    p->ended = true;
    if (p->framer.inside && p->input_done) {
        log_warn("mllp.truncated", "peer=%s bytes=%zu", net_peer(p->conn), p->buffered);
        adapter_count(p->a->host, "truncated", 1);
    }
    finished(p);
}

static void on_closed(void *conn_ctx, const char *why)
{
    struct peer *p = conn_ctx;
    log_info("mllp.gone", "peer=%s under_way=%lld reason=\"%s\"", net_peer(p->conn),
             (long long)p->under_way, why ? why : "closed");
    peer_free(p);
}

static void on_handshake_failed(void *listener_ctx, const char *peer, const char *why)
{
    const struct adapter *a = listener_ctx;
    log_warn("mllp.refused", "peer=%s reason=tls detail=\"%s\"", peer, why);
    adapter_count(a->host, "connections_refused", 1);
}

const struct net_handlers mllp_handlers = {.knock = gate_knock,
                                           .accept = on_accept,
                                           .bytes = on_bytes,
                                           .drained = on_drained,
                                           .ended = on_ended,
                                           .closed = on_closed,
                                           .handshake_failed = on_handshake_failed};
