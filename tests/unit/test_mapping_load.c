/* Loading: what is wrong with a mapping file is said with its line, all of it at once. */
#include "core/base/file.h"
#include "core/mapping/mapping.h"
#include "tests/lib/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "<mapping name=\"m\" version=\"1\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">\n"           \
    "<for message=\"ADT^A11\"/>\n"                                                                 \
    "<patient from=\"PID-3.1\"/>\n"
#define WORDS_HEAD(words)                                                                          \
    "<mapping name=\"m\" version=\"1\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">\n"           \
    "<for message=\"ADT^A11\"/>\n" words "<patient from=\"PID-3.1\"/>\n"
#define VOIDED "<event type=\"visit.voided\">\n"
#define KEY "<field name=\"visit_key\" from=\"PV1-19.1\" kind=\"visit\"/>\n"
#define TAIL "</event>\n</mapping>\n"

static struct catalogue *catalogue;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    catalogue = catalogue_load("mappings/catalogue.xml", &p);
    problems_release(&p);
    if (!catalogue || !folder_make()) {
        return -1;
    }
    if (file_make_folder(in_folder("tables"), 0755, NULL) != ERR_NONE) {
        return -1;
    }
    folder_write("tables/good.xml", "<table name=\"good\" xmlns=\"urn:dari:table:1\">\n"
                                    "<code from=\"M\" to=\"male\"/>\n</table>\n");
    folder_write("tables/twice.xml",
                 "<table name=\"twice\" xmlns=\"urn:dari:table:1\">\n"
                 "<code from=\"M\" to=\"male\"/>\n<code from=\"m\" to=\"other\"/>\n"
                 "</table>\n");
    folder_write("tables/wrong.xml", "<table name=\"wrong\" unknown=\"becomes\" becomes=\"odd\" "
                                     "xmlns=\"urn:dari:table:1\">\n<code from=\"M\" to=\"man\"/>\n"
                                     "</table>\n");
    folder_write("tables/keeps.xml",
                 "<table name=\"keeps\" unknown=\"keep\" xmlns=\"urn:dari:table:1\"/>");
    folder_write("tables/half.xml",
                 "<table name=\"half\" unknown=\"becomes\" xmlns=\"urn:dari:table:1\"/>");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_drop();
    catalogue_free(&catalogue);
    return 0;
}

static void load_fails(const char *text, const char *const *wanted, size_t count)
{
    struct problems p = {0};
    folder_write("m.xml", text);
    struct mapping_set *m = mapping_load(in_folder("m.xml"), catalogue, &p);
    assert_null(m);
    assert_true(p.count >= count);
    for (size_t i = 0; i < count; i++) {
        if (!strstr(p.text, wanted[i])) {
            fail_msg("no \"%s\" in:\n%s", wanted[i], p.text);
        }
    }
    problems_release(&p);
}

static void load_works(const char *text)
{
    struct problems p = {0};
    folder_write("m.xml", text);
    struct mapping_set *m = mapping_load(in_folder("m.xml"), catalogue, &p);
    if (!m) {
        fail_msg("%s", p.text);
    }
    assert_int_equal(strlen(mapping_digest(m)), 16);
    mapping_free(&m);
    assert_null(m);
    problems_release(&p);
}

static void test_good(void **state)
{
    (void)state;
    load_works(HEAD VOIDED KEY TAIL);
}

#define XML_HEAD                                                                                   \
    "<mapping name=\"m\" version=\"1\" format=\"xml\" xmlns=\"urn:dari:mapping:1\">\n"             \
    "<namespace prefix=\"f\" uri=\"http://hl7.org/fhir\"/>\n"                                      \
    "<for message=\"Encounter List^*\"/>\n"                                                        \
    "<patient from=\"f:subject\"/>\n"

static void test_documents(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {XML_HEAD VOIDED "<field name=\"visit_key\" from=\"g:id\" kind=\"visit\"/>\n" TAIL,
         ":6: path g:id: the prefix is not declared"},
        {XML_HEAD VOIDED "<field name=\"visit_key\" from=\"f:id/foo(2)\" kind=\"visit\"/>\n" TAIL,
         ":6: path f:id/foo(2): XPath has no such function (at character 6)"},
        {XML_HEAD "<event type=\"visit.voided\" when=\"{x:y} is set\">\n"
                  "<field name=\"visit_key\" from=\"f:id\" kind=\"visit\"/>\n" TAIL,
         ":5: when: the prefix is not declared"},
        {XML_HEAD "<event type=\"visit.voided\" each=\"f:a f:b\">\n"
                  "<field name=\"visit_key\" from=\"f:id\" kind=\"visit\"/>\n" TAIL,
         ":5: each names several paths"},
        {"<mapping name=\"m\" version=\"1\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">\n"
         "<namespace prefix=\"f\" uri=\"u\"/>\n<for message=\"ADT^A11\"/>\n"
         "<patient from=\"PID-3.1\"/>\n" VOIDED KEY TAIL,
         ":2: namespaces are for format=\"xml\" only"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        load_fails(rows[i].text, &rows[i].wanted, 1);
    }
    load_works(XML_HEAD "<test when=\"{f:a} = 'x'\"/>\n<event type=\"visit.voided\">\n"
                        "<field name=\"visit_key\" from=\"f:id[f:a = 'x y']/@v\" "
                        "or=\"concat(f:a, 'b')|f:c resolve(f:d)/f:e\" kind=\"visit\"/>\n" TAIL);
}

/* One problem each: the file, and the line and words that must be said. */
static const struct {
    const char *text, *wanted;
} problems[] = {
    {"<mapping", "m.xml:1: "},
    {HEAD "<event type=\"visit.gone\"/></mapping>", ":4: there is no event type \"visit.gone\""},
    {HEAD "<event type=\"visit.voided\"/></mapping>", ":4: visit.voided needs visit_key"},
    {HEAD VOIDED KEY "<field name=\"colour\" from=\"PV1-1\"/>\n" TAIL,
     ":6: visit.voided has no field \"colour\""},
    {HEAD VOIDED "<field name=\"visit_key\" from=\"PV1-19.x\" kind=\"visit\"/>\n" TAIL,
     ":5: path PV1-19.x: "},
    {HEAD VOIDED "<field name=\"visit_key\" from=\"PV1-19\"/>\n" TAIL, ":5: a key needs kind="},
    {HEAD VOIDED "<field name=\"visit_key\" from=\"PV1-19\" as=\"date\"/>\n" TAIL,
     ":5: visit_key is a key in the catalogue: as=\"date\" cannot fill it"},
    {HEAD VOIDED "<field name=\"visit_key\" from=\"PV1-19\" as=\"number\"/>\n" TAIL, ":5: "},
    {HEAD VOIDED "<field name=\"visit_key\" value=\"x\"/>\n" TAIL, ":5: value=\"x\" is not a key"},
    {HEAD VOIDED KEY "<field name=\"corrects\" from=\"\" kind=\"event\"/>\n" TAIL,
     ":6: from is empty"},
    {HEAD "<event type=\"visit.voided\" when=\"PV1-2 = \">\n" KEY TAIL, ":4: when: "},
    {HEAD "<event type=\"visit.voided\" when=\"last_visit_on &lt; 3\">\n" KEY TAIL, ":4: when: "},
    {WORDS_HEAD("<words name=\"w\" are=\" , \"/>\n") VOIDED KEY TAIL, ":3: w names no words"},
    {WORDS_HEAD("<words name=\"w\" are=\"a\"/>\n<words name=\"w\" are=\"b\"/>\n") VOIDED KEY TAIL,
     ":4: there are two lists of words named w"},
    {WORDS_HEAD("<words name=\"w\" are=\"a\"/>\n") "<event type=\"visit.voided\" when=\"PV1-2 in "
                                                   "(v)\">\n" KEY TAIL,
     ":5: when: a name means nothing"},
    {HEAD "<event type=\"visit.voided\" each=\"\">\n" KEY TAIL, ":4: each names nothing"},
    {HEAD "<event type=\"visit.voided\" each=\"A B C D E\">\n" KEY TAIL, ":4: "},
    {HEAD "<event type=\"visit.voided\" time=\"ZZ\">\n" KEY TAIL, ":4: path ZZ: "},
    {HEAD "<ignore when=\"PV1-2 = 'I'\" reason=\"\"/>\n" VOIDED KEY TAIL,
     ":4: ignore needs a reason"},
    {HEAD "<refuse when=\"PV1-2 = 'I'\" reason=\"x\" at=\"?\"/>\n" VOIDED KEY TAIL, ":4: path ?: "},
    {HEAD VOIDED KEY "<list name=\"phones\" each=\"PID-13\"><field name=\"e164\" "
                     "from=\"PID-13\"/></list>\n" TAIL,
     ":6: visit.voided has no list \"phones\""},
    {HEAD VOIDED KEY "<changed field=\"name\" from=\"PID-5\"/>\n" TAIL,
     ":4: visit.voided has no list of changes"},
    {HEAD "<event type=\"patient.updated\">\n<changed field=\"shoe\" from=\"PID-5\"/>\n" TAIL,
     ":5: \"shoe\" is not a field of a patient"},
    {HEAD "<event type=\"patient.updated\">\n"
          "<changed field=\"name\" from=\"PID-5.1\" as=\"name\"/>\n" TAIL,
     ":5: names and addresses are read from a whole field"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"sex\" from=\"PID-8\" table=\"missing\"/>\n" TAIL,
     "tables/missing.xml: "},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"sex\" from=\"PID-8\" table=\"twice\"/>\n" TAIL,
     "tables/twice.xml:3: this code was translated on line 2 already"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"sex\" from=\"PID-8\" table=\"wrong\"/>\n" TAIL,
     "tables/wrong.xml:2: man is not a code that sex may hold"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"sex\" from=\"PID-8\" table=\"wrong\"/>\n" TAIL,
     "tables/wrong.xml:1: becomes=\"odd\" is not a code"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"sex\" from=\"PID-8\" table=\"keeps\"/>\n" TAIL,
     ":6: table keeps keeps unknown codes"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"sex\" from=\"PID-8\" table=\"half\"/>\n" TAIL,
     "tables/half.xml:1: unknown=\"becomes\" and becomes="},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"sex\" from=\"PID-8\" default=\"maybe\"/>\n" TAIL,
     ":6: default=\"maybe\" is not a code that sex may hold"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"birth_on\" from=\"PID-7\" table=\"good\"/>\n" TAIL,
     ":6: a table translates texts"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"phones\" from=\"PID-13\"/>\n" TAIL,
     ":6: phones is a list: write <list"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<list name=\"phones\" each=\"PID-13\">\n<field name=\"use\" value=\"home\"/>\n"
          "</list>\n" TAIL,
     ":6: items of phones need a field e164"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"name\" from=\"PID-5\" as=\"name\" kind=\"x\"/>\n" TAIL,
     ":6: kind and per are for as=\"key\" only"},
    {HEAD "<event type=\"patient.registered\">\n<field name=\"chart_no\" from=\"PID-3\"/>\n"
          "<field name=\"name\" from=\"PID-5\" as=\"name\" unit=\"PID-6\"/>\n" TAIL,
     ":6: unit is for as=\"minutes\" and as=\"days\" only"},
    {"<mapping name=\"m\" version=\"1\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">\n"
     "<for message=\"ADT^A11 ADT\"/>\n" VOIDED KEY TAIL,
     ":2: \"ADT\" is not a message type"},
    {"<mapping name=\"m\" version=\"1\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">\n"
     "<for message=\"\"/>\n" VOIDED KEY TAIL,
     ":2: names no message type"},
    {"<mapping name=\"m\" version=\"1\" format=\"hl7v2\" xmlns=\"urn:dari:mapping:1\">\n"
     "<for message=\"ADT^A11\"/>\n" VOIDED KEY TAIL,
     ":1: visit.voided is about a patient: add <patient"},
    {HEAD "<surprise/>\n" VOIDED KEY TAIL, "m.xml:4: "},
};

static void test_problems(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        load_fails(problems[i].text, &problems[i].wanted, 1);
    }
}

static void test_all_at_once(void **state)
{
    static const char *const wanted[] = {":4: when: ", ":5: path P-1: ", ":6: visit.voided has no",
                                         ":8: there is no event type"};
    (void)state;
    load_fails(HEAD "<event type=\"visit.voided\" when=\"(\">\n"
                    "<field name=\"visit_key\" from=\"P-1\" kind=\"visit\"/>\n"
                    "<field name=\"x\" from=\"PV1-1\"/>\n</event>\n"
                    "<event type=\"nothing\"/>\n</mapping>\n",
               wanted, sizeof wanted / sizeof wanted[0]);
}

static void test_folder(void **state)
{
    (void)state;
    struct problems p = {0};
    folder_write("m.xml", HEAD VOIDED KEY TAIL);
    folder_write("other.xml", HEAD VOIDED KEY TAIL);
    assert_null(mapping_load(in_folder(""), catalogue, &p));
    assert_non_null(strstr(p.text, "other.xml: the name m is taken by"));
    problems_release(&p);
    assert_null(mapping_load("/nowhere/at/all", catalogue, &p));
    assert_int_equal(p.count, 1);
    problems_release(&p);
    assert_null(mapping_load(in_folder("tables"), catalogue, &p)); /* tables are not mappings */
    problems_release(&p);
}

static void test_shipped(void **state)
{
    (void)state;
    struct problems p = {0};
    struct mapping_set *a = mapping_load("mappings/hl7v2", catalogue, &p);
    struct mapping_set *b = mapping_load("mappings/hl7v2", catalogue, &p);
    struct mapping_set *c = mapping_load("mappings/hl7v2/visits.xml", catalogue, &p);
    if (!a || !b || !c) {
        fail_msg("%s", p.text);
    }
    assert_string_equal(mapping_digest(a), mapping_digest(b));
    assert_string_not_equal(mapping_digest(a), mapping_digest(c));
    mapping_free(&a);
    mapping_free(&b);
    mapping_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_problems),
        cmocka_unit_test(test_documents), cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_folder),    cmocka_unit_test(test_shipped),
    };
    return cmocka_run_group_tests_name("mapping: loading", tests, setup, teardown);
}
