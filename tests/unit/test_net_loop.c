/* Timers, foreign descriptors and signals of the loop. */
#include "core/net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

struct seen {
    struct net_loop *loop;
    struct net_timer *timer;
    struct net_watch *watch;
    int fd, timers, reads, writes, signals;
};

static void stop_after_three(void *ctx)
{
    struct seen *s = ctx;
    if (++s->timers == 3) {
        net_loop_stop(s->loop);
    } else {
        net_timer_set(s->timer, 0);
    }
}

static void a_timer_fires_once_each_time_it_is_set(void **state)
{
    (void)state;
    struct seen s = {.loop = net_loop_new(NULL)};
    s.timer = net_timer_new(s.loop, stop_after_three, &s);
    net_timer_set(s.timer, 1);
    net_loop_run(s.loop);
    assert_int_equal(s.timers, 3);
    net_timer_free(&s.timer);
    assert_null(s.timer);
    net_loop_free(&s.loop);
    net_loop_free(&s.loop);
}

static void stop_now(void *ctx)
{
    net_loop_stop(((struct seen *)ctx)->loop);
}

static void a_disarmed_timer_is_silent(void **state)
{
    (void)state;
    struct seen s = {.loop = net_loop_new(NULL)};
    s.timer = net_timer_new(s.loop, stop_after_three, &s);
    struct net_timer *end = net_timer_new(s.loop, stop_now, &s);
    net_timer_set(s.timer, 1);
    net_timer_set(s.timer, -1);
    net_timer_set(end, 20);
    net_loop_run(s.loop);
    assert_int_equal(s.timers, 0);
    net_timer_free(&end);
    net_timer_free(&s.timer);
    net_loop_free(&s.loop);
}

/* First writable, then, once asked for, readable. */
static void on_ready(void *ctx, int ready)
{
    struct seen *s = ctx;
    char byte;
    if (ready & NET_WRITE) {
        s->writes++;
        assert_int_equal(write(s->fd, "x", 1), 1);
        net_watch_want(s->watch, NET_READ);
    }
    if (ready & NET_READ) {
        s->reads++;
        assert_int_equal(read(s->fd, &byte, 1), 1);
        net_watch_want(s->watch, 0);
        net_loop_stop(s->loop);
    }
}

static void echo_ready(void *ctx, int ready)
{
    int *fd = ctx;
    char byte;
    assert_int_equal(ready, NET_READ);
    assert_int_equal(read(*fd, &byte, 1), 1);
    assert_int_equal(write(*fd, &byte, 1), 1);
}

static void a_watch_tells_what_is_wanted_and_nothing_else(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct seen s = {.loop = net_loop_new(NULL), .fd = pair[0]};
    s.watch = net_watch_new(s.loop, pair[0], on_ready, &s);
    struct net_watch *echo = net_watch_new(s.loop, pair[1], echo_ready, &pair[1]);
    net_watch_want(s.watch, NET_WRITE);
    net_watch_want(echo, NET_READ);
    net_loop_run(s.loop);
    assert_int_equal(s.writes, 1);
    assert_int_equal(s.reads, 1);
    net_watch_free(&echo);
    net_watch_free(&s.watch);
    assert_null(s.watch);
    net_loop_free(&s.loop);
    close(pair[0]);
    close(pair[1]);
}

enum { CROWD = 20 };

struct crowd {
    struct net_loop *loop;
    int fd[CROWD + 1], peer[CROWD + 1]; /* the last one asked to be first */
    int heard, before_first;
};

static void one_of_many(void *ctx, int ready)
{
    struct crowd *c = ctx;
    (void)ready;
    c->heard++;
    if (c->heard == 1) { /* while all wait for their turn, the first one gets something to read */
        assert_int_equal(write(c->peer[CROWD], "x", 1), 1);
    }
    if (c->heard == 10 * CROWD) {
        net_loop_stop(c->loop);
    }
}

static void the_first(void *ctx, int ready)
{
    struct crowd *c = ctx;
    char byte;
    (void)ready;
    assert_int_equal(read(c->fd[CROWD], &byte, 1), 1);
    c->before_first = c->heard;
}

/* It is heard after at most two of the others, however many wait; and keeps nobody from the end. */
static void who_asked_to_be_first_does_not_wait_for_the_crowd(void **state)
{
    (void)state;
    struct crowd c = {.loop = net_loop_new(NULL)};
    struct net_watch *w[CROWD + 1];
    for (int i = 0; i <= CROWD; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        c.fd[i] = pair[0];
        c.peer[i] = pair[1];
        w[i] = net_watch_new(c.loop, c.fd[i], i < CROWD ? one_of_many : the_first, &c);
    }
    net_watch_first(w[CROWD]);
    for (int i = 0; i <= CROWD; i++) {
        net_watch_want(w[i], i < CROWD ? NET_WRITE : NET_READ);
    }
    net_loop_run(c.loop);
    assert_in_range(c.before_first, 1, 2);
    for (int i = 0; i <= CROWD; i++) {
        net_watch_free(&w[i]);
        close(c.fd[i]);
        close(c.peer[i]);
    }
    net_loop_free(&c.loop);
}

static void on_stop(void *ctx)
{
    struct seen *s = ctx;
    s->signals++;
    raise(SIGINT); /* the second one ends it at once */
}

static void on_hup(void *ctx)
{
    struct seen *s = ctx;
    s->signals += 10;
    raise(SIGTERM);
}

static void signals_reach_their_handlers_and_the_second_stop_ends_the_loop(void **state)
{
    (void)state;
    struct seen s = {.loop = net_loop_new(NULL)};
    net_loop_on_stop(s.loop, on_stop, &s);
    net_loop_on_hup(s.loop, on_hup, &s);
    raise(SIGHUP);
    net_loop_run(s.loop);
    assert_int_equal(s.signals, 11);
    net_loop_free(&s.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_each_time_it_is_set),
        cmocka_unit_test(a_disarmed_timer_is_silent),
        cmocka_unit_test(a_watch_tells_what_is_wanted_and_nothing_else),
        cmocka_unit_test(who_asked_to_be_first_does_not_wait_for_the_crowd),
        cmocka_unit_test(signals_reach_their_handlers_and_the_second_stop_ends_the_loop),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
