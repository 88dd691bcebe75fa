/* Which change concerns whom: a reload disturbs nobody else. */
#include "core/app/fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char text[] =
    "<dari xmlns=\"urn:dari:config:1\" home=\".\"><site id=\"s\" name=\"n\"/><keys folder=\"k\"/>"
    "<database conninfo=\"x\"/><catalogue file=\"cat.xml\"/>"
    "<feed name=\"a\" adapter=\"mllp\" mapping=\"maps/a\" silent-after=\"5m\"><mllp port=\"1\" "
    "tls=\"yes\" cert=\"c.pem\" key=\"k.pem\"/></feed>"
    "<feed name=\"b\" adapter=\"mllp\" mapping=\"maps/b\"><mllp port=\"2\"/></feed>"
    "<relay contracts=\"con\"/><segments folder=\"seg\"/>"
    "<messaging journeys=\"jou\" templates=\"tem\"/></dari>";
static const char *const roles[] = {"feed a", "feed b", "relay", "segment", "messaging", "steward"};
enum { ROLES = 6 };
static char folder[] = "/tmp/dari-fingerprint-XXXXXX";

static void put(const char *name, const char *bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(bytes, f);
    fclose(f);
}

static void take(struct fingerprint out[ROLES])
{
    struct problems p = {0};
    char path[256];
    struct arena *a = arena_new(0);
    snprintf(path, sizeof path, "%s/dari.xml", folder);
    const struct config *c = config_load(a, path, &p);
    if (!c) {
        fail_msg("%s", p.text);
    }
    for (int i = 0; i < ROLES; i++) {
        const struct config_feed *f = i < 2 ? &c->feeds[i] : NULL;
        assert_int_equal(fingerprint_of(c, f ? "feed" : roles[i], f, &out[i], NULL), ERR_NONE);
    }
    problems_release(&p);
    arena_free(&a);
}

static char change(const struct fingerprint *a, const struct fingerprint *b)
{
    return memcmp(a->restart, b->restart, SHA256_BYTES) != 0   ? 'R'
           : memcmp(a->running, b->running, SHA256_BYTES) != 0 ? 'T'
                                                               : '-';
}

static void replaced(const char *old, const char *new)
{
    char out[2048];
    const char *at = strstr(text, old);
    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    put("dari.xml", out);
}

/* R started again, T taken while running, - not touched; in the order of roles[]. */
static void each_change_concerns_only_some(void **state)
{
    (void)state;
    static const struct {
        const char *file, *old, *new; /* file: its bytes are changed; else the configuration */
        const char *expected;
    } cases[] = {
        {NULL, "name=\"n\"", "name=\"m\"", "----R-"},
        {NULL, "port=\"1\"", "port=\"3\"", "R-----"},
        {NULL, "mapping=\"maps/b\"", "mapping=\"maps/a\"", "-T----"},
        {NULL, "mapping=\"maps/b\"", "mapping=\"maps/b\" charset=\"cp949\"", "-T----"},
        {NULL, "mapping=\"maps/b\"", "mapping=\"maps/b\" max-group=\"7\"", "-R----"},
        {NULL, "mapping=\"maps/b\"", "mapping=\"maps/b\" rows=\"snapshot\"", "-R----"},
        {NULL, "silent-after=\"5m\"", "silent-after=\"6m\"", "-----R"},
        {NULL, "cert=\"c.pem\"", "cert=\"d.pem\"", "T-----"},
        {NULL, "key=\"k.pem\"", "key=\"k.pem\" crl=\"l.pem\"", "T-----"},
        {NULL, "<relay ", "<relay max-credit=\"5\" ", "--R---"},
        {NULL, "<database conninfo=\"x\"", "<database conninfo=\"y\"", "RRRRRR"},
        {NULL, "name=\"n\"", "name=\"n\" zone=\"UTC\"", "RRRRRR"},
        {"maps/a/x.xml", NULL, NULL, "T-----"},
        {"maps/tables/t.xml", NULL, NULL, "TT----"},
        {"maps/headers.xml", NULL, NULL, "TT----"},
        {"cat.xml", NULL, NULL, "TTRRRR"},
        {"c.pem", NULL, NULL, "T-----"},
        {"con/c.xml", NULL, NULL, "--R---"},
        {"seg/s.xml", NULL, NULL, "---R--"},
        {"jou/j.xml", NULL, NULL, "----R-"},
        {"tem/t.xml", NULL, NULL, "----R-"},
        {"maps/a/README.md", NULL, NULL, "------"},
    };
    struct fingerprint before[ROLES], after[ROLES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char got[ROLES + 1] = "";
        put("dari.xml", text);
        take(before);
        cases[i].file ? put(cases[i].file, "another") : replaced(cases[i].old, cases[i].new);
        take(after);
        for (int k = 0; k < ROLES; k++) {
            got[k] = change(&before[k], &after[k]);
        }
        if (strcmp(got, cases[i].expected) != 0) {
            fail_msg("%s: %s, not %s", cases[i].file ? cases[i].file : cases[i].new, got,
                     cases[i].expected);
        }
    }
}

static int make_site(void **state)
{
    (void)state;
    static const char *const folders[] = {"maps", "maps/a", "maps/b", "maps/tables",
                                          "con",  "seg",    "jou",    "tem"};
    static const char *const files[] = {"cat.xml",   "maps/a/x.xml", "maps/b/x.xml",
                                        "con/c.xml", "seg/s.xml",    "c.pem",
                                        "d.pem",     "k.pem",        "l.pem"};
    char path[256];
    if (!mkdtemp(folder)) {
        return 1;
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        mkdir(path, 0700);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put(files[i], "one");
    }
    return 0;
}

static int remove_site(void **state)
{
    (void)state;
    static const char *const all[] = {"dari.xml",
                                      "cat.xml",
                                      "c.pem",
                                      "d.pem",
                                      "k.pem",
                                      "l.pem",
                                      "maps/a/x.xml",
                                      "maps/a/README.md",
                                      "maps/b/x.xml",
                                      "con/c.xml",
                                      "seg/s.xml",
                                      "jou/j.xml",
                                      "tem/t.xml",
                                      "maps/tables/t.xml",
                                      "maps/headers.xml",
                                      "maps/a",
                                      "maps/b",
                                      "maps/tables",
                                      "maps",
                                      "con",
                                      "seg",
                                      "jou",
                                      "tem",
                                      "."};
    char path[256];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, all[i]);
        remove(path);
    }
    rmdir(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_change_concerns_only_some)};
    return cmocka_run_group_tests_name("fingerprint", tests, make_site, remove_site);
}
