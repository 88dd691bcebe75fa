#include "core/crypto/tls.h"

#include "core/crypto/crypto_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct tls {
    SSL_CTX *ctx;
    bool client;
};

static enum err_code readable(const char *path, const char *what, struct err *e)
{
    if (!path || !path[0]) {
        return ERR(e, ERR_CONFIG, 0, "TLS needs a file for the %s", what);
    }
    if (access(path, R_OK) != 0) {
        return ERR(e, ERR_CONFIG, 0, "cannot read the %s %s: %s", what, path, strerror(errno));
    }
    return ERR_NONE;
}

static const char *date_text(const ASN1_TIME *at, char out[32])
{
    struct tm tm = {0};
    if (ASN1_TIME_to_tm(at, &tm) != 1 || strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0) {
        snprintf(out, 32, "an unreadable date");
    }
    return out;
}

/* An expired certificate would make every handshake fail on the other side, where nobody sees why.
 */
static enum err_code check_dates(SSL_CTX *ctx, const char *path, struct err *e)
{
    const X509 *cert = SSL_CTX_get0_certificate(ctx);
    char date[32];
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0) {
        return ERR(e, ERR_CONFIG, 0, "the certificate %s expired on %s: renew it", path,
                   date_text(X509_get0_notAfter(cert), date));
    }
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0) {
        return ERR(e, ERR_CONFIG, 0,
                   "the certificate %s is not valid before %s: check this machine's clock", path,
                   date_text(X509_get0_notBefore(cert), date));
    }
    return ERR_NONE;
}

static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out, (void)size, (void)writing, (void)ctx;
    return -1;
}

static enum err_code load_identity(SSL_CTX *ctx, const struct tls_files *f, struct err *e)
{
    enum err_code code = readable(f->cert, "certificate", e);
    code = code == ERR_NONE ? readable(f->key, "private key", e) : code;
    if (code != ERR_NONE) {
        return code;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, f->cert) != 1) {
        return CRYPTO_ERR(e, ERR_CONFIG, "%s is not a usable certificate in PEM", f->cert);
    }
    code = check_dates(ctx, f->cert, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, f->key, SSL_FILETYPE_PEM) != 1) {
        unsigned long why = ERR_peek_last_error();
        bool other = ERR_GET_LIB(why) == ERR_LIB_X509 &&
                     (ERR_GET_REASON(why) == X509_R_KEY_VALUES_MISMATCH ||
                      ERR_GET_REASON(why) == X509_R_KEY_TYPE_MISMATCH);
        return other ? CRYPTO_ERR(e, ERR_CONFIG, "the key %s does not belong to the certificate %s",
                                  f->key, f->cert)
                     : CRYPTO_ERR(e, ERR_CONFIG, "%s is not an unencrypted private key in PEM",
                                  f->key);
    }
    return SSL_CTX_check_private_key(ctx) == 1
               ? ERR_NONE
               : CRYPTO_ERR(e, ERR_CONFIG, "the key %s does not belong to the certificate %s",
                            f->key, f->cert);
}

/* A list past its date refuses every client: better said at the start than at every handshake. */
static enum err_code check_crl_dates(const char *path, struct err *e)
{
    BIO *bio = BIO_new_file(path, "r");
    X509_CRL *crl = bio ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
    const ASN1_TIME *next = crl ? X509_CRL_get0_nextUpdate(crl) : NULL;
    char date[32];
    enum err_code code = ERR_NONE;
    if (!crl) {
        code = CRYPTO_ERR(e, ERR_CONFIG, "%s is not a revocation list in PEM", path);
    } else if (next && X509_cmp_current_time(next) <= 0) {
        code =
            ERR(e, ERR_CONFIG, 0, "the revocation list %s was due for renewal on %s: get a new one",
                path, date_text(next, date));
    }
    X509_CRL_free(crl);
    BIO_free(bio);
    return code;
}

static enum err_code load_crl(SSL_CTX *ctx, const char *path, struct err *e)
{
    enum err_code code = readable(path, "revocation list", e);
    code = code == ERR_NONE ? check_crl_dates(path, e) : code;
    if (code != ERR_NONE) {
        return code;
    }
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (!lookup || X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) < 1 ||
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) != 1) {
        return CRYPTO_ERR(e, ERR_CONFIG, "%s is not a revocation list in PEM", path);
    }
    return ERR_NONE;
}

static enum err_code load_ca(SSL_CTX *ctx, const char *path, struct err *e)
{
    enum err_code code = readable(path, "CA certificate", e);
    if (code == ERR_NONE && SSL_CTX_load_verify_file(ctx, path) != 1) {
        code = CRYPTO_ERR(e, ERR_CONFIG, "%s holds no CA certificate in PEM", path);
    }
    return code;
}

static enum err_code ask_clients(SSL_CTX *ctx, const struct tls_files *f, enum tls_clients clients,
                                 struct err *e)
{
    enum err_code code = load_ca(ctx, f->ca, e);
    if (code == ERR_NONE && f->crl && f->crl[0]) {
        code = load_crl(ctx, f->crl, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(f->ca);
    if (!names) {
        return CRYPTO_ERR(e, ERR_CONFIG, "%s holds no CA certificate in PEM", f->ca);
    }
    SSL_CTX_set_client_CA_list(ctx, names); /* owns them now */
    int mode = SSL_VERIFY_PEER;
    if (clients == TLS_CLIENTS_REQUIRED) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ctx, mode, NULL);
    return ERR_NONE;
}

static enum err_code context_new(bool client, struct tls **out, struct err *e)
{
    *out = NULL;
    struct tls *t = calloc(1, sizeof *t);
    if (!t) {
        return ERR(e, ERR_NOMEM, 0, "no memory for TLS");
    }
    t->client = client;
    t->ctx = SSL_CTX_new(client ? TLS_client_method() : TLS_server_method());
    static const unsigned char id[] = "dari";
    if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_session_id_context(t->ctx, id, sizeof id - 1) != 1) {
        tls_free(&t);
        return CRYPTO_ERR(e, ERR_CRYPTO, "could not make a TLS context");
    }
    /* No resumption: it would let a client in whose certificate was revoked meanwhile, and feeds
     * keep their connections for days. */
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(t->ctx, 0);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(t->ctx, no_passphrase);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    *out = t;
    return ERR_NONE;
}

enum err_code tls_server(const struct tls_files *f, enum tls_clients clients, struct tls **out,
                         struct err *e)
{
    enum err_code code = context_new(false, out, e);
    code = code == ERR_NONE ? load_identity((*out)->ctx, f, e) : code;
    if (code == ERR_NONE && clients != TLS_CLIENTS_NONE) {
        code = ask_clients((*out)->ctx, f, clients, e);
    }
    if (code != ERR_NONE) {
        tls_free(out);
    }
    return code;
}

enum err_code tls_client(const struct tls_files *f, struct tls **out, struct err *e)
{
    enum err_code code = context_new(true, out, e);
    if (code != ERR_NONE) {
        return code;
    }
    SSL_CTX *ctx = (*out)->ctx;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (f->ca && f->ca[0]) {
        code = load_ca(ctx, f->ca, e);
    } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        code = CRYPTO_ERR(e, ERR_CRYPTO, "could not load the system's CA certificates");
    }
    if (code == ERR_NONE && f->crl && f->crl[0]) {
        code = load_crl(ctx, f->crl, e);
    }
    if (code == ERR_NONE && ((f->cert && f->cert[0]) || (f->key && f->key[0]))) {
        code = load_identity(ctx, f, e);
    }
    if (code != ERR_NONE) {
        tls_free(out);
    }
    return code;
}

void tls_free(struct tls **t)
{
    if (*t) {
        SSL_CTX_free((*t)->ctx);
        free(*t);
        *t = NULL;
    }
}

static bool is_address(const char *name)
{
    unsigned char raw[16];
    return inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1;
}

/* An address is looked for among the certificate's IP names and must not be sent as SNI (RFC 6066).
 */
static bool expect_name(SSL *ssl, const char *name)
{
    if (is_address(name)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

void *tls_session(struct tls *t, const char *server_name)
{
    SSL *ssl = SSL_new(t->ctx);
    bool ok = ssl != NULL;
    if (ok && t->client) {
        ok = server_name && server_name[0] && expect_name(ssl, server_name);
        SSL_set_connect_state(ssl);
    } else if (ok) {
        SSL_set_accept_state(ssl);
    }
    if (!ok) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    return ssl;
}
