/* Who holds a generation, and when it goes: the sanitizers see what is freed too early or never. */
#include "core/intake/generation.h"
#include "core/intake/jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct generation *make(void)
{
    struct problems p = {0};
    struct catalogue *c = catalogue_load("mappings/catalogue.xml", &p);
    assert_non_null(c);
    struct mapping_set *m = mapping_load("mappings/hl7v2", c, &p);
    assert_non_null(m);
    problems_release(&p);
    struct generation *g = generation_new(c, m);
    assert_non_null(g);
    return g;
}

static void test_held_until_the_last(void **state)
{
    (void)state;
    struct generation *g = make(), *second = generation_hold(g);
    assert_ptr_equal(second, g);
    assert_int_equal(g->users, 2);
    generation_drop(&g);
    assert_null(g);
    assert_int_equal(second->users, 1);
    assert_int_equal(strlen(mapping_digest(second->mapping)), 16); /* still there */
    generation_drop(&second);
    assert_null(second);
    generation_drop(&second); /* of nothing: nothing */
    assert_null(generation_hold(NULL));
}

static void test_a_job_holds_it(void **state)
{
    (void)state;
    struct jobs list;
    struct generation *g = make(), *seen = g;
    jobs_init(&list);
    for (int i = 0; i < 3; i++) {
        struct job *j = calloc(1, sizeof *j);
        assert_non_null(j);
        j->arena = arena_new(0);
        j->generation = generation_hold(g);
        jobs_push(&list, j);
    }
    generation_drop(&g); /* the host has another one now */
    assert_int_equal(seen->users, 3);
    job_free(jobs_pop(&list));
    assert_int_equal(seen->users, 2);
    jobs_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_held_until_the_last),
                                       cmocka_unit_test(test_a_job_holds_it)};
    return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
