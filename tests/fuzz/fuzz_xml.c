/*
 * One input is one document from outside: decoded, passed through the gate, read as a tree, asked
 * by paths, and split into messages. Every error has a code of its class and a place inside the
 * input.
 */
#include "core/xml/batch.h"
#include "core/xml/tree.h"

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

static void ask(const struct xml_tree *t)
{
    static const char *const paths[] = {"//*",          "//@*",          ".//text()",
                                        "*[last()]/@*", "resolve(.//*)", "count(//*)"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct xml_path *p;
        struct xml_result r;
        must(xml_path_compile(arena, NULL, (struct str){paths[i], strlen(paths[i])}, &p, NULL) ==
             ERR_NONE);
        if (xml_path_find(t, p, xml_tree_subject(t), arena, &r, NULL) != ERR_NONE) {
            continue;
        }
        for (size_t k = 0; k < r.count && k < 200; k++) {
            char place[XML_PLACE];
            must(strlen(xml_place(t, r.nodes[k], place)) < XML_PLACE);
            must(xml_value(r.nodes[k], arena).p != NULL);
        }
    }
}

static void read_tree(struct str raw)
{
    const struct xml_tree *t;
    enum charset used;
    struct err e = {.code = ERR_NONE};
    enum err_code code = xml_tree_read(arena, raw, NULL, NULL, &t, &used, &e);
    if (code == ERR_NONE) {
        ask(t);
    } else {
        must(code == ERR_NOMEM || (err_class(code) == ERR_CLASS_DATA && e.pos <= raw.n * 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str raw = {(const char *)data, size};
    struct xml_batch *b;
    struct xml_message m;
    bool more = true;
    size_t count = 0;
    arena = arena ? arena : arena_new(256 << 20);
    arena_reset(arena);
    const struct xml_path *p;
    xml_path_compile(arena, NULL, raw, &p, NULL);
    read_tree(raw);
    if (xml_batch_open(arena, raw, NULL, NULL, &b, NULL) != ERR_NONE) {
        return 0;
    }
    while (xml_batch_next(b, arena, &m, &more, NULL) == ERR_NONE && more && count < 50) {
        must(m.number == ++count && m.raw.p != NULL);
        read_tree(m.raw);
    }
    must(xml_batch_offset(b) <= size * 4);
    return 0;
}
