/* The sending engine against a scripted receiver in the same loop. */
#include "adapters/mllp/client.h"
#include "core/net/mllp.h"
#include "core/net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the receiver does with the frames it gets, one word each; the last one is for all others. */
enum act {
    ANSWER,
    LATER,
    REFUSE,
    WRONG,
    HANG_UP,
    KEEP_SILENT,
    HUGE,
    KEPT, /* release 2: the commit byte alone, or before the reply; or its opposite */
    KEPT_ANSWER,
    NOT_KEPT,
    KEPT_HANG_UP
};

struct test {
    struct net_loop *loop;
    struct net_listener *listener;
    struct net_conn *conn;
    struct mllp framer;
    const enum act *acts;
    size_t acted, acts_count;
    char received[200]; /* the messages in the order received, with blanks */
    char done[200];     /* "a+ b- c? " */
    int connections;
};

static void *on_accept(void *ctx, struct net_conn *c)
{
    struct test *t = ctx;
    t->conn = c;
    t->connections++;
    mllp_release(&t->framer);
    mllp_init(&t->framer, 1000);
    return t;
}

static void say(struct test *t, const char *verdict, struct str message)
{
    char text[100];
    int n = snprintf(text, sizeof text, "\x0b%s%.*s\x1c\r", verdict, STR_ARG(message));
    net_send(t->conn, (struct str){text, (size_t)n});
}

/* False: the connection is gone. */
static bool act_on(struct test *t, struct str message)
{
    static char large[2000];
    size_t n = strlen(t->received), which;
    if (message.n == 1 && message.p[0] == MLLP_ACK) {
        snprintf(t->received + n, sizeof t->received - n, "ok ");
        return true;
    }
    which = t->acted++;
    snprintf(t->received + n, sizeof t->received - n, "%.*s ", STR_ARG(message));
    switch (t->acts[which < t->acts_count ? which : t->acts_count - 1]) {
    case ANSWER:
        say(t, "+", message);
        break;
    case LATER:
        say(t, "~", message);
        break;
    case REFUSE:
        say(t, "-", message);
        break;
    case WRONG:
        say(t, "+", STR("else"));
        break;
    case HANG_UP:
        net_close(t->conn, false);
        return false;
    case KEEP_SILENT:
        break;
    case KEPT:
        net_send(t->conn, STR("\x0b\x06\x1c\r"));
        break;
    case KEPT_ANSWER:
        net_send(t->conn, STR("\x0b\x06\x1c\r"));
        say(t, "+", message);
        break;
    case NOT_KEPT:
        net_send(t->conn, STR("\x0b\x15\x1c\r"));
        break;
    case KEPT_HANG_UP:
        net_send(t->conn, STR("\x0b\x06\x1c\r"));
        net_close(t->conn, true);
        return false;
    case HUGE:
        memset(large, 'x', sizeof large);
        net_send(t->conn, STR("\x0b"));
        net_send(t->conn, (struct str){large, sizeof large});
        break;
    }
    return true;
}

static void on_bytes(void *ctx, struct str bytes)
{
    struct test *t = ctx;
    struct str frame;
    mllp_feed(&t->framer, bytes);
    while (mllp_next(&t->framer, &frame) == MLLP_FRAME && act_on(t, frame)) {
    }
}

static void on_closed(void *ctx, const char *why)
{
    (void)ctx, (void)why;
}

static const struct net_handlers handlers = {
    .accept = on_accept, .bytes = on_bytes, .closed = on_closed};

static const struct mllp_message messages[] = {
    {.bytes = STR_INIT("a")}, {.bytes = STR_INIT("b")},
    {.bytes = STR_INIT("c")}, {.bytes = STR_INIT("d")},
    {.bytes = STR_INIT("e")}, {.bytes = STR_INIT("quiet"), .no_reply = true}};

static enum mllp_verdict judge(void *ctx, size_t i, struct str reply)
{
    (void)ctx;
    if (!reply.n || !str_eq(str_cut(reply, 1, reply.n), messages[i].bytes)) {
        return MLLP_FOREIGN;
    }
    return reply.p[0] == '+' ? MLLP_ACCEPTED : reply.p[0] == '~' ? MLLP_AGAIN : MLLP_REFUSED;
}

static void done(void *ctx, size_t i, enum mllp_verdict verdict, int64_t ms)
{
    struct test *t = ctx;
    size_t n = strlen(t->done);
    assert_true(ms >= 0);
    snprintf(t->done + n, sizeof t->done - n, "%.*s%c ", STR_ARG(messages[i].bytes),
             "+-~?."[verdict]);
}

struct scenario {
    const char *name;
    size_t count; /* of `messages` */
    int64_t window, retries, timeout_ms;
    enum act acts[8];
    size_t acts_count;
    const char *received, *done, *error; /* NULL: none */
    int connections;
};

static const struct scenario scenarios[] = {
    {"one after another", 3, 1, 3, 20000, {ANSWER}, 1, "a b c ", "a+ b+ c+ ", NULL, 1},
    {"pipelined", 5, 3, 3, 20000, {ANSWER}, 1, "a b c d e ", "a+ b+ c+ d+ e+ ", NULL, 1},
    {"refused is final",
     3,
     1,
     3,
     20000,
     {ANSWER, REFUSE, ANSWER},
     3,
     "a b c ",
     "a+ b- c+ ",
     NULL,
     1},
    {"not now is tried again before anything new",
     3,
     1,
     3,
     20000,
     {ANSWER, LATER, ANSWER},
     3,
     "a b b c ",
     "a+ b+ c+ ",
     NULL,
     1},
    {"not now for good", 2, 1, 1, 20000, {LATER, LATER, ANSWER}, 3, "a a b ", "a~ b+ ", NULL, 1},
    {"a lost connection is made anew",
     3,
     1,
     3,
     20000,
     {ANSWER, HANG_UP, ANSWER},
     3,
     "a b b c ",
     "a+ b+ c+ ",
     NULL,
     2},
    {"all that waited is sent again in order",
     4,
     3,
     3,
     20000,
     {ANSWER, HANG_UP, ANSWER},
     3,
     "a b a b c d ",
     "a+ b+ c+ d+ ",
     NULL,
     2},
    {"the reply to something else", 2, 1, 3, 20000, {WRONG, ANSWER}, 2, "a b ", "a? b+ ", NULL, 2},
    {"a reply that is too large", 1, 1, 3, 20000, {HUGE, ANSWER}, 2, "a a ", "a+ ", NULL, 2},
    {"silence once", 2, 1, 1, 300, {KEEP_SILENT, ANSWER}, 2, "a a b ", "a+ b+ ", NULL, 2},
    {"silence for good", 2, 1, 0, 100, {KEEP_SILENT}, 1, "a ", "", "no reply in time", 1},
    {"no reply wanted",
     6,
     1,
     0,
     20000,
     {ANSWER, ANSWER, ANSWER, ANSWER, ANSWER, KEEP_SILENT},
     6,
     "a b c d e quiet ",
     "a+ b+ c+ d+ e+ quiet. ",
     NULL,
     1},
};

static const struct scenario release_2[] = {
    {"release 2: kept, then the reply, which is acknowledged",
     2,
     9,
     3,
     20000,
     {KEPT_ANSWER},
     1,
     "a ok b ok ",
     "a+ b+ ",
     NULL,
     1},
    {"release 2: not kept is tried again",
     2,
     1,
     3,
     20000,
     {NOT_KEPT, KEPT_ANSWER},
     2,
     "a a ok b ok ",
     "a+ b+ ",
     NULL,
     1},
    {"release 2: not kept for good",
     2,
     1,
     1,
     20000,
     {NOT_KEPT, NOT_KEPT, KEPT_ANSWER},
     3,
     "a a b ok ",
     "a~ b+ ",
     NULL,
     1},
    {"release 2: a reply without commit bytes",
     2,
     1,
     3,
     20000,
     {ANSWER, KEPT_ANSWER},
     2,
     "a b ok ",
     "a? b+ ",
     NULL,
     2},
    {"release 2: kept, but the reply does not come",
     1,
     1,
     1,
     300,
     {KEPT, KEPT_ANSWER},
     2,
     "a a ok ",
     "a+ ",
     NULL,
     2},
    {"release 2: lost between the two",
     1,
     1,
     1,
     20000,
     {KEPT_HANG_UP, KEPT_ANSWER},
     2,
     "a a ok ",
     "a+ ",
     NULL,
     2},
    {"release 2: no reply wanted",
     6,
     1,
     1,
     20000,
     {KEPT_ANSWER, KEPT_ANSWER, KEPT_ANSWER, KEPT_ANSWER, KEPT_ANSWER, NOT_KEPT, KEPT},
     7,
     "a ok b ok c ok d ok e ok quiet quiet ",
     "a+ b+ c+ d+ e+ quiet. ",
     NULL,
     1},
};

static void look(void *ctx)
{
    net_loop_stop(ctx);
}

static void play(const struct scenario *scenario, size_t count, bool second)
{
    for (const struct scenario *s = scenario; s < scenario + count; s++) {
        struct test t = {.loop = net_loop_new(NULL), .acts = s->acts, .acts_count = s->acts_count};
        struct net_listen_options listen = {.address = "127.0.0.1"};
        struct err e = {0};
        mllp_init(&t.framer, 1000);
        print_message("# %s\n", s->name);
        assert_int_equal(net_listen(t.loop, &listen, &handlers, &t, &t.listener, NULL), ERR_NONE);
        struct mllp_client c = {.host = "127.0.0.1",
                                .port = net_listener_port(t.listener),
                                .window = s->window,
                                .release_2 = second,
                                .retries = s->retries,
                                .timeout_ms = s->timeout_ms,
                                .max_reply = 1000,
                                .messages = messages,
                                .count = s->count,
                                .judge = judge,
                                .done = done,
                                .ctx = &t};
        enum err_code code = mllp_client_run(t.loop, &c, &e);
        struct net_timer *timer = net_timer_new(t.loop, look, t.loop);
        net_timer_set(timer, 20); /* what was sent without a reply arrives */
        net_loop_run(t.loop);
        net_timer_free(&timer);
        assert_int_equal(code, s->error ? ERR_PEER : ERR_NONE);
        if (s->error) {
            assert_string_equal(e.msg, s->error);
        }
        assert_string_equal(t.received, s->received);
        assert_string_equal(t.done, s->done);
        assert_int_equal(t.connections, s->connections);
        net_listener_free(&t.listener);
        net_loop_free(&t.loop);
        mllp_release(&t.framer);
    }
}

static void each_scenario_ends_as_it_should(void **state)
{
    (void)state;
    play(scenarios, sizeof scenarios / sizeof *scenarios, false);
}

/* F07, the sending side */
static void each_scenario_of_release_2_does(void **state)
{
    (void)state;
    play(release_2, sizeof release_2 / sizeof *release_2, true);
}

static void nobody_there_is_said_at_once(void **state)
{
    (void)state;
    struct test t = {.loop = net_loop_new(NULL)};
    struct net_listen_options listen = {.address = "127.0.0.1"};
    struct err e = {0};
    char expected[100];
    assert_int_equal(net_listen(t.loop, &listen, &handlers, &t, &t.listener, NULL), ERR_NONE);
    struct mllp_client c = {.host = "127.0.0.1",
                            .port = net_listener_port(t.listener),
                            .window = 1,
                            .retries = 3,
                            .timeout_ms = 20000,
                            .max_reply = 1000,
                            .messages = messages,
                            .count = 1,
                            .judge = judge,
                            .done = done,
                            .ctx = &t};
    net_listener_free(&t.listener);
    assert_int_equal(mllp_client_run(t.loop, &c, &e), ERR_PEER);
    snprintf(expected, sizeof expected, "could not connect to 127.0.0.1:%d: connection refused",
             c.port);
    assert_string_equal(e.msg, expected);
    assert_string_equal(t.done, "");
    net_loop_free(&t.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scenario_ends_as_it_should),
        cmocka_unit_test(each_scenario_of_release_2_does),
        cmocka_unit_test(nobody_there_is_said_at_once),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
