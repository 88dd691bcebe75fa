/* What is wrong with a message, in the words of table 0357. */
#include "tests/lib/cm.h"

#include "core/intake/prepare.h"

static void conditions(void **state)
{
    (void)state;
    const struct {
        enum err_code code;
        const char *where;
        int want;
    } rows[] = {
        {ERR_SYNTAX, "", 100},          {ERR_SYNTAX, "segment 3", 100},
        {ERR_SYNTAX, "DSC", 100},       {ERR_SYNTAX, "line 3: a-b", 100},
        {ERR_SYNTAX, "MSH-2", 102},     {ERR_SYNTAX, "PID(2)-5(1).1", 102},
        {ERR_REQUIRED, "PID-3.1", 101}, {ERR_VALUE, "PID-7.1", 102},
        {ERR_CHARSET, "NTE-3", 102},    {ERR_LIMIT, "MSH-10", 102},
        {ERR_NOMEM, "", 207},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {.code = rows[i].code};
        err_at(&e, "%s", rows[i].where);
        assert_row(prepare_condition(&e) == rows[i].want, rows[i].where);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conditions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
