/*
 * tests/cases/equal: each folder holds one fact in several forms, and all of them must become the
 * same events: types, times, keys, payloads; all but ids and the mapping's name. The name of a file
 * up to its point says which mappings read it (mappings/NAME; a + is a / and
 * means one file of them).
 */
#include "tests/lib/cm.h"

#include "core/base/file.h"
#include "core/intake/prepare.h"
#include "core/table/row.h"
#include "core/table/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "tests/cases/equal"

enum { MAX_FILE = 1 << 20, SETS = 8 };

static const usec received = (usec)1773190800 * USEC_SECOND; /* 2026-03-11 10:00 in Seoul */

static struct {
    struct arena *arena, *message;
    struct catalogue *catalogue;
    struct keyring *keys;
    struct {
        const char *name;
        struct mapping_set *mapping;
    } sets[SETS];
    size_t count;
} t;

static int setup(void **state)
{
    (void)state;
    struct problems p = {0};
    char folder[] = "/tmp/dari-equal-XXXXXX", path[64];
    static const struct str hex =
        STR_INIT("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    t.arena = arena_new(0);
    t.message = arena_new(0);
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/site.key", folder);
    bool ok = file_write(path, hex, 0600, NULL) == ERR_NONE &&
              keyring_open(folder, &t.keys, NULL) == ERR_NONE;
    unlink(path);
    rmdir(folder);
    t.catalogue = catalogue_load("mappings/catalogue.xml", &p);
    problems_print(&p, stderr);
    problems_release(&p);
    return ok && t.catalogue && zone_set("Asia/Seoul", NULL) == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < t.count; i++) {
        mapping_free(&t.sets[i].mapping);
    }
    catalogue_free(&t.catalogue);
    keyring_free(&t.keys);
    arena_free(&t.message);
    arena_free(&t.arena);
    return 0;
}

static const struct mapping_set *mapping(const char *file)
{
    struct problems p = {0};
    const char *name = arena_z(t.arena, str_cut(str_of(file), 0, str_find(str_of(file), '.', 0)));
    for (size_t i = 0; i < t.count; i++) {
        if (strcmp(t.sets[i].name, name) == 0) {
            return t.sets[i].mapping;
        }
    }
    assert_true(t.count < SETS);
    char *name_of_one = arena_z(t.arena, str_of(name));
    t.sets[t.count].name = name;
    char *plus = strchr(name_of_one, '+');
    if (plus) {
        *plus = '/';
    }
    const char *path = arena_printf(t.arena, "mappings/%s%s", name_of_one, plus ? ".xml" : "");
    t.sets[t.count].mapping = mapping_load(path, t.catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    assert_non_null(t.sets[t.count].mapping);
    return t.sets[t.count++].mapping;
}

static bool allow(void *ctx, const struct event_type *type, const struct field *f)
{
    (void)ctx, (void)type, (void)f;
    return true;
}

/* The first row of a table as it is stored. */
static struct str row_of(const char *path, const struct mapping_set *m)
{
    struct table_settings s = {.fallback = CHARSET_CP949, .names = mapping_headers(m)};
    struct table *table;
    struct table_row row;
    struct buf out;
    struct err e = {0};
    size_t columns;
    bool more;
    if (table_open(path, &s, &table, &e) != ERR_NONE) {
        fail_msg("%s: %s, %s", path, e.msg, e.where);
    }
    assert_int_equal(table_next(table, &row, &more, &e), ERR_NONE);
    assert_row(more && row.problem.code == ERR_NONE, path);
    const struct str *header = table_header(table, &columns);
    buf_init(&out, MAX_FILE);
    row_write(&out, header, columns, NULL, row.cells);
    struct str text = arena_copy(t.arena, buf_str(&out));
    buf_release(&out);
    table_close(&table);
    return text;
}

/* The events of a file, one line each. */
static struct str events(const char *folder, const char *file)
{
    static const struct event_cut whole = {.allow = allow};
    struct prepare_settings s = {.site = "hanbit",
                                 .feed = "emr",
                                 .keys = t.keys,
                                 .mapping = mapping(file),
                                 .fallback = CHARSET_UTF8,
                                 .max_message = MAX_FILE};
    struct prepared p;
    struct str raw;
    struct err e = {0};
    struct buf out;
    buf_init(&out, MAX_FILE);
    arena_reset(t.message);
    const char *path = file_path(t.arena, folder, file);
    if (mapping_headers(s.mapping)) {
        raw = row_of(path, s.mapping);
    } else {
        assert_int_equal(file_read(t.arena, path, MAX_FILE, &raw, NULL), ERR_NONE);
    }
    assert_int_equal(prepare_message(&s, t.message, STR(""), raw, received, &p, &e), ERR_NONE);
    if (p.mapped.state != MAPPING_MAPPED) {
        fail_msg("%s/%s: %s%s, %s", folder, file, p.mapped.reason ? p.mapped.reason : "",
                 p.mapped.problem.msg, p.mapped.problem.where);
    }
    for (size_t i = 0; i < p.mapped.count; i++) {
        const struct event *v = &p.mapped.events[i];
        char time[CLOCK_TEXT];
        buf_printf(&out, "%s %s %s ", v->type->name, v->subject, clock_text(v->time, time));
        assert_int_equal(event_payload(&out, v->type, v->data, v->secret, &whole, &e), ERR_NONE);
        buf_addc(&out, '\n');
    }
    struct str lines = arena_copy(t.arena, buf_str(&out));
    buf_release(&out);
    return lines;
}

static void test_equal(void **state)
{
    (void)state;
    char **facts;
    size_t count, compared = 0;
    assert_int_equal(file_list(t.arena, FOLDER, "", &facts, &count, NULL), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        char **files, *folder = file_path(t.arena, FOLDER, facts[i]);
        size_t forms;
        struct str first = {NULL, 0};
        if (facts[i][0] == '.' || file_list(t.arena, folder, "", &files, &forms, NULL)) {
            continue;
        }
        for (size_t k = 0; k < forms; k++) {
            struct str lines = events(folder, files[k]);
            first = first.p ? first : lines;
            assert_same(lines, first, file_path(t.arena, folder, files[k]));
            compared++;
        }
    }
    assert_true(compared >= 38);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal)};
    return cmocka_run_group_tests_name("mapping: the same fact in every form", tests, setup,
                                       teardown);
}
