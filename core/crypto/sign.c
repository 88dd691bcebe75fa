#include "core/crypto/digest.h"

#include "core/crypto/crypto_internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct signer {
    EVP_PKEY *key;
};

enum err_code signer_open(const char *path, struct signer **out, struct err *e)
{
    *out = NULL;
    char pem[KEY_FILE_MAX];
    size_t n = 0;
    enum err_code code = key_file_read(path, true, pem, &n, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct signer *s = calloc(1, sizeof *s);
    EVP_PKEY *key = s ? pem_private((struct str){pem, n}) : NULL;
    OPENSSL_cleanse(pem, sizeof pem);
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory for %s", path);
    }
    s->key = key;
    if (!key || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
        signer_free(&s);
        return CRYPTO_ERR(e, ERR_CONFIG,
                          "%s is not an unencrypted Ed25519 private key in PEM: restore it from "
                          "the backup",
                          path);
    }
    *out = s;
    return ERR_NONE;
}

void signer_free(struct signer **s)
{
    if (*s) {
        EVP_PKEY_free((*s)->key);
        free(*s);
        *s = NULL;
    }
}

enum err_code signer_sign(const struct signer *s, struct str text,
                          unsigned char out[ED25519_SIGNATURE], struct err *e)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = ED25519_SIGNATURE;
    bool ok = ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, s->key, NULL) == 1 &&
              EVP_DigestSign(ctx, out, &n, (const unsigned char *)text.p, text.n) == 1 &&
              n == ED25519_SIGNATURE;
    EVP_MD_CTX_free(ctx);
    return ok ? ERR_NONE : CRYPTO_ERR(e, ERR_CRYPTO, "could not sign");
}

enum err_code signer_public(const struct signer *s, unsigned char out[ED25519_PUBLIC],
                            struct err *e)
{
    size_t n = ED25519_PUBLIC;
    return EVP_PKEY_get_raw_public_key(s->key, out, &n) == 1 && n == ED25519_PUBLIC
               ? ERR_NONE
               : CRYPTO_ERR(e, ERR_CRYPTO, "could not take the public key");
}

enum err_code public_read(const char *path, unsigned char out[ED25519_PUBLIC], struct err *e)
{
    char pem[KEY_FILE_MAX];
    size_t n = 0, size = ED25519_PUBLIC;
    enum err_code code = key_file_read(path, false, pem, &n, e);
    if (code != ERR_NONE) {
        return code;
    }
    EVP_PKEY *key = pem_public((struct str){pem, n});
    bool ok = key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
              EVP_PKEY_get_raw_public_key(key, out, &size) == 1 && size == ED25519_PUBLIC;
    EVP_PKEY_free(key);
    return ok ? ERR_NONE
              : CRYPTO_ERR(e, ERR_CONFIG, "%s is not an Ed25519 public key in PEM", path);
}

bool public_verify(const unsigned char key[ED25519_PUBLIC], struct str text,
                   const unsigned char signature[ED25519_SIGNATURE])
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, key, ED25519_PUBLIC);
    EVP_MD_CTX *ctx = pkey ? EVP_MD_CTX_new() : NULL;
    bool ok = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) == 1 &&
              EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE, (const unsigned char *)text.p,
                               text.n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error(); /* a wrong signature is an answer, not an error */
    return ok;
}
