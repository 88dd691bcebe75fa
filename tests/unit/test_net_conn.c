/* Listeners and connections over the loopback, plain and TLS. */
#include "tests/lib/conn_host.h"

#include <sys/resource.h>

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
             "could not listen on 127.0.0.1:%d: address already in use (another feed, another "
             "dari? choose another port in the configuration)",
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
        cmocka_unit_test(a_process_without_descriptors_keeps_its_peers_waiting),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, setup, teardown);
}
