#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/stream/door.h"
#include "core/stream/socket.h"
#include "core/stream/zap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/dari-zap-XXXXXX";
static char endpoint[64], server_public[CURVE_TEXT], server_secret[CURVE_TEXT];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || curve_pair(server_public, server_secret, NULL) != ERR_NONE) {
        return -1;
    }
    snprintf(endpoint, sizeof endpoint, "ipc://%s/s", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/s", folder);
    unlink(path);
    return rmdir(folder);
}

/* Knocks and turns a small loop until it is decided. */
static enum door_state knock(void *context, struct zap *zap, const struct allow_list *list)
{
    struct door *d;
    enum door_state s;
    assert_int_equal(door_knock(context, endpoint, server_public, &d, NULL), ERR_NONE);
    while ((s = door_look(d)) == DOOR_WAITING) {
        zmq_pollitem_t items[] = {{.socket = door_socket(d), .events = ZMQ_POLLIN},
                                  {.socket = zap ? zap_socket(zap) : NULL, .events = ZMQ_POLLIN}};
        zmq_poll(items, zap ? 2 : 1, 50);
        if (zap) {
            zap_serve(zap, list);
        }
    }
    door_free(&d);
    return s;
}

/* The table of what libzmq does with a stranger; ours is the last row. */
static void a_stranger_and_the_door(void **state)
{
    (void)state;
    static const struct {
        bool handler, domain, enforce;
        enum door_state expected;
    } cases[] = {
        {false, false, false, DOOR_OPEN}, {false, true, false, DOOR_OPEN},
        {false, true, true, DOOR_DEAF},   {false, false, true, DOOR_OPEN},
        {true, false, true, DOOR_OPEN},   {true, false, false, DOOR_SHUT},
        {true, true, true, DOOR_SHUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zap *zap = NULL;
        struct allow_list nobody = {0};
        void *context = zmq_ctx_new();
        int on = 1, enforce = cases[i].enforce;
        if (cases[i].handler) {
            assert_int_equal(zap_open(context, &zap, NULL), ERR_NONE);
        }
        void *s = socket_new(context, SIDE_RELAY, 16, NULL);
        assert_non_null(s);
        assert_int_equal(zmq_setsockopt(s, ZMQ_CURVE_SERVER, &on, sizeof on), 0);
        assert_int_equal(zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, server_secret, CURVE_TEXT), 0);
        if (cases[i].domain) {
            assert_int_equal(zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, "dari", 4), 0);
        }
        assert_int_equal(zmq_setsockopt(s, SOCKET_ZAP_ENFORCE_DOMAIN, &enforce, sizeof enforce), 0);
        assert_int_equal(zmq_bind(s, endpoint), 0);
        enum door_state got = knock(context, zap, &nobody);
        if (got != cases[i].expected) {
            fail_msg("case %zu: %d", i, (int)got);
        }
        zmq_close(s);
        zap_free(&zap);
        zmq_ctx_term(context);
    }
}

static void the_handler_closed_means_nobody(void **state)
{
    (void)state;
    struct zap *zap = NULL;
    struct allow_list nobody = {0};
    void *context = zmq_ctx_new();
    assert_int_equal(zap_open(context, &zap, NULL), ERR_NONE);
    void *s = socket_new(context, SIDE_RELAY, 16, NULL);
    assert_int_equal(socket_serve_curve(s, server_secret, NULL), ERR_NONE);
    assert_int_equal(zmq_bind(s, endpoint), 0);
    assert_int_equal(knock(context, zap, &nobody), DOOR_SHUT);
    zap_free(&zap);
    assert_int_equal(knock(context, NULL, &nobody), DOOR_DEAF);
    zmq_close(s);
    zmq_ctx_term(context);
}

/* Sends one message and waits until the relay's side has it (or the time is over). */
static bool arrives(void *router, void *dealer, struct zap *zap, const struct allow_list *list,
                    struct socket_message *m)
{
    const struct str ping = STR("PING");
    usec until = clock_mono() + 5 * USEC_SECOND;
    bool sent = false;
    while (clock_mono() < until) {
        sent = sent || socket_send(dealer, (struct str){0}, &ping, 1) == SENT;
        zmq_pollitem_t items[] = {{.socket = zap_socket(zap), .events = ZMQ_POLLIN},
                                  {.socket = router, .events = ZMQ_POLLIN}};
        zmq_poll(items, 2, 20);
        zap_serve(zap, list);
        if (socket_recv(router, SIDE_RELAY, m)) {
            return true;
        }
    }
    return false;
}

static void a_known_key_has_its_name_on_every_message(void **state)
{
    (void)state;
    char public_key[CURVE_TEXT], secret_key[CURVE_TEXT];
    struct zap *zap = NULL;
    struct allow_list list = {0};
    struct socket_message m;
    void *context = zmq_ctx_new();
    assert_int_equal(curve_pair(public_key, secret_key, NULL), ERR_NONE);
    assert_int_equal(allow_add(&list, public_key, "crm-1", NULL), ERR_NONE);
    assert_int_equal(zap_open(context, &zap, NULL), ERR_NONE);
    void *s = socket_new(context, SIDE_RELAY, 16, NULL);
    assert_int_equal(socket_serve_curve(s, server_secret, NULL), ERR_NONE);
    assert_int_equal(zmq_bind(s, endpoint), 0);
    void *c = socket_new(context, SIDE_CONSUMER, 16, NULL);
    assert_int_equal(socket_use_curve(c, server_public, public_key, secret_key, NULL), ERR_NONE);
    assert_int_equal(zmq_connect(c, endpoint), 0);
    assert_true(arrives(s, c, zap, &list, &m));
    assert_string_equal(m.user, "crm-1");
    assert_string_equal(m.key, public_key);
    assert_int_equal(m.count, 1);
    assert_true(str_is(m.frames[0], "PING"));
    socket_drop(&m);
    zmq_close(c);
    zmq_close(s);
    zap_free(&zap);
    zmq_ctx_term(context);
    allow_release(&list);
}

static void options_are_those_of_the_table(void **state)
{
    (void)state;
    void *context = zmq_ctx_new();
    for (int side = SIDE_RELAY; side <= SIDE_CONSUMER; side++) {
        void *s = socket_new(context, (enum socket_side)side, 100, NULL);
        for (const struct socket_option *o = socket_options; o->name; o++) {
            int want = side == SIDE_RELAY ? o->relay : o->consumer, got = -99;
            size_t n = sizeof got;
            bool mark = o->option == ZMQ_SNDHWM || o->option == ZMQ_RCVHWM;
            if (want == -2 || o->option == ZMQ_ROUTER_MANDATORY) {
                continue; /* not set here; cannot be read back */
            }
            assert_int_equal(zmq_getsockopt(s, o->option, &got, &n), 0);
            assert_int_equal(got, mark ? 200 : want);
        }
        zmq_close(s);
    }
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_and_the_door),
        cmocka_unit_test(the_handler_closed_means_nobody),
        cmocka_unit_test(a_known_key_has_its_name_on_every_message),
        cmocka_unit_test(options_are_those_of_the_table),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
