/*
 * The spool's file: what was flushed is read back, whatever happened to its end; what was changed
 * is found, set aside and said. fdatasync() is this file's own, so that it can fail.
 */
#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/intake/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIMIT = 1 << 20, BODY = 20, RECORD = SPOOL_HEADER + 2 * BODY };

static bool flush_fails;
static int flushes;

int fdatasync(int fd)
{
    flushes++;
    if (flush_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

struct world {
    char folder[64], file[96], done[96];
    struct arena *a;
    struct spool *s;
};

static int begin(void **state)
{
    static struct world w;
    w = (struct world){.folder = "/tmp/dari-spool-XXXXXX", .a = arena_new(0)};
    assert_non_null(mkdtemp(w.folder));
    snprintf(w.file, sizeof w.file, "%s/emr.spool", w.folder);
    snprintf(w.done, sizeof w.done, "%s/emr.done", w.folder);
    flush_fails = false;
    *state = &w;
    return 0;
}

static void empty_folder(const struct world *w)
{
    char **names;
    size_t count;
    assert_int_equal(file_list(w->a, w->folder, "", &names, &count, NULL), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        unlink(file_path(w->a, w->folder, names[i]));
    }
}

static int end(void **state)
{
    struct world *w = *state;
    spool_free(&w->s);
    empty_folder(w);
    rmdir(w->folder);
    arena_free(&w->a);
    return 0;
}

static void open_spool(struct world *w, int64_t limit)
{
    struct err e = {0};
    spool_free(&w->s);
    assert_int_equal(spool_open(w->folder, "emr", limit, &w->s, &e), ERR_NONE);
}

/* Record n has its number in everything. */
static struct spool_record record(int n)
{
    static char sealed[BODY], reply[BODY];
    struct spool_record r = {.at = 1000 + n, .sealed = {sealed, BODY}, .reply = {reply, BODY}};
    memset(r.id, n, sizeof r.id);
    memset(sealed, 'a' + n % 26, BODY);
    memset(reply, 'A' + n % 26, BODY);
    return r;
}

static enum err_code add(struct world *w, int n)
{
    const struct spool_record r = record(n);
    return spool_add(w->s, &r, NULL);
}

static void add_flushed(struct world *w, int from, int to)
{
    for (int n = from; n <= to; n++) {
        assert_int_equal(add(w, n), ERR_NONE);
    }
    assert_int_equal(spool_sync(w->s, NULL), ERR_NONE);
}

static void same(const struct spool_record *got, int n)
{
    const struct spool_record want = record(n);
    assert_memory_equal(got->id, want.id, 16);
    assert_int_equal(got->at, want.at);
    assert_true(str_eq(got->sealed, want.sealed));
    assert_true(str_eq(got->reply, want.reply));
}

static void reads(struct world *w, int from, int to)
{
    struct spool_record r;
    for (int n = from; n <= to; n++) {
        assert_int_equal(spool_read(w->s, w->a, &r, NULL), ERR_NONE);
        same(&r, n);
    }
}

static void reads_to_end(struct world *w, int from, int to)
{
    struct spool_record r;
    reads(w, from, to);
    assert_int_equal(spool_read(w->s, w->a, &r, NULL), ERR_NOTFOUND);
}

static struct str bytes_of(struct world *w, const char *path)
{
    struct str all;
    assert_int_equal(file_read(w->a, path, LIMIT, &all, NULL), ERR_NONE);
    return all;
}

static void put_bytes(const char *path, struct str bytes)
{
    assert_int_equal(file_write(path, bytes, 0600, NULL), ERR_NONE);
}

/* ---- */

static void append_and_read(void **state)
{
    struct world *w = *state;
    struct spool_record r;
    open_spool(w, LIMIT);
    assert_false(file_exists(w->file));
    flushes = 0;
    add_flushed(w, 1, 3);
    assert_int_equal(flushes, 1);
    add_flushed(w, 4, 4);
    assert_int_equal(spool_count(w->s), 4);
    reads_to_end(w, 1, 4);
    spool_rewind(w->s);
    reads(w, 1, 2);
    spool_unread(w->s);
    reads(w, 2, 2);
    open_spool(w, LIMIT);
    assert_int_equal(spool_count(w->s), 4);
    add_flushed(w, 5, 5);
    reads_to_end(w, 1, 5);
    spool_done(w->s);
    assert_int_equal(spool_count(w->s), 0);
    assert_false(file_exists(w->file));
    assert_false(file_exists(w->done));
    assert_int_equal(spool_read(w->s, w->a, &r, NULL), ERR_NOTFOUND);
    add_flushed(w, 6, 6);
    reads_to_end(w, 6, 6);
}

static void only_what_was_flushed(void **state)
{
    struct world *w = *state;
    struct spool_record r;
    open_spool(w, LIMIT);
    assert_int_equal(add(w, 1), ERR_NONE);
    assert_int_equal(spool_count(w->s), 0);
    assert_int_equal(spool_read(w->s, w->a, &r, NULL), ERR_NOTFOUND);
    open_spool(w, LIMIT);
    assert_int_equal(spool_count(w->s), 0);
}

static void finds_by_id(void **state)
{
    struct world *w = *state;
    struct spool_record r, unknown = record(99);
    open_spool(w, LIMIT);
    add_flushed(w, 1, 2);
    assert_int_equal(add(w, 3), ERR_NONE);
    for (int n = 1; n <= 3; n++) {
        const struct spool_record want = record(n);
        assert_int_equal(spool_find(w->s, w->a, want.id, &r, NULL), ERR_NONE);
        same(&r, n);
    }
    assert_int_equal(spool_find(w->s, w->a, unknown.id, &r, NULL), ERR_NOTFOUND);
    assert_int_equal(spool_sync(w->s, NULL), ERR_NONE);
    reads(w, 1, 2);
    spool_done(w->s);
    unknown = record(1); /* committed, and still answered as before */
    assert_int_equal(spool_find(w->s, w->a, unknown.id, &r, NULL), ERR_NONE);
    /* The same first 8 bytes are another id. */
    unknown.id[15] ^= 1;
    assert_int_equal(spool_find(w->s, w->a, unknown.id, &r, NULL), ERR_NOTFOUND);
    for (int n = 4; n <= 120; n++) {
        add_flushed(w, n, n);
    }
    open_spool(w, LIMIT);
    unknown = record(77);
    assert_int_equal(spool_find(w->s, w->a, unknown.id, &r, NULL), ERR_NONE);
    same(&r, 77);
}

static void limit_and_one_more(void **state)
{
    struct world *w = *state;
    open_spool(w, 3 * RECORD);
    assert_int_equal(add(w, 1), ERR_NONE);
    assert_int_equal(add(w, 2), ERR_NONE);
    assert_int_equal(add(w, 3), ERR_NONE);
    assert_int_equal(add(w, 4), ERR_FULL);
    assert_int_equal(spool_sync(w->s, NULL), ERR_NONE);
    assert_int_equal(bytes_of(w, w->file).n, 3 * RECORD);
    reads(w, 1, 2);
    spool_done(w->s);
    assert_int_equal(add(w, 5), ERR_FULL); /* until all of it is committed */
    reads_to_end(w, 3, 3);
    spool_done(w->s);
    add_flushed(w, 6, 6);

    empty_folder(w);
    open_spool(w, 3 * RECORD - 1);
    assert_int_equal(add(w, 1), ERR_NONE);
    assert_int_equal(add(w, 2), ERR_NONE);
    assert_int_equal(add(w, 3), ERR_FULL);
    struct spool_record small = record(4);
    small.sealed.n = 0;
    assert_int_equal(spool_add(w->s, &small, NULL), ERR_FULL); /* nobody overtakes */
}

static void torn_anywhere(void **state)
{
    struct world *w = *state;
    open_spool(w, LIMIT);
    add_flushed(w, 1, 3);
    const struct str whole = bytes_of(w, w->file);
    assert_int_equal(whole.n, 3 * RECORD);
    for (size_t n = 2 * RECORD; n < whole.n; n++) {
        spool_free(&w->s);
        put_bytes(w->file, str_cut(whole, 0, n));
        open_spool(w, LIMIT);
        assert_int_equal(spool_count(w->s), 2);
        assert_int_equal(spool_damaged(w->s), 0);
        assert_int_equal(bytes_of(w, w->file).n, 2 * RECORD);
        add_flushed(w, 9, 9);
        reads(w, 1, 2);
        reads_to_end(w, 9, 9);
    }
    /* A power loss leaves zeros where nothing was flushed. */
    struct buf b;
    buf_init(&b, LIMIT);
    buf_add(&b, whole);
    memset(buf_room(&b, 500), 0, 500);
    buf_took(&b, 500);
    spool_free(&w->s);
    put_bytes(w->file, buf_str(&b));
    buf_release(&b);
    open_spool(w, LIMIT);
    assert_int_equal(spool_damaged(w->s), 0);
    reads_to_end(w, 1, 3);
}

static void every_flipped_bit(void **state)
{
    struct world *w = *state;
    char aside[128];
    open_spool(w, LIMIT);
    add_flushed(w, 1, 3);
    const struct str whole = bytes_of(w, w->file);
    char *bytes = arena_z(w->a, whole);
    memcpy(bytes, whole.p, whole.n);
    snprintf(aside, sizeof aside, "%s/emr.1.damaged", w->folder);
    for (size_t bit = 0; bit < whole.n * 8; bit++) {
        int good = (int)(bit / 8 / RECORD);
        spool_free(&w->s);
        unlink(aside);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        put_bytes(w->file, (struct str){bytes, whole.n});
        open_spool(w, LIMIT);
        assert_int_equal(spool_damaged(w->s), 1);
        assert_int_equal(spool_count(w->s), good);
        reads_to_end(w, 1, good);
        assert_true(str_eq(bytes_of(w, aside),
                           (struct str){bytes + good * RECORD, whole.n - (size_t)good * RECORD}));
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        arena_reset(w->a);
        bytes = arena_alloc(w->a, whole.n);
        spool_free(&w->s);
        unlink(aside);
        /* the good file again, out of nothing that was on the disk */
        unlink(w->file);
        unlink(w->done);
        open_spool(w, LIMIT);
        add_flushed(w, 1, 3);
        memcpy(bytes, bytes_of(w, w->file).p, whole.n);
    }
}

static void damage_stays_known(void **state)
{
    struct world *w = *state;
    open_spool(w, LIMIT);
    add_flushed(w, 1, 2);
    int fd = open(w->file, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, RECORD + SPOOL_HEADER), 1);
    close(fd);
    open_spool(w, LIMIT);
    assert_int_equal(spool_damaged(w->s), 1);
    open_spool(w, LIMIT);
    assert_int_equal(spool_damaged(w->s), 1);
    add_flushed(w, 3, 4); /* goes on behind what was good */
    fd = open(w->file, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 2 * RECORD + SPOOL_HEADER), 1);
    close(fd);
    reads(w, 1, 1); /* changed while it is open: found when it is read */
    reads_to_end(w, 3, 3);
    assert_int_equal(spool_damaged(w->s), 2);
    spool_done(w->s);
    assert_false(file_exists(w->file));
    open_spool(w, LIMIT);
    assert_int_equal(spool_damaged(w->s), 2);
}

static void swapped_records(void **state)
{
    struct world *w = *state;
    open_spool(w, LIMIT);
    add_flushed(w, 1, 3);
    const struct str whole = bytes_of(w, w->file);
    struct buf b;
    buf_init(&b, LIMIT);
    buf_add(&b, str_cut(whole, 0, RECORD));
    buf_add(&b, str_cut(whole, 2 * RECORD, 3 * RECORD));
    buf_add(&b, str_cut(whole, RECORD, 2 * RECORD));
    spool_free(&w->s);
    put_bytes(w->file, buf_str(&b));
    buf_release(&b);
    open_spool(w, LIMIT);
    assert_int_equal(spool_damaged(w->s), 1);
    reads_to_end(w, 1, 1);
}

static void killed_while_draining(void **state)
{
    struct world *w = *state;
    open_spool(w, LIMIT);
    add_flushed(w, 1, 5);
    reads(w, 1, 2);
    open_spool(w, LIMIT); /* before the commit: all again */
    assert_int_equal(spool_count(w->s), 5);
    reads(w, 1, 2);
    spool_done(w->s);
    open_spool(w, LIMIT); /* after it: the rest */
    assert_int_equal(spool_count(w->s), 3);
    reads(w, 3, 4);
    spool_done(w->s);
    const struct str mark = bytes_of(w, w->done), whole = bytes_of(w, w->file);
    for (size_t bit = 0; bit < mark.n * 8; bit++) { /* a mark that is not whole is not believed */
        char *bytes = arena_z(w->a, mark);
        memcpy(bytes, mark.p, mark.n);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        spool_free(&w->s);
        put_bytes(w->done, (struct str){bytes, mark.n});
        open_spool(w, LIMIT);
        assert_int_equal(spool_count(w->s), 5);
    }
    spool_free(&w->s);
    put_bytes(w->done, mark);
    open_spool(w, LIMIT);
    reads_to_end(w, 5, 5);
    spool_done(w->s);
    /* Killed between the removal of the two: an old mark says nothing about a new file. */
    add_flushed(w, 11, 15);
    spool_free(&w->s);
    put_bytes(w->done, mark);
    open_spool(w, LIMIT);
    assert_int_equal(spool_count(w->s), 5);
    reads_to_end(w, 11, 15);
    /* All committed, killed before the removal. */
    spool_free(&w->s);
    put_bytes(w->file, str_cut(whole, 0, 4 * RECORD));
    put_bytes(w->done, mark);
    open_spool(w, LIMIT);
    assert_int_equal(spool_count(w->s), 0);
    assert_false(file_exists(w->file));
}

static void a_failed_flush_is_the_end(void **state)
{
    struct world *w = *state;
    struct spool_record r;
    open_spool(w, LIMIT);
    add_flushed(w, 1, 2);
    flush_fails = true;
    assert_int_equal(add(w, 3), ERR_NONE);
    assert_int_equal(spool_sync(w->s, NULL), ERR_IO);
    flush_fails = false;
    flushes = 0;
    assert_true(spool_broken(w->s));
    assert_int_equal(add(w, 4), ERR_FULL);
    assert_int_equal(spool_sync(w->s, NULL), ERR_NONE);
    assert_int_equal(flushes, 0);
    r = record(3);
    assert_int_equal(spool_find(w->s, w->a, r.id, &r, NULL), ERR_NOTFOUND);
    assert_int_equal(spool_count(w->s), 2);
    reads_to_end(w, 1, 2);
    spool_done(w->s);
    assert_int_equal(add(w, 4), ERR_FULL);
    open_spool(w, LIMIT);
    assert_false(spool_broken(w->s));
}

static void one_process_only(void **state)
{
    struct world *w = *state;
    struct spool *second;
    struct err e = {0};
    open_spool(w, LIMIT);
    assert_int_equal(spool_open(w->folder, "emr", LIMIT, &second, &e), ERR_EXISTS);
    assert_null(second);
    assert_int_equal(spool_open(w->folder, "lab", LIMIT, &second, &e), ERR_NONE);
    spool_free(&second);
}

static void not_for_others(void **state)
{
    struct world *w = *state;
    struct stat st;
    open_spool(w, LIMIT);
    add_flushed(w, 1, 1);
    assert_int_equal(stat(w->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(append_and_read),           TEST(only_what_was_flushed), TEST(finds_by_id),
        TEST(limit_and_one_more),        TEST(torn_anywhere),         TEST(every_flipped_bit),
        TEST(damage_stays_known),        TEST(swapped_records),       TEST(killed_while_draining),
        TEST(a_failed_flush_is_the_end), TEST(one_process_only),      TEST(not_for_others)};
    return cmocka_run_group_tests_name("intake_spool", tests, NULL, NULL);
}
