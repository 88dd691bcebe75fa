/* The functions of one hash (SHA256_*) without warnings that OpenSSL 3 prefers EVP to them. */
#define OPENSSL_API_COMPAT 10101
#include "core/crypto/crypto_internal.h"

#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err_code crypto_err(struct err *e, enum err_code code, const char *src, int line,
                         const char *fmt, ...)
{
    unsigned long first = ERR_peek_error();
    const char *reason = first ? ERR_reason_error_string(first) : NULL;
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return reason ? err_set(e, code, 0, src, line, "%s (%s)", text, reason)
                  : err_set(e, code, 0, src, line, "%s", text);
}

void crypto_must(bool ok, const char *what)
{
    if (!ok) {
        unsigned long first = ERR_peek_error();
        const char *reason = first ? ERR_reason_error_string(first) : NULL;
        log_error("crypto.broken", "what=%s reason=\"%s\"", what, reason ? reason : "unknown");
        abort();
    }
}

enum err_code key_path(const char *folder, const char *name, char out[KEY_PATH_MAX], struct err *e)
{
    int n = snprintf(out, KEY_PATH_MAX, "%s/%s", folder, name);
    return n > 0 && n < KEY_PATH_MAX ? ERR_NONE
                                     : ERR(e, ERR_LIMIT, 0, "the path of %s is too long", name);
}

static enum err_code private_mode(const struct stat *st, const char *path, struct err *e)
{
    return st->st_mode & 077
               ? ERR(e, ERR_CONFIG, 0, "%s can be read by other users: chmod 600 %s", path, path)
               : ERR_NONE;
}

enum err_code key_file_private(const char *path, struct err *e)
{
    struct stat st;
    return stat(path, &st) == 0 ? private_mode(&st, path, e) : ERR_NONE;
}

static enum err_code read_open(int fd, const char *path, bool secret, char out[KEY_FILE_MAX],
                               size_t *n, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return ERR(e, ERR_CONFIG, 0, "%s is not a file", path);
    }
    enum err_code code = secret ? private_mode(&st, path, e) : ERR_NONE;
    if (code != ERR_NONE) {
        return code;
    }
    if (st.st_size >= KEY_FILE_MAX) {
        return ERR(e, ERR_CONFIG, 0, "%s is too large for a key", path);
    }
    ssize_t got = read(fd, out, KEY_FILE_MAX);
    if (got < 0) {
        return ERR(e, ERR_IO, 0, "could not read %s: %s", path, strerror(errno));
    }
    *n = (size_t)got;
    return ERR_NONE;
}

enum err_code key_file_read(const char *path, bool secret, char out[KEY_FILE_MAX], size_t *n,
                            struct err *e)
{
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return ERR(e, ERR_NOTFOUND, 0, "%s is missing: make it with dari keys init", path);
    }
    if (fd < 0) {
        return ERR(e, ERR_CONFIG, 0, "cannot read %s: %s (run as the user that owns the keys)",
                   path, strerror(errno));
    }
    enum err_code code = read_open(fd, path, secret, out, n, e);
    close(fd);
    return code;
}

/* ---- HMAC ---- */

/*
 * HMAC-SHA-256 (RFC 2104) with both of its beginnings, which depend on the key alone, made once. An
 * identifier is hashed in three blocks; EVP_MAC copies its contexts twice and allocates for it,
 * which takes longer than that.
 */
struct hmac {
    SHA256_CTX inner, outer;
};

static bool begin(SHA256_CTX *ctx, const unsigned char key[32], unsigned char pad)
{
    unsigned char block[SHA256_CBLOCK];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < 32; i++) {
        block[i] ^= key[i];
    }
    bool ok = SHA256_Init(ctx) == 1 && SHA256_Update(ctx, block, sizeof block) == 1;
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

struct hmac *hmac_new(const unsigned char key[32])
{
    struct hmac *h = calloc(1, sizeof *h);
    if (h && (!begin(&h->inner, key, 0x36) || !begin(&h->outer, key, 0x5c))) {
        hmac_free(&h);
    }
    return h;
}

void hmac_free(struct hmac **h)
{
    if (*h) {
        OPENSSL_cleanse(*h, sizeof **h);
        free(*h);
        *h = NULL;
    }
}

void hmac_parts(const struct hmac *h, const struct str *parts, size_t count, unsigned char out[32])
{
    SHA256_CTX ctx = h->inner;
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        const uint64_t n = parts[i].n;
        const unsigned char size[8] = {(unsigned char)(n >> 56), (unsigned char)(n >> 48),
                                       (unsigned char)(n >> 40), (unsigned char)(n >> 32),
                                       (unsigned char)(n >> 24), (unsigned char)(n >> 16),
                                       (unsigned char)(n >> 8),  (unsigned char)n};
        ok = ok && SHA256_Update(&ctx, size, sizeof size) == 1 &&
             SHA256_Update(&ctx, n ? parts[i].p : "", parts[i].n) == 1;
    }
    ok = ok && SHA256_Final(out, &ctx) == 1;
    ctx = h->outer;
    ok = ok && SHA256_Update(&ctx, out, SHA256_DIGEST_LENGTH) == 1 && SHA256_Final(out, &ctx) == 1;
    OPENSSL_cleanse(&ctx, sizeof ctx);
    crypto_must(ok, "hmac");
}

/* ---- PEM ---- */

/* Without this OpenSSL would ask for the passphrase of an encrypted key on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *ctx)
{
    (void)out, (void)size, (void)writing, (void)ctx;
    return -1;
}

EVP_PKEY *pem_private(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return key;
}

EVP_PKEY *pem_public(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    return key;
}
