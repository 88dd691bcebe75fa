#include "core/net/net.h"

#include "core/base/log.h"
#include "core/net/net_internal.h"

#include <event2/dns.h>

#include <signal.h>
#include <stdlib.h>

/*
 * Two priorities: what is to be written, signals and what was asked to be first; then everybody
 * else, of whom so many are heard before it is looked whether something of the first kind has come.
 * Work on what has just arrived then does not keep the database idle.
 */
enum { FIRST, OTHERS, PRIORITIES, OTHERS_AT_A_TIME = 2 };

struct net_timer {
    struct event *ev;
    void (*fn)(void *);
    void *ctx;
};

struct net_watch {
    struct net_loop *loop;
    struct event *ev;
    int fd, events, priority;
    void (*fn)(void *, int ready);
    void *ctx;
};

static void stop_signal(evutil_socket_t sig, short what, void *ctx)
{
    struct net_loop *l = ctx;
    (void)sig;
    (void)what;
    void (*fn)(void *) = l->on_stop;
    l->on_stop = NULL; /* the second signal does not wait for an orderly end */
    if (fn) {
        fn(l->on_stop_ctx);
    } else {
        net_loop_stop(l);
    }
}

static void hup_signal(evutil_socket_t sig, short what, void *ctx)
{
    struct net_loop *l = ctx;
    (void)sig;
    (void)what;
    if (l->on_hup) {
        l->on_hup(l->on_hup_ctx);
    }
}

static void end_of_turn(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    net_conn_flush_dirty(ctx);
}

static void libevent_says(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN) {
        log_warn("net.libevent", "text=\"%s\"", text);
    }
}

static struct event *watch_signal(struct net_loop *l, int sig, event_callback_fn fn)
{
    struct event *ev = evsignal_new(l->base, sig, fn, l);
    if (ev && (event_priority_set(ev, FIRST) != 0 || event_add(ev, NULL) != 0)) {
        event_free(ev);
        return NULL;
    }
    return ev;
}

struct net_loop *net_loop_new(struct err *e)
{
    struct net_loop *l = calloc(1, sizeof *l);
    struct event_config *config = event_config_new();
    if (!l || !config) {
        goto failed;
    }
    signal(SIGPIPE, SIG_IGN);
    event_set_log_callback(libevent_says);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_max_dispatch_interval(config, NULL, OTHERS_AT_A_TIME, OTHERS);
    l->base = event_base_new_with_config(config);
    if (!l->base || event_base_priority_init(l->base, PRIORITIES) != 0) {
        goto failed;
    }
    l->term = watch_signal(l, SIGTERM, stop_signal);
    l->interrupt = watch_signal(l, SIGINT, stop_signal);
    l->flush = event_new(l->base, -1, 0, end_of_turn, l);
    if (!l->term || !l->interrupt || !l->flush) {
        goto failed;
    }
    event_priority_set(l->flush, FIRST);
    event_config_free(config);
    return l;
failed:
    if (config) {
        event_config_free(config);
    }
    net_loop_free(&l);
    ERR(e, ERR_IO, 0, "could not make an event loop");
    return NULL;
}

static void free_event(struct event *ev)
{
    if (ev) {
        event_free(ev);
    }
}

void net_loop_free(struct net_loop **l)
{
    if (!*l) {
        return;
    }
    net_conn_flush_dirty(*l);
    net_conn_free_all(*l);
    free_event((*l)->term);
    free_event((*l)->interrupt);
    free_event((*l)->hup);
    free_event((*l)->flush);
    if ((*l)->dns) {
        evdns_base_free((*l)->dns, 0);
    }
    if ((*l)->base) {
        event_base_free((*l)->base);
    }
    free(*l);
    *l = NULL;
}

void net_loop_run(struct net_loop *l)
{
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void net_loop_stop(struct net_loop *l)
{
    /* Not loopbreak: what was sent in this turn still has to be written. */
    event_base_loopexit(l->base, NULL);
}

void net_loop_on_stop(struct net_loop *l, void (*fn)(void *), void *ctx)
{
    l->on_stop = fn;
    l->on_stop_ctx = ctx;
}

void net_loop_on_hup(struct net_loop *l, void (*fn)(void *), void *ctx)
{
    l->on_hup = fn;
    l->on_hup_ctx = ctx;
    if (!l->hup) {
        l->hup = watch_signal(l, SIGHUP, hup_signal);
    }
}

static void timer_fired(evutil_socket_t fd, short what, void *ctx)
{
    struct net_timer *t = ctx;
    (void)fd;
    (void)what;
    t->fn(t->ctx);
}

struct net_timer *net_timer_new(struct net_loop *l, void (*fn)(void *), void *ctx)
{
    struct net_timer *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->fn = fn;
    t->ctx = ctx;
    t->ev = evtimer_new(l->base, timer_fired, t);
    if (!t->ev) {
        free(t);
        return NULL;
    }
    return t;
}

void net_timer_set(struct net_timer *t, int64_t ms)
{
    if (ms < 0) {
        evtimer_del(t->ev);
        return;
    }
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    evtimer_add(t->ev, &tv);
}

void net_timer_free(struct net_timer **t)
{
    if (*t) {
        event_free((*t)->ev);
        free(*t);
        *t = NULL;
    }
}

static void watch_ready(evutil_socket_t fd, short what, void *ctx)
{
    struct net_watch *w = ctx;
    (void)fd;
    w->fn(w->ctx, (what & EV_READ ? NET_READ : 0) | (what & EV_WRITE ? NET_WRITE : 0));
}

struct net_watch *net_watch_new(struct net_loop *l, int fd, void (*fn)(void *, int ready),
                                void *ctx)
{
    struct net_watch *w = calloc(1, sizeof *w);
    if (!w) {
        return NULL;
    }
    *w = (struct net_watch){.loop = l, .fd = fd, .priority = OTHERS, .fn = fn, .ctx = ctx};
    w->ev = event_new(l->base, fd, EV_PERSIST, watch_ready, w);
    if (!w->ev) {
        free(w);
        return NULL;
    }
    return w;
}

void net_watch_first(struct net_watch *w)
{
    w->priority = FIRST;
}

void net_watch_want(struct net_watch *w, int events)
{
    if (w->events == events) {
        return;
    }
    w->events = events;
    event_del(w->ev);
    if (events) {
        short what = EV_PERSIST;
        what =
            (short)(what | (events & NET_READ ? EV_READ : 0) | (events & NET_WRITE ? EV_WRITE : 0));
        event_assign(w->ev, w->loop->base, w->fd, what, watch_ready, w);
        event_priority_set(w->ev, w->priority);
        event_add(w->ev, NULL);
    }
}

void net_watch_free(struct net_watch **w)
{
    if (*w) {
        event_free((*w)->ev);
        free(*w);
        *w = NULL;
    }
}
