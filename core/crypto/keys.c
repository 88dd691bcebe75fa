#include "core/crypto/keys.h"

#include "core/base/text.h"
#include "core/crypto/crypto_internal.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SITE_KEY_BYTES = 32 };

/* One derived key per use: what leaks from one use says nothing about another. */
enum use { USE_PATIENT, USE_OPAQUE, USE_PSEUDONYM, USE_MESSAGE, USE_EVENT, USES };

static const char *const use_info[USES] = {
    [USE_PATIENT] = "dari 1 patient",     [USE_OPAQUE] = "dari 1 opaque",
    [USE_PSEUDONYM] = "dari 1 pseudonym", [USE_MESSAGE] = "dari 1 message",
    [USE_EVENT] = "dari 1 event",
};
static const char seal_info[] = "dari 1 seal";

static const char *const private_files[] = {"site.key", "ledger.key", "stream.key", "segment.key",
                                            "messaging.key"};

struct keyring {
    struct hmac *use[USES];
    struct sealer *sealer;
};

struct sealer *keyring_sealer(const struct keyring *k)
{
    return k->sealer;
}

static bool derive(EVP_KDF_CTX *kdf, unsigned char key[SITE_KEY_BYTES], const char *info,
                   unsigned char out[32])
{
    char digest[] = "SHA256";
    char label[32];
    size_t n = strlen(info);
    memcpy(label, info, n);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, SITE_KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label, n),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX_reset(kdf);
    return EVP_KDF_derive(kdf, out, 32, params) == 1;
}

static bool derive_all(struct keyring *k, unsigned char site_key[SITE_KEY_BYTES])
{
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *kdf = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    unsigned char key[32];
    bool ok = kdf != NULL;
    for (int u = 0; ok && u < USES; u++) {
        ok = derive(kdf, site_key, use_info[u], key) && (k->use[u] = hmac_new(key)) != NULL;
    }
    ok = ok && derive(kdf, site_key, seal_info, key) && (k->sealer = sealer_new(key)) != NULL;
    OPENSSL_cleanse(key, sizeof key);
    EVP_KDF_CTX_free(kdf);
    EVP_KDF_free(hkdf);
    return ok;
}

static enum err_code check_folder(const char *folder, struct err *e)
{
    struct stat st;
    if (stat(folder, &st) != 0) {
        return ERR(e, errno == ENOENT ? ERR_NOTFOUND : ERR_CONFIG, 0,
                   "no keys in %s: %s (make them with dari keys init)", folder, strerror(errno));
    }
    if (st.st_mode & 022) {
        return ERR(e, ERR_CONFIG, 0, "%s can be changed by other users: chmod 700 %s", folder,
                   folder);
    }
    char path[KEY_PATH_MAX];
    enum err_code code = ERR_NONE;
    for (size_t i = 0; code == ERR_NONE && i < sizeof private_files / sizeof private_files[0];
         i++) {
        code = key_path(folder, private_files[i], path, e);
        code = code == ERR_NONE ? key_file_private(path, e) : code;
    }
    return code;
}

static enum err_code read_site_key(const char *folder, unsigned char out[SITE_KEY_BYTES],
                                   struct err *e)
{
    char path[KEY_PATH_MAX], text[KEY_FILE_MAX];
    size_t n = 0;
    enum err_code code = key_path(folder, "site.key", path, e);
    code = code == ERR_NONE ? key_file_read(path, true, text, &n, e) : code;
    if (code == ERR_NONE) {
        struct str hex = str_trim((struct str){text, n});
        if (hex.n != 2 * SITE_KEY_BYTES || text_unhex(hex, (char *)out, NULL) != ERR_NONE) {
            code = ERR(e, ERR_CONFIG, 0,
                       "%s is damaged: 64 hexadecimal digits expected; restore it from the backup",
                       path);
        }
    }
    OPENSSL_cleanse(text, sizeof text);
    return code;
}

enum err_code keyring_open(const char *folder, struct keyring **out, struct err *e)
{
    *out = NULL;
    unsigned char site_key[SITE_KEY_BYTES];
    enum err_code code = check_folder(folder, e);
    code = code == ERR_NONE ? read_site_key(folder, site_key, e) : code;
    if (code != ERR_NONE) {
        return code;
    }
    struct keyring *k = calloc(1, sizeof *k);
    if (!k) {
        code = ERR(e, ERR_NOMEM, 0, "no memory for the keys");
    } else if (!derive_all(k, site_key)) {
        code = CRYPTO_ERR(e, ERR_CRYPTO, "could not derive the site's keys");
        keyring_free(&k);
    }
    OPENSSL_cleanse(site_key, sizeof site_key);
    *out = k;
    return code;
}

void keyring_free(struct keyring **k)
{
    if (!*k) {
        return;
    }
    for (int u = 0; u < USES; u++) {
        hmac_free(&(*k)->use[u]); /* OpenSSL wipes the key in its context */
    }
    sealer_free(&(*k)->sealer);
    free(*k);
    *k = NULL;
}

static void key_text(const struct keyring *k, enum use use, const struct str *parts, size_t count,
                     char out[KEY_TEXT])
{
    unsigned char mac[32];
    hmac_parts(k->use[use], parts, count, mac);
    text_base32((struct str){(const char *)mac, 16}, out);
}

void key_patient(const struct keyring *k, struct str site, struct str chart_no, char out[KEY_TEXT])
{
    const struct str parts[] = {site, chart_no};
    key_text(k, USE_PATIENT, parts, 2, out);
}

void key_opaque(const struct keyring *k, const char *kind, struct str site, struct str value,
                char out[KEY_TEXT])
{
    const struct str parts[] = {str_of(kind), site, value};
    key_text(k, USE_OPAQUE, parts, 3, out);
}

void key_pseudonym(const struct keyring *k, struct str consumer, struct str key, char out[KEY_TEXT])
{
    const struct str parts[] = {consumer, key};
    key_text(k, USE_PSEUDONYM, parts, 2, out);
}

void key_message(const struct keyring *k, struct str site, struct str feed, struct str control_id,
                 struct str body_before, struct str body_after, unsigned char out[16])
{
    const struct str parts[] = {site, feed, control_id, body_before, body_after};
    unsigned char mac[32];
    hmac_parts(k->use[USE_MESSAGE], parts, 5, mac);
    memcpy(out, mac, 16);
}

void key_event(const struct keyring *k, struct str cause, struct str type, unsigned position,
               char out[KEY_TEXT])
{
    const char at[4] = {(char)(position >> 24), (char)(position >> 16), (char)(position >> 8),
                        (char)position};
    const struct str parts[] = {cause, type, {at, sizeof at}};
    key_text(k, USE_EVENT, parts, 3, out);
}
