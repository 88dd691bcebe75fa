/*
 * Replies on a connection of our own (two-port mode): for senders that listen for their replies
 * elsewhere. One connection for the whole feed, opened when there is something to say and opened
 * again, after a while, when it is lost. While it is away replies wait, up to a limit; at the limit
 * nobody is read any more, so that nothing is taken that could not be answered. What was given to a
 * connection that breaks may be lost: the sender's repetition gets the stored reply.
 */
#include "adapters/mllp/mllp_internal.h"

#include "core/base/log.h"
#include "core/net/secure.h"

#include <stdlib.h>

enum { AGAIN_MS = 1000, WAITING_MAX = 1024 * 1024, UNSENT_MAX = 256 * 1024 };

struct answers {
    struct adapter *a;
    struct tls *tls;
    struct net_conn *conn;
    struct net_timer *again;
    struct buf waiting;
    bool open, told, full;
    bool armed; /* `again` will fire */
};

static void flush(struct answers *s)
{
    if (!s->open || net_queued(s->conn) > UNSENT_MAX || !s->waiting.n) {
        return;
    }
    net_send(s->conn, buf_str(&s->waiting));
    buf_reset(&s->waiting);
}

/* From the loop only: those who go on may end. */
static void go_on(struct answers *s)
{
    flush(s);
    if (s->full && s->waiting.n <= WAITING_MAX && buf_ok(&s->waiting)) {
        s->full = false;
        peers_go_on(s->a);
    }
}

static void try_again(struct answers *s)
{
    if (!s->armed) {
        s->armed = true;
        net_timer_set(s->again, AGAIN_MS);
    }
}

static void on_connected(void *ctx)
{
    struct answers *s = ctx;
    s->open = true;
    if (s->told) {
        log_info("mllp.answers", "state=connected peer=%s", net_peer(s->conn));
    }
    s->told = false;
    go_on(s);
}

static void lost(struct answers *s, const char *why)
{
    s->conn = NULL;
    s->open = false;
    if (!s->told) {
        log_warn("mllp.answers", "state=away to=%s reason=\"%s\"", s->a->options->reply_to, why);
    }
    s->told = true;
    if (s->waiting.n) {
        try_again(s);
    }
}

static void on_closed(void *ctx, const char *why)
{
    lost(ctx, why ? why : "closed");
}

static void on_bytes(void *ctx, struct str bytes)
{
    (void)ctx,
        (void)bytes; /* nobody answers an answer but with commit bytes, which change nothing */
}

static void on_drained(void *ctx)
{
    go_on(ctx);
}

static const struct net_handlers handlers = {
    .bytes = on_bytes, .drained = on_drained, .closed = on_closed, .connected = on_connected};

static void connect_now(void *ctx)
{
    struct answers *s = ctx;
    const struct mllp_settings *m = &s->a->settings;
    struct err e = {0};
    s->armed = false;
    if (!s->conn && net_connect(s->a->loop, m->reply_host, m->reply_port, s->tls, &handlers, s,
                                &s->conn, &e) != ERR_NONE) {
        lost(s, e.msg);
    }
}

enum err_code answers_open(struct adapter *a, struct err *e)
{
    const struct mllp_options *o = a->options;
    struct net_tls_files files = {.cert = o->cert, .key = o->key, .ca = o->ca};
    struct answers *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the adapter");
    }
    s->a = a;
    buf_init(&s->waiting, SIZE_MAX / 4);
    s->again = net_timer_new(a->loop, connect_now, s);
    enum err_code code = s->again ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a timer");
    if (code == ERR_NONE && o->tls) {
        code = net_tls_client(&files, &s->tls, e);
    }
    a->answers = s;
    if (code != ERR_NONE) {
        answers_free(&a->answers);
    }
    return code;
}

void answers_send(struct answers *s, struct str bytes)
{
    buf_add(&s->waiting, bytes);
    if (!s->conn && !s->told) {
        connect_now(s);
    } else if (!s->conn) {
        try_again(s);
    }
    flush(s);
    s->full = s->waiting.n > WAITING_MAX || !buf_ok(&s->waiting);
}

bool answers_full(const struct answers *s)
{
    return s && s->full;
}

void answers_free(struct answers **ps)
{
    struct answers *s = *ps;
    if (!s) {
        return;
    }
    if (s->conn) {
        net_close(s->conn, true);
    }
    if (s->again) {
        net_timer_free(&s->again);
    }
    net_tls_free(&s->tls);
    buf_release(&s->waiting);
    free(s);
    *ps = NULL;
}
