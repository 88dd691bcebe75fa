#include "core/net/net.h"

#include "core/base/log.h"
#include "core/crypto/tls.h"
#include "core/crypto/tls_io.h"
#include "core/net/net_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Our owners have tighter limits; this one is against our bugs. */
enum { OUT_MAX = 256 * 1024 * 1024 };

static void ready(evutil_socket_t fd, short what, void *ctx);
static void too_late(evutil_socket_t fd, short what, void *ctx);

struct net_conn *net_conn_new(struct net_loop *l, int fd)
{
    struct net_conn *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->loop = l;
    c->fd = fd;
    buf_init(&c->out, OUT_MAX);
    event_assign(&c->deadline, l->base, -1, 0, too_late, c);
    net_conn_watch(c);
    c->next = l->conns;
    c->prev = &l->conns;
    if (c->next) {
        c->next->prev = &c->next;
    }
    l->conns = c;
    return c;
}

void net_conn_watch(struct net_conn *c)
{
    event_assign(&c->rd, c->loop->base, c->fd, EV_READ | EV_PERSIST, ready, c);
    event_assign(&c->wr, c->loop->base, c->fd, EV_WRITE, ready, c);
}

void net_conn_deadline(struct net_conn *c, int64_t ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    evtimer_add(&c->deadline, &tv);
}

static void close_socket(struct net_conn *c)
{
    event_del(&c->rd);
    event_del(&c->wr);
    event_del(&c->deadline);
    if (c->tls) {
        tls_io_free(&c->tls);
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
}

/* From now on nobody hears of it; the memory goes when the last frame on the stack has left it. */
static void die(struct net_conn *c)
{
    struct net_listener *l = c->listener;
    c->state = NET_DEAD;
    c->listener = NULL;
    close_socket(c);
    if (l) {
        net_listener_handshake(l, -1);
    }
    if (!c->busy) {
        c->busy++;
        net_conn_release(c);
    }
}

static void unlink_dirty(struct net_conn *c)
{
    struct net_conn **at = &c->loop->dirty;
    while (c->dirty && *at) {
        if (*at == c) {
            *at = c->dirty_next;
            c->dirty = false;
        } else {
            at = &(*at)->dirty_next;
        }
    }
}

void net_conn_release(struct net_conn *c)
{
    assert(c->busy > 0);
    if (--c->busy > 0 || c->state != NET_DEAD) {
        return;
    }
    net_search_free(c);
    if (c->search) {
        return; /* its lookup still has to end; that frees it */
    }
    unlink_dirty(c);
    *c->prev = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    buf_release(&c->out);
    free(c->cert);
    free(c);
}

/* The end as the owner hears of it. */
void net_conn_finish(struct net_conn *c, const char *why)
{
    if (c->state == NET_DEAD) {
        return;
    }
    bool accepted_handshake = c->state == NET_HANDSHAKE && c->listener;
    bool owned = c->state <= NET_OPEN && !accepted_handshake;
    c->busy++;
    if (accepted_handshake) {
        const struct net_listener_view *v = net_listener_view(c->listener);
        if (v->handlers->handshake_failed) {
            v->handlers->handshake_failed(v->ctx, c->peer, why ? why : "the peer hung up");
        }
    }
    if (c->state != NET_DEAD) {
        die(c);
        if (owned) {
            c->h->closed(c->ctx, why);
        }
    }
    net_conn_release(c);
}

void net_conn_linger(struct net_conn *c)
{
    if (c->tls) {
        tls_io_finish(c->tls);
    }
    if (c->ended || shutdown(c->fd, SHUT_WR) != 0) {
        die(c);
        return;
    }
    c->state = NET_LINGERING;
}

static void opened(struct net_conn *c)
{
    struct net_listener *l = c->listener;
    event_del(&c->deadline);
    event_add(&c->rd, NULL);
    c->state = NET_OPEN;
    if (c->tls) {
        c->cert = tls_io_subject(c->tls);
    }
    if (!l) {
        if (c->h->connected) {
            c->h->connected(c->ctx);
        }
    } else {
        const struct net_listener_view *v = net_listener_view(l);
        c->listener = NULL;
        if (c->tls) {
            net_listener_handshake(l, -1);
        }
        c->ctx = v->handlers->accept(v->ctx, c);
        if (!c->ctx && c->state != NET_DEAD) {
            die(c);
        }
    }
    if (c->state == NET_OPEN && c->out.n) {
        net_conn_dirty(c); /* what was sent before it stood */
    }
}

static void shake(struct net_conn *c)
{
    switch (tls_io_handshake(c->tls)) {
    case TLS_IO_DONE:
        opened(c);
        break;
    case TLS_IO_WANT_READ:
        event_add(&c->rd, NULL);
        break;
    case TLS_IO_WANT_WRITE:
        event_add(&c->wr, NULL);
        break;
    case TLS_IO_END:
        net_conn_finish(c, "the peer hung up during the TLS handshake");
        break;
    case TLS_IO_FAILED:
        net_conn_broken(c);
        break;
    }
}

static void ready(evutil_socket_t fd, short what, void *ctx)
{
    struct net_conn *c = ctx;
    (void)fd;
    c->busy++;
    switch (c->state) {
    case NET_FINDING:
        net_search_next(c);
        break;
    case NET_CONNECTING:
        net_search_connected(c);
        break;
    case NET_HANDSHAKE:
        shake(c);
        break;
    case NET_OPEN:
    case NET_FLUSHING:
    case NET_LINGERING:
        if (c->blocked) {
            net_conn_flush(c);
            if (c->state == NET_OPEN && c->paused && !c->blocked) {
                event_del(&c->rd);
            }
        }
        if (c->state != NET_DEAD && !c->ended && !(c->state == NET_OPEN && c->paused) &&
            (what & EV_READ || c->tls)) {
            net_conn_read(c);
        }
        break;
    case NET_DEAD:
        break;
    }
    net_conn_release(c);
}

static void too_late(evutil_socket_t fd, short what, void *ctx)
{
    struct net_conn *c = ctx;
    (void)fd;
    (void)what;
    switch (c->state) {
    case NET_FINDING:
    case NET_CONNECTING:
        net_conn_finish(c, "no connection in time");
        break;
    case NET_HANDSHAKE:
        net_conn_finish(c, "the TLS handshake took too long");
        break;
    case NET_OPEN:
        break;
    case NET_FLUSHING:
    case NET_LINGERING:
    case NET_DEAD:
        net_conn_finish(c, NULL);
        break;
    }
}

void net_conn_ready(struct net_conn *c)
{
    const struct net_listener_view *v = c->listener ? net_listener_view(c->listener) : NULL;
    if (!c->tls) {
        opened(c);
        return;
    }
    c->state = NET_HANDSHAKE;
    if (v) {
        net_listener_handshake(c->listener, 1);
        net_conn_deadline(c, v->handshake_ms);
    }
    if (!tls_io_attach(c->tls, c->fd, v != NULL)) {
        net_conn_finish(c, "no memory for a TLS session");
        return;
    }
    shake(c);
}

/* "10.0.0.7:51234": the same but for the port? */
static bool same_host(const char *a, const char *b)
{
    size_t n = (size_t)(strrchr(a, ':') - a);
    return strncmp(a, b, n + 1) == 0 && !strchr(b + n + 1, ':');
}

static bool too_many_handshakes(const struct net_conn *c, const struct net_listener *l)
{
    int same = 0;
    for (const struct net_conn *o = c->loop->conns; o; o = o->next) {
        same += o != c && o->listener == l && same_host(c->peer, o->peer);
    }
    return same >= NET_HANDSHAKES_SAME;
}

void net_conn_accepted(struct net_listener *l, int fd, const struct sockaddr *peer)
{
    const struct net_listener_view *v = net_listener_view(l);
    struct net_conn *c = net_conn_new(v->loop, fd);
    if (!c) {
        close(fd);
        log_error("net.accept-failed", "reason=\"out of memory\"");
        return;
    }
    net_address_text(peer, c->peer);
    c->h = v->handlers;
    c->listener = l;
    c->busy++;
    if (v->tls && too_many_handshakes(c, l)) {
        c->state = NET_HANDSHAKE;
        net_listener_handshake(l, 1);
        net_conn_finish(c, "too many handshakes of this address");
    } else if (v->tls) {
        c->tls = tls_session(v->tls, NULL);
        if (!c->tls) {
            c->listener = NULL;
            log_error("net.accept-failed", "reason=\"no TLS session\"");
            die(c);
        }
    }
    if (c->state != NET_DEAD) {
        net_conn_ready(c);
    }
    net_conn_release(c);
}

void net_conn_listener_gone(struct net_listener *l)
{
    struct net_conn *next;
    for (struct net_conn *c = l ? net_listener_view(l)->loop->conns : NULL; c; c = next) {
        next = c->next;
        if (c->listener == l) {
            die(c);
        }
    }
}

void net_conn_free_all(struct net_loop *l)
{
    struct net_conn *next;
    for (struct net_conn *c = l->conns; c; c = next) {
        next = c->next;
        die(c);
    }
}

void net_send(struct net_conn *c, struct str bytes)
{
    if (c->state > NET_OPEN || !bytes.n) {
        return;
    }
    buf_add(&c->out, bytes);
    if (c->state == NET_OPEN && !c->blocked) {
        net_conn_dirty(c);
    }
}

size_t net_queued(const struct net_conn *c)
{
    return c->out.n - c->out_at;
}

void net_pause(struct net_conn *c, bool paused)
{
    if (c->state != NET_OPEN || c->paused == paused) {
        return;
    }
    c->paused = paused;
    if (paused) {
        event_del(&c->rd);
    } else if (!c->ended) {
        event_add(&c->rd, NULL);
    }
}

void net_close(struct net_conn *c, bool after_flush)
{
    if (c->state == NET_DEAD) {
        return;
    }
    if (c->state != NET_OPEN || !after_flush) {
        die(c);
        return;
    }
    c->state = NET_FLUSHING;
    net_conn_deadline(c, NET_LINGER_MS);
    if (!c->ended) {
        event_add(&c->rd, NULL);
    }
    if (!c->blocked) {
        net_conn_dirty(c); /* not from here: the caller may be one of our own callbacks */
    }
}

const char *net_peer(const struct net_conn *c)
{
    return c->peer;
}

const char *net_peer_cert(const struct net_conn *c)
{
    return c->cert ? c->cert : "";
}
