/* What the MLLP adapter has under way is bounded, and a peer that stops or never reads is closed.
 */
#include "tests/lib/mllp_host.h"

#include <unistd.h>

static void the_window_bounds_what_one_connection_has_under_way(void **state)
{
    (void)state;
    const char *options[] = {"window=2", NULL};
    struct adapter_host h = {0};
    struct sender s;
    start(&h, options);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("1") FRAME("2") FRAME("3")));
    until_taken(&h, 2);
    a_moment(&h);
    assert_int_equal(h.count, 2);
    answer(&h, 1, "B"); /* out of order: still two places taken */
    a_moment(&h);
    assert_int_equal(h.count, 2);
    answer(&h, 0, "A");
    until_taken(&h, 3);
    answer(&h, 2, "C");
    until_got(&s, FRAME("A") FRAME("B") FRAME("C"));
    finish(&h, &s, 1);
}

/* Unfinished messages fill the memory: still one after the other is let through. */
static void full_memory_lets_one_message_through_at_a_time(void **state)
{
    (void)state;
    const char *options[] = {"max-message=100k", "max-in-flight=100k", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s[4];
    char part[60 * 1024];
    start(&h, options);
    memset(part, 'x', sizeof part);
    for (int i = 0; i < 4; i++) {
        dial(&s[i], &h, NULL);
        net_send(s[i].conn, STR("\x0b"));
        net_send(s[i].conn, (struct str){part, sizeof part});
    }
    until_counted(&h, "memory_full", 1);
    for (int i = 0; i < 4; i++) {
        net_send(s[i].conn, (struct str){part, 30 * 1024});
        net_send(s[i].conn, STR("\x1c\r"));
    }
    until_taken(&h, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(h.taken[i].size, 90 * 1024);
        goal = 90 * 1024 + 3;
        run_until(h.loop, got_goal, &s[i]);
    }
    finish(&h, s, 4);
}

/* While all others wait for its end, a message may not drip for ten stall-timeouts. */
static void full_memory_has_no_patience_with_a_message_that_drips(void **state)
{
    (void)state;
    const char *options[] = {"max-message=100k", "max-in-flight=100k", "stall-timeout=500ms", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s[2];
    static char part[60 * 1024];
    start(&h, options);
    memset(part, 'x', sizeof part);
    for (int i = 0; i < 2; i++) {
        dial(&s[i], &h, NULL);
        net_send(s[i].conn, STR("\x0b"));
        net_send(s[i].conn, (struct str){part, sizeof part});
    }
    until_counted(&h, "memory_full", 1);
    for (int i = 0; i < 60 && counted(&h, "connections_refused") == 0; i++) {
        for (int k = 0; k < 2; k++) {
            net_send(s[k].conn, STR("x"));
        }
        run_for(h.loop, 50); /* 3 s in all, and ten stall-timeouts are 5 */
    }
    assert_int_equal(counted(&h, "connections_refused"), 1);
    finish(&h, s, 2);
}

/* F64 */
static void connections_are_limited_in_all_and_by_address(void **state)
{
    (void)state;
    const char *const cases[] = {"max-connections=2", "max-per-address=2"};
    for (size_t i = 0; i < 2; i++) {
        const char *options[] = {cases[i], NULL};
        struct adapter_host h = {.at_once = true};
        struct sender s[4];
        start(&h, options);
        dial(&s[0], &h, NULL);
        dial(&s[1], &h, NULL);
        until_counted(&h, "connections", 2);
        dial(&s[2], &h, NULL);
        run_until(h.loop, is_closed, &s[2]);
        assert_int_equal(counted(&h, "connections_refused"), 1);
        net_close(s[0].conn, true);
        until_counted(&h, "connections", 1);
        dial(&s[3], &h, NULL); /* a place is free again */
        net_send(s[3].conn, STR(FRAME("x")));
        until_got(&s[3], FRAME("x"));
        finish(&h, s, 4);
    }
}

/* F65, F67 */
static void the_silent_and_the_stuck_are_closed(void **state)
{
    (void)state;
    const struct {
        const char *option, *says;
        int refused;
    } cases[] = {{"idle-timeout=40ms", "", 0}, {"stall-timeout=40ms", "\x0bMSH|", 1}};
    for (size_t i = 0; i < 2; i++) {
        const char *options[] = {cases[i].option, NULL};
        struct adapter_host h = {.at_once = true};
        struct sender s;
        start(&h, options);
        dial(&s, &h, NULL);
        net_send(s.conn, STR(FRAME("x")));
        net_send(s.conn, str_of(cases[i].says));
        run_until(h.loop, is_closed, &s);
        assert_string_equal(s.got.p, FRAME("x"));
        assert_int_equal(counted(&h, "connections_refused"), cases[i].refused);
        finish(&h, &s, 1);
    }
}

/* While the host is full nobody is to blame for an unfinished message. */
static void a_peer_that_we_keep_waiting_is_not_stuck(void **state)
{
    (void)state;
    const char *options[] = {"stall-timeout=1s", "idle-timeout=1s", NULL};
    struct adapter_host h = {0};
    struct sender s;
    start(&h, options);
    dial(&s, &h, NULL);
    h.room = 0;
    net_send(s.conn, STR(FRAME("1") "\x0bpart"));
    run_for(h.loop, 1300);
    assert_int_equal(counted(&h, "connections"), 1);
    h.room = -1;
    h.at_once = true;
    adapter_mllp.resume(h.adapter);
    run_for(h.loop, 300); /* time enough to look after the peers once */
    assert_int_equal(counted(&h, "connections"), 1);
    net_send(s.conn, STR(" two\x1c\r"));
    until_got(&s, FRAME("1") FRAME("part two"));
    finish(&h, &s, 1);
}

/* Sends and never reads: its replies pile up to a limit, then it is not read, then closed. */
static void a_peer_that_does_not_read_its_replies_is_closed(void **state)
{
    (void)state;
    const char *options[] = {"stall-timeout=50ms", NULL};
    static char reply[900 * 1024];
    struct adapter_host h = {0};
    struct sender s;
    start(&h, options);
    dial(&s, &h, NULL);
    run_until(h.loop, is_connected, &s);
    net_pause(s.conn, true);
    memset(reply, 'r', sizeof reply);
    for (int i = 0; i < 40; i++) {
        net_send(s.conn, STR(FRAME("m")));
    }
    until_taken(&h, 40);
    for (int i = 0; i < 40; i++) {
        adapter_mllp.reply(h.adapter, h.taken[i].ticket, (struct str){reply, sizeof reply});
    }
    net_send(s.conn, STR(FRAME("one more")));
    until_counted(&h, "connections_refused", 1);
    assert_int_equal(h.count, 40);
    finish(&h, &s, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_bounds_what_one_connection_has_under_way),
        cmocka_unit_test(full_memory_lets_one_message_through_at_a_time),
        cmocka_unit_test(full_memory_has_no_patience_with_a_message_that_drips),
        cmocka_unit_test(connections_are_limited_in_all_and_by_address),
        cmocka_unit_test(the_silent_and_the_stuck_are_closed),
        cmocka_unit_test(a_peer_that_we_keep_waiting_is_not_stuck),
        cmocka_unit_test(a_peer_that_does_not_read_its_replies_is_closed),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
