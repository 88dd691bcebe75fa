#include "tests/lib/cm.h"

#include "core/base/clock.h"
#include "core/hl7/reply.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <string.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return arena && zone_set("Asia/Seoul", NULL) == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    guard_free_all();
    return 0;
}

/* 2026-03-11T09:00:00+09:00 */
#define AT ((usec)1773187200 * USEC_SECOND)

/* The reply as text with its segments on lines, "-" when none is wanted. */
static struct str reply_to(struct str raw, bool parse, struct hl7_reply r, enum charset set)
{
    static struct buf out;
    const struct hl7_msg *m = NULL;
    bool wanted;
    raw = guard_copy(raw);
    if (parse) {
        struct str text;
        enum charset used;
        assert_int_equal(hl7_decode(arena, raw, &set, set, &text, &used, NULL), ERR_NONE);
        assert_int_equal(hl7_parse(arena, text, NULL, &m, NULL), ERR_NONE);
        hl7_set_charset(m, used);
    }
    buf_release(&out);
    buf_init(&out, 1 << 20);
    r.id = STR("R1");
    r.at = AT;
    hl7_reply(&out, m, raw, &r, &wanted);
    assert_true(buf_ok(&out));
    assert_true(wanted || out.n == 0);
    for (size_t i = 0; i < out.n; i++) {
        if (out.p[i] == '\r') {
            out.p[i] = '\n';
        }
    }
    return wanted ? buf_str(&out) : STR("-");
}

#define FROM "MSH|^~\\&|A^1|B|C|D^2|20260101||ADT^A08^ADT_A01|C42|P|"
#define BACK(version, type) "MSH|^~\\&|C|D^2|A^1|B|20260311090000+0900||" type "|R1|P|" version "\n"

/* F15, F16 */
static void by_version(void **state)
{
    (void)state;
    const struct hl7_reply ok = {.verdict = HL7_ACCEPT};
    const struct hl7_reply bad = {.verdict = HL7_ERROR, .condition = 101, .place = "PID-3.1"};
    const struct hl7_reply no = {
        .verdict = HL7_REJECT, .condition = 200, .text = "we do not take |these|"};
    const struct {
        const char *why;
        struct str in;
        const struct hl7_reply *r;
        struct str want;
    } rows[] = {
        {"2.1", STR(FROM "2.1"), &ok,
         STR("MSH|^~\\&|C|D^2|A^1|B|20260311090000||ACK|R1|P|2.1\nMSA|AA|C42\n")},
        {"2.2", STR(FROM "2.2"), &ok, STR(BACK("2.2", "ACK") "MSA|AA|C42\n")},
        {"2.3", STR(FROM "2.3"), &ok, STR(BACK("2.3", "ACK^A08") "MSA|AA|C42\n")},
        {"2.3.1", STR(FROM "2.3.1"), &ok, STR(BACK("2.3.1", "ACK^A08") "MSA|AA|C42\n")},
        {"2.4", STR(FROM "2.4"), &ok, STR(BACK("2.4", "ACK^A08^ACK") "MSA|AA|C42\n")},
        {"2.5.1", STR(FROM "2.5.1"), &ok, STR(BACK("2.5.1", "ACK^A08^ACK") "MSA|AA|C42\n")},
        {"2.9", STR(FROM "2.9"), &ok, STR(BACK("2.9", "ACK^A08^ACK") "MSA|AA|C42\n")},
        {"version with components", STR(FROM "2.5^KOR&x"), &ok,
         STR(BACK("2.5^KOR&x", "ACK^A08^ACK") "MSA|AA|C42\n")},
        {"no version", STR(FROM), &ok, STR(BACK("2.5.1", "ACK^A08^ACK") "MSA|AA|C42\n")},
        {"error in 2.2", STR(FROM "2.2"), &bad,
         STR(BACK("2.2", "ACK") "MSA|AE|C42|Required field missing\n"
                                "ERR|PID^1^3^101&Required field missing&HL70357\n")},
        {"error in 2.4", STR(FROM "2.4"), &bad,
         STR(BACK("2.4", "ACK^A08^ACK") "MSA|AE|C42|Required field missing\n"
                                        "ERR|PID^1^3^101&Required field missing&HL70357\n")},
        {"error in 2.5", STR(FROM "2.5"), &bad,
         STR(BACK("2.5", "ACK^A08^ACK") "MSA|AE|C42\nERR||PID^1^3^1^1|101^Required field "
                                        "missing^HL70357|E|||Required field missing\n")},
        {"reject in 2.4, no place", STR(FROM "2.4"), &no,
         STR(BACK("2.4", "ACK^A08^ACK") "MSA|AR|C42|we do not take \\F\\these\\F\\\n"
                                        "ERR|^^^200&Unsupported message type&HL70357\n")},
        {"reject in 2.8, no place", STR(FROM "2.8"), &no,
         STR(BACK("2.8", "ACK^A08^ACK") "MSA|AR|C42\nERR|||200^Unsupported message type^HL70357|E"
                                        "|||we do not take \\F\\these\\F\\\n")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_same(reply_to(rows[i].in, true, *rows[i].r, CHARSET_UTF8), rows[i].want,
                    rows[i].why);
    }
}

/* F20: MSA-4 is the sequence number, behind MSA-3 where there is one. */
static void sequence(void **state)
{
    (void)state;
    const struct hl7_reply ok = {.verdict = HL7_ACCEPT, .sequence = "17"};
    const struct hl7_reply no = {.verdict = HL7_ERROR, .condition = 207, .sequence = "-1"};
    const struct {
        const char *why;
        struct str in;
        const struct hl7_reply *r;
        struct str want;
    } rows[] = {
        {"2.5", STR(FROM "2.5"), &ok, STR(BACK("2.5", "ACK^A08^ACK") "MSA|AA|C42||17\n")},
        {"2.3", STR(FROM "2.3"), &ok, STR(BACK("2.3", "ACK^A08") "MSA|AA|C42||17\n")},
        {"error in 2.2", STR(FROM "2.2"), &no,
         STR(BACK("2.2", "ACK") "MSA|AE|C42|Application internal error|-1\n"
                                "ERR|^^^207&Application internal error&HL70357\n")},
        {"error in 2.6", STR(FROM "2.6"), &no,
         STR(BACK("2.6", "ACK^A08^ACK") "MSA|AE|C42||-1\nERR|||207^Application internal error"
                                        "^HL70357|E|||Application internal error\n")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_same(reply_to(rows[i].in, true, *rows[i].r, CHARSET_UTF8), rows[i].want,
                    rows[i].why);
    }
}

/* F09-F12. MSH-15 and MSH-16: who is answered, and in which mode. "-" is silence. */
static void modes(void **state)
{
    (void)state;
    const struct {
        const char *accept, *result;
        const char *codes[3]; /* accepted, error, reject */
    } rows[] = {
        {"", "", {"AA", "AE", "AR"}},     {"\"\"", "\"\"", {"AA", "AE", "AR"}},
        {"AL", "", {"CA", "CE", "CR"}},   {"AL", "NE", {"CA", "CE", "CR"}},
        {"AL", "AL", {"CA", "CE", "CR"}}, {"NE", "", {"AA", "AE", "AR"}},
        {"NE", "NE", {"-", "-", "-"}},    {"ER", "", {"AA", "CE", "CR"}},
        {"SU", "", {"CA", "AE", "AR"}},   {"ER", "AL", {"AA", "CE", "CR"}},
        {"SU", "AL", {"CA", "AE", "AR"}}, {"NE", "AL", {"AA", "AE", "AR"}},
        {"NE", "ER", {"-", "AE", "AR"}},  {"NE", "SU", {"AA", "-", "-"}},
        {"", "AL", {"AA", "AE", "AR"}},   {"", "ER", {"-", "AE", "AR"}},
        {"", "NE", {"-", "-", "-"}},      {"XX", "", {"CA", "CE", "CR"}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int v = 0; v < 3; v++) {
            char in[200], why[40];
            int n = snprintf(in, sizeof in, FROM "2.5|||%s|%s", rows[i].accept, rows[i].result);
            snprintf(why, sizeof why, "%s/%s/%d", rows[i].accept, rows[i].result, v);
            const struct hl7_reply r = {.verdict = (enum hl7_verdict)v, .condition = 207};
            struct str got = reply_to((struct str){in, (size_t)n}, true, r, CHARSET_UTF8);
            size_t at = str_find(got, '\n', 0);
            if (at < got.n) {
                got = str_cut(got, at + 5, at + 7);
            }
            assert_same(got, str_of(rows[i].codes[v]), why);
        }
    }
}

static void places(void **state)
{
    (void)state;
    const struct {
        const char *place, *old, *new;
    } rows[] = {
        {NULL, "^^^", ""},
        {"segment 4", "^^^", ""},
        {"MSH-18", "MSH^1^18^", "MSH^1^18"},
        {"PID", "PID^1^^", "PID^1"},
        {"OBX(3)-5(2).1.4", "OBX^3^5^", "OBX^3^5^2^1^4"},
        {"OBX(3)-5(2)", "OBX^3^5^", "OBX^3^5^2"},
        {"PID-3.1", "PID^1^3^", "PID^1^3^1^1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hl7_reply r = {.verdict = HL7_ERROR, .condition = 102, .place = rows[i].place};
        char want[300];
        snprintf(want, sizeof want,
                 BACK("2.3", "ACK^A08") "MSA|AE|C42|Data type error\n"
                                        "ERR|%s102&Data type error&HL70357\n",
                 rows[i].old);
        assert_same(reply_to(STR(FROM "2.3"), true, r, CHARSET_UTF8), str_of(want), "old");
        snprintf(want, sizeof want,
                 BACK("2.7", "ACK^A08^ACK") "MSA|AE|C42\n"
                                            "ERR||%s|102^Data type error^HL70357|E|||Data type "
                                            "error\n",
                 rows[i].new);
        assert_same(reply_to(STR(FROM "2.7"), true, r, CHARSET_UTF8), str_of(want), "new");
    }
}

static void delimiters(void **state)
{
    (void)state;
    const struct hl7_reply bad = {
        .verdict = HL7_ERROR, .condition = 101, .place = "PID-3", .text = "a $ or % or \\"};
    assert_same(reply_to(STR("MSH$%*!?$A$B$C$D$$$ADT%A01$7$T$2.6"), true, bad, CHARSET_UTF8),
                STR("MSH$%*!?$C$D$A$B$20260311090000+0900$$ACK%A01%ACK$R1$T$2.6\nMSA$AE$7\n"
                    "ERR$$PID%1%3$101%Required field missing%HL70357$E$$$a !F! or !S! or \\\n"),
                "the message's own");
    assert_same(reply_to(STR("MSH|^~|A|B|C|D|||ADT^A01|7|T|2.4"), true, bad, CHARSET_UTF8),
                STR("MSH|^~|C|D|A|B|20260311090000+0900||ACK^A01^ACK|R1|T|2.4\n"
                    "MSA|AE|7|a $ or % or \\\nERR|PID^1^3^101\n"),
                "without escapes and subcomponents");
    const struct hl7_reply clash = {.verdict = HL7_ERROR, .condition = 207, .text = "a|b\rc"};
    assert_same(reply_to(STR("MSH|^~|A|B|C|D|||ADT^A01|7|T|2.4"), true, clash, CHARSET_UTF8),
                STR("MSH|^~|C|D|A|B|20260311090000+0900||ACK^A01^ACK|R1|T|2.4\n"
                    "MSA|AE|7|a b c\nERR|^^^207\n"),
                "what cannot be said without escapes");
    assert_same(reply_to(STR("MSH|^~\\&|A|B|C|D|||ADT^A\x1c\x1c|7\x1c\x0b|P|2.5"), true,
                         (struct hl7_reply){.verdict = HL7_ACCEPT}, CHARSET_UTF8),
                STR("MSH|^~\\&|C|D|A|B|20260311090000+0900||ACK|R1|P|2.5\n"
                    "MSA|AA|7\\X1C\\\\X0B\\\n"),
                "nothing that ends a frame");
}

/* Names of applications in the sender's own set, and MSH-18 only then. */
static void character_sets(void **state)
{
    (void)state;
    const struct hl7_reply ok = {.verdict = HL7_ACCEPT};
    assert_same(reply_to(STR("MSH|^~\\&|\xc8\xab|B|C|D|||ADT^A01|7|P|2.5||||||KS X 1001"), true, ok,
                         CHARSET_CP949),
                STR("MSH|^~\\&|C|D|\xc8\xab|B|20260311090000+0900||ACK^A01^ACK|R1|P|2.5||||||"
                    "KS X 1001\nMSA|AA|7\n"),
                "cp949");
    assert_same(
        reply_to(STR("MSH|^~\\&|\xc8\xab|B|C|D|||ADT^A01|7|P|2.5"), true, ok, CHARSET_CP949),
        STR("MSH|^~\\&|C|D|\xc8\xab|B|20260311090000+0900||ACK^A01^ACK|R1|P|2.5||||||"
            "KS X 1001\nMSA|AA|7\n"),
        "cp949 by the feed's word");
    assert_same(reply_to(STR("MSH|^~\\&|\xed\x99\x8d|B|C|D|||ADT^A01|7|P|2.5||||||UNICODE UTF-8"),
                         true, ok, CHARSET_UTF8),
                STR("MSH|^~\\&|C|D|\xed\x99\x8d|B|20260311090000+0900||ACK^A01^ACK|R1|P|2.5||||||"
                    "UNICODE UTF-8\nMSA|AA|7\n"),
                "utf-8");
    assert_same(reply_to(STR("MSH|^~\\&|A|B|C|D|||ADT^A01|7|P|2.5||||||KS X 1001"), true, ok,
                         CHARSET_CP949),
                STR("MSH|^~\\&|C|D|A|B|20260311090000+0900||ACK^A01^ACK|R1|P|2.5\nMSA|AA|7\n"),
                "ASCII needs no name");
}

/* F18. Without a message: what can be found is used, and the control id always. */
static void unparsed(void **state)
{
    (void)state;
    const struct hl7_reply no = {
        .verdict = HL7_REJECT, .condition = 207, .place = "segment 3", .text = "broken"};
#define TAIL "ERR|||207^Application internal error^HL70357|E|||broken\n"
    const struct {
        const char *why;
        struct str raw, want;
    } rows[] = {
        {"nothing", STR(""),
         STR("MSH|^~\\&|||||20260311090000+0900||ACK|R1|P|2.5.1\nMSA|AR|\n" TAIL)},
        {"rubbish", STR("\xff\xfe\x00garbage"),
         STR("MSH|^~\\&|||||20260311090000+0900||ACK|R1|P|2.5.1\nMSA|AR|\n" TAIL)},
        {"a sound header", STR(FROM "2.5\rXX"),
         STR(BACK("2.5", "ACK^A08^ACK") "MSA|AR|C42\n" TAIL)},
        {"an old one", STR(FROM "2.3\rXX"),
         STR(BACK("2.3", "ACK^A08") "MSA|AR|C42|broken\nERR|^^^207&Application internal "
                                    "error&HL70357\n")},
        {"blank lines in front", STR("\r\n" FROM "2.5\rXX"),
         STR(BACK("2.5", "ACK^A08^ACK") "MSA|AR|C42\n" TAIL)},
        {"cut in MSH-10", STR("MSH|^~\\&|A|B|C|D|||ADT^A01|C4"),
         STR("MSH|^~\\&|C|D|A|B|20260311090000+0900||ACK^A01^ACK|R1|P|2.5.1\nMSA|AR|C4\n" TAIL)},
        {"encoding characters twice the same", STR("MSH|^^\\&|A|B|C|D|||ADT|C42|P|2.5"),
         STR("MSH|^~\\&|C|D|A|B|20260311090000+0900||ACK|R1|P|2.5\nMSA|AR|C42\n" TAIL)},
        {"a letter as separator", STR("MSHX^~\\&XAXB"),
         STR("MSH|^~\\&|||||20260311090000+0900||ACK|R1|P|2.5.1\nMSA|AR|\n" TAIL)},
        {"asked for no reply", STR(FROM "2.5|||NE|NE"), STR("-")},
        {"undecodable bytes stay the sender's", STR("MSH|^~\\&|\xc8|B|C|D|||ADT^A01|7|P|2.5"),
         STR("MSH|^~\\&|C|D|\xc8|B|20260311090000+0900||ACK^A01^ACK|R1|P|2.5\nMSA|AR|7\n" TAIL)},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_same(reply_to(rows[i].raw, false, no, CHARSET_UTF8), rows[i].want, rows[i].why);
    }
}

/* A control id of any length comes back; the rest of a header has a bound. */
static void sizes(void **state)
{
    (void)state;
    static char in[100000];
    size_t n = (size_t)snprintf(in, sizeof in, "MSH|^~\\&|");
    memset(in + n, 'a', 3000);
    n += 3000;
    n += (size_t)snprintf(in + n, sizeof in - n, "|B|C|D|||ADT^A01|");
    memset(in + n, '7', 50000);
    n += 50000;
    n += (size_t)snprintf(in + n, sizeof in - n, "|P|2.5");
    struct str got = reply_to((struct str){in, n}, true, (struct hl7_reply){.verdict = HL7_ACCEPT},
                              CHARSET_UTF8);
    assert_true(str_starts(got, STR("MSH|^~\\&|C|D||B|")));
    assert_true(got.n > 50000 && got.p[got.n - 2] == '7');
    struct buf small;
    bool wanted;
    buf_init(&small, 100);
    hl7_reply(&small, NULL, (struct str){in, n}, &(struct hl7_reply){.id = STR("R1")}, &wanted);
    assert_true(wanted && !buf_ok(&small));
    buf_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_version), cmocka_unit_test(sequence),
        cmocka_unit_test(modes),      cmocka_unit_test(places),
        cmocka_unit_test(delimiters), cmocka_unit_test(character_sets),
        cmocka_unit_test(unparsed),   cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
