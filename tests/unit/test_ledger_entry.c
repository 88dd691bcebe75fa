#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/ledger/entry.h"

static const struct str line = STR_INIT(
    "received site=clinic message=17 mapping=- events=4-9 empty= a=b=c eventsdigest=ab idx=3");

static void values_are_found_by_their_whole_key(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
    } rows[] = {{"site", "clinic"}, {"message", "17"}, {"mapping", ""}, {"events", "4-9"},
                {"empty", ""},      {"a", "b=c"},      {"idx", "3"},    {"sit", ""},
                {"ite", ""},        {"received", ""},  {"digest", ""},  {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(str_is(entry_get(line, rows[i].key), rows[i].value));
    }
    assert_true(str_is(entry_kind(line), "received"));
    assert_true(str_is(entry_kind(STR("alone")), "alone"));
    assert_true(str_is(entry_kind(STR("")), ""));
    assert_int_equal(entry_get(STR(""), "x").n, 0);
}

static void numbers_are_positive(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int64_t n;
    } rows[] = {{"k n=17", 17},
                {"k n=0", 0},
                {"k n=-5", 0},
                {"k n=", 0},
                {"k", 0},
                {"k n=1x", 0},
                {"k n=99999999999999999999", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(entry_number(str_of(rows[i].line), "n"), rows[i].n);
    }
}

static void ranges_go_forward(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool ok;
        int64_t first, last;
    } rows[] = {{"k r=4-9", true, 4, 9},   {"k r=4", true, 4, 4},    {"k r=4-4", true, 4, 4},
                {"k r=9-4", false, 0, 0},  {"k r=-", false, 0, 0},   {"k r=-4", false, 0, 0},
                {"k r=4-", false, 0, 0},   {"k r=0-3", false, 0, 0}, {"k", false, 0, 0},
                {"k r=1-2-3", false, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t first, last;
        assert_int_equal(entry_range(str_of(rows[i].line), "r", &first, &last), rows[i].ok);
        if (rows[i].ok) {
            assert_int_equal(first, rows[i].first);
            assert_int_equal(last, rows[i].last);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_by_their_whole_key),
        cmocka_unit_test(numbers_are_positive),
        cmocka_unit_test(ranges_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
