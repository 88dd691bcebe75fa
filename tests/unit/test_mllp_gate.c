/*
 * The MLLP adapter: who may connect and how fast (F63, F66, F68), what frames hold (F03, F07, F08),
 * replies on a connection of our own (F19).
 */
#include "tests/lib/mllp_host.h"

#include "core/base/clock.h"
#include "core/net/hllp.h"

#include <unistd.h>

/* F63 */
static void only_listed_addresses_may_connect(void **state)
{
    (void)state;
    const struct {
        const char *allow;
        bool welcome;
    } rows[] = {{"allow=10.0.0.0/8, 192.168.1.7", false},
                {"allow=127.0.0.1", true},
                {"allow=10.0.0.0/8,127.0.0.0/8", true},
                {"allow=", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *options[] = {rows[i].allow, NULL};
        struct adapter_host h = {.at_once = true};
        struct sender s;
        start(&h, options);
        dial(&s, &h, NULL);
        if (rows[i].welcome) {
            net_send(s.conn, STR(FRAME("x")));
            until_got(&s, FRAME("x"));
        } else {
            run_until(h.loop, is_closed, &s);
        }
        assert_int_equal(counted(&h, "connections_refused"), rows[i].welcome ? 0 : 1);
        finish(&h, &s, 1);
    }
}

/* F66: a full address takes over what it left behind, but never what is under way or young. */
static void a_stale_connection_gives_way_to_its_sender(void **state)
{
    (void)state;
    const char *const full[] = {"max-per-address=2", "max-connections=2"};
    for (size_t i = 0; i < 2; i++) {
        const char *options[] = {full[i], "reclaim-after=60ms", NULL};
        struct adapter_host h = {.at_once = false};
        struct sender s[4];
        start(&h, options);
        dial(&s[0], &h, NULL);
        until_counted(&h, "connections", 1);
        net_send(s[0].conn, STR(FRAME("under way")));
        until_taken(&h, 1);
        dial(&s[1], &h, NULL);
        until_counted(&h, "connections", 2);
        net_send(s[1].conn, STR("\x0bhalf")); /* mid-frame: silent all the same */
        dial(&s[2], &h, NULL);
        run_until(h.loop, is_closed, &s[2]); /* nothing is old enough yet */
        run_for(h.loop, 120);
        dial(&s[3], &h, NULL);
        run_until(h.loop, is_closed, &s[1]);
        until_counted(&h, "reclaimed", 1);
        net_send(s[3].conn, STR(FRAME("new")));
        until_taken(&h, 2);
        answer(&h, 0, "A");
        until_got(&s[0], FRAME("A"));
        assert_int_equal(counted(&h, "connections_refused"), 1);
        answer(&h, 1, "B");
        until_got(&s[3], FRAME("B"));
        finish(&h, s, 4);
    }
}

static void nothing_is_reclaimed_where_the_feed_says_never(void **state)
{
    (void)state;
    const char *options[] = {"max-per-address=1", "reclaim-after=0s", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s[2];
    start(&h, options);
    dial(&s[0], &h, NULL);
    until_counted(&h, "connections", 1);
    run_for(h.loop, 50);
    dial(&s[1], &h, NULL);
    run_until(h.loop, is_closed, &s[1]);
    assert_int_equal(counted(&h, "reclaimed"), 0);
    finish(&h, s, 2);
}

/* F68: a second's worth at once, the rest later, none lost; two connections share what one address
 * may. */
static void an_address_is_slowed_to_its_rate(void **state)
{
    (void)state;
    const char *options[] = {"max-rate=20", "window=100", NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s[2];
    struct buf many;
    start(&h, options);
    dial(&s[0], &h, NULL);
    dial(&s[1], &h, NULL);
    buf_init(&many, 1 << 16);
    for (int i = 0; i < 13; i++) {
        buf_addz(&many, FRAME("m"));
    }
    usec began = clock_mono();
    net_send(s[0].conn, buf_str(&many));
    net_send(s[1].conn, buf_str(&many));
    until_taken(&h, 26);
    assert_true(clock_mono() - began >= 250 * 1000); /* 6 more than 20, 50 ms each */
    assert_int_equal(counted(&h, "throttled"), 1);
    assert_int_equal(counted(&h, "frames"), 26);
    until_got(&s[0], buf_str(&many).p);
    until_got(&s[1], buf_str(&many).p);
    buf_release(&many);
    finish(&h, s, 2);
}

/* F07: commit bytes, then the reply that was asked for; NAK and nothing else when it was not kept.
 */
static void release_2_has_commit_bytes(void **state)
{
    (void)state;
    const char *options[] = {"framing=mllp2", NULL};
    struct adapter_host h = {.at_once = false};
    struct sender s;
    start(&h, options);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("one") FRAME("two") FRAME("three")));
    until_taken(&h, 3);
    answer(&h, 1, ""); /* no reply was asked for */
    answer(&h, 0, "A");
    until_got(&s, FRAME("\x06") FRAME("A") FRAME("\x06"));
    h.lost = true;
    answer(&h, 2, "C");
    until_got(&s, FRAME("\x06") FRAME("A") FRAME("\x06") FRAME("\x15"));
    net_send(s.conn,
             STR(FRAME("\x06") FRAME("\x15") FRAME("four"))); /* on our replies, and a message */
    until_taken(&h, 4);
    assert_string_equal(h.taken[3].text, "four");
    assert_int_equal(counted(&h, "replies_refused"), 1);
    h.lost = false;
    answer(&h, 3, "D");
    until_got(&s, FRAME("\x06") FRAME("A") FRAME("\x06") FRAME("\x15") FRAME("\x06") FRAME("D"));
    finish(&h, &s, 1);
}

static void release_1_knows_no_commit_bytes(void **state)
{
    (void)state;
    struct adapter_host h = {.at_once = true};
    struct sender s;
    start(&h, NULL);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("\x06")));
    until_taken(&h, 1);
    finish(&h, &s, 1);
}

/* F03 */
static void other_bytes_may_mark_a_frame(void **state)
{
    (void)state;
    const struct {
        const char *begin, *end, *says, *gets;
    } rows[] = {
        {"start-byte=02", "end-bytes=03", "junk\x02one\x03\x02two\x03", "\x02one\x03\x02two\x03"},
        {"start-byte=02", "end-bytes=030d", "\x02o\x03ne\x03\r\n\x02two\x03\r",
         "\x02o\x03ne\x03\r\x02two\x03\r"},
        {"start-byte=0b", "end-bytes=1c1c", "\x0bone\x1c\x1c", "\x0bone\x1c\x1c"},
        {"start-byte=1D", "end-bytes=1e0a", "\x1done\x1e\n", "\x1done\x1e\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *options[] = {rows[i].begin, rows[i].end, NULL};
        struct adapter_host h = {.at_once = true};
        struct sender s;
        start(&h, options);
        dial(&s, &h, NULL);
        net_send(s.conn, str_of(rows[i].says));
        until_got(&s, rows[i].gets);
        finish(&h, &s, 1);
    }
}

static void say_hybrid(struct sender *s, char type, const char *data, bool with_start)
{
    struct buf block;
    buf_init(&block, 4096);
    buf_addc(&block, '\x0b');
    hllp_write(&block, type, str_of(data), with_start);
    buf_addz(&block, "\x1c\r");
    net_send(s->conn, buf_str(&block));
    buf_release(&block);
}

/* F08: counts and checksums, NAK with its reason in its turn. */
static void the_hybrid_protocol_checks_its_blocks(void **state)
{
    (void)state;
    const char *options[] = {"framing=hllp", "max-message=1k", NULL};
    struct adapter_host h = {.at_once = false};
    struct sender s;
    start(&h, options);
    dial(&s, &h, NULL);
    say_hybrid(&s, 'D', "MSH|one\r", false);
    net_send(s.conn, STR("\x0b"
                         "D23\rMSH|two\r00007000\x1c\r")); /* wrong count */
    net_send(s.conn, STR("\x0b"
                         "D23\rMSH|two\r00008001\x1c\r")); /* wrong checksum */
    net_send(s.conn, STR("\x0bMSH|naked\r\x1c\r"));
    net_send(s.conn, STR("\x0b"
                         "D23\rMSH|two\r00008999\x1c\r")); /* not to be checked */
    until_taken(&h, 2);
    assert_string_equal(h.taken[0].text, "MSH|one\r");
    assert_string_equal(h.taken[1].text, "MSH|two\r");
    answer(&h, 1, "B");
    a_moment(&h);
    assert_int_equal(s.got.n, 0);
    answer(&h, 0, "A");
    until_got(&s, "\x0b"
                  "D23\rA00001065\x1c\r\x0bN23\rC00001067\x1c\r\x0bN23\rX00001088\x1c\r"
                  "\x0bN23\rG00001071\x1c\r\x0b"
                  "D23\rB00001066\x1c\r");
    say_hybrid(&s, 'N', "C", false); /* on one of our replies */
    until_counted(&h, "replies_refused", 1);
    buf_reset(&s.got);
    say_hybrid(&s, 'D', "MSH|three\r", true); /* counts from the start of the block */
    until_taken(&h, 3);
    answer(&h, 2, "C");
    until_got(&s, "\x0b"
                  "D23\rC00006000\x1c\r");
    buf_reset(&s.got);
    static char large[2000];
    memset(large, 'x', sizeof large - 1);
    net_send(s.conn, STR("\x0b"));
    net_send(s.conn, str_of(large));
    net_send(s.conn, STR("\x1c\r"));
    until_got(&s, "\x0bN23\rB00006011\x1c\r");
    assert_int_equal(counted(&h, "broken_blocks"), 4);
    finish(&h, &s, 1);
}

/* ---- F19 ---- */

struct desk {
    struct adapter_host *h;
    struct net_listener *listener;
    struct net_conn *conn;
    struct buf got;
};

static void *desk_accept(void *ctx, struct net_conn *c)
{
    ((struct desk *)ctx)->conn = c;
    return ctx;
}

static void desk_bytes(void *ctx, struct str bytes)
{
    buf_add(&((struct desk *)ctx)->got, bytes);
}

static void desk_closed(void *ctx, const char *why)
{
    (void)why;
    ((struct desk *)ctx)->conn = NULL;
}

static const struct net_handlers desk_handlers = {
    .accept = desk_accept, .bytes = desk_bytes, .closed = desk_closed};

static bool desk_goal(void *d)
{
    return (int)((const struct desk *)d)->got.n >= goal;
}

static int desk_open(struct desk *d, struct net_loop *loop, int port)
{
    const struct net_listen_options o = {.address = "127.0.0.1", .port = port};
    assert_int_equal(net_listen(loop, &o, &desk_handlers, d, &d->listener, NULL), ERR_NONE);
    return net_listener_port(d->listener);
}

static void until_desk_got(struct desk *d, const char *expected)
{
    goal = (int)strlen(expected);
    run_until(d->h->loop, desk_goal, d);
    assert_string_equal(d->got.p, expected);
}

static void replies_may_go_elsewhere(void **state)
{
    (void)state;
    struct net_loop *probe = net_loop_new(NULL);
    struct desk d = {.h = NULL};
    int port = desk_open(&d, probe, 0);
    net_listener_free(&d.listener);
    net_loop_free(&probe);
    char to[64];
    snprintf(to, sizeof to, "reply-to=127.0.0.1:%d", port);
    const char *options[] = {to, NULL};
    struct adapter_host h = {.at_once = true};
    struct sender s;
    start(&h, options);
    d.h = &h;
    buf_init(&d.got, 1 << 16);
    dial(&s, &h, NULL);
    net_send(s.conn, STR(FRAME("one")));
    until_taken(&h, 1);
    a_moment(&h); /* nobody listens there: the reply waits */
    desk_open(&d, h.loop, port);
    until_desk_got(&d, FRAME("one"));
    net_send(s.conn, STR(FRAME("two") FRAME("three")));
    until_desk_got(&d, FRAME("one") FRAME("two") FRAME("three"));
    net_close(d.conn, true); /* lost: opened again */
    d.conn = NULL;
    a_moment(&h);
    net_send(s.conn, STR(FRAME("four")));
    until_desk_got(&d, FRAME("one") FRAME("two") FRAME("three") FRAME("four"));
    assert_int_equal(s.got.n, 0);
    net_listener_free(&d.listener);
    buf_release(&d.got);
    finish(&h, &s, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_listed_addresses_may_connect),
        cmocka_unit_test(a_stale_connection_gives_way_to_its_sender),
        cmocka_unit_test(nothing_is_reclaimed_where_the_feed_says_never),
        cmocka_unit_test(an_address_is_slowed_to_its_rate),
        cmocka_unit_test(release_2_has_commit_bytes),
        cmocka_unit_test(release_1_knows_no_commit_bytes),
        cmocka_unit_test(other_bytes_may_mark_a_frame),
        cmocka_unit_test(the_hybrid_protocol_checks_its_blocks),
        cmocka_unit_test(replies_may_go_elsewhere),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
