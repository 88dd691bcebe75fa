#include "tests/lib/cm.h"

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

/* F41 */
static void table_0211(void **state)
{
    (void)state;
    const struct {
        const char *name;
        enum charset set;
    } rows[] = {
        {"ASCII", CHARSET_ASCII},          {"8859/1", CHARSET_LATIN1},
        {"8859/2", CHARSET_LATIN2},        {"8859/3", CHARSET_LATIN3},
        {"8859/4", CHARSET_LATIN4},        {"8859/5", CHARSET_CYRILLIC},
        {"8859/6", CHARSET_ARABIC},        {"8859/7", CHARSET_GREEK},
        {"8859/8", CHARSET_HEBREW},        {"8859/9", CHARSET_LATIN5},
        {"8859/15", CHARSET_LATIN9},       {"UNICODE", CHARSET_UTF8},
        {"UNICODE UTF-8", CHARSET_UTF8},   {"unicode utf-8", CHARSET_UTF8},
        {"UNICODE UTF-16", CHARSET_UTF16}, {"KS X 1001", CHARSET_CP949},
        {"ISO IR149", CHARSET_CP949},      {"GB 18030-2000", CHARSET_GB18030},
        {"BIG-5", CHARSET_BIG5},           {"ISO IR6", CHARSET_ASCII},
        {"ISO IR14", CHARSET_SJIS},        {"ISO IR87", CHARSET_ISO2022JP},
        {"ISO IR159", CHARSET_ISO2022JP},  {"UTF-8", CHARSET_UTF8},
        {"EUC-KR", CHARSET_CP949},         {" 8859/1 ", CHARSET_LATIN1},
        {"MS949", CHARSET_CP949},          {"KSX1001", CHARSET_CP949},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum charset got;
        assert_row(hl7_charset_named(str_of(rows[i].name), &got), rows[i].name);
        assert_row(got == rows[i].set, rows[i].name);
    }
    enum charset got;
    assert_false(hl7_charset_named(STR("CNS 11643-1992"), &got));
    assert_false(hl7_charset_named(STR("8859/99"), &got));
    assert_false(hl7_charset_named(STR(""), &got));
}

#define HEAD(set) "MSH|^~\\&|A|B|C|D|||ADT^A04|7|P|2.5||||||" set "\r"
/* 홍길동; 뷁 and 믜, which KS X 1001 lacks; 갂, whose second byte in CP949 is the letter A */
#define UHONG "\xed\x99\x8d\xea\xb8\xb8\xeb\x8f\x99"
#define UBWELK "\xeb\xb7\x81"
#define UMUI "\xeb\xaf\x9c"
#define UGAG "\xea\xb0\x82"

static void decoding(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str raw;
        enum charset fallback, used;
        struct str name; /* PID-5 */
    } rows[] = {
        {"nothing said: the feed's set", STR(HEAD("") "PID|||||\xc8\xab\xb1\xe6\xb5\xbf"),
         CHARSET_CP949, CHARSET_CP949, STR(UHONG)},
        {"null is nothing said", STR(HEAD("\"\"") "PID|||||\xe9"), CHARSET_LATIN1, CHARSET_LATIN1,
         STR("\xc3\xa9")},
        {"KS X 1001", STR(HEAD("KS X 1001") "PID|||||\xc8\xab\xb1\xe6\xb5\xbf"), CHARSET_UTF8,
         CHARSET_CP949, STR(UHONG)},
        {"beyond KS X 1001", STR(HEAD("KS X 1001") "PID|||||\x94\xee\x92\xde"), CHARSET_UTF8,
         CHARSET_CP949, STR(UBWELK UMUI)},
        {"trail bytes that are letters", STR(HEAD("KS X 1001") "PID|||||\x81\x41^\x81\x42"),
         CHARSET_UTF8, CHARSET_CP949, STR(UGAG "^\xea\xb0\x83")},
        {"ASCII, then Korean", STR(HEAD("~KS X 1001") "PID|||||\xc8\xab"), CHARSET_UTF8,
         CHARSET_CP949, STR("\xed\x99\x8d")},
        {"Korean with ISO 2022", STR(HEAD("ASCII~KS X 1001") "PID|||||\x1b$)C\x0eH+\x0f!"),
         CHARSET_UTF8, CHARSET_ISO2022KR, STR("\xed\x99\x8d!")},
        {"UTF-8", STR(HEAD("UNICODE UTF-8") "PID|||||" UHONG), CHARSET_CP949, CHARSET_UTF8,
         STR(UHONG)},
        {"UTF-8 with a mark", STR("\xef\xbb\xbf" HEAD("") "PID|||||" UHONG), CHARSET_CP949,
         CHARSET_UTF8, STR(UHONG)},
        {"a mark and ASCII said", STR("\xef\xbb\xbf" HEAD("ASCII") "PID|||||" UHONG), CHARSET_CP949,
         CHARSET_UTF8, STR(UHONG)},
        {"Latin-1", STR(HEAD("8859/1") "PID|||||M\xfcller"), CHARSET_UTF8, CHARSET_LATIN1,
         STR("M\xc3\xbcller")},
        {"Cyrillic", STR(HEAD("8859/5") "PID|||||\xb0"), CHARSET_UTF8, CHARSET_CYRILLIC,
         STR("\xd0\x90")},
        {"Japanese that switches", STR(HEAD("~ISO IR87") "PID|||||\x1b$B;3\x1b(B^x"), CHARSET_UTF8,
         CHARSET_ISO2022JP, STR("\xe5\xb1\xb1^x")},
        {"Japanese, the supplement (F41)", STR(HEAD("~ISO IR159") "PID|||||\x1b$(D0!\x1b(B"),
         CHARSET_UTF8, CHARSET_ISO2022JP, STR("\xe4\xb8\x82")},
        {"Korean with ISO 2022 and 8 bits", STR(HEAD("ASCII~ISO IR149") "PID|||||\x1b$)C\xc8\xab!"),
         CHARSET_UTF8, CHARSET_CP949, STR("\xed\x99\x8d!")},
        {"UTF-16, little end first",
         STR("\xff\xfeM\0S\0H\0|\0^\0~\0\\\0&\0\r\0P\0I\0D\0|\0|\0|\0|"
             "\0|\0\x4d\xd6"),
         CHARSET_ASCII, CHARSET_UTF16LE, STR("\xed\x99\x8d")},
        {"UTF-16, big end first",
         STR("\xfe\xff\0M\0S\0H\0|\0^\0~\0\\\0&\0\r\0P\0I\0D\0|\0|\0|\0|\0|\xd6\x4d"),
         CHARSET_ASCII, CHARSET_UTF16, STR("\xed\x99\x8d")},
        {"UTF-16 without a mark",
         STR("\0M\0S\0H\0|\0^\0~\0\\\0&\0\r\0P\0I\0D\0|\0|\0|\0|\0|\xd6\x4d"), CHARSET_ASCII,
         CHARSET_UTF16, STR("\xed\x99\x8d")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str text, name;
        enum charset used;
        const struct hl7_msg *m;
        struct err e = {.code = ERR_NONE};
        enum err_code code =
            hl7_decode(arena, guard_copy(rows[i].raw), NULL, rows[i].fallback, &text, &used, &e);
        if (code != ERR_NONE) {
            fprintf(stderr, "# %s at %zu\n", e.msg, e.pos);
        }
        assert_row(code == ERR_NONE, rows[i].why);
        assert_row(used == rows[i].used, rows[i].why);
        assert_row(hl7_parse(arena, text, NULL, &m, NULL) == ERR_NONE, rows[i].why);
        hl7_get(m, &(struct hl7_path){.segment = "PID", .field = 5}, &name);
        assert_same(name, rows[i].name, rows[i].why);
    }
}

/* F42, F43 */
static void refusals(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str raw;
        enum err_code code;
        size_t pos;
        const char *where;
    } rows[] = {
        {"an unknown set", STR(HEAD("KLINGON") "PID|"), ERR_UNSUPPORTED, 40, "MSH-18"},
        {"an unknown second set", STR(HEAD("ASCII~KLINGON")), ERR_UNSUPPORTED, 40, "MSH-18"},
        {"UTF-16 said, not so", STR(HEAD("UNICODE UTF-16")), ERR_CHARSET, 40, "MSH-18"},
        {"a mark that contradicts", STR("\xef\xbb\xbf" HEAD("KS X 1001")), ERR_CHARSET, 43,
         "MSH-18"},
        {"UTF-8 said, CP949 sent", STR(HEAD("UNICODE UTF-8") "PID|||||\xb1\xe6"), ERR_CHARSET, 62,
         "PID-5"},
        {"ASCII said, UTF-8 sent", STR(HEAD("ASCII") "PID|||||" UHONG), ERR_CHARSET, 54, "PID-5"},
        {"CP949 said, cut in a character", STR(HEAD("KS X 1001") "PID|\rPID|||||\xc8\r"),
         ERR_CHARSET, 63, "PID(2)-5"},
        {"sets that nobody switches between", STR(HEAD("8859/1~ISO IR87") "PID|\x1b$B;3\x1b(B"),
         ERR_UNSUPPORTED, 40, "MSH-18"},
        {"bad Korean behind its name", STR(HEAD("~KS X 1001") "PID|\x1b$)C\xc8\xab|\x1b$)C\xff"),
         ERR_CHARSET, 66, "PID-2"},
        {"half a character of UTF-16", STR("\xff\xfeM\0S\0H\0|\0^\0~\0|\0A\0|\0B\0|"), ERR_CHARSET,
         22, "MSH-4"},
        {"nothing said, not UTF-8", STR(HEAD("") "PID||\x80"), ERR_CHARSET, 46, "PID-2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str text;
        enum charset used;
        struct err e = {.code = ERR_NONE};
        enum err_code code =
            hl7_decode(arena, guard_copy(rows[i].raw), NULL, CHARSET_UTF8, &text, &used, &e);
        assert_row(code == rows[i].code && e.code == code, rows[i].why);
        if (e.pos != rows[i].pos) {
            fprintf(stderr, "# %s: at %zu\n", rows[i].why, e.pos);
        }
        assert_row(e.pos == rows[i].pos, rows[i].why);
        assert_same(str_of(e.where), str_of(rows[i].where), rows[i].why);
        assert_int_equal(text.n, 0);
    }
}

static void overriding(void **state)
{
    (void)state;
    struct str text;
    enum charset used, cp949 = CHARSET_CP949;
    struct str raw = STR(HEAD("8859/1") "PID|||||\xc8\xab\xb1\xe6\xb5\xbf");
    assert_int_equal(hl7_decode(arena, raw, &cp949, CHARSET_UTF8, &text, &used, NULL), ERR_NONE);
    assert_int_equal(used, CHARSET_CP949);
    assert_true(str_ends(text, STR(UHONG)));
    raw = STR(HEAD("KLINGON") "PID|");
    assert_int_equal(hl7_decode(arena, raw, &cp949, CHARSET_UTF8, &text, &used, NULL), ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_0211),
        cmocka_unit_test(decoding),
        cmocka_unit_test(refusals),
        cmocka_unit_test(overriding),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
