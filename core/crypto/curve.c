#include "core/crypto/keys.h"

#include "core/crypto/crypto_internal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/* ZeroMQ RFC 32. */
static const char z85_digits[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

void z85_encode(const unsigned char in[32], char out[CURVE_TEXT])
{
    for (int group = 0; group < 8; group++) {
        uint32_t value = 0;
        for (int i = 0; i < 4; i++) {
            value = value << 8 | in[4 * group + i];
        }
        for (int i = 4; i >= 0; i--) {
            out[5 * group + i] = z85_digits[value % 85];
            value /= 85;
        }
    }
    out[CURVE_TEXT - 1] = '\0';
}

bool z85_decode(const char *text, unsigned char out[32])
{
    if (memchr(text, '\0', CURVE_TEXT) != text + CURVE_TEXT - 1) {
        return false;
    }
    for (int group = 0; group < 8; group++) {
        uint64_t value = 0;
        for (int i = 0; i < 5; i++) {
            const char *digit = strchr(z85_digits, text[5 * group + i]);
            if (!digit) {
                return false;
            }
            value = value * 85 + (uint64_t)(digit - z85_digits);
        }
        if (value > UINT32_MAX) {
            return false;
        }
        for (int i = 0; i < 4; i++) {
            out[4 * group + i] = (unsigned char)(value >> (24 - 8 * i));
        }
    }
    return true;
}

enum err_code curve_public(const char *secret_key, char public_key[CURVE_TEXT], struct err *e)
{
    unsigned char raw[32];
    if (!z85_decode(secret_key, raw)) {
        return ERR(e, ERR_VALUE, 0, "not a CURVE key: 40 characters of Z85 expected");
    }
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, raw, sizeof raw);
    size_t n = sizeof raw;
    bool ok = key && EVP_PKEY_get_raw_public_key(key, raw, &n) == 1 && n == sizeof raw;
    if (ok) {
        z85_encode(raw, public_key);
    }
    EVP_PKEY_free(key);
    OPENSSL_cleanse(raw, sizeof raw);
    return ok ? ERR_NONE : CRYPTO_ERR(e, ERR_CRYPTO, "could not compute a CURVE public key");
}

enum err_code curve_pair(char public_key[CURVE_TEXT], char secret_key[CURVE_TEXT], struct err *e)
{
    unsigned char raw[32];
    size_t n = sizeof raw;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    bool ok = key && EVP_PKEY_get_raw_private_key(key, raw, &n) == 1 && n == sizeof raw;
    if (ok) {
        z85_encode(raw, secret_key);
    }
    EVP_PKEY_free(key);
    OPENSSL_cleanse(raw, sizeof raw);
    return ok ? curve_public(secret_key, public_key, e)
              : CRYPTO_ERR(e, ERR_CRYPTO, "could not make a CURVE key pair");
}

enum err_code curve_read(const char *folder, const char *file, char out[CURVE_TEXT], struct err *e)
{
    char path[KEY_PATH_MAX], text[KEY_FILE_MAX];
    unsigned char raw[32];
    size_t n = 0;
    bool secret = str_ends(str_of(file), STR(".key"));
    enum err_code code = key_path(folder, file, path, e);
    code = code == ERR_NONE ? key_file_read(path, secret, text, &n, e) : code;
    if (code == ERR_NONE) {
        struct str z85 = str_trim((struct str){text, n});
        bool ok = z85.n == CURVE_TEXT - 1;
        if (ok) {
            memcpy(out, z85.p, CURVE_TEXT - 1);
            out[CURVE_TEXT - 1] = '\0';
            ok = z85_decode(out, raw);
        }
        if (!ok) {
            OPENSSL_cleanse(out, CURVE_TEXT);
            code = ERR(e, ERR_CONFIG, 0, "%s is damaged: 40 characters of Z85 expected", path);
        }
    }
    OPENSSL_cleanse(raw, sizeof raw);
    OPENSSL_cleanse(text, sizeof text);
    return code;
}
