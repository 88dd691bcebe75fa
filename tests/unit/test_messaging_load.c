/* Journeys and templates: what is shipped loads; each mistake is said with its place. */
#include "core/messaging/journey.h"

#include "core/base/file.h"
#include "tests/lib/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct folder {
    char root[64], templates[96], journeys[96];
};

static void make(struct folder *f)
{
    snprintf(f->root, sizeof f->root, "/tmp/dari-load-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->templates, sizeof f->templates, "%s/t", f->root);
    snprintf(f->journeys, sizeof f->journeys, "%s/j", f->root);
    assert_int_equal(file_make_folder(f->templates, 0700, NULL), ERR_NONE);
    assert_int_equal(file_make_folder(f->journeys, 0700, NULL), ERR_NONE);
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write(path, str_of(text), 0600, NULL), ERR_NONE);
}

static void drop(const struct folder *f)
{
    static const char *const names[] = {"t/a.xml", "t/b.xml", "j/a.xml", "j/b.xml", "t", "j", ""};
    char path[160];
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", f->root, names[i]);
        unlink(path);
        rmdir(path);
    }
}

static void shipped(void **state)
{
    struct arena *a = arena_new(0);
    struct problems p = {0};
    struct templates t;
    struct journeys j;
    (void)state;
    templates_load(a, "config/templates", &t, &p);
    journeys_load(a, "config/journeys", &t, &j, &p);
    problems_print(&p, stderr);
    assert_int_equal(p.count, 0);
    const struct journey *jn02 = journey_find(&j, "JN02");
    assert_non_null(jn02);
    assert_int_equal(jn02->entries, ENTRY_BOOKED | ENTRY_RESCHEDULED);
    assert_int_equal(jn02->class, MESSAGE_INFO);
    assert_true(jn02->window.from == 480 && jn02->window.to == 1200);
    const struct journey_step *d3 = journey_step_find(jn02, "D-3");
    assert_true(d3 && d3->days_before == 3 && d3->minute == 600 && d3->notice_days == 3 &&
                d3->notice == 0 && d3->expires == USEC_DAY && !d3->passed_send && !d3->once);
    const struct journey_step *d1 = journey_step_find(jn02, "D-1");
    assert_true(d1 && d1->days_before == 1 && d1->notice == 24 * USEC_HOUR && d1->notice_days == 0);
    const struct journey *jn01 = journey_find(&j, "JN01");
    assert_true(jn01 && jn01->steps[0].once && jn01->steps[0].passed_send &&
                jn01->steps[0].fresh == 2 * USEC_DAY);
    /* the longest reminder is still one text message or knows that it is not */
    struct rendered r;
    assert_int_equal(template_render(d1->template, &d1->template->longest, a, &r), REASON_NONE);
    arena_free(&a);
}

#define HEAD(class) "<template id=\"a\" class=\"" class "\" channel=\"sms\">\n"
#define HOSPITAL "<variable name=\"hospital\" sample=\"서울내과\"/>\n"
#define NAME "<variable name=\"name\" sample=\"홍길동\"/>\n"

static void template_mistakes(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *says;
    } rows[] = {
        {HEAD("info") NAME "<text>#{name}님</text></template>", 0, NULL},
        {HEAD("info") "<text>#{name}님</text></template>", 2, "#{name} is not declared"},
        {HEAD("info") NAME "<text>안내\n안내 #{nmae} #{name}</text></template>", 4,
         "#{nmae} is not declared"},
        {HEAD("info") NAME "<text>안내</text></template>", 3, "not used"},
        {HEAD("info") NAME NAME "<text>#{name}</text></template>", 3, "declared twice"},
        {HEAD("info") "<variable name=\"disease\" sample=\"x\"/>\n<text>안내</text></template>", 2,
         "no variable disease"},
        {HEAD("info") NAME "<text>#{name}님\n지금 할인 중</text></template>", 4, "\"할인\""},
        {HEAD("info") NAME "<text>#{name}님 (광고)</text></template>", 3, "\"광고\""},
        {HEAD("info") NAME "<text>#{name}님 무료 검진</text></template>", 3, "\"무료\""},
        {HEAD("info") NAME "<text>#{name}님 산부인과 예약</text></template>", 3, "\"산부인과\""},
        {HEAD("info") NAME "<text>#{name}님 임플란트 예약</text></template>", 3,
         "tells about health"},
        {HEAD("info") NAME "<text>#{name}님 https://bit.ly/x</text></template>", 3,
         "hides where a link goes"},
        {HEAD("info") "<text>안내\n문의 02-123-4567</text></template>", 3, "use #{phone}"},
        {HEAD("info") "<text>문의 031-1234-5678로</text></template>", 2, "use #{phone}"},
        {HEAD("info") "<text>2024-06-26 안내 012-34</text></template>", 0, NULL},
        {HEAD("info") "<text></text></template>", 2, "the text is empty"},
        {HEAD("info") "<text>안내 ✔</text></template>", 2, "refused (charset)"},
        {HEAD("ad") HOSPITAL
         "<text>(광고)[#{hospital}] 소식\n무료수신거부 080-123-4567</text></template>",
         0, NULL},
        {HEAD("ad") HOSPITAL
         "<text>[#{hospital}](광고) 소식\n무료수신거부 080-123-4567</text></template>",
         3, "begins with (광고)"},
        {HEAD("ad") HOSPITAL
         "<text>(광/고)[#{hospital}] 소식\n무료거부 080-123-4567</text></template>",
         3, "(광/고) is not allowed"},
        {HEAD("ad") HOSPITAL "<text>(광고)[#{hospital}] 소식\n끝</text></template>", 4,
         "ends with a line of 무료수신거부"},
        {HEAD("ad") HOSPITAL "<text>(광고)[#{hospital}] 무료수신거부 080-1\n끝</text></template>",
         4, "ends with a line of 무료수신거부"},
        {HEAD("ad") "<text>(광고) 소식\n무료수신거부 080-123-4567</text></template>", 2,
         "names its sender"},
        {HEAD("news") "<text>안내</text></template>", 1, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *a = arena_new(0);
        struct problems p = {0};
        struct templates t;
        struct folder f;
        char place[160];
        make(&f);
        put(f.templates, "a.xml", rows[i].text);
        templates_load(a, f.templates, &t, &p);
        snprintf(place, sizeof place, "%s/a.xml:%d: ", f.templates, rows[i].line);
        if (!rows[i].says) {
            assert_row(p.count == 0, rows[i].text);
        } else {
            const char *line = p.text ? strstr(p.text, rows[i].says) : NULL;
            assert_row(line, rows[i].says);
            while (line > p.text && line[-1] != '\n') {
                line--;
            }
            assert_row(strncmp(line, place, strlen(place)) == 0, p.text);
        }
        problems_release(&p);
        drop(&f);
        arena_free(&a);
    }
}

#define J(attrs, rest) "<journey id=\"A\" title=\"a\" " attrs ">\n" rest "</journey>"
#define ENTRY "<entry event=\"appointment.booked\"/>\n"
#define STEP(attrs) "<step id=\"s\" template=\"a\" " attrs "/>\n"

static void journey_mistakes(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *says;
    } rows[] = {
        {J("class=\"info\"", ENTRY STEP("at=\"once\"")), 0, NULL},
        {J("class=\"info\"", "<entry event=\"visit.arrived\"/>\n" STEP("at=\"once\"")), 2,
         "visit.arrived cannot start a journey"},
        {J("class=\"info\"", ENTRY "<step id=\"s\" template=\"b\" at=\"once\"/>\n"), 3,
         "no template b"},
        {J("class=\"ad\"", ENTRY STEP("at=\"once\"")), 3, "must be the same"},
        {J("class=\"ad\" essential=\"yes\"", ENTRY STEP("at=\"once\"")), 1, "never essential"},
        {J("class=\"info\"", ENTRY STEP("at=\"once\"") STEP("at=\"once\"")), 4, "there twice"},
        {J("class=\"info\"", ENTRY "<window from=\"20:00\" to=\"08:00\"/>\n" STEP("at=\"once\"")),
         3, "cannot go past midnight"},
        {J("class=\"info\"", ENTRY STEP("days-before=\"1\" time=\"21:00\"")), 3,
         "outside the journey's window"},
        {J("class=\"info\"", ENTRY STEP("days-before=\"1\"")), 3, ""},
        {J("class=\"info\"", ENTRY STEP("at=\"once\" fresh=\"2 days\"")), 3, ""},
        {J("class=\"info\"", STEP("at=\"once\"")), 2, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena *a = arena_new(0);
        struct problems p = {0};
        struct templates t;
        struct journeys j;
        struct folder f;
        char place[160];
        make(&f);
        put(f.templates, "a.xml", HEAD("info") "<text>안내</text></template>");
        put(f.journeys, "a.xml", rows[i].text);
        templates_load(a, f.templates, &t, &p);
        journeys_load(a, f.journeys, &t, &j, &p);
        snprintf(place, sizeof place, "%s/a.xml:%d: ", f.journeys, rows[i].line);
        assert_row((p.count == 0) == !rows[i].says, rows[i].text);
        if (rows[i].says) {
            assert_row(strstr(p.text, place), p.text);
            assert_row(strstr(p.text, rows[i].says), p.text);
        }
        problems_release(&p);
        drop(&f);
        arena_free(&a);
    }
}

static void twice(void **state)
{
    struct arena *a = arena_new(0);
    struct problems p = {0};
    struct templates t;
    struct journeys j;
    struct folder f;
    (void)state;
    make(&f);
    put(f.templates, "a.xml", HEAD("info") "<text>안내</text></template>");
    put(f.templates, "b.xml", HEAD("info") "<text>안내</text></template>");
    put(f.journeys, "a.xml", J("class=\"info\"", ENTRY STEP("at=\"once\"")));
    put(f.journeys, "b.xml", J("class=\"info\"", ENTRY STEP("at=\"once\"")));
    templates_load(a, f.templates, &t, &p);
    journeys_load(a, f.journeys, &t, &j, &p);
    assert_int_equal(p.count, 2);
    assert_non_null(strstr(p.text, "b.xml:1: template a is already in"));
    assert_non_null(strstr(p.text, "b.xml:1: journey A is already in"));
    problems_release(&p);
    drop(&f);
    journeys_load(a, "/nonexistent", &t, &j, &p);
    assert_int_equal(p.count, 1);
    problems_release(&p);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped),
        cmocka_unit_test(template_mistakes),
        cmocka_unit_test(journey_mistakes),
        cmocka_unit_test(twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
