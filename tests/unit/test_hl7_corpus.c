/*
 * Messages that others published (DARI_CORPUS or ../shared/corpus): every one is read or refused
 * with a place, every value unescapes, and every answer agrees with a second, naive reading of the
 * bytes.
 */
#include "tests/lib/cm.h"

#include "core/base/file.h"
#include "core/hl7/hl7.h"
#include "core/hl7/reply.h"
#include "core/hl7/split.h"
#include "tests/lib/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena *files, *arena;
static const char *corpus;

static int setup(void **state)
{
    (void)state;
    files = arena_new(0);
    arena = arena_new(0);
    corpus = getenv("DARI_CORPUS") ? getenv("DARI_CORPUS") : "../shared/corpus";
    return files && arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&files);
    arena_free(&arena);
    return 0;
}

/* Piece n by counting separators, without any of the parser's code. */
static struct str naive(struct str in, char separator, unsigned n)
{
    struct str rest = in, piece = {"", 0};
    for (unsigned i = 0; i < n; i++) {
        if (!str_next(&rest, separator, &piece)) {
            return (struct str){NULL, 0};
        }
    }
    return piece;
}

static void check_value(const struct hl7_msg *m, struct hl7_path p, struct str want, bool null)
{
    char place[HL7_PLACE];
    struct str out, plain;
    enum hl7_has has = hl7_get(m, &p, &out), expect = HL7_VALUE;
    hl7_path_text(&p, place);
    if (null || str_is(want, "\"\"")) {
        expect = HL7_NULL;
    } else if (!want.p || want.n == 0) {
        expect = want.p ? HL7_EMPTY : HL7_ABSENT;
    }
    assert_row(has == expect, place);
    assert_same(out, expect == HL7_VALUE ? want : STR(""), place);
    enum err_code code = hl7_unescape(arena, m, out, &plain, NULL);
    assert_row(code == ERR_NONE || code == ERR_CHARSET, place);
}

/* Every field, repetition and component of a segment. */
static void check_segment(const struct hl7_msg *m, struct hl7_path p, struct str seg)
{
    struct hl7_delimiters d = hl7_delimiters(m);
    bool header = str_starts(seg, STR("MSH"));
    for (p.field = header ? 3 : 1;; p.field++) {
        struct str field = naive(seg, d.field, p.field + (header ? 0 : 1)), rep;
        p.rep = p.comp = 0;
        if (!field.p) {
            check_value(m, p, field, false);
            return;
        }
        bool null = str_is(field, "\"\"");
        for (p.rep = 1; (rep = naive(field, d.repetition, p.rep)).p; p.rep++) {
            p.comp = 0;
            check_value(m, p, rep, null);
            for (p.comp = 1; p.comp < 12; p.comp++) {
                check_value(m, p, naive(rep, d.component, p.comp), null || str_is(rep, "\"\""));
            }
        }
    }
}

static void check_message(struct str text)
{
    const struct hl7_msg *m = NULL;
    struct err e = {.code = ERR_NONE};
    enum err_code code = hl7_parse(arena, text, NULL, &m, &e);
    if (code != ERR_NONE) {
        assert_true(e.where[0] != '\0' && e.pos <= text.n && e.msg[0] != '\0');
        return;
    }
    for (size_t i = 0; i < hl7_segments(m); i++) {
        struct str seg = hl7_segment(m, i);
        struct hl7_path p = {.occ = 1};
        memcpy(p.segment, seg.p, 3);
        for (size_t k = 0; k < i; k++) {
            p.occ += memcmp(hl7_segment(m, k).p, seg.p, 3) == 0;
        }
        check_segment(m, p, seg);
    }
}

static size_t check_reply(struct str raw)
{
    struct buf out;
    bool wanted;
    buf_init(&out, 1 << 20);
    hl7_reply(&out, NULL, raw, &(struct hl7_reply){.id = STR("1"), .verdict = HL7_REJECT}, &wanted);
    assert_true(!wanted || str_starts(buf_str(&out), STR("MSH")));
    buf_release(&out);
    return wanted;
}

/* How many messages a folder holds; *read of them were fit to be read. */
static size_t check_folder(const char *folder, size_t *readable)
{
    char **names;
    size_t count, messages = 0;
    char *path = file_path(files, corpus, folder);
    assert_int_equal(file_list(files, path, ".hl7", &names, &count, NULL), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        struct str raw, message, text;
        arena_reset(arena);
        assert_int_equal(file_read(files, file_path(files, path, names[i]), 1 << 24, &raw, NULL),
                         ERR_NONE);
        struct hl7_split split = {.text = raw, .at = 0};
        while (hl7_split_next(&split, &message, NULL)) {
            enum charset used;
            struct err e = {.code = ERR_NONE};
            messages++;
            check_reply(message);
            bool wide = hl7_wide(raw, NULL);
            enum err_code code =
                hl7_decode(arena, wide ? raw : message, NULL, CHARSET_UTF8, &text, &used, &e);
            if (code != ERR_NONE) {
                assert_row(e.where[0] != '\0' && e.pos <= raw.n, names[i]);
                continue;
            }
            struct str guarded = guard_copy(text);
            const struct hl7_msg *m;
            *readable += hl7_parse(arena, guarded, NULL, &m, NULL) == ERR_NONE;
            check_message(guarded);
            guard_free_all();
            if (wide) {
                break;
            }
        }
    }
    return messages;
}

static void published_messages(void **state)
{
    (void)state;
    if (!file_exists(corpus)) {
        printf("# SKIP no corpus at %s\n", corpus);
        skip();
    }
    const struct {
        const char *folder;
        size_t messages, readable;
    } rows[] = {{"hl7v2", 662, 658}, {"hl7v2-batch", 1137, 1137}, {"malformed", 60, 30}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t readable = 0, n = check_folder(rows[i].folder, &readable);
        printf("# %s: %zu messages, %zu readable\n", rows[i].folder, n, readable);
        assert_true(n >= rows[i].messages && readable >= rows[i].readable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_messages)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
