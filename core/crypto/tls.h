/*
 * TLS contexts: 1.2 and newer, no renegotiation, no compression. A server may ask for client
 * certificates (optional or required, with a CRL); a client always verifies the server's name.
 */
#ifndef DARI_CRYPTO_TLS_H
#define DARI_CRYPTO_TLS_H

#include "core/base/err.h"

struct tls; /* wraps an SSL_CTX */

enum tls_clients { TLS_CLIENTS_NONE, TLS_CLIENTS_OPTIONAL, TLS_CLIENTS_REQUIRED };

struct tls_files {
    const char *cert, *key; /* PEM; of a client: NULL for none */
    const char *ca;         /* who may have signed the other side; of a client NULL: the system's */
    const char *crl;        /* or NULL */
};

/* ERR_CONFIG names the file and what is wrong (missing, not PEM, key does not fit, expired). */
enum err_code tls_server(const struct tls_files *f, enum tls_clients clients, struct tls **out,
                         struct err *e);
enum err_code tls_client(const struct tls_files *f, struct tls **out, struct err *e);
void tls_free(struct tls **t);

/*
 * For core/net only: a new SSL (as void *, so that this header needs no OpenSSL), ready to accept
 * or to connect; the caller frees it. A client's server_name (a host name or an IP address) is what
 * the certificate must name. NULL: no memory, or a client without a name.
 */
void *tls_session(struct tls *t, const char *server_name);

#endif
