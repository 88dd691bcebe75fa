/*
 * TLS contexts for those above core/net, which do not include core/crypto: adapters give the
 * options a person wrote and get what net_listen() and net_connect() take.
 */
#ifndef DARI_NET_SECURE_H
#define DARI_NET_SECURE_H

#include "core/base/err.h"

#include <stdbool.h>

struct tls;

struct net_tls_files {
    const char *cert, *key, *ca, *crl; /* PEM; "" or NULL for none */
};

/* `clients`: "none", "optional" or "required". ERR_CONFIG names the option or file at fault. */
enum err_code net_tls_server(const struct net_tls_files *f, const char *clients, struct tls **out,
                             struct err *e);
/*
 * Of a listener with the options tls, cert, key, ca, crl and clients: *out is NULL without tls, and
 * then none of the others may be given.
 */
enum err_code net_tls_listener(bool tls, const struct net_tls_files *f, const char *clients,
                               struct tls **out, struct err *e);
enum err_code net_tls_client(const struct net_tls_files *f, struct tls **out, struct err *e);
void net_tls_free(struct tls **t);

bool net_is_loopback(const char *address); /* what it listens on: only this machine? */

#endif
