/*
 * The first line is a path, the rest a message: a path that can be read is written as text that
 * reads as the same path, a refusal names its place, and looking anything up in any message holds.
 */
#include "core/hl7/hl7.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool same(const struct hl7_path *a, const struct hl7_path *b)
{
    return memcmp(a->segment, b->segment, 4) == 0 && a->occ == b->occ && a->field == b->field &&
           a->rep == b->rep && a->comp == b->comp && a->sub == b->sub && a->choose == b->choose;
}

static void check_text(const struct hl7_path *p)
{
    char text[HL7_PLACE];
    struct hl7_path back;
    struct hl7_path plain = *p; /* what a choice chooses by is not written: a place, not a value */
    plain.choose = 0;
    plain.chosen = STR("");
    hl7_path_text(&plain, text);
    must(hl7_path_parse(str_of(text), &back, NULL) == ERR_NONE);
    must(same(&plain, &back) || plain.occ == 1 || plain.rep == 1);
}

static void look_up(const struct hl7_path *p, struct str raw)
{
    static struct arena *arena;
    const struct hl7_msg *m;
    struct str out, plain;
    arena = arena ? arena : arena_new(64 << 20);
    arena_reset(arena);
    if (hl7_parse(arena, raw, NULL, &m, NULL) != ERR_NONE) {
        return;
    }
    enum hl7_has has = hl7_get(m, p, &out);
    must((has == HL7_VALUE) == (out.n > 0));
    must(out.n == 0 || (out.p >= raw.p && out.p + out.n <= raw.p + raw.n));
    must(has != HL7_VALUE || hl7_occurrences(m, p->segment) > 0);
    hl7_repetitions(m, p);
    hl7_unescape(arena, m, out, &plain, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    size_t end = str_find(in, '\n', 0);
    struct str path = str_cut(in, 0, end);
    struct hl7_path p;
    struct err e = {.code = ERR_NONE};
    if (hl7_path_parse(path, &p, &e) != ERR_NONE) {
        must(e.code == ERR_SYNTAX && e.pos <= path.n);
        return 0;
    }
    check_text(&p);
    look_up(&p, str_cut(in, end + 1, in.n));
    return 0;
}
