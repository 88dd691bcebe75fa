/* TLS handshakes over the loopback: who is let in, and what is said of those who are not. */
#include "tests/lib/conn_host.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_required_certificate_is_seen),
        cmocka_unit_test(a_handshake_fails_with_its_reason),
        cmocka_unit_test(strangers_on_a_tls_port_are_told_apart),
        cmocka_unit_test(one_address_does_not_hold_all_handshakes),
        cmocka_unit_test(a_wrong_server_name_is_refused),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, setup, teardown);
}
