#include "core/app/role.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/crypto/keys.h"
#include "core/intake/intake.h"
#include "core/net/net.h"

#include <stdio.h>

enum { DRAIN_MS = 5000, LOOK_MS = 20, MAX_MESSAGE = 256 * 1024 * 1024 };

struct feed {
    const struct config *config;
    const struct config_feed *feed;
    struct net_loop *loop;
    struct keyring *keys;
    struct generation *generation;
    struct arena *reloaded; /* what `feed` lies in since the last reload; NULL before */
    struct adapter_host *host;
    struct adapter *adapter;
    struct net_timer *drain;
    int64_t drained_ms;
    int status;
};

static const char *conninfo(void *ctx, struct arena *a, struct err *e)
{
    const struct feed *f = ctx;
    return config_conninfo(f->config, a, e);
}

/* The door opens when the database's state is known, so that nobody is turned away just for being
 * early. */
static void open_door(void *ctx)
{
    struct feed *f = ctx;
    struct err e = {0};
    if (f->feed->adapter->start(f->host, f->loop, f->feed->options, &f->adapter, &e) != ERR_NONE) {
        err_in(&e, "feed %s", f->feed->name);
        f->status = role_failed("feed.start", &e);
        net_loop_stop(f->loop);
        return;
    }
    intake_attach(f->host, f->feed->adapter, f->adapter);
    role_ready();
    log_info("feed.ready", "feed=%s adapter=%s", f->feed->name, f->feed->adapter->name);
}

/* Orderly end: nothing new, what is under way gets its reply, at most five seconds. */
static void draining(void *ctx)
{
    struct feed *f = ctx;
    f->drained_ms += LOOK_MS;
    if (intake_idle(f->host) || f->drained_ms > DRAIN_MS) {
        net_loop_stop(f->loop);
        return;
    }
    net_timer_set(f->drain, LOOK_MS);
}

static void on_stop(void *ctx)
{
    struct feed *f = ctx;
    if (f->adapter) {
        f->feed->adapter->drain(f->adapter);
    }
    net_timer_set(f->drain, LOOK_MS);
}

/* What the feed's messages are mapped with, as its files say now. */
static struct generation *load_generation(const struct config *c, const struct config_feed *feed,
                                          struct err *e)
{
    struct problems p = {0};
    struct mapping_set *mapping = NULL;
    struct generation *g = NULL;
    struct catalogue *catalogue = catalogue_load(c->catalogue, &p);
    if (catalogue) {
        mapping = mapping_load(feed->mapping, catalogue, &p);
    }
    if (!mapping) {
        problems_print(&p, stderr);
        ERR(e, ERR_CONFIG, 0, "%zu problems in %s: correct them, see dari check", p.count,
            feed->mapping);
        catalogue_free(&catalogue);
    } else if (!(g = generation_new(catalogue, mapping))) {
        ERR(e, ERR_NOMEM, 0, "no memory for the mappings");
    } else {
        g->has_charset = feed->has_charset;
        g->charset = feed->charset;
        g->fallback = feed->fallback;
    }
    problems_release(&p);
    return g;
}

static enum err_code load(struct feed *f, struct err *e)
{
    enum err_code code = keyring_open(f->config->keys, &f->keys, e);
    if (code == ERR_NONE) {
        f->generation = load_generation(f->config, f->feed, e);
        code = f->generation ? ERR_NONE : e->code;
    }
    return code;
}

/* ---- reading it again ---- */

/* All of it, or nothing has changed. What the host was made with stays in the first configuration.
 */
static enum err_code take_again(struct feed *f, struct arena *a, struct err *e)
{
    struct problems p = {0};
    const struct config *c = config_load(a, f->config->path, &p);
    const struct config_feed *feed = c ? config_feed_named(c, f->feed->name) : NULL;
    problems_print(&p, stderr);
    problems_release(&p);
    if (!feed || feed->adapter != f->feed->adapter) {
        return ERR(e, ERR_CONFIG, 0, "%s cannot be used: see dari check", f->config->path);
    }
    struct generation *g = load_generation(c, feed, e);
    if (!g) {
        return e->code;
    }
    if (f->adapter && feed->adapter->reload) {
        enum err_code code = feed->adapter->reload(f->adapter, feed->options, e);
        if (code != ERR_NONE) {
            generation_drop(&g);
            return code;
        }
    }
    intake_set_generation(f->host, g);
    generation_drop(&f->generation);
    f->generation = g;
    f->feed = feed;
    return ERR_NONE;
}

static void on_hup(void *ctx)
{
    struct feed *f = ctx;
    struct err e = {0};
    struct arena *a = arena_new(0);
    enum err_code code = a ? take_again(f, a, &e) : ERR(&e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        arena_free(&f->reloaded);
        f->reloaded = a;
        log_info("feed.reloaded", "feed=%s mappings=%s", f->feed->name,
                 mapping_digest(f->generation->mapping));
    } else {
        arena_free(&a);
        log_err(LOG_ERROR_, "feed.reload", &e);
    }
    role_took(code == ERR_NONE ? NULL : &e);
}

/* ---- life ---- */

static enum err_code begin(struct feed *f, struct err *e)
{
    static char wake[4096], counters[4096], paused[4096], role[] = "dari_feed";
    const struct config_feed *c = f->feed;
    snprintf(wake, sizeof wake, "%s/relay.wake", f->config->run);
    snprintf(counters, sizeof counters, "%s/feed-%s.counters", f->config->run, c->name);
    snprintf(paused, sizeof paused, "%s/feed-%s.paused", f->config->run, c->name);
    const struct intake_settings s = {
        .site = f->config->site,
        .feed = c->name,
        .keys = f->keys,
        .generation = f->generation,
        .refuse_reuse = c->refuse_reuse,
        .accept_quarantined = c->accept_quarantined,
        .sequence = c->sequence,
        .max_pending = c->max_pending,
        .max_group = c->max_group,
        .senders = c->senders,
        .max_parts = c->max_parts,
        .max_whole = c->max_whole,
        .max_message = MAX_MESSAGE,
        .snapshot = c->snapshot,
        .covers = c->covers,
        .max_gone = c->max_gone,
        .table = {.delimiter = c->delimiter, .header_row = c->header_row, .sheet = c->sheet},
        .spool = c->spool,
        .spool_max = c->spool_max,
        .conninfo = conninfo,
        .conninfo_ctx = f,
        .role = f->config->set_role ? role : NULL,
        .wake = wake,
        .paused = paused,
        .counters = counters};
    f->loop = net_loop_new(e);
    if (!f->loop) {
        return e->code;
    }
    f->drain = net_timer_new(f->loop, draining, f);
    f->host = intake_new(f->loop, &s, e);
    return f->host ? ERR_NONE : e->code;
}

int role_feed(const struct config *c, const struct config_feed *feed)
{
    static struct feed f;
    struct err e = {0};
    char name[48];
    f.config = c;
    f.feed = feed;
    snprintf(name, sizeof name, "feed:%s", feed->name);
    enum err_code code = role_begin(c, name, &e);
    if (code == ERR_NONE) {
        code = load(&f, &e);
    }
    if (code == ERR_NONE) {
        code = begin(&f, &e);
    }
    if (code == ERR_NONE) {
        intake_on_known(f.host, open_door, &f);
        net_loop_on_stop(f.loop, on_stop, &f);
        net_loop_on_hup(f.loop, on_hup, &f);
        net_loop_run(f.loop);
    } else {
        f.status = role_failed("feed.failed", &e);
    }
    if (f.adapter) {
        f.feed->adapter->stop(&f.adapter);
    }
    intake_free(&f.host);
    net_timer_free(&f.drain);
    net_loop_free(&f.loop);
    generation_drop(&f.generation);
    keyring_free(&f.keys);
    arena_free(&f.reloaded);
    log_close();
    return f.status;
}
