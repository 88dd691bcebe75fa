#include "tests/lib/cm.h"

#include "core/hl7/split.h"
#include "tests/lib/guard.h"

#include <string.h>

/* F44 */
static void split(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str in;
        const char *want[4];
        size_t offset; /* of the last one */
    } rows[] = {
        {"nothing", STR(""), {NULL}, 0},
        {"blanks", STR(" \r\n\n"), {NULL}, 0},
        {"one", STR("MSH|a\rPID|\r"), {"MSH|a\rPID|\r"}, 0},
        {"one without an end", STR("MSH|a\rPID|"), {"MSH|a\rPID|"}, 0},
        {"two", STR("MSH|a\rPID|\rMSH|b\r"), {"MSH|a\rPID|\r", "MSH|b\r"}, 11},
        {"two with LF", STR("MSH|a\nPID|\n\nMSH|b"), {"MSH|a\nPID|\n\n", "MSH|b"}, 12},
        {"two with CRLF", STR("MSH|a\r\nMSH|b\r\n"), {"MSH|a\r\n", "MSH|b\r\n"}, 7},
        {"a batch",
         STR("FHS|^\rBHS|^\rMSH|a\rPID|\rMSH|b\rBTS|2\rBHS|\rMSH|c\rBTS|1\rFTS|2\r"),
         {"MSH|a\rPID|\r", "MSH|b\r", "MSH|c\r"},
         40},
        {"an empty batch", STR("FHS|^\rBHS|^\rBTS|0\rFTS|1\r"), {NULL}, 0},
        {"frames", STR("\x0bMSH|a\r\x1c\r\x0bMSH|b\r\x1c\r"), {"MSH|a\r", "MSH|b\r"}, 10},
        {"frames on lines", STR("\x0bMSH|a\r\x1c\r\n\x0bMSH|b\x1c\r\n"), {"MSH|a\r", "MSH|b"}, 11},
        {"a mark in front", STR("\xef\xbb\xbfMSH|a\r"), {"\xef\xbb\xbfMSH|a\r"}, 0},
        {"a mark before a batch",
         STR("\xef\xbb\xbf"
             "FHS|\rMSH|a\r"),
         {"MSH|a\r"},
         8},
        {"rubbish in front is not lost", STR("hello\rMSH|a\r"), {"hello\r", "MSH|a\r"}, 6},
        {"only rubbish", STR("hello"), {"hello"}, 0},
        {"rubbish behind a batch", STR("MSH|a\rBTS|1\rPID|\r"), {"MSH|a\r", "PID|\r"}, 12},
        {"MSH as a word", STR("MSH|a\rMSHX|\r"), {"MSH|a\rMSHX|\r"}, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_split s = {.text = guard_copy(rows[i].in), .at = 0};
        struct str message;
        size_t n = 0, offset = 0;
        while (hl7_split_next(&s, &message, &offset)) {
            assert_row(n < 4 && rows[i].want[n], rows[i].why);
            assert_same(message, str_of(rows[i].want[n++]), rows[i].why);
        }
        assert_row(n == 4 || !rows[i].want[n], rows[i].why);
        assert_row(offset == rows[i].offset, rows[i].why);
    }
    guard_free_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
