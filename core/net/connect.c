#include "core/net/net.h"

#include "core/crypto/tls.h"
#include "core/crypto/tls_io.h"
#include "core/net/net_internal.h"

#include <event2/dns.h>
#include <event2/util.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct net_search {
    struct evutil_addrinfo *found, *at;
    struct evdns_getaddrinfo_request *request;
    bool asking;
    char why[160];
};

void net_search_free(struct net_conn *c)
{
    struct net_search *s = c->search;
    if (!s || s->asking) {
        if (s && s->request) {
            struct evdns_getaddrinfo_request *request = s->request;
            s->request = NULL;
            evdns_getaddrinfo_cancel(request); /* calls found() with EVUTIL_EAI_CANCEL */
        }
        return;
    }
    if (s->found) {
        evutil_freeaddrinfo(s->found);
    }
    free(s);
    c->search = NULL;
}

static void failed(struct net_conn *c, const struct evutil_addrinfo *to, int why)
{
    char where[NET_PEER_TEXT];
    net_address_text(to->ai_addr, where);
    snprintf(c->search->why, sizeof c->search->why, "could not connect to %s: %s", where,
             why == ECONNREFUSED ? "connection refused" : strerror(why));
}

void net_search_next(struct net_conn *c)
{
    struct net_search *s = c->search;
    for (; s->at; s->at = s->at->ai_next) {
        const struct evutil_addrinfo *to = s->at;
        int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            failed(c, to, errno);
            continue;
        }
        net_nodelay(fd);
        if (connect(fd, to->ai_addr, to->ai_addrlen) != 0 && errno != EINPROGRESS) {
            failed(c, to, errno);
            close(fd);
            continue;
        }
        c->fd = fd;
        c->state = NET_CONNECTING;
        net_address_text(to->ai_addr, c->peer);
        net_conn_watch(c);
        event_add(&c->wr, NULL);
        return;
    }
    char why[sizeof s->why];
    memcpy(why, s->why, sizeof why);
    net_conn_finish(c, why);
}

void net_search_connected(struct net_conn *c)
{
    struct net_search *s = c->search;
    int why = 0;
    socklen_t n = sizeof why;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &n) == 0 && why == 0) {
        net_search_free(c);
        net_conn_ready(c);
        return;
    }
    failed(c, s->at, why);
    event_del(&c->wr);
    close(c->fd);
    c->fd = -1;
    s->at = s->at->ai_next;
    net_search_next(c);
}

static void found(int result, struct evutil_addrinfo *list, void *ctx)
{
    struct net_conn *c = ctx;
    struct net_search *s = c->search;
    s->asking = false;
    s->request = NULL;
    s->found = s->at = list;
    c->busy++;
    if (result != 0 && c->state != NET_DEAD) {
        snprintf(s->why, sizeof s->why, "could not look up the host: %s",
                 evutil_gai_strerror(result));
    }
    if (c->state != NET_DEAD) {
        event_active(&c->rd, EV_READ, 0); /* never from inside net_connect() */
    }
    net_conn_release(c);
}

static struct evdns_base *dns(struct net_loop *l)
{
    if (!l->dns) {
        l->dns = evdns_base_new(l->base, EVDNS_BASE_INITIALIZE_NAMESERVERS);
    }
    if (!l->dns) { /* no resolv.conf that can be used: the hosts file still is */
        l->dns = evdns_base_new(l->base, 0);
        if (l->dns) {
            evdns_base_load_hosts(l->dns, NULL);
        }
    }
    return l->dns;
}

static void look_up(struct net_conn *c, const char *host, int port)
{
    struct net_search *s = c->search;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV};
    struct evutil_addrinfo *list = NULL;
    s->asking = true;
    if (evutil_getaddrinfo(host, service, &hints, &list) == 0) {
        found(0, list, c);
        return;
    }
    if (!dns(c->loop)) {
        found(EVUTIL_EAI_MEMORY, NULL, c);
        return;
    }
    hints.ai_flags = EVUTIL_AI_NUMERICSERV;
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(c->loop->dns, host, service, &hints, found, c);
    if (s->asking) {
        s->request = request;
    }
}

enum err_code net_connect(struct net_loop *l, const char *host, int port, struct tls *tls,
                          const struct net_handlers *h, void *ctx, struct net_conn **out,
                          struct err *e)
{
    *out = NULL;
    struct net_conn *c = net_conn_new(l, -1);
    struct net_search *s = calloc(1, sizeof *s);
    void *session = tls ? tls_session(tls, host) : NULL;
    if (!c || !s || (tls && !session)) {
        free(s);
        if (session) {
            tls_io_free(&session);
        }
        if (c) {
            net_close(c, false);
        }
        return ERR(e, ERR_NOMEM, 0, "no memory for a connection");
    }
    c->h = h;
    c->ctx = ctx;
    c->tls = session;
    c->search = s;
    snprintf(c->peer, sizeof c->peer, "?");
    net_conn_deadline(c, NET_CONNECT_MS);
    look_up(c, host, port);
    *out = c;
    return ERR_NONE;
}
