/* core/xml: large documents as a stream. The same steps however the bytes come; what is refused. */
#include "core/base/buf.h"
#include "core/xml/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bytes {
    struct str rest;
    size_t piece;
};

static ssize_t read_piece(void *ctx, char *to, size_t n, struct err *e)
{
    struct bytes *b = ctx;
    (void)e;
    size_t some = b->piece < n ? b->piece : n;
    some = some < b->rest.n ? some : b->rest.n;
    memcpy(to, b->rest.p, some);
    b->rest = str_cut(b->rest, some, b->rest.n);
    return (ssize_t)some;
}

/* <a x=1> as "(a x=1", its text as "-text", its end as ")a"; an error by its name. */
static const char *steps(struct str xml, size_t piece, const struct xml_reader_limits *limits)
{
    static struct buf out;
    struct bytes b = {xml, piece};
    struct xml_reader *r;
    enum xml_step step = XML_START;
    struct err e = {0};
    buf_release(&out);
    buf_init(&out, 1 << 20);
    assert_int_equal(xml_reader_new(read_piece, &b, limits, &r, &e), ERR_NONE);
    while (step != XML_DONE) {
        if (xml_reader_next(r, &step, &e) != ERR_NONE) {
            buf_printf(&out, "!%s", err_name(e.code));
            break;
        }
        if (step == XML_START) {
            const char *x = xml_reader_attr(r, "x"), *y = xml_reader_attr(r, "r:y");
            buf_printf(&out, "(%s%s%s%s%s", xml_reader_name(r), x ? " x=" : "", x ? x : "",
                       y ? " r:y=" : "", y ? y : "");
            assert_null(xml_reader_attr(r, "y"));
        } else if (step == XML_TEXT) {
            buf_addc(&out, '-');
            buf_add(&out, xml_reader_text(r));
        } else if (step == XML_END) {
            buf_printf(&out, ")%s", xml_reader_name(r));
        }
    }
    xml_reader_free(&r);
    return out.p ? out.p : "";
}

static const struct xml_reader_limits wide = {1000, 1000};

static void test_steps(void **state)
{
    (void)state;
    static const struct {
        const char *xml, *expected;
    } rows[] = {
        {"<a/>", "(a)a"},
        {"<?xml version='1.0' encoding='utf-8'?>\n<a><!-- c --><?p x?>t</a>", "(a-t)a"},
        {"<q:a xmlns:q='u' xmlns:r='v' x='1 &amp; &lt;&quot;&#38;&#65;' r:y='2'>b</q:a>",
         "(a x=1 & <\"&A r:y=2-b)a"},
        {"<a>x &amp; y &#xAC00;<![CDATA[<z>]]>!</a>", "(a-x & y 가<z>!)a"},
        {"<a><b>1</b><b/> <b>2</b></a>", "(a(b-1)b(b)b- (b-2)b)a"},
        {"\xEF\xBB\xBF<a>홍길동</a>", "(a-홍길동)a"},
        {"<a x='>'>]]&gt;</a>", "(a x=>-]]>)a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str xml = str_of(rows[i].xml);
        for (size_t piece = 1; piece <= xml.n; piece++) {
            const char *got = steps(xml, piece, &wide);
            if (strcmp(got, rows[i].expected) != 0) {
                fail_msg("%s in pieces of %zu: %s", rows[i].xml, piece, got);
            }
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *xml, *expected; /* how it ends */
    } rows[] = {
        {"", "!syntax"},
        {"<a>", "!syntax"},
        {"<a></b>", "!syntax"},
        {"<a/><b/>", "!syntax"},
        {"<a>&x;</a>", "!syntax"},
        {"<a>\x01</a>", "!syntax"},
        {"<a>\xFF</a>", "!syntax"},
        {"<!DOCTYPE a><a/>", "!refused"},
        {"<a><!ELEMENT b></a>", "!refused"},
        {"<?xml version='1.0' encoding=\"UTF-16\"?><a/>", "!unsupported"},
        {"<?xml version='1.0' encoding='EUC-KR'?><a/>", "!unsupported"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t piece = 1; piece < 60; piece += 7) {
            const char *got = steps(str_of(rows[i].xml), piece, &wide);
            const char *end = strchr(got, '!');
            if (!end || strcmp(end, rows[i].expected) != 0) {
                fail_msg("%s in pieces of %zu: %s", rows[i].xml, piece, got);
            }
        }
    }
    assert_string_equal(steps((struct str){"<\0a\0 \0\0\0>\0", 10}, 3, &wide), "!charset");
}

/* 가 and 😀 in UTF-16, with a mark and without, high byte first and last. */
static void test_utf16(void **state)
{
    (void)state;
    static const struct {
        struct str xml;
        const char *expected;
    } rows[] = {
        {STR_INIT("<\0a\0/\0>\0"), "(a)a"},
        {STR_INIT("\xFF\xFE<\0a\0>\0\x00\xAC\x3D\xD8\x00\xDE<\0/\0a\0>\0"), "(a-가😀)a"},
        {STR_INIT("\xFE\xFF\0<\0a\0>\xAC\x00\xD8\x3D\xDE\x00\0<\0/\0a\0>"), "(a-가😀)a"},
        {STR_INIT("\0<\0a\0>\xDE\x00\0<\0/\0a\0>"), "!charset"},
        {STR_INIT("\0<\0a\0>\xD8\x3D\0<\0/\0a\0>"), "!charset"},
        {STR_INIT("\0<\0a\0/\0>\0"), "!charset"},
        {STR_INIT("\0<\0!\0D\0O"), "!refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t piece = 1; piece <= rows[i].xml.n; piece++) {
            const char *got = steps(rows[i].xml, piece, &wide), *end = strchr(got, '!');
            if (strcmp(rows[i].expected[0] == '!' && end ? end : got, rows[i].expected) != 0) {
                fail_msg("row %zu in pieces of %zu: %s", i, piece, got);
            }
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    static const struct xml_reader_limits small = {12, 8};
    assert_string_equal(steps(STR("<a>1234567</a>"), 5, &small), "(a-1234567)a");
    assert_non_null(strstr(steps(STR("<a>123456789</a>"), 5, &small), "!limit"));
    assert_string_equal(steps(STR("<a x='123'/>"), 4, &small), "(a x=123)a");
    assert_string_equal(steps(STR("<a x='12345'/>"), 4, &small), "!limit");
    assert_non_null(strstr(steps(STR("<a><!-- 123456789 --></a>"), 4, &small), "!limit"));
    char deep[3 * 129 + 1];
    for (size_t i = 0; i < 129; i++) {
        memcpy(deep + i * 3, "<a>", 3);
    }
    assert_non_null(strstr(steps((struct str){deep, 3 * 129}, 64, &wide), "!limit"));
    assert_non_null(strstr(steps((struct str){deep, 3 * 128}, 64, &wide), "!syntax"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_utf16), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests_name("xml: streams", tests, NULL, NULL);
}
