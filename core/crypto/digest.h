/* SHA-256, and Ed25519 signatures over whole texts. */
#ifndef DARI_CRYPTO_DIGEST_H
#define DARI_CRYPTO_DIGEST_H

#include "core/base/err.h"
#include "core/base/str.h"

enum { SHA256_BYTES = 32, ED25519_PUBLIC = 32, ED25519_SIGNATURE = 64 };

void sha256(struct str bytes, unsigned char out[SHA256_BYTES]);
/* Of several slices in a row. */
void sha256_of(const struct str *parts, size_t count, unsigned char out[SHA256_BYTES]);

/* Of what does not fit memory at once. Aborts when memory is out. */
struct sha256_stream;
struct sha256_stream *sha256_begin(void);
void sha256_add(struct sha256_stream *s, struct str bytes);
void sha256_end(struct sha256_stream **s,
                unsigned char out[SHA256_BYTES]); /* and frees; out may be NULL */

void random_bytes(unsigned char *out, size_t n); /* aborts when the system has none */

struct signer;
/* PEM private key (ledger.key). ERR_NOTFOUND, ERR_CONFIG (others may read it; not Ed25519). */
enum err_code signer_open(const char *path, struct signer **out, struct err *e);
void signer_free(struct signer **s);
enum err_code signer_sign(const struct signer *s, struct str text,
                          unsigned char out[ED25519_SIGNATURE], struct err *e);
enum err_code signer_public(const struct signer *s, unsigned char out[ED25519_PUBLIC],
                            struct err *e);
/* PEM public key (ledger.pub). */
enum err_code public_read(const char *path, unsigned char out[ED25519_PUBLIC], struct err *e);
bool public_verify(const unsigned char key[ED25519_PUBLIC], struct str text,
                   const unsigned char signature[ED25519_SIGNATURE]);

#endif
