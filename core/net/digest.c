#include "core/net/digest.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/crypto/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILE = 1024 * 1024 };

struct net_digest {
    struct sha256_stream *sha;
};

static void as_hex(const unsigned char sum[SHA256_BYTES], char out[NET_DIGEST])
{
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
    }
}

struct net_digest *net_digest_begin(void)
{
    struct net_digest *d = calloc(1, sizeof *d);
    if (d) {
        d->sha = sha256_begin();
    }
    return d;
}

void net_digest_add(struct net_digest *d, struct str bytes)
{
    sha256_add(d->sha, bytes);
}

void net_digest_end(struct net_digest **d, char out[NET_DIGEST])
{
    unsigned char sum[SHA256_BYTES];
    if (*d) {
        sha256_end(&(*d)->sha, sum);
        if (out) {
            as_hex(sum, out);
        }
        free(*d);
        *d = NULL;
    }
}

void net_digest_of(struct str bytes, char out[NET_DIGEST])
{
    unsigned char sum[SHA256_BYTES];
    sha256(bytes, sum);
    as_hex(sum, out);
}

/* ---- tokens ---- */

struct token {
    const char *name;
    unsigned char sum[SHA256_BYTES];
};

struct net_tokens {
    struct arena *arena;
    struct token *list;
    size_t count;
};

static enum err_code read_line(struct net_tokens *t, struct str line, size_t number, struct err *e)
{
    struct str name, hex, rest = str_trim(line);
    if (rest.n == 0 || rest.p[0] == '#') {
        return ERR_NONE;
    }
    size_t blank = str_find(rest, ' ', 0);
    name = str_cut(rest, 0, blank);
    hex = str_trim(str_cut(rest, blank + 1, rest.n));
    if (str_ends(hex, STR(" -"))) { /* as sha256sum writes it */
        hex = str_trim(str_cut(hex, 0, hex.n - 2));
    }
    struct token *x = &t->list[t->count];
    if (hex.n != 2 * SHA256_BYTES || text_unhex(hex, (char *)x->sum, NULL) != ERR_NONE) {
        return ERR(e, ERR_CONFIG, 0,
                   "line %zu is not NAME SHA-256-OF-THE-TOKEN (64 hexadecimal digits)", number);
    }
    x->name = arena_z(t->arena, name);
    t->count++;
    return x->name ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory");
}

static enum err_code read_tokens(struct net_tokens *t, const char *path, struct err *e)
{
    struct stat st;
    struct str text, line;
    size_t number = 0;
    if (stat(path, &st) == 0 && (st.st_mode & 077)) {
        return ERR(e, ERR_CONFIG, 0, "others may read it: chmod 600 %s", path);
    }
    enum err_code rc = file_read(t->arena, path, MAX_FILE, &text, e);
    t->list = rc == ERR_NONE ? arena_array(t->arena, text.n / 64 + 1, sizeof *t->list) : NULL;
    if (rc == ERR_NONE && !t->list) {
        rc = ERR(e, ERR_NOMEM, 0, "no memory");
    }
    while (rc == ERR_NONE && str_next(&text, '\n', &line)) {
        rc = read_line(t, line, ++number, e);
    }
    if (rc == ERR_NONE && t->count == 0) {
        rc = ERR(e, ERR_CONFIG, 0, "there is no token in it");
    }
    return rc;
}

enum err_code net_tokens_load(const char *path, struct net_tokens **out, struct err *e)
{
    struct net_tokens *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t || !(t->arena = arena_new(0))) {
        net_tokens_free(&t);
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    enum err_code rc = read_tokens(t, path, e);
    if (rc != ERR_NONE) {
        err_in(e, "tokens %s", path);
        net_tokens_free(&t);
        return rc;
    }
    *out = t;
    return ERR_NONE;
}

void net_tokens_free(struct net_tokens **t)
{
    if (*t) {
        arena_free(&(*t)->arena);
        free(*t);
        *t = NULL;
    }
}

const char *net_tokens_find(const struct net_tokens *t, struct str token)
{
    unsigned char sum[SHA256_BYTES];
    const char *found = NULL;
    sha256(token, sum);
    for (size_t i = 0; i < t->count; i++) {
        unsigned differs = 0;
        for (size_t k = 0; k < SHA256_BYTES; k++) {
            differs |= (unsigned)(sum[k] ^ t->list[i].sum[k]);
        }
        found = differs ? found : t->list[i].name;
    }
    return found;
}
