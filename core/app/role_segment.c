/*
 * The segmentation role: reads the stream, lets core/segment apply it, lets time pass when the
 * stream is quiet. Effect and position are one transaction; the acknowledgement follows it.
 */
#include "core/app/consumer.h"
#include "core/app/role.h"
#include "core/base/log.h"
#include "core/crypto/keys.h"
#include "core/event/read.h"
#include "core/segment/segment.h"
#include "core/stream/client.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

enum {
    BATCH = 200,    /* events of one transaction */
    LOOK_MS = 200,  /* how often the clock is looked at */
    SETTLE_MS = 300 /* real time for writers to commit what they recorded before an instant */
};

struct worker {
    const struct config *config;
    struct keyring *keys;
    struct catalogue *catalogue;
    struct segmenter *core;
    struct db *db;
    struct stream_client *stream;
    struct backoff backoff;
    int batch;    /* BATCH, or 1 while looking for the event that cannot be applied */
    bool more;    /* events are waiting in the stream */
    bool give_up; /* the supervisor shall start us again */
    bool owed;    /* an instant is due, but not evaluated yet */
    bool settling;
    usec settle_limit; /* the clock when an instant was first seen to be due */
    usec settle_since; /* monotonic */
    char refused[32];  /* the relay's code, while it refuses us */
    usec clock_seen;   /* at the last look */
};

/* ---- getting ready ---- */

static enum err_code open_core(struct worker *w, struct arena *a, struct err *e)
{
    struct problems p = {0};
    const struct config *c = w->config;
    const struct segment_rules *rules = segment_rules_load(a, c->segment.segments, &p);
    w->catalogue = catalogue_load(c->catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    if (!rules || !w->catalogue) {
        return ERR(e, ERR_CONFIG, 0, "segments or catalogue cannot be used: see dari check");
    }
    enum err_code code = keyring_open(c->keys, &w->keys, e);
    if (code == ERR_NONE) {
        struct segment_settings s = {
            .site = c->site, .keys = w->keys, .catalogue = w->catalogue, .rules = rules};
        code = segment_new(&s, &w->core, e);
    }
    return code;
}

static enum err_code open_stream(struct worker *w, struct err *e)
{
    struct stream_settings s;
    struct arena *a = arena_new(0);
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the stream");
    }
    enum err_code code = consumer_settings(w->config, a, "segment", NULL, &s, e);
    if (code == ERR_NONE) {
        s.from = segment_position(w->core);
        s.messages = 2 * BATCH;
        code = stream_open(&s, &w->stream, e);
    }
    arena_free(&a);
    return code;
}

/* Connects and finds out where we are; then the stream is taken up behind that. */
static enum err_code attach(struct worker *w, struct err *e)
{
    enum err_code code = config_db(w->config, "segment", &w->db, e);
    if (code == ERR_NONE) {
        code = segment_attach(w->core, w->db, e);
    }
    if (code != ERR_NONE) {
        db_free(&w->db);
        return code;
    }
    if (w->stream) {
        stream_restart(w->stream, segment_position(w->core));
        return ERR_NONE;
    }
    code = open_stream(w, e);
    if (code != ERR_NONE) {
        db_free(&w->db);
    }
    return code;
}

/* ---- trouble ---- */

/* The transaction is given up; its events come again. */
static void recover(struct worker *w, const struct err *why)
{
    struct err e;
    if (backoff_enter(&w->backoff)) {
        log_err(LOG_WARN_, "segment.trouble", why);
    }
    w->give_up = err_class(why->code) == ERR_CLASS_CONFIG;
    if (!db_alive(w->db) || segment_rollback(w->core, &e) != ERR_NONE) {
        db_free(&w->db);
    } else if (w->stream) {
        stream_restart(w->stream, segment_position(w->core));
    }
    w->settling = false;
    backoff_wait(&w->backoff);
}

static void recovered(struct worker *w)
{
    if (backoff_leave(&w->backoff)) {
        log_info("segment.recovered", "position=%" PRId64, segment_position(w->core));
    }
}

/*
 * An event that cannot be applied, now or later: what came before it is applied alone first; then
 * the relay is told, which pauses us and raises an alarm until somebody decides.
 */
static void refuse(struct worker *w, int64_t seq, const struct err *why)
{
    struct err e;
    bool alone = w->batch == 1;
    if (alone) {
        log_error("segment.refused", "seq=%" PRId64 " code=%s error=\"%s\"", seq,
                  err_name(why->code), why->msg);
        stream_nack(w->stream, seq, err_name(why->code));
    }
    if (segment_rollback(w->core, &e) != ERR_NONE) {
        recover(w, &e);
        return;
    }
    w->batch = 1;
    if (alone) {
        backoff_wait(&w->backoff);
    }
    stream_restart(w->stream, segment_position(w->core));
}

/* ---- events ---- */

static enum err_code apply(struct worker *w, const struct stream_item *item, struct err *e)
{
    struct received_event ev;
    enum err_code code = received_parse(item->json, &ev, e);
    if (code == ERR_NONE) {
        ev.seq = item->seq;
        code = segment_apply(w->core, &ev, e);
        received_release(&ev);
    }
    return code;
}

static void on_session(struct worker *w, const struct stream_item *item)
{
    switch (item->what) {
    case STREAM_WELCOME:
        w->refused[0] = 0;
        log_info("segment.ready", "epoch=%" PRId64 " position=%" PRId64 " head=%" PRId64,
                 item->epoch, segment_position(w->core), item->head);
        /* Committed, but the acknowledgement was lost. */
        if (item->acked < segment_position(w->core)) {
            stream_ack(w->stream, segment_position(w->core));
        }
        break;
    case STREAM_REFUSED:
        /* It comes again with each attempt: said once. */
        if (!str_is(item->code, w->refused)) {
            snprintf(w->refused, sizeof w->refused, "%.*s", STR_ARG(item->code));
            log_warn("segment.relay_refused", "code=%s", w->refused);
        }
        break;
    case STREAM_SILENT:
        log_warn("segment.relay_silent", "position=%" PRId64, segment_position(w->core));
        break;
    case STREAM_NOTHING:
    case STREAM_EVENT:
    case STREAM_ACKED:
        break;
    }
}

/* Takes what is there, up to a batch. False when the batch was given up. */
static bool take(struct worker *w)
{
    struct stream_item item;
    int taken = 0;
    w->more = true;
    while (taken < w->batch && !role_stop) {
        struct err e = {0};
        if (stream_next(w->stream, 0, &item) == STREAM_NOTHING) {
            w->more = false;
            break;
        }
        if (item.what != STREAM_EVENT) {
            on_session(w, &item);
            continue;
        }
        if (item.seq <= segment_position(w->core)) {
            continue;
        }
        if (item.prev > segment_position(w->core)) {
            stream_restart(w->stream, segment_position(w->core));
            break;
        }
        enum err_code code = apply(w, &item, &e);
        if (code != ERR_NONE) {
            enum err_class class = err_class(code);
            class == ERR_CLASS_RETRY || class == ERR_CLASS_CONFIG ? recover(w, &e)
                                                                  : refuse(w, item.seq, &e);
            return false;
        }
        taken++;
        w->owed = true; /* what they brought may already be due */
    }
    return true;
}

static void commit(struct worker *w)
{
    struct err e = {0};
    int64_t before = segment_position(w->core);
    if (segment_commit(w->core, &e) != ERR_NONE) {
        recover(w, &e);
        return;
    }
    if (before > 0) {
        stream_ack(w->stream, before);
    }
    w->batch = BATCH;
    recovered(w);
}

/* ---- time ---- */

/*
 * Lets the clock bring membership forward, but only behind every event recorded before the instant:
 * the stream must hold nothing more for us, also a moment later, so that the result is the same as
 * when the events had come first.
 */
static enum err_code pass_time(struct worker *w, struct err *e)
{
    usec now = clock_now(), due;
    bool waiting = false;
    enum err_code code = segment_due(w->core, &due, e);
    w->owed = code != ERR_NONE || due <= now;
    if (code == ERR_NONE && w->owed) {
        code = segment_waiting(w->core, &waiting, e);
    }
    if (code != ERR_NONE || !w->owed || waiting) {
        w->settling = false;
        return code;
    }
    if (!w->settling || w->settle_limit < due) {
        w->settling = true;
        w->settle_limit = now;
        w->settle_since = clock_mono();
    }
    if (clock_mono() - w->settle_since < (usec)SETTLE_MS * 1000) {
        return ERR_NONE;
    }
    w->settling = false;
    code = segment_tick(w->core, w->settle_limit, e);
    return code == ERR_NONE ? segment_commit(w->core, e) : code;
}

/* Midnights at once, appointment starts every `sweep`: of the clock, which tests can move. */
static bool time_to_look(struct worker *w)
{
    usec now = clock_now();
    bool look = w->owed || now < w->clock_seen || zone_day(now) != zone_day(w->clock_seen) ||
                now - w->clock_seen >= w->config->segment.sweep_ms * 1000;
    if (look) {
        w->clock_seen = now;
    }
    return look;
}

static void look_at_clock(struct worker *w)
{
    struct err e = {0};
    if (w->more || !time_to_look(w)) {
        return;
    }
    if (pass_time(w, &e) != ERR_NONE) {
        recover(w, &e);
    } else {
        recovered(w);
    }
}

/* ---- the loop ---- */

static void turn(struct worker *w)
{
    struct err e = {0};
    if (!w->db) {
        if (attach(w, &e) != ERR_NONE) {
            recover(w, &e);
        } else {
            recovered(w);
        }
        return;
    }
    if (!w->more) {
        struct pollfd fd = {.fd = stream_fd(w->stream), .events = POLLIN};
        poll(&fd, 1, LOOK_MS);
    }
    if (take(w)) {
        commit(w);
    }
    if (w->db) {
        look_at_clock(w);
    }
}

int role_segment(const struct config *c, const struct config_feed *feed)
{
    struct err e = {0};
    struct worker w = {.config = c, .batch = BATCH};
    struct arena *a = NULL;
    (void)feed;
    int status = 1;
    if (role_begin(c, "segment", &e) != ERR_NONE) {
        return role_failed("segment.start", &e);
    }
    a = arena_new(0);
    enum err_code code = a ? open_core(&w, a, &e) : ERR(&e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        role_ready();
        log_info("segment.started", "site=%s", c->site);
    } else {
        status = role_failed("segment.start", &e);
        w.give_up = true;
    }
    while (!role_stop && !w.give_up) {
        turn(&w);
    }
    stream_free(&w.stream);
    segment_free(&w.core);
    db_free(&w.db);
    keyring_free(&w.keys);
    catalogue_free(&w.catalogue);
    arena_free(&a);
    log_info("segment.stopped", "site=%s", c->site);
    return w.give_up ? status : 0;
}
