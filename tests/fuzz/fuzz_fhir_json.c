/*
 * One input is FHIR in JSON: a resource, a Bundle, or lines of them. Each message that is split off
 * is read or refused with its place, and a resource always has the name that its type says.
 */
#include "core/xml/batch.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str raw = {(const char *)data, size};
    struct xml_batch *b;
    struct xml_message m;
    struct err e = {.code = ERR_NONE};
    bool more = true;
    size_t count = 0;
    arena = arena ? arena : arena_new(256 << 20);
    arena_reset(arena);
    enum err_code code = xml_batch_open(arena, raw, NULL, NULL, &b, &e);
    if (code != ERR_NONE) {
        must(code == ERR_NOMEM || (e.where[0] && e.pos <= size * 4));
        return 0;
    }
    while (xml_batch_next(b, arena, &m, &more, &e) == ERR_NONE && more && count++ < 50) {
        const struct xml_tree *t;
        enum charset used;
        struct err why = {.code = ERR_NONE};
        code = xml_tree_read(arena, m.raw, NULL, NULL, &t, &used, &why);
        must(code == ERR_NONE || code == ERR_NOMEM || why.pos <= m.raw.n * 4);
        must(code != ERR_NONE || xml_name(xml_tree_subject(t))[0] != '\0');
    }
    return 0;
}
