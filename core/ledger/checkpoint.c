#include "core/ledger/checkpoint.h"

#include "core/base/num.h"

#include <stdio.h>
#include <string.h>

enum { KEY_ID = 4, SIGNATURE = KEY_ID + ED25519_SIGNATURE, ALGORITHM_ED25519 = 1 };

#define EM_DASH "\xe2\x80\x94 "

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (k < left ? (unsigned char)bytes.p[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            buf_addc(out, k <= left ? digits[v >> (18 - 6 * k) & 63] : '=');
        }
    }
}

static int digit_value(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool base64_get(struct str text, unsigned char *out, size_t *n)
{
    size_t room = *n;
    *n = 0;
    if (text.n % 4) {
        return false;
    }
    for (size_t i = 0; i < text.n; i += 4) {
        bool last = i + 4 == text.n;
        size_t pad = !last || text.p[i + 3] != '=' ? 0 : text.p[i + 2] == '=' ? 2 : 1;
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            int d = k < 4 - pad ? digit_value(text.p[i + k]) : 0;
            if (d < 0) {
                return false;
            }
            v = v << 6 | (uint32_t)d;
        }
        if (v & ((1u << 8 * pad) - 1) || *n + 3 - pad > room) { /* unused bits must be zero */
            return false;
        }
        for (size_t k = 0; k < 3 - pad; k++) {
            out[(*n)++] = (unsigned char)(v >> (16 - 8 * k));
        }
    }
    return true;
}

static bool name_of(const char *site, char out[128])
{
    int n = snprintf(out, 128, "dari/%s", site);
    return n > 5 && n < 128 && !strpbrk(out, " \t\n+");
}

static void key_id(const char *name, const unsigned char key[ED25519_PUBLIC],
                   unsigned char out[KEY_ID])
{
    unsigned char digest[SHA256_BYTES];
    const char algorithm[] = {'\n', ALGORITHM_ED25519};
    const struct str parts[] = {
        str_of(name), {algorithm, sizeof algorithm}, {(const char *)key, ED25519_PUBLIC}};
    sha256_of(parts, 3, digest);
    memcpy(out, digest, KEY_ID);
}

enum err_code checkpoint_sign(struct buf *note, const char *site, const struct checkpoint *c,
                              const struct signer *s, struct err *e)
{
    char name[128];
    unsigned char key[ED25519_PUBLIC], signature[SIGNATURE];
    if (!name_of(site, name)) {
        return ERR(e, ERR_CONFIG, 0, "the site's name cannot be the name of a ledger");
    }
    size_t from = note->n;
    buf_printf(note, "%s\n%lld\n", name, (long long)c->size);
    base64_put(note, (struct str){(const char *)c->root.b, TREE_HASH});
    buf_addc(note, '\n');
    if (!buf_ok(note)) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a checkpoint");
    }
    enum err_code code = signer_public(s, key, e);
    struct str text = str_cut(buf_str(note), from, note->n);
    code = code == ERR_NONE ? signer_sign(s, text, signature + KEY_ID, e) : code;
    if (code != ERR_NONE) {
        return code;
    }
    key_id(name, key, signature);
    buf_printf(note, "\n" EM_DASH "%s ", name);
    base64_put(note, (struct str){(const char *)signature, SIGNATURE});
    buf_addc(note, '\n');
    return buf_ok(note) ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a checkpoint");
}

/* Cuts the next line off; false when there is none that ends with LF. */
static bool next_line(struct str *rest, struct str *line)
{
    size_t end = str_find(*rest, '\n', 0);
    if (end == rest->n) {
        return false;
    }
    *line = str_cut(*rest, 0, end);
    *rest = str_cut(*rest, end + 1, rest->n);
    return true;
}

static enum err_code read_text(struct str text, const char *name, struct checkpoint *out,
                               struct err *e)
{
    struct str rest = text, line;
    if (!next_line(&rest, &line)) {
        return ERR(e, ERR_SYNTAX, 0, "not a checkpoint");
    }
    if (!str_is(line, name)) {
        return ERR(e, ERR_REFUSED, 0, "a checkpoint of another ledger, not of %s", name);
    }
    size_t pos = text.n - rest.n;
    if (!next_line(&rest, &line) || line.n == 0 || line.p[0] < '0' || line.p[0] > '9' ||
        (line.p[0] == '0' && line.n > 1) ||
        num_i64(line, 0, INT64_MAX, &out->size, NULL) != ERR_NONE) {
        return ERR(e, ERR_SYNTAX, pos, "a checkpoint without a size");
    }
    pos = text.n - rest.n;
    size_t n = TREE_HASH;
    if (!next_line(&rest, &line) || !base64_get(line, out->root.b, &n) || n != TREE_HASH) {
        return ERR(e, ERR_SYNTAX, pos, "a checkpoint without a root");
    }
    return ERR_NONE;
}

/* One signature line: true when it is by `name` and this key, whatever the signature is worth. */
static bool read_signature(struct str line, const char *name, const unsigned char id[KEY_ID],
                           unsigned char out[SIGNATURE])
{
    size_t n = SIGNATURE;
    struct str prefix = STR(EM_DASH);
    if (!str_starts(line, prefix)) {
        return false;
    }
    line = str_cut(line, prefix.n, line.n);
    size_t blank = str_find(line, ' ', 0);
    return str_is(str_cut(line, 0, blank), name) &&
           base64_get(str_cut(line, blank + 1, line.n), out, &n) && n == SIGNATURE &&
           memcmp(out, id, KEY_ID) == 0;
}

enum err_code checkpoint_open(struct str note, const char *site,
                              const unsigned char key[ED25519_PUBLIC], struct checkpoint *out,
                              struct err *e)
{
    char name[128];
    unsigned char id[KEY_ID], signature[SIGNATURE];
    *out = (struct checkpoint){0};
    if (!name_of(site, name)) {
        return ERR(e, ERR_CONFIG, 0, "the site's name cannot be the name of a ledger");
    }
    struct str rest = note, line;
    bool divided = false;
    while (!divided && next_line(&rest, &line)) {
        divided = line.n == 0;
    }
    if (!divided || note.n > CHECKPOINT_MAX) {
        return ERR(e, ERR_SYNTAX, 0, "not a signed note");
    }
    struct str text = str_cut(note, 0, note.n - rest.n - 1);
    enum err_code code = read_text(text, name, out, e);
    if (code != ERR_NONE) {
        return code;
    }
    key_id(name, key, id);
    while (next_line(&rest, &line)) {
        if (read_signature(line, name, id, signature)) {
            return public_verify(key, text, signature + KEY_ID)
                       ? ERR_NONE
                       : ERR(e, ERR_REFUSED, 0, "the signature does not fit the checkpoint");
        }
    }
    return ERR(e, ERR_REFUSED, 0, "the checkpoint is not signed by this key");
}
