/* Batch lines: rows F44 and F45 of the comparison of interface engines. */
#include "tests/lib/cm.h"

#include "core/hl7/batch.h"
#include "tests/lib/guard.h"

#include <string.h>

#define M(id) "MSH|^~\\&|A|B|C|D|||ADT^A04|" id "|P|2.5\rPID|1\r"

static void recognised(void **state)
{
    (void)state;
    const struct {
        struct str raw;
        bool batch;
    } rows[] = {
        {STR("BHS|^~\\&|A\r" M("1")), true},
        {STR("FHS|^~\\&|A\r"), true},
        {STR("\xef\xbb\xbf"
             "FHS|^~\\&|A\r"),
         true},
        {STR("\r\n BHS|"), true},
        {STR("BHS#"), true},
        {STR(M("1") "BTS|1\r"), false},
        {STR("BHSX|"), false},
        {STR("BTS|1\r"), false},
        {STR("BHS"), false},
        {STR(""), false},
        {STR("F\0H\0S\0|\0"), false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_row(hl7_is_batch(guard_copy(rows[i].raw)) == rows[i].batch, rows[i].raw.p);
    }
    guard_free_all();
}

static void counts(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str raw;
        size_t messages, batches;
        enum err_code code;
        const char *where;
        size_t pos;
    } rows[] = {
        {"all agrees", STR("FHS|^\rBHS|^\r" M("1") M("2") "BTS|2\rBHS|^\r" M("3") "BTS|1\rFTS|2\r"),
         3, 2, ERR_NONE, "", 0},
        {"nothing said", STR("BHS|^~\\&\r" M("1") "BTS|\r"), 1, 1, ERR_NONE, "", 0},
        {"no trailers", STR("BHS|^~\\&\r" M("1")), 1, 1, ERR_NONE, "", 0},
        {"null", STR("BHS|^~\\&\r" M("1") "BTS|\"\"\r"), 1, 1, ERR_NONE, "", 0},
        {"an empty batch", STR("BHS|^\rBTS|0\r"), 0, 1, ERR_NONE, "", 0},
        {"one missing", STR("BHS|^\r" M("1") "BTS|2\r"), 1, 1, ERR_VALUE, "BTS-1", 51},
        {"the second batch", STR("BHS|^\rBTS|0\rBHS|^\rBTS|1||\r"), 0, 2, ERR_VALUE, "BTS(2)-1",
         22},
        {"batches", STR("FHS|^\rBHS|^\rBTS|0\rFTS|2|x\r"), 0, 1, ERR_VALUE, "FTS-1", 22},
        {"a file without batches is not counted", STR("FHS|^\r" M("1") "FTS|1\r"), 1, 0, ERR_NONE,
         "", 0},
        {"not a number", STR("BHS|^\rBTS|two\r"), 0, 1, ERR_VALUE, "BTS-1", 10},
        {"a huge number", STR("BHS|^\rBTS|99999999999999999999\r"), 0, 1, ERR_VALUE, "BTS-1", 10},
        {"negative", STR("BHS|^\rBTS|-1\r"), 0, 1, ERR_VALUE, "BTS-1", 10},
        {"the first one counts", STR("BHS|^\rBTS|3\rFTS|9\r"), 0, 1, ERR_VALUE, "BTS-1", 10},
        {"line feeds, another separator", STR("BHS#^~\\&\n\nMSH#^~\\&#A\nBTS#7\n"), 1, 1, ERR_VALUE,
         "BTS-1", 25},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_batch b;
        hl7_batch_read(guard_copy(rows[i].raw), &b);
        assert_row(b.messages == rows[i].messages && b.batches == rows[i].batches, rows[i].why);
        assert_row(b.problem.code == rows[i].code, rows[i].why);
        assert_same(str_of(b.problem.where), str_of(rows[i].where), rows[i].why);
        assert_row(b.problem.pos == rows[i].pos, rows[i].why);
    }
    guard_free_all();
}

/* 2026-03-11T09:00:00+09:00 */
#define AT ((usec)1773187200 * USEC_SECOND)

static void replies(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str raw;
        const char *note, *want;
    } rows[] = {
        {"a batch", STR("BHS|^~\\&|A|B|C^1|D|2026||n|c|B7|\r" M("1") "BTS|1\r"), NULL,
         "BHS|^~\\&|C^1|D|A|B|20260311090000+0900||||R1|B7\rBTS|1\r"},
        {"a file",
         STR("FHS|^~\\&|A|B|C|D|||||F9\rBHS|^~\\&|E|F|G|H|||||B7\r" M("1") "BTS|1\rFTS|1\r"), NULL,
         "FHS|^~\\&|C|D|A|B|20260311090000+0900||||R1|F9\r"
         "BHS|^~\\&|G|H|E|F|20260311090000+0900||||R1|B7\rBTS|1\rFTS|1\r"},
        {"several batches: no reference to one",
         STR("BHS|^~\\&|A|B|C|D|||||B7\rBHS|^~\\&|||||||||B8\r"), NULL,
         "BHS|^~\\&|C|D|A|B|20260311090000+0900||||R1|\rBTS|1\r"},
        {"a count that does not agree", STR("BHS|^~\\&|A|B|C|D|||||B7\r" M("1") "BTS|3\r"), NULL,
         "BHS|^~\\&|C|D|A|B|20260311090000+0900||||R1|B7\r"
         "BTS|1|BTS-1 does not agree with what came: 1\r"},
        {"a note, other delimiters", STR("BHS#*~!&#A#B#C#D#####B7\r"), "no # more",
         "BHS#*~!&#C#D#A#B#20260311090000+0900####R1#B7\rBTS#1#no !F! more\r"},
        {"delimiters that nobody can use", STR("BHS|^^^^|A\r"), NULL,
         "BHS|^~\\&|||A||20260311090000+0900||||R1|\rBTS|1\r"},
        {"no escape character: no note", STR("BHS|^~|A\rBTS|4\r"), NULL,
         "BHS|^~|||A||20260311090000+0900||||R1|\rBTS|1|\r"},
        {"no control byte comes back", STR("BHS|^~\\&|A\x0c|B\r"), NULL,
         "BHS|^~\\&|||A\\X0C\\|B|20260311090000+0900||||R1|\rBTS|1\r"},
    };
    assert_int_equal(zone_set("Asia/Seoul", NULL), ERR_NONE);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_batch b;
        struct buf out;
        buf_init(&out, 10000);
        hl7_batch_read(guard_copy(rows[i].raw), &b);
        hl7_batch_begin(&out, &b, STR("R1"), AT);
        hl7_batch_end(&out, &b, 1, rows[i].note);
        assert_same(buf_str(&out), str_of(rows[i].want), rows[i].why);
        buf_release(&out);
    }
    guard_free_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recognised),
        cmocka_unit_test(counts),
        cmocka_unit_test(replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
