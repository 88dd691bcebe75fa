#include "tests/lib/cm.h"

#include "core/base/buf.h"
#include "core/hl7/hl7.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <string.h>

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

static void read_paths(void **state)
{
    (void)state;
    const struct {
        const char *text;
        unsigned occ, field, rep, comp, sub, choose;
        const char *chosen;
    } rows[] = {
        {"PID", 0, 0, 0, 0, 0, 0, ""},
        {"PID(2)", 2, 0, 0, 0, 0, 0, ""},
        {"PID-3", 0, 3, 0, 0, 0, 0, ""},
        {"OBX(2)-5(3).1", 2, 5, 3, 1, 0, 0, ""},
        {"PID-3.4.2", 0, 3, 0, 4, 2, 0, ""},
        {"ZP1(12)-103(40).5.6", 12, 103, 40, 5, 6, 0, ""},
        {"PID-3[5='MR'].1", 0, 3, 0, 1, 0, 5, "MR"},
        {"PID-3[5=\"it's\"]", 0, 3, 0, 0, 0, 5, "it's"},
        {"PID-3[5='']", 0, 3, 0, 0, 0, 5, ""},
        {"PID(2)-3[5='a]b.c'].4.2", 2, 3, 0, 4, 2, 5, "a]b.c"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_path p;
        struct str text = guard_copy(str_of(rows[i].text));
        assert_row(hl7_path_parse(text, &p, NULL) == ERR_NONE, rows[i].text);
        assert_memory_equal(p.segment, rows[i].text, 3);
        assert_int_equal(p.segment[3], 0);
        assert_row(p.occ == rows[i].occ && p.field == rows[i].field && p.rep == rows[i].rep,
                   rows[i].text);
        assert_row(p.comp == rows[i].comp && p.sub == rows[i].sub, rows[i].text);
        assert_row(p.choose == rows[i].choose, rows[i].text);
        assert_same(p.chosen, str_of(rows[i].chosen), rows[i].text);
    }
}

static void refuse_paths(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t pos;
    } rows[] = {
        {"", 0},
        {"PI", 0},
        {"pid-3", 0},
        {"1ID-3", 0},
        {"PIDX", 3},
        {"PID-", 4},
        {"PID-0", 4},
        {"PID-x", 4},
        {"PID-3.", 6},
        {"PID-3.0", 6},
        {"PID-3.1.", 8},
        {"PID-3.1.2.3", 9},
        {"PID(0)-1", 4},
        {"PID()-1", 4},
        {"PID(2-1", 5},
        {"PID-3(0)", 6},
        {"PID-3(1", 7},
        {"PID-3[", 6},
        {"PID-3[5", 7},
        {"PID-3[5=MR]", 8},
        {"PID-3[5='MR", 11},
        {"PID-3[5='MR'", 12},
        {"PID-3[0='MR']", 6},
        {"PID-3 ", 5},
        {" PID-3", 0},
        {"PID-12345678", 4},
        {"PID-3(1)[5='x']", 8},
        {"PID.3", 3},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_path p;
        struct err e = {.code = ERR_NONE};
        struct str text = guard_copy(str_of(rows[i].text));
        assert_row(hl7_path_parse(text, &p, &e) == ERR_SYNTAX, rows[i].text);
        if (e.pos != rows[i].pos) {
            fprintf(stderr, "# %s: at %zu\n", rows[i].text, e.pos);
        }
        assert_row(e.pos == rows[i].pos, rows[i].text);
    }
}

static void write_paths(void **state)
{
    (void)state;
    const char *const rows[] = {"PID", "OBX(2)", "PID-3", "OBX(2)-5(3).1", "PID-3.4.2"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_path p;
        char out[HL7_PLACE];
        assert_int_equal(hl7_path_parse(str_of(rows[i]), &p, NULL), ERR_NONE);
        assert_string_equal(hl7_path_text(&p, out), rows[i]);
    }
    struct hl7_path longest = {"ZZZ", ~0u, ~0u, ~0u, ~0u, ~0u, 0, {"", 0}};
    char out[HL7_PLACE];
    assert_true(strlen(hl7_path_text(&longest, out)) < HL7_PLACE);
}

#define MESSAGE                                                                                    \
    "MSH|^~\\&|APP^1.2^ISO|FAC||||\"\"|ADT^A08|C42|P|2.5.1\r"                                      \
    "PID|1||7^^^H&1.2&ISO^MR~8^^^H^SS~9^^^H^A\\T\\B||Hong^Gil&dong||\"\"|\r"                       \
    "NK1\r"                                                                                        \
    "PV1||\"\"^B^|~b||^||&x|\"\"&y\r"                                                              \
    "OBX|1|ST|||first~\"\"~third\r"                                                                \
    "OBX|2|ST|||second\r"                                                                          \
    "FHS|^~\\&|FILE\r"

static const struct {
    const char *path;
    enum hl7_has has;
    const char *want;
} values[] = {
    /* numbering of the header segments */
    {"MSH-1", HL7_VALUE, "|"},
    {"MSH-1.1", HL7_VALUE, "|"},
    {"MSH-1.2", HL7_ABSENT, ""},
    {"MSH-2", HL7_VALUE, "^~\\&"},
    {"MSH-2.1", HL7_VALUE, "^~\\&"},
    {"MSH-2.1.1", HL7_VALUE, "^~\\&"},
    {"MSH-2.2", HL7_ABSENT, ""},
    {"MSH-2(2)", HL7_ABSENT, ""},
    {"MSH-2(1).1", HL7_VALUE, "^~\\&"},
    {"MSH-3", HL7_VALUE, "APP^1.2^ISO"},
    {"MSH-3.2", HL7_VALUE, "1.2"},
    {"MSH-9.2", HL7_VALUE, "A08"},
    {"MSH-10", HL7_VALUE, "C42"},
    {"MSH-12", HL7_VALUE, "2.5.1"},
    {"MSH-13", HL7_ABSENT, ""},
    {"FHS-1", HL7_VALUE, "|"},
    {"FHS-2", HL7_VALUE, "^~\\&"},
    {"FHS-3", HL7_VALUE, "FILE"},
    /* whole segments */
    {"NK1", HL7_VALUE, "NK1"},
    {"NK1-1", HL7_ABSENT, ""},
    {"OBX(2)", HL7_VALUE, "OBX|2|ST|||second"},
    {"OBX(3)", HL7_ABSENT, ""},
    {"ZZZ", HL7_ABSENT, ""},
    {"ZZZ-1", HL7_ABSENT, ""},
    /* fields, repetitions, components, subcomponents */
    {"PID-1", HL7_VALUE, "1"},
    {"PID-1.1", HL7_VALUE, "1"},
    {"PID-1.1.1", HL7_VALUE, "1"},
    {"PID-1.2", HL7_ABSENT, ""},
    {"PID-1.1.2", HL7_ABSENT, ""},
    {"PID-1(2)", HL7_ABSENT, ""},
    {"PID-2", HL7_EMPTY, ""},
    {"PID-2.1", HL7_EMPTY, ""},
    {"PID-2.2", HL7_ABSENT, ""},
    {"PID-2(2)", HL7_ABSENT, ""},
    {"PID-3", HL7_VALUE, "7^^^H&1.2&ISO^MR"},
    {"PID-3.1", HL7_VALUE, "7"},
    {"PID-3.2", HL7_EMPTY, ""},
    {"PID-3.4", HL7_VALUE, "H&1.2&ISO"},
    {"PID-3.4.2", HL7_VALUE, "1.2"},
    {"PID-3.4.3", HL7_VALUE, "ISO"},
    {"PID-3.4.4", HL7_ABSENT, ""},
    {"PID-3.6", HL7_ABSENT, ""},
    {"PID-3(2).1", HL7_VALUE, "8"},
    {"PID-3(3).1", HL7_VALUE, "9"},
    {"PID-3(1).1", HL7_VALUE, "7"},
    {"PID-3(4).1", HL7_ABSENT, ""},
    {"PID-5.2.2", HL7_VALUE, "dong"},
    {"PID-5.1.1", HL7_VALUE, "Hong"},
    {"PID-8", HL7_EMPTY, ""},
    {"PID-9", HL7_ABSENT, ""},
    {"OBX-5", HL7_VALUE, "first"},
    {"OBX-5(3)", HL7_VALUE, "third"},
    {"OBX(2)-5", HL7_VALUE, "second"},
    {"OBX(2)-1", HL7_VALUE, "2"},
    {"OBX(1)-1", HL7_VALUE, "1"},
    /* null, and everything below it */
    {"MSH-8", HL7_NULL, ""},
    {"PID-7", HL7_NULL, ""},
    {"PID-7.1", HL7_NULL, ""},
    {"PID-7.3.2", HL7_NULL, ""},
    {"PID-7(2).1", HL7_NULL, ""},
    {"PID-7[5='x'].1", HL7_NULL, ""},
    {"PV1-2", HL7_VALUE, "\"\"^B^"},
    {"PV1-2.1", HL7_NULL, ""},
    {"PV1-2.1.1", HL7_NULL, ""},
    {"PV1-2.1.2", HL7_NULL, ""},
    {"PV1-2.2", HL7_VALUE, "B"},
    {"PV1-2.3", HL7_EMPTY, ""},
    {"PV1-2.4", HL7_ABSENT, ""},
    {"OBX-5(2)", HL7_NULL, ""},
    {"OBX-5(2).1", HL7_NULL, ""},
    {"OBX-5(2).2", HL7_NULL, ""},
    {"PV1-8.1.1", HL7_NULL, ""},
    {"PV1-8.1.2", HL7_VALUE, "y"},
    /* empty pieces */
    {"PV1-3", HL7_EMPTY, ""},
    {"PV1-3(2)", HL7_VALUE, "b"},
    {"PV1-5", HL7_VALUE, "^"},
    {"PV1-5.1", HL7_EMPTY, ""},
    {"PV1-5.2", HL7_EMPTY, ""},
    {"PV1-5.3", HL7_ABSENT, ""},
    {"PV1-7.1", HL7_VALUE, "&x"},
    {"PV1-7.1.1", HL7_EMPTY, ""},
    {"PV1-7.1.2", HL7_VALUE, "x"},
    /* choice by content, after unescaping */
    {"PID-3[5='MR'].1", HL7_VALUE, "7"},
    {"PID-3[5='SS'].1", HL7_VALUE, "8"},
    {"PID-3[5='A&B'].1", HL7_VALUE, "9"},
    {"PID-3[5='SS']", HL7_VALUE, "8^^^H^SS"},
    {"PID-3[5='XX'].1", HL7_ABSENT, ""},
    {"PID-3[6=''].1", HL7_ABSENT, ""},
    {"PID-3[2=''].1", HL7_VALUE, "7"},
    {"PID-1[1='1'].1", HL7_VALUE, "1"},
    {"MSH-2[1='^'].1", HL7_ABSENT, ""},
};

/* F38, F40 */
static void look_up(void **state)
{
    (void)state;
    const struct hl7_msg *m;
    struct str text = guard_copy(STR(MESSAGE));
    assert_int_equal(hl7_parse(arena, text, NULL, &m, NULL), ERR_NONE);
    /* forwards, backwards and crosswise: what was asked before must not matter */
    for (size_t round = 0; round < COUNT(values) * 3; round++) {
        size_t n = COUNT(values), i = round < n       ? round
                                      : round < 2 * n ? 2 * n - 1 - round
                                                      : (round * 37) % n;
        struct hl7_path p;
        struct str out = STR("untouched");
        assert_row(hl7_path_parse(str_of(values[i].path), &p, NULL) == ERR_NONE, values[i].path);
        assert_row(hl7_get(m, &p, &out) == values[i].has, values[i].path);
        assert_same(out, str_of(values[i].want), values[i].path);
    }
}

/* Every end of the text is at a forbidden page; the same answers as far as the text goes. */
static void every_end(void **state)
{
    (void)state;
    struct str whole = STR(MESSAGE);
    for (size_t n = 0; n <= whole.n; n++) {
        const struct hl7_msg *m;
        struct str text = guard_copy(str_cut(whole, 0, n)), out;
        if (hl7_parse(arena, text, NULL, &m, NULL) != ERR_NONE) {
            continue;
        }
        for (size_t i = 0; i < COUNT(values); i++) {
            struct hl7_path p;
            hl7_path_parse(str_of(values[i].path), &p, NULL);
            hl7_get(m, &p, &out);
            hl7_repetitions(m, &p);
        }
    }
    guard_free_all();
}

/* Fields in any order, also behind those whose place a segment keeps, and far into it. */
static void many_fields(void **state)
{
    (void)state;
    enum { FIELDS = 150, LONG = 61 };
    struct buf b;
    const struct hl7_msg *m;
    buf_init(&b, 1 << 20);
    buf_addz(&b, "MSH|^~\\&|A|B\rZZZ");
    for (unsigned f = 1; f <= FIELDS; f++) {
        buf_printf(&b, "|%u", f);
        for (unsigned i = 0; f == LONG && i < 70000; i++) {
            buf_addc(&b, 'x');
        }
    }
    assert_int_equal(hl7_parse(arena, buf_str(&b), NULL, &m, NULL), ERR_NONE);
    static const unsigned order[] = {1,  150, 2,  63, 64, 65,  60, 62, 61,  66,
                                     65, 3,   64, 63, 1,  100, 99, 98, 151, 60};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct hl7_path at = {.segment = "ZZZ", .field = order[i]};
        struct str value;
        char wanted[16];
        snprintf(wanted, sizeof wanted, "%u", order[i]);
        enum hl7_has has = hl7_get(m, &at, &value);
        assert_int_equal(has, order[i] <= FIELDS ? HL7_VALUE : HL7_ABSENT);
        assert_true(has == HL7_ABSENT || str_starts(value, str_of(wanted)));
        assert_true(has == HL7_ABSENT || order[i] == LONG || str_is(value, wanted));
    }
    buf_release(&b);
}

static void places(void **state)
{
    (void)state;
    struct str text = STR("\nMSH|^~\\&|A\r\nPID|1||7\rOBX|1\rOBX|2|x\rbad line\r");
    const struct {
        size_t at;
        const char *place;
    } rows[] = {{0, "segment 1"},  {4, "MSH-1"},     {5, "MSH-2"},  {10, "MSH-3"},
                {14, "segment 2"}, {16, "PID"},      {17, "PID-1"}, {20, "PID-3"},
                {34, "OBX(2)-2"},  {40, "segment 5"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[HL7_PLACE];
        hl7_place(text, rows[i].at, out);
        if (strcmp(out, rows[i].place) != 0) {
            fprintf(stderr, "# %zu: %s, not %s\n", rows[i].at, out, rows[i].place);
        }
        assert_string_equal(out, rows[i].place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_paths), cmocka_unit_test(refuse_paths), cmocka_unit_test(write_paths),
        cmocka_unit_test(look_up),    cmocka_unit_test(every_end),    cmocka_unit_test(many_fields),
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
