#include "tests/lib/clinic.h"

#include "tests/lib/cm.h"
#include "tests/lib/folder.h"

bool clinic_open(struct clinic *c)
{
    struct problems p = {0};
    c->arena = arena_new(0);
    c->message = arena_new(0);
    c->catalogue = catalogue_load("mappings/catalogue.xml", &p);
    problems_print(&p, stderr);
    problems_release(&p);
    if (!folder_make()) {
        return false;
    }
    folder_write("site.key", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    bool ok = keyring_open(in_folder(""), &c->keys, NULL) == ERR_NONE;
    folder_drop();
    return ok && c->arena && c->message && c->catalogue && zone_set("Asia/Seoul", NULL) == ERR_NONE;
}

void clinic_release(struct clinic *c)
{
    catalogue_free(&c->catalogue);
    keyring_free(&c->keys);
    arena_free(&c->message);
    arena_free(&c->arena);
}

void clinic_prepare(const struct clinic *c, const struct mapping_set *m, enum charset fallback,
                    struct str given, struct str raw, struct prepared *out)
{
    const struct prepare_settings s = {.site = "hanbit",
                                       .feed = "emr",
                                       .keys = c->keys,
                                       .mapping = m,
                                       .fallback = fallback,
                                       .max_message = CLINIC_FILE};
    arena_reset(c->message);
    assert_int_equal(prepare_message(&s, c->message, given, raw, CLINIC_RECEIVED, out, NULL),
                     ERR_NONE);
}

static bool allow(void *ctx, const struct event_type *type, const struct field *f)
{
    (void)ctx, (void)type, (void)f;
    return true;
}

void clinic_payload(struct buf *out, const struct event *v)
{
    static const struct event_cut whole = {.allow = allow};
    assert_int_equal(event_payload(out, v->type, v->data, v->secret, &whole, NULL), ERR_NONE);
}
