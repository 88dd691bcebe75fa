/* A batch and its replies (F45), without a database: order, silence, refusals. */
#include "tests/lib/cm.h"

#include "core/intake/bundle.h"

#include <stdlib.h>
#include <string.h>

#define M(id) "MSH|^~\\&|A|B|C|D|||ADT^A04|" id "|P|2.5\r"
#define HEAD "BHS|^~\\&|||||19700101000000+0000||||R|\r"

static struct bundle *begin(struct str frame, size_t parts)
{
    struct bundle *b;
    struct str message;
    size_t place, n = 0;
    assert_int_equal(zone_set("UTC", NULL), ERR_NONE);
    assert_int_equal(bundle_new(frame, NULL, &b, NULL), ERR_NONE);
    assert_int_equal(b->parts, parts);
    while (bundle_next(b, &message, &place)) {
        assert_int_equal(place, n++);
        assert_true(str_starts(message, STR("MSH|")));
    }
    assert_int_equal(n, parts);
    return b;
}

static void replies_are_put_in_their_place(void **state)
{
    (void)state;
    struct bundle *b = begin(STR("BHS|^~\\&\r" M("1") M("2") M("3") "BTS|3\r"), 3);
    assert_false(bundle_answer(b, 2, STR("third\r"), true));
    assert_false(bundle_answer(b, 0, STR("first\r"), true));
    assert_true(bundle_answer(b, 1, STR(""), true));
    assert_same(bundle_reply(b, STR("R"), 0), STR(HEAD "first\rthird\rBTS|2\r"), "in order");
    bundle_free(&b);
    assert_null(b);
}

static void silence(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str frame, want;
        bool wanted;
    } rows[] = {
        {"nobody asks", STR("BHS|^~\\&\r" M("1") "BTS|7\r"), STR(""), false},
        {"only errors, and there is none", STR("BHS|^~\\&\r" M("1") "BTS|1\r"), STR(HEAD "BTS|0\r"),
         true},
        {"no message", STR("BHS|^~\\&\rBTS|0\r"), STR(HEAD "BTS|0\r"), false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bundle *b = begin(rows[i].frame, i < 2);
        assert_row(b->parts == 0 || bundle_answer(b, 0, STR(""), rows[i].wanted), rows[i].why);
        assert_same(bundle_reply(b, STR("R"), 0), rows[i].want, rows[i].why);
        bundle_free(&b);
    }
}

static void too_many(void **state)
{
    (void)state;
    static const char line[] = "MSH|^~\\&|\r";
    const size_t n = sizeof line - 1;
    char *frame = malloc(n * (BUNDLE_MAX + 2));
    struct bundle *b;
    struct err e = {.code = ERR_NONE};
    memcpy(frame, "BHS|^~\\&|\r", n);
    for (size_t i = 1; i <= BUNDLE_MAX + 1; i++) {
        memcpy(frame + i * n, line, n);
    }
    b = begin((struct str){frame, n * (BUNDLE_MAX + 1)}, BUNDLE_MAX);
    bundle_free(&b);
    assert_int_equal(bundle_new((struct str){frame, n * (BUNDLE_MAX + 2)}, NULL, &b, &e),
                     ERR_LIMIT);
    assert_null(b);
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_put_in_their_place),
        cmocka_unit_test(silence),
        cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
