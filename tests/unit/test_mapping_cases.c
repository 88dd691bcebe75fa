/*
 * mappings/FORMAT/cases: each folder holds a file in.* and what must become of it, in expected.txt
 * (see mappings/README.md). With DARI_CASES=write the expectations are written anew: read the
 * difference before committing it.
 */
#include "core/base/file.h"
#include "core/hl7/split.h"
#include "core/xml/batch.h"
#include "tests/lib/clinic.h"
#include "tests/lib/cm.h"
#include "tests/lib/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets of mappings, and how many cases they have at least. */
static const struct {
    const char *folder;
    size_t cases;
} sets[] = {
    {"mappings/hl7v2", 35},    {"mappings/fhir", 18},    {"mappings/cda", 4},
    {"mappings/local-xml", 3}, {"mappings/exports", 20}, /* a case is for the mapping whose name its
                                                            own begins with */
};

enum { MAX_KEYS = 256 };

static struct clinic t;
static struct mapping_set *mapping;

static int setup(void **state)
{
    (void)state;
    return clinic_open(&t) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    clinic_release(&t);
    return 0;
}

/* ---- what became of a case, as text ---- */

/* Keys are hashes: in a case they are called #1, #2 … in the order they appear. */
struct names {
    char key[MAX_KEYS][KEY_TEXT];
    unsigned count;
};

static bool key_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

static size_t key_at(const char *s)
{
    size_t n = 0;
    while (key_char(s[n])) {
        n++;
    }
    return n == KEY_TEXT - 1 && s[n] == '"' ? n : 0;
}

static unsigned key_name(struct names *names, const char *key)
{
    for (unsigned i = 0; i < names->count; i++) {
        if (memcmp(names->key[i], key, KEY_TEXT - 1) == 0) {
            return i + 1;
        }
    }
    assert_true(names->count < MAX_KEYS);
    memcpy(names->key[names->count++], key, KEY_TEXT - 1);
    return names->count;
}

static void add_named(struct buf *out, struct names *names, const char *json)
{
    for (const char *c = json; *c; c++) {
        buf_addc(out, *c);
        size_t n = *c == '"' ? key_at(c + 1) : 0;
        if (n) {
            buf_printf(out, "#%u", key_name(names, c + 1));
            c += n;
        }
    }
}

static void add_event(struct buf *out, struct names *names, const struct event *v)
{
    struct buf json, payload;
    char time[CLOCK_TEXT];
    buf_init(&json, CLINIC_FILE);
    buf_init(&payload, CLINIC_FILE);
    clinic_payload(&payload, v);
    buf_printf(&json, "{\"type\":\"%s\",\"subject\":\"%s\",\"time\":\"%s\",", v->type->name,
               v->subject, clock_text(v->time, time));
    buf_addz(&json, v->test ? "\"test\":true," : "");
    buf_addz(&json, "\"data\":");
    buf_add(&json, buf_str(&payload));
    buf_addz(&json, "}\n");
    assert_true(buf_ok(&json));
    add_named(out, names, json.p);
    buf_release(&payload);
    buf_release(&json);
}

static void add_given(struct buf *out, struct names *names, struct str given, struct str raw)
{
    struct prepared p;
    clinic_prepare(&t, mapping, CHARSET_CP949, given, raw, &p);
    const struct mapped *m = &p.mapped;
    switch (m->state) {
    case MAPPING_MAPPED:
        for (size_t i = 0; i < m->count; i++) {
            add_event(out, names, &m->events[i]);
        }
        break;
    case MAPPING_IGNORED:
        buf_printf(out, "ignored: %s\n", m->reason);
        break;
    case MAPPING_QUARANTINED:
        buf_printf(out, "quarantined: %s %s\n", err_name(m->problem.code), m->problem.where);
        break;
    }
}

static void add_message(struct buf *out, struct names *names, struct str raw)
{
    add_given(out, names, STR(""), raw);
}

struct rows {
    struct buf *out;
    struct names *names;
};

static void add_row(void *ctx, struct str bytes, int64_t number, const struct err *problem)
{
    struct rows *r = ctx;
    if (!bytes.p) {
        buf_printf(r->out, "refused: %s %s\n", err_name(problem->code), problem->where);
        return;
    }
    char given[32];
    snprintf(given, sizeof given, "#%lld", (long long)number);
    add_given(r->out, r->names, str_of(number ? given : ""), bytes);
}

/* A table, and the one before it when the case has a file before.*. */
static void add_table(struct buf *out, struct names *names, const char *folder, const char *path)
{
    struct rows r = {out, names};
    char *before = file_path(t.arena, folder, "before.csv");
    struct table_settings s = {.fallback = CHARSET_CP949, .names = mapping_headers(mapping)};
    rows_read(file_exists(before) ? before : NULL, path, &s, add_row, &r);
}

static void add_messages(struct buf *out, struct names *names, struct str in)
{
    struct str message;
    struct hl7_split split = {.text = in};
    while (hl7_split_next(&split, &message, NULL)) {
        add_message(out, names, message);
    }
}

static void add_documents(struct buf *out, struct names *names, struct str in)
{
    struct xml_batch *batch;
    struct xml_message m;
    bool more;
    assert_int_equal(xml_batch_open(t.arena, in, NULL, NULL, &batch, NULL), ERR_NONE);
    while (xml_batch_next(batch, t.arena, &m, &more, NULL) == ERR_NONE && more) {
        add_message(out, names, m.raw);
    }
}

static void run_case(const char *folder)
{
    struct str in, expected = {"", 0};
    struct names names = {.count = 0};
    struct buf out;
    char **files;
    size_t count;
    buf_init(&out, CLINIC_FILE);
    assert_int_equal(file_list(t.arena, folder, "", &files, &count, NULL), ERR_NONE);
    const char *in_path = NULL;
    for (size_t i = 0; i < count; i++) {
        in_path = str_starts(str_of(files[i]), STR("in.")) ? file_path(t.arena, folder, files[i])
                                                           : in_path;
    }
    char *out_path = file_path(t.arena, folder, "expected.txt");
    if (!in_path || file_read(t.arena, in_path, CLINIC_FILE, &in, NULL) != ERR_NONE) {
        fail_msg("%s has no file in.*", folder);
    }
    if (mapping_headers(mapping)) {
        add_table(&out, &names, folder, in_path);
    } else if (content_of(in) == CONTENT_HL7) {
        add_messages(&out, &names, in);
    } else {
        add_documents(&out, &names, in);
    }
    const char *mode = getenv("DARI_CASES");
    if (mode && strcmp(mode, "write") == 0) {
        assert_int_equal(file_write(out_path, buf_str(&out), 0644, NULL), ERR_NONE);
    } else if (file_read(t.arena, out_path, CLINIC_FILE, &expected, NULL) != ERR_NONE ||
               !str_eq(expected, buf_str(&out))) {
        fail_msg("%s\nexpected:\n%.*sgot:\n%s", folder, STR_ARG(expected), out.p);
    }
    buf_release(&out);
}

static void load_mapping(const char *path)
{
    struct problems p = {0};
    mapping_free(&mapping);
    mapping = mapping_load(path, t.catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    assert_non_null(mapping);
}

/* reservation-list-cp949 → reservation-list.xml; the whole folder when there is no such file. */
static const char *mapping_of(const char *folder, const char *name)
{
    for (const char *end = strrchr(name, '-'); end && end > name; end--) {
        if (*end == '-') {
            char *path = arena_printf(t.arena, "%s/%.*s.xml", folder, (int)(end - name), name);
            if (file_exists(path)) {
                return path;
            }
        }
    }
    return folder;
}

static void run_set(const char *folder, size_t least)
{
    char **names, *cases = file_path(t.arena, folder, "cases");
    size_t count, ran = 0;
    const char *loaded = "";
    assert_int_equal(file_list(t.arena, cases, "", &names, &count, NULL), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        const char *wanted = mapping_of(folder, names[i]);
        if (strcmp(wanted, loaded) != 0) {
            load_mapping(wanted);
            loaded = wanted;
        }
        if (names[i][0] != '.') {
            run_case(file_path(t.arena, cases, names[i]));
            ran++;
        }
    }
    mapping_free(&mapping);
    assert_true(ran >= least);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        run_set(sets[i].folder, sets[i].cases);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests_name("mapping: cases", tests, setup, teardown);
}
