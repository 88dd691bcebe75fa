/*
 * The gate in front of libxml2: every row of what libxml2 2.9 lets through or chokes on is refused
 * here with its code and its place, and with constant memory.
 */
#include "tests/lib/cm.h"

#include "core/base/buf.h"
#include "core/xml/tree.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

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

static enum err_code read_tree(struct str raw, const enum charset *override, struct err *e)
{
    const struct xml_tree *t;
    enum charset used;
    *e = (struct err){.code = ERR_NONE};
    return xml_tree_read(arena, raw, override, NULL, &t, &used, e);
}

struct row {
    const char *name;
    struct str in;
    enum err_code code;
    size_t pos;
    const char *where;
};

static void check(const struct row *r)
{
    struct err e;
    enum err_code code = read_tree(guard_copy(r->in), NULL, &e);
    if (code != r->code || e.pos != r->pos || strcmp(e.where, r->where) != 0) {
        fail_msg("%s: %s at %zu, %s: %s", r->name, err_name(code), e.pos, e.where, e.msg);
    }
}

#define ROW(name, text, code, pos, where)                                                          \
    {                                                                                              \
        name, STR_INIT(text), code, pos, where                                                     \
    }

static void hostile(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW("external entity",
            "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n<r>&x;</r>", ERR_REFUSED, 0,
            "line 1"),
        ROW("external DTD", "<?xml version=\"1.0\"?>\n<!DOCTYPE r SYSTEM \"file:///x.dtd\"><r/>",
            ERR_REFUSED, 22, "line 2"),
        ROW("billion laughs",
            "<!DOCTYPE r [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><r x=\"&b;\">&b;</r>",
            ERR_REFUSED, 0, "line 1"),
        ROW("DOCTYPE behind a comment", "<!-- x -->\n\n <!DOCTYPE r><r/>", ERR_REFUSED, 13,
            "line 3"),
        ROW("DOCTYPE inside", "<r><!DOCTYPE r></r>", ERR_REFUSED, 3, "line 1"),
        ROW("entity without DOCTYPE", "<r>&nbsp;</r>", ERR_REFUSED, 3, "line 1"),
        ROW("entity in an attribute", "<r a='x&y;'/>", ERR_REFUSED, 7, "line 1"),
        ROW("bare ampersand", "<r>a & b</r>", ERR_REFUSED, 5, "line 1"),
        ROW("declared UTF-7", "<?xml version='1.0' encoding='UTF-7'?><r>+ADw-b+AD4-</r>",
            ERR_UNSUPPORTED, 30, "line 1"),
        ROW("declared ISO-2022-KR", "<?xml version='1.0' encoding='ISO-2022-KR'?><r/>",
            ERR_UNSUPPORTED, 30, "line 1"),
        ROW("declared UTF-16, written in eight bits", "<?xml version='1.0' encoding='UTF-16'?><r/>",
            ERR_CHARSET, 30, "line 1"),
        ROW("mark against declaration", "\xef\xbb\xbf<?xml version='1.0' encoding='euc-kr'?><r/>",
            ERR_CHARSET, 30, "line 1"),
        ROW("not UTF-8", "<r>\xb0\xa1</r>", ERR_CHARSET, 3, "byte 3"),
        ROW("NUL", "<r>a\0b</r>", ERR_SYNTAX, 4, "line 1"),
        ROW("control character", "<r>\n\x0b</r>", ERR_SYNTAX, 4, "line 2"),
        ROW("character by number", "<r>\n&#11;</r>", ERR_SYNTAX, 9, "line 2"),
        ROW("NUL by number", "<r>&#0;</r>", ERR_SYNTAX, 7, "line 1"),
        ROW("XInclude",
            "<r xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='file:///x'/></r>",
            ERR_REFUSED, 0, ""),
        ROW("nothing", "", ERR_SYNTAX, 0, "line 1"),
        ROW("no element", "<!-- -->", ERR_SYNTAX, 8, "line 1"),
        ROW("not closed", "<a>\n<b></b>", ERR_SYNTAX, 11, "line 2"),
        ROW("closed wrongly", "<a>\n<b></a>", ERR_SYNTAX, 7, "line 2"),
        ROW("closed too often", "<a></a></a>", ERR_SYNTAX, 7, "line 1"),
        ROW("two roots", "<a/>\n<b/>", ERR_SYNTAX, 5, "line 2"),
        ROW("text behind", "<a/>x", ERR_SYNTAX, 4, "line 1"),
        ROW("cut in a tag", "<a", ERR_SYNTAX, 0, "line 1"),
        ROW("cut in a value", "<a b='c", ERR_SYNTAX, 5, "line 1"),
        ROW("cut in a comment", "<a><!-- ", ERR_SYNTAX, 3, "line 1"),
        ROW("cut in CDATA", "<a><![CDATA[x]]", ERR_SYNTAX, 3, "line 1"),
        ROW("a lone sign", "<", ERR_SYNTAX, 0, "line 1"),
        ROW("no quotes", "<a b=c/>", ERR_SYNTAX, 5, "line 1"),
        ROW("no blank", "<a b='1'c='2'/>", ERR_SYNTAX, 8, "line 1"),
        ROW("attribute twice", "<a b='1' b='2'/>", ERR_SYNTAX, 14, "line 1"),
        ROW("prefix not declared", "<x:a/>", ERR_SYNTAX, 4, "line 1"),
        ROW("second declaration", "<a><?xml version='1.0'?></a>", ERR_SYNTAX, 8, "line 1"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check(&rows[i]);
    }
}

/* `unit` as often as it takes; # is the number of the turn. */
static struct str repeat(const char *before, const char *unit, size_t count, const char *after)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 4);
    buf_addz(&b, before);
    for (size_t i = 0; i < count; i++) {
        for (const char *c = unit; *c; c++) {
            if (*c == '#') {
                buf_printf(&b, "%zu", i);
            } else {
                buf_addc(&b, *c);
            }
        }
    }
    buf_addz(&b, after);
    struct str s = arena_copy(arena, buf_str(&b));
    buf_release(&b);
    assert_non_null(s.p);
    return s;
}

static void refused(const char *name, struct str in, enum err_code code, const char *where)
{
    struct err e;
    size_t before = arena_used(arena);
    enum err_code got = read_tree(in, NULL, &e);
    if (got != code || strcmp(e.where, where) != 0) {
        fail_msg("%s: %s, %s: %s", name, err_name(got), e.where, e.msg);
    }
    if (arena_used(arena) - before > 4096) {
        fail_msg("%s took %zu bytes", name, arena_used(arena) - before);
    }
}

static void limits(void **state)
{
    (void)state;
    struct rusage before, after;
    struct str bytes = repeat("<r>\n", "<a>#</a>", 1500000, "</r>");
    struct str mega = repeat("<a x='", "0123456789", 900000, "'/>");
    struct str attributes = repeat("<r>\n<a", " a#=''", 80000, "/></r>");
    struct str one_more = repeat("<a", " a#=''", 257, "/>");
    struct str tag = repeat("<a b='", "0123456789", 7000, "'/>");
    struct str text = repeat("<a>\n", "0123456789", 900000, "</a>");
    struct str nodes = repeat("<r>", "<a/>", 600000, "</r>");
    struct str deep = repeat("", "<a>\n", 100000, "");
    struct str name = repeat("<", "aaaaaaaaaa", 100, "/>");
    struct str spaces = repeat("", "<a xmlns:p#='u'>", 2, "");
    struct str many = repeat("<a", " xmlns:p#='u'", 256, "><b xmlns='v'/></a>");
    getrusage(RUSAGE_SELF, &before);
    refused("bytes", bytes, ERR_LIMIT, "line 2");
    refused("a value of 9 MB", mega, ERR_LIMIT, "line 1");
    refused("80,000 attributes", attributes, ERR_LIMIT, "line 2");
    refused("257 attributes", one_more, ERR_LIMIT, "line 1");
    refused("a tag of 64 KiB", tag, ERR_LIMIT, "line 1");
    refused("a text of 9 MB", text, ERR_LIMIT, "line 1");
    refused("nodes", nodes, ERR_LIMIT, "line 1");
    refused("depth", deep, ERR_LIMIT, "line 129");
    refused("name", name, ERR_LIMIT, "line 1");
    refused("not closed", spaces, ERR_SYNTAX, "line 1");
    refused("namespaces", many, ERR_LIMIT, "line 1");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 4096);
}

/* Before libxml2 has seen a byte. */
static void by_the_gate(void **state)
{
    (void)state;
    static const struct str rows[] = {
        STR_INIT("<r>a\0b</r>"), STR_INIT("<r>\x0b</r>"),      STR_INIT("<r>&x;</r>"),
        STR_INIT("<r><a></r>"),  STR_INIT("<!DOCTYPE r><r/>"), STR_INIT("<r a='&#x1'/>"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err e = {.code = ERR_NONE};
        assert_int_not_equal(xml_gate(rows[i], NULL, &e), ERR_NONE);
        assert_string_equal(e.where, "line 1");
    }
}

/* The limits are no narrower than said: 128 deep, 256 attributes, an attachment in `value`. */
static void within(void **state)
{
    (void)state;
    struct err e;
    char deep[1000] = "";
    for (size_t i = 0; i < 128; i++) {
        memcpy(deep + i * 3, "<a>", 3);
        memcpy(deep + 128 * 3 + i * 4, "</a>", 4);
    }
    const struct str good[] = {
        {deep, 128 * 7},
        repeat("<a", " a#=''", 256, "/>"),
        repeat("<data value='", "0123456789", 100000, "'/>"),
        repeat("<a>", "0123456789", 800000, "</a>"),
        STR_INIT("\n <?xml version='1.0'?><a>&lt;&gt;&amp;&quot;&apos;&#44032;&#xAC00;</a>\n"),
        STR_INIT("<?xml-stylesheet href='x'?><a><![CDATA[<b>&x;]]><!-- <!DOCTYPE --></a>"),
        STR_INIT("<a b = \"c>d\" />"),
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (read_tree(good[i], NULL, &e) != ERR_NONE) {
            fail_msg("%zu: %s, %s: %s", i, err_name(e.code), e.where, e.msg);
        }
    }
}

/* 가 in every set that is read, by declaration, by mark, by override. */
static void charsets(void **state)
{
    (void)state;
    static const enum charset cp949 = CHARSET_CP949, latin1 = CHARSET_LATIN1;
    static const struct {
        struct str in;
        const enum charset *override;
        enum charset used;
        const char *want;
    } rows[] = {
        {STR_INIT("<r>\xea\xb0\x80</r>"), NULL, CHARSET_UTF8, "가"},
        {STR_INIT("\xef\xbb\xbf<r>\xea\xb0\x80</r>"), NULL, CHARSET_UTF8, "가"},
        {STR_INIT("\xef\xbb\xbf<r>\xea\xb0\x80</r>"), &cp949, CHARSET_UTF8, "가"},
        {STR_INIT("<?xml version='1.0' encoding='EUC-KR'?><r>\xb0\xa1\x8c\x63</r>"), NULL,
         CHARSET_CP949, "가똠"},
        {STR_INIT("<?xml version='1.0' encoding = \"ks_c_5601-1987\"?><r>\xb0\xa1</r>"), NULL,
         CHARSET_CP949, "가"},
        {STR_INIT("<?xml version='1.0' encoding='UTF-8'?><r>\xb0\xa1</r>"), &cp949, CHARSET_CP949,
         "가"},
        {STR_INIT("<r>\xb0\xa1</r>"), &latin1, CHARSET_LATIN1, "°¡"},
        {STR_INIT("<?xml version='1.0' encoding='iso-8859-1'?><r>\xe9</r>"), NULL, CHARSET_LATIN1,
         "é"},
        {STR_INIT("\xff\xfe<\0r\0>\0\x00\xac<\0/\0r\0>\0"), NULL, CHARSET_UTF16LE, "가"},
        {STR_INIT("\xfe\xff\0<\0r\0>\xac\0\0<\0/\0r\0>"), NULL, CHARSET_UTF16, "가"},
        {STR_INIT("<\0r\0>\0\x00\xac<\0/\0r\0>\0"), NULL, CHARSET_UTF16LE, "가"},
        {STR_INIT("\0<\0r\0>\xac\0\0<\0/\0r\0>"), NULL, CHARSET_UTF16, "가"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct xml_tree *t;
        enum charset used;
        struct err e = {.code = ERR_NONE};
        struct str in = guard_copy(rows[i].in);
        if (xml_tree_read(arena, in, rows[i].override, NULL, &t, &used, &e) != ERR_NONE) {
            fail_msg("%zu: %s: %s", i, err_name(e.code), e.msg);
        }
        assert_int_equal(used, rows[i].used);
        assert_same(xml_value(xml_tree_root(t), arena), str_of(rows[i].want), rows[i].want);
    }
}

static void bad_bytes(void **state)
{
    (void)state;
    static const enum charset cp949 = CHARSET_CP949;
    struct err e;
    assert_int_equal(read_tree(STR("<r>\xff</r>"), &cp949, &e), ERR_CHARSET);
    assert_int_equal(e.pos, 3);
    assert_int_equal(read_tree(STR("\xef\xbb\xbf<r>\xff</r>"), NULL, &e), ERR_CHARSET);
    assert_int_equal(e.pos, 6);
    assert_int_equal(read_tree(STR("\xfe\xff\0<\0r\0>\xdc\0\0<\0/\0r\0>"), NULL, &e), ERR_CHARSET);
    assert_int_equal(e.pos, 8);
}

static void kinds(void **state)
{
    (void)state;
    assert_int_equal(xml_kind(STR(" \n<a/>")), XML_KIND_XML);
    assert_int_equal(xml_kind(STR("\xef\xbb\xbf\r\n{}")), XML_KIND_JSON);
    assert_int_equal(xml_kind(STR("\xff\xfe<\0a\0")), XML_KIND_XML);
    assert_int_equal(xml_kind(STR("MSH|")), XML_KIND_OTHER);
    assert_int_equal(xml_kind(STR("")), XML_KIND_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile),     cmocka_unit_test(limits),    cmocka_unit_test(within),
        cmocka_unit_test(charsets),    cmocka_unit_test(bad_bytes), cmocka_unit_test(kinds),
        cmocka_unit_test(by_the_gate),
    };
    return cmocka_run_group_tests_name("xml: gate", tests, setup, teardown);
}
