/* A throw-away certificate authority with a server and a client, made with the openssl command. */
#ifndef DARI_TESTS_CERTS_H
#define DARI_TESTS_CERTS_H

#include <stdbool.h>

struct certs {
    char folder[64];
    char ca[96];
    char server_cert[96], server_key[96]; /* for localhost and 127.0.0.1 */
    char client_cert[96], client_key[96]; /* CN=emr.test */
    char other_cert[96], other_key[96];   /* CN=stranger, signed by itself */
};

/* False: it could not be made; the folder is gone then. */
bool certs_make(struct certs *c);
void certs_remove(struct certs *c);

#endif
