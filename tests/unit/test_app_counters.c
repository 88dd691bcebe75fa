/* Counters and histograms of a feed's file, read back. */
#include "core/app/counters_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void plain_ones_and_histograms(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct counters_view v;
    counters_parse(a,
                   STR("replies 12\nreply_ms.le.inf 100\nreply_ms.le.5 50\nin_spool 0\n"
                       "reply_ms.le.20 98\nreply_ms.sum 700\nother.sum 4\ngroup.le.1 "
                       "3\nbroken\nbad x\nconnections -1\n"),
                   &v);
    assert_int_equal(v.count, 4); /* a sum without its histogram is a counter */
    assert_int_equal(v.histograms[0].sum, 700);
    assert_int_equal(counters_value(&v, "replies"), 12);
    assert_int_equal(counters_value(&v, "connections"), -1);
    assert_int_equal(counters_value(&v, "nothing"), 0);
    assert_int_equal(v.histogram_count, 2);
    assert_true(str_is(v.histograms[0].name, "reply_ms"));
    assert_int_equal(v.histograms[0].n, 3);
    assert_int_equal(v.histograms[0].buckets[0].bound, 5);
    assert_int_equal(v.histograms[0].buckets[1].count, 98);
    assert_true(v.histograms[0].buckets[2].bound == INT64_MAX);
    arena_free(&a);
}

static void quantiles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"x.le.5 50\nx.le.20 98\nx.le.inf 100\n", "100, half at most 5, 99 % above 20"},
        {"x.le.5 49\nx.le.20 99\nx.le.inf 100\n", "100, half at most 20, 99 % at most 20"},
        {"x.le.1 1\nx.le.inf 1\n", "1, half at most 1, 99 % at most 1"},
        {"x.le.1 0\nx.le.inf 0\n", "0"},
        {"x.le.inf 7\n", "7"},
        {"x_us.le.512 50\nx_us.le.4096 100\nx_us.le.inf 100\nx_us.sum 9\n",
         "100, half at most 512 µs, 99 % at most 4.0 ms"},
        {"x_us.le.2097152 1\nx_us.le.inf 1\n", "1, half at most 2.0 s, 99 % at most 2.0 s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new(0);
        struct counters_view v;
        struct buf b;
        buf_init(&b, 1000);
        counters_parse(a, str_of(cases[i].text), &v);
        histogram_text(&v.histograms[0], &b);
        assert_string_equal(b.p, cases[i].says);
        buf_release(&b);
        arena_free(&a);
    }
}

static void hostile_files_are_bounded(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct counters_view v;
    struct buf b;
    buf_init(&b, 1 << 22);
    for (int i = 0; i < 6000; i++) {
        buf_printf(&b, "h%d.le.%d 1\nh.le.%d 2\nc%d 3\n", i, i, i, i);
    }
    counters_parse(a, buf_str(&b), &v);
    assert_true(v.count > 0 && v.histogram_count > 0);
    buf_release(&b);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain_ones_and_histograms),
                                       cmocka_unit_test(quantiles),
                                       cmocka_unit_test(hostile_files_are_bounded)};
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
