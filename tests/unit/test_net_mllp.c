#include "tests/lib/cm.h"

#include "core/net/mllp.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What came out, as text: "[frame]" and "{beginning of one too large}". */
struct heard {
    struct buf text;
    uint64_t noise;
};

static void take(struct mllp *m, struct heard *h)
{
    struct str frame;
    for (enum mllp_what w; (w = mllp_next(m, &frame)) != MLLP_MORE;) {
        buf_addc(&h->text, w == MLLP_FRAME ? '[' : '{');
        buf_add(&h->text, frame);
        buf_addc(&h->text, w == MLLP_FRAME ? ']' : '}');
    }
    h->noise = m->noise;
}

static void start(struct mllp *m, struct heard *h, bool lone)
{
    mllp_init(m, 8);
    m->lone_cr_ok = lone;
    buf_init(&h->text, 1 << 20);
    h->noise = 0;
}

static void end(struct mllp *m, struct heard *h)
{
    mllp_release(m);
    buf_release(&h->text);
}

struct row {
    const char *why;
    struct str in;
    const char *want;
    uint64_t noise;
    bool lone;
};

static const struct row rows[] = {
    {"one",
     STR_INIT("\x0b"
              "abc\x1c\r"),
     "[abc]", 0, false},
    {"two joined",
     STR_INIT("\x0b"
              "abc\x1c\r\x0b"
              "de\x1c\r"),
     "[abc][de]", 0, false},
    {"an empty one", STR_INIT("\x0b\x1c\r"), "[]", 0, false},
    {"a cut one",
     STR_INIT("\x0b"
              "abc"),
     "", 0, false},
    {"noise around",
     STR_INIT("xx\r\n\x0b"
              "abc\x1c\r\nyy\x0b"
              "d\x1c\r\r"),
     "[abc][d]", 8, false},
    {"only noise", STR_INIT("GET / HTTP\r\n\x1c\r"), "", 14, false},
    {"a frame begun again",
     STR_INIT("\x0b"
              "abc\x0b"
              "de\x1c\r"),
     "[de]", 3, false},
    {"begun again and again",
     STR_INIT("\x0b\x0b"
              "a\x0b"
              "de\x1c\r"),
     "[de]", 1, false},
    {"FS inside",
     STR_INIT("\x0b"
              "a\x1c"
              "b\x1c\x1c\r"),
     "[a\x1c"
     "b\x1c]",
     0, false},
    {"FS then VT, strict",
     STR_INIT("\x0b"
              "ab\x1c\x0b"
              "c\x1c\r"),
     "[c]", 3, false},
    {"FS then VT, lenient",
     STR_INIT("\x0b"
              "ab\x1c\x0b"
              "c\x1c\r"),
     "[ab][c]", 0, true},
    {"lenient with CR",
     STR_INIT("\x0b"
              "ab\x1c\r\x0b"
              "c\x1c\r"),
     "[ab][c]", 0, true},
    {"lenient at the end",
     STR_INIT("\x0b"
              "ab\x1c"),
     "[ab]", 0, true},
    {"CR inside",
     STR_INIT("\x0b"
              "a\rb\r\x1c\r"),
     "[a\rb\r]", 0, false},
    {"at the limit",
     STR_INIT("\x0b"
              "12345678\x1c\r"),
     "[12345678]", 0, false},
    {"one above",
     STR_INIT("\x0b"
              "123456789\x1c\r\x0b"
              "a\x1c\r"),
     "{12345678}[a]", 0, false},
    {"FS as the last byte within",
     STR_INIT("\x0b"
              "1234567\x1c\x1c\r"),
     "[1234567\x1c]", 0, false},
    {"FS as the first byte beyond",
     STR_INIT("\x0b"
              "12345678\x1c\x1c\r\x0b"
              "a\x1c\r"),
     "{12345678}[a]", 0, false},
    {"far above",
     STR_INIT("\x0b"
              "1234567890123456789\x1c"
              "x\x1c\r\x0b"
              "a\x1c\r"),
     "{12345678}[a]", 0, false},
    {"above, then begun again",
     STR_INIT("\x0b"
              "1234567890\x0b"
              "a\x1c\r"),
     "{12345678}[a]", 0, false},
    {"above, never ended",
     STR_INIT("\x0b"
              "1234567890"),
     "{12345678}", 0, false},
    {"noise after one above",
     STR_INIT("\x0b"
              "123456789\x1c\rzz\x0b"
              "a\x1c\r"),
     "{12345678}[a]", 2, false},
};

static void check(const struct row *r, struct mllp *m, struct heard *h)
{
    assert_same(buf_str(&h->text), str_of(r->want), r->why);
    assert_row(h->noise == r->noise, r->why);
    end(m, h);
}

/* F01, F02 */
static void in_one_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mllp m;
        struct heard h;
        start(&m, &h, rows[i].lone);
        mllp_feed(&m, guard_copy(rows[i].in));
        take(&m, &h);
        check(&rows[i], &m, &h);
    }
}

/* Every way to cut the stream in three gives the same, and so does one byte at a time. */
static void every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str in = rows[i].in;
        for (size_t a = 0; a <= in.n; a++) {
            for (size_t b = a; b <= in.n; b++) {
                struct mllp m;
                struct heard h;
                start(&m, &h, rows[i].lone);
                struct str parts[] = {str_cut(in, 0, a), str_cut(in, a, b), str_cut(in, b, in.n)};
                for (int k = 0; k < 3; k++) {
                    mllp_feed(&m, parts[k]);
                    take(&m, &h);
                }
                check(&rows[i], &m, &h);
            }
        }
        struct mllp m;
        struct heard h;
        start(&m, &h, rows[i].lone);
        for (size_t k = 0; k < in.n; k++) {
            mllp_feed(&m, str_cut(in, k, k + 1));
            take(&m, &h);
        }
        check(&rows[i], &m, &h);
    }
}

/* A frame of 64 MiB against a limit of 1 MiB: memory stays at the limit, and the next frame comes.
 */
static void oversize_is_not_kept(void **state)
{
    (void)state;
    static char chunk[64 * 1024];
    struct mllp m;
    struct str frame;
    mllp_init(&m, 1 << 20);
    memset(chunk, 'x', sizeof chunk);
    mllp_feed(&m, STR("\x0b"));
    int refused = 0;
    for (int i = 0; i < 1024; i++) {
        mllp_feed(&m, (struct str){chunk, sizeof chunk});
        for (enum mllp_what w; (w = mllp_next(&m, &frame)) != MLLP_MORE;) {
            assert_int_equal(w, MLLP_TOO_LARGE);
            assert_int_equal(frame.n, 4096);
            refused++;
        }
        assert_true(m.in.cap <= 4 << 20);
    }
    mllp_feed(&m, STR("\x1c\r\x0b"
                      "ok\x1c\r"));
    assert_int_equal(mllp_next(&m, &frame), MLLP_FRAME);
    assert_same(frame, STR("ok"), "the next one");
    assert_int_equal(mllp_next(&m, &frame), MLLP_MORE);
    assert_int_equal(refused, 1);
    mllp_feed(&m, STR(""));
    assert_true(m.in.cap <= 64 * 1024);
    mllp_release(&m);
}

/* Streams that would punish looking at a byte twice: they finish, or the test run does not. */
static void hostile_streams_are_linear(void **state)
{
    (void)state;
    enum { N = 8 << 20 };
    static const char *const patterns[] = {"\x0b",       "\x0bx",    "\x1c", "\x1cx",
                                           "\x0b\x1c\r", "\x0b\x1c", "x"};
    char *bytes = malloc(N);
    assert_non_null(bytes);
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct str p = str_of(patterns[i]), frame;
        for (size_t k = 0; k < N; k++) {
            bytes[k] = p.p[k % p.n];
        }
        bytes[0] = MLLP_VT;
        struct mllp m;
        mllp_init(&m, N);
        mllp_feed(&m, (struct str){bytes, N});
        while (mllp_next(&m, &frame) != MLLP_MORE) {
        }
        mllp_release(&m);
    }
    free(bytes);
}

static void wrap(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    mllp_wrap(&b, STR("abc"));
    assert_same(buf_str(&b),
                STR("\x0b"
                    "abc\x1c\r"),
                "wrapped");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_one_go),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(oversize_is_not_kept),
        cmocka_unit_test(hostile_streams_are_linear),
        cmocka_unit_test(wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
