/* The MLLP adapter against a host that tests/lib/mllp_host.h plays: messages and replies. */
#include "tests/lib/mllp_host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* F04, F22 */
static void replies_keep_the_order_of_the_requests(void **state)
{
    (void)state;
    struct adapter_host h = {0};
    struct sender s;
    start(&h, NULL);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("one") FRAME("two") FRAME("three") FRAME("four")));
    until_taken(&h, 4);
    assert_string_equal(h.taken[2].text, "three");
    answer(&h, 2, "C");
    answer(&h, 1, "B");
    a_moment(&h);
    assert_int_equal(s.got.n, 0);
    answer(&h, 0, "A");
    until_got(&s, FRAME("A") FRAME("B") FRAME("C"));
    answer(&h, 3, "D");
    until_got(&s, FRAME("A") FRAME("B") FRAME("C") FRAME("D"));
    assert_int_equal(counted(&h, "frames"), 4);
    assert_int_equal(counted(&h, "replies"), 4);
    finish(&h, &s, 1);
}

static void a_reply_that_nobody_wants_is_left_out(void **state)
{
    (void)state;
    struct adapter_host h = {0};
    struct sender s;
    start(&h, NULL);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("one") FRAME("two") FRAME("three")));
    until_taken(&h, 3);
    answer(&h, 1, "");
    answer(&h, 0, "A");
    answer(&h, 2, "C");
    until_got(&s, FRAME("A") FRAME("C"));
    assert_int_equal(counted(&h, "replies"), 2);
    finish(&h, &s, 1);
}

static void a_host_may_answer_inside_the_call(void **state)
{
    (void)state;
    const char *options[] = {"window=2", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s;
    start(&h, options);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("1") FRAME("2") FRAME("3") FRAME("4") FRAME("5")));
    until_got(&s, FRAME("1") FRAME("2") FRAME("3") FRAME("4") FRAME("5"));
    finish(&h, &s, 1);
}

/* F01. The same stream cut at every place, and into single bytes, gives the same messages. */
static void any_cut_gives_the_same_messages(void **state)
{
    (void)state;
    static const char stream[] = "junk" FRAME("first") "\r\n" FRAME("sec\x1cond") FRAME("");
    const size_t n = sizeof stream - 1;
    struct adapter_host h = {.at_once = true};
    struct sender s;
    start(&h, NULL);
    dial(&s, &h, NULL);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        h.count = 0;
        buf_reset(&s.got);
        for (size_t at = 0; at < n;) {
            size_t to = cut > n ? at + 1 : at == 0 && cut ? cut : n;
            net_send(s.conn, (struct str){stream + at, to - at});
            at = to;
            run_looks(h.loop, 3); /* sent, received, handed over: no piece meets the next one */
        }
        until_got(&s, FRAME("first") FRAME("sec\x1cond")); /* the empty one had an empty reply */
        until_taken(&h, 3);
        assert_string_equal(h.taken[1].text, "sec\x1cond");
    }
    assert_int_equal(counted(&h, "noise_bytes"), (int64_t)(n + 2) * 6);
    finish(&h, &s, 1);
}

/* F02: FS alone ends a message where the feed says so; the CR of others is no noise then. */
static void a_message_may_end_without_its_cr(void **state)
{
    (void)state;
    const char *options[] = {"lone-fs=yes", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s;
    start(&h, options);
    dial(&s, &h, NULL);
    net_send(s.conn, STR("\x0bone\x1c\x0btwo\x1c\r\x0bthree\x1c"));
    until_got(&s, FRAME("one") FRAME("two") FRAME("three"));
    assert_int_equal(counted(&h, "noise_bytes"), 0);
    finish(&h, &s, 1);
}

/* F05: halves of messages that come in turn over two connections are two messages. */
static void connections_do_not_mix(void **state)
{
    (void)state;
    struct adapter_host h = {.at_once = true};
    struct sender s[2];
    start(&h, NULL);
    dial(&s[0], &h, NULL);
    dial(&s[1], &h, NULL);
    static const char *const parts[2][3] = {{"\x0b"
                                             "on",
                                             "e\x1c", "\r"},
                                            {"junk\x0bt", "w", "o\x1c\r"}};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 2; k++) {
            net_send(s[k].conn, str_of(parts[k][i]));
            run_looks(h.loop, 3);
        }
    }
    until_got(&s[0], FRAME("one"));
    until_got(&s[1], FRAME("two"));
    finish(&h, s, 2);
}

/* F06 */
static void an_oversize_message_is_answered_and_the_next_one_taken(void **state)
{
    (void)state;
    const char *options[] = {"max-message=1k", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s;
    char large[3000];
    start(&h, options);
    dial(&s, &h, NULL);
    memset(large, 'x', sizeof large);
    net_send(s.conn, STR("\x0b"));
    net_send(s.conn, (struct str){large, sizeof large});
    net_send(s.conn, STR("\x1c\r" FRAME("small")));
    until_got(&s, FRAME("too large") FRAME("small"));
    assert_true(h.taken[0].large);
    assert_int_equal(h.taken[0].size, 1024);
    assert_int_equal(counted(&h, "oversize"), 1);
    assert_int_equal(counted(&h, "frames"), 1);
    finish(&h, &s, 1);
}

static void a_full_host_stops_everybody_until_it_resumes(void **state)
{
    (void)state;
    struct adapter_host h = {0};
    struct sender s[2];
    start(&h, NULL);
    dial(&s[0], &h, NULL);
    dial(&s[1], &h, NULL);
    h.room = 2;
    net_send(s[0].conn, STR(FRAME("a1") FRAME("a2") FRAME("a3") FRAME("a4")));
    until_taken(&h, 2);
    run_until(h.loop, is_connected, &s[1]);
    net_send(s[1].conn, STR(FRAME("b1")));
    a_moment(&h);
    assert_int_equal(h.count, 2);
    h.room = 1; /* one more, then full again */
    adapter_mllp.resume(h.adapter);
    a_moment(&h);
    assert_int_equal(h.count, 3);
    assert_string_equal(h.taken[2].text, "a3"); /* the one it had refused */
    h.room = -1;
    adapter_mllp.resume(h.adapter);
    until_taken(&h, 5);
    for (int i = 0; i < 5; i++) {
        adapter_mllp.reply(h.adapter, h.taken[i].ticket, str_of(h.taken[i].text));
    }
    until_got(&s[0], FRAME("a1") FRAME("a2") FRAME("a3") FRAME("a4"));
    until_got(&s[1], FRAME("b1"));
    finish(&h, s, 2);
}

/* The refused message goes first, even when another peer has a whole one waiting. */
static void the_refused_message_is_offered_first(void **state)
{
    (void)state;
    const char *options[] = {"window=1", NULL};
    struct adapter_host h = {0};
    struct sender a, b;
    start(&h, options);
    dial(&a, &h, NULL);
    until_counted(&h, "connections", 1);
    dial(&b, &h, NULL);
    net_send(b.conn, STR(FRAME("b1") FRAME("b2")));
    until_taken(&h, 1);
    h.room = 0;
    net_send(a.conn, STR(FRAME("a1")));
    a_moment(&h);       /* a1 is refused */
    answer(&h, 0, "B"); /* b2 could be taken now */
    h.room = 1;
    adapter_mllp.resume(h.adapter);
    until_taken(&h, 2);
    assert_string_equal(h.taken[1].text, "a1");
    h.room = 1;
    adapter_mllp.resume(h.adapter);
    until_taken(&h, 3);
    assert_string_equal(h.taken[2].text, "b2");
    adapter_mllp.stop(&h.adapter);
    net_loop_free(&h.loop);
    buf_release(&a.got);
    buf_release(&b.got);
    arena_free(&h.memory);
}

/* A plain socket that vanishes with a reset, as a killed sender with unread bytes does. */
static int dial_raw(const struct adapter_host *h)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)mllp_port(h->adapter)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return fd;
}

static void a_vanished_peer_loses_its_replies_and_nobody_else_does(void **state)
{
    (void)state;
    struct adapter_host h = {0};
    struct sender s;
    start(&h, NULL);
    int fd = dial_raw(&h);
    static const char three[] = FRAME("gone1") FRAME("gone2") FRAME("gone3");
    assert_int_equal(write(fd, three, sizeof three - 1), sizeof three - 1);
    until_taken(&h, 3);
    answer(&h, 2, "C"); /* waits behind the other two when the peer goes */
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("stays")));
    until_taken(&h, 4);
    close(fd);
    until_counted(&h, "connections", 1);
    answer(&h, 0, "A");
    answer(&h, 3, "D");
    until_got(&s, FRAME("D"));
    assert_int_equal(counted(&h, "lost_replies"), 2); /* the third is still to come */
    finish(&h, &s, 1);
}

static void a_peer_that_has_finished_sending_gets_its_replies(void **state)
{
    (void)state;
    struct adapter_host h = {0};
    struct sender s;
    start(&h, NULL);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("1") FRAME("2") "\x0bhalf a mess"));
    until_taken(&h, 2);
    net_close(s.conn, true); /* our own half only: it still reads, but throws away */
    until_counted(&h, "truncated", 1);
    assert_int_equal(counted(&h, "connections"), 1);
    answer(&h, 1, "B");
    answer(&h, 0, "A");
    until_counted(&h, "connections", 0);
    assert_int_equal(counted(&h, "replies"), 2);
    finish(&h, &s, 1);
}

static void draining_answers_what_is_under_way_and_takes_nothing_new(void **state)
{
    (void)state;
    struct adapter_host h = {0};
    struct sender s[3];
    start(&h, NULL);
    dial(&s[0], &h, NULL);
    dial(&s[1], &h, NULL);
    net_send(s[0].conn, STR(FRAME("1")));
    until_taken(&h, 1);
    until_counted(&h, "connections", 2);
    int port = mllp_port(h.adapter);
    adapter_mllp.drain(h.adapter);
    net_send(s[0].conn, STR(FRAME("2")));
    run_until(h.loop, is_closed, &s[1]); /* nothing under way there */
    s[2] = (struct sender){.h = &h};
    assert_int_equal(
        net_connect(h.loop, "127.0.0.1", port, NULL, &sender_handlers, &s[2], &s[2].conn, NULL),
        ERR_NONE);
    run_until(h.loop, is_closed, &s[2]);
    assert_int_equal(s[2].connected, 0);
    assert_int_equal(h.count, 1);
    answer(&h, 0, "A");
    run_until(h.loop, is_closed, &s[0]);
    assert_string_equal(s[0].got.p, FRAME("A"));
    finish(&h, s, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_keep_the_order_of_the_requests),
        cmocka_unit_test(a_reply_that_nobody_wants_is_left_out),
        cmocka_unit_test(a_host_may_answer_inside_the_call),
        cmocka_unit_test(any_cut_gives_the_same_messages),
        cmocka_unit_test(a_message_may_end_without_its_cr),
        cmocka_unit_test(connections_do_not_mix),
        cmocka_unit_test(an_oversize_message_is_answered_and_the_next_one_taken),
        cmocka_unit_test(a_full_host_stops_everybody_until_it_resumes),
        cmocka_unit_test(the_refused_message_is_offered_first),
        cmocka_unit_test(a_vanished_peer_loses_its_replies_and_nobody_else_does),
        cmocka_unit_test(a_peer_that_has_finished_sending_gets_its_replies),
        cmocka_unit_test(draining_answers_what_is_under_way_and_takes_nothing_new),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
