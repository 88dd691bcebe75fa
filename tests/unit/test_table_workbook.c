/* core/table: workbooks. What a cell shows, and every refusal with its code and its place. */
#include "core/base/text.h"
#include "core/table/formats.h"
#include "core/table/strings.h"
#include "tests/lib/book.h"
#include "tests/lib/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;
static char folder[] = "/tmp/dari-book-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    snprintf(path, sizeof path, "%s/t.xlsx", mkdtemp(folder) ? folder : "");
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    arena_free(&arena);
    return 0;
}

#define HEAD                                                                                       \
    "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>a</t></is></c><c t=\"inlineStr\"><is>"        \
    "<r><t>b</t></r><rPh sb=\"0\"><t>x</t></rPh></is></c></row>"
#define STRINGS                                                                                        \
    "<si><t>홍길동</t></si><si><r><rPr/><t xml:space=\"preserve\">두 </t></r><r><t>부분</t></r>" \
    "<rPh><t>no</t></rPh></si><si><t>line_x000D_\nend_x00_</t></si><si/>"

struct book_case {
    const char *name, *rows, *expected;
};

static const struct book_case cell_cases[] = {
    {"shared strings",
     HEAD "<row r=\"2\"><c r=\"A2\" t=\"s\"><v>0</v></c><c r=\"B2\" t=\"s\"><v>1</v></c></row>",
     "[a|b]2:[홍길동|두 부분]"},
    {"escapes, and nothing", HEAD "<row><c t=\"s\"><v>2</v></c><c t=\"s\"><v>3</v></c></row>",
     "[a|b]2:[line\r\nend_x00_|]"},
    {"gaps",
     HEAD "<row r=\"5\"><c r=\"B5\"><v>1</v></c></row><row r=\"9\"/>"
          "<row r=\"10\"><c r=\"A10\"><v>2</v></c><c r=\"C10\"/></row>",
     "[a|b]5:[|1]10:[2|]"},
    {"numbers",
     HEAD "<row><c><v>1012345678</v></c><c><v>0.10000000000000001</v></c></row>"
          "<row><c><v>1.2345678901E10</v></c><c><v>-1.5e-3</v></c></row>"
          "<row><c><v>99999999999999995</v></c><c><v>1E2</v></c></row>",
     "[a|b]2:[1012345678|0.1]3:[12345678901|-0.0015]4:[100000000000000000|100]"},
    {"dates",
     HEAD "<row><c s=\"1\"><v>46092</v></c><c s=\"2\"><v>46092.375</v></c></row>"
          "<row><c s=\"1\"><v>46092.9</v></c><c s=\"2\"><v>46092</v></c></row>"
          "<row><c s=\"3\"><v>0.70833333333333337</v></c><c s=\"3\"><v>46092.5</v></c></row>"
          "<row><c s=\"1\"><v>59</v></c><c s=\"1\"><v>61</v></c></row>",
     "[a|b]2:[2026-03-11|2026-03-11 09:00]3:[2026-03-11|2026-03-11 00:00]4:[17:00|12:00]"
     "5:[1900-02-28|1900-03-01]"},
    {"zeros and durations", HEAD "<row><c s=\"4\"><v>1234</v></c><c s=\"5\"><v>1.25</v></c></row>",
     "[a|b]2:[00001234|30:00:00]"},
    {"booleans and dates as text",
     HEAD "<row><c t=\"b\"><v>1</v></c><c t=\"d\"><v>2026-03-11T09:00:00</v></c></row>"
          "<row><c t=\"d\" s=\"1\"><v>2026-03-11T00:00:00.000Z</v></c><c t=\"d\" "
          "s=\"2\"><v>2026-03-11T14:30:05.000Z</v></c></row>"
          "<row><c t=\"d\" s=\"2\"><v>2026-03-11</v></c><c t=\"d\" "
          "s=\"3\"><v>09:05:00</v></c></row>"
          "<row><c t=\"d\"><v>2026-03-11T09:00:00+09:00</v></c><c t=\"d\"><v>P1D</v></c></row>",
     "[a|b]2:[TRUE|2026-03-11 09:00]3:[2026-03-11|2026-03-11 14:30:05]"
     "4:[2026-03-11|09:05]5:[2026-03-11T09:00:00+09:00|P1D]"},
    {"escapes in a value",
     HEAD "<row><c t=\"str\"><v>가_x000d_&#10;나</v></c><c t=\"str\"><v>_x000D_</v></c></row>",
     "[a|b]2:[가\r\n나|]"},
    {"a day that never was",
     HEAD "<row><c s=\"1\"><v>60</v></c><c><v>1</v></c></row><row><c><v>1"
          "</v></c><c><v>x</v></c></row>",
     "[a|b]2!value row 2, column a;3!value row 3, column b;"},
    {"an error", HEAD "<row><c t=\"e\"><v>#N/A</v></c></row><row><c t=\"s\"><v>9</v></c></row>",
     "[a|b]2!value row 2, column a;3!value row 3, column a;"},
    {"a formula",
     HEAD "<row><c><v>1</v></c><c><f>SUM(A1)</f><v>3</v></c></row>"
          "<row><c><v>1</v></c><c><v>3</v></c></row>"
          "<row><c t=\"str\"><v>합계</v></c><c><f>SUM(B1:B3)</f><v>3</v></c></row>",
     "[a|b]2!refused row 2, column b;3:[1|3]"},
    {"rows out of order", HEAD "<row r=\"3\"><c><v>1</v></c></row><row r=\"2\"/>",
     "[a|b]3:[1|]syntax row 3"},
    {"cells out of order",
     HEAD "<row r=\"2\"><c r=\"B2\"><v>1</v></c><c r=\"A2\"><v>1</v></c></row>",
     "[a|b]syntax row 2, column 2"},
    {"too far right", HEAD "<row r=\"2\"><c r=\"XFD2\"><v>1</v></c></row>",
     "[a|b]limit row 2, column 16384"},
    {"too far right, a formula", HEAD "<row r=\"2\"><c r=\"XFD2\"><f>A1</f></c></row>",
     "[a|b]limit row 2, column 16384"},
    {"coloured to the end",
     HEAD "<row r=\"2\"><c r=\"A2\"><v>1</v></c><c r=\"BXX2\" s=\"4\"/><c r=\"XFD2\" s=\"4\">"
          "<v></v></c></row>",
     "[a|b]2:[1|]"},
    {"too far down", HEAD "<row r=\"1048577\"/>", "[a|b]syntax row 1"},
    {"not well-formed", HEAD "<row r=\"2\"><c></row>", "syntax row 1" /* it is read ahead */},
    {"more than the header", HEAD "<row><c><v>1</v></c><c/><c><v>1</v></c></row>",
     "[a|b]2!syntax row 2;"},
};

static void test_cells(void **state)
{
    (void)state;
    static const struct table_settings s = {.fallback = CHARSET_UTF8};
    for (size_t i = 0; i < sizeof cell_cases / sizeof cell_cases[0]; i++) {
        assert_true(book_write(path, cell_cases[i].rows, STRINGS, NULL));
        const char *got = table_text(path, &s);
        if (strcmp(got, cell_cases[i].expected) != 0) {
            fail_msg("%s\nexpected %s\ngot      %s", cell_cases[i].name, cell_cases[i].expected,
                     got);
        }
    }
}

#define XMLNS                                                                                      \
    "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" "                         \
    "xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\""
#define RELATIONS "http://schemas.openxmlformats.org/package/2006/relationships"
#define OFFICE "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define SHEET(rows) "<worksheet " XMLNS "><sheetData>" rows "</sheetData></worksheet>"
#define ONE(x) "<row><c t=\"str\"><v>" x "</v></c></row>"

static const struct book_part several[] = {
    {"_rels/.rels",
     "<Relationships xmlns=\"" RELATIONS "\"><Relationship Id=\"r\" Type=\"" OFFICE
     "/officeDocument\" Target=\"./xl//book.xml\"/></Relationships>",
     0},
    {"xl/book.xml",
     "<workbook " XMLNS "><workbookPr date1904=\"1\"/><sheets>"
     "<sheet name=\"표지\" x:id=\"r1\" xmlns:x=\"" OFFICE
     "\"/><sheet name=\"숨김\" state=\"hidden\" r:id=\"r2\"/>"
     "<sheet name=\"목록\" r:id=\"r3\"/></sheets></workbook>",
     0},
    {"xl/_rels/book.xml.rels",
     "<Relationships xmlns=\"" RELATIONS "\"><Relationship Id=\"r1\" Type=\"" OFFICE
     "/worksheet\" Target=\"s1.xml\"/><Relationship Id=\"r2\" Type=\"" OFFICE
     "/worksheet\" Target=\"./../xl\\x/.././s%32.xml\"/><Relationship Id=\"r3\" Type=\"" OFFICE
     "/worksheet\" Target=\"/xl/./s3.xml\"/><Relationship Id=\"r4\" Type=\"" OFFICE
     "/styles\" Target=\"styles.xml\"/></Relationships>",
     0},
    {"xl/styles.xml", "<styleSheet " XMLNS "><cellXfs><xf numFmtId=\"14\"/></cellXfs></styleSheet>",
     0},
    {"xl/s1.xml", SHEET(ONE("2026년 3월 예약 현황")), 0},
    {"xl/s2.xml", SHEET(ONE("차트번호") ONE("2")), 0},
    {"xl/s3.xml", SHEET(ONE("차트번호") "<row><c><v>0</v></c></row>"), 0},
    {NULL, NULL, 0}};

static void test_sheets(void **state)
{
    (void)state;
    struct table_settings s = {.fallback = CHARSET_UTF8,
                               .names = table_names_with(arena, "chart_no!")};
    assert_true(book_write_parts(path, several));
    assert_string_equal(table_text(path, &s), "[차트번호]2:[1904-01-01]");
    s.sheet = "숨김";
    assert_string_equal(table_text(path, &s), "[차트번호]2:[2]");
    s.sheet = "표지";
    assert_string_equal(table_text(path, &s), "required row 1");
    s.sheet = "없음";
    assert_string_equal(table_text(path, &s), "required ");
}

static void expect(const struct book_part *extra, const char *rows, const char *strings,
                   const struct table_settings *s, const char *expected)
{
    assert_true(book_write(path, rows, strings, extra));
    assert_string_equal(table_text(path, s), expected);
}

/* A part in UTF-16, its letters cut by every edge of a piece; with a mark or a declaration. */
static void test_utf16(void **state)
{
    (void)state;
    enum { LETTERS = 20000 };
    static const struct table_settings s = {.fallback = CHARSET_UTF8};
    static const char *const heads[] = {"\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"UTF-16\"?>",
                                        ""};
    for (size_t i = 0; i < 4; i++) {
        struct buf part, wanted;
        buf_init(&part, 1 << 20);
        buf_init(&wanted, 1 << 20);
        struct buf text;
        buf_init(&text, 1 << 20);
        buf_printf(&text, "%s<sst><si><t>a</t></si><si><t>", heads[i / 2]);
        buf_addz(&wanted, "[a|b]2:[a|");
        for (int k = 0; k < LETTERS; k++) {
            const char *letter = k % 5 ? "홍" : k % 2 ? "😀" : "x";
            buf_addz(&text, letter);
            buf_addz(&wanted, letter);
        }
        buf_addz(&text, "</t></si></sst>");
        buf_addz(&wanted, "]");
        for (size_t at = 0; at < text.n;) {
            unsigned c = text_next(buf_str(&text), &at), units[2] = {c, 0};
            if (c > 0xffff) {
                units[0] = 0xd800 + ((c - 0x10000) >> 10);
                units[1] = 0xdc00 + ((c - 0x10000) & 0x3ff);
            }
            for (int u = 0; u < 2 && (u == 0 || units[1]); u++) {
                buf_addc(&part, (char)(i % 2 ? units[u] >> 8 : units[u] & 0xff));
                buf_addc(&part, (char)(i % 2 ? units[u] & 0xff : units[u] >> 8));
            }
        }
        const struct book_part extra = {"xl/sharedStrings.xml", part.p, part.n};
        expect(&extra, HEAD "<row r=\"2\"><c t=\"s\"><v>0</v></c><c t=\"s\"><v>1</v></c></row>", "",
               &s, arena_z(arena, buf_str(&wanted)));
        buf_release(&part);
        buf_release(&text);
        buf_release(&wanted);
    }
}

static char *repeated(const char *piece, size_t times)
{
    size_t n = strlen(piece);
    char *out = malloc(n * times + 1);
    for (size_t i = 0; i < times; i++) {
        memcpy(out + i * n, piece, n);
    }
    out[n * times] = '\0';
    return out;
}

/* Bombs, links, doctypes, floods of attributes: refused with the part. */
static void test_hostile(void **state)
{
    (void)state;
    static const struct table_settings s = {.fallback = CHARSET_UTF8};
    char *blank = repeated(" ", 64u << 20), *tag = repeated(" a=\"1\"", 20000);
    char *deep = repeated("<x>", 3000);
    char *bomb = malloc((64u << 20) + 1024), *wide = malloc(strlen(tag) + 64);
    int n = snprintf(bomb, 1024, "<worksheet><sheetData>%s", HEAD);
    memcpy(bomb + n, blank, (64u << 20) + 1);
    snprintf(wide, strlen(tag) + 64, "<sst%s/>", tag);
    for (size_t i = (size_t)n; i < (64u << 20) - 16; i += 4096) {
        memcpy(bomb + i, "<row></row>     ", 16);
    }
    const struct {
        struct book_part part;
        const char *expected;
    } rows[] = {
        {{"xl/worksheets/sheet1.xml", bomb, 0}, "[a|b]limit xl/worksheets/sheet1.xml"},
        {{"xl/externalLinks/externalLink1.xml", "<externalLink/>", 0},
         "refused xl/externalLinks/externalLink1.xml"},
        {{"xl/_rels/workbook.xml.rels",
          "<Relationships xmlns=\"" RELATIONS "\"><Relationship Id=\"x\" Type=\"" OFFICE
          "/externalLink\" Target=\"http://x/y.xlsx\" TargetMode=\"External\"/></Relationships>",
          0},
         "refused xl/_rels/workbook.xml.rels"},
        {{"xl/sharedStrings.xml", "<!DOCTYPE x [<!ENTITY a \"b\">]><sst/>", 0},
         "refused xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", "<sst><!-- c --><![CDATA[ ]]><?pi x?>&#65;&lol;</sst>", 0},
         "syntax xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", wide, 0}, "limit xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", deep, 0}, "limit xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", "<?xml version=\"1.0\" encoding=\"UTF-7\"?><sst/>", 0},
         "unsupported xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", "\xFF\xFE<\0s\0>\0\x3D\xD8<\0", 12},
         "charset xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", "\xFF\xFE<\0s\0/\0>", 9}, "charset xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", "<\0!\0D\0O\0C\0", 10}, "refused xl/sharedStrings.xml"},
        {{"xl/sharedStrings.xml", "<sst><si><t>", 0}, "syntax xl/sharedStrings.xml"},
        {{"xl/workbook.xml", "<workbook/>", 0}, "syntax "},
        {{"_rels/.rels", "<Relationships/>", 0}, "unsupported "},
        {{"_rels/.rels",
          "<Relationships xmlns=\"" RELATIONS "\"><Relationship Id=\"r\" Type=\"" OFFICE
          "/officeDocument\" Target=\"../../../xl/workbook.xml/..\"/></Relationships>",
          0},
         "unsupported "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(&rows[i].part, HEAD, STRINGS, &s, rows[i].expected);
    }
    free(blank);
    free(tag);
    free(deep);
    free(bomb);
    free(wide);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct table_settings s = {.fallback = CHARSET_UTF8, .max_cell = 12};
    static const struct table_settings small = {.fallback = CHARSET_UTF8, .max_unpacked = 1000};
    expect(NULL, HEAD ONE("1234567890123"), "", &s, "[a|b]limit row 2, column 1");
    expect(NULL, HEAD ONE("123456789012"), "", &s, "[a|b]2:[123456789012|]");
    expect(NULL, HEAD, "<si><t>12345678901</t><t>23</t></si>", &s, "limit xl/sharedStrings.xml");
    expect(NULL, HEAD, "", &small, "limit xl/styles.xml");
    unlink(path);
    assert_true(book_write(path, HEAD, "", NULL));
    assert_int_equal(truncate(path, 200), 0);
    assert_string_equal(table_text(path, &s), "syntax ");
}

/* A list of parts longer than any workbook's is refused before anybody reads it. */
static void test_archive(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *end; /* behind "PK\3\4" and 60 bytes of nothing */
        size_t n;
        const char *expected;
    } rows[] = {
        {"parts", "PK\5\6\0\0\0\0\1\20\1\20\20\0\0\0\4\0\0\0\0\0", 22, "limit "},
        {"nothing at all", "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0\0\0", 22, "unsupported "},
        {"behind the end", "PK\5\6\0\0\0\0\1\0\1\0\377\377\377\0\0\0\0\0\0\0", 22, "syntax "},
        {"a locator to nowhere",
         "PK\6\7\0\0\0\0\377\0\0\0\0\0\0\0\1\0\0\0"
         "PK\5\6\0\0\0\0\1\0\1\0\1\0\0\0\4\0\0\0\0\0",
         42, "syntax "},
        {"a locator to zeros",
         "PK\6\7\0\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0"
         "PK\5\6\0\0\0\0\1\20\1\20\1\0\0\0\4\0\0\0\0\0",
         42, "limit "},
    };
    static const struct table_settings s = {.fallback = CHARSET_UTF8};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fprintf(f, "PK%c%c", 3, 4);
        for (int k = 0; k < 60; k++) {
            fputc(0, f);
        }
        fwrite(rows[i].end, 1, rows[i].n, f);
        fclose(f);
        const char *got = table_text(path, &s);
        if (strcmp(got, rows[i].expected) != 0) {
            fail_msg("%s: %s", rows[i].name, got);
        }
    }
}

/* More strings than stay in memory come back as they were, in any order. */
static void test_strings(void **state)
{
    (void)state;
    enum { COUNT = 300000 };
    struct strings *s = strings_new();
    struct buf out;
    char text[64];
    struct err e = {0};
    assert_non_null(s);
    buf_init(&out, 1000);
    for (size_t i = 0; i < COUNT; i++) {
        int n =
            snprintf(text, sizeof text, "%zu %.*s", i, (int)(i % 40), "홍길동홍길동홍길동홍길동");
        assert_int_equal(strings_add(s, (struct str){text, (size_t)n}, &e), ERR_NONE);
    }
    assert_int_equal(strings_count(s), COUNT);
    for (size_t k = 0; k < COUNT; k += 7) {
        size_t i = k * 7919 % COUNT;
        int n =
            snprintf(text, sizeof text, "%zu %.*s", i, (int)(i % 40), "홍길동홍길동홍길동홍길동");
        buf_reset(&out);
        assert_int_equal(strings_get(s, i, &out, &e), ERR_NONE);
        assert_true(str_eq(buf_str(&out), (struct str){text, (size_t)n}));
    }
    assert_int_equal(strings_get(s, COUNT, &out, &e), ERR_VALUE);
    buf_release(&out);
    strings_free(&s);
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum shown_as as;
    } rows[] = {
        {"General", SHOWN_NUMBER},
        {"0.00", SHOWN_NUMBER},
        {"#,##0", SHOWN_NUMBER},
        {"000000", SHOWN_SHAPE},
        {"yyyy-mm-dd", SHOWN_DATE},
        {"yyyy\"년\" m\"월\" d\"일\"", SHOWN_DATE},
        {"h:mm", SHOWN_TIME},
        {"[$-412]AM/PM h:mm;@", SHOWN_TIME},
        {"m/d/yy h:mm", SHOWN_BOTH},
        {"[h]:mm", SHOWN_DURATION},
        {"[Red]0", SHOWN_NUMBER},
        {"\"day\" 0.0", SHOWN_NUMBER},
        {"@", SHOWN_NUMBER},
        {"mm:ss", SHOWN_TIME},
        {"yyyy\\-mm", SHOWN_DATE},
        {"000\\-0000\\-0000", SHOWN_SHAPE},
        {"General\"원\"", SHOWN_NUMBER},
        {"General;-General", SHOWN_NUMBER},
        {"GENERAL\\ ", SHOWN_NUMBER},
        {"[DBNum1][$-412]General", SHOWN_NUMBER},
        {"0.0e+00", SHOWN_NUMBER},
        {"# ##0", SHOWN_NUMBER},
        {"# ?/?", SHOWN_NUMBER},
        {"0.0%", SHOWN_PERCENT},
        {"#,##0\"만원\"", SHOWN_UNIT},
        {"#,##0,\"천원\"", SHOWN_NUMBER},
        {"#,##0\"원\"", SHOWN_NUMBER},
        {"[<=9999]00-00;00-000", SHOWN_SHAPE},
        {"[<=9999]0;0", SHOWN_NUMBER},
        {"[<x]0;00-00", SHOWN_NUMBER},
        {"[<9999", SHOWN_NUMBER},
        {"[<9]0;[<99]0;00-00", SHOWN_NUMBER},
        {"[>9]00-00;0", SHOWN_NUMBER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct format f = format_of(str_of(rows[i].code));
        if (f.as != rows[i].as) {
            fail_msg("%s: %d", rows[i].code, f.as);
        }
    }
    assert_int_equal(format_builtin(14).as, SHOWN_DATE);
    assert_int_equal(format_builtin(22).as, SHOWN_BOTH);
    static const int days[] = {27, 31, 34, 35, 36, 50, 55, 56, 58}; /* ECMA-376 18.8.30, ko-kr */
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        assert_int_equal(format_builtin(days[i]).as, SHOWN_DATE);
    }
    assert_int_equal(format_builtin(32).as, SHOWN_TIME);
    assert_int_equal(format_builtin(9).as, SHOWN_PERCENT);
}

/* What a cell shows. */
static void test_shown(void **state)
{
    (void)state;
    static const struct {
        const char *code, *number, *shown;
    } rows[] = {
        {"00000000", "1234", "00001234"},
        {"000000-0000000", "501013234567", "050101-3234567"},
        {"000000\\-0000000", "9001011234567", "900101-1234567"},
        {"000-0000-0000", "1012345678", "010-1234-5678"},
        {"0##-###-####", "311234567", "031-123-4567"},
        {"00-00", "12345", "123-45"},
        {"\"C\"0000", "12", "C0012"},
        {"0000\"번\"", "12", "0012번"},
        {"0000", "1.5", "1.5"},
        {"000", "-7", "-007"},
        {"000", "0", "000"},
        {"000", "1E5", "100000"},
        {"[<=9999999]###-####;(0##) ####-####", "1234567", "1234567"},
        {"[<=9999999]###-####;(0##) ####-####", "212345678", "(02) 1234-5678"},
        {"[<=9999999]###-####;(0##) ####-####", "1012345678", "(010) 1234-5678"},
        {"General\"원\"", "35000", "35000"},
        {"#,##0\"만원\"", "350", "350만원"},
        {"General\\만", "35", "35만"},
        {"#,##0,\"천원\"", "35000", "35000"},
        {"0%", "0.35", "35%"},
        {"0.0%", "0.0755", "7.55%"},
        {"0%", "1", "100%"},
        {"0%", "0", "0%"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct format style = format_of(str_of(rows[i].code));
        struct formats f = {&style, 1, false};
        struct err e = {.code = ERR_NONE};
        struct buf out;
        buf_init(&out, 100);
        assert_int_equal(format_number(&f, 0, str_of(rows[i].number), &out, &e), ERR_NONE);
        if (!str_is(buf_str(&out), rows[i].shown)) {
            fail_msg("%s of %s: %.*s", rows[i].code, rows[i].number, STR_ARG(buf_str(&out)));
        }
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),   cmocka_unit_test(test_sheets),
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_archive),
        cmocka_unit_test(test_formats), cmocka_unit_test(test_shown),
        cmocka_unit_test(test_utf16),
    };
    return cmocka_run_group_tests_name("table: workbooks", tests, setup, teardown);
}
