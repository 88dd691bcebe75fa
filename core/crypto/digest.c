#include "core/crypto/digest.h"

#include "core/crypto/crypto_internal.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

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

void random_bytes(unsigned char *out, size_t n)
{
    crypto_must(RAND_bytes_ex(NULL, out, n, 0) == 1, "random");
}
