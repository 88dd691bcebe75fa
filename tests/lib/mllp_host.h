/*
 * For tests of the MLLP adapter: a host that this file plays, which takes messages or not and
 * answers when a test says so, and senders that are core/net connections in the same loop. To be
 * included by one test program each.
 */
#ifndef DARI_TESTS_MLLP_HOST_H
#define DARI_TESTS_MLLP_HOST_H

#include "adapters/mllp/mllp.h"
#include "core/base/arena.h"
#include "core/net/mllp.h"
#include "core/net/net.h"
#include "tests/lib/cm.h"
#include "tests/lib/tallies.h"
#include "tests/lib/until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAKEN_MAX = 512 };

/* The host: what it took, in the order taken. */
struct adapter_host {
    struct net_loop *loop;
    struct adapter *adapter;
    struct arena *memory;
    void *options;
    struct {
        void *ticket;
        char text[64]; /* the beginning */
        size_t size;
        bool large;
    } taken[TAKEN_MAX];
    int count, room; /* taken; how many more it takes */
    char subject[128];
    bool lost;    /* what it answers was not kept */
    bool at_once; /* answers inside adapter_submit() */
    struct tallies counters;
};

static inline bool take(struct adapter_host *h, struct str message, void *ticket, bool large)
{
    if (h->room == 0 || h->count == TAKEN_MAX) {
        return false;
    }
    h->room--;
    h->taken[h->count].ticket = ticket;
    h->taken[h->count].size = message.n;
    h->taken[h->count].large = large;
    snprintf(h->taken[h->count].text, sizeof h->taken[0].text, "%.*s",
             message.n < 60 ? (int)message.n : 60, message.p);
    h->count++;
    if (h->at_once) {
        adapter_mllp.reply(h->adapter, ticket, large ? STR("too large") : message);
    }
    return true;
}

bool adapter_submit(struct adapter_host *h, struct str message, void *ticket)
{
    return take(h, message, ticket, false);
}

bool adapter_submit_oversize(struct adapter_host *h, struct str beginning, void *ticket)
{
    return take(h, beginning, ticket, true);
}

void adapter_sender(struct adapter_host *h, const char *subject)
{
    snprintf(h->subject, sizeof h->subject, "%s", subject);
}

bool adapter_kept(const struct adapter_host *h)
{
    return !h->lost;
}

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    tallies_add(&h->counters, counter, by);
}

static inline int64_t counted(const struct adapter_host *h, const char *counter)
{
    return tallies_value(&h->counters, counter);
}

/* A sender: everything it got. */
struct sender {
    struct adapter_host *h;
    struct net_conn *conn;
    struct buf got;
    int connected, closed;
};

static inline void *never(void *ctx, struct net_conn *c)
{
    (void)ctx, (void)c;
    return NULL;
}

static inline void on_bytes(void *ctx, struct str bytes)
{
    buf_add(&((struct sender *)ctx)->got, bytes);
}

static inline void on_closed(void *ctx, const char *why)
{
    (void)why;
    ((struct sender *)ctx)->closed++;
    ((struct sender *)ctx)->conn = NULL;
}

static inline void on_connected(void *ctx)
{
    ((struct sender *)ctx)->connected++;
}

static const struct net_handlers sender_handlers = {
    .accept = never, .bytes = on_bytes, .closed = on_closed, .connected = on_connected};

static int goal;

static inline bool taken_goal(void *h)
{
    return ((struct adapter_host *)h)->count >= goal;
}

static inline bool got_goal(void *s)
{
    return (int)((struct sender *)s)->got.n >= goal;
}

static inline bool is_closed(void *s)
{
    return ((struct sender *)s)->closed > 0;
}

static inline bool is_connected(void *s)
{
    return ((struct sender *)s)->connected > 0;
}

static const char *counter_wanted;

static inline bool counter_goal(void *h)
{
    return counted(h, counter_wanted) == goal;
}

static inline void until_taken(struct adapter_host *h, int count)
{
    goal = count;
    run_until(h->loop, taken_goal, h);
    assert_int_equal(h->count, count);
}

static inline void until_counted(struct adapter_host *h, const char *counter, int value)
{
    goal = value;
    counter_wanted = counter;
    run_until(h->loop, counter_goal, h);
}

static inline void until_got(struct sender *s, const char *expected)
{
    goal = (int)strlen(expected);
    run_until(s->h->loop, got_goal, s);
    assert_string_equal(s->got.p, expected);
}

/* Lets everything happen that is under way: a few empty turns of the loop. */
static inline void a_moment(struct adapter_host *h)
{
    run_for(h->loop, 30);
}

/* "name=value" pairs end with NULL; what they do not name has its default, and the port is free. */
static inline void *options_of(struct adapter_host *h, const char *const *pairs)
{
    void *options = arena_alloc(h->memory, adapter_mllp.options_size);
    option_defaults(adapter_mllp.options, options);
    option_set(h->memory, option_find(adapter_mllp.options, STR("port")), options, STR("0"), NULL);
    for (; pairs && *pairs; pairs++) {
        struct str rest = str_of(*pairs), name;
        str_next(&rest, '=', &name);
        const struct option_row *row = option_find(adapter_mllp.options, name);
        assert_int_equal(option_set(h->memory, row, options, rest, NULL), ERR_NONE);
    }
    return options;
}

static inline void start(struct adapter_host *h, const char *const *pairs)
{
    struct err e = {0};
    h->loop = net_loop_new(NULL);
    h->memory = arena_new(0);
    h->options = options_of(h, pairs);
    h->room = -1;
    assert_int_equal(adapter_mllp.start(h, h->loop, h->options, &h->adapter, &e), ERR_NONE);
}

static inline void dial(struct sender *s, struct adapter_host *h, struct tls *tls)
{
    *s = (struct sender){.h = h};
    buf_init(&s->got, 1 << 26);
    assert_int_equal(net_connect(h->loop, "127.0.0.1", mllp_port(h->adapter), tls, &sender_handlers,
                                 s, &s->conn, NULL),
                     ERR_NONE);
}

static inline void finish(struct adapter_host *h, struct sender *s, int senders)
{
    adapter_mllp.stop(&h->adapter);
    assert_null(h->adapter);
    assert_int_equal(counted(h, "connections"), 0);
    net_loop_free(&h->loop);
    for (int i = 0; i < senders; i++) {
        buf_release(&s[i].got);
    }
    arena_free(&h->memory);
}

static inline void answer(struct adapter_host *h, int which, const char *text)
{
    adapter_mllp.reply(h->adapter, h->taken[which].ticket, str_of(text));
}

#define FRAME(text) "\x0b" text "\x1c\r"

#endif
