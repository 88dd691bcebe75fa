#include "tests/lib/cm.h"

#include "core/hl7/hl7.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSH "MSH|^~\\&|LAB|N|CRM|S|20260101||ADT^A08|C42|P|2.5.1"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    guard_free_all();
    return 0;
}

static const struct hl7_msg *parse(struct str text)
{
    const struct hl7_msg *m = NULL;
    struct err e = {.code = ERR_NONE};
    if (hl7_parse(arena, guard_copy(text), NULL, &m, &e) != ERR_NONE) {
        fprintf(stderr, "# %s at %zu %s\n", e.msg, e.pos, e.where);
    }
    assert_non_null(m);
    return m;
}

static struct str get(const struct hl7_msg *m, const char *path)
{
    struct hl7_path p;
    struct str out;
    assert_int_equal(hl7_path_parse(str_of(path), &p, NULL), ERR_NONE);
    hl7_get(m, &p, &out);
    return out;
}

/* F39. Whatever ends the segments, the same three come out. */
static void terminators(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str text;
    } rows[] = {
        {"CR", STR(MSH "\rPID|1||7\rZPI|x\r")},
        {"CR, none at the end", STR(MSH "\rPID|1||7\rZPI|x")},
        {"LF", STR(MSH "\nPID|1||7\nZPI|x\n")},
        {"LF, none at the end", STR(MSH "\nPID|1||7\nZPI|x")},
        {"CRLF", STR(MSH "\r\nPID|1||7\r\nZPI|x\r\n")},
        {"mixed", STR(MSH "\nPID|1||7\r\nZPI|x\r")},
        {"mixed the other way", STR(MSH "\r\nPID|1||7\rZPI|x\n")},
        {"LF CR", STR(MSH "\n\rPID|1||7\n\rZPI|x\n\r")},
        {"blank lines", STR(MSH "\r\r\n\nPID|1||7\r   \r \t \rZPI|x\r\r\r")},
        {"byte order mark", STR("\xef\xbb\xbf" MSH "\rPID|1||7\rZPI|x\r")},
        {"blanks and lines in front", STR(" \r\n\t" MSH "\rPID|1||7\rZPI|x\r")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct hl7_msg *m = parse(rows[i].text);
        assert_row(hl7_segments(m) == 3, rows[i].why);
        assert_same(get(m, "MSH-12"), STR("2.5.1"), rows[i].why);
        assert_same(get(m, "PID-3"), STR("7"), rows[i].why);
        assert_same(hl7_segment(m, 2), STR("ZPI|x"), rows[i].why);
    }
}

/* F30, F31. MSH-1 and MSH-2 in every legal length. */
static void delimiters(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str text;
        const char *path;
        struct str want;
        struct hl7_delimiters d;
    } rows[] = {
        {"the usual ones",
         STR(MSH "\rPID|||a^b&c~d"),
         "PID-3.2.2",
         STR("c"),
         {'|', '^', '~', '\\', '&', 0}},
        {"truncation of 2.7",
         STR("MSH|^~\\&#|L\rPID|||a^b"),
         "PID-3.2",
         STR("b"),
         {'|', '^', '~', '\\', '&', '#'}},
        {"others",
         STR("MSH$%*!?$L\rPID$$$a%b?c*d"),
         "PID-3.2.2",
         STR("c"),
         {'$', '%', '*', '!', '?', 0}},
        {"two: no escapes, no subcomponents",
         STR("MSH|^~|L\rPID|||a^b&c\\T\\"),
         "PID-3.2",
         STR("b&c\\T\\"),
         {'|', '^', '~', 0, 0, 0}},
        {"three: no subcomponents",
         STR("MSH|^~\\|L\rPID|||a^b&c"),
         "PID-3.2.1",
         STR("b&c"),
         {'|', '^', '~', '\\', 0, 0}},
        {"a lost backslash",
         STR("MSH|^~&|L\rPID|||a^b&c\\F\\"),
         "PID-3.2.2",
         STR("c\\F\\"),
         {'|', '^', '~', 0, '&', 0}},
        {"a doubled backslash",
         STR("MSH|^~\\\\&|L\rPID|||a^b&c"),
         "PID-3.2.2",
         STR("c"),
         {'|', '^', '~', '\\', '&', 0}},
        {"nothing after MSH-2",
         STR("MSH|^~\\&"),
         "MSH-2",
         STR("^~\\&"),
         {'|', '^', '~', '\\', '&', 0}},
        {"MSH-2, then the end of the segment",
         STR("MSH|^~\\&\rPID|||x"),
         "PID-3",
         STR("x"),
         {'|', '^', '~', '\\', '&', 0}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct hl7_msg *m = parse(rows[i].text);
        struct hl7_delimiters d = hl7_delimiters(m);
        assert_row(memcmp(&d, &rows[i].d, sizeof d) == 0, rows[i].why);
        assert_same(get(m, rows[i].path), rows[i].want, rows[i].why);
    }
}

/* Each refusal with its code, its offset and its place. */
static void refusals(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str text;
        enum err_code code;
        size_t pos;
        const char *where;
    } rows[] = {
        {"nothing", STR(""), ERR_SYNTAX, 0, "segment 1"},
        {"only blanks", STR("  \r\n"), ERR_SYNTAX, 4, "segment 1"},
        {"not MSH", STR("PID|1\r"), ERR_SYNTAX, 0, "segment 1"},
        {"a batch header", STR("FHS|^~\\&|\r" MSH), ERR_SYNTAX, 0, "segment 1"},
        {"cut in the name", STR("MS"), ERR_SYNTAX, 0, "segment 1"},
        {"only the name", STR("MSH"), ERR_SYNTAX, 3, "MSH-1"},
        {"name and end", STR("MSH\r"), ERR_SYNTAX, 3, "MSH-1"},
        {"a letter as separator", STR("MSHX^~\\&X"), ERR_SYNTAX, 3, "MSH-1"},
        {"a digit as separator", STR("MSH0^~\\&0"), ERR_SYNTAX, 3, "MSH-1"},
        {"a blank as separator", STR("MSH ^~\\& "), ERR_SYNTAX, 3, "MSH-1"},
        {"NUL as separator", STR("MSH\0^~\\&\0"), ERR_SYNTAX, 3, "MSH-1"},
        {"a tab as separator", STR("MSH\t^~\\&\t"), ERR_SYNTAX, 3, "MSH-1"},
        {"eight bits as separator", STR("MSH\xc2\xa6^~\\&"), ERR_SYNTAX, 3, "MSH-1"},
        {"no encoding characters", STR("MSH|"), ERR_SYNTAX, 4, "MSH-2"},
        {"empty MSH-2", STR("MSH||A"), ERR_SYNTAX, 4, "MSH-2"},
        {"one encoding character", STR("MSH|^|A"), ERR_SYNTAX, 4, "MSH-2"},
        {"six encoding characters", STR("MSH|^~\\&#!|A"), ERR_SYNTAX, 4, "MSH-2"},
        {"twice the same", STR("MSH|^^\\&|A"), ERR_SYNTAX, 5, "MSH-2"},
        {"a letter in MSH-2", STR("MSH|^~A&|A"), ERR_SYNTAX, 6, "MSH-2"},
        {"a control character in MSH-2", STR("MSH|^~\x01&|A"), ERR_SYNTAX, 6, "MSH-2"},
        {"NUL in MSH-2", STR("MSH|^~\0&|A"), ERR_SYNTAX, 6, "MSH-2"},
        {"offset counts what is in front", STR("\r\nMSH|^^\\&|A"), ERR_SYNTAX, 7, "MSH-2"},
        {"a line that is no segment", STR(MSH "\rPID|1\rZZ\rOBX|1"), ERR_SYNTAX, 57, "segment 3"},
        {"lower case name", STR(MSH "\rpid|1"), ERR_SYNTAX, 51, "segment 2"},
        {"digit in front", STR(MSH "\r1ID|1"), ERR_SYNTAX, 51, "segment 2"},
        {"name without separator", STR(MSH "\rPIDX|1"), ERR_SYNTAX, 51, "segment 2"},
        {"an indented segment", STR(MSH "\r PID|1"), ERR_SYNTAX, 51, "segment 2"},
        {"a wrapped field", STR(MSH "\nOBX|1|TX|a\nb"), ERR_SYNTAX, 62, "segment 3"},
        {"a second message", STR(MSH "\rPID|1\r" MSH), ERR_SYNTAX, 57, "segment 3"},
        {"NUL in a field", STR(MSH "\rPID|1||a\0b\r"), ERR_SYNTAX, 59, "PID-3"},
        {"NUL in the second PV1", STR(MSH "\rPV1|\rPV1|1|\0"), ERR_SYNTAX, 62, "PV1(2)-2"},
        {"NUL at the end", STR(MSH "\r\0"), ERR_SYNTAX, 51, "segment 2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct hl7_msg *m = (const void *)rows;
        struct err e = {.code = ERR_NONE};
        enum err_code code = hl7_parse(arena, guard_copy(rows[i].text), NULL, &m, &e);
        assert_row(code == rows[i].code && e.code == code && !m, rows[i].why);
        if (e.pos != rows[i].pos) {
            fprintf(stderr, "# %s: at %zu\n", rows[i].why, e.pos);
        }
        assert_row(e.pos == rows[i].pos, rows[i].why);
        assert_same(str_of(e.where), str_of(rows[i].where), rows[i].why);
        assert_int_equal(hl7_parse(arena, rows[i].text, NULL, &m, NULL), rows[i].code);
    }
}

/* Each limit holds at itself and refuses one more. */
static void limits(void **state)
{
    (void)state;
    struct str text = STR("MSH|^~\\&|\rPID|\rOBX|\r");
    const struct hl7_msg *m;
    struct err e = {.code = ERR_NONE};
    struct hl7_limits lim = {.bytes = text.n, .segments = 3};
    assert_int_equal(hl7_parse(arena, text, &lim, &m, &e), ERR_NONE);
    lim.bytes--;
    assert_int_equal(hl7_parse(arena, text, &lim, &m, &e), ERR_LIMIT);
    assert_int_equal(e.pos, text.n - 1);
    lim = (struct hl7_limits){.bytes = text.n, .segments = 2};
    assert_int_equal(hl7_parse(arena, text, &lim, &m, &e), ERR_LIMIT);
    assert_int_equal(e.pos, 15);
    assert_string_equal(e.where, "segment 3");
    assert_null(m);
}

/* Memory out at any allocation: ERR_NOMEM, and no message. */
static void no_memory(void **state)
{
    (void)state;
    static char text[40000];
    size_t n = (size_t)snprintf(text, sizeof text, "%s\r", MSH);
    while (n < sizeof text - 5) {
        memcpy(text + n, "OBX|\r", 5);
        n += 5;
    }
    bool worked = false;
    for (size_t limit = 64; limit < 4000000 && !worked; limit *= 2) {
        struct arena *a = arena_new(limit);
        const struct hl7_msg *m;
        struct err e = {.code = ERR_NONE};
        enum err_code code = hl7_parse(a, (struct str){text, n}, NULL, &m, &e);
        worked = code == ERR_NONE;
        assert_true(worked ? m != NULL : code == ERR_NOMEM && m == NULL);
        arena_free(&a);
    }
    assert_true(worked);
}

/* 100,000 segments, each found by its number, and one field with 100,000 repetitions. */
static void large(void **state)
{
    (void)state;
    enum { N = 50000 };
    enum { ROOM = N * 20 + 100 };
    char *text = malloc(ROOM);
    size_t n = (size_t)snprintf(text, ROOM, "%s\n", MSH);
    for (int i = 1; i <= N; i++) {
        n += (size_t)snprintf(text + n, ROOM - n, "OBX|%d\nNTE|%d\n", i, i);
    }
    const struct hl7_limits more = {.bytes = 16 << 20, .segments = 2 * N + 1};
    const struct hl7_msg *m;
    assert_int_equal(hl7_parse(arena, (struct str){text, n}, &more, &m, NULL), ERR_NONE);
    assert_int_equal(hl7_occurrences(m, "NTE"), N);
    for (unsigned i = 1; i <= N; i++) {
        struct hl7_path p = {.segment = "NTE", .occ = i, .field = 1}, absent = {.segment = "ZZZ"};
        struct str out;
        char want[16];
        snprintf(want, sizeof want, "%u", i);
        assert_int_equal(hl7_get(m, &p, &out), HL7_VALUE);
        assert_true(str_is(out, want));
        assert_int_equal(hl7_get(m, &absent, &out), HL7_ABSENT);
    }
    free(text);
}

static void counts(void **state)
{
    (void)state;
    const struct hl7_msg *m = parse(STR(MSH "\rOBX|1|a~b~c|\rNTE\rOBX|2||\"\"\rZ1A|\r"));
    assert_int_equal(hl7_segments(m), 5);
    assert_int_equal(hl7_occurrences(m, "OBX"), 2);
    assert_int_equal(hl7_occurrences(m, "PID"), 0);
    const struct {
        size_t segment;
        unsigned fields;
    } fields[] = {{0, 12}, {1, 3}, {2, 0}, {3, 3}, {4, 1}, {9, 0}};
    for (size_t i = 0; i < COUNT(fields); i++) {
        assert_int_equal(hl7_fields(m, fields[i].segment), fields[i].fields);
    }
    const struct {
        const char *path;
        unsigned repetitions;
    } reps[] = {{"OBX-2", 3}, {"OBX-1", 1},    {"OBX-3", 0}, {"OBX-9", 0},
                {"MSH-2", 1}, {"OBX(2)-3", 1}, {"PID-3", 0}, {"OBX", 0}};
    for (size_t i = 0; i < COUNT(reps); i++) {
        struct hl7_path p;
        assert_int_equal(hl7_path_parse(str_of(reps[i].path), &p, NULL), ERR_NONE);
        assert_row(hl7_repetitions(m, &p) == reps[i].repetitions, reps[i].path);
    }
    assert_int_equal(hl7_offset(m, hl7_segment(m, 2)), 64);
}

static void header(void **state)
{
    (void)state;
    const struct hl7_msg *m =
        parse(STR("MSH|^~\\&|A^1|B|C|D|20260101||ADT^A01^ADT_A01|ID|P^T|2.5.1^KOR|7||AL|NE|KOR|"
                  "UNICODE UTF-8~KS X 1001\r"));
    struct hl7_header h;
    hl7_header(m, &h);
    assert_same(h.sending_app, STR("A^1"), "MSH-3");
    assert_same(h.sending_facility, STR("B"), "MSH-4");
    assert_same(h.receiving_app, STR("C"), "MSH-5");
    assert_same(h.receiving_facility, STR("D"), "MSH-6");
    assert_same(h.time, STR("20260101"), "MSH-7");
    assert_same(h.code, STR("ADT"), "MSH-9.1");
    assert_same(h.trigger, STR("A01"), "MSH-9.2");
    assert_same(h.structure, STR("ADT_A01"), "MSH-9.3");
    assert_same(h.control_id, STR("ID"), "MSH-10");
    assert_same(h.processing_id, STR("P"), "MSH-11.1");
    assert_same(h.version, STR("2.5.1"), "MSH-12.1");
    assert_same(h.sequence, STR("7"), "MSH-13");
    assert_same(h.accept_ack, STR("AL"), "MSH-15");
    assert_same(h.application_ack, STR("NE"), "MSH-16");
    assert_same(h.charset, STR("UNICODE UTF-8"), "MSH-18");
    hl7_header(parse(STR("MSH|^~\\&\r")), &h);
    assert_int_equal(h.code.n + h.control_id.n + h.charset.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terminators), cmocka_unit_test(delimiters), cmocka_unit_test(refusals),
        cmocka_unit_test(limits),      cmocka_unit_test(no_memory),  cmocka_unit_test(large),
        cmocka_unit_test(counts),      cmocka_unit_test(header),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
