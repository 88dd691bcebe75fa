/* HTTP/1.1 as bytes: what is understood, and what is refused with its place. */
#include "core/net/http_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static enum err_code parse(const char *text, struct http_head *h, struct err *e)
{
    return http_head_parse(str_of(text), h, e);
}

static void understood(void **state)
{
    struct http_head h;
    struct err e = {0};
    (void)state;
    assert_int_equal(parse("POST /in?x=1 HTTP/1.1\r\nHost: a\r\nContent-length: 12\r\nX-A:  b \r\n"
                           "Expect: 100-Continue\r\n\r\n",
                           &h, &e),
                     ERR_NONE);
    assert_true(str_is(h.method, "POST") && str_is(h.target, "/in?x=1"));
    assert_true(h.length == 12 && h.keep_alive && h.expects && !h.chunked && h.minor == 1);
    assert_true(str_is(http_field(&h, "x-a"), "b"));
    assert_true(http_field(&h, "x-b").n == 0);
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &h, &e), ERR_NONE);
    assert_false(h.keep_alive);
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &h, &e),
                     ERR_NONE);
    assert_false(h.keep_alive);
    assert_int_equal(
        parse("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", &h, &e), ERR_NONE);
    assert_true(h.chunked && h.length == -1);
}

static void refused(void **state)
{
    static const struct {
        const char *text;
        enum err_code code;
        size_t pos;
    } rows[] = {
        {"POST /\r\n\r\n", ERR_SYNTAX, 0},
        {"PO ST / HTTP/1.1\r\n\r\n", ERR_UNSUPPORTED, 6},
        {"POST /\t HTTP/1.1\r\n\r\n", ERR_SYNTAX, 6},
        {"POST / HTTP/2.0\r\nHost: a\r\n\r\n", ERR_UNSUPPORTED, 7},
        {"POST / HTTP/1.1\r\n\r\n", ERR_SYNTAX, 0},
        {"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ERR_SYNTAX, 0},
        {"POST / HTTP/1.1\r\nHost : a\r\n\r\n", ERR_SYNTAX, 17},
        {"POST / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", ERR_SYNTAX, 26},
        {"POST / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", ERR_SYNTAX, 26},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", ERR_SYNTAX, 26},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", ERR_SYNTAX, 26},
        {"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\nHost: a\r\n\r\n", ERR_SYNTAX,
         36},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ERR_UNSUPPORTED,
         26},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
         ERR_SYNTAX, 0},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_UNSUPPORTED, 17},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", ERR_UNSUPPORTED, 26},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_head h;
        struct err e = {0};
        assert_int_equal(parse(rows[i].text, &h, &e), rows[i].code);
        assert_int_equal(e.pos, rows[i].pos);
    }
}

static void head_sizes(void **state)
{
    (void)state;
    assert_int_equal(http_head_size(STR("A\r\n\r\nrest"), 0), 5);
    assert_int_equal(http_head_size(STR("A\r\nB: \r\r\n\r\n"), 0), 11);
    assert_int_equal(http_head_size(STR("A\r\n\r"), 0), 0);
    assert_int_equal(http_head_size(STR("A\n\n"), 0), 0);
}

/* The body that comes out, whatever way the bytes were cut. ERR_SYNTAX: broken. */
static enum err_code chunks(const char *text, size_t cut, char *out, bool *done)
{
    struct http_chunks c = {0};
    struct str all = str_of(text), piece;
    size_t n = 0;
    enum err_code rc = ERR_NONE;
    for (size_t at = 0; at < all.n && rc == ERR_NONE; at += cut) {
        struct str rest = str_cut(all, at, at + cut < all.n ? at + cut : all.n);
        do {
            rc = http_chunks_next(&c, &rest, &piece, NULL);
            for (size_t i = 0; rc == ERR_NONE && i < piece.n; i++) {
                out[n++] = piece.p[i];
            }
        } while (rc == ERR_NONE && piece.n);
    }
    out[n] = '\0';
    *done = c.done;
    return rc;
}

static void in_chunks(void **state)
{
    static const struct {
        const char *text, *body; /* NULL: broken */
        bool done;
    } rows[] = {
        {"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "abcde", true},
        {"0\r\n\r\n", "", true},
        {"A\r\n0123456789\r\n0\r\nTrailer: 1\r\nB: 2\r\n\r\n", "0123456789", true},
        {"3\r\nab", "ab", false},
        {"3\r\nabcX", NULL, false},
        {"\r\n", NULL, false},
        {"g\r\n", NULL, false},
        {"3\nabc", NULL, false},
        {"fffffffffffffffffff\r\n", NULL, false},
    };
    char out[64];
    bool done;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t cut = 1; cut < 40; cut++) {
            enum err_code rc = chunks(rows[i].text, cut, out, &done);
            assert_int_equal(rc, rows[i].body ? ERR_NONE : ERR_SYNTAX);
            if (rows[i].body) {
                assert_string_equal(out, rows[i].body);
                assert_int_equal(done, rows[i].done);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understood),
        cmocka_unit_test(refused),
        cmocka_unit_test(head_sizes),
        cmocka_unit_test(in_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
