#include "core/base/num.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/intake/counters.h"
#include "core/intake/jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct job *job(size_t place)
{
    struct job *j = calloc(1, sizeof *j);
    assert_non_null(j);
    j->arena = arena_new(0);
    assert_non_null(j->arena);
    j->place = place;
    return j;
}

static void places(struct jobs *l, char *out)
{
    for (struct job *j; (j = jobs_pop(l));) {
        *out++ = (char)('0' + j->place);
        job_free(j);
    }
    *out = '\0';
}

/* Of what goes along with a job, the latest hangs on it first. */
static void repeat(struct job *first, struct job *again)
{
    again->repeats = first->repeats;
    first->repeats = again;
}

static void repeats_stand_behind_their_first(void **state)
{
    (void)state;
    struct jobs l;
    char order[16];
    jobs_init(&l);
    struct job *a = job(1), *b = job(5), *c = job(6);
    jobs_push(&l, a);
    jobs_push(&l, b);
    jobs_push(&l, c);
    repeat(a, job(2));
    repeat(a, job(3));
    repeat(c, job(7));
    repeat(a, job(4));
    assert_int_equal(l.count, 3);
    jobs_spread(&l);
    assert_int_equal(l.count, 7);
    jobs_push(&l, job(8)); /* the end of the queue is where it should be */
    places(&l, order);
    assert_string_equal(order, "12345678");
}

static void a_queue_is_taken_whole(void **state)
{
    (void)state;
    struct jobs from, l;
    char order[16];
    jobs_init(&from);
    jobs_take(&l, &from);
    assert_null(jobs_pop(&l));
    jobs_push(&l, job(1));
    jobs_push(&from, job(2));
    jobs_push(&from, job(3));
    places(&l, order);
    assert_string_equal(order, "1");
    jobs_take(&l, &from);
    assert_int_equal(from.count, 0);
    assert_int_equal(l.count, 2);
    jobs_push(&from, job(9));
    jobs_push(&l, job(4));
    places(&l, order);
    assert_string_equal(order, "234");
    places(&from, order);
    assert_string_equal(order, "9");
}

static void free_with_repeats_loses_nothing(void **state)
{
    (void)state;
    struct jobs l;
    jobs_init(&l);
    struct job *a = job(1);
    jobs_push(&l, a);
    repeat(a, job(2));
    jobs_free(&l); /* the leak checker looks */
    assert_int_equal(l.count, 0);
}

static int64_t value(struct str text, const char *name)
{
    struct str line;
    while (str_next(&text, '\n', &line)) {
        size_t blank = str_find(line, ' ', 0);
        int64_t n;
        if (str_is(str_cut(line, 0, blank), name) &&
            num_i64(str_cut(line, blank + 1, line.n), INT64_MIN, INT64_MAX, &n, NULL) == ERR_NONE) {
            return n;
        }
    }
    return -1;
}

/* Counts rise with the bound; what is above the last one is in "inf" alone. */
static void histograms_are_cumulative(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t is;
    } expected[] = {{"frames", 7},
                    {"group_size.le.1", 1},
                    {"group_size.le.2", 2},
                    {"group_size.le.4", 4},
                    {"group_size.le.8", 4},
                    {"group_size.le.1024", 5},
                    {"group_size.le.inf", 6},
                    {"group_size.sum", 6034},
                    {"group_size.le.2048", -1},
                    {"reply_us.le.64", 2},
                    {"reply_us.le.128", 3},
                    {"reply_us.le.67108864", 3},
                    {"reply_us.le.inf", 4},
                    {"queue_us.le.inf", -1}};
    static struct counters c;
    static const int64_t sizes[] = {1, 2, 3, 4, 1024, 5000}, late[] = {0, 64, 65, (int64_t)1 << 40};
    char folder[] = "/tmp/dari-counters-XXXXXX", path[64];
    struct arena *a = arena_new(0);
    struct str text;
    assert_non_null(a);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/c", folder);
    counters_add(&c, "frames", 7);
    for (size_t i = 0; i < 6; i++) {
        counters_spread(&c, SPREAD_GROUP, sizes[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        counters_spread(&c, SPREAD_REPLY, late[i]);
    }
    counters_write(&c, path);
    assert_int_equal(file_read(a, path, 65536, &text, NULL), ERR_NONE);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (value(text, expected[i].name) != expected[i].is) {
            fail_msg("%s is %lld", expected[i].name, (long long)value(text, expected[i].name));
        }
    }
    unlink(path);
    counters_write(&c, path); /* nothing has changed */
    assert_false(file_exists(path));
    rmdir(folder);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(repeats_stand_behind_their_first),
                                       cmocka_unit_test(a_queue_is_taken_whole),
                                       cmocka_unit_test(free_with_repeats_loses_nothing),
                                       cmocka_unit_test(histograms_are_cumulative)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
