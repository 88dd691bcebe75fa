#include "core/crypto/keys.h"

#include "core/crypto/crypto_internal.h"
#include "core/crypto/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Random 96-bit nonces are safe for about 2^32 records under one key, which a large site reaches in
 * some years. So every context has a key of its own (HMAC of the context under the site's sealing
 * key); a context is one column of one row, sealed again only when that row changes.
 */

enum { VERSION = 1, NONCE = 12, TAG = 16, NONCE_AT = 1, TEXT_AT = NONCE_AT + NONCE };
_Static_assert(SEAL_OVERHEAD == TEXT_AT + TAG, "the header says how much sealing adds");

/*
 * Nonces are drawn many at a time: the generator takes about as long for one as for all of these.
 * A process that was forked draws its own.
 */
enum { NONCES = 64 };
struct nonces {
    unsigned char left[NONCES][NONCE];
    size_t count;
    pid_t owner;
};

struct sealer {
    struct hmac *contexts;
    struct nonces nonces;
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *ctx;
};

struct sealer *sealer_new(const unsigned char key[32])
{
    struct sealer *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->contexts = hmac_new(key);
    s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    s->ctx = EVP_CIPHER_CTX_new();
    if (!s->contexts || !s->cipher || !s->ctx) {
        sealer_free(&s);
    }
    return s;
}

void sealer_free(struct sealer **s)
{
    if (*s) {
        hmac_free(&(*s)->contexts);
        EVP_CIPHER_CTX_free((*s)->ctx);
        EVP_CIPHER_free((*s)->cipher);
        free(*s);
        *s = NULL;
    }
}

static void take_nonce(struct nonces *n, unsigned char out[NONCE])
{
    if (n->count == 0 || n->owner != getpid()) {
        random_bytes(n->left[0], sizeof n->left);
        n->count = NONCES;
        n->owner = getpid();
    }
    memcpy(out, n->left[--n->count], NONCE);
}

static const unsigned char *bytes_of(struct str s)
{
    return (const unsigned char *)s.p;
}

/* Key, nonce and authenticated context into the cipher; direction 1 seals, 0 opens. */
static bool begin(struct sealer *s, struct str context, const unsigned char *nonce, int direction)
{
    unsigned char key[32];
    hmac_parts(s->contexts, &context, 1, key);
    int n = 0;
    bool ok = EVP_CipherInit_ex2(s->ctx, s->cipher, key, nonce, direction, NULL) == 1 &&
              (context.n == 0 ||
               EVP_CipherUpdate(s->ctx, NULL, &n, bytes_of(context), (int)context.n) == 1);
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

enum err_code seal(const struct keyring *k, struct str context, struct str plain, struct buf *out,
                   struct err *e)
{
    if (plain.n > INT_MAX - SEAL_OVERHEAD || context.n > INT_MAX) {
        return ERR(e, ERR_LIMIT, 0, "too large to seal");
    }
    unsigned char *to = (unsigned char *)buf_room(out, plain.n + SEAL_OVERHEAD);
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no room for a sealed record");
    }
    struct sealer *s = keyring_sealer(k);
    to[0] = VERSION;
    take_nonce(&s->nonces, to + NONCE_AT);
    int n = 0, end = 0;
    bool ok = begin(s, context, to + NONCE_AT, 1) &&
              (plain.n == 0 ||
               EVP_CipherUpdate(s->ctx, to + TEXT_AT, &n, bytes_of(plain), (int)plain.n) == 1) &&
              EVP_CipherFinal_ex(s->ctx, to + TEXT_AT + n, &end) == 1 &&
              EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_GCM_GET_TAG, TAG, to + TEXT_AT + plain.n) == 1;
    EVP_CIPHER_CTX_reset(s->ctx);
    if (!ok) {
        return CRYPTO_ERR(e, ERR_CRYPTO, "could not seal a record");
    }
    buf_took(out, plain.n + SEAL_OVERHEAD);
    return ERR_NONE;
}

enum err_code unseal(const struct keyring *k, struct arena *a, struct str context,
                     struct str sealed, struct str *plain, struct err *e)
{
    *plain = (struct str){0};
    if (sealed.n < SEAL_OVERHEAD || sealed.n > INT_MAX || context.n > INT_MAX) {
        return ERR(e, ERR_CRYPTO, 0, "a sealed record is cut off");
    }
    if (sealed.p[0] != VERSION) {
        return ERR(e, ERR_CRYPTO, 0, "a sealed record has an unknown format");
    }
    size_t size = sealed.n - SEAL_OVERHEAD;
    unsigned char *to = arena_alloc(a, size + 1);
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory to open a sealed record");
    }
    struct sealer *s = keyring_sealer(k);
    unsigned char tag[TAG];
    for (size_t i = 0; i < TAG; i++) {
        tag[i] = (unsigned char)sealed.p[TEXT_AT + size + i];
    }
    int n = 0, end = 0;
    bool ok = begin(s, context, bytes_of(sealed) + NONCE_AT, 0) &&
              (size == 0 ||
               EVP_CipherUpdate(s->ctx, to, &n, bytes_of(sealed) + TEXT_AT, (int)size) == 1) &&
              EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
              EVP_CipherFinal_ex(s->ctx, to + n, &end) == 1;
    EVP_CIPHER_CTX_reset(s->ctx);
    if (!ok) {
        OPENSSL_cleanse(to, size);
        return CRYPTO_ERR(e, ERR_CRYPTO,
                          "a sealed record does not open: changed, moved, or another site.key");
    }
    *plain = (struct str){(const char *)to, size};
    return ERR_NONE;
}
