/* Rendering: golden values, byte classes, refusals. */
#include "core/messaging/template.h"

#include "core/base/buf.h"
#include "core/messaging/lint.h"
#include "tests/lib/cm.h"

#define GOLDEN                                                                                                \
    "[#{hospital}] #{name}님, #{day}(#{date}) #{time} 진료 예약입니다. 변경은 #{phone}로 연락 " \
    "주세요."

static usec at(const char *text)
{
    usec t = 0;
    assert_int_equal(clock_parse(str_of(text), &t, NULL), ERR_NONE);
    return t;
}

static struct template_values values(struct arena *a, const char *name)
{
    struct template_values v = {0};
    v.v[VARIABLE_HOSPITAL] = STR("서울내과");
    v.v[VARIABLE_PHONE] = STR("02-123-4567");
    v.v[VARIABLE_NAME] = str_of(name);
    template_appointment(&v, a, at("2024-06-26T17:00:00+09:00"), at("2024-06-25T10:00:00+09:00"));
    return v;
}

/* Characters, not bytes: every byte that does not continue one. */
static size_t characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}

static void golden(void **state)
{
    static const struct {
        const char *name;
        size_t characters, bytes;
        enum byte_class class;
    } rows[] = {
        {"홍길동", 62, 88, BYTE_CLASS_SMS},     {"남궁민수", 63, 90, BYTE_CLASS_SMS},
        {"남궁민수현", 64, 92, BYTE_CLASS_LMS}, {"홍길동A", 63, 89, BYTE_CLASS_SMS},
        {"홍길뷁", 62, 88, BYTE_CLASS_SMS}, /* not in EUC-KR, but in CP949 */
    };
    struct arena *a = arena_new(0);
    const struct template t = {.id = "t", .text = STR_INIT(GOLDEN)};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct template_values v = values(a, rows[i].name);
        struct rendered r = {0};
        assert_row(template_render(&t, &v, a, &r) == REASON_NONE, rows[i].name);
        assert_int_equal(characters(r.text), rows[i].characters);
        assert_int_equal(r.bytes, rows[i].bytes);
        assert_int_equal(r.class, rows[i].class);
        if (i == 0) {
            assert_same(r.text,
                        STR("[서울내과] 홍길동님, 내일(6/26) 17:00 진료 예약입니다. "
                            "변경은 02-123-4567로 연락 주세요."),
                        "the golden text");
        }
    }
    arena_free(&a);
}

static void refusals(void **state)
{
    static const struct {
        const char *text, *name;
        enum message_reason want;
    } rows[] = {
        {"#{name}님", "홍길동", REASON_NONE},
        {"#{name}님", "", REASON_LINT},
        {"#{name}님", "  ", REASON_LINT},
        {"#{nobody}님", "홍길동", REASON_LINT},
        {"#{name}님", "José", REASON_CHARSET},
        {"#{name}님 ✔", "홍길동", REASON_CHARSET},
        {"#{name}님 \xf0\x9f\x98\x80", "홍길동", REASON_CHARSET},
        {"#{name}님 900101-1234567", "홍길동", REASON_LINT},
        {"#{name}님", "9001011234567", REASON_LINT},
        {"안내 – 변경 • 취소", "홍길동", REASON_NONE},
    };
    struct arena *a = arena_new(0);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct template t = {.id = "t", .text = str_of(rows[i].text)};
        struct template_values v = values(a, rows[i].name);
        struct rendered r = {0};
        assert_row(template_render(&t, &v, a, &r) == rows[i].want, rows[i].text);
    }
    const struct template dash = {.id = "t", .text = STR_INIT("안내 – 변경 • 취소")};
    struct template_values v = values(a, "홍길동");
    struct rendered r = {0};
    assert_int_equal(template_render(&dash, &v, a, &r), REASON_NONE);
    assert_same(r.text, STR("안내 - 변경 · 취소"), "replaced from the table");
    arena_free(&a);
}

/* 45 syllables are 90 bytes: one more byte makes the message an LMS; 2,000 is the end. */
static void lengths(void **state)
{
    static const struct {
        size_t hangul, ascii;
        enum message_reason want;
        enum byte_class class;
    } rows[] = {{45, 0, REASON_NONE, BYTE_CLASS_SMS},       {45, 1, REASON_NONE, BYTE_CLASS_LMS},
                {46, 0, REASON_NONE, BYTE_CLASS_LMS},       {0, 90, REASON_NONE, BYTE_CLASS_SMS},
                {1000, 0, REASON_NONE, BYTE_CLASS_LMS},     {1000, 1, REASON_TOO_LONG, 0},
                {4000, 0, REASON_TOO_LONG, BYTE_CLASS_SMS}, {9000, 0, REASON_TOO_LONG, 0}};
    struct arena *a = arena_new(0);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b;
        struct rendered r = {0};
        struct template_values v = {0};
        buf_init(&b, 64 * 1024);
        for (size_t k = 0; k < rows[i].hangul; k++) {
            buf_addz(&b, "가");
        }
        for (size_t k = 0; k < rows[i].ascii; k++) {
            buf_addc(&b, 'a');
        }
        const struct template t = {.id = "t", .text = buf_str(&b)};
        assert_int_equal(template_render(&t, &v, a, &r), rows[i].want);
        if (rows[i].want == REASON_NONE) {
            assert_int_equal(r.class, rows[i].class);
            assert_int_equal(r.bytes, rows[i].hangul * 2 + rows[i].ascii);
        }
        buf_release(&b);
    }
    arena_free(&a);
}

static void days(void **state)
{
    static const struct {
        const char *start, *now, *day, *date, *weekday, *time;
    } rows[] = {
        {"2024-06-26T09:00:00+09:00", "2024-06-26T08:00:00+09:00", "오늘", "6/26", "수", "09:00"},
        {"2024-06-26T00:30:00+09:00", "2024-06-25T23:59:59+09:00", "내일", "6/26", "수", "00:30"},
        {"2024-06-23T14:05:00+09:00", "2024-06-20T10:00:00+09:00", "3일 뒤", "6/23", "일", "14:05"},
        {"2024-03-01T09:00:00+09:00", "2024-02-28T10:00:00+09:00", "2일 뒤", "3/1", "금", "09:00"},
        {"2024-06-26T09:00:00+09:00", "2024-06-27T10:00:00+09:00", "", "6/26", "수", "09:00"},
    };
    struct arena *a = arena_new(0);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct template_values v = {0};
        template_appointment(&v, a, at(rows[i].start), at(rows[i].now));
        assert_same(v.v[VARIABLE_DAY], str_of(rows[i].day), rows[i].start);
        assert_same(v.v[VARIABLE_DATE], str_of(rows[i].date), rows[i].start);
        assert_same(v.v[VARIABLE_WEEKDAY], str_of(rows[i].weekday), rows[i].start);
        assert_same(v.v[VARIABLE_TIME], str_of(rows[i].time), rows[i].start);
    }
    arena_free(&a);
}

static void resident_numbers(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {"900101-1234567", true},       {"9001011234567", true},    {"900101 1234567", true},
        {"번호 900101-1234567.", true}, {"900101-1******", false},  {"901301-1234567", false},
        {"900132-1234567", false},      {"02-123-4567", false},     {"010-1234-5678", false},
        {"2024-06-26 17:00", false},    {"12900101-1234567", true}, {"99001011234567", true},
        {"900101--1234567", false},     {"9001-011234567", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_row(lint_resident_number(str_of(rows[i].text)) == rows[i].want, rows[i].text);
    }
}

static void pieces(void **state)
{
    struct str rest = STR("a#{x}b#{y");
    struct template_piece p;
    (void)state;
    assert_true(template_next(&rest, &p) && !p.variable);
    assert_same(p.text, STR("a"), "text");
    assert_true(template_next(&rest, &p) && p.variable);
    assert_same(p.text, STR("x"), "variable");
    assert_true(template_next(&rest, &p) && !p.variable);
    assert_true(template_next(&rest, &p) && p.variable);
    assert_same(p.text, STR("y"), "not closed: up to the end");
    assert_false(template_next(&rest, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden), cmocka_unit_test(refusals),         cmocka_unit_test(lengths),
        cmocka_unit_test(days),   cmocka_unit_test(resident_numbers), cmocka_unit_test(pieces),
    };
    zone_set("Asia/Seoul", NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
