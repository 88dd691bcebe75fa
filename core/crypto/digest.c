#include "core/crypto/digest.h"

#include "core/crypto/crypto_internal.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <stdlib.h>

/* Fetched once per process and kept: fetching costs more than hashing a short text. */
static EVP_MD *sha;
static EVP_MD_CTX *ctx;

void sha256_of(const struct str *parts, size_t count, unsigned char out[SHA256_BYTES])
{
    if (!ctx) {
        sha = EVP_MD_fetch(NULL, "SHA256", NULL);
        ctx = EVP_MD_CTX_new();
        crypto_must(sha && ctx, "sha256");
    }
    crypto_must(EVP_DigestInit_ex2(ctx, sha, NULL) == 1, "sha256");
    for (size_t i = 0; i < count; i++) {
        crypto_must(EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1, "sha256");
    }
    unsigned n = 0;
    crypto_must(EVP_DigestFinal_ex(ctx, out, &n) == 1 && n == SHA256_BYTES, "sha256");
}

void sha256(struct str bytes, unsigned char out[SHA256_BYTES])
{
    sha256_of(&bytes, 1, out);
}

struct sha256_stream {
    EVP_MD_CTX *ctx;
};

struct sha256_stream *sha256_begin(void)
{
    struct sha256_stream *s = calloc(1, sizeof *s);
    crypto_must(s && (s->ctx = EVP_MD_CTX_new()), "sha256");
    crypto_must(EVP_DigestInit_ex2(s->ctx, EVP_sha256(), NULL) == 1, "sha256");
    return s;
}

void sha256_add(struct sha256_stream *s, struct str bytes)
{
    crypto_must(EVP_DigestUpdate(s->ctx, bytes.p, bytes.n) == 1, "sha256");
}

void sha256_end(struct sha256_stream **ps, unsigned char out[SHA256_BYTES])
{
    struct sha256_stream *s = *ps;
    unsigned char sum[SHA256_BYTES];
    unsigned n = 0;
    if (s) {
        crypto_must(EVP_DigestFinal_ex(s->ctx, out ? out : sum, &n) == 1 && n == SHA256_BYTES,
                    "sha256");
        EVP_MD_CTX_free(s->ctx);
        free(s);
        *ps = NULL;
    }
}

void random_bytes(unsigned char *out, size_t n)
{
    crypto_must(RAND_bytes_ex(NULL, out, n, 0) == 1, "random");
}
