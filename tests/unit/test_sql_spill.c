/* adapters/sql: the work folder, what is complete in it and what a crash leaves. */
#include "adapters/sql/spill.h"
#include "core/base/file.h"
#include "tests/lib/cm.h"
#include "tests/lib/folder.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct spill_limits limits = {.row = 4096, .size = 100000};

static struct cell text(const char *z)
{
    return (struct cell){z ? str_of(z) : STR(""), z == NULL};
}

static const struct {
    const char *cells[4], *csv;
    size_t n;
} csv[] = {
    {{"a", "b"}, "a,b\n", 2},
    {{"a", NULL, "c"}, "a,,c\n", 3},
    {{"a", "", "c"}, "a,\"\",c\n", 3},
    {{NULL}, "\"\"\n", 1},
    {{NULL, NULL}, ",\n", 2},
    {{"a,b", "say \"hi\"", "one\ntwo", "\r"},
     "\"a,b\",\"say \"\"hi\"\"\",\"one\ntwo\",\"\r\"\n",
     4},
    {{" a", "b ", "홍길동", "="}, "\" a\",\"b \",홍길동,=\n", 4},
};

static struct spill *open_spill(void)
{
    struct spill *s;
    struct err e = {0};
    enum err_code code = spill_open(in_folder("spill"), &limits, &s, &e);
    if (code != ERR_NONE) {
        fail_msg("%s", e.msg);
    }
    return s;
}

static void test_csv(void **state)
{
    (void)state;
    struct spill *s = open_spill();
    struct str row;
    for (size_t i = 0; i < COUNT(csv); i++) {
        struct cell cells[4];
        for (size_t k = 0; k < csv[i].n; k++) {
            cells[k] = text(csv[i].cells[k]);
        }
        assert_int_equal(spill_format(s, cells, csv[i].n, &row, NULL), ERR_NONE);
        assert_same(row, str_of(csv[i].csv), csv[i].csv);
    }
    struct err e = {0};
    struct cell nul[] = {text("a"), {{"x\0y", 3}, false}};
    assert_int_equal(spill_format(s, nul, 2, &row, &e), ERR_VALUE);
    assert_int_equal(e.pos, 2);
    char large[4097];
    memset(large, '"', sizeof large);
    struct cell one = {{large, 4095}, false};
    assert_int_equal(spill_format(s, &one, 1, &row, &e), ERR_NONE);
    one.text.n = 4096;
    assert_int_equal(spill_format(s, &one, 1, &row, &e), ERR_LIMIT);
    spill_close(&s);
}

static void write_spill(struct spill *s, const char *mark)
{
    struct cell keys[] = {text("1"), text(NULL), text("")};
    struct spill_ready r = {.marked = true, .rows = 1, .more = true};
    snprintf(r.mark, sizeof r.mark, "%s", mark);
    snprintf(r.name, sizeof r.name, "query 2026-03-11T00:00:00Z");
    snprintf(r.keys, sizeof r.keys, "a,b,c");
    assert_int_equal(spill_begin(s, true, NULL), ERR_NONE);
    assert_int_equal(spill_row(s, STR("id\n"), NULL), ERR_NONE);
    assert_int_equal(spill_row(s, STR("1\n"), NULL), ERR_NONE);
    assert_int_equal(spill_keys(s, keys, 3, NULL), ERR_NONE);
    assert_int_equal(file_write(spill_path(s, "seen.next"), STR("x"), 0600, NULL), ERR_NONE);
    assert_false(file_exists(in_folder("spill/ready")));
    assert_int_equal(spill_publish(s, &r, NULL), ERR_NONE);
}

static void test_spill_life(void **state)
{
    (void)state;
    struct spill *s = open_spill(), *other;
    struct spill_ready r;
    struct cell keys[3];
    bool more;
    struct stat st;
    struct err e = {0};
    assert_int_equal(spill_open(in_folder("spill"), &limits, &other, &e), ERR_EXISTS);
    assert_false(spill_ready(s, &r));
    write_spill(s, "2026-03-11 09:00:00");
    spill_close(&s); /* killed here: all of it is there at the next start */
    s = open_spill();
    assert_true(spill_ready(s, &r));
    assert_string_equal(r.mark, "2026-03-11 09:00:00");
    assert_string_equal(r.name, "query 2026-03-11T00:00:00Z");
    assert_string_equal(r.keys, "a,b,c");
    assert_true(r.marked && r.more && r.rows == 1);
    assert_int_equal(stat(spill_path(s, "rows.csv"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(spill_keys_open(s, NULL), ERR_NONE);
    assert_int_equal(spill_keys_next(s, keys, 3, &more, NULL), ERR_NONE);
    assert_true(more && !keys[0].null && keys[1].null && !keys[2].null);
    assert_same(keys[0].text, STR("1"), "key");
    assert_int_equal(spill_keys_next(s, keys, 3, &more, NULL), ERR_NONE);
    assert_false(more);
    assert_int_equal(spill_finish(s, NULL), ERR_NONE);
    assert_true(file_exists(in_folder("spill/seen")) && !file_exists(in_folder("spill/rows.csv")) &&
                !file_exists(in_folder("spill/keys")) && !file_exists(in_folder("spill/ready")));
    write_spill(s, "2");
    assert_int_equal(spill_refuse(s, NULL), ERR_NONE);
    assert_true(!file_exists(in_folder("spill/seen.next")) &&
                !file_exists(in_folder("spill/rows.csv")) &&
                !file_exists(in_folder("spill/keys")) && !file_exists(in_folder("spill/ready")));
    spill_close(&s);
}

/* A crash between any two steps. */
static void test_spill_crash(void **state)
{
    (void)state;
    struct spill *s = open_spill();
    struct spill_ready r;
    assert_int_equal(spill_begin(s, true, NULL), ERR_NONE);
    assert_int_equal(spill_row(s, STR("half"), NULL), ERR_NONE);
    spill_close(&s);
    s = open_spill();
    assert_true(!file_exists(in_folder("spill/rows.tmp")) &&
                !file_exists(in_folder("spill/keys.tmp")) && !spill_ready(s, &r));
    write_spill(s, "1");
    unlink(spill_path(s, "ready")); /* before its commit point */
    spill_close(&s);
    s = open_spill();
    assert_true(!file_exists(in_folder("spill/rows.csv")) &&
                !file_exists(in_folder("spill/keys")) &&
                !file_exists(in_folder("spill/seen.next")));
    write_spill(s, "1");
    unlink(spill_path(s, "rows.csv")); /* while it was being finished */
    spill_close(&s);
    s = open_spill();
    assert_true(!file_exists(in_folder("spill/ready")) && file_exists(in_folder("spill/seen")) &&
                !file_exists(in_folder("spill/seen.next")));
    spill_close(&s);
}

/* A full disk, as far as a process can make one for itself. */
static void test_spill_full(void **state)
{
    (void)state;
    struct spill *s = open_spill();
    struct rlimit before, small;
    struct spill_ready r = {.rows = 1};
    struct err e = {0};
    char row[4000];
    memset(row, 'x', sizeof row);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = 8192, .rlim_max = before.rlim_max};
    assert_int_equal(spill_begin(s, false, NULL), ERR_NONE);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(spill_row(s, (struct str){row, sizeof row}, NULL), ERR_NONE);
    }
    setrlimit(RLIMIT_FSIZE, &small);
    enum err_code code = spill_publish(s, &r, &e);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(code, ERR_IO);
    assert_true(!file_exists(in_folder("spill/ready")) &&
                !file_exists(in_folder("spill/rows.csv")));
    spill_discard(s);
    assert_false(file_exists(in_folder("spill/rows.tmp")));
    /* and its own limit */
    assert_int_equal(spill_begin(s, false, NULL), ERR_NONE);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(spill_row(s, (struct str){row, sizeof row}, NULL), ERR_NONE);
    }
    assert_int_equal(spill_row(s, (struct str){row, sizeof row}, &e), ERR_LIMIT);
    spill_close(&s);
}

static void test_polled(void **state)
{
    (void)state;
    struct spill *s = open_spill();
    assert_int_equal(spill_polled(s), 0);
    assert_int_equal(spill_set_polled(s, 1700000000123456, NULL), ERR_NONE);
    assert_int_equal(spill_polled(s), 1700000000123456);
    spill_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),         cmocka_unit_test(test_spill_life),
        cmocka_unit_test(test_spill_crash), cmocka_unit_test(test_spill_full),
        cmocka_unit_test(test_polled),
    };
    return cmocka_run_group_tests_name("sql spill", tests, folder_setup, folder_teardown);
}
