#include "tests/lib/cm.h"

#include "core/hl7/hl7.h"
#include "core/record/record.h"
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

#define MESSAGE                                                                                    \
    "MSH|^~\\&|A|B|C|D|||DFT^P03|7|P|2.5\r"                                                        \
    "PID|1||7^^^H^MR||||\"\"||||||010-1^PRN~010-2^NET~\"\"~010-4^PRN\r"                            \
    "FT1|1|a\\T\\b||x~y\r"                                                                         \
    "FT1|2|second||z\r"                                                                            \
    "FT1|3||\"\"|\r"                                                                               \
    "OBX|1|TX|||\\XFF\\\r"

static const struct record *record(void)
{
    const struct hl7_msg *m = NULL;
    struct str text = guard_copy(STR(MESSAGE));
    assert_int_equal(hl7_parse(arena, text, NULL, &m, NULL), ERR_NONE);
    return record_of_hl7(arena, m);
}

static const struct record_path *path(const char *text)
{
    const struct record_path *p = NULL;
    assert_int_equal(record_path(arena, &record_hl7, str_of(text), &p, NULL), ERR_NONE);
    assert_same(record_path_text(p), str_of(text), text);
    return p;
}

static void compile(void **state)
{
    (void)state;
    const struct record_path *p = (const void *)MESSAGE;
    struct err e = {.code = ERR_NONE};
    assert_int_equal(record_path(arena, &record_hl7, STR("PID-x"), &p, &e), ERR_SYNTAX);
    assert_int_equal(e.pos, 4);
    assert_null(p);
    char text[] = "PID-3[5='MR'].1";
    p = path(text);
    memset(text, '#', sizeof text - 1);
    struct value v;
    assert_int_equal(record_get(record(), arena, p, NULL, &v, NULL), ERR_NONE);
    assert_same(v.text, STR("7"), "the path has its own text");
}

static void values(void **state)
{
    (void)state;
    const struct record *r = record();
    const struct {
        const char *path;
        enum has has;
        const char *want;
    } rows[] = {
        {"PID-3.1", HAS_VALUE, "7"},       {"PID-7", HAS_NULL, ""},
        {"PID-2", HAS_EMPTY, ""},          {"PID-40", HAS_ABSENT, ""},
        {"ZZZ-1", HAS_ABSENT, ""},         {"FT1-2", HAS_VALUE, "a&b"},
        {"FT1(2)-2", HAS_VALUE, "second"}, {"MSH-1", HAS_VALUE, "|"},
        {"MSH-2", HAS_VALUE, "^~\\&"},     {"PID-13(2).1", HAS_VALUE, "010-2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct value v;
        assert_int_equal(record_get(r, arena, path(rows[i].path), NULL, &v, NULL), ERR_NONE);
        assert_row(v.has == rows[i].has, rows[i].path);
        assert_same(v.text, str_of(rows[i].want), rows[i].path);
    }
}

/* Of several patients the one is meant before whose next PID the segment of the turn stands. */
static void patients(void **state)
{
    (void)state;
    static const char message[] = "MSH|^~\\&|A|B|C|D|||ORU^R01|7|P|2.5\r"
                                  "NTE|1\rPID|1||7^^^H^MR|||||||||~b\rPV1|1|O\rOBR|1\rOBR|2\r"
                                  "PID|2||8\rOBR|3\r"
                                  "PID|3||9^^^H^MR\rPV1|1|I\rOBR|4\rOBX|1\r";
    const struct {
        const char *over;
        unsigned index;
        const char *path, *want, *place;
    } rows[] = {
        {"OBR", 1, "PID-3.1", "7", "PID-3.1"},
        {"OBR", 2, "PID-3[5='MR'].1", "7", "PID-3.1"},
        {"OBR", 2, "PV1-2", "O", "PV1-2"},
        {"OBR", 3, "PID-3.1", "8", "PID(2)-3.1"},
        {"OBR", 3, "PID-3[5='MR'].1", "", "PID(2)-3.1"},
        {"OBR", 3, "PV1-2", "", "PV1-2"}, /* nor that of another patient */
        {"OBR", 4, "PID-3[5='MR'].1", "9", "PID(3)-3.1"},
        {"OBR", 4, "PV1-2", "I", "PV1(2)-2"},
        {"OBR", 3, "PID(1)-3.1", "7", "PID(1)-3.1"},
        {"OBX", 1, "PID-3.1", "9", "PID(3)-3.1"},
        {"OBR(1)", 1, "PID-3.1", "7", "PID-3.1"},
        {"NTE", 1, "PID-3.1", "", "PID-3.1"},
        {"PID", 3, "PID-3.1", "9", "PID(3)-3.1"},
    };
    const struct hl7_msg *m = NULL;
    assert_int_equal(hl7_parse(arena, str_of(message), NULL, &m, NULL), ERR_NONE);
    const struct record *r = record_of_hl7(arena, m);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct record_scope s = {.over = path(rows[i].over), .index = rows[i].index};
        struct value v;
        char out[RECORD_PLACE];
        assert_int_equal(record_get(r, arena, path(rows[i].path), &s, &v, NULL), ERR_NONE);
        assert_same(v.text, str_of(rows[i].want), rows[i].path);
        assert_string_equal(record_place(r, path(rows[i].path), &s, out), rows[i].place);
    }
    struct record_scope outer = {.over = path("OBR"), .index = 1};
    assert_int_equal(record_count(r, path("PID-12"), &outer), 2);
    outer.index = 4;
    assert_int_equal(record_count(r, path("PID-12"), &outer), 0);
}

/* "Which ORC and TQ1 are of this OBR?": those of its group, whatever the others have. */
static void groups(void **state)
{
    (void)state;
    const struct {
        const char *segments;
        unsigned want[3][2]; /* of each OBR: its ORC, its TQ1; one too many: none */
    } rows[] = {
        {"ORC|1\rTQ1|1\rOBR|1\rORC|2\rTQ1|2\rOBR|2\r", {{1, 1}, {2, 2}}},
        {"ORC|1\rOBR|1\rTQ1|1\rORC|2\rOBR|2\rTQ1|2\r", {{1, 1}, {2, 2}}},
        {"ORC|1\rOBR|1\rORC|2\rTQ1|1\rOBR|2\r", {{1, 2}, {2, 1}}},
        {"ORC|1\rOBR|1\rTQ1|1\rTQ1|2\rORC|2\rOBR|2\rTQ1|3\r", {{1, 1}, {2, 3}}},
        {"ORC|1\rOBR|1\rTQ1|1\rTQ1|2\rORC|2\rOBR|2\r", {{1, 1}, {2, 3}}},
        {"ORC|1\rRXO|1\rORC|2\rOBR|1\rORC|3\rOBR|2\rTQ1|1\r", {{2, 2}, {3, 1}}},
        {"ORC|1\rOBR|1\rOBR|2\rTQ1|1\rORC|2\rOBR|3\r", {{1, 2}, {3, 1}, {2, 2}}},
        {"OBR|1\rTQ1|1\rOBR|2\rOBR|3\rTQ1|2\r", {{1, 1}, {1, 3}, {1, 2}}},
        {"OBR|1\rOBR|2\rORC|1\rORC|2\r", {{1, 1}, {2, 1}}},
        {"ORC|1\rORC|2\rOBR|1\rOBR|2\rTQ1|1\r", {{1, 2}, {2, 1}}},
        {"OBR|1\r", {{1, 1}}},
    };
    const struct record_path *const paths[] = {path("OBR"), path("ORC"), path("TQ1")};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *text = arena_printf(arena, "MSH|^~\\&|A\r%s", rows[i].segments);
        const struct hl7_msg *m = NULL;
        assert_int_equal(hl7_parse(arena, str_of(text), NULL, &m, NULL), ERR_NONE);
        const struct record *r = record_of_hl7(arena, m);
        for (unsigned n = 1; n <= hl7_occurrences(m, "OBR"); n++) {
            assert_int_equal(record_beside(r, paths, 3, 0, n), n);
            for (size_t k = 0; k < 2; k++) {
                unsigned got = record_beside(r, paths, 3, k + 1, n), want = rows[i].want[n - 1][k];
                if (got != want) {
                    fail_msg("row %zu: of OBR(%u) number %u, not %u", i, n, got, want);
                }
            }
        }
    }
    const struct record_path *const repetitions[] = {path("PID-3"), path("PID-5")};
    assert_int_equal(record_beside(record(), repetitions, 2, 1, 2), 2);
}

/* What older messages do not say in MSH-9: EVN-1 does, or there is but one kind of the message. */
static void triggers(void **state)
{
    (void)state;
    const struct {
        const char *message, *path;
        enum has has;
        const char *want;
    } rows[] = {
        {"MSH|^~\\&|A|B|C|D|||ADT|7|P|2.1\rEVN|A04\r", "MSH-9.2", HAS_VALUE, "A04"},
        {"MSH|^~\\&|A|B|C|D|||ADT^|7|P|2.2\rEVN|A04\r", "MSH-9.2", HAS_VALUE, "A04"},
        {"MSH|^~\\&|A|B|C|D|||ADT^A01|7|P|2.3\rEVN|A04\r", "MSH-9.2", HAS_VALUE, "A01"},
        {"MSH|^~\\&|A|B|C|D|||ADT^\"\"|7|P|2.3\rEVN|A04\r", "MSH-9.2", HAS_NULL, ""},
        {"MSH|^~\\&|A|B|C|D|||ADT|7|P|2.1\rEVN||1990\r", "MSH-9.2", HAS_EMPTY, ""},
        {"MSH|^~\\&|A|B|C|D|||ADT|7|P|2.1\r", "MSH-9.2", HAS_ABSENT, ""},
        {"MSH|^~\\&|A|B|C|D|||ORU|7|P|2.1\r", "MSH-9.2", HAS_VALUE, "R01"},
        {"MSH|^~\\&|A|B|C|D|||ORM|7|P|2.1\r", "MSH-9.2", HAS_VALUE, "O01"},
        {"MSH|^~\\&|A|B|C|D|||ADT|7|P|2.1\rEVN|A04\r", "MSH-9.3", HAS_ABSENT, ""},
        {"MSH|^~\\&|A|B|C|D|||ADT|7|P|2.1\rEVN|A04\rZZZ|||||||||a\r", "ZZZ-9.2", HAS_ABSENT, ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct hl7_msg *m = NULL;
        struct value v;
        assert_int_equal(hl7_parse(arena, str_of(rows[i].message), NULL, &m, NULL), ERR_NONE);
        const struct record *r = record_of_hl7(arena, m);
        assert_int_equal(record_get(r, arena, path(rows[i].path), NULL, &v, NULL), ERR_NONE);
        assert_row(v.has == rows[i].has, rows[i].message);
        assert_same(v.text, str_of(rows[i].want), rows[i].message);
    }
}

/* A value that cannot be read: its code, its place and its offset, in and out of a scope. */
static void failure(void **state)
{
    (void)state;
    const struct record *r = record();
    struct value v;
    struct err e = {.code = ERR_NONE};
    assert_int_equal(record_get(r, arena, path("OBX-5"), NULL, &v, &e), ERR_CHARSET);
    assert_string_equal(e.where, "OBX-5");
    assert_int_equal(e.pos, str_find(STR(MESSAGE), 'X', sizeof MESSAGE - 8) - 1);
    assert_int_equal(v.has, HAS_ABSENT);
    struct record_scope s = {.over = path("OBX-5"), .index = 1};
    assert_int_equal(record_get(r, arena, path("OBX-5.1"), &s, &v, &e), ERR_CHARSET);
    assert_string_equal(e.where, "OBX-5.1");
    assert_int_equal(record_get(r, arena, path("OBX-5"), NULL, &v, NULL), ERR_CHARSET);
}

static void counting(void **state)
{
    (void)state;
    const struct record *r = record();
    const struct {
        const char *over;
        unsigned count;
    } rows[] = {
        {"FT1", 3},
        {"OBX", 1},
        {"ZZZ", 0},
        {"PID-13", 4},
        {"PID-13.1", 4},
        {"PID-2", 0},
        {"PID-7", 1},
        {"PID-40", 0},
        {"FT1-4", 2},
        {"FT1(2)-4", 1},
        {"FT1(3)-4", 0},
        {"FT1(2)", 1},
        {"FT1(9)", 0},
        {"PID-13(2)", 1},
        {"PID-13(9)", 0},
        {"PID-13[2='NET']", 1},
        {"PID-13[2='XX']", 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_row(record_count(r, path(rows[i].over), NULL) == rows[i].count, rows[i].over);
    }
}

static void scopes(void **state)
{
    (void)state;
    const struct record *r = record();
    const struct {
        const char *over;
        unsigned index;
        const char *path, *want;
    } rows[] = {
        /* occurrences of a segment */
        {"FT1", 1, "FT1-2", "a&b"},
        {"FT1", 2, "FT1-2", "second"},
        {"FT1", 2, "FT1-4", "z"},
        {"FT1", 2, "FT1(1)-2", "a&b"},
        {"FT1", 2, "PID-3.1", "7"},
        {"FT1", 9, "FT1-2", ""},
        /* repetitions of a field */
        {"PID-13", 1, "PID-13.1", "010-1"},
        {"PID-13", 2, "PID-13.1", "010-2"},
        {"PID-13", 4, "PID-13", "010-4^PRN"},
        {"PID-13", 2, "PID-13(1).1", "010-1"},
        {"PID-13", 2, "PID-3.1", "7"},
        {"PID-13", 4, "PID-13[2='NET'].1", "010-2"},
        {"PID-13[2='NET']", 1, "PID-13.1", "010-2"},
        /* an occurrence that the scope names */
        {"FT1(2)-4", 1, "FT1-4", "z"},
        {"FT1(2)", 1, "FT1-2", "second"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct record_scope s = {.over = path(rows[i].over), .index = rows[i].index};
        struct value v;
        assert_int_equal(record_get(r, arena, path(rows[i].path), &s, &v, NULL), ERR_NONE);
        assert_same(v.text, str_of(rows[i].want), rows[i].path);
    }
}

/* For each FT1, for each repetition of its FT1-4. */
static void nested(void **state)
{
    (void)state;
    const struct record *r = record();
    const struct record_path *ft1 = path("FT1"), *field = path("FT1-4");
    char seen[100] = "";
    for (unsigned i = 1; i <= record_count(r, ft1, NULL); i++) {
        struct record_scope outer = {.over = ft1, .index = i};
        for (unsigned k = 1; k <= record_count(r, field, &outer); k++) {
            struct record_scope inner = {.over = field, .index = k, .up = &outer};
            struct value number, value;
            assert_int_equal(record_get(r, arena, path("FT1-1"), &inner, &number, NULL), ERR_NONE);
            assert_int_equal(record_get(r, arena, field, &inner, &value, NULL), ERR_NONE);
            size_t n = strlen(seen);
            snprintf(seen + n, sizeof seen - n, "%.*s%.*s ", STR_ARG(number.text),
                     STR_ARG(value.text));
        }
    }
    assert_string_equal(seen, "1x 1y 2z ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compile),  cmocka_unit_test(values), cmocka_unit_test(triggers),
        cmocka_unit_test(patients), cmocka_unit_test(groups), cmocka_unit_test(failure),
        cmocka_unit_test(counting), cmocka_unit_test(scopes), cmocka_unit_test(nested),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
