/* The HTTP adapter against a host that the test plays: what it holds, and for how long.
 */
#include "adapters/http/http.h"
#include "adapters/http/http_internal.h"
#include "core/base/num.h"
#include "core/net/net.h"
#include "tests/lib/cm.h"
#include "tests/lib/tallies.h"
#include "tests/lib/until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGE = 32 * 1024 * 1024 }; /* more than sockets hold between them */

struct adapter_host {
    struct net_loop *loop;
    struct arena *memory;
    struct adapter *adapter;
    struct tallies counters;
    void *ticket;    /* of the newest message taken */
    int taken, room; /* messages; how many more it takes */
    struct buf got;  /* by the client */
};

bool adapter_submit(struct adapter_host *h, struct str message, void *ticket)
{
    (void)message;
    if (h->room == 0) {
        return false;
    }
    h->room--;
    h->taken++;
    h->ticket = ticket;
    return true;
}

bool adapter_submit_file(struct adapter_host *h, const struct adapter_file *f, void *ticket)
{
    (void)h, (void)f, (void)ticket;
    return false;
}

void adapter_sender(struct adapter_host *h, const char *subject)
{
    (void)h, (void)subject;
}

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    tallies_add(&h->counters, counter, by);
}

static void on_bytes(void *ctx, struct str bytes)
{
    buf_add(&((struct adapter_host *)ctx)->got, bytes);
}

static void on_closed(void *ctx, const char *why)
{
    (void)ctx, (void)why;
}

static const struct net_handlers client_handlers = {.bytes = on_bytes, .closed = on_closed};

static void set(struct adapter_host *h, void *options, const char *name, const char *value)
{
    const struct option_row *row = option_find(adapter_http.options, str_of(name));
    assert_int_equal(option_set(h->memory, row, options, str_of(value), NULL), ERR_NONE);
}

static int setup(void **state)
{
    struct adapter_host *h = calloc(1, sizeof *h);
    h->loop = net_loop_new(NULL);
    h->memory = arena_new(0);
    void *options = arena_alloc(h->memory, adapter_http.options_size);
    option_defaults(adapter_http.options, options);
    set(h, options, "port", "0");
    set(h, options, "max-message", "1k");
    set(h, options, "max-in-flight", "1k");
    buf_init(&h->got, LARGE * 2);
    *state = h;
    return adapter_http.start(h, h->loop, options, &h->adapter, NULL) == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
    struct adapter_host *h = *state;
    adapter_http.stop(&h->adapter);
    net_loop_free(&h->loop);
    buf_release(&h->got);
    arena_free(&h->memory);
    free(h);
    return 0;
}

static bool is_taken(void *ctx)
{
    return ((struct adapter_host *)ctx)->taken == 1;
}

static bool two_requests(void *ctx)
{
    return tallies_value(&((struct adapter_host *)ctx)->counters, "requests") == 2;
}

static bool nothing_left(void *ctx)
{
    return ((struct adapter_host *)ctx)->adapter->all == NULL;
}

/* Its answers pile up unread, so its end is seen while the second message waits for room. */
static void a_message_whose_sender_left_does_not_wait_for_room(void **state)
{
    struct adapter_host *h = *state;
    struct net_conn *client;
    static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                               "Content-Type: application/hl7-v2\r\n\r\nMSH|^";
    h->room = 1;
    assert_int_equal(net_connect(h->loop, "127.0.0.1", http_port(h->adapter), NULL,
                                 &client_handlers, h, &client, NULL),
                     ERR_NONE);
    net_send(client, str_of(post));
    run_until(h->loop, is_taken, h);
    net_pause(client, true);
    char *large = calloc(1, LARGE);
    adapter_http.reply(h->adapter, h->ticket, (struct str){large, LARGE});
    free(large);
    net_send(client, str_of(post));
    run_until(h->loop, two_requests, h);
    net_close(client, false);
    run_until(h->loop, nothing_left, h);
    h->room = 1;
    adapter_http.resume(h->adapter);
    assert_int_equal(h->taken, 1);
}

static int goal;

static bool taken_or_answered(void *ctx)
{
    const struct adapter_host *h = ctx;
    return h->taken == goal || (h->got.n && strstr(h->got.p, "\r\n\r\n"));
}

static int status_of(const struct adapter_host *h)
{
    int64_t n = 0;
    assert_int_equal(num_i64(str_cut(buf_str(&h->got), 9, 12), 100, 599, &n, NULL), ERR_NONE);
    return (int)n;
}

/* A message of 600 bytes, its length told or not; the status of the answer, 0 when it was taken. */
static int post(struct adapter_host *h, bool chunked)
{
    struct net_conn *client;
    char text[2000], body[601];
    int before = h->taken;
    memset(body, 'x', 600);
    body[600] = '\0';
    int n = snprintf(text, sizeof text,
                     "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/hl7-v2\r\n%s\r\n\r\n"
                     "%s%s%s",
                     chunked ? "Transfer-Encoding: chunked" : "Content-Length: 600",
                     chunked ? "258\r\n" : "", body, chunked ? "\r\n0\r\n\r\n" : "");
    buf_reset(&h->got);
    assert_int_equal(net_connect(h->loop, "127.0.0.1", http_port(h->adapter), NULL,
                                 &client_handlers, h, &client, NULL),
                     ERR_NONE);
    net_send(client, (struct str){text, (size_t)n});
    goal = before + 1;
    run_until(h->loop, taken_or_answered, h);
    return h->taken > before ? 0 : status_of(h);
}

static void messages_under_way_are_limited_in_bytes(void **state)
{
    struct adapter_host *h = *state;
    h->room = 10;
    assert_int_equal(post(h, false), 0);
    assert_int_equal(post(h, false), 503);
    assert_int_equal(post(h, true), 503);
    assert_int_equal(h->adapter->held, 600); /* what was turned away is not counted */
    adapter_http.reply(h->adapter, h->ticket, STR("MSA|AA"));
    assert_int_equal(h->adapter->held, 0);
    assert_int_equal(post(h, true), 0);
    assert_int_equal(post(h, false), 503);
}

static void wrong_options_are_named(void **state)
{
    static const struct {
        const char *name, *value, *says;
    } rows[] = {
        {"path", "inbox", "path must begin with /"},
        {"max-in-flight", "1m", "max-in-flight must be at least max-message"},
        {"clients", "required", "need tls=\"yes\""},
        {"tls", "yes", "certificate"},
        {"tokens", "/nonexistent/tokens", "/nonexistent/tokens"},
    };
    struct adapter_host *h = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct problems p = {0};
        void *options = arena_alloc(h->memory, adapter_http.options_size);
        option_defaults(adapter_http.options, options);
        set(h, options, rows[i].name, rows[i].value);
        adapter_http.check(options, "f", 7, &p);
        assert_row(p.count == 1 && strstr(p.text, "f:7: ") && strstr(p.text, rows[i].says),
                   rows[i].says);
        problems_release(&p);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_options_are_named),
        TEST(messages_under_way_are_limited_in_bytes),
        TEST(a_message_whose_sender_left_does_not_wait_for_room),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
