/* What later entries say of messages that were reprocessed.
 */
#include "core/ledger/verify_later.h"
#include "tests/lib/cm.h"

#include <stdio.h>

static int64_t wrong;

static void problem(void *ctx, int64_t idx, const char *text)
{
    (void)ctx;
    (void)text;
    wrong = idx;
}

/* How many are not explained. */
static int64_t left(const struct later *l)
{
    struct ledger_report report = {.problems = 0};
    const struct ledger_check check = {.problem = problem};
    struct walk w = {.check = &check, .report = &report};
    wrong = 0;
    later_end(l, &w);
    return report.problems;
}

static void each_kind_of_entry(void **state)
{
    static const struct {
        int64_t no;
        char stored, said;
        const char *entry;
        int64_t left;
    } rows[] = {
        {7, 'm', 'm', "received message=7", 0},
        {7, 'i', 'm', "received message=7 state=ignored", 1},
        {7, 'i', 'q', "reprocessed site=s message=7 state=ignored mapping=-", 0},
        {7, 'i', 'q', "reprocessed site=s message=7 state=mapped mapping=-", 1},
        {7, 'i', 'q', "reprocessed site=s message=71 state=ignored mapping=-", 1},
        {7, 'm', 'q', "reprocessed site=s message=7 mapping=m@1 events=1-2", 0},
        {7, 'q', 'i', "given-up site=s feed=f parts=5,7", 0},
        {7, 'q', 'i', "given-up site=s feed=f parts=5,77", 1},
        {7, 'i', 'q', "joined site=s feed=f message=9 parts=7,8,9", 0},
        {7, 'm', 'q', "joined site=s feed=f message=7 parts=6,7", 1},
        {7, 'i', 'q', "batch site=s message=7 state=ignored", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct later l = {NULL, 0, 0};
        later_entry(&l, str_of(rows[i].entry)); /* one before it says nothing */
        assert_int_equal(later_keep(&l, rows[i].no, 3, rows[i].stored, rows[i].said, NULL), 0);
        later_entry(&l, str_of(rows[i].entry));
        assert_row(left(&l) == rows[i].left, rows[i].entry);
        assert_row(wrong == rows[i].left * 3, rows[i].entry);
        later_free(&l);
    }
}

static void many(void **state)
{
    enum { MANY = 5000 };
    struct later l = {NULL, 0, 0};
    char text[80];
    (void)state;
    for (int64_t no = MANY; no > 0; no--) {
        assert_int_equal(later_keep(&l, no * 256, no, 'm', 'q', NULL), ERR_NONE);
    }
    assert_int_equal(left(&l), MANY);
    for (int64_t no = 1; no < MANY; no++) {
        snprintf(text, sizeof text, "reprocessed message=%lld mapping=m@1", (long long)no * 256);
        later_entry(&l, str_of(text));
    }
    assert_int_equal(left(&l), 1);
    assert_int_equal(wrong, MANY);
    later_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_entry),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
