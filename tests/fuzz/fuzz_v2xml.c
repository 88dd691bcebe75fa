/*
 * One input is one HL7 v2 message in its XML encoding: what becomes of it is a message in ER7 that
 * can be parsed when it begins with MSH, and written in XML again it is read as the same segments.
 */
#include "core/hl7/v2xml.h"

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

static const struct hl7_msg *from_xml(struct str raw)
{
    const struct xml_tree *t;
    const struct hl7_msg *m = NULL;
    enum charset used;
    struct str er7;
    struct err e = {.code = ERR_NONE};
    if (xml_tree_read(arena, raw, NULL, NULL, &t, &used, &e) != ERR_NONE || !hl7_is_v2xml(t) ||
        hl7_from_v2xml(arena, t, 1 << 20, &er7, &e) != ERR_NONE) {
        return NULL;
    }
    hl7_parse(arena, er7, NULL, &m, &e);
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena = arena ? arena : arena_new(256 << 20);
    arena_reset(arena);
    const struct hl7_msg *m = from_xml((struct str){(const char *)data, size});
    struct buf out;
    if (!m) {
        return 0;
    }
    buf_init(&out, 8 << 20);
    if (hl7_to_v2xml(&out, arena, m, NULL) == ERR_NONE) {
        const struct hl7_msg *back = from_xml(buf_str(&out));
        must(back && hl7_segments(back) == hl7_segments(m));
        for (size_t i = 0; i < hl7_segments(m); i++) {
            must(memcmp(hl7_segment(m, i).p, hl7_segment(back, i).p, 3) == 0);
        }
    }
    buf_release(&out);
    return 0;
}
