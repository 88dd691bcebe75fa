/* Continuation of messages and segments (DSC, ADD): row F21 of the comparison of interface engines.
 */
#include "tests/lib/cm.h"

#include "core/hl7/join.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <string.h>

#define HEAD "MSH|^~\\&|A|B|C|D|||ORU^R01|"
#define MSH(id, pointer) HEAD id "|P|2.5||" pointer

static const struct hl7_msg *parsed(struct arena *a, struct str text)
{
    const struct hl7_msg *m;
    assert_int_equal(hl7_parse(a, guard_copy(text), &hl7_default_limits, &m, NULL), ERR_NONE);
    return m;
}

static void pointers(void **state)
{
    (void)state;
    static char endless[1024];
    struct arena *a = arena_new(0);
    snprintf(endless, sizeof endless, "%s\rDSC|%0200d\r", MSH("1", ""), 7);
    const struct {
        struct str text;
        const char *continues, *continued;
        enum err_code code;
        const char *where;
    } rows[] = {
        {STR(MSH("1", "") "\rPID|1\r"), "", "", ERR_NONE, ""},
        {STR(MSH("1", "") "\rPID|1\rDSC|p1|F\r"), "", "p1", ERR_NONE, ""},
        {STR(MSH("1", "") "\rDSC|p1\r"), "", "p1", ERR_NONE, ""},
        {STR(MSH("2", "p1") "\rDSC|p2|F\r"), "p1", "p2", ERR_NONE, ""},
        {STR(MSH("3", "p2") "|AL\rNTE|1\r"), "p2", "", ERR_NONE, ""},
        {STR(MSH("3", "\"\"") "\rDSC|\"\"\r"), "", "", ERR_NONE, ""},
        {STR(MSH("3", " ") "\rDSC| \r"), "", "", ERR_NONE, ""},
        {STR(MSH("3", "") "\rDSC|\r"), "", "", ERR_NONE, ""},
        {STR(MSH("3", "") "\rDSC|p|I\r"), "", "p", ERR_UNSUPPORTED, "DSC-2"},
        {STR(MSH("3", "p") "\rDSC|p\r"), "p", "p", ERR_VALUE, "DSC-1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_part p;
        struct err e = {0};
        assert_row(hl7_part_read(parsed(a, rows[i].text), &p, &e) == rows[i].code, rows[i].text.p);
        assert_same(str_of(e.where), str_of(rows[i].where), rows[i].text.p);
        assert_same(p.continues, str_of(rows[i].continues), rows[i].text.p);
        assert_same(p.continued, str_of(rows[i].continued), rows[i].text.p);
    }
    struct hl7_part p;
    struct err e = {0};
    assert_int_equal(hl7_part_read(parsed(a, str_of(endless)), &p, &e), ERR_LIMIT);
    assert_string_equal(e.where, "DSC-1");
    arena_free(&a);
    guard_free_all();
}

static void joins(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str parts[3], whole;
    } rows[] = {
        {"at segments",
         {STR(MSH("1", "") "\rPID|1\rDSC|p|F\r"), STR(MSH("2", "p") "\rOBX|1\rDSC|q\r"),
          STR(MSH("3", "q") "\rOBX|2\r")},
         STR(MSH("1", "") "\rPID|1\rOBX|1\rOBX|2\r")},
        {"inside a value",
         {STR(MSH("1", "") "\rOBX|1|TX|half a wo\rADD\rDSC|p|F\r"),
          STR(MSH("2", "p") "\rADD|rd|F\rOBX|2\r"),
          {NULL, 0}},
         STR(MSH("1", "") "\rOBX|1|TX|half a word|F\rOBX|2\r")},
        {"at a field boundary, as an empty ADD has it",
         {STR(MSH("1", "") "\rOBX|1|TX|\rADD|\rDSC|p|F\r"),
          STR(MSH("2", "p") "\rADD|text||F\r"),
          {NULL, 0}},
         STR(MSH("1", "") "\rOBX|1|TX|text||F\r")},
        {"a segment over three parts",
         {STR(MSH("1", "") "\rOBX|1|a\rADD\rDSC|p\r"), STR(MSH("2", "p") "\rADD|b\rADD\rDSC|q\r"),
          STR(MSH("3", "q") "\rADD|c\r")},
         STR(MSH("1", "") "\rOBX|1|abc\r")},
        {"inside a character of two bytes, inside an escape",
         {STR(MSH("1", "") "\rOBX|1|\xea\xb0\rADD\rDSC|p\r"),
          STR(MSH("2", "p") "\rADD|\x80\\\rADD|F\\\r"),
          {NULL, 0}},
         STR(MSH("1", "") "\rOBX|1|\xea\xb0\x80\\F\\\r")},
        {"within one message",
         {STR(MSH("1", "") "\nOBX|1|a\r\nADD|b\nADD|c|d"), {NULL, 0}, {NULL, 0}},
         STR(MSH("1", "") "\rOBX|1|abc|d\r")},
        {"nothing to join",
         {STR("\xef\xbb\xbf\r\n" MSH("1", "") "\rADDX|1\rDSCX"), {NULL, 0}, {NULL, 0}},
         STR(MSH("1", "") "\rADDX|1\rDSCX\r")},
        {"an empty part",
         {STR(MSH("1", "") "\rPID|1\rDSC|p"), STR(MSH("2", "p")), {NULL, 0}},
         STR(MSH("1", "") "\rPID|1\r")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str parts[3];
        size_t n = 0;
        struct buf out;
        buf_init(&out, 1 << 16);
        for (; n < 3 && rows[i].parts[n].p; n++) {
            parts[n] = guard_copy(rows[i].parts[n]);
        }
        assert_row(hl7_join(parts, n, &out, NULL) == ERR_NONE, rows[i].why);
        assert_same(buf_str(&out), rows[i].whole, rows[i].why);
        buf_release(&out);
    }
    guard_free_all();
}

/* Cut at every byte behind the header, with ADD: always the same whole. */
static void every_cut(void **state)
{
    (void)state;
    const struct str head = STR(MSH("1", ""));
    const struct str body =
        STR("PID|1||7^^^H^MR||K\xea\xb0\x80||\"\"\rOBX|1|TX|\\F\\\\X41\\||v~w\r");
    for (size_t cut = 1; cut < body.n; cut++) {
        char first[256], second[256], whole[256];
        bool clean = body.p[cut - 1] == '\r'; /* between segments: no ADD */
        int a = snprintf(first, sizeof first, "%.*s\r%.*s%sDSC|p|F\r", STR_ARG(head), (int)cut,
                         body.p, clean ? "" : "\rADD\r");
        int b = snprintf(second, sizeof second, "%s\r%s%.*s", MSH("2", "p"), clean ? "" : "ADD|",
                         (int)(body.n - cut), body.p + cut);
        int w = snprintf(whole, sizeof whole, "%.*s\r%.*s", STR_ARG(head), STR_ARG(body));
        const struct str parts[] = {guard_copy((struct str){first, (size_t)a}),
                                    guard_copy((struct str){second, (size_t)b})};
        struct buf out;
        buf_init(&out, 1 << 16);
        assert_int_equal(hl7_join(parts, 2, &out, NULL), ERR_NONE);
        assert_same(buf_str(&out), ((struct str){whole, (size_t)w}), second);
        buf_release(&out);
    }
    guard_free_all();
}

static void misfits(void **state)
{
    (void)state;
    const struct {
        const char *why;
        struct str parts[2];
        const char *where;
    } rows[] = {
        {"another separator",
         {STR(MSH("1", "") "\rDSC|p\r"), STR("MSH#^~\\&#A\rPID#1\r")},
         "MSH-1"},
        {"other delimiters", {STR(MSH("1", "") "\rDSC|p\r"), STR("MSH|^~\\@|A\rPID|1\r")}, "MSH-2"},
        {"another character set",
         {STR(MSH("1", "") "\rDSC|p\r"), STR(MSH("2", "p") "||||UNICODE UTF-8\r")},
         "MSH-18"},
        {"no header", {STR(MSH("1", "") "\rDSC|p\r"), STR("MSH")}, "MSH-1"},
        {"the header cannot be continued", {STR(MSH("1", "") "\rADD|x\r"), {NULL, 0}}, "ADD"},
        {"cut, but not continued",
         {STR(MSH("1", "") "\rOBX|1\rADD\rDSC|p\r"), STR(MSH("2", "p") "\rOBX|2\r")},
         "ADD"},
        {"cut, and the end", {STR(MSH("1", "") "\rOBX|1\rADD\r"), {NULL, 0}}, "ADD"},
        {"something behind DSC",
         {STR(MSH("1", "") "\rDSC|p\rOBX|1\r"), STR(MSH("2", "p") "\r")},
         "DSC"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;
        struct err e = {0};
        buf_init(&out, 1 << 16);
        const struct str parts[] = {guard_copy(rows[i].parts[0]),
                                    rows[i].parts[1].p ? guard_copy(rows[i].parts[1]) : STR("")};
        assert_row(hl7_join(parts, rows[i].parts[1].p ? 2 : 1, &out, &e) == ERR_SYNTAX,
                   rows[i].why);
        assert_same(str_of(e.where), str_of(rows[i].where), rows[i].why);
        buf_release(&out);
    }
    guard_free_all();
}

static void no_memory(void **state)
{
    (void)state;
    const struct str parts[] = {STR(MSH("1", "") "\rPID|1\rDSC|p\r"),
                                STR(MSH("2", "p") "\rADD|x\r")};
    for (size_t max = 0; max < 40; max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(hl7_join(parts, 2, &out, NULL), ERR_NOMEM);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pointers), cmocka_unit_test(joins),
                                       cmocka_unit_test(every_cut), cmocka_unit_test(misfits),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests_name("hl7_join", tests, NULL, NULL);
}
