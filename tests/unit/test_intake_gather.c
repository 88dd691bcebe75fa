/* Whether the next group waits for the senders that were just answered. */
#include "core/intake/gather.h"
#include "tests/lib/cm.h"

enum { SLOW = 2400, MAX = 256 };

static void they_come_back(void **state)
{
    struct gather g = {0};
    (void)state;
    gather_after(&g, 10000, SLOW, 4, 4, MAX);
    assert_true(gather_waits(&g, 10001, 4));
    assert_true(gather_waits(&g, 10100, 7));
    assert_false(gather_waits(&g, 10101, 8)); /* all of them: at once */
    assert_false(gather_waits(&g, 10102, 8)); /* and that was it */
    gather_after(&g, 20000, SLOW, 8, 0, MAX);
    assert_true(gather_waits(&g, 20000 + SLOW / 4 - 1, 5));
    /* no longer than a quarter of the commit */
    assert_false(gather_waits(&g, 20000 + SLOW / 4, 5));
    gather_after(&g, 30000, SLOW, 5, 3, MAX);
    assert_true(gather_waits(&g, 30001, 3)); /* it was worth it */
}

static void not_for_what_is_quick(void **state)
{
    struct gather g = {0};
    (void)state;
    gather_after(&g, 10000, GATHER_LEAST_US - 1, 2, 2, MAX);
    assert_false(gather_waits(&g, 10001, 2));
    gather_after(&g, 10000, SLOW, 17, 2, MAX); /* it took long for its messages */
    assert_false(gather_waits(&g, 10001, 2));
    gather_after(&g, 10000, SLOW, 1, 0, MAX); /* one sender */
    assert_false(gather_waits(&g, 10001, 0));
    gather_after(&g, 10000, SLOW, 4, MAX, MAX); /* a full group waits already */
    assert_false(gather_waits(&g, 10001, MAX));
    gather_after(&g, 10000, SLOW, 4, MAX - 2, MAX);
    assert_true(gather_waits(&g, 10001, MAX - 1));
    assert_false(gather_waits(&g, 10002, MAX));
    gather_after(&g, 10000, 60 * 1000, 4, 4, MAX);
    assert_true(gather_waits(&g, 10000 + GATHER_MOST_US - 1, 5));
    assert_false(gather_waits(&g, 10000 + GATHER_MOST_US, 5));
}

/* Too few came: two groups begin at once, then four, at last 64; enough of them bring it back. */
static void less_and_less(void **state)
{
    struct gather g = {0};
    (void)state;
    for (unsigned skipped = 2; skipped <= 128; skipped *= 2) {
        gather_after(&g, 10000, SLOW, 4, 4, MAX);
        assert_true(gather_waits(&g, 10000, 4));
        assert_false(gather_waits(&g, 20000, skipped == 8 ? 5 : 4));
        for (unsigned i = 0; i < (skipped < 64 ? skipped : 64); i++) {
            gather_after(&g, 10000, SLOW, 4, 4, MAX);
            assert_false(gather_waits(&g, 10000, 4));
        }
    }
    gather_after(&g, 10000, SLOW, 4, 4, MAX);
    assert_true(gather_waits(&g, 10000, 4));
    assert_false(gather_waits(&g, 20000, 6));
    gather_after(&g, 10000, SLOW, 4, 4, MAX);
    assert_true(gather_waits(&g, 10000, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_back),
        cmocka_unit_test(not_for_what_is_quick),
        cmocka_unit_test(less_and_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
