/*
 * One input is a stored payload and a received envelope at once. Whatever is cut from bytes that
 * are accepted must be JSON that another parser reads, with each member once.
 */
#include "core/event/event.h"
#include "core/event/read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct field items[] = {{.name = "k", .kind = KIND_KEY},
                                     {.name = "s", .kind = KIND_STR}};
static const struct field fields[] = {
    {.name = "key", .kind = KIND_KEY},
    {.name = "text", .kind = KIND_STR, .class = CLASS_P2},
    {.name = "list", .kind = KIND_LIST, .items = items, .item_count = 2},
    {.name = "keys", .kind = KIND_LIST, .item_kind = KIND_KEY},
};
static const struct event_type type = {.name = "a.b", .fields = fields, .field_count = 4};

static bool allow(void *ctx, const struct event_type *t, const struct field *f)
{
    (void)ctx;
    (void)t;
    return f->kind != KIND_INT;
}

static void other_key(void *ctx, struct str key, char out[KEY_TEXT])
{
    (void)ctx;
    memcpy(out, key.p, KEY_TEXT - 1);
    out[KEY_TEXT - 1] = '\0';
}

/* Only bytes that are UTF-8 can be stored, so only those must come out as JSON. */
static void check_output(struct str in, const struct buf *out)
{
    json_t *given = json_loadb(in.p, in.n, JSON_ALLOW_NUL, NULL);
    json_t *cut = json_loadb(out->p, out->n, JSON_ALLOW_NUL, NULL);
    if (given && !cut) {
        abort();
    }
    json_decref(given);
    json_decref(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct event_cut cut = {allow, size % 2 ? other_key : NULL, NULL};
    struct received_event r;
    struct err e = {.code = ERR_NONE};
    struct buf out;
    buf_init(&out, 1 << 20);
    if (event_payload(&out, &type, in, STR(""), &cut, &e) == ERR_NONE) {
        check_output(in, &out);
    } else if (e.pos > in.n) {
        abort();
    }
    buf_release(&out);
    if (received_parse(in, &r, NULL) == ERR_NONE) {
        int64_t n;
        data_int(r.data, "n", &n);
        received_release(&r);
    }
    return 0;
}
