#include "core/app/consumer.h"

#include "core/crypto/keys.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>

/* Those of others are not made by dari keys init. */
static enum err_code no_key(const char *name, const char *path, struct err *e)
{
    return ERR(e, ERR_NOTFOUND, 0,
               "%s is missing: --key FILE says where the secret key of %s lies (dari consumer add "
               "made it with --new-key, or its owner has it)",
               path, name);
}

static enum err_code read_secret(const struct config *c, const char *name, const char *key_file,
                                 char out[CURVE_TEXT], struct err *e)
{
    char folder[4096], file[4096];
    if (!key_file) {
        bool own = strcmp(name, "segment") == 0 || strcmp(name, "messaging") == 0 ||
                   strcmp(name, "tail") == 0;
        snprintf(file, sizeof file, "%s.key", name);
        enum err_code code = curve_read(c->keys, file, out, e);
        return code == ERR_NOTFOUND && !own ? no_key(name, file, e) : code;
    }
    if (snprintf(folder, sizeof folder, "%s", key_file) >= (int)sizeof folder ||
        snprintf(file, sizeof file, "%s", key_file) >= (int)sizeof file) {
        return ERR(e, ERR_LIMIT, 0, "the path of the key file is too long");
    }
    enum err_code code = curve_read(dirname(folder), basename(file), out, e);
    return code == ERR_NOTFOUND ? no_key(name, key_file, e) : code;
}

enum err_code consumer_settings(const struct config *c, struct arena *a, const char *name,
                                const char *key_file, struct stream_settings *out, struct err *e)
{
    char server[CURVE_TEXT], public_key[CURVE_TEXT], secret_key[CURVE_TEXT];
    *out = (struct stream_settings){.site = c->site, .from = STREAM_FROM_CURSOR};
    enum err_code code = curve_read(c->keys, "stream.pub", server, e);
    if (code == ERR_NONE) {
        code = read_secret(c, name, key_file, secret_key, e);
    }
    if (code == ERR_NONE) {
        code = curve_public(secret_key, public_key, e);
    }
    if (code == ERR_NONE) {
        out->endpoint = arena_printf(a, "ipc://%s", c->relay.local);
        out->server_key = arena_z(a, str_of(server));
        out->public_key = arena_z(a, str_of(public_key));
        out->secret_key = arena_z(a, str_of(secret_key));
        if (!out->endpoint || !out->server_key || !out->public_key || !out->secret_key) {
            code = ERR(e, ERR_NOMEM, 0, "no memory for a stream client");
        }
    }
    explicit_bzero(secret_key, sizeof secret_key);
    return code;
}
