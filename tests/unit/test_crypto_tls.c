#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/crypto/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/dari-tls-XXXXXX";

/*
 * A CA, a server, a client, a revoked client, an expired certificate, a stranger's CA with its
 * client. `openssl ca` is the one command that makes expired certificates and revocation lists.
 */
static const char script[] =
    "cd '%s' && exec >log 2>&1 && set -e\n"
    "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=.\\n"
    "default_md=sha256\\npolicy=p\\ncopy_extensions=copy\\nunique_subject=no\\n"
    "[p]\\ncommonName=supplied\\n' > ca.cnf\n"
    "touch index; echo 01 > serial\n"
    "key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }\n"
    "for c in ca stranger; do key $c\n"
    "openssl req -x509 -key $c.key -out $c.pem -subj /CN=$c -days 30; done\n"
    "make() { key $1; openssl req -new -key $1.key -subj /CN=$1 -addext subjectAltName=$2 -out "
    "$1.csr\n"
    "openssl ca -batch -config ca.cnf -notext -cert $3.pem -keyfile $3.key -in $1.csr -out $1.pem "
    "\\\n"
    "-startdate $4 -enddate $5; }\n"
    "make server DNS:emr.test,IP:127.0.0.1 ca 20200101000000Z 20990101000000Z\n"
    "make client DNS:client.test ca 20200101000000Z 20990101000000Z\n"
    "make revoked DNS:client.test ca 20200101000000Z 20990101000000Z\n"
    "make expired DNS:emr.test ca 20200101000000Z 20210203040506Z\n"
    "make future DNS:emr.test ca 20980101000000Z 20990101000000Z\n"
    "make strange DNS:client.test stranger 20200101000000Z 20990101000000Z\n"
    "openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke revoked.pem\n"
    "openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -crldays 30 -out crl.pem\n"
    "openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -crl_lastupdate "
    "20200101000000Z "
    "-crl_nextupdate 20200201000000Z -out old.pem\n"
    "openssl ec -in server.key -aes128 -passout pass:x -out locked.key\n"
    "echo nothing > text\n";

static int setup(void **state)
{
    (void)state;
    char command[sizeof script + 64];
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(command, sizeof command, script, folder);
    return system(command);
}

static int teardown(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Names in the folder of certificates; NULL and absolute names as they are. */
static struct tls_files files(const char *cert, const char *key, const char *ca, const char *crl)
{
    static char paths[16][128];
    static int at;
    const char *names[4] = {cert, key, ca, crl};
    for (int i = 0; i < 4; i++) {
        if (names[i]) {
            at = (at + 1) % 16;
            snprintf(paths[at], sizeof paths[at], "%s/%s", folder, names[i]);
            names[i] = paths[at];
        }
    }
    return (struct tls_files){names[0], names[1], names[2], names[3]};
}

static void every_mistake_names_its_file(void **state)
{
    (void)state;
    static const struct {
        const char *cert, *key, *ca, *crl;
        enum tls_clients clients;
        const char *says[2];
    } rows[] = {
        {NULL, "server.key", NULL, NULL, TLS_CLIENTS_NONE, {"needs a file", "certificate"}},
        {"server.pem", NULL, NULL, NULL, TLS_CLIENTS_NONE, {"needs a file", "private key"}},
        {"no.pem", "server.key", NULL, NULL, TLS_CLIENTS_NONE, {"no.pem", "No such file"}},
        {"server.pem", "no.key", NULL, NULL, TLS_CLIENTS_NONE, {"no.key", "No such file"}},
        {"text", "server.key", NULL, NULL, TLS_CLIENTS_NONE, {"/text", "in PEM"}},
        {"server.pem", "text", NULL, NULL, TLS_CLIENTS_NONE, {"/text", "private key in PEM"}},
        {"server.pem", "locked.key", NULL, NULL, TLS_CLIENTS_NONE, {"locked.key", "unencrypted"}},
        {"server.pem", "client.key", NULL, NULL, TLS_CLIENTS_NONE, {"client.key", "not belong"}},
        {"expired.pem", "expired.key", NULL, NULL, TLS_CLIENTS_NONE, {"expired.pem", "2021-02-03"}},
        {"future.pem", "future.key", NULL, NULL, TLS_CLIENTS_NONE, {"future.pem", "2098-01-01"}},
        {"server.pem", "server.key", NULL, NULL, TLS_CLIENTS_REQUIRED, {"needs", "CA"}},
        {"server.pem", "server.key", "no.pem", NULL, TLS_CLIENTS_OPTIONAL, {"no.pem", "CA"}},
        {"server.pem", "server.key", "text", NULL, TLS_CLIENTS_OPTIONAL, {"/text", "CA"}},
        {"server.pem", "server.key", "ca.pem", "no.crl", TLS_CLIENTS_OPTIONAL, {"no.crl", "list"}},
        {"server.pem", "server.key", "ca.pem", "text", TLS_CLIENTS_OPTIONAL, {"/text", "list"}},
        {"server.pem",
         "server.key",
         "ca.pem",
         "old.pem",
         TLS_CLIENTS_REQUIRED,
         {"old.pem", "2020-02-01"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_files f = files(rows[i].cert, rows[i].key, rows[i].ca, rows[i].crl);
        struct err e = {0};
        struct tls *t = NULL;
        assert_int_equal(tls_server(&f, rows[i].clients, &t, &e), ERR_CONFIG);
        assert_null(t);
        for (int s = 0; s < 2; s++) {
            if (!strstr(e.msg, rows[i].says[s])) {
                fail_msg("row %zu: \"%s\" does not say \"%s\"", i, e.msg, rows[i].says[s]);
            }
        }
    }
}

/* A whole handshake in memory. True when both sides finish; then four bytes go each way. */
static bool shake(struct tls *server, struct tls *client, const char *name)
{
    SSL *s = tls_session(server, NULL), *c = tls_session(client, name);
    BIO *a = NULL, *b = NULL;
    assert_non_null(s);
    assert_non_null(c);
    assert_int_equal(BIO_new_bio_pair(&a, 1 << 16, &b, 1 << 16), 1);
    SSL_set_bio(s, a, a);
    SSL_set_bio(c, b, b);
    bool done = false, broken = false;
    for (int i = 0; i < 50 && !done && !broken; i++) {
        int rc = SSL_do_handshake(c), rs = SSL_do_handshake(s);
        int ec = SSL_get_error(c, rc), es = SSL_get_error(s, rs);
        done = rc == 1 && rs == 1;
        broken = ec == SSL_ERROR_SSL || es == SSL_ERROR_SSL;
    }
    char got[4];
    done = done && SSL_write(c, "ping", 4) == 4 && SSL_read(s, got, 4) == 4 &&
           SSL_write(s, "pong", 4) == 4 && SSL_read(c, got, 4) == 4;
    if (done) {
        assert_true(SSL_version(s) >= TLS1_2_VERSION);
        assert_null(SSL_get_current_compression(s));
    }
    SSL_free(s);
    SSL_free(c);
    return done;
}

static struct tls *server_of(struct tls_files f, enum tls_clients clients)
{
    struct tls *t = NULL;
    struct err e = {0};
    if (tls_server(&f, clients, &t, &e) != ERR_NONE) {
        fail_msg("%s", e.msg);
    }
    return t;
}

static struct tls *client_of(struct tls_files f)
{
    struct tls *t = NULL;
    struct err e = {0};
    if (tls_client(&f, &t, &e) != ERR_NONE) {
        fail_msg("%s", e.msg);
    }
    return t;
}

static void a_client_checks_the_name(void **state)
{
    (void)state;
    struct tls *server = server_of(files("server.pem", "server.key", NULL, NULL), TLS_CLIENTS_NONE);
    struct tls *client = client_of(files(NULL, NULL, "ca.pem", NULL));
    struct tls *stranger = client_of(files(NULL, NULL, "stranger.pem", NULL));
    struct tls *system_cas = client_of(files(NULL, NULL, NULL, NULL));
    assert_true(shake(server, client, "emr.test"));
    assert_true(shake(server, client, "127.0.0.1"));
    assert_false(shake(server, client, "other.test"));
    assert_false(shake(server, client, "127.0.0.2"));
    assert_false(shake(server, stranger, "emr.test"));
    assert_false(shake(server, system_cas, "emr.test"));
    assert_null(tls_session(client, NULL));
    assert_null(tls_session(client, ""));
    tls_free(&server);
    tls_free(&client);
    tls_free(&stranger);
    tls_free(&system_cas);
}

static void a_server_checks_its_clients(void **state)
{
    (void)state;
    static const struct {
        const char *client, *crl;
        enum tls_clients clients;
        bool in;
    } rows[] = {
        {NULL, NULL, TLS_CLIENTS_NONE, true},
        {NULL, NULL, TLS_CLIENTS_OPTIONAL, true},
        {NULL, NULL, TLS_CLIENTS_REQUIRED, false},
        {"client", NULL, TLS_CLIENTS_REQUIRED, true},
        {"client", "crl.pem", TLS_CLIENTS_REQUIRED, true},
        {"revoked", NULL, TLS_CLIENTS_REQUIRED, true},
        {"revoked", "crl.pem", TLS_CLIENTS_REQUIRED, false},
        {"revoked", "crl.pem", TLS_CLIENTS_OPTIONAL, false},
        {"strange", NULL, TLS_CLIENTS_OPTIONAL, false},
        {"strange", NULL, TLS_CLIENTS_REQUIRED, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char cert[32], key[32];
        snprintf(cert, sizeof cert, "%s.pem", rows[i].client ? rows[i].client : "");
        snprintf(key, sizeof key, "%s.key", rows[i].client ? rows[i].client : "");
        struct tls *server =
            server_of(files("server.pem", "server.key", "ca.pem", rows[i].crl), rows[i].clients);
        struct tls *client = client_of(rows[i].client ? files(cert, key, "ca.pem", NULL)
                                                      : files(NULL, NULL, "ca.pem", NULL));
        if (shake(server, client, "emr.test") != rows[i].in) {
            fail_msg("row %zu: expected %s", i, rows[i].in ? "in" : "out");
        }
        tls_free(&server);
        tls_free(&client);
    }
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    struct tls *server = server_of(files("server.pem", "server.key", NULL, NULL), TLS_CLIENTS_NONE);
    SSL *s = tls_session(server, NULL);
    assert_non_null(s);
    assert_int_equal(SSL_get_min_proto_version(s), TLS1_2_VERSION);
    assert_true(SSL_get_options(s) & SSL_OP_NO_RENEGOTIATION);
    assert_true(SSL_get_options(s) & SSL_OP_NO_COMPRESSION);
    assert_true(SSL_get_options(s) & SSL_OP_NO_TICKET);
    SSL_free(s);
    tls_free(&server);
    tls_free(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_names_its_file),
        cmocka_unit_test(a_client_checks_the_name),
        cmocka_unit_test(a_server_checks_its_clients),
        cmocka_unit_test(old_versions_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
