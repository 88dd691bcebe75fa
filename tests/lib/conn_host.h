/*
 * For tests of connections: both ends over the loopback, plain or TLS, in one loop, and what
 * happened to each of them. To be included by one test program each.
 */
#ifndef DARI_TESTS_CONN_HOST_H
#define DARI_TESTS_CONN_HOST_H

#include "core/crypto/tls.h"
#include "core/net/net.h"
#include "tests/lib/certs.h"
#include "tests/lib/cm.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 4 * 1024 * 1024 };

static struct certs certs;
static char *big; /* BIG bytes that do not repeat with a short period */

/* One end of a connection and what happened to it. */
struct end {
    struct test *t;
    struct net_conn *conn;
    struct buf got;
    char why[200];
    int accepted, connected, drained, ended, closed;
};

struct test {
    struct net_loop *loop;
    struct net_listener *listener;
    struct tls *server_tls, *client_tls;
    struct end server, client;
    char failed[200]; /* the handshake */
    char cert[200];
    bool refuse, echo, hang_up, answer_big, pause_first;
    size_t stop_at;  /* bytes the client waits for */
    size_t taken;    /* by the server when it paused */
    int stop_closed; /* ends gone before the loop stops */
};

static inline void maybe_stop(struct test *t)
{
    if ((t->stop_at && t->client.got.n >= t->stop_at) ||
        (t->stop_closed && t->server.closed + t->client.closed >= t->stop_closed)) {
        net_loop_stop(t->loop);
    }
}

static inline void *on_accept(void *ctx, struct net_conn *c)
{
    struct test *t = ctx;
    t->server.accepted++;
    if (t->refuse) {
        return NULL;
    }
    t->server.conn = c;
    snprintf(t->cert, sizeof t->cert, "%s", net_peer_cert(c));
    return &t->server;
}

static inline void on_server_bytes(void *ctx, struct str bytes)
{
    struct end *me = ctx;
    struct test *t = me->t;
    buf_add(&me->got, bytes);
    if (t->hang_up) {
        net_close(me->conn, false);
    } else if (t->answer_big) {
        t->answer_big = false;
        net_send(me->conn, (struct str){big, BIG});
        net_close(me->conn, true);
    } else if (t->pause_first) {
        t->pause_first = false;
        t->taken = me->got.n;
        net_pause(me->conn, true);
    } else if (t->echo) {
        net_send(me->conn, bytes);
    }
    maybe_stop(t);
}

static inline void on_client_bytes(void *ctx, struct str bytes)
{
    struct end *me = ctx;
    buf_add(&me->got, bytes);
    maybe_stop(me->t);
}

static inline void on_drained(void *ctx)
{
    ((struct end *)ctx)->drained++;
}

static inline void on_closed(void *ctx, const char *why)
{
    struct end *me = ctx;
    me->closed++;
    me->conn = NULL;
    snprintf(me->why, sizeof me->why, "%s", why ? why : "orderly");
    maybe_stop(me->t);
}

static inline void on_failed(void *ctx, const char *peer, const char *why)
{
    struct test *t = ctx;
    assert_non_null(strstr(peer, "127.0.0.1:"));
    snprintf(t->failed, sizeof t->failed, "%s", why);
    net_loop_stop(t->loop);
}

static inline void on_connected(void *ctx)
{
    ((struct end *)ctx)->connected++;
}

static inline void on_ended(void *ctx)
{
    struct end *me = ctx;
    me->ended++;
    net_send(me->conn, STR("late answer"));
    net_close(me->conn, true);
}

static const struct net_handlers server_handlers = {.accept = on_accept,
                                                    .bytes = on_server_bytes,
                                                    .drained = on_drained,
                                                    .closed = on_closed,
                                                    .handshake_failed = on_failed};
static const struct net_handlers half_handlers = {
    .accept = on_accept, .bytes = on_server_bytes, .ended = on_ended, .closed = on_closed};
static const struct net_handlers client_handlers = {.bytes = on_client_bytes,
                                                    .drained = on_drained,
                                                    .closed = on_closed,
                                                    .connected = on_connected};

static inline void start(struct test *t, const struct net_handlers *h, int64_t handshake_ms)
{
    struct err e = {0};
    t->loop = net_loop_new(NULL);
    t->server.t = t->client.t = t;
    buf_init(&t->server.got, 64 * BIG);
    buf_init(&t->client.got, 64 * BIG);
    struct net_listen_options o = {
        .address = "127.0.0.1", .tls = t->server_tls, .handshake_ms = handshake_ms};
    assert_int_equal(net_listen(t->loop, &o, h, t, &t->listener, &e), ERR_NONE);
}

static inline void dial(struct test *t, const char *host)
{
    assert_int_equal(net_connect(t->loop, host, net_listener_port(t->listener), t->client_tls,
                                 &client_handlers, &t->client, &t->client.conn, NULL),
                     ERR_NONE);
}

static inline int dial_raw(const struct test *t)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)net_listener_port(t->listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void finish(struct test *t)
{
    net_listener_free(&t->listener);
    net_loop_free(&t->loop);
    tls_free(&t->server_tls);
    tls_free(&t->client_tls);
    buf_release(&t->server.got);
    buf_release(&t->client.got);
}

static inline void with_tls(struct test *t, enum tls_clients clients, const char *cert,
                            const char *key)
{
    struct tls_files server = {.cert = certs.server_cert, .key = certs.server_key, .ca = certs.ca};
    struct tls_files client = {.cert = cert, .key = key, .ca = certs.ca};
    assert_int_equal(tls_server(&server, clients, &t->server_tls, NULL), ERR_NONE);
    assert_int_equal(tls_client(&client, &t->client_tls, NULL), ERR_NONE);
}

static inline int setup(void **state)
{
    (void)state;
    big = malloc(BIG);
    for (unsigned i = 0, x = 1; big && i < BIG; i++) {
        x = x * 1664525 + 1013904223;
        big[i] = (char)(x >> 24);
    }
    return big && certs_make(&certs) ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    certs_remove(&certs);
    free(big);
    return 0;
}

#endif
