/* HL7 v2 in its XML encoding: the same message as ER7, field by field, and replies the other way.
 */
#include "tests/lib/cm.h"

#include "core/base/file.h"
#include "core/hl7/v2xml.h"
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

static const struct xml_tree *tree(struct str text)
{
    const struct xml_tree *t;
    enum charset used;
    struct err e = {.code = ERR_NONE};
    if (xml_tree_read(arena, text, NULL, NULL, &t, &used, &e) != ERR_NONE) {
        fail_msg("%s, %s", e.where, e.msg);
    }
    return t;
}

#define MSH "<MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.10>1</MSH.10></MSH>"
#define ER7 "MSH|^~\\&||||||||1\r"
#define IN(x) "<A xmlns='urn:hl7-org:v2xml'>" MSH x "</A>"

static void conversion(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {IN(""), ER7},
        {IN("<PID><PID.3><CX.1>7</CX.1><CX.5>MR</CX.5></PID.3></PID>"), ER7 "PID|||7^^^^MR\r"},
        {IN("<PID>\n <PID.5>\n  <XPN.1>\n   <FN.1>홍</FN.1>\n  </XPN.1>\n  <XPN.2>길동</XPN.2>\n "
            "</PID.5>\n</PID>"),
         ER7 "PID|||||홍^길동\r"},
        {IN("<PID><PID.11><XAD.1><SAD.1>a</SAD.1><SAD.2>b</SAD.2></XAD.1></PID.11></PID>"),
         ER7 "PID|||||||||||a&b\r"},
        {IN("<PID><PID.3><PID.3.1>7</PID.3.1></PID.3></PID>"), ER7 "PID|||7\r"},
        /* repetitions, also when another field stands between them or after a later one */
        {IN("<PID><PID.3>1</PID.3><PID.3>2</PID.3></PID>"), ER7 "PID|||1~2\r"},
        {IN("<PID><PID.5>a</PID.5><PID.3>1</PID.3><PID.4>x</PID.4><PID.3>2</PID.3></PID>"),
         ER7 "PID|||1~2|x|a\r"},
        {IN("<PID><PID.3/><PID.3>2</PID.3></PID>"), ER7 "PID|||~2\r"},
        /* groups and Z segments, in order */
        {IN("<A.G><PR1/><A.G.H><ROL><ROL.1>x</ROL.1></ROL></A.G.H></A.G><ZAB><ZAB.2>z</ZAB.2></ZAB>"
            "<A.G><PR1/></A.G>"),
         ER7 "PR1\rROL|x\rZAB||z\rPR1\r"},
        /* empty, null, blanks */
        {IN("<PID><PID.2/><PID.5>\"\"</PID.5><PID.6> </PID.6><PID.7>\n \n</PID.7></PID>"),
         ER7 "PID|||||\"\"| |\r"},
        {IN("<PID><PID.3><CX.1>7</CX.1><CX.2/></PID.3></PID>"), ER7 "PID|||7^\r"},
        {IN("<NTE><NTE.3> a  b </NTE.3><NTE.4>\n  a\n b\n</NTE.4></NTE>"),
         ER7 "NTE||| a  b |a\\X0A\\ b\r"},
        /* what means something in ER7 */
        {IN("<NTE><NTE.3>a|b^c~d\\e&amp;f</NTE.3></NTE>"),
         ER7 "NTE|||a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f\r"},
        {IN("<OBX><OBX.5>a<escape V='.br'/>b|<escape V=\"X0D\"/></OBX.5></OBX>"),
         ER7 "OBX|||||a\\.br\\b\\F\\\\X0D\\\r"},
        {IN("<OBX><OBX.5>x&#13;y</OBX.5></OBX>"), ER7 "OBX|||||x\\X0D\\y\r"},
        {IN("<OBX><OBX.5><![CDATA[<b>]]></OBX.5></OBX>"), ER7 "OBX|||||<b>\r"},
        {IN("<OBX><OBX.5><!-- x -->v</OBX.5></OBX>"), ER7 "OBX|||||v\r"},
        /* deeper than ER7 goes: the first part */
        {IN("<PID><PID.5><XPN.10><DR.1><TS.1>2026</TS.1><TS.2/></DR.1></XPN.10></PID.5></PID>"),
         ER7 "PID|||||^^^^^^^^^2026\r"},
        /* delimiters of their own, none, a SOAP body, no namespace */
        {"<A "
         "xmlns='urn:hl7-org:v2xml'><MSH><MSH.1>!</MSH.1><MSH.2>@*%$#</MSH.2></MSH><PID><PID.3>a!b|"
         "c</PID.3></PID></A>",
         "MSH!@*%$#\rPID!!!a%F%b|c\r"},
        {"<A xmlns='urn:hl7-org:v2xml'><MSH><MSH.10>1</MSH.10></MSH></A>", ER7},
        {"<s:Envelope xmlns:s='u'><s:Header/><s:Body>" IN("") "</s:Body></s:Envelope>", ER7},
        {"<x:A xmlns:x='urn:hl7-org:v2xml'><x:MSH><x:MSH.10>1</x:MSH.10></x:MSH></x:A>", ER7},
        {"<A>" MSH "</A>", ER7},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str er7;
        struct err e = {.code = ERR_NONE};
        const struct xml_tree *t = tree(guard_copy(str_of(rows[i][0])));
        assert_row(hl7_is_v2xml(t), rows[i][0]);
        if (hl7_from_v2xml(arena, t, 1 << 20, &er7, &e) != ERR_NONE) {
            fail_msg("%s: %s: %s", rows[i][0], e.where, e.msg);
        }
        assert_same(er7, str_of(rows[i][1]), rows[i][0]);
        const struct hl7_msg *m;
        assert_int_equal(hl7_parse(arena, er7, NULL, &m, NULL), ERR_NONE);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum err_code code;
        const char *where;
    } rows[] = {
        {"<ClinicalDocument xmlns='urn:hl7-org:v3'/>", ERR_SYNTAX, ""},
        {IN("\n<PID><CX>1</CX></PID>"), ERR_SYNTAX, "line 2: PID/CX"},
        {IN("<PID><PID.0>1</PID.0></PID>"), ERR_SYNTAX, "line 1: PID/PID.0"},
        {IN("<PID><PID.1000>1</PID.1000></PID>"), ERR_SYNTAX, "line 1: PID/PID.1000"},
        {IN("<PID>x<PID.3>1</PID.3></PID>"), ERR_SYNTAX, "line 1: PID"},
        {IN("<PID><PID.3>7<CX.5>MR</CX.5></PID.3></PID>"), ERR_SYNTAX, "line 1: PID/PID.3"},
        {IN("<PID><PID.3><CX.1>1</CX.1><CX.1>2</CX.1></PID.3></PID>"), ERR_SYNTAX,
         "line 1: PID/PID.3/CX.1[2]"},
        {IN("<OBX><OBX.5><escape V='|'/></OBX.5></OBX>"), ERR_SYNTAX, "line 1: OBX/OBX.5/escape"},
        {IN("<PID><PID.5><XPN.10><DR.1><TS.1/><TS.2>S</TS.2></DR.1></XPN.10></PID.5></PID>"),
         ERR_UNSUPPORTED, "line 1: PID/PID.5/XPN.10/DR.1/TS.2"},
        {"<A xmlns='urn:hl7-org:v2xml'><MSH><MSH.2>^^^^</MSH.2></MSH></A>", ERR_SYNTAX,
         "line 1: MSH/MSH.2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str er7;
        struct err e = {.code = ERR_NONE};
        enum err_code code =
            hl7_from_v2xml(arena, tree(guard_copy(str_of(rows[i].in))), 1 << 20, &er7, &e);
        if (code != rows[i].code || strcmp(e.where, rows[i].where) != 0) {
            fail_msg("%s: %s, %s: %s", rows[i].in, err_name(code), e.where, e.msg);
        }
    }
}

/* A few elements that would make a large message are refused at the limit. */
static void growth(void **state)
{
    (void)state;
    char *text = arena_alloc(arena, 200000), *at = text;
    struct str er7;
    struct err e = {.code = ERR_NONE};
    at += snprintf(at, 100, "<A xmlns='urn:hl7-org:v2xml'>" MSH);
    for (int i = 0; i < 3000; i++) {
        at += snprintf(at, 60, "\n<PID><PID.999/></PID>");
    }
    snprintf(at, 10, "</A>");
    assert_int_equal(hl7_from_v2xml(arena, tree(str_of(text)), 1 << 20, &er7, &e), ERR_LIMIT);
    assert_string_equal(e.where, "line 1047: PID[1046]/PID.999");
}

static void replies(void **state)
{
    (void)state;
    static const struct str ack =
        STR_INIT("MSH|^~\\&|A^1||B|C|20260311||ACK^A04^ACK|9|P|2.5\r"
                 "MSA|AE|a\\T\\<b>\r"
                 "ERR||PID^1^3^1~PV1^1|101^Required^HL70357&x|E||||text\r");
    static const char want[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ACK "
        "xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.1>|</"
        "MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>A</HD.1><HD.2>1</HD.2></MSH.3><MSH.5><HD.1>B</"
        "HD.1></MSH.5><MSH.6><HD.1>C</HD.1></MSH.6><MSH.7><TS.1>20260311</TS.1></MSH.7><MSH.9><MSG."
        "1>ACK</MSG.1><MSG.2>A04</MSG.2><MSG.3>ACK</MSG.3></MSH.9><MSH.10>9</MSH.10><MSH.11><PT.1>P"
        "</PT.1></MSH.11><MSH.12><VID.1>2.5</VID.1></MSH.12></MSH><MSA><MSA.1>AE</"
        "MSA.1><MSA.2>a&amp;"
        "&lt;b&gt;</MSA.2></MSA><ERR><ERR.2><ERL.1>PID</ERL.1><ERL.2>1</ERL.2><ERL.3>3</"
        "ERL.3><ERL.4"
        ">1</ERL.4></ERR.2><ERR.2><ERL.1>PV1</ERL.1><ERL.2>1</ERL.2></ERR.2><ERR.3><CWE.1>101</"
        "CWE.1"
        "><CWE.2>Required</CWE.2><CWE.3><CWE.3.1>HL70357</CWE.3.1><CWE.3.2>x</CWE.3.2></CWE.3></"
        "ERR.3><ERR.4>E</ERR.4><ERR.8>text</ERR.8></ERR></ACK>\n";
    const struct hl7_msg *m;
    struct buf out;
    struct str er7;
    buf_init(&out, 1 << 20);
    assert_int_equal(hl7_parse(arena, ack, NULL, &m, NULL), ERR_NONE);
    assert_int_equal(hl7_to_v2xml(&out, arena, m, NULL), ERR_NONE);
    assert_same(buf_str(&out), str_of(want), "reply");
    assert_int_equal(hl7_from_v2xml(arena, tree(buf_str(&out)), 1 << 20, &er7, NULL), ERR_NONE);
    assert_same(er7, ack, "and back");
    buf_release(&out);
}

/* ---- what others published ---- */

/* Written in XML and read again it is the same message: segments, and values at usual places. */
static void round_trip(struct str er7, const char *file)
{
    const struct hl7_msg *m, *back;
    struct buf out;
    struct str text, a, b;
    if (hl7_parse(arena, er7, NULL, &m, NULL) != ERR_NONE) {
        return;
    }
    buf_init(&out, 1 << 24);
    struct err e = {.code = ERR_NONE};
    if (hl7_to_v2xml(&out, arena, m, &e) != ERR_NONE) {
        buf_release(&out);
        return;
    }
    assert_row(hl7_from_v2xml(arena, tree(buf_str(&out)), 1 << 24, &text, &e) == ERR_NONE, file);
    assert_row(hl7_parse(arena, text, NULL, &back, &e) == ERR_NONE, file);
    assert_row(hl7_segments(m) == hl7_segments(back), file);
    for (size_t i = 0; i < hl7_segments(m); i++) {
        assert_row(memcmp(hl7_segment(m, i).p, hl7_segment(back, i).p, 3) == 0, file);
    }
    static const char *const paths[] = {"MSH-9.1", "MSH-10",  "PID-3.1",  "PID-5.1",     "PID-7",
                                        "PV1-19",  "OBX-3.1", "OBX(2)-5", "PID-3(2).4.1"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct hl7_path p;
        assert_int_equal(hl7_path_parse(str_of(paths[i]), &p, NULL), ERR_NONE);
        if (hl7_get(m, &p, &a) != HL7_VALUE || memchr(a.p, '\\', a.n) || str_is(str_trim(a), "")) {
            continue;
        }
        assert_row(hl7_get(back, &p, &b) == HL7_VALUE, file);
    }
    buf_release(&out);
}

static void corpus(void **state)
{
    (void)state;
    const char *root = getenv("DARI_CORPUS") ? getenv("DARI_CORPUS") : "../shared/corpus";
    char **files;
    size_t count, read = 0;
    if (!file_exists(root)) {
        printf("# SKIP no corpus at %s\n", root);
        skip();
    }
    char *folder = file_path(arena, root, "hl7v2-xml");
    assert_int_equal(file_list(arena, folder, ".xml", &files, &count, NULL), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        struct str raw, er7;
        const struct xml_tree *t;
        const struct hl7_msg *m;
        enum charset used;
        struct err e = {.code = ERR_NONE};
        assert_int_equal(file_read(arena, file_path(arena, folder, files[i]), 1 << 24, &raw, NULL),
                         ERR_NONE);
        if (xml_tree_read(arena, raw, NULL, NULL, &t, &used, &e) == ERR_REFUSED) {
            continue; /* it brings a DOCTYPE */
        }
        if (hl7_from_v2xml(arena, t, 1 << 24, &er7, &e) != ERR_NONE) {
            fail_msg("%s: %s: %s", files[i], e.where, e.msg);
        }
        assert_row(hl7_parse(arena, er7, NULL, &m, &e) == ERR_NONE, files[i]);
        round_trip(er7, files[i]);
        read++;
    }
    assert_int_equal(read, 34);
}

static const struct hl7_msg *message(const char *root, const char *file)
{
    struct str raw, er7;
    const struct hl7_msg *m;
    const char *path = arena_printf(arena, "%s/%s", root, file);
    assert_row(file_read(arena, path, 1 << 20, &raw, NULL) == ERR_NONE, file);
    if (xml_kind(raw) == XML_KIND_XML) {
        assert_row(hl7_from_v2xml(arena, tree(raw), 1 << 20, &er7, NULL) == ERR_NONE, file);
        raw = er7;
    }
    assert_row(hl7_parse(arena, raw, NULL, &m, NULL) == ERR_NONE, file);
    return m;
}

/* What is behind the last value of a segment says nothing. */
static struct str without_end(struct str seg)
{
    while (seg.n > 8 && seg.p[seg.n - 1] == '|') {
        seg.n--;
    }
    return seg;
}

/* Messages that were published in both encodings. */
static void pairs(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"hl7v2-xml/orm-o01_hl7-rust_001.xml", "hl7v2/orm-o01_hl7-rust_001.hl7"},
        {"hl7v2-xml/oru-r01_hl7-rust_001.xml", "hl7v2/oru-r01_hl7-rust_001.hl7"},
        {"hl7v2-xml/rsp-k21_nist-hl7-core_010.xml", "hl7v2/rsp-k22_nist-hl7-core_002.hl7"},
        {"hl7v2-xml/rsp-k21_nist-hl7-core_012.xml", "hl7v2/rsp-k22_nist-hl7-core_003.hl7"},
        {"hl7v2-xml/rsp-k21_nist-hl7-core_014.xml", "hl7v2/rsp-k22_nist-hl7-core_004.hl7"},
        {"hl7v2-xml/rsp-k21_nist-hl7-core_015.xml", "hl7v2/rsp-k22_nist-hl7-core_005.hl7"},
        {"hl7v2-xml/rsp-k21_nist-hl7-core_017.xml", "hl7v2/rsp-k22_nist-hl7-core_006.hl7"},
    };
    const char *root = getenv("DARI_CORPUS") ? getenv("DARI_CORPUS") : "../shared/corpus";
    if (!file_exists(root)) {
        printf("# SKIP no corpus at %s\n", root);
        skip();
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct hl7_msg *a = message(root, rows[i][0]), *b = message(root, rows[i][1]);
        assert_row(hl7_segments(a) == hl7_segments(b), rows[i][0]);
        for (size_t k = 0; k < hl7_segments(a); k++) {
            assert_same(without_end(hl7_segment(a, k)), without_end(hl7_segment(b, k)), rows[i][0]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversion), cmocka_unit_test(refused), cmocka_unit_test(growth),
        cmocka_unit_test(replies),    cmocka_unit_test(corpus),  cmocka_unit_test(pairs),
    };
    return cmocka_run_group_tests_name("hl7: v2.xml", tests, setup, teardown);
}
