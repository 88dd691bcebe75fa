/* SHA-256 and bearer tokens for adapters, which do not include core/crypto. */
#ifndef DARI_NET_DIGEST_H
#define DARI_NET_DIGEST_H

#include "core/base/err.h"
#include "core/base/str.h"

enum { NET_DIGEST = 65 }; /* hexadecimal, with its NUL */

struct net_digest;
struct net_digest *net_digest_begin(void);
void net_digest_add(struct net_digest *d, struct str bytes);
void net_digest_end(struct net_digest **d, char out[NET_DIGEST]); /* and frees; out may be NULL */
void net_digest_of(struct str bytes, char out[NET_DIGEST]);

/*
 * Who may come: a file with one line "NAME SHA-256-OF-THE-TOKEN" each (hexadecimal); empty lines
 * and those that begin with # mean nothing. It holds no token, and yet nobody else may read or
 * write it. ERR_NOTFOUND, ERR_CONFIG with the line.
 */
struct net_tokens;
enum err_code net_tokens_load(const char *path, struct net_tokens **out, struct err *e);
void net_tokens_free(struct net_tokens **t);
/* The name that a token belongs to, NULL for a stranger's. Takes the same time for all. */
const char *net_tokens_find(const struct net_tokens *t, struct str token);

#endif
