#include "core/net/secure.h"

#include "core/crypto/tls.h"

#include <string.h>

static const char *given(const char *path)
{
    return path && path[0] ? path : NULL;
}

static struct tls_files files_of(const struct net_tls_files *f)
{
    return (struct tls_files){
        .cert = given(f->cert), .key = given(f->key), .ca = given(f->ca), .crl = given(f->crl)};
}

enum err_code net_tls_server(const struct net_tls_files *f, const char *clients, struct tls **out,
                             struct err *e)
{
    static const char *const names[] = {[TLS_CLIENTS_NONE] = "none",
                                        [TLS_CLIENTS_OPTIONAL] = "optional",
                                        [TLS_CLIENTS_REQUIRED] = "required"};
    struct tls_files files = files_of(f);
    *out = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(clients, names[i]) == 0) {
            return tls_server(&files, (enum tls_clients)i, out, e);
        }
    }
    return ERR(e, ERR_CONFIG, 0, "clients must be none, optional or required");
}

enum err_code net_tls_listener(bool tls, const struct net_tls_files *f, const char *clients,
                               struct tls **out, struct err *e)
{
    *out = NULL;
    if (tls) {
        return net_tls_server(f, clients, out, e);
    }
    if (strcmp(clients, "none") != 0 || given(f->cert) || given(f->key) || given(f->ca) ||
        given(f->crl)) {
        return ERR(e, ERR_CONFIG, 0, "cert, key, ca, crl and clients need tls=\"yes\"");
    }
    return ERR_NONE;
}

enum err_code net_tls_client(const struct net_tls_files *f, struct tls **out, struct err *e)
{
    struct tls_files files = files_of(f);
    *out = NULL;
    return tls_client(&files, out, e);
}

void net_tls_free(struct tls **t)
{
    tls_free(t);
}

bool net_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}
