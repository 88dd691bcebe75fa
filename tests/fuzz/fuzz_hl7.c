/*
 * One input is one received message: decode, parse, look everything up, unescape, escape again,
 * reply. What must hold for any bytes is checked with abort().
 */
#include "core/base/file.h"
#include "core/hl7/batch.h"
#include "core/hl7/hl7.h"
#include "core/hl7/join.h"
#include "core/hl7/reply.h"
#include "core/hl7/split.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct arena *arena;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* escape(unescape(x)) reads back as the same text. */
static void check_value(const struct hl7_msg *m, struct str in)
{
    struct str plain, escaped, back;
    must(hl7_offset(m, in) > 0 || in.n == 0);
    if (hl7_unescape(arena, m, in, &plain, NULL) != ERR_NONE ||
        hl7_escape(arena, m, plain, &escaped, NULL) != ERR_NONE) {
        return;
    }
    must(hl7_unescape(arena, m, escaped, &back, NULL) == ERR_NONE && str_eq(plain, back));
    struct hl7_delimiters d = hl7_delimiters(m);
    must(!memchr(escaped.p, d.field, escaped.n) && !memchr(escaped.p, d.component, escaped.n));
}

static void check_look_ups(const struct hl7_msg *m)
{
    size_t budget = 2000;
    for (size_t i = 0; i < hl7_segments(m) && budget; i++) {
        struct str seg = hl7_segment(m, i), out;
        struct hl7_path p = {.occ = 1};
        memcpy(p.segment, seg.p, 3);
        must(hl7_occurrences(m, p.segment) > 0 && hl7_get(m, &p, &out) == HL7_VALUE);
        unsigned fields = hl7_fields(m, i);
        for (p.field = 1; p.field <= fields + 1 && budget; p.field++) {
            unsigned repetitions = hl7_repetitions(m, &p);
            for (p.rep = 1; p.rep <= repetitions + 1 && budget; p.rep++, budget--) {
                for (p.comp = 0; p.comp < 4; p.comp++) {
                    p.sub = p.comp / 2;
                    enum hl7_has has = hl7_get(m, &p, &out);
                    must((has == HL7_VALUE) == (out.n > 0));
                    if (p.field > 2) {
                        check_value(m, out);
                    }
                }
            }
            p.rep = p.comp = p.sub = 0;
        }
    }
    struct str out;
    struct hl7_path choice;
    must(hl7_path_parse(STR("PID-3[5='MR'].1"), &choice, NULL) == ERR_NONE);
    hl7_get(m, &choice, &out);
}

/* Exactly two or three segments, none of which could end a frame early. */
static void check_reply(const struct hl7_msg *m, struct str raw, enum hl7_verdict v)
{
    struct buf out;
    bool wanted;
    const struct hl7_reply r = {.verdict = v,
                                .condition = 207,
                                .place = "PID-3.1",
                                .text = "some | text ^ with & delimiters",
                                .id = STR("1"),
                                .at = 0};
    buf_init(&out, 4 << 20);
    hl7_reply(&out, m, raw, &r, &wanted);
    must(wanted || out.n == 0);
    if (wanted && buf_ok(&out)) {
        size_t ends = 0;
        for (size_t i = 0; i < out.n; i++) {
            ends += out.p[i] == '\r';
            must(out.p[i] != 0x1c && out.p[i] != 0x0b && out.p[i] != '\n');
        }
        must(out.p[out.n - 1] == '\r' && ends == (v == HL7_ACCEPT ? 2 : 3));
        const struct hl7_msg *back;
        struct str text;
        enum charset used;
        if (m &&
            hl7_decode(arena, buf_str(&out), NULL, CHARSET_UTF8, &text, &used, NULL) == ERR_NONE) {
            must(hl7_parse(arena, text, NULL, &back, NULL) == ERR_NONE);
        }
    }
    buf_release(&out);
}

/* The answer to a batch begins and ends with lines of its own, and no byte ends its frame. */
static void check_batch(struct str raw)
{
    struct hl7_batch b;
    struct buf out;
    buf_init(&out, 1 << 20);
    hl7_batch_read(raw, &b);
    hl7_batch_begin(&out, &b, STR("1"), 0);
    hl7_batch_end(&out, &b, 0, NULL);
    size_t lines = 0;
    for (size_t i = 0; i < out.n; i++) {
        must(out.p[i] != 0x0b && out.p[i] != 0x1c && out.p[i] != '\n');
        lines += out.p[i] == '\r';
    }
    must(buf_ok(&out) && lines == (b.file.n ? 4U : 2U));
    buf_release(&out);
}

/* All messages of the input as the parts of one: the joined text has nothing left to join. */
static void check_join(struct str raw)
{
    struct str parts[8], message, once;
    struct buf out, again;
    struct hl7_split split = {.text = raw, .at = 0};
    struct err e = {.code = ERR_NONE};
    size_t n = 0;
    while (n < 8 && hl7_split_next(&split, &message, NULL)) {
        parts[n++] = message;
    }
    buf_init(&out, raw.n + 16);
    buf_init(&again, raw.n + 16);
    if (n && hl7_join(parts, n, &out, &e) == ERR_NONE) {
        once = buf_str(&out);
        must(once.n <= raw.n + 1 && once.n > 0 && once.p[once.n - 1] == '\r');
        if (hl7_join(&once, 1, &again, &e) == ERR_NONE) {
            must(str_eq(once, buf_str(&again)));
        }
    }
    must(e.code == ERR_NONE || e.where[0]);
    buf_release(&out);
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena = arena ? arena : arena_new(256 << 20);
    arena_reset(arena);
    struct str raw = {(const char *)data, size}, text, message;
    struct err e = {.code = ERR_NONE};
    enum charset used;
    const struct hl7_msg *m = NULL;
    struct hl7_split split = {.text = raw, .at = 0};
    size_t from, last = 0;
    while (hl7_split_next(&split, &message, &from)) {
        must(from >= last && message.n > 0 && message.p + message.n <= raw.p + raw.n);
        last = from + message.n;
    }
    check_batch(raw);
    check_join(raw);
    enum err_code code = hl7_decode(arena, raw, NULL, CHARSET_UTF8, &text, &used, &e);
    if (code == ERR_NONE && (code = hl7_parse(arena, text, NULL, &m, &e)) == ERR_NONE) {
        struct hl7_part part;
        hl7_set_charset(m, used);
        must(hl7_part_read(m, &part, &e) == ERR_NONE || e.where[0]);
        check_look_ups(m);
    }
    must(code == ERR_NONE || code == ERR_NOMEM || (e.pos <= size * 3 && e.where[0]));
    for (int v = HL7_ACCEPT; v <= HL7_REJECT; v++) {
        check_reply(m, raw, (enum hl7_verdict)v);
        check_reply(NULL, raw, (enum hl7_verdict)v);
    }
    struct hl7_path p;
    hl7_path_parse(raw, &p, NULL);
    return 0;
}
