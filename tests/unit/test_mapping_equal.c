/*
 * tests/cases/equal: each folder holds one fact in several forms, and all of them must become the
 * same events: types, times, keys, payloads; all but ids and the mapping's name. The name of a file
 * up to its point says which mappings read it (mappings/NAME; a + is a / and
 * means one file of them).
 */
#include "core/base/file.h"
#include "tests/lib/clinic.h"
#include "tests/lib/cm.h"
#include "tests/lib/rows.h"

#include <string.h>

#define FOLDER "tests/cases/equal"

enum { SETS = 8 };

static struct clinic t;
static struct {
    const char *name;
    struct mapping_set *mapping;
} sets[SETS];
static size_t set_count;

static int setup(void **state)
{
    (void)state;
    return clinic_open(&t) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < set_count; i++) {
        mapping_free(&sets[i].mapping);
    }
    clinic_release(&t);
    return 0;
}

static const struct mapping_set *mapping(const char *file)
{
    struct problems p = {0};
    const char *name = arena_z(t.arena, str_cut(str_of(file), 0, str_find(str_of(file), '.', 0)));
    for (size_t i = 0; i < set_count; i++) {
        if (strcmp(sets[i].name, name) == 0) {
            return sets[i].mapping;
        }
    }
    assert_true(set_count < SETS);
    char *name_of_one = arena_z(t.arena, str_of(name));
    sets[set_count].name = name;
    char *plus = strchr(name_of_one, '+');
    if (plus) {
        *plus = '/';
    }
    const char *path = arena_printf(t.arena, "mappings/%s%s", name_of_one, plus ? ".xml" : "");
    sets[set_count].mapping = mapping_load(path, t.catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    assert_non_null(sets[set_count].mapping);
    return sets[set_count++].mapping;
}

static void keep_first(void *ctx, struct str bytes, int64_t number, const struct err *problem)
{
    struct str *first = ctx;
    (void)number, (void)problem;
    *first = first->p ? *first : arena_copy(t.arena, bytes);
}

/* The first row of a table as it is stored. */
static struct str row_of(const char *path, const struct mapping_set *m)
{
    const struct table_settings s = {.fallback = CHARSET_CP949, .names = mapping_headers(m)};
    struct str first = {NULL, 0};
    rows_read(NULL, path, &s, keep_first, &first);
    assert_row(first.p != NULL && first.n > 0, path);
    return first;
}

/* The events of a file, one line each. */
static struct str events(const char *folder, const char *file)
{
    const struct mapping_set *m = mapping(file);
    struct prepared p;
    struct str raw;
    struct buf out;
    buf_init(&out, CLINIC_FILE);
    const char *path = file_path(t.arena, folder, file);
    if (mapping_headers(m)) {
        raw = row_of(path, m);
    } else {
        assert_int_equal(file_read(t.arena, path, CLINIC_FILE, &raw, NULL), ERR_NONE);
    }
    clinic_prepare(&t, m, CHARSET_UTF8, STR(""), raw, &p);
    if (p.mapped.state != MAPPING_MAPPED) {
        fail_msg("%s/%s: %s%s, %s", folder, file, p.mapped.reason ? p.mapped.reason : "",
                 p.mapped.problem.msg, p.mapped.problem.where);
    }
    for (size_t i = 0; i < p.mapped.count; i++) {
        const struct event *v = &p.mapped.events[i];
        char time[CLOCK_TEXT];
        buf_printf(&out, "%s %s %s ", v->type->name, v->subject, clock_text(v->time, time));
        clinic_payload(&out, v);
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
