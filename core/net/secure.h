/*
 * TLS contexts for those above core/net, which do not include core/crypto: adapters give the
 * options a person wrote and get what net_listen() and net_connect() take.
 */
#ifndef DARI_NET_SECURE_H
#define DARI_NET_SECURE_H

#include "core/base/err.h"

struct tls;

struct net_tls_files {
    const char *cert, *key, *ca, *crl; /* PEM; "" or NULL for none */
};

/* `clients`: "none", "optional" or "required". ERR_CONFIG names the option or file at fault. */
enum err_code net_tls_server(const struct net_tls_files *f, const char *clients, struct tls **out,
                             struct err *e);
enum err_code net_tls_client(const struct net_tls_files *f, struct tls **out, struct err *e);
void net_tls_free(struct tls **t);

#endif
