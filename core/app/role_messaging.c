/*
 * The messaging role: reads the stream, plans, hands over what is due. One loop that waits for the
 * stream and looks at the clock at least five times a second, since the clock may be moved.
 */
#include "core/app/consumer.h"
#include "core/app/role.h"
#include "core/base/log.h"
#include "core/messaging/messaging.h"
#include "core/stream/client.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 200 };

struct role_state {
    const struct config *config;
    struct arena *arena; /* journeys and templates: the life of the process */
    struct keyring *keys;
    struct catalogue *catalogue;
    struct templates templates;
    struct journeys journeys;
    struct messaging *messaging;
    struct db *db;
    struct stream_client *stream;
    struct backoff backoff;
    bool more; /* due plans are left: do not wait */
};

static void log_problems(const struct problems *p)
{
    struct str rest = {p->text, p->n}, line;
    while (str_next(&rest, '\n', &line)) {
        if (line.n) {
            log_error("messaging.configuration", "problem=\"%.*s\"", STR_ARG(line));
        }
    }
}

static enum err_code load_files(struct role_state *s, struct err *e)
{
    struct problems p = {0};
    const struct config *c = s->config;
    s->catalogue = catalogue_load(c->catalogue, &p);
    templates_load(s->arena, c->messaging.templates, &s->templates, &p);
    journeys_load(s->arena, c->messaging.journeys, &s->templates, &s->journeys, &p);
    log_problems(&p);
    size_t n = p.count;
    problems_release(&p);
    return n == 0 ? ERR_NONE
                  : ERR(e, ERR_CONFIG, 0, "%zu problems in journeys or templates: dari check", n);
}

static enum err_code load(struct role_state *s, struct err *e)
{
    const struct config *c = s->config;
    s->arena = arena_new(0);
    enum err_code code = s->arena ? load_files(s, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        code = keyring_open(c->keys, &s->keys, e);
    }
    const struct messaging_settings settings = {
        .site = c->site,
        .site_name = c->site_name,
        .site_phone = c->site_phone,
        .sender = c->site_sender,
        .outbox = c->messaging.outbox,
        .url = strcmp(c->messaging.channel, "http") == 0 ? c->messaging.url : NULL,
        .timeout_ms = c->messaging.timeout_ms,
        .keys = s->keys,
        .catalogue = s->catalogue,
        .journeys = &s->journeys,
    };
    return code == ERR_NONE ? messaging_new(&settings, &s->messaging, e) : code;
}

static enum err_code open_stream(struct role_state *s, int64_t from, struct err *e)
{
    struct stream_settings settings;
    struct arena *a = arena_new(0);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the stream");
    }
    enum err_code code = consumer_settings(s->config, a, "messaging", NULL, &settings, e);
    if (code == ERR_NONE) {
        settings.from = from;
        settings.messages = MESSAGING_BATCH;
        code = stream_open(&settings, &s->stream, e);
    }
    arena_free(&a);
    return code;
}

/* Database, unfinished hand-overs, then the stream from where our own tables are. */
static enum err_code attach(struct role_state *s, struct err *e)
{
    int64_t position;
    enum err_code code = ERR_NONE;
    if (!db_alive(s->db)) {
        db_free(&s->db);
        code = config_db(s->config, "messaging", &s->db, e);
    }
    if (code == ERR_NONE) {
        code = messaging_attach(s->messaging, s->db, &position, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (s->stream) {
        stream_restart(s->stream, position);
        return ERR_NONE;
    }
    return open_stream(s, position, e);
}

static void say_stream(const struct stream_item *item)
{
    switch (item->what) {
    case STREAM_WELCOME:
        log_info("messaging.ready", "acked=%" PRId64 " head=%" PRId64, item->acked, item->head);
        break;
    case STREAM_REFUSED:
        log_warn("messaging.stream-refused", "code=%.*s", STR_ARG(item->code));
        break;
    case STREAM_SILENT:
        log_warn("messaging.stream-silent", "%s", "");
        break;
    case STREAM_NOTHING:
    case STREAM_EVENT:
    case STREAM_ACKED:
        break;
    }
}

/* Takes what is there, up to one batch. An event that cannot be read stops the stream: NACK. */
static enum err_code take(struct role_state *s, int wait_ms, struct err *e)
{
    struct stream_item item;
    while (messaging_taken(s->messaging) < MESSAGING_BATCH &&
           stream_next(s->stream, wait_ms, &item) != STREAM_NOTHING) {
        if (item.what != STREAM_EVENT) {
            say_stream(&item);
            if (item.what == STREAM_REFUSED) {
                return ERR(e, ERR_PEER, 0, "the relay refused us: dari consumer list says why");
            }
        } else {
            enum err_code code = messaging_take(s->messaging, item.seq, item.json, e);
            if (code != ERR_NONE && err_class(code) == ERR_CLASS_DATA) {
                stream_nack(s->stream, item.seq, "unreadable");
            }
            if (code != ERR_NONE) {
                return code;
            }
        }
        wait_ms = 0;
    }
    return ERR_NONE;
}

static enum err_code work(struct role_state *s, struct err *e)
{
    int64_t position;
    enum err_code code = take(s, s->more ? 0 : TICK_MS, e);
    if (messaging_taken(s->messaging)) {
        /* Also when a later one was refused: what came before it counts. */
        enum err_code applied = messaging_apply(s->messaging, s->db, &position, e);
        if (applied == ERR_NONE) {
            stream_ack(s->stream, position);
        }
        code = applied == ERR_NONE ? code : applied;
    }
    return code == ERR_NONE ? messaging_tick(s->messaging, s->db, &s->more, e) : code;
}

static void one_round(struct role_state *s, bool *attached)
{
    struct err e = {0};
    enum err_code code = *attached ? work(s, &e) : attach(s, &e);
    if (code == ERR_NONE) {
        *attached = true;
        if (backoff_leave(&s->backoff)) {
            log_info("messaging.resumed", "site=%s", s->config->site);
        }
        return;
    }
    if (backoff_enter(&s->backoff)) {
        log_err(LOG_WARN_, "messaging.waiting", &e);
    }
    *attached = false;
    s->more = false;
    backoff_wait(&s->backoff);
}

int role_messaging(const struct config *c, const struct config_feed *feed)
{
    (void)feed;
    struct role_state s = {.config = c};
    struct err e = {0};
    bool attached = false;
    int status = 0;
    enum err_code code = role_begin(c, "messaging", &e);
    if (code == ERR_NONE) {
        code = load(&s, &e);
    }
    if (code != ERR_NONE) {
        status = role_failed("messaging.failed", &e);
    } else {
        role_ready();
        log_info("messaging.started", "site=%s channel=%s journeys=%zu", c->site,
                 c->messaging.channel, s.journeys.count);
        while (!role_stop) {
            one_round(&s, &attached);
        }
        log_info("messaging.stopped", "site=%s", c->site);
    }
    stream_free(&s.stream);
    messaging_free(&s.messaging);
    db_free(&s.db);
    catalogue_free(&s.catalogue);
    keyring_free(&s.keys);
    arena_free(&s.arena);
    log_close();
    return status;
}
