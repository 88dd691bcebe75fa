/* Arenas, files, options, problems, character sets. */
#include "tests/lib/cm.h"

#include "core/base/arena.h"
#include "core/base/charset.h"
#include "core/base/file.h"
#include "core/base/option.h"
#include "core/base/problem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void count_up(void *n)
{
    ++*(int *)n;
}

/* Of the block that it keeps all is there again, and what was large has gone. */
static void an_arena_that_is_used_again(void **state)
{
    (void)state;
    enum { MORE_THAN_FIRST = 5000, LARGE = 100000 };
    struct arena *a = arena_new(0);
    char *first = arena_alloc(a, 16);
    arena_reset(a);
    assert_ptr_equal(arena_alloc(a, 16), first);
    char *second = arena_alloc(a, MORE_THAN_FIRST);
    arena_alloc(a, LARGE);
    arena_reset(a);
    assert_ptr_equal(arena_alloc(a, 16), second); /* the larger one of the two others */
    arena_free(&a);
}

static void arenas(void **state)
{
    (void)state;
    struct arena *a = arena_new(100000);
    int calls = 0;
    assert_non_null(arena_alloc(a, 50000));
    assert_non_null(arena_alloc(a, 40000));
    assert_null(arena_alloc(a, 20000)); /* the limit */
    assert_null(arena_array(a, SIZE_MAX / 2, 16));
    assert_true(arena_defer(a, count_up, &calls));
    arena_reset(a);
    assert_int_equal(calls, 1);
    assert_int_equal(arena_used(a), 0);
    char *zeroed = arena_alloc(a, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    assert_same(arena_copy(a, STR("a\0b")), STR("a\0b"), "copy");
    assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
    assert_true(arena_defer(a, count_up, &calls));
    arena_free(&a);
    assert_int_equal(calls, 2);
    arena_free(&a); /* twice is allowed */
}

#define SHORT_FILE "/sys/kernel/mm/transparent_hugepage/enabled"

static void files(void **state)
{
    (void)state;
    char folder[] = "/tmp/dari-files-XXXXXX", path[64], deep[80];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    snprintf(deep, sizeof deep, "%s/a/b/c", folder);
    struct arena *a = arena_new(0);
    struct err e = {0};
    struct str got;
    struct stat st;
    assert_int_equal(file_write(path, STR("hello"), 0600, &e), ERR_NONE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(file_read(a, path, 5, &got, &e), ERR_NONE);
    assert_same(got, STR("hello"), "read");
    struct str loaded;
    assert_int_equal(file_load(path, 4, &loaded, &e), ERR_LIMIT);
    assert_int_equal(loaded.n, 0);
    assert_int_equal(file_load(path, 5, &loaded, &e), ERR_NONE);
    assert_true(str_eq(loaded, got));
    assert_int_equal(truncate(path, 0), 0); /* its sender begins anew: ours stays what it was */
    assert_same(loaded, STR("hello"), "loaded");
    file_unload(&loaded);
    assert_int_equal(loaded.n, 0);
    assert_int_equal(file_load(path, 5, &loaded, &e), ERR_NONE);
    assert_int_equal(loaded.n, 0);
    assert_int_equal(file_write(path, STR("hello"), 0600, &e), ERR_NONE);
    /* Files of sysfs say that they are as large as a page. */
    if (access(SHORT_FILE, R_OK) == 0) {
        assert_int_equal(file_load(SHORT_FILE, 1 << 20, &loaded, &e), ERR_REFUSED);
        assert_non_null(strstr(e.msg, "became shorter"));
        assert_int_equal(loaded.n, 0);
    }
    assert_int_equal(file_load("/nonexistent/x", 4, &loaded, &e), ERR_NOTFOUND);
    assert_int_equal(file_read(a, path, 4, &got, &e), ERR_LIMIT);
    assert_int_equal(file_read(a, "/nonexistent/x", 4, &got, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.msg, "/nonexistent/x"));
    assert_int_equal(file_read(a, folder, 100, &got, &e), ERR_IO);
    assert_int_equal(file_make_folder(deep, 0700, &e), ERR_NONE);
    assert_int_equal(file_make_folder(deep, 0700, &e), ERR_NONE);
    assert_string_equal(file_path(a, "/base", "x/y"), "/base/x/y");
    assert_string_equal(file_path(a, "/base", "/x/y"), "/x/y");
    char **names;
    size_t n;
    assert_int_equal(file_list(a, folder, "", &names, &n, &e), ERR_NONE);
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "a");
    arena_free(&a);
    unlink(path);
}

struct options {
    const char *name, *path;
    int64_t port, size, wait;
    bool on;
};
#define AT(m) offsetof(struct options, m)
static const struct option_row rows[] = {{"name", OPTION_TEXT, NULL, 0, 0, AT(name), ""},
                                         {"port", OPTION_INT, "2575", 1, 65535, AT(port), ""},
                                         {"size", OPTION_SIZE, "16m", 1, 1 << 30, AT(size), ""},
                                         {"wait", OPTION_MS, "5s", 0, 60000, AT(wait), ""},
                                         {"on", OPTION_BOOL, "no", 0, 0, AT(on), ""},
                                         {0}};

static void options(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct options o = {0};
    struct err e = {0};
    option_defaults(rows, &o);
    assert_int_equal(o.port, 2575);
    assert_int_equal(o.size, 16 << 20);
    assert_int_equal(o.wait, 5000);
    assert_false(o.on);
    assert_null(option_find(rows, STR("prot")));
    assert_int_equal(option_set(a, option_find(rows, STR("port")), &o, STR("65536"), &e),
                     ERR_LIMIT);
    assert_int_equal(option_set(a, option_find(rows, STR("on")), &o, STR("true"), &e), ERR_VALUE);
    assert_int_equal(option_set(a, option_find(rows, STR("on")), &o, STR("yes"), &e), ERR_NONE);
    assert_true(o.on);
    assert_int_equal(o.port, 2575); /* unchanged by the failure */
    arena_free(&a);
}

static void problem_lists(void **state)
{
    (void)state;
    struct problems p = {0};
    problem_add(&p, "a.xml", 7, "what %d", 1);
    problem_add(&p, "b.xml", 0, "all of it");
    assert_int_equal(p.count, 2);
    assert_string_equal(p.text, "a.xml:7: what 1\nb.xml: all of it\n");
    problems_release(&p);
    assert_int_equal(p.count, 0);
}

static void charsets(void **state)
{
    (void)state;
    struct arena *a = arena_new(0);
    struct err e = {0};
    struct str out;
    enum charset c;
    assert_true(charset_named(STR("EUC-KR"), &c));
    assert_int_equal(c, CHARSET_CP949);
    assert_false(charset_named(STR("ebcdic"), &c));
    assert_int_equal(charset_decode(a, CHARSET_CP949, STR("\x94\xee"), &out, &e), ERR_NONE);
    assert_same(out, STR("뷁"), "a syllable beyond KS X 1001");
    assert_int_equal(charset_encode(a, CHARSET_CP949, STR("믜"), &out, &e), ERR_NONE);
    assert_same(out, STR("\x92\xde"), "and back");
    assert_int_equal(charset_decode(a, CHARSET_CP949, STR("ab\xc8"), &out, &e), ERR_CHARSET);
    assert_int_equal(e.pos, 2);
    assert_int_equal(charset_decode(a, CHARSET_UTF8, STR("ab\xff"), &out, &e), ERR_CHARSET);
    assert_int_equal(e.pos, 2);
    assert_int_equal(charset_encode(a, CHARSET_CP949, STR("a😀"), &out, &e), ERR_CHARSET);
    assert_int_equal(e.pos, 1);
    assert_int_equal(charset_decode(a, CHARSET_ASCII, STR("a\x80"), &out, &e), ERR_CHARSET);
    arena_free(&a);
}

/* A mark says the order of the bytes and is no character; without one the name says it. */
static void wide_charsets(void **state)
{
    static const struct {
        const char *why;
        enum charset from;
        struct str in;
        const char *out; /* NULL: ERR_CHARSET at `pos` */
        size_t pos;
    } cases[] = {
        {"a mark, little", CHARSET_UTF16, STR_INIT("\xff\xfe\x00\xac"), "가", 0},
        {"a mark, big", CHARSET_UTF16, STR_INIT("\xfe\xff\xac\x00"), "가", 0},
        {"none: big", CHARSET_UTF16, STR_INIT("\xac\x00"), "가", 0},
        {"little by name", CHARSET_UTF16LE, STR_INIT("\x00\xac"), "가", 0},
        {"and a mark, too", CHARSET_UTF16LE, STR_INIT("\xff\xfe\x00\xac"), "가", 0},
        {"a pair", CHARSET_UTF16, STR_INIT("\xd8\x3d\xde\x00"), "😀", 0},
        {"nothing", CHARSET_UTF16, STR_INIT(""), "", 0},
        {"nothing but a mark", CHARSET_UTF16, STR_INIT("\xff\xfe"), "", 0},
        {"half a character", CHARSET_UTF16, STR_INIT("\xac\x00\xac"), NULL, 2},
        {"half a pair", CHARSET_UTF16, STR_INIT("\xfe\xff\xac\x00\xde\x00"), NULL, 4},
        {"half a pair, little", CHARSET_UTF16, STR_INIT("\xff\xfe\x00\xde\x00\xac"), NULL, 2},
    };
    struct arena *a = arena_new(0);
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct str out = STR("");
        enum err_code code = charset_decode(a, cases[i].from, cases[i].in, &out, &e);
        assert_row(code == (cases[i].out ? ERR_NONE : ERR_CHARSET), cases[i].why);
        assert_row(e.pos == cases[i].pos, cases[i].why);
        if (cases[i].out) {
            assert_same(out, str_of(cases[i].out), cases[i].why);
        }
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas),        cmocka_unit_test(an_arena_that_is_used_again),
        cmocka_unit_test(files),         cmocka_unit_test(options),
        cmocka_unit_test(problem_lists), cmocka_unit_test(charsets),
        cmocka_unit_test(wide_charsets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
