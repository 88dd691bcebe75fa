#define _GNU_SOURCE /* accept4 */

#include "core/net/net.h"

#include "core/base/log.h"
#include "core/net/net_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPT_BURST = 64, /* new peers a turn: those already connected get their turn too */
    ACCEPT_RETRY_MS = 100,
    DEFAULT_HANDSHAKE_MS = 5000
};

struct net_listener {
    struct net_listener_view view;
    int fd, keepalive_s;
    struct event *ev;
    struct net_timer *retry;
    int handshakes;
    bool paused;  /* by the owner */
    bool starved; /* no descriptor for another peer: waiting for the retry timer */
    bool told;    /* that one is starved: once per condition */
};

const struct net_listener_view *net_listener_view(const struct net_listener *l)
{
    return &l->view;
}

static void settle(struct net_listener *l)
{
    if (l->paused || l->starved || l->handshakes >= NET_HANDSHAKES) {
        event_del(l->ev);
    } else {
        event_add(l->ev, NULL);
    }
}

void net_listener_handshake(struct net_listener *l, int by)
{
    l->handshakes += by;
    settle(l);
}

void net_listener_pause(struct net_listener *l, bool paused)
{
    l->paused = paused;
    settle(l);
}

void net_listener_set_tls(struct net_listener *l, struct tls *tls)
{
    l->view.tls = tls;
}

static void try_again(void *ctx)
{
    struct net_listener *l = ctx;
    l->starved = false;
    settle(l);
}

/* The peer stays in the backlog, where it waits without being lost; spinning on it would not help.
 */
static void starve(struct net_listener *l, int why)
{
    if (!l->told) {
        log_warn("net.accept-failed", "reason=\"%s\" retry_ms=%d", strerror(why), ACCEPT_RETRY_MS);
    }
    l->told = true;
    l->starved = true;
    settle(l);
    net_timer_set(l->retry, ACCEPT_RETRY_MS);
}

static void keep_alive(int fd, int seconds)
{
    int on = 1, interval = 10, probes = 3;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static bool turned_away(const struct net_listener *l, const struct sockaddr *peer)
{
    char text[NET_PEER_TEXT];
    net_address_text(peer, text);
    return l->view.handlers->knock && !l->view.handlers->knock(l->view.ctx, text);
}

static void acceptable(evutil_socket_t fd, short what, void *ctx)
{
    struct net_listener *l = ctx;
    (void)what;
    for (int i = 0; i < ACCEPT_BURST; i++) {
        if (l->paused || l->handshakes >= NET_HANDSHAKES) {
            return;
        }
        struct sockaddr_storage peer;
        socklen_t n = sizeof peer;
        int got = accept4(fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got >= 0) {
            l->told = false;
            if (turned_away(l, (struct sockaddr *)&peer)) {
                close(got);
                continue;
            }
            net_nodelay(got);
            if (l->keepalive_s > 0) {
                keep_alive(got, l->keepalive_s);
            }
            net_conn_accepted(l, got, (struct sockaddr *)&peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            starve(l, errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else that one peer is gone already */
    }
}

static bool address_of(const char *address, int port, struct sockaddr_storage *out, socklen_t *n)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &in.sin_addr) == 1) {
        memcpy(out, &in, *n = sizeof in);
        return true;
    }
    if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1) {
        memcpy(out, &in6, *n = sizeof in6);
        return true;
    }
    return false;
}

static enum err_code listen_failed(const struct sockaddr *sa, int why, struct err *e)
{
    char where[NET_PEER_TEXT];
    net_address_text(sa, where);
    switch (why) {
    case EADDRINUSE:
        return ERR(
            e, ERR_IO, 0,
            "could not listen on %s: address already in use (another feed, another dari? choose "
            "another port in the configuration)",
            where);
    case EADDRNOTAVAIL:
        return ERR(
            e, ERR_IO, 0,
            "could not listen on %s: this machine has no such address (127.0.0.1 is for this "
            "machine alone, 0.0.0.0 for all networks)",
            where);
    case EACCES:
        return ERR(e, ERR_IO, 0,
                   "could not listen on %s: permission denied (choose a port from 1024 up)", where);
    default:
        return ERR(e, ERR_IO, 0, "could not listen on %s: %s", where, strerror(why));
    }
}

static enum err_code open_socket(const struct net_listen_options *o, int *out, struct err *e)
{
    struct sockaddr_storage at;
    socklen_t n;
    int on = 1;
    if (!o->address || !address_of(o->address, o->port, &at, &n)) {
        return ERR(e, ERR_CONFIG, 0,
                   "address must be a numeric IP address (127.0.0.1, 0.0.0.0, ::)");
    }
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return listen_failed((struct sockaddr *)&at, errno, e);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, SOMAXCONN) != 0) {
        int why = errno;
        close(fd);
        return listen_failed((struct sockaddr *)&at, why, e);
    }
    *out = fd;
    return ERR_NONE;
}

enum err_code net_listen(struct net_loop *loop, const struct net_listen_options *o,
                         const struct net_handlers *h, void *ctx, struct net_listener **out,
                         struct err *e)
{
    *out = NULL;
    struct net_listener *l = calloc(1, sizeof *l);
    if (!l) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a listener");
    }
    l->view = (struct net_listener_view){
        .loop = loop,
        .tls = o->tls,
        .handlers = h,
        .ctx = ctx,
        .handshake_ms = o->handshake_ms > 0 ? o->handshake_ms : DEFAULT_HANDSHAKE_MS};
    l->keepalive_s = o->keepalive_s;
    l->fd = -1;
    enum err_code code = open_socket(o, &l->fd, e);
    if (code == ERR_NONE) {
        l->ev = event_new(loop->base, l->fd, EV_READ | EV_PERSIST, acceptable, l);
        l->retry = net_timer_new(loop, try_again, l);
        if (!l->ev || !l->retry || event_add(l->ev, NULL) != 0) {
            code = ERR(e, ERR_NOMEM, 0, "no memory for a listener");
        }
    }
    if (code != ERR_NONE) {
        net_listener_free(&l);
        return code;
    }
    *out = l;
    return ERR_NONE;
}

int net_listener_port(const struct net_listener *l)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (getsockname(l->fd, (struct sockaddr *)&at, &n) != 0) {
        return 0;
    }
    if (at.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &at, sizeof in6);
        return ntohs(in6.sin6_port);
    }
    struct sockaddr_in in;
    memcpy(&in, &at, sizeof in);
    return ntohs(in.sin_port);
}

void net_listener_free(struct net_listener **l)
{
    if (!*l) {
        return;
    }
    net_conn_listener_gone(*l);
    if ((*l)->ev) {
        event_free((*l)->ev);
    }
    net_timer_free(&(*l)->retry);
    if ((*l)->fd >= 0) {
        close((*l)->fd);
    }
    free(*l);
    *l = NULL;
}
