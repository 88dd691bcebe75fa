#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/intake/label.h"

#include <stdio.h>
#include <string.h>

static const unsigned char digest[SHA256_BYTES] = {0x9f, 0x86, 0xd0, 0x81, 0x88, 0x4c,
                                                   0x7d, 0x65, 0x9a, 0x2f, 0xea};

static void what_is_written_is_read(void **state)
{
    char text[LABEL_TEXT], id[LABEL_TEXT + 40];
    static const struct {
        int64_t turn;
        const char *label, *behind;
        int64_t number;
    } cases[] = {{1, "9f86d081884c7d65", "#214", 214},
                 {2, "9f86d081884c7d65.2", "#1", 1},
                 {INT32_MAX, "9f86d081884c7d65.2147483647", "#0-00ff", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct label l;
        label_write(digest, cases[i].turn, text);
        assert_string_equal(text, cases[i].label);
        snprintf(id, sizeof id, "%s%s", text, cases[i].behind);
        assert_true(label_read(str_of(id), &l));
        assert_true(l.turn == cases[i].turn && l.number == cases[i].number);
        assert_true(memcmp(l.low, digest, sizeof digest) <= 0);
        assert_true(memcmp(l.high, digest, sizeof digest) >= 0);
        assert_memory_equal(l.low, l.high, LABEL_BYTES);
    }
}

/* Senders write what they like. */
static void other_control_ids_are_none(void **state)
{
    static const char *const others[] = {"",
                                         "#",
                                         "#1",
                                         "M000001",
                                         "9f86d081884c7d65",
                                         "9f86d081884c7d65#",
                                         "9f86d081884c7d65#x",
                                         "9f86d081884c7d65#-1",
                                         "9f86d081884c7d6#1",
                                         "9f86d081884c7d6x#1",
                                         "9f86d081884c7d652#1",
                                         "9f86d081884c7d65x2#1",
                                         "9f86d081884c7d65.#1",
                                         "9f86d081884c7d65.1#1",
                                         "9f86d081884c7d65.99999999999#1",
                                         "9f86d081884c7d65#99999999999999999999",
                                         "################1#1"};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct label l;
        if (label_read(str_of(others[i]), &l)) {
            fail_msg("%s is taken for a label", others[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_written_is_read),
                                       cmocka_unit_test(other_control_ids_are_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
