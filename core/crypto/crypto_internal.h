/* Shared by the files of this folder only. */
#ifndef DARI_CRYPTO_INTERNAL_H
#define DARI_CRYPTO_INTERNAL_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/crypto/keys.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

/* Sets the error with OpenSSL's reason (never its data, which may quote input) behind the text, and
 * empties OpenSSL's queue, so that the next error is not blamed for this one. */
#define CRYPTO_ERR(e, code, ...) crypto_err((e), (code), __FILE__, __LINE__, __VA_ARGS__)
enum err_code crypto_err(struct err *e, enum err_code code, const char *src, int line,
                         const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* For digests and codes over memory, which only fail when memory is out or OpenSSL is broken: the
 * process says so and aborts, because going on with a wrong key or digest is worse. */
void crypto_must(bool ok, const char *what);

/*
 * Reads a small file whole. `secret`: refuses one that group or others may read, with the command
 * that repairs it. The caller wipes `out`. ERR_NOTFOUND, ERR_CONFIG, ERR_IO.
 */
enum { KEY_FILE_MAX = 4096 };
enum err_code key_file_read(const char *path, bool secret, char out[KEY_FILE_MAX], size_t *n,
                            struct err *e);

/* ERR_CONFIG when the file exists and group or others may read it. */
enum err_code key_file_private(const char *path, struct err *e);

/* folder/name, ERR_LIMIT when that is too long. */
enum { KEY_PATH_MAX = 4096 };
enum err_code key_path(const char *folder, const char *name, char out[KEY_PATH_MAX], struct err *e);

/* HMAC-SHA-256 under one derived key, restarted for every text: no allocation per call. */
struct hmac;
struct hmac *hmac_new(const unsigned char key[32]);
void hmac_free(struct hmac **h);
/* Each part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ. */
void hmac_parts(const struct hmac *h, const struct str *parts, size_t count, unsigned char out[32]);

/* What sealing needs; owned by the keyring (seal.c). */
struct sealer;
struct sealer *sealer_new(const unsigned char key[32]);
void sealer_free(struct sealer **s);
struct sealer *keyring_sealer(const struct keyring *k);

EVP_PKEY *pem_private(struct str pem);
EVP_PKEY *pem_public(struct str pem);

#endif
