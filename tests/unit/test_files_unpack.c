/*
 * .gz and .zip: parts are submitted one by one, hostile ones are refused as a whole with a reason,
 * and the next file is taken. Archives are made here with zlib and libzip.
 */
#include "tests/lib/files_host.h"

#include <zip.h>
#include <zlib.h>

static bool all_gone(void *ctx)
{
    struct adapter_host *h = ctx;
    return nothing_in_working(h) && !names_in(h, "in")[0];
}

static void run_until_gone(struct adapter_host *h, int n)
{
    wanted = n;
    run_until(h->loop, all_gone, h);
}

/* ---- making archives ---- */

static void gzip_append(struct adapter_host *h, const char *path, struct str content, int64_t times)
{
    gzFile f = gzopen(at(h, path), "ab6");
    assert_non_null(f);
    for (int64_t i = 0; i < times; i++) {
        assert_int_equal(gzwrite(f, content.p, (unsigned)content.n), content.n);
    }
    assert_int_equal(gzclose(f), Z_OK);
}

struct member {
    const char *name, *content;
};

/* Built beside and renamed, so that nothing half of it is looked at. */
static zip_t *zip_begin(struct adapter_host *h)
{
    int error;
    zip_t *z = zip_open(at(h, "new.zip"), ZIP_CREATE | ZIP_TRUNCATE, &error);
    assert_non_null(z);
    return z;
}

static zip_uint64_t zip_member(zip_t *z, const char *name, const char *content)
{
    zip_source_t *s = zip_source_buffer(z, content, strlen(content), 0);
    zip_int64_t i = zip_file_add(z, name, s, ZIP_FL_ENC_RAW);
    assert_true(i >= 0);
    return (zip_uint64_t)i;
}

static void zip_end(struct adapter_host *h, zip_t *z, const char *path)
{
    assert_int_equal(zip_close(z), 0);
    assert_int_equal(rename(at(h, "new.zip"), at(h, path)), 0);
}

static void zip_of(struct adapter_host *h, const char *path, const struct member *members, size_t n)
{
    zip_t *z = zip_begin(h);
    for (size_t i = 0; i < n; i++) {
        zip_member(z, members[i].name, members[i].content);
    }
    zip_end(h, z, path);
}

/* ---- good ones ---- */

static void gzip_is_unpacked_and_the_original_archived(void **state)
{
    struct adapter_host *h = *state;
    gzip_append(h, "a.csv.gz", STR("one"), 1);
    gzip_append(h, "a.csv.gz", STR("two"), 1); /* streams may follow each other */
    assert_int_equal(rename(at(h, "a.csv.gz"), at(h, "in/a.csv.gz")), 0);
    begin(h, "complete", "rename");
    run_until_gone(h, 1);
    assert_string_equal(h->given[0].name, "a.csv.gz:a.csv");
    assert_string_equal(h->given[0].content, "onetwo");
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "a.csv.gz");
}

static void each_member_of_a_zip_is_submitted(void **state)
{
    struct adapter_host *h = *state;
    const struct member members[] = {
        {"예약.csv", "one"}, {"\xc8\xab\xb1\xe6\xb5\xbf.csv", "two"}, {"c.csv", ""}};
    zip_of(h, "in/x.ZIP", members, COUNT(members));
    begin(h, "complete", "rename");
    run_until_gone(h, 3);
    assert_string_equal(h->given[0].name, "x.ZIP:예약.csv");
    assert_string_equal(h->given[1].name, "x.ZIP:홍길동.csv"); /* as a Korean Windows writes it */
    assert_string_equal(h->given[1].content, "two");
    assert_string_equal(h->given[2].name, "x.ZIP:c.csv");
    assert_int_equal(counted(h, "archived"), 1);
}

static void a_refused_member_does_not_hold_up_the_others(void **state)
{
    struct adapter_host *h = *state;
    const struct member members[] = {{"a", "one"}, {"b", "REFUSE"}, {"c", "three"}};
    zip_of(h, "in/x.zip", members, COUNT(members));
    begin(h, "complete", "rename");
    run_until_gone(h, 3);
    assert_string_equal(h->given[2].content, "three");
    assert_same(text_of(h, "in/.dari/error/x.zip.problem.txt"),
                STR("part 2: row 3: no chart number\n"), "problem");
    assert_true(there(h, "in/.dari/error/x.zip"));
}

static void all_known_is_a_duplicate(void **state)
{
    struct adapter_host *h = *state;
    const struct member members[] = {{"a", "one"}, {"b", "two"}};
    begin(h, "complete", "rename");
    for (int i = 1; i <= 2; i++) {
        zip_of(h, "in/x.zip", members, COUNT(members));
        run_until_gone(h, 2 * i);
    }
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "x.zip x.zip.duplicate");
}

static void a_workbook_is_not_unpacked(void **state)
{
    struct adapter_host *h = *state;
    const struct member inside[] = {{"xl/workbook.xml", "x"}};
    zip_of(h, "book.xlsx", inside, 1);
    struct str book = text_of(h, "book.xlsx");
    zip_t *z = zip_begin(h);
    zip_source_t *s = zip_source_buffer(z, book.p, book.n, 0);
    assert_true(zip_file_add(z, "book.xlsx", s, 0) >= 0);
    zip_end(h, z, "in/x.zip");
    assert_int_equal(rename(at(h, "book.xlsx"), at(h, "in/book.xlsx")), 0);
    begin(h, "complete", "rename");
    run_until_gone(h, 2);
    assert_string_equal(h->given[0].name, "book.xlsx");
    assert_string_equal(h->given[1].name, "x.zip:book.xlsx");
    assert_int_equal(h->given[0].size, h->given[1].size);
}

static void after_the_end_it_is_unpacked_again(void **state)
{
    struct adapter_host *h = *state;
    const struct member members[] = {{"a", "one"}, {"b", "two"}};
    zip_of(h, "in/x.zip", members, COUNT(members));
    h->silent = true;
    begin(h, "complete", "rename");
    run_until_given(h, 1);
    host_answer(h, &h->given[0]);
    stop_at_once(h);
    h->silent = false;
    begin(h, "complete", "rename");
    run_until_gone(h, 3);
    assert_int_equal(h->given[h->count - 2].outcome, ADAPTER_KNOWN);
    assert_int_equal(h->given[h->count - 1].outcome, ADAPTER_TAKEN);
    assert_string_equal(names_in(h, today(h, "in/.dari/archive")), "x.zip");
}

static void unpack_may_be_off(void **state)
{
    struct adapter_host *h = *state;
    const struct member members[] = {{"a", "one"}};
    zip_of(h, "in/x.zip", members, 1);
    begin(h, "complete", "rename", "unpack", "no");
    run_until_gone(h, 1);
    assert_string_equal(h->given[0].name, "x.zip");
}

static bool unpacking(void *ctx)
{
    struct adapter_host *h = ctx;
    const char *job = names_in(h, "in/.dari/working");
    return job[0] && there(h, arena_printf(h->memory, "in/.dari/working/%s/out", job));
}

static void draining_in_the_middle_refuses_nothing(void **state)
{
    struct adapter_host *h = *state;
    gzip_append(h, "a.csv.gz", STR("one"), 4000000);
    assert_int_equal(rename(at(h, "a.csv.gz"), at(h, "in/a.csv.gz")), 0);
    begin(h, "complete", "rename", "max-ratio", "1000000");
    run_until(h->loop, unpacking, h);
    adapter_files.drain(h->adapter);
    run_looks(h->loop, 100);
    assert_string_equal(names_in(h, "in/.dari/error"), "");
    stop_at_once(h);
    begin(h, "complete", "rename", "max-ratio", "1000000");
    run_until_gone(h, 1);
    assert_int_equal(h->given[0].size, 12000000);
}

/* ---- hostile ones ---- */

static void make_bomb(struct adapter_host *h)
{
    static char zeros[1 << 16];
    gzip_append(h, "x", (struct str){zeros, sizeof zeros}, 1600); /* 100 MiB in 100 KiB */
    assert_int_equal(rename(at(h, "x"), at(h, "in/x.gz")), 0);
}

static void make_zip_bomb(struct adapter_host *h)
{
    char *zeros = calloc(1, 20 << 20);
    zip_t *z = zip_begin(h);
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        zip_source_t *s = zip_source_buffer(z, zeros, 20 << 20, 0);
        assert_true(zip_file_add(z, name, s, 0) >= 0);
    }
    zip_end(h, z, "in/x.zip");
    free(zeros);
}

static void make_many(struct adapter_host *h)
{
    zip_t *z = zip_begin(h);
    for (int i = 0; i < 11; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        zip_member(z, name, "x");
    }
    zip_end(h, z, "in/x.zip");
}

#define ZIP_WITH(function, name, content)                                                          \
    static void function(struct adapter_host *h)                                                   \
    {                                                                                              \
        const struct member members[] = {{"first", "one"}, {name, content}};                       \
        zip_of(h, "in/x.zip", members, 2);                                                         \
    }

ZIP_WITH(make_climbing, "../../../etc/cron.d/x", "x")
ZIP_WITH(make_absolute, "/etc/passwd", "x")
ZIP_WITH(make_windows_path, "..\\x", "x")
ZIP_WITH(make_folder_in_it, "folder/", "")
ZIP_WITH(make_newline, "a\nb", "x")
ZIP_WITH(make_nested_by_name, "inner.tar", "x")
ZIP_WITH(make_nested_by_content, "inner.csv", "PK\x03\x04 and so on")
ZIP_WITH(make_gzip_inside, "inner.csv", "\x1f\x8b\x08 and so on")

static void make_link(struct adapter_host *h)
{
    zip_t *z = zip_begin(h);
    zip_uint64_t i = zip_member(z, "link", "/etc/passwd");
    zip_file_set_external_attributes(z, i, 0, ZIP_OPSYS_UNIX, (zip_uint32_t)(S_IFLNK | 0777) << 16);
    zip_end(h, z, "in/x.zip");
}

static void make_locked(struct adapter_host *h)
{
    zip_t *z = zip_begin(h);
    zip_uint64_t i = zip_member(z, "a", "secret");
    assert_int_equal(zip_file_set_encryption(z, i, ZIP_EM_AES_256, "word"), 0);
    zip_end(h, z, "in/x.zip");
}

static void make_empty_zip(struct adapter_host *h)
{
    write_file(h, "in/x.zip", (struct str){"PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22});
}

static void make_not_zip(struct adapter_host *h)
{
    write_file(h, "in/x.zip", STR("chart,name\n"));
}

static void make_not_gzip(struct adapter_host *h)
{
    write_file(h, "in/x.gz", STR("chart,name\n"));
}

/* The size in the table of contents is a lie: it says 1. */
static void make_lying(struct adapter_host *h)
{
    const struct member members[] = {{"a", "0123456789"}};
    zip_of(h, "x.zip", members, 1);
    struct str zip = text_of(h, "x.zip");
    char *copy = arena_alloc(h->memory, zip.n);
    memcpy(copy, zip.p, zip.n);
    for (size_t i = 0; i + 28 < zip.n; i++) {
        if (memcmp(copy + i, "PK\1\2", 4) == 0) {
            copy[i + 24] = 1;
        }
    }
    write_file(h, "in/x.zip", (struct str){copy, zip.n});
}

static void make_cut(struct adapter_host *h)
{
    gzip_append(h, "whole.gz", STR("some text that is cut off in its middle"), 100);
    struct str whole = text_of(h, "whole.gz");
    write_file(h, "in/x.gz", str_cut(whole, 0, whole.n - 6));
}

static void make_flipped(struct adapter_host *h)
{
    gzip_append(h, "whole.gz", STR("some text with a sum"), 1);
    struct str whole = text_of(h, "whole.gz");
    char *copy = arena_alloc(h->memory, whole.n);
    memcpy(copy, whole.p, whole.n);
    copy[whole.n - 8] ^= 1;
    write_file(h, "in/x.gz", (struct str){copy, whole.n});
}

static void make_trailing(struct adapter_host *h)
{
    gzip_append(h, "whole.gz", STR("text"), 1);
    struct str whole = text_of(h, "whole.gz");
    char *copy = arena_alloc(h->memory, whole.n + 4);
    memcpy(copy, whole.p, whole.n);
    memcpy(copy + whole.n, "tail", 4);
    write_file(h, "in/x.gz", (struct str){copy, whole.n + 4});
}

static void hostile_archives_are_refused(void **state)
{
    struct adapter_host *h = *state;
    static const struct {
        void (*make)(struct adapter_host *);
        const char *option, *value, *says;
    } rows[] = {
        {make_bomb, "max-ratio", "250", "more than max-ratio times its own size comes out of it"},
        {make_bomb, "max-unpacked", "1m", "more than max-unpacked bytes come out of it"},
        {make_zip_bomb, "max-ratio", "250", "more than max-ratio times its own size comes out"},
        {make_many, "max-members", "10", "more than max-members files are in it"},
        {make_climbing, NULL, NULL, "member 2: its name holds a path"},
        {make_absolute, NULL, NULL, "member 2: its name holds a path"},
        {make_windows_path, NULL, NULL, "member 2: its name holds a path"},
        {make_folder_in_it, NULL, NULL, "member 2: its name holds a path"},
        {make_newline, NULL, NULL, "member 2: its name holds control characters"},
        {make_nested_by_name, NULL, NULL, "member 2 is an archive itself"},
        {make_nested_by_content, NULL, NULL, "member 2 is an archive itself"},
        {make_gzip_inside, NULL, NULL, "member 2 is an archive itself"},
        {make_link, NULL, NULL, "member 1 is no plain file"},
        {make_locked, NULL, NULL, "member 1 needs a password"},
        {make_empty_zip, NULL, NULL, "there is no file in it"},
        {make_not_zip, NULL, NULL, "it is not zip, or it is damaged"},
        {make_not_gzip, NULL, NULL, "it is not gzip, or it is damaged"},
        {make_lying, NULL, NULL, "member 1 is damaged"},
        {make_cut, NULL, NULL, "it is cut off: its end is missing"},
        {make_flipped, NULL, NULL, "it is not gzip, or it is damaged"},
        {make_trailing, NULL, NULL, "there are other bytes behind its end"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        rows[i].make(h);
        write_file(h, "in/z.csv", str_of(arena_printf(h->memory, "next %zu", i)));
        begin(h, "complete", "rename", rows[i].option, rows[i].value);
        run_until_gone(h, (int)i + 1); /* nothing of it, but the next file */
        assert_row(h->count == (int)i + 1 && strncmp(h->given[i].content, "next", 4) == 0,
                   rows[i].says);
        const char *errors = names_in(h, "in/.dari/error");
        const char *text = strchr(errors, ' ') ? strchr(errors, ' ') + 1 : "";
        struct str why = text_of(h, arena_printf(h->memory, "in/.dari/error/%s", text));
        assert_row(strstr(arena_printf(h->memory, "%.*s", STR_ARG(why)), rows[i].says) != NULL,
                   rows[i].says);
        adapter_files.stop(&h->adapter);
        remove_all(at(h, "in/.dari/error"));
        unlink(at(h, "whole.gz"));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gzip_is_unpacked_and_the_original_archived),
        TEST(each_member_of_a_zip_is_submitted),
        TEST(a_refused_member_does_not_hold_up_the_others),
        TEST(all_known_is_a_duplicate),
        TEST(a_workbook_is_not_unpacked),
        TEST(after_the_end_it_is_unpacked_again),
        TEST(unpack_may_be_off),
        TEST(draining_in_the_middle_refuses_nothing),
        TEST(hostile_archives_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
