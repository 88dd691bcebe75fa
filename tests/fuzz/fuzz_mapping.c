/*
 * A mapping file and a message: the input is the text of a mapping, a NUL byte, and a message. What
 * loads is run; an event that comes out is written as JSON. Without a NUL byte the input is a
 * message for the mappings that are shipped.
 */
#include "core/base/file.h"
#include "core/hl7/hl7.h"
#include "core/mapping/mapping.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 64 * 1024 };

static struct catalogue *catalogue;
static struct mapping_set *shipped;
static struct keyring *keys;
static char folder[] = "/tmp/dari-fuzz-XXXXXX";

static bool prepare(void)
{
    struct problems p = {0};
    char path[64];
    if (catalogue || !mkdtemp(folder)) {
        return catalogue != NULL;
    }
    snprintf(path, sizeof path, "%s/site.key", folder);
    static const struct str hex =
        STR_INIT("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    if (file_write(path, hex, 0600, NULL) == ERR_NONE) {
        keyring_open(folder, &keys, NULL);
        unlink(path);
    }
    catalogue = catalogue_load("mappings/catalogue.xml", &p);
    shipped = catalogue ? mapping_load("mappings/hl7v2", catalogue, &p) : NULL;
    problems_release(&p);
    return keys && shipped && zone_set("Asia/Seoul", NULL) == ERR_NONE;
}

static bool allow(void *ctx, const struct event_type *t, const struct field *f)
{
    (void)ctx, (void)t, (void)f;
    return true;
}

static void write_events(const struct mapped *m)
{
    static const struct event_cut whole = {.allow = allow};
    for (size_t i = 0; i < m->count; i++) {
        struct buf json;
        struct err e = {0};
        buf_init(&json, 1 << 20);
        if (event_payload(&json, m->events[i].type, m->events[i].data, m->events[i].secret, &whole,
                          &e) != ERR_NONE) {
            abort(); /* what we made must be readable */
        }
        buf_release(&json);
    }
}

static void run(const struct mapping_set *m, struct str message)
{
    struct arena *a = arena_new(16 * 1024 * 1024);
    const struct hl7_msg *parsed;
    struct str text;
    enum charset used;
    struct mapped out;
    struct mapping_context c = {
        .keys = keys, .site = "fuzz", .message_id = STR_INIT("0123456789abcdef"), .received_at = 1};
    if (a && hl7_decode(a, message, NULL, CHARSET_CP949, &text, &used, NULL) == ERR_NONE &&
        hl7_parse(a, text, NULL, &parsed, NULL) == ERR_NONE) {
        hl7_set_charset(parsed, used);
        const struct record *r = record_of_hl7(a, parsed);
        if (r && mapping_run(m, r, &c, a, &out, NULL) == ERR_NONE) {
            write_events(&out);
        }
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    if (!prepare() || size > MOST) {
        return 0;
    }
    size_t nul = str_find(in, '\0', 0);
    if (nul == in.n) {
        run(shipped, in);
        return 0;
    }
    char path[64];
    struct problems p = {0};
    snprintf(path, sizeof path, "%s/m.xml", folder);
    struct mapping_set *m = file_write(path, str_cut(in, 0, nul), 0600, NULL) == ERR_NONE
                                ? mapping_load(path, catalogue, &p)
                                : NULL;
    if (m) {
        run(m, str_cut(in, nul + 1, in.n));
    }
    mapping_free(&m);
    problems_release(&p);
    unlink(path);
    return 0;
}
