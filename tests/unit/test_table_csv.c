/* core/table: CSV and TSV as they are really written; every refusal with its code and its place. */
#include "core/table/table.h"

#include "core/base/file.h"
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
static char folder[] = "/tmp/dari-csv-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    if (!arena || !mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/t.csv", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    arena_free(&arena);
    return 0;
}

static const char *read_table(struct str bytes, const struct table_settings *s)
{
    assert_int_equal(file_write(path, bytes, 0600, NULL), ERR_NONE);
    return table_text(path, s);
}

struct row_case {
    const char *name;
    struct str bytes;
    const char *expected;
};

static void run_cases(const struct row_case *rows, size_t n, const struct table_settings *s)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = read_table(rows[i].bytes, s);
        if (strcmp(got, rows[i].expected) != 0) {
            fail_msg("%s\nexpected %s\ngot      %s", rows[i].name, rows[i].expected, got);
        }
    }
}
#define RUN(rows, s) run_cases(rows, sizeof rows / sizeof rows[0], s)
#define BYTES(x) STR_INIT(x)

static void test_forms(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"RFC 4180", BYTES("a,b\r\n1,2\r\n3,4\r\n"), "[a|b]2:[1|2]3:[3|4]"},
        {"no line end at the end", BYTES("a,b\n1,2"), "[a|b]2:[1|2]"},
        {"CR alone", BYTES("a,b\r1,2\r3,4"), "[a|b]2:[1|2]3:[3|4]"},
        {"quotes", BYTES("a,b\n\"x,\"\"y\"\"\",\"\"\n"), "[a|b]2:[x,\"y\"|]"},
        {"line ends in quotes", BYTES("a,b\n\"x\r\ny\",2\n3,4\n"), "[a|b]2:[x\r\ny|2]3:[3|4]"},
        {"blanks around quotes", BYTES("a,b\n1, \"x,y\" \n"), "[a|b]2:[1|x,y]"},
        {"quotes inside", BYTES("a,b\n1,Says \"\"Hello\"\"\n"), "[a|b]2:[1|Says \"\"Hello\"\"]"},
        {"tabs", BYTES("a\tb\n1\tx,y\n"), "[a|b]2:[1|x,y]"},
        {"semicolons", BYTES("a;b\n1;2\n"), "[a|b]2:[1|2]"},
        {"bars", BYTES("a|b\n1|2\n"), "[a|b]2:[1|2]"},
        {"sep=", BYTES("sep=;\na;b,c\n1;2\n"), "[a|b,c]3:[1|2]"},
        {"one column", BYTES("a\n1\n2\n"), "[a]2:[1]3:[2]"},
        {"empty lines", BYTES("a,b\n\n1,2\n,\n3,4\n\n"), "[a|b]3:[1|2]5:[3|4]"},
        {"byte order mark", BYTES("\xEF\xBB\xBF\"a\",b\n1,2\n"), "[a|b]2:[1|2]"},
        {"text for a spreadsheet", BYTES("a,b\n=\"001\",\"=\"\"002\"\"\"\n"), "[a|b]2:[001|002]"},
        {"blank header", BYTES("a,,c\n1,2,3\n"), "[a|column 2|c]2:[1|2|3]"},
        {"blank headers at the end", BYTES("a,b,,\n1,2,,\n"), "[a|b]2:[1|2]"},
        {"wide and fixed blanks",
         BYTES("a\xC2\xA0,b\n12\xC2\xA0,\xE3\x80\x80홍길동\xE3\x80\x80\n\xC2\xA0,\xE3\x80\x80\n"),
         "[a|b]2:[12|홍길동]"},
        {"twice the same header", BYTES("a,a,a\n1,2,3\n"), "[a|a (2)|a (3)]2:[1|2|3]"},
    };
    static const struct table_settings s = {.fallback = CHARSET_CP949};
    RUN(rows, &s);
}

static void test_ragged(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"too short", BYTES("a,b,c\n1,2\n1,2,3\n"), "[a|b|c]2!syntax row 2;3:[1|2|3]"},
        {"too long", BYTES("a,b\n1,2,3\n1,2\n"), "[a|b]2!syntax row 2;3:[1|2]"},
        {"too long, but empty", BYTES("a,b\n1,2,, \n"), "[a|b]2:[1|2]"},
        {"behind a quote", BYTES("a,b\n1,\"2\"x\n3,4\n"), "[a|b]2!syntax row 2, column b;3:[3|4]"},
        {"a quote not closed", BYTES("a,b\n1,2\n3,\"4\n5,6\n"),
         "[a|b]2:[1|2]syntax row 3, column 2"},
        {"formula", BYTES("a,b\n1,=SUM(A1:A9)\n3,4\n"), "[a|b]2!refused row 2, column b;3:[3|4]"},
        {"formulas", BYTES("a,b\n1,\"=1+1\"\n@SUM(1),4\n+cmd|' /C x'!A0,1\n-cmd|x,1\n"),
         "[a|b]2!refused row 2, column b;3!refused row 3, column a;4!refused row 4, column "
         "a;5!refused row 5, column a;"},
        {"no formulas", BYTES("a,b\n=== x,=> y\n-5,+82 10\n@home,-\n"),
         "[a|b]2:[=== x|=> y]3:[-5|+82 10]4:[@home|-]"},
        {"NUL", BYTES("a,b\n1,2\n3,x\0y\n"), "[a|b]2:[1|2]syntax row 3, column 2"},
        {"NUL in quotes", BYTES("a,b\n1,\"x\0y\"\n"), "[a|b]syntax row 2, column 2"},
        {"nothing", BYTES(""), "syntax "},
        {"blanks only", BYTES("\n \n"), "syntax "},
    };
    static const struct table_settings s = {.fallback = CHARSET_CP949};
    RUN(rows, &s);
}

/* "차트번호,이름\n0012,홍길동\n" in each character set, marked or not. */
#define KR_UTF8 "차트번호,이름\n0012,홍길동\n"
#define KR_TEXT "[차트번호|이름]2:[0012|홍길동]"
#define KR_CP949                                                                                   \
    "\xC2\xF7\xC6\xAE\xB9\xF8\xC8\xA3,\xC0\xCC\xB8\xA7\n0012,\xC8\xAB\xB1\xE6\xB5\xBF\n"
#define KR_LE                                                                                      \
    "\x28\xCC\xB8\xD2\x88\xBC\x38\xD6,\0\x74\xC7\x84\xB9\n\0"                                      \
    "0\0"                                                                                          \
    "0\0"                                                                                          \
    "1\0"                                                                                          \
    "2\0,\0\x4D\xD6\x38\xAE\xD9\xB3\n\0"
#define KR_BE                                                                                      \
    "\xCC\x28\xD2\xB8\xBC\x88\xD6\x38\0,\xC7\x74\xB9\x84\0\n\0"                                    \
    "0\0"                                                                                          \
    "0\0"                                                                                          \
    "1\0"                                                                                          \
    "2\0,\xD6\x4D\xAE\x38\xB3\xD9\0\n"

static void test_charsets(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"UTF-8", BYTES(KR_UTF8), KR_TEXT},
        {"UTF-8 with a mark", BYTES("\xEF\xBB\xBF" KR_UTF8), KR_TEXT},
        {"CP949", BYTES(KR_CP949), KR_TEXT},
        {"UTF-16LE with a mark", BYTES("\xFF\xFE" KR_LE), KR_TEXT},
        {"UTF-16BE with a mark", BYTES("\xFE\xFF" KR_BE), KR_TEXT},
        {"UTF-16LE", BYTES(KR_LE), KR_TEXT},
        {"UTF-16BE", BYTES(KR_BE), KR_TEXT},
        {"UTF-16LE with a letter whose low byte is zero",
         BYTES("\0\xB3,\0a\0\n\0b\0,\0c\0\n\0d\0,\0e\0\n\0"), "[대|a]2:[b|c]3:[d|e]"},
        {"a syllable that EUC-KR lacks", BYTES("a,b\n1,\x94\xEE\n"), "[a|b]2:[1|뷁]"},
        {"neither", BYTES("a,b\n1,\xC8\xAB\n2,\xC8\xFF\n3,c\n"),
         "[a|b]2:[1|홍]3!charset row 3, column b;4:[3|c]"},
        {"UTF-8 with a name that was cut",
         BYTES("차트번호,이름,주소\n1,홍길\xEB\x8F,서울특별시 강남구 테헤란로 "
               "백이십삼번길\n2,김영희,부산\n"),
         "[차트번호|이름|주소]2!charset row 2, column 이름;3:[2|김영희|부산]"},
        {"CP949 of few letters", BYTES("a,b\n1,\xC8\xAB\xB1\xE6\n"), "[a|b]2:[1|홍길]"},
        {"UTF-8 as marked, but not",
         BYTES("\xEF\xBB\xBF"
               "a,b\n1,\xC8\xFF\n2,c\n"),
         "[a|b]2!charset row 2, column b;3:[2|c]"},
        {"half a pair",
         BYTES("\xFF\xFE"
               "a\0,\0b\0\n\0"
               "1\0,\0\x3D\xD8\n\0"),
         "[a|b]charset row 2, column 2"},
        {"a pair",
         BYTES("\xFF\xFE"
               "a\0,\0b\0\n\0"
               "1\0,\0\x3D\xD8\x00\xDE\n\0"),
         "[a|b]2:[1|😀]"},
        {"cut in a character",
         BYTES("\xFF\xFE"
               "a\0,\0b\0\n\0"
               "1\0,\0x"),
         "[a|b]charset row 2, column 2"},
    };
    static const struct table_settings s = {.fallback = CHARSET_CP949};
    RUN(rows, &s);
    static const enum charset cp949 = CHARSET_CP949, shifts = CHARSET_ISO2022KR;
    struct table_settings given = {.charset = &cp949, .fallback = CHARSET_UTF8};
    assert_string_equal(read_table(rows[2].bytes, &given), KR_TEXT);
    assert_string_equal(read_table(rows[0].bytes, &given), "charset row 1, column 2");
    given.charset = &shifts;
    assert_string_equal(read_table(rows[2].bytes, &given), "unsupported ");
}

static void test_headers(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"titles above", BYTES("예약 현황\n\n2026-03-12,,\n차트번호,예약일,이름\n1,2,3\n"),
         "[차트번호|예약일|이름]5:[1|2|3]"},
        {"a title of several words", BYTES("병원,예약일,현황\n차트 번호,예약일자,성 명\n1,2,3\n"),
         "[차트 번호|예약일자|성 명]3:[1|2|3]"},
        {"the header again", BYTES("등록번호,예약일\n1,2\n등록번호,예약일\n3,4\n"),
         "[등록번호|예약일]2:[1|2]4:[3|4]"},
        {"tabs and commas", BYTES("차트번호\t예약일\t이름, 성\n1\t2\t3\n"),
         "[차트번호|예약일|이름, 성]2:[1|2|3]"},
        {"a required column is missing", BYTES("차트번호,이름\n1,2\n"), "required row 1"},
        {"no header", BYTES("1,2\n3,4\n"), "required row 1"},
        {"one of two is needed twice", BYTES("차트번호,예약일,예약일\n1,2,3\n"),
         "syntax row 1, column 3"},
        {"one that is not needed twice", BYTES("차트번호,예약일,메모,메모\n1,2,3,4\n"),
         "[차트번호|예약일|메모|메모 (2)]2:[1|2|3|4]"},
        {"composed by a Mac",
         BYTES("차트번호,\xE1\x84\x8B\xE1\x85\xA8\xE1\x84\x8B\xE1\x85\xA3\xE1\x86\xA8"
               "\xE1\x84\x8B\xE1\x85\xB5\xE1\x86\xAF\n1,2\n"),
         "[차트번호|\xE1\x84\x8B\xE1\x85\xA8\xE1\x84\x8B\xE1\x85\xA3\xE1\x86\xA8"
         "\xE1\x84\x8B\xE1\x85\xB5\xE1\x86\xAF]2:[1|2]"},
    };
    struct table_settings s = {.fallback = CHARSET_CP949,
                               .names = table_names_with(arena, "chart_no! appt_date!")};
    RUN(rows, &s);
    s = (struct table_settings){.fallback = CHARSET_UTF8, .header_row = 2};
    assert_string_equal(read_table(STR("x,y\na,b\n1,2\n"), &s), "[a|b]3:[1|2]");
    s.header_row = TABLE_NO_HEADER;
    assert_string_equal(read_table(STR("x,y\na,b\n"), &s), "[1|2]1:[x|y]2:[a|b]");
    s = (struct table_settings){.fallback = CHARSET_UTF8, .delimiter = '|'};
    assert_string_equal(read_table(STR("x,y|z\na,b|c\n"), &s), "[x,y|z]2:[a,b|c]");
}

static void test_data(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"totals",
         BYTES("차트번호,이름,비용\n1,가,10\n소 계,,10\n2,나,20\n합계 : "
               "2건,,30\n,총계,60\nTotal,,\n"),
         "[차트번호|이름|비용]2:[1|가|10]4:[2|나|20]"},
        {"totals in marks",
         BYTES("차트번호,이름,비용\n1,가,10\n< 총 2건 >,,\n[합계],,20\n== 소계 ==,,1\n※ "
               "총계,,1\n<가>,나,1\n"),
         "[차트번호|이름|비용]2:[1|가|10]7:[<가>|나|1]"},
        {"totals of a day",
         BYTES("차트번호,이름,비용\n1,가,10\n일계,,10\n월계 : ,,20\n평균,,5\n수납합계,,1\n환자수: "
               "3명,,\n2,평균,1\n"),
         "[차트번호|이름|비용]2:[1|가|10]8:[2|평균|1]"},
        {"feet",
         BYTES("차트번호,이름,비용\n출력일,가,10\n출력일시 : 2026-03-05 10:00,,\n,작성자: 홍,\n-- "
               "이하 여백 --,,\n1,나,1\n"),
         "[차트번호|이름|비용]2:[출력일|가|10]6:[1|나|1]"},
        {"no totals", BYTES("차트번호,이름,비용\n1,총명한,10\n전체,합,1\n2,합계동,2\n"),
         "[차트번호|이름|비용]2:[1|총명한|10]4:[2|합계동|2]"},
        {"merged cells", BYTES("월,매체,비용\n3월,a,1\n,b,2\n,,\n4월,c,3\n,d,4\n"),
         "[월|매체|비용]2:[3월|a|1]3:[3월|b|2]5:[4월|c|3]6:[4월|d|4]"},
        {"numbers of residents",
         BYTES("차트번호,주민번호,메모\n1,900101-1234567,x "
               "9001011234567.\n2,9001011,1234567890123\n3,９００１０１１２３"
               "４５６７,900101-1******\n4,90010112345,\n"),
         "[차트번호|주민번호|메모]2:[1|900101-1******|x "
         "900101-1******.]3:[2|9001011|1234567890123]4:[3|900101-1*"
         "*****|900101-1******]5:[4|9001011****|]"},
    };
    struct table_settings s = {.fallback = CHARSET_CP949,
                               .names = table_names_with(arena, "month+ rrn#")};
    RUN(rows, &s);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"a cell at the limit", BYTES("a,b\n12345678,2\n"), "[a|b]2:[12345678|2]"},
        {"a cell over it", BYTES("a,b\n1,2\n3,123456789\n"), "[a|b]2:[1|2]limit row 3, column 2"},
        {"in quotes", BYTES("a,b\n\"123456789\",2\n"), "[a|b]limit row 2, column 1"},
        {"columns at the limit", BYTES("a,b,c,d\n1,2,3,4\n"), "[a|b|c|d]2:[1|2|3|4]"},
        {"columns over it", BYTES("a,b,c,d,e\n"), "limit row 1, column 5"},
        {"a header over it", BYTES("a23456789,b\n"), "limit row 1, column 1"},
    };
    static const struct table_settings s = {
        .fallback = CHARSET_UTF8, .max_cell = 8, .max_columns = 4};
    RUN(rows, &s);
}

/* A cell of 100 MB, a header without an end: refused after a little, and nothing is kept of it. */
static void test_endless(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *expected;
        char filling;
    } rows[] = {
        {"a,b\n1,", "[a|b]limit row 2, column 2", 'x'},
        {"a,b\n1,\"", "[a|b]limit row 2, column 2", 'x'},
        {"", "limit row 1, column 1", 'x'},
        {"", "limit row 1, column 2001", ','},
        {"a,b\n1,\"", "[a|b]limit row 2, column 2", '\n'},
        {"a,b\n1,2\n", "[a|b]2:[1|2]", '\n'},
    };
    static const struct table_settings s = {.fallback = CHARSET_UTF8};
    size_t n = 100u << 20;
    char *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(bytes, rows[i].filling, n);
        memcpy(bytes, rows[i].begin, strlen(rows[i].begin));
        const char *got = read_table((struct str){bytes, n}, &s);
        assert_string_equal(got, rows[i].expected);
    }
    free(bytes);
}

/* Behind any row, the rest comes as it did; backwards too. */
static void test_seek(void **state)
{
    (void)state;
    struct table *t;
    struct table_row row;
    bool more;
    struct err e = {0};
    struct table_settings s = {.fallback = CHARSET_UTF8,
                               .names = table_names_with(arena, "month+")};
    assert_int_equal(
        file_write(path, STR("월,매체\n\n1,a\n,b\n합계,\n,\"c\nd\"\n2,e\n"), 0600, NULL), ERR_NONE);
    assert_int_equal(table_open(path, &s, &t, &e), ERR_NONE);
    static const struct {
        int64_t after, number;
        const char *month, *channel;
    } rows[] = {{0, 3, "1", "a"}, {3, 4, "1", "b"}, {4, 6, "1", "c\nd"}, {5, 6, "1", "c\nd"},
                {6, 7, "2", "e"}, {2, 3, "1", "a"}, {7, 0, "", ""},      {100, 0, "", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(table_seek(t, rows[i].after, &e), ERR_NONE);
        assert_int_equal(table_next(t, &row, &more, &e), ERR_NONE);
        assert_int_equal(more, rows[i].number != 0);
        if (more) {
            assert_int_equal(row.number, rows[i].number);
            assert_true(str_is(row.cells[0], rows[i].month));
            assert_true(str_is(row.cells[1], rows[i].channel));
        }
    }
    assert_int_equal(table_bytes(t), table_bytes_read(t));
    assert_string_equal(table_format(t), "csv");
    table_close(&t);
}

static void test_files(void **state)
{
    (void)state;
    static const struct row_case rows[] = {
        {"an old workbook", BYTES("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), "unsupported "},
        {"HTML", BYTES(" <html><table>"), "unsupported "},
        {"an archive", BYTES("PK\3\4....................................."), "syntax "},
    };
    static const struct table_settings s = {.fallback = CHARSET_UTF8};
    RUN(rows, &s);
    assert_string_equal(table_text("/nonexistent.csv", &s), "not-found ");
}

/* Real files of others, when they are here: each row is read or has its place. */
static void test_corpus(void **state)
{
    (void)state;
    char **files;
    size_t count;
    const char *at = "../shared/corpus/csv";
    if (file_list(arena, at, ".csv", &files, &count, NULL) != ERR_NONE || count == 0) {
        skip();
    }
    static const struct table_settings s = {.fallback = CHARSET_CP949};
    for (size_t i = 0; i < count; i++) {
        struct table *t;
        struct table_row row;
        bool more = true;
        struct err e = {0};
        size_t rows = 0;
        assert_int_equal(table_open(file_path(arena, at, files[i]), &s, &t, &e), ERR_NONE);
        while (table_next(t, &row, &more, &e) == ERR_NONE && more) {
            assert_true(row.cells != NULL || row.problem.where[0] != '\0');
            rows += row.cells != NULL;
        }
        assert_int_equal(e.code, ERR_NONE);
        assert_true(rows > 0);
        table_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_ragged),
        cmocka_unit_test(test_charsets), cmocka_unit_test(test_headers),
        cmocka_unit_test(test_data),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_endless),  cmocka_unit_test(test_seek),
        cmocka_unit_test(test_files),    cmocka_unit_test(test_corpus),
    };
    return cmocka_run_group_tests_name("table: csv", tests, setup, teardown);
}
