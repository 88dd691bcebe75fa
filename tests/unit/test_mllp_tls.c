/* The MLLP adapter behind TLS: certificates of senders, and other ones of our own. */
#include "tests/lib/mllp_host.h"

#include "core/net/secure.h"
#include "tests/lib/certs.h"

#include <unistd.h>

/* A feed's options, and two senders: one with a certificate, one without. */
struct secure {
    struct certs certs;
    char cert[128], key[128], ca[128];
    struct tls *known, *unknown;
};

static int setup(void **state)
{
    struct secure *t = calloc(1, sizeof *t);
    if (!t || !certs_make(&t->certs)) {
        free(t);
        return -1;
    }
    const struct certs *c = &t->certs;
    snprintf(t->cert, sizeof t->cert, "cert=%s", c->server_cert);
    snprintf(t->key, sizeof t->key, "key=%s", c->server_key);
    snprintf(t->ca, sizeof t->ca, "ca=%s", c->ca);
    struct net_tls_files known = {.cert = c->client_cert, .key = c->client_key, .ca = c->ca};
    struct net_tls_files unknown = {.ca = c->ca};
    assert_int_equal(net_tls_client(&known, &t->known, NULL), ERR_NONE);
    assert_int_equal(net_tls_client(&unknown, &t->unknown, NULL), ERR_NONE);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct secure *t = *state;
    net_tls_free(&t->known);
    net_tls_free(&t->unknown);
    certs_remove(&t->certs);
    free(t);
    return 0;
}

/* F60, F61 */
static void tls_with_a_required_certificate(void **state)
{
    struct secure *t = *state;
    const char *options[] = {"tls=yes", t->cert, t->key, t->ca, "clients=required", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s[3];
    start(&h, options);
    dial(&s[0], &h, t->known);
    net_send(s[0].conn, STR(FRAME("secret")));
    until_got(&s[0], FRAME("secret"));
    dial(&s[1], &h, t->unknown);
    run_until(h.loop, is_closed, &s[1]);
    dial(&s[2], &h, NULL);
    net_send(s[2].conn, STR(FRAME("plain")));
    run_until(h.loop, is_closed, &s[2]);
    until_counted(&h, "connections_refused", 2);
    assert_int_equal(h.count, 1);
    finish(&h, s, 3);
}

/* F62 */
static void the_host_is_told_whose_certificate_it_was(void **state)
{
    struct secure *t = *state;
    const char *options[] = {"tls=yes", t->cert, t->key, t->ca, "clients=optional", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s[2];
    start(&h, options);
    for (int i = 0; i < 2; i++) {
        dial(&s[i], &h, i == 0 ? t->known : t->unknown);
        net_send(s[i].conn, STR(FRAME("x")));
        until_got(&s[i], FRAME("x"));
        assert_true((strstr(h.subject, "CN=") != NULL) == (i == 0));
    }
    finish(&h, s, 2);
}

static void *with_certificate(struct adapter_host *h, const char *cert, const char *key)
{
    const char *options[] = {"tls=yes", arena_printf(h->memory, "cert=%s", cert),
                             arena_printf(h->memory, "key=%s", key), NULL};
    return options_of(h, options);
}

static void another_certificate_is_for_new_connections(void **state)
{
    struct secure *t = *state;
    const struct certs *c = &t->certs;
    struct err e = {0};
    struct problems p = {0};
    const char *options[] = {"tls=yes", t->cert, t->key, NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s[3];
    start(&h, options);
    dial(&s[0], &h, t->unknown);
    net_send(s[0].conn, STR(FRAME("before")));
    until_got(&s[0], FRAME("before"));

    void *wrong = with_certificate(&h, c->other_cert, c->server_key);
    adapter_mllp.check(wrong, "f", 7, &p);
    assert_int_equal(p.count, 1);
    assert_non_null(strstr(p.text, "f:7: "));
    assert_non_null(strstr(p.text, "does not belong"));
    assert_int_equal(adapter_mllp.reload(h.adapter, wrong, &e), ERR_CONFIG);
    dial(&s[1], &h, t->unknown); /* nothing has changed */
    net_send(s[1].conn, STR(FRAME("same")));
    until_got(&s[1], FRAME("same"));

    void *other = with_certificate(&h, c->other_cert, c->other_key);
    adapter_mllp.check(other, "f", 7, &p);
    assert_int_equal(p.count, 1);
    problems_release(&p);
    assert_int_equal(adapter_mllp.reload(h.adapter, other, &e), ERR_NONE);
    dial(&s[2], &h, t->unknown); /* does not know who that is */
    run_until(h.loop, is_closed, &s[2]);
    net_send(s[0].conn, STR(FRAME("after")));
    until_got(&s[0], FRAME("before") FRAME("after"));
    assert_int_equal(h.count, 3);
    finish(&h, s, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tls_with_a_required_certificate),
        TEST(the_host_is_told_whose_certificate_it_was),
        TEST(another_certificate_is_for_new_connections),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
