/* The HTTP adapter against a host that the test plays: whose request it is when a peer breaks off.
 */
#include "adapters/http/http.h"
#include "adapters/http/http_internal.h"
#include "core/net/net.h"
#include "tests/lib/cm.h"
#include "tests/lib/tallies.h"
#include "tests/lib/until.h"

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
    (void)ctx, (void)bytes;
}

static void on_closed(void *ctx, const char *why)
{
    (void)ctx, (void)why;
}

static const struct net_handlers client_handlers = {.bytes = on_bytes, .closed = on_closed};

static int setup(void **state)
{
    struct adapter_host *h = calloc(1, sizeof *h);
    h->loop = net_loop_new(NULL);
    h->memory = arena_new(0);
    void *options = arena_alloc(h->memory, adapter_http.options_size);
    option_defaults(adapter_http.options, options);
    option_set(h->memory, option_find(adapter_http.options, STR("port")), options, STR("0"), NULL);
    *state = h;
    return adapter_http.start(h, h->loop, options, &h->adapter, NULL) == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
    struct adapter_host *h = *state;
    adapter_http.stop(&h->adapter);
    net_loop_free(&h->loop);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_whose_sender_left_does_not_wait_for_room),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
