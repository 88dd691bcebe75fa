#include "tests/lib/cm.h"

#include "core/hl7/hl7.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <stdlib.h>
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

static const struct hl7_msg *message(const char *header, enum charset used)
{
    const struct hl7_msg *m = NULL;
    assert_int_equal(hl7_parse(arena, str_of(header), NULL, &m, NULL), ERR_NONE);
    hl7_set_charset(m, used);
    return m;
}

struct row {
    const char *why;
    struct str in, want;
};

static void check(const struct hl7_msg *m, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str out;
        struct err e = {.code = ERR_NONE};
        enum err_code code = hl7_unescape(arena, m, guard_copy(rows[i].in), &out, &e);
        assert_row(code == ERR_NONE, rows[i].why);
        assert_same(out, rows[i].want, rows[i].why);
    }
}

/* F32, F34, F35, F37 */
static void sequences(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"nothing to do", STR("plain"), STR("plain")},
        {"empty", STR(""), STR("")},
        {"field separator", STR("a\\F\\b"), STR("a|b")},
        {"component", STR("a\\S\\b"), STR("a^b")},
        {"subcomponent", STR("a\\T\\b"), STR("a&b")},
        {"repetition", STR("a\\R\\b"), STR("a~b")},
        {"escape", STR("a\\E\\b"), STR("a\\b")},
        {"truncation, of which this message has none", STR("a\\P\\b"), STR("a\\P\\b")},
        {"one behind the other", STR("\\F\\\\S\\\\T\\\\R\\\\E\\"), STR("|^&~\\")},
        {"an escaped escape begins nothing", STR("\\E\\F\\E\\"), STR("\\F\\")},
        {"highlighting", STR("a\\H\\b\\N\\c"), STR("abc")},
        {"hexadecimal", STR("a\\X0D\\b\\X0A\\c"), STR("a\rb\nc")},
        {"hexadecimal, several", STR("\\X48656C6C6F\\"), STR("Hello")},
        {"hexadecimal in lower case", STR("\\X4a4B\\"), STR("JK")},
        {"hexadecimal NUL", STR("a\\X00\\b"), STR("a\0b")},
        {"UTF-8 in hexadecimal", STR("\\XED998D\\"), STR("\xed\x99\x8d")},
        {"one byte per sequence", STR("\\XED\\\\X99\\\\X8D\\!"), STR("\xed\x99\x8d!")},
        {"odd hexadecimal stays", STR("a\\X4\\b"), STR("a\\X4\\b")},
        {"no hexadecimal stays", STR("a\\XZZ\\b"), STR("a\\XZZ\\b")},
        {"empty hexadecimal stays", STR("a\\X\\b"), STR("a\\X\\b")},
        {"line break", STR("a\\.br\\b"), STR("a\nb")},
        {"vertical space", STR("a\\.sp\\b\\.sp3\\c"), STR("a\nb\n\n\nc")},
        {"vertical space with a plus sign", STR("a\\.sp+2\\b"), STR("a\n\nb")},
        {"no vertical space below 1", STR("a\\.sp0\\b"), STR("a\\.sp0\\b")},
        {"indent", STR("\\.in4\\a\\.in-4\\b"), STR("    ab")},
        {"temporary indent", STR("\\.ti+2\\a\\.ti-2\\b"), STR("  ab")},
        {"fill and no fill", STR("a\\.fi\\b\\.nf\\c"), STR("abc")},
        {"centre", STR("a\\.ce\\b"), STR("a\nb")},
        {"skip", STR("a\\.sk\\b\\.sk3\\c"), STR("a b   c")},
        {"skip too far", STR("a\\.sk256\\b"), STR("a\\.sk256\\b")},
        {"skip without end", STR("a\\.sk99999999999999999999\\b"),
         STR("a\\.sk99999999999999999999\\b")},
        {"an unknown format", STR("a\\.xy\\b"), STR("a\\.xy\\b")},
        {"a format with a number it has not", STR("a\\.br2\\b"), STR("a\\.br2\\b")},
        {"character sets stay", STR("a\\C2842\\b\\M242842\\c"), STR("a\\C2842\\b\\M242842\\c")},
        {"local ones stay", STR("a\\Zany thing\\b"), STR("a\\Zany thing\\b")},
        {"unknown ones stay", STR("a\\Q\\b\\unknown\\c"), STR("a\\Q\\b\\unknown\\c")},
        {"an unknown one is one piece", STR("\\unknown\\F\\"), STR("\\unknown\\F\\")},
        {"lower case is unknown", STR("a\\f\\b"), STR("a\\f\\b")},
        {"a doubled one is one alone and a sequence", STR("a\\\\S\\\\b"), STR("a\\^\\b")},
        {"only doubled", STR("a\\\\b"), STR("a\\\\b")},
        {"a doubled path stays", STR("C:\\\\dir\\\\x"), STR("C:\\\\dir\\\\x")},
        {"a path stays", STR("C:\\dir\\F.txt"), STR("C:\\dir\\F.txt")},
        {"unterminated", STR("a\\F"), STR("a\\F")},
        {"only an escape character", STR("\\"), STR("\\")},
        {"a lone one at the end", STR("a\\F\\b\\"), STR("a|b\\")},
        {"a lone one before blanks hides nothing", STR("50 \\ 60 a\\.br\\b"), STR("50 \\ 60 a\nb")},
        {"letters of two bytes are no sequence", STR("\\\xed\x99\x8d\\T\\"),
         STR("\\\xed\x99\x8d&")},
    };
    check(message("MSH|^~\\&|", CHARSET_UTF8), rows, COUNT(rows));
}

static void other_delimiters(void **state)
{
    (void)state;
    const struct row others[] = {
        {"the message's own", STR("a!F!b!S!c!R!d!E!e!T!f"), STR("a$b%c*d!e?f")},
        {"a backslash is text", STR("a\\F\\b"), STR("a\\F\\b")},
    };
    check(message("MSH$%*!?$", CHARSET_UTF8), others, COUNT(others));
    const struct row truncation[] = {{"truncation", STR("long\\P\\"), STR("long#")}};
    check(message("MSH|^~\\&#|", CHARSET_UTF8), truncation, 1);
    const struct row none[] = {{"no escape character", STR("a\\F\\b\\"), STR("a\\F\\b\\")}};
    check(message("MSH|^~|", CHARSET_UTF8), none, 1);
    const struct row no_sub[] = {{"no subcomponents", STR("a\\T\\b\\F\\"), STR("a\\T\\b|")}};
    check(message("MSH|^~\\|", CHARSET_UTF8), no_sub, 1);
}

/* F33. Bytes of the declared set: 홍 is C8 AB there, 뷁 is 94 EE (not in EUC-KR). */
static void bytes_in_charset(void **state)
{
    (void)state;
    const struct row cp949[] = {
        {"two bytes", STR("\\XC8AB\\"), STR("\xed\x99\x8d")},
        {"a byte each", STR("\\XC8\\\\XAB\\"), STR("\xed\x99\x8d")},
        {"beyond KS X 1001", STR("\\X94EE\\"), STR("\xeb\xb7\x81")},
        {"a trail byte that is a letter", STR("\\X8141\\"), STR("\xea\xb0\x82")},
    };
    check(message("MSH|^~\\&|", CHARSET_CP949), cp949, COUNT(cp949));
    const struct row latin[] = {{"Latin-1", STR("\\XE9\\"), STR("\xc3\xa9")}};
    check(message("MSH|^~\\&|", CHARSET_LATIN1), latin, 1);
    const struct row wide[] = {{"UTF-16", STR("\\XD64D000D\\"), STR("\xed\x99\x8d\r")}};
    check(message("MSH|^~\\&|", CHARSET_UTF16), wide, 1);
    const struct {
        enum charset set;
        struct str in;
        size_t pos;
    } bad[] = {
        {CHARSET_CP949, STR("ab\\XC8\\"), 2},
        {CHARSET_UTF8, STR("\\T\\\\XFF\\"), 3},
        {CHARSET_ASCII, STR("\\X80\\"), 0},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err e = {.code = ERR_NONE};
        struct str out;
        const struct hl7_msg *m = message("MSH|^~\\&|", bad[i].set);
        assert_int_equal(hl7_unescape(arena, m, bad[i].in, &out, &e), ERR_CHARSET);
        assert_int_equal(e.pos, bad[i].pos);
        assert_int_equal(out.n, 0);
    }
}

/* Eight bytes that become 255: a message of 16 MiB must not become one of 500. */
static void formatting_has_a_bound(void **state)
{
    (void)state;
    static char bomb[8 * 100 + 1];
    for (size_t i = 0; i < 100; i++) {
        memcpy(bomb + 8 * i, "\\.sp255\\", 8);
    }
    const struct hl7_msg *m = message("MSH|^~\\&|", CHARSET_UTF8);
    struct err e = {.code = ERR_NONE};
    struct str out;
    size_t before = arena_used(arena), values = 0;
    while (hl7_unescape(arena, m, (struct str){bomb, 800}, &out, &e) == ERR_NONE) {
        assert_int_equal(out.n, 25500);
        values++;
    }
    assert_int_equal(e.code, ERR_LIMIT);
    assert_true(values >= 40 && arena_used(arena) - before < 8u << 20);
    m = message("MSH|^~\\&|", CHARSET_UTF8); /* the next message has its own */
    assert_int_equal(hl7_unescape(arena, m, STR("a\\.sp255\\"), &out, &e), ERR_NONE);
    assert_int_equal(out.n, 256);
}

static void escapes(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"nothing to do", STR("plain \t text"), STR("plain \t text")},
        {"every delimiter", STR("|^~\\&"), STR("\\F\\\\S\\\\R\\\\E\\\\T\\")},
        {"line ends", STR("a\r\nb"), STR("a\\X0D\\\\X0A\\b")},
        {"what would end a frame", STR("\x0b\x1c"), STR("\\X0B\\\\X1C\\")},
        {"NUL", STR("a\0b"), STR("a\\X00\\b")},
        {"no truncation character here", STR("#"), STR("#")},
        {"two quotes are not the null", STR("\"\""), STR("\\X22\\\\X22\\")},
        {"quotes", STR("\"a\""), STR("\"a\"")},
        {"empty", STR(""), STR("")},
    };
    const struct hl7_msg *m = message("MSH|^~\\&|", CHARSET_UTF8);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str out, back;
        assert_int_equal(hl7_escape(arena, m, guard_copy(rows[i].in), &out, NULL), ERR_NONE);
        assert_same(out, rows[i].want, rows[i].why);
        assert_int_equal(hl7_unescape(arena, m, out, &back, NULL), ERR_NONE);
        assert_same(back, rows[i].in, rows[i].why);
    }
    struct err e = {.code = ERR_NONE};
    struct str out;
    m = message("MSH|^~|", CHARSET_UTF8);
    assert_int_equal(hl7_escape(arena, m, STR("ab|c"), &out, &e), ERR_UNSUPPORTED);
    assert_int_equal(e.pos, 2);
    m = message("MSH|^~\\&#|", CHARSET_UTF8);
    assert_int_equal(hl7_escape(arena, m, STR("a#"), &out, NULL), ERR_NONE);
    assert_same(out, STR("a\\P\\"), "truncation");
}

/* Any text of nasty characters survives escape and unescape, with any delimiters. */
static void round_trip(void **state)
{
    (void)state;
    static const char *const headers[] = {"MSH|^~\\&|", "MSH|^~\\&#|", "MSH$%*!?$", "MSH|^~\\|"};
    static const char nasty[] = "\\|^~&#FSTRE.XZ0A\r\n\"$%*!? \x1c";
    unsigned seed = 1;
    for (size_t h = 0; h < COUNT(headers); h++) {
        const struct hl7_msg *m = message(headers[h], CHARSET_UTF8);
        for (int round = 0; round < 20000; round++) {
            char text[16];
            size_t n = 0;
            for (seed = seed * 1103515245u + 12345u; n < (seed >> 16) % sizeof text; n++) {
                text[n] = nasty[(seed >> 8) * (n + 7) * 2654435761u % (sizeof nasty - 1)];
            }
            struct str in = {text, n}, out, back;
            assert_int_equal(hl7_escape(arena, m, in, &out, NULL), ERR_NONE);
            assert_null(memchr(out.p, hl7_delimiters(m).field, out.n));
            assert_null(memchr(out.p, '\r', out.n));
            assert_int_equal(hl7_unescape(arena, m, out, &back, NULL), ERR_NONE);
            assert_same(back, in, headers[h]);
        }
        arena_reset(arena);
    }
}

/* A megabyte of sequences, with and without something between them, in memory of its own order. */
static void many(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static const char *const pieces[] = {"\\X41\\", "\\X41\\ ", "\\", "\\X", "\\ \\", "\\X4\\"};
    char *text = malloc(N);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct arena *a = arena_new(64 << 20);
        struct str piece = str_of(pieces[i]), out;
        for (size_t k = 0; k < N; k++) {
            text[k] = piece.p[k % piece.n];
        }
        const struct hl7_msg *m = message("MSH|^~\\&|", CHARSET_CP949);
        assert_row(hl7_unescape(a, m, (struct str){text, N}, &out, NULL) == ERR_NONE, pieces[i]);
        arena_free(&a);
    }
    free(text);
}

/* F36: \\C..\\ and \\M..\\, when MSH-20 says 2.3 (chapter 2.7.2, table 0356). */
static void switching(void **state)
{
    (void)state;
    const struct {
        const char *why;
        enum charset set;
        struct str in, want;
    } rows[] = {
        {"Kanji and back", CHARSET_ASCII, STR("Mt \\M2442\\;3\\C2842\\!"), STR("Mt \xe5\xb1\xb1!")},
        {"Kanji to the end", CHARSET_ASCII, STR("\\M2442\\;3@n"), STR("\xe5\xb1\xb1\xe5\xb7\x9d")},
        {"Kanji in hexadecimal", CHARSET_UTF8, STR("\\M2442\\\\X3B\\\\X33\\\\C2842\\x"),
         STR("\xe5\xb1\xb1x")},
        {"supplementary Kanji", CHARSET_ASCII, STR("\\M242844\\0!"), STR("\xe4\xb8\x82")},
        {"Romaji: a backslash is a yen", CHARSET_ASCII, STR("\\C284A\\\\E\\5"),
         STR("\xc2\xa5"
             "5")},
        {"Katakana", CHARSET_ASCII, STR("\\C2949\\\\XB1\\"), STR("\xef\xbd\xb1")},
        {"Hangul, 7 bits", CHARSET_ASCII, STR("\\M242843\\H+"), STR("\xed\x99\x8d")},
        {"Hangul, 8 bits", CHARSET_ASCII, STR("\\M242943\\\\XC8AB\\"), STR("\xed\x99\x8d")},
        {"Hangul that is the message's", CHARSET_CP949, STR("\\M242943\\\xed\x99\x8d\\C2842\\"),
         STR("\xed\x99\x8d")},
        {"Greek behind Latin 1", CHARSET_LATIN1, STR("\xc3\xa1\\C2D46\\\xc3\xa1\\C2842\\\xc3\xa1"),
         STR("\xc3\xa1\xce\xb1\xc3\xa1")},
        {"each 8 bit set", CHARSET_ASCII,
         STR("\\C2D41\\\\XE6\\\\C2D42\\\\XE6\\\\C2D43\\\\XE6\\\\C2D44\\\\XE6\\\\C2D4C\\\\XE6\\"
             "\\C2D47\\\\XE6\\\\C2D46\\\\XE6\\\\C2D48\\\\XE6\\\\C2D4D\\\\XFE\\\\C2D62\\\\XA4\\"),
         STR("\xc3\xa6\xc4\x87\xc4\x89\xc3\xa6\xd1\x86\xd9\x86\xce\xb6\xd7\x96\xc5\x9f\xe2\x82"
             "\xac")},
        {"a delimiter inside", CHARSET_ASCII, STR("\\C2D41\\\\F\\\\XE9\\"), STR("|\xc3\xa9")},
        {"a line end inside", CHARSET_ASCII, STR("\\M2442\\;3\\.br\\;3"),
         STR("\xe5\xb1\xb1\n\xe5\xb1\xb1")},
        {"no escape where one ends", CHARSET_ASCII, STR("\\F\\C2842\\"), STR("|C2842\\")},
        {"unknown ones stay", CHARSET_ASCII, STR("\\C9999\\a\\M00\\b\\Cx\\"),
         STR("\\C9999\\a\\M00\\b\\Cx\\")},
        {"unterminated", CHARSET_ASCII, STR("a\\M2442"), STR("a\\M2442")},
        {"text that no byte can be", CHARSET_UTF8, STR("\\C2D46\\\xed\x99\x8d"),
         STR("\xed\x99\x8d")},
        {"a lone escape", CHARSET_ASCII, STR("\\C2D41\\a\\ b"), STR("a\\ b")},
        {"nothing between", CHARSET_ASCII, STR("\\M2442\\\\C2842\\"), STR("")},
    };
    const char head[] = "MSH|^~\\&||||||||||||||||||2.3\r";
    const struct hl7_msg *m;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str got;
        assert_int_equal(hl7_parse(arena, str_of(head), NULL, &m, NULL), ERR_NONE);
        hl7_set_charset(m, rows[i].set);
        struct err e = {.code = ERR_NONE};
        assert_row(hl7_unescape(arena, m, guard_copy(rows[i].in), &got, &e) == ERR_NONE,
                   rows[i].why);
        assert_same(got, rows[i].want, rows[i].why);
    }
    struct err e = {.code = ERR_NONE};
    struct str got;
    assert_int_equal(hl7_unescape(arena, m, STR("ab\\M2442\\;\\C2842\\"), &got, &e), ERR_CHARSET);
    assert_int_equal(e.pos, 9);
}

/* Who says that they switch: MSH-20, and where that is silent the version. */
static void who_switches(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool switches;
    } heads[] = {
        {"MSH|^~\\&|||||||||||||||||2.3|\r", false},
        {"MSH|^~\\&||||||||||2.3\r", true},
        {"MSH|^~\\&||||||||||2.3||||||||\r", true},
        {"MSH|^~\\&||||||||||2.3||||||||\"\"\r", false},
        {"MSH|^~\\&||||||||||2.3||||||||ISO 2022-1994\r", false},
        {"MSH|^~\\&||||||||||2.3.1\r", false},
        {"MSH|^~\\&||||||||||2.5||||||||2.3\r", true},
    };
    for (size_t i = 0; i < COUNT(heads); i++) {
        const struct hl7_msg *m;
        struct str got;
        const struct str in = STR("\\M2442\\;3\\C2842\\");
        assert_int_equal(hl7_parse(arena, str_of(heads[i].head), NULL, &m, NULL), ERR_NONE);
        assert_int_equal(hl7_unescape(arena, m, in, &got, NULL), ERR_NONE);
        assert_same(got, heads[i].switches ? STR("\xe5\xb1\xb1") : in, heads[i].head);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences),
        cmocka_unit_test(other_delimiters),
        cmocka_unit_test(bytes_in_charset),
        cmocka_unit_test(formatting_has_a_bound),
        cmocka_unit_test(escapes),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(switching),
        cmocka_unit_test(who_switches),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
