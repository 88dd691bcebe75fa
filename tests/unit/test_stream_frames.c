#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/stream/wire.h"

#include <string.h>

/* One message as words, ended by NULL. */
#define MOST 6

static size_t frames_of(const char *const words[MOST], struct str frames[MOST])
{
    size_t n = 0;
    while (n < MOST && words[n]) {
        frames[n] = str_of(words[n]);
        n++;
    }
    return n;
}

static void good_requests_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *words[MOST];
        enum wire_request_kind kind;
        enum wire_from from;
        int64_t seq, messages, bytes;
    } cases[] = {
        {{"HELLO", "dari/1", "hanbit", "cursor"}, REQUEST_HELLO, FROM_CURSOR, 0, 0, 0},
        {{"HELLO", "dari/1", "hanbit", "first"}, REQUEST_HELLO, FROM_FIRST, 0, 0, 0},
        {{"HELLO", "dari/1", "hanbit", "head"}, REQUEST_HELLO, FROM_HEAD, 0, 0, 0},
        {{"HELLO", "dari/1", "hanbit", "0"}, REQUEST_HELLO, FROM_NUMBER, 0, 0, 0},
        {{"HELLO", "dari/1", "hanbit", "117"}, REQUEST_HELLO, FROM_NUMBER, 117, 0, 0},
        {{"CREDIT", "256", "4194304"}, REQUEST_CREDIT, 0, 0, 256, 4194304},
        {{"CREDIT", "0", "0"}, REQUEST_CREDIT, 0, 0, 0, 0},
        {{"ACK", "4611686018427387904"}, REQUEST_ACK, 0, WIRE_MAX, 0, 0},
        {{"NACK", "5", "cannot-store"}, REQUEST_NACK, 0, 5, 0, 0},
        {{"PING"}, REQUEST_PING, 0, 0, 0, 0},
        {{"BYE"}, REQUEST_BYE, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str frames[MOST];
        struct wire_request r;
        size_t n = frames_of(cases[i].words, frames);
        assert_int_equal(wire_request(frames, n, &r, NULL), ERR_NONE);
        assert_int_equal(r.kind, cases[i].kind);
        assert_int_equal(r.from, cases[i].from);
        assert_int_equal(r.seq, cases[i].seq);
        assert_int_equal(r.messages, cases[i].messages);
        assert_int_equal(r.bytes, cases[i].bytes);
    }
}

static void a_time_is_an_instant(void **state)
{
    (void)state;
    const struct str frames[] = {STR("HELLO"), STR("dari/1"), STR("hanbit"),
                                 STR("time:2026-03-11T09:00:00+09:00")};
    struct wire_request r;
    assert_int_equal(wire_request(frames, 4, &r, NULL), ERR_NONE);
    assert_int_equal(r.from, FROM_TIME);
    assert_int_equal(r.time, INT64_C(1773187200) * USEC_SECOND);
}

#define LONG33 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void bad_requests_are_refused_with_code_and_place(void **state)
{
    (void)state;
    static const struct {
        const char *words[MOST];
        enum err_code code;
        size_t pos;
    } cases[] = {
        {{NULL}, ERR_SYNTAX, 0},
        {{""}, ERR_SYNTAX, 0},
        {{"hello", "dari/1", "hanbit", "cursor"}, ERR_SYNTAX, 0},
        {{"NONSENSE"}, ERR_SYNTAX, 0},
        {{"EVENT", "1", "0", "{}"}, ERR_SYNTAX, 0},
        {{"ACK"}, ERR_SYNTAX, 1},
        {{"ACK", "1", "2"}, ERR_SYNTAX, 3},
        {{"PING", ""}, ERR_SYNTAX, 2},
        {{"HELLO", "dari/2", "hanbit", "cursor"}, ERR_UNSUPPORTED, 1},
        {{"HELLO", "dari/1", "", "cursor"}, ERR_VALUE, 2},
        {{"HELLO", "dari/1", "a b", "cursor"}, ERR_VALUE, 2},
        {{"HELLO", "dari/1", LONG33 LONG33, "cursor"}, ERR_LIMIT, 2},
        {{"HELLO", "dari/1", "hanbit", "newest"}, ERR_VALUE, 3},
        {{"HELLO", "dari/1", "hanbit", "-1"}, ERR_VALUE, 3},
        {{"HELLO", "dari/1", "hanbit", "time:yesterday"}, ERR_VALUE, 3},
        {{"ACK", ""}, ERR_VALUE, 1},
        {{"ACK", "-1"}, ERR_VALUE, 1},
        {{"ACK", "+1"}, ERR_VALUE, 1},
        {{"ACK", " 1"}, ERR_VALUE, 1},
        {{"ACK", "01"}, ERR_VALUE, 1},
        {{"ACK", "1e3"}, ERR_VALUE, 1},
        {{"ACK", "4611686018427387905"}, ERR_LIMIT, 1},
        {{"ACK", "99999999999999999999"}, ERR_VALUE, 1},
        {{"CREDIT", "1", "x"}, ERR_VALUE, 2},
        {{"NACK", "0", "code"}, ERR_LIMIT, 1},
        {{"NACK", "1", ""}, ERR_VALUE, 2},
        {{"NACK", "1", "two words"}, ERR_VALUE, 2},
        {{"NACK", "1", LONG33}, ERR_LIMIT, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str frames[MOST];
        struct wire_request r;
        struct err e = {0};
        size_t n = frames_of(cases[i].words, frames);
        enum err_code code = wire_request(frames, n, &r, &e);
        if (code != cases[i].code || e.pos != cases[i].pos) {
            fail_msg("case %zu: %s at %zu", i, err_name(code), e.pos);
        }
    }
}

static void replies_are_read_and_numbers_written(void **state)
{
    (void)state;
    char a[WIRE_DIGITS], b[WIRE_DIGITS];
    struct str frames[] = {STR("EVENT"), wire_number(118, a), wire_number(WIRE_MAX, b),
                           STR("{\"id\":\"x\"}")};
    struct wire_reply r;
    assert_int_equal(wire_reply(frames, 4, &r, NULL), ERR_NONE);
    assert_int_equal(r.kind, REPLY_EVENT);
    assert_int_equal(r.seq, 118);
    assert_int_equal(r.prev, WIRE_MAX);
    assert_true(str_is(r.json, "{\"id\":\"x\"}"));
    frames[1] = STR("0");
    assert_int_equal(wire_reply(frames, 4, &r, NULL), ERR_LIMIT);
    assert_int_equal(wire_reply(frames, 3, &r, NULL), ERR_SYNTAX);
    const struct str bye[] = {STR("BYE"), STR("revoked")};
    assert_int_equal(wire_reply(bye, 2, &r, NULL), ERR_NONE);
    assert_true(str_is(r.code, "revoked"));
    const struct str hint[] = {STR("HINT"), STR("20"), STR("17")};
    assert_int_equal(wire_reply(hint, 3, &r, NULL), ERR_NONE);
    assert_int_equal(r.seq, 20);
    assert_int_equal(r.prev, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_read),
        cmocka_unit_test(a_time_is_an_instant),
        cmocka_unit_test(bad_requests_are_refused_with_code_and_place),
        cmocka_unit_test(replies_are_read_and_numbers_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
