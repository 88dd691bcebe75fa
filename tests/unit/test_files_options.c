/* What options may be together, and what else must be true before a folder is watched. */
#include "tests/lib/files_host.h"

static void wrong_options_are_named(void **state)
{
    struct adapter_host *h = *state;
    static const struct {
        const char *option, *value, *says;
    } rows[] = {{"folder", "", "give folder"},
                {"url", "sftp://a@b/c/", "give folder"},
                {"order", "size", "order must be"},
                {"complete", "maybe", "complete must be"},
                {"control", "a/b", "control is"},
                {"match", "*.csv|", "match: an empty pattern"},
                {"exclude", "[a", "exclude: a [ without"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct problems p = {0};
        set_options(h, (const char *const[]){rows[i].option, rows[i].value, NULL});
        assert_row(begin_with(h, &e) == ERR_CONFIG, rows[i].option);
        assert_row(strstr(e.msg, rows[i].says) != NULL, rows[i].says);
        adapter_files.check(h->options, "dari.xml", 7, &p);
        assert_row(p.count == 1 && strstr(p.text, "dari.xml:7: ") && strstr(p.text, rows[i].says),
                   rows[i].says);
        problems_release(&p);
    }
}

static void wrong_urls_are_named(void **state)
{
    struct adapter_host *h = *state;
    static const struct {
        const char *url, *option, *value, *says;
    } rows[] = {{"http://a@b/c/", "key", "k", "url must be like"},
                {"sftp://a:s3cret@b/c/", "key", "k", "must not hold a password"},
                {"sftp://b/c/", "key", "k", "needs the user"},
                {"sftp://a@b/c/?x=1", "key", "k", "question mark"},
                {"sftp://a@b/c/", "key", "", "needs key"},
                {"sftp://a@b/c/", "known-hosts", "", "needs known-hosts"},
                {"sftp://a@b/c/", "work", "", "needs work"},
                {"sftp://a@b/c/", "remote-after", "burn", "remote-after must be"},
                {"sftp://a@b/c/", "remote-archive", "../up", "remote-archive is"},
                {"sftp://a@b/c/", "remote-archive", "/abs", "remote-archive is"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        set_options(h,
                    (const char *const[]){"folder", "", "url", rows[i].url, "work", "w", "key", "k",
                                          "known-hosts", "h", rows[i].option, rows[i].value, NULL});
        assert_row(begin_with(h, &e) == ERR_CONFIG, rows[i].says);
        assert_row(strstr(e.msg, rows[i].says) != NULL, e.msg);
        assert_null(strstr(e.msg, "s3cret"));
    }
    struct problems p = {0};
    set_options(h, (const char *const[]){"folder", "", "url", "sftp://a@b/c/", "work", "w", "key",
                                         at(h, "none"), "known-hosts", at(h, "in"), NULL});
    adapter_files.surroundings(h->options, "dari.xml", 7, &p);
    assert_int_equal(p.count, 1);
    assert_non_null(strstr(p.text, "dari.xml:7: key: "));
    problems_release(&p);
}

static void dari_check_misses_the_folder(void **state)
{
    struct adapter_host *h = *state;
    struct problems p = {0};
    set_options(h, (const char *const[]){"folder", at(h, "none"), NULL});
    adapter_files.check(h->options, "dari.xml", 7, &p);
    assert_int_equal(p.count, 0);
    adapter_files.surroundings(h->options, "dari.xml", 7, &p);
    assert_int_equal(p.count, 1);
    assert_non_null(strstr(p.text, "dari.xml:7: folder: "));
    problems_release(&p);
}

static void two_feeds_do_not_share_a_work_folder(void **state)
{
    struct adapter_host *h = *state;
    struct adapter *second;
    struct err e = {0};
    begin(h, NULL);
    assert_int_equal(adapter_files.start(h, h->loop, h->options, &second, &e), ERR_CONFIG);
    assert_non_null(strstr(e.msg, "another feed"));
}

static void work_must_be_on_the_same_file_system(void **state)
{
    struct adapter_host *h = *state;
    struct stat here, shm;
    char work[] = "/dev/shm/dari-files-XXXXXX";
    if (stat(h->home, &here) != 0 || stat("/dev/shm", &shm) != 0 || here.st_dev == shm.st_dev ||
        !mkdtemp(work)) {
        skip();
    }
    struct err e = {0};
    set_options(h, (const char *const[]){"work", work, NULL});
    enum err_code code = begin_with(h, &e);
    remove_all(work);
    assert_int_equal(code, ERR_CONFIG);
    assert_non_null(strstr(e.msg, "another file system"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_options_are_named),
        TEST(wrong_urls_are_named),
        TEST(dari_check_misses_the_folder),
        TEST(two_feeds_do_not_share_a_work_folder),
        TEST(work_must_be_on_the_same_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
