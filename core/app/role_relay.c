/* The role relay: the configuration in the words of core/stream/relay.h. */
#include "core/app/role.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/stream/relay.h"

#include <libgen.h>
#include <stdio.h>

static enum err_code open_db(void *ctx, struct db **out, struct err *e)
{
    return config_db(ctx, "relay", out, e);
}

/* The folder of the local socket is ours alone. */
static enum err_code make_folder(const struct config *c, struct err *e)
{
    char path[256];
    if (snprintf(path, sizeof path, "%s", c->relay.local) >= (int)sizeof path) {
        return ERR(e, ERR_CONFIG, 0, "the path of the relay's local socket is too long");
    }
    return file_make_folder(dirname(path), 0700, e);
}

int role_relay(const struct config *c, const struct config_feed *feed)
{
    (void)feed;
    struct err e = {0};
    union { /* open_db only reads it */
        const struct config *in;
        void *out;
    } ctx = {.in = c};
    const struct relay_settings s = {
        .site = c->site,
        .keys = c->keys,
        .contracts = c->relay.contracts,
        .run = c->run,
        .local = c->relay.local,
        .address = c->relay.address && c->relay.address[0] ? c->relay.address : NULL,
        .port = (int)c->relay.port,
        .catalogue = c->catalogue,
        .max_messages = c->relay.max_credit,
        .open_db = open_db,
        .ctx = ctx.out,
        .stop = &role_stop,
        .ready = role_ready,
    };
    int status = 0;
    enum err_code code = role_begin(c, "relay", &e);
    if (code == ERR_NONE) {
        code = make_folder(c, &e);
    }
    if (code == ERR_NONE) {
        code = relay_run(&s, &e);
    }
    if (code != ERR_NONE) {
        status = role_failed("relay.failed", &e);
    }
    log_close();
    return status;
}
