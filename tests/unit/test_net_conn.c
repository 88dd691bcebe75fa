/* Listeners and connections over the loopback, plain and TLS, both ends in one loop. */
#include "core/net/net.h"

#include "core/crypto/tls.h"
#include "tests/lib/certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

static void maybe_stop(struct test *t)
{
    if ((t->stop_at && t->client.got.n >= t->stop_at) ||
        (t->stop_closed && t->server.closed + t->client.closed >= t->stop_closed)) {
        net_loop_stop(t->loop);
    }
}

static void *on_accept(void *ctx, struct net_conn *c)
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

static void on_server_bytes(void *ctx, struct str bytes)
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

static void on_client_bytes(void *ctx, struct str bytes)
{
    struct end *me = ctx;
    buf_add(&me->got, bytes);
    maybe_stop(me->t);
}

static void on_drained(void *ctx)
{
    ((struct end *)ctx)->drained++;
}

static void on_closed(void *ctx, const char *why)
{
    struct end *me = ctx;
    me->closed++;
    me->conn = NULL;
    snprintf(me->why, sizeof me->why, "%s", why ? why : "orderly");
    maybe_stop(me->t);
}

static void on_failed(void *ctx, const char *peer, const char *why)
{
    struct test *t = ctx;
    assert_non_null(strstr(peer, "127.0.0.1:"));
    snprintf(t->failed, sizeof t->failed, "%s", why);
    net_loop_stop(t->loop);
}

static void on_connected(void *ctx)
{
    ((struct end *)ctx)->connected++;
}

static void on_ended(void *ctx)
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

static void start(struct test *t, const struct net_handlers *h, int64_t handshake_ms)
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

static void dial(struct test *t, const char *host)
{
    assert_int_equal(net_connect(t->loop, host, net_listener_port(t->listener), t->client_tls,
                                 &client_handlers, &t->client, &t->client.conn, NULL),
                     ERR_NONE);
}

static int dial_raw(const struct test *t)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)net_listener_port(t->listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void finish(struct test *t)
{
    net_listener_free(&t->listener);
    net_loop_free(&t->loop);
    tls_free(&t->server_tls);
    tls_free(&t->client_tls);
    buf_release(&t->server.got);
    buf_release(&t->client.got);
}

static void with_tls(struct test *t, enum tls_clients clients, const char *cert, const char *key)
{
    struct tls_files server = {.cert = certs.server_cert, .key = certs.server_key, .ca = certs.ca};
    struct tls_files client = {.cert = cert, .key = key, .ca = certs.ca};
    assert_int_equal(tls_server(&server, clients, &t->server_tls, NULL), ERR_NONE);
    assert_int_equal(tls_client(&client, &t->client_tls, NULL), ERR_NONE);
}

static void same(const struct buf *got)
{
    assert_int_equal(got->n, BIG);
    assert_memory_equal(got->p, big, BIG);
}

static void echo(struct test *t, const char *host)
{
    t->echo = true;
    t->stop_at = BIG;
    start(t, &server_handlers, 0);
    dial(t, host);
    net_send(t->client.conn, (struct str){big, BIG / 2}); /* before the connection stands */
    net_send(t->client.conn, (struct str){big + BIG / 2, BIG / 2});
    net_loop_run(t->loop);
    same(&t->client.got);
    assert_int_equal(t->client.connected, 1);
    assert_true(t->client.drained > 0);
    assert_string_equal(t->client.why, "");
    finish(t);
}

static void what_is_sent_comes_back(void **state)
{
    (void)state;
    struct test plain = {0}, named = {0};
    echo(&plain, "127.0.0.1");
    echo(&named, "localhost");
}

static void what_is_sent_comes_back_through_tls(void **state)
{
    (void)state;
    struct test t = {0};
    with_tls(&t, TLS_CLIENTS_NONE, NULL, NULL);
    echo(&t, "localhost");
    assert_string_equal(t.cert, "");
}

static void unpause(void *ctx)
{
    struct test *t = ctx;
    assert_int_equal(t->server.got.n, t->taken);
    assert_true(net_queued(t->client.conn) > 0 || t->client.drained);
    net_pause(t->server.conn, false);
}

static void pause_and_go_on(struct test *t)
{
    t->pause_first = true;
    t->echo = true;
    start(t, &server_handlers, 0);
    dial(t, "localhost");
    net_send(t->client.conn, (struct str){big, BIG});
    struct net_timer *timer = net_timer_new(t->loop, unpause, t);
    net_timer_set(timer, 300);
    t->stop_at = 1;
    net_loop_run(t->loop); /* the first echo comes after the pause */
    t->stop_at = BIG - t->taken;
    net_loop_run(t->loop);
    same(&t->server.got);
    net_timer_free(&timer);
    finish(t);
}

static void a_paused_connection_is_not_read(void **state)
{
    (void)state;
    struct test plain = {0}, tls = {0};
    pause_and_go_on(&plain);
    with_tls(&tls, TLS_CLIENTS_NONE, NULL, NULL);
    pause_and_go_on(&tls);
}

/* The server answers at the first bytes and closes, while the client's bytes still come. */
static void close_with_answer(struct test *t)
{
    t->answer_big = true;
    t->stop_closed = 1;
    start(t, &server_handlers, 0);
    dial(t, "localhost");
    net_send(t->client.conn, (struct str){big, BIG});
    net_loop_run(t->loop);
    same(&t->client.got);
    assert_int_equal(t->client.closed, 1);
    assert_string_equal(t->client.why, "orderly");
    assert_int_equal(t->server.closed, 0); /* it closed by itself: nothing to tell */
    finish(t);
}

static void the_last_answer_survives_the_close(void **state)
{
    (void)state;
    struct test plain = {0}, tls = {0};
    close_with_answer(&plain);
    with_tls(&tls, TLS_CLIENTS_NONE, NULL, NULL);
    close_with_answer(&tls);
}

static void a_callback_may_close_its_own_connection(void **state)
{
    (void)state;
    struct test t = {.hang_up = true, .stop_closed = 1};
    start(&t, &server_handlers, 0);
    dial(&t, "127.0.0.1");
    net_send(t.client.conn, STR("x"));
    net_loop_run(t.loop);
    assert_int_equal(t.client.closed, 1);
    assert_int_equal(t.server.closed, 0);
    finish(&t);
}

static void a_refused_peer_is_hung_up_on(void **state)
{
    (void)state;
    struct test t = {.refuse = true, .stop_closed = 1};
    start(&t, &server_handlers, 0);
    dial(&t, "127.0.0.1");
    net_loop_run(t.loop);
    assert_int_equal(t.server.accepted, 1);
    assert_int_equal(t.client.closed, 1);
    finish(&t);
}

static void read_to_the_end(void *ctx, int ready)
{
    struct end *me = ctx;
    char chunk[64];
    (void)ready;
    ssize_t n = read(me->closed, chunk, sizeof chunk); /* `closed` holds the descriptor here */
    if (n > 0) {
        buf_add(&me->got, (struct str){chunk, (size_t)n});
    } else {
        net_loop_stop(me->t->loop);
    }
}

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
    (void)state;
    struct test t = {0};
    start(&t, &half_handlers, 0);
    t.client.closed = dial_raw(&t);
    assert_int_equal(write(t.client.closed, "question", 8), 8);
    shutdown(t.client.closed, SHUT_WR);
    struct net_watch *w = net_watch_new(t.loop, t.client.closed, read_to_the_end, &t.client);
    net_watch_want(w, NET_READ);
    net_loop_run(t.loop);
    assert_int_equal(t.server.ended, 1);
    assert_true(str_is(buf_str(&t.server.got), "question"));
    assert_true(str_is(buf_str(&t.client.got), "late answer"));
    net_watch_free(&w);
    close(t.client.closed);
    finish(&t);
}

static void a_taken_port_says_what_to_do(void **state)
{
    (void)state;
    struct test t = {0};
    struct net_listener *second;
    struct err e = {0};
    char expected[200];
    start(&t, &server_handlers, 0);
    struct net_listen_options o = {.address = "127.0.0.1", .port = net_listener_port(t.listener)};
    assert_int_equal(net_listen(t.loop, &o, &server_handlers, &t, &second, &e), ERR_IO);
    assert_null(second);
    snprintf(expected, sizeof expected,
             "could not listen on 127.0.0.1:%d: address already in use (another dari running? "
             "choose another port in the configuration)",
             o.port);
    assert_string_equal(e.msg, expected);
    o.address = "emr.example";
    assert_int_equal(net_listen(t.loop, &o, &server_handlers, &t, &second, &e), ERR_CONFIG);
    o.address = "192.0.2.1";
    assert_int_equal(net_listen(t.loop, &o, &server_handlers, &t, &second, &e), ERR_IO);
    assert_non_null(strstr(e.msg, "could not listen on 192.0.2.1:"));
    finish(&t);
}

static void a_refused_connection_says_so(void **state)
{
    (void)state;
    struct test t = {.stop_closed = 1};
    start(&t, &server_handlers, 0);
    int port = net_listener_port(t.listener);
    net_listener_free(&t.listener);
    assert_int_equal(net_connect(t.loop, "127.0.0.1", port, NULL, &client_handlers, &t.client,
                                 &t.client.conn, NULL),
                     ERR_NONE);
    assert_int_equal(t.client.closed, 0); /* never from inside the call */
    net_loop_run(t.loop);
    char expected[100];
    snprintf(expected, sizeof expected, "could not connect to 127.0.0.1:%d: connection refused",
             port);
    assert_string_equal(t.client.why, expected);
    finish(&t);
}

static void a_required_certificate_is_seen(void **state)
{
    (void)state;
    struct test t = {.echo = true, .stop_at = 1};
    with_tls(&t, TLS_CLIENTS_REQUIRED, certs.client_cert, certs.client_key);
    start(&t, &server_handlers, 0);
    dial(&t, "localhost");
    net_send(t.client.conn, STR("x"));
    net_loop_run(t.loop);
    assert_string_equal(t.cert, "CN=emr.test");
    finish(&t);
}

static void a_handshake_fails_with_its_reason(void **state)
{
    (void)state;
    const struct {
        const char *cert, *key, *why;
    } cases[] = {
        {NULL, NULL, "peer did not return a certificate"},
        {certs.other_cert, certs.other_key, "certificate not accepted: self-signed certificate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test t = {0};
        with_tls(&t, TLS_CLIENTS_REQUIRED, cases[i].cert, cases[i].key);
        start(&t, &server_handlers, 0);
        dial(&t, "localhost");
        net_loop_run(t.loop);
        assert_string_equal(t.failed, cases[i].why);
        assert_int_equal(t.server.accepted, 0);
        finish(&t);
    }
}

static void strangers_on_a_tls_port_are_told_apart(void **state)
{
    (void)state;
    const struct {
        const char *says, *why;
    } cases[] = {{"\x0bMSH|^~\\&|plain text\r\x1c\r", "wrong version number"},
                 {"", "the TLS handshake took too long"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test t = {0};
        with_tls(&t, TLS_CLIENTS_NONE, NULL, NULL);
        start(&t, &server_handlers, 50);
        int fd = dial_raw(&t);
        size_t n = strlen(cases[i].says);
        assert_int_equal(write(fd, cases[i].says, n), n);
        net_loop_run(t.loop);
        assert_string_equal(t.failed, cases[i].why);
        close(fd);
        finish(&t);
    }
}

/* Silent peers of one address leave room for the handshakes of others. */
static void one_address_does_not_hold_all_handshakes(void **state)
{
    (void)state;
    int fds[65];
    struct test t = {0};
    with_tls(&t, TLS_CLIENTS_NONE, NULL, NULL);
    start(&t, &server_handlers, 60000);
    for (size_t i = 0; i < 65; i++) {
        fds[i] = dial_raw(&t);
    }
    net_loop_run(t.loop);
    assert_string_equal(t.failed, "too many handshakes of this address");
    for (size_t i = 0; i < 65; i++) {
        close(fds[i]);
    }
    finish(&t);
}

static void a_wrong_server_name_is_refused(void **state)
{
    (void)state;
    struct test t = {.stop_closed = 1};
    struct tls_files client = {.ca = certs.other_cert};
    with_tls(&t, TLS_CLIENTS_NONE, NULL, NULL);
    tls_free(&t.client_tls);
    assert_int_equal(tls_client(&client, &t.client_tls, NULL), ERR_NONE);
    start(&t, &half_handlers, 0);
    dial(&t, "localhost");
    net_loop_run(t.loop);
    assert_non_null(strstr(t.client.why, "certificate not accepted: "));
    assert_int_equal(t.client.connected, 0);
    finish(&t);
}

static void give_descriptors(void *ctx)
{
    const struct rlimit *limit = ctx;
    setrlimit(RLIMIT_NOFILE, limit);
}

static void a_process_without_descriptors_keeps_its_peers_waiting(void **state)
{
    (void)state;
    struct test t = {.echo = true};
    start(&t, &server_handlers, 0);
    int fd = dial_raw(&t);
    assert_int_equal(write(fd, "x", 1), 1);
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    setrlimit(RLIMIT_NOFILE, &none);
    struct net_timer *timer = net_timer_new(t.loop, give_descriptors, &before);
    net_timer_set(timer, 150);
    struct net_watch *w = net_watch_new(t.loop, fd, read_to_the_end, &t.client);
    t.client.closed = fd;
    net_watch_want(w, NET_READ);
    struct net_timer *look = net_timer_new(t.loop, (void (*)(void *))net_loop_stop, t.loop);
    net_timer_set(look, 100);
    net_loop_run(t.loop);
    assert_int_equal(t.server.accepted, 0);
    while (t.client.got.n == 0) {
        net_timer_set(look, 20);
        net_loop_run(t.loop);
    }
    assert_int_equal(t.server.accepted, 1);
    net_timer_free(&look);
    net_timer_free(&timer);
    net_watch_free(&w);
    close(fd);
    finish(&t);
}

static int setup(void **state)
{
    (void)state;
    big = malloc(BIG);
    for (unsigned i = 0, x = 1; big && i < BIG; i++) {
        x = x * 1664525 + 1013904223;
        big[i] = (char)(x >> 24);
    }
    return big && certs_make(&certs) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    certs_remove(&certs);
    free(big);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_comes_back),
        cmocka_unit_test(what_is_sent_comes_back_through_tls),
        cmocka_unit_test(a_paused_connection_is_not_read),
        cmocka_unit_test(the_last_answer_survives_the_close),
        cmocka_unit_test(a_callback_may_close_its_own_connection),
        cmocka_unit_test(a_refused_peer_is_hung_up_on),
        cmocka_unit_test(a_half_closed_peer_still_gets_its_answer),
        cmocka_unit_test(a_taken_port_says_what_to_do),
        cmocka_unit_test(a_refused_connection_says_so),
        cmocka_unit_test(a_required_certificate_is_seen),
        cmocka_unit_test(a_handshake_fails_with_its_reason),
        cmocka_unit_test(one_address_does_not_hold_all_handshakes),
        cmocka_unit_test(strangers_on_a_tls_port_are_told_apart),
        cmocka_unit_test(a_wrong_server_name_is_refused),
        cmocka_unit_test(a_process_without_descriptors_keeps_its_peers_waiting),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, setup, teardown);
}
