/* Patterns, names as text, listings of SFTP servers, and when a file is complete. */
#include "adapters/files/look.h"
#include "adapters/files/rules.h"
#include "tests/lib/cm.h"

#include <stdio.h>
#include <string.h>

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *patterns, *name;
        bool fits;
    } rows[] = {
        {"*", "a.csv", true},
        {"*", "", true},
        {"*.csv", "a.csv", true},
        {"*.csv", "A.CSV", true},
        {"*.csv", "a.csv.tmp", false},
        {"*.csv|*.xlsx", "a.xlsx", true},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"예약?.csv", "예약표.csv", true},
        {"예약?.csv", "예약.csv", false},
        {"예약 ?.csv", "예약 1.csv", true},
        {"?", "\x80", true},
        {"??", "\x80\x80", true},
        {"[ab].csv", "B.csv", true},
        {"[a-c]x", "cx", true},
        {"[!a-c]x", "cx", false},
        {"[!a-c]x", "dx", true},
        {"[]a]", "]", true},
        {"~$*", "~$book.xlsx", true},
        {"*~", "book.xlsx~", true},
        {"", "a", false},
        {"*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_row(rule_match(str_of(rows[i].patterns), str_of(rows[i].name)) == rows[i].fits,
                   rows[i].patterns);
    }
}

static void wrong_patterns_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *patterns;
        enum err_code code;
        size_t pos;
    } rows[] = {{"*.csv|*.txt", ERR_NONE, 0}, {"", ERR_NONE, 0},      {"[a]*", ERR_NONE, 0},
                {"*.csv|", ERR_CONFIG, 6},    {"|a", ERR_CONFIG, 0},  {"a|b[c", ERR_CONFIG, 3},
                {"a[]", ERR_CONFIG, 1},       {"a[!]", ERR_CONFIG, 1}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        assert_row(rule_check(str_of(rows[i].patterns), &e) == rows[i].code, rows[i].patterns);
        assert_row(e.pos == rows[i].pos, rows[i].patterns);
    }
}

static void names_as_text(void **state)
{
    (void)state;
    static const struct {
        struct str name;
        const char *text;
    } rows[] = {{STR_INIT("a.csv"), "a.csv"},
                {STR_INIT("홍길동.csv"), "홍길동.csv"},
                {STR_INIT("a\nb\r\t\\"), "a\\nb\\r\\t\\\\"},
                {STR_INIT("\x1b[2J\x7f"), "\\x1b[2J\\x7f"},
                {STR_INIT("\xc8\xab\xb1\xe6.csv"), "\\xc8\\xab\\xb1\\xe6.csv"},
                {STR_INIT("a\xc2\x85z"), "a\\xc2\\x85z"},
                {STR_INIT("\xed\xa0\x80"), "\\xed\\xa0\\x80"},
                {STR_INIT("\xf0\x9f\x98\x80\xf0\x9f"), "\xf0\x9f\x98\x80\\xf0\\x9f"},
                {STR_INIT(""), ""}};
    struct arena *m = arena_new(0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_same(str_of(rule_text(m, rows[i].name)), str_of(rows[i].text), rows[i].text);
    }
    arena_free(&m);
}

static void listings(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        char type; /* 0: not a line of a listing */
        int64_t size;
        const char *time, *name;
    } rows[] = {
        /* on 11 March 2026 */
        {"-rw-r--r--    1 emr      emr        348911 Mar 25 14:29 t.csv", '-', 348911,
         "2025-03-25T14:29:00Z", "t.csv"},
        {"-rw-r--r--    1 emr emr 5 Mar  5  2025 예약 목록 3.csv", '-', 5, "2025-03-05T00:00:00Z",
         "예약 목록 3.csv"},
        {"-rw-rw-rw-   1 Everyone Domain Users 12 Jan  1 00:00 a", '-', 12, "2026-01-01T00:00:00Z",
         "a"},
        {"-rw-r--r-- 1 1 2 7 Jan 31 23:59  leading", '-', 7, "2026-01-31T23:59:00Z", " leading"},
        {"-rw-r--r-- 1 u g 7 Jan 31 23:59 a 9 Feb 1 10:00 b", '-', 7, "2026-01-31T23:59:00Z",
         "a 9 Feb 1 10:00 b"},
        {"drwxr-xr-x 2 u g 4096 Jan 31 23:59 sub", 'd', 4096, "2026-01-31T23:59:00Z", "sub"},
        {"lrwxrwxrwx 1 u g 1 Jan 31 23:59 l -> /etc/passwd", 'l', 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Jan 31 23:59 ../up", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Jan 31 23:59 ..", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Jan 31 23:59 a\tb", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Jan 31 23:59 ", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7777777777777777777 Jan 31 23:59 a", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Feb 30 23:59 a", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Mar 11 24:59 a", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Mrz 11 23:59 a", 0, 0, NULL, NULL},
        {"-rw-r--r-- 1 u g 7 Mar 12 08:00 a", '-', 7, "2026-03-12T08:00:00Z", "a"},
        {"total 12", 0, 0, NULL, NULL},
        {"", 0, 0, NULL, NULL},
        {"drwxr-xr-x", 0, 0, NULL, NULL},
    };
    usec now;
    assert_int_equal(clock_parse(STR("2026-03-11T09:00:00Z"), &now, NULL), ERR_NONE);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rule_listed l = {0};
        char text[CLOCK_TEXT];
        bool ok = rule_listing(str_of(rows[i].line), now, &l);
        if (rows[i].type == 'l') { /* with a slash in its target: not a name; or a link */
            assert_row(!ok || l.type == 'l', rows[i].line);
            continue;
        }
        assert_row(ok == (rows[i].type != 0), rows[i].line);
        if (ok) {
            assert_row(l.type == rows[i].type && l.size == rows[i].size, rows[i].line);
            assert_same(l.name, str_of(rows[i].name), rows[i].line);
            assert_same(str_of(clock_text_utc(l.time, text)), str_of(rows[i].time), rows[i].line);
        }
    }
}

/* ---- looks ---- */

static const struct look_rules stable = {.complete = LOOK_STABLE, .age_ms = 5, .max = 100};

/* One look at time `now` in milliseconds that finds one file. */
static const char *seen(struct look *l, const struct look_rules *r, const char *path, int64_t size,
                        int64_t time, usec now)
{
    look_begin(l);
    if (path) {
        look_add(l, r, path, size, time, 7);
    }
    look_end(l, r, now * 1000);
    struct look_file *f = look_first(l, r, now * 1000);
    return f ? f->path : NULL;
}

static void a_stable_file_was_seen_twice_and_is_old_enough(void **state)
{
    (void)state;
    struct look l;
    assert_int_equal(look_init(&l, NULL), ERR_NONE);
    assert_null(seen(&l, &stable, "a", 1, 1, 10));
    assert_int_equal(look_due(&l, &stable, 10000), 15000);
    assert_null(seen(&l, &stable, "a", 1, 1, 14)); /* too young */
    assert_null(seen(&l, &stable, "a", 2, 1, 16)); /* grew */
    assert_null(seen(&l, &stable, "a", 2, 2, 30)); /* was written to */
    assert_string_equal(seen(&l, &stable, "a", 2, 2, 35), "a");
    assert_int_equal(look_due(&l, &stable, 35000), 0);
    assert_null(seen(&l, &stable, NULL, 0, 0, 36)); /* gone */
    assert_null(seen(&l, &stable, "a", 2, 2, 60));  /* back: another one */
    assert_string_equal(seen(&l, &stable, "a", 2, 2, 66), "a");
    look_release(&l);
}

static void one_long_look_is_not_two(void **state)
{
    (void)state;
    struct look l;
    assert_int_equal(look_init(&l, NULL), ERR_NONE);
    assert_null(seen(&l, &stable, "a", 1, 1, 10));
    assert_null(look_first(&l, &stable, 1000000));
    look_release(&l);
}

static void a_look_that_failed_forgets_nothing(void **state)
{
    (void)state;
    struct look l;
    assert_int_equal(look_init(&l, NULL), ERR_NONE);
    seen(&l, &stable, "a", 1, 1, 10);
    look_begin(&l);
    look_undo(&l);
    assert_string_equal(seen(&l, &stable, "a", 1, 1, 20), "a");
    look_release(&l);
}

static void control_files_release_their_file(void **state)
{
    (void)state;
    const struct look_rules r = {
        .complete = LOOK_CONTROL, .control = STR_INIT(".done"), .max = 100};
    static const char *const paths[] = {"b",      "a",          "a-1",         "a-1.done",
                                        "sub/c",  "b.csv",      "b.csv.done2", "done",
                                        "z.done", "sub/c.done", "a.done2"};
    struct look l;
    assert_int_equal(look_init(&l, NULL), ERR_NONE);
    look_begin(&l);
    for (size_t i = 0; i < COUNT(paths); i++) {
        look_add(&l, &r, paths[i], 1, 1, i);
    }
    look_end(&l, &r, 1);
    struct look_file *f = look_first(&l, &r, 1);
    assert_string_equal(f->path, "a-1");
    f->looks = 0; /* taken */
    f = look_first(&l, &r, 1);
    assert_string_equal(f->path, "sub/c");
    f->looks = 0;
    assert_null(look_first(&l, &r, 1));
    look_release(&l);
}

static void order_by_name_or_by_time(void **state)
{
    (void)state;
    struct look_rules r = {.complete = LOOK_RENAME, .max = 100};
    struct look l;
    assert_int_equal(look_init(&l, NULL), ERR_NONE);
    look_begin(&l);
    look_add(&l, &r, "c", 1, 10, 1);
    look_add(&l, &r, "b", 1, 20, 2);
    look_add(&l, &r, "a", 1, 20, 3);
    look_end(&l, &r, 1);
    assert_string_equal(look_first(&l, &r, 1)->path, "a");
    r.by_time = true;
    assert_string_equal(look_first(&l, &r, 1)->path, "c");
    look_first(&l, &r, 1)->looks = 0;
    assert_string_equal(look_first(&l, &r, 1)->path, "a");
    look_release(&l);
}

static void more_files_than_max_wait(void **state)
{
    (void)state;
    const struct look_rules r = {.complete = LOOK_RENAME, .max = 200};
    struct look l;
    char name[32];
    assert_int_equal(look_init(&l, NULL), ERR_NONE);
    for (int round = 0; round < 3; round++) {
        look_begin(&l);
        for (int i = 0; i < 200 + round; i++) {
            snprintf(name, sizeof name, "f%04d", i);
            look_add(&l, &r, name, 1, 1, (uint64_t)i);
        }
        look_end(&l, &r, 1);
        assert_int_equal(l.count, 200);
        assert_int_equal(l.full, round > 0);
    }
    look_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(wrong_patterns_have_a_place),
        cmocka_unit_test(names_as_text),
        cmocka_unit_test(listings),
        cmocka_unit_test(a_stable_file_was_seen_twice_and_is_old_enough),
        cmocka_unit_test(one_long_look_is_not_two),
        cmocka_unit_test(a_look_that_failed_forgets_nothing),
        cmocka_unit_test(control_files_release_their_file),
        cmocka_unit_test(order_by_name_or_by_time),
        cmocka_unit_test(more_files_than_max_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
