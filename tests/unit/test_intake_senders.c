/* Which certificate speaks for which application: row F62 of the comparison of interface engines.
 */
#include "tests/lib/cm.h"

#include "core/intake/senders.h"

#include <stdio.h>

static void allowed(void **state)
{
    (void)state;
    const struct {
        const char *rules, *subject, *msh3, *msh4;
        bool yes;
    } rows[] = {
        {"his.kr: HIS", "CN=his.kr,O=Hanbit", "HIS", "ANY", true},
        {"his.kr: HIS", "O=Hanbit,CN=his.kr", "HIS", "", true},
        {"his.kr: HIS", "CN=his.kr", "LIS", "", false},
        {"his.kr: HIS", "CN=lis.kr", "HIS", "", false},
        {"his.kr: HIS/HANBIT", "CN=his.kr", "HIS", "HANBIT", true},
        {"his.kr: HIS/HANBIT", "CN=his.kr", "HIS", "OTHER", false},
        {"his.kr: HIS/HANBIT", "CN=his.kr", "HIS", "", false},
        {"his.kr: HIS", "CN=his.kr", "HIS^1.2.3^ISO", "", true},
        {"his.kr: HIS^1.2.3^ISO", "CN=his.kr", "HIS^1.2.3^ISO", "", true},
        {"his.kr: HIS^1.2.4^ISO", "CN=his.kr", "HIS^1.2.3^ISO", "", false},
        {"his.kr: *", "CN=his.kr", "", "", true},
        {"his.kr: HIS; his.kr: LIS ;x: Y", "CN=his.kr", "LIS", "", true},
        {"his.kr: *; lis.kr: LIS/*", "CN=lis.kr", "LIS", "Z", true},
        {"his.kr: *", "", "HIS", "", false},
        {"his.kr: *", "O=x\\,CN=his.kr", "HIS", "", false},
        {"his.kr: *", "O=x+CN=his.kr", "HIS", "", true},
        {"his.kr: *", "OU=CN=his.kr", "HIS", "", false},
        {"his.kr: *", "CN=his.kr.evil", "HIS", "", false},
        {"his.kr: *", "CN=x\\", "HIS", "", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[200], why[200];
        const struct hl7_msg *m;
        struct arena *a = arena_new(0);
        snprintf(text, sizeof text, "MSH|^~\\&|%s|%s|D|C|||ADT^A04|1|P|2.5\r", rows[i].msh3,
                 rows[i].msh4);
        snprintf(why, sizeof why, "%s | %s | %s", rows[i].rules, rows[i].subject, rows[i].msh3);
        assert_row(hl7_parse(a, str_of(text), &hl7_default_limits, &m, NULL) == ERR_NONE, why);
        assert_row(senders_check(str_of(rows[i].rules), NULL) == ERR_NONE, why);
        assert_row(senders_allow(str_of(rows[i].rules), str_of(rows[i].subject), m) == rows[i].yes,
                   why);
        arena_free(&a);
    }
}

static void wrong(void **state)
{
    (void)state;
    const char *const rows[] = {"his.kr", "his.kr:", ": HIS", "a: B; c", "a: /B", "a: B/"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        assert_row(senders_check(str_of(rows[i]), &e) == ERR_VALUE, rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allowed), cmocka_unit_test(wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
