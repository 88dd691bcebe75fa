#include "tests/lib/until.h"

#include "tests/lib/cm.h"

enum { LOOKS = 15000 };

struct until {
    struct net_loop *loop;
    struct net_timer *timer;
    bool (*done)(void *);
    void *ctx;
    int looks;
    bool holds;
};

static void look(void *ctx)
{
    struct until *u = ctx;
    u->holds = u->done(u->ctx);
    if (u->holds || ++u->looks > LOOKS) {
        net_loop_stop(u->loop);
    } else {
        net_timer_set(u->timer, 1);
    }
}

void run_until(struct net_loop *loop, bool (*done)(void *ctx), void *ctx)
{
    struct until u = {.loop = loop, .done = done, .ctx = ctx};
    u.timer = net_timer_new(loop, look, &u);
    net_timer_set(u.timer, 0);
    net_loop_run(loop);
    net_timer_free(&u.timer);
    assert_true(u.holds);
}

static void over(void *ctx)
{
    net_loop_stop(ctx);
}

void run_for(struct net_loop *loop, int64_t ms)
{
    struct net_timer *timer = net_timer_new(loop, over, loop);
    net_timer_set(timer, ms);
    net_loop_run(loop);
    net_timer_free(&timer);
}

static bool looked(void *left)
{
    return --*(int *)left < 0;
}

void run_looks(struct net_loop *loop, int looks)
{
    run_until(loop, looked, &looks);
}
