/* The HTTP server over the loopback, with a host that answers at the end of each request. */
#include "core/net/http.h"
#include "tests/lib/cm.h"
#include "tests/lib/until.h"

#include <string.h>
#include <unistd.h>

struct test {
    struct net_loop *loop;
    struct net_http *server;
    struct net_request *request;
    struct net_conn *client;
    struct buf got; /* by the client */
    int heads, ends;
    size_t bytes; /* of bodies */
    bool closed;
};

static void on_head(void *ctx, struct net_request *r, void **context)
{
    struct test *t = ctx;
    t->heads++;
    t->request = r;
    *context = t;
}

static void on_body(void *context, struct str piece)
{
    ((struct test *)context)->bytes += piece.n;
}

static void on_end(void *context)
{
    struct test *t = context;
    t->ends++;
    net_request_answer(t->request, 200, NULL, NULL, STR(""));
}

static void on_gone(void *context)
{
    (void)context;
}

static void on_refused(void *ctx, const char *peer, int status, const char *why)
{
    (void)ctx, (void)peer, (void)status, (void)why;
}

static void on_bytes(void *ctx, struct str bytes)
{
    buf_add(&((struct test *)ctx)->got, bytes);
}

static void on_closed(void *ctx, const char *why)
{
    (void)why;
    ((struct test *)ctx)->closed = true;
}

static const struct net_http_handlers server_handlers = {
    .head = on_head, .body = on_body, .end = on_end, .gone = on_gone, .refused = on_refused};
static const struct net_handlers client_handlers = {.bytes = on_bytes, .closed = on_closed};

static int setup(void **state)
{
    static struct test t;
    t = (struct test){.loop = net_loop_new(NULL)};
    const struct net_http_options o = {.listen = {.address = "127.0.0.1"},
                                       .max_connections = 10,
                                       .max_per_address = 10,
                                       .max_body = 1000,
                                       .deadline_ms = 60000,
                                       .idle_ms = 60000};
    buf_init(&t.got, 1 << 20);
    assert_int_equal(net_http_listen(t.loop, &o, &server_handlers, &t, &t.server, NULL), ERR_NONE);
    assert_int_equal(net_connect(t.loop, "127.0.0.1", net_http_port(t.server), NULL,
                                 &client_handlers, &t, &t.client, NULL),
                     ERR_NONE);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    net_http_free(&t->server);
    net_loop_free(&t->loop);
    buf_release(&t->got);
    return 0;
}

/* Whole answers that the client has. */
static int answers(const struct test *t)
{
    int n = 0;
    for (const char *at = t->got.n ? t->got.p : ""; (at = strstr(at, "\r\n\r\n")); at += 4) {
        n++;
    }
    return n;
}

static bool two_answers(void *ctx)
{
    return answers(ctx) == 2;
}

static bool has_body(void *ctx)
{
    return ((struct test *)ctx)->bytes > 0;
}

#define POST "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"

static void requests_that_come_together_are_answered_in_turn(void **state)
{
    struct test *t = *state;
    net_send(t->client, STR(POST "four" POST "four"));
    run_until(t->loop, two_answers, t);
    assert_int_equal(t->heads, 2);
    assert_int_equal(t->bytes, 8);
}

static void a_request_behind_the_rest_of_a_body_does_not_wait(void **state)
{
    struct test *t = *state;
    net_send(t->client, STR(POST "fo"));
    run_until(t->loop, has_body, t);
    net_send(t->client, STR("ur" POST "four"));
    run_until(t->loop, two_answers, t);
    assert_int_equal(t->ends, 2);
    assert_false(t->closed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_that_come_together_are_answered_in_turn),
        TEST(a_request_behind_the_rest_of_a_body_does_not_wait),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
