#include "core/crypto/keys.h"

#include "core/base/file.h"
#include "core/crypto/crypto_internal.h"
#include "core/crypto/digest.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The text of a key file while it is made: wiped afterwards. */
struct text {
    char p[KEY_FILE_MAX];
    size_t n;
};

/* Complete under its name or not there at all, and never over an existing one: link() refuses. */
static enum err_code write_new(const char *folder, const char *name, const struct text *t,
                               mode_t mode, struct err *e)
{
    char path[KEY_PATH_MAX], temp[KEY_PATH_MAX];
    enum err_code code = key_path(folder, name, path, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (snprintf(temp, sizeof temp, "%s.%ld.new", path, (long)getpid()) >= (int)sizeof temp) {
        return ERR(e, ERR_LIMIT, 0, "the path of %s is too long", name);
    }
    code = file_write(temp, (struct str){t->p, t->n}, mode, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (link(temp, path) != 0) {
        code = errno == EEXIST
                   ? ERR(e, ERR_EXISTS, 0, "%s was made by somebody else just now", path)
                   : ERR(e, ERR_IO, 0, "could not make %s: %s", path, strerror(errno));
    }
    unlink(temp);
    return code == ERR_NONE ? file_sync_folder(folder, e) : code;
}

static bool there(const char *folder, const char *name)
{
    char path[KEY_PATH_MAX];
    return key_path(folder, name, path, NULL) == ERR_NONE && file_exists(path);
}

static enum err_code make_site(const char *folder, struct err *e)
{
    unsigned char raw[32];
    struct text t = {.n = 65};
    random_bytes(raw, sizeof raw);
    for (int i = 0; i < 32; i++) {
        snprintf(t.p + 2 * i, 3, "%02x", raw[i]);
    }
    t.p[64] = '\n';
    OPENSSL_cleanse(raw, sizeof raw);
    enum err_code code = write_new(folder, "site.key", &t, 0600, e);
    OPENSSL_cleanse(&t, sizeof t);
    return code;
}

/* ---- pairs ---- */

/* How the two halves of a pair are made: a fresh private half, and the public half of a given one.
 */
struct pair_kind {
    enum err_code (*fresh)(struct text *private_half, struct err *e);
    enum err_code (*public_of)(const char *folder, const char *name, struct text *public_half,
                               struct err *e);
};

static bool pem_text(EVP_PKEY *key, bool secret, struct text *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio && (secret ? PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                             : PEM_write_bio_PUBKEY(bio, key)) == 1;
    char *p = NULL;
    long n = ok ? BIO_get_mem_data(bio, &p) : 0;
    ok = ok && n > 0 && (size_t)n < sizeof out->p;
    if (ok) {
        memcpy(out->p, p, (size_t)n);
        out->n = (size_t)n;
        OPENSSL_cleanse(p, (size_t)n);
    }
    BIO_free(bio);
    return ok;
}

static enum err_code ed25519_fresh(struct text *out, struct err *e)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    bool ok = key && pem_text(key, true, out);
    EVP_PKEY_free(key);
    return ok ? ERR_NONE : CRYPTO_ERR(e, ERR_CRYPTO, "could not make an Ed25519 key");
}

static enum err_code ed25519_public_of(const char *folder, const char *name, struct text *out,
                                       struct err *e)
{
    char path[KEY_PATH_MAX], pem[KEY_FILE_MAX];
    size_t n = 0;
    enum err_code code = key_path(folder, name, path, e);
    code = code == ERR_NONE ? key_file_read(path, true, pem, &n, e) : code;
    EVP_PKEY *key = code == ERR_NONE ? pem_private((struct str){pem, n}) : NULL;
    if (code == ERR_NONE && !(key && pem_text(key, false, out))) {
        code = CRYPTO_ERR(e, ERR_CONFIG, "%s is not a private key in PEM", path);
    }
    EVP_PKEY_free(key);
    OPENSSL_cleanse(pem, sizeof pem);
    return code;
}

static void curve_text(const char key[CURVE_TEXT], struct text *out)
{
    memcpy(out->p, key, CURVE_TEXT - 1);
    out->p[CURVE_TEXT - 1] = '\n';
    out->n = CURVE_TEXT;
}

static enum err_code curve_fresh(struct text *out, struct err *e)
{
    char public_key[CURVE_TEXT], secret_key[CURVE_TEXT];
    enum err_code code = curve_pair(public_key, secret_key, e);
    if (code == ERR_NONE) {
        curve_text(secret_key, out);
    }
    OPENSSL_cleanse(secret_key, sizeof secret_key);
    return code;
}

static enum err_code curve_public_of(const char *folder, const char *name, struct text *out,
                                     struct err *e)
{
    char secret_key[CURVE_TEXT], public_key[CURVE_TEXT];
    enum err_code code = curve_read(folder, name, secret_key, e);
    code = code == ERR_NONE ? curve_public(secret_key, public_key, e) : code;
    if (code == ERR_NONE) {
        curve_text(public_key, out);
    }
    OPENSSL_cleanse(secret_key, sizeof secret_key);
    return code;
}

static const struct pair_kind ed25519 = {ed25519_fresh, ed25519_public_of};
static const struct pair_kind curve = {curve_fresh, curve_public_of};

static enum err_code make_pair(const char *folder, const struct pair_kind *kind,
                               const char *private_name, const char *public_name, struct err *e)
{
    struct text t = {.n = 0};
    enum err_code code = ERR_NONE;
    if (!there(folder, private_name)) {
        if (there(folder, public_name)) {
            return ERR(e, ERR_CONFIG, 0,
                       "%s/%s has lost its private half: restore %s from the backup, or remove the "
                       "public half too",
                       folder, public_name, private_name);
        }
        code = kind->fresh(&t, e);
        code = code == ERR_NONE ? write_new(folder, private_name, &t, 0600, e) : code;
    }
    if (code == ERR_NONE && !there(folder, public_name)) {
        code = kind->public_of(folder, private_name, &t, e);
        code = code == ERR_NONE ? write_new(folder, public_name, &t, 0644, e) : code;
    }
    OPENSSL_cleanse(&t, sizeof t);
    return code;
}

/* The folder alone is closed; those above it belong to others as well (var/ holds a database too).
 */
static enum err_code make_folder(const char *folder, struct err *e)
{
    char above[KEY_PATH_MAX];
    int n = snprintf(above, sizeof above, "%s", folder);
    if (n <= 0 || n >= (int)sizeof above) {
        return ERR(e, ERR_CONFIG, 0, "the path of the keys folder is empty or too long");
    }
    while (n > 1 && above[n - 1] == '/') {
        above[--n] = '\0';
    }
    char *slash = strrchr(above, '/');
    enum err_code code = ERR_NONE;
    if (slash && slash != above) {
        *slash = '\0';
        code = file_make_folder(above, 0755, e);
    }
    return code == ERR_NONE ? file_make_folder(folder, 0700, e) : code;
}

enum err_code keys_init(const char *folder, struct err *e)
{
    static const struct {
        const struct pair_kind *kind;
        const char *private_name, *public_name;
    } pairs[] = {
        {&ed25519, "ledger.key", "ledger.pub"}, {&curve, "stream.key", "stream.pub"},
        {&curve, "segment.key", "segment.pub"}, {&curve, "messaging.key", "messaging.pub"},
        {&curve, "tail.key", "tail.pub"},
    };
    bool all = there(folder, "site.key");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        all = all && there(folder, pairs[i].private_name) && there(folder, pairs[i].public_name);
    }
    if (all) {
        return ERR(e, ERR_EXISTS, 0, "all keys are there already in %s", folder);
    }
    enum err_code code = make_folder(folder, e);
    if (code == ERR_NONE && !there(folder, "site.key")) {
        code = make_site(folder, e);
    }
    for (size_t i = 0; code == ERR_NONE && i < sizeof pairs / sizeof pairs[0]; i++) {
        code = make_pair(folder, pairs[i].kind, pairs[i].private_name, pairs[i].public_name, e);
    }
    return code;
}
