#include "core/stream/contract.h"

#include "core/base/file.h"
#include "core/crypto/digest.h"
#include "core/stream/wire.h"
#include "core/xml/xml.h"

#include <stdio.h>
#include <string.h>

#define SCHEMA "config/schemas/contract.rng"
enum { CONTRACT_MAX = 1 << 20, PAYLOAD_MAX = 1 << 20 };

struct contract_type {
    const struct event_type *type;
    bool *allowed; /* by the field's place in the type */
    bool secret;   /* some allowed field is P2 */
};

struct contract {
    struct arena *arena;
    const struct catalogue *catalogue;
    const char *label;
    bool everything;
    bool keys; /* form="key": real keys and where an event came from; else pseudonyms */
    struct contract_type *types;
    size_t count;
    const char **names;
};

struct loader {
    struct contract *c;
    const struct catalogue *catalogue;
    const char *path;
    struct problems *p;
    size_t before;    /* problems of others */
    unsigned classes; /* bit n: Pn */
};

/* ---- loading ---- */

static unsigned read_classes(const char *text)
{
    unsigned bits = 0;
    struct str rest = str_of(text), word;
    while (str_next(&rest, ' ', &word)) {
        if (word.n == 2 && word.p[0] == 'P' && word.p[1] >= '0' && word.p[1] <= '3') {
            bits |= 1u << (word.p[1] - '0');
        }
    }
    return bits;
}

static void read_fields(struct loader *l, struct contract_type *t, const struct xml_node *n)
{
    struct str rest = str_of(xml_attr_or(n, "fields", "")), word;
    while (str_next(&rest, ' ', &word)) {
        const struct field *f = word.n > 0 ? field_find(t->type, word) : NULL;
        if (word.n == 0) {
            continue;
        }
        if (!f) {
            problem_add(l->p, l->path, xml_line(n),
                        "%s has no field \"%.*s\": see the catalogue for its fields", t->type->name,
                        STR_ARG(word));
        } else if (!(l->classes & 1u << f->class)) {
            problem_add(l->p, l->path, xml_line(n),
                        "%s of %s is of class P%d: add it to classes=\"…\" or leave the field out",
                        f->name, t->type->name, (int)f->class);
        } else {
            t->allowed[f - t->type->fields] = true;
            t->secret |= f->class == CLASS_P2;
        }
    }
}

static void read_type(struct loader *l, const struct xml_node *n)
{
    const char *name = xml_attr_or(n, "name", "");
    struct contract_type *t = &l->c->types[l->c->count];
    t->type = catalogue_find(l->catalogue, str_of(name));
    if (!t->type) {
        problem_add(l->p, l->path, xml_line(n), "there is no event type \"%s\" in the catalogue",
                    name);
        return;
    }
    for (size_t i = 0; i < l->c->count; i++) {
        if (l->c->types[i].type == t->type) {
            problem_add(l->p, l->path, xml_line(n), "%s is named twice: put its fields together",
                        name);
            return;
        }
    }
    t->allowed = arena_array(l->c->arena, t->type->field_count + 1, sizeof *t->allowed);
    if (t->allowed) {
        l->c->names[l->c->count++] = t->type->name;
        read_fields(l, t, n);
    }
}

static void read_types(struct loader *l, const struct xml_node *root)
{
    size_t n = 0;
    for (const struct xml_node *x = xml_child(root, "type"); x; x = xml_sibling(x, "type")) {
        n++;
    }
    l->c->types = arena_array(l->c->arena, n + 1, sizeof *l->c->types);
    l->c->names = arena_array(l->c->arena, n + 1, sizeof *l->c->names);
    if (!l->c->types || !l->c->names) {
        problem_add(l->p, l->path, 0, "no memory to load it");
        return;
    }
    for (const struct xml_node *x = xml_child(root, "type"); x; x = xml_sibling(x, "type")) {
        read_type(l, x);
    }
}

static void read_root(struct loader *l, const struct xml_node *root, const char *name)
{
    if (strcmp(xml_attr_or(root, "name", ""), name) != 0) {
        problem_add(l->p, l->path, xml_line(root),
                    "a contract is named like its file: name=\"%s\" is expected", name);
    }
    l->classes = read_classes(xml_attr_or(root, "classes", ""));
    l->c->keys = strcmp(xml_attr_or(root, "form", ""), "key") == 0;
    l->c->everything = xml_child(root, "everything") != NULL;
    if (l->c->everything && l->classes != 0xf) {
        problem_add(l->p, l->path, xml_line(root),
                    "<everything/> needs all classes: classes=\"P0 P1 P2 P3\"");
    }
    read_types(l, root);
}

static const char *make_label(struct arena *a, const struct xml_node *root, const char *name,
                              struct str bytes)
{
    unsigned char digest[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    sha256(bytes, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    return arena_printf(a, "%s@%s:%s", name, xml_attr_or(root, "version", ""), hex);
}

static void load_file(struct loader *l, const char *name)
{
    struct str bytes;
    struct err e;
    if (file_read(l->c->arena, l->path, CONTRACT_MAX, &bytes, &e) != ERR_NONE) {
        problem_add(l->p, l->path, 0, "%s", e.msg);
        return;
    }
    struct xml_doc *doc = xml_load(l->path, SCHEMA, l->p);
    if (doc && l->p->count == l->before) {
        read_root(l, xml_root(doc), name);
        l->c->label = make_label(l->c->arena, xml_root(doc), name, bytes);
        if (!l->c->label) {
            problem_add(l->p, l->path, 0, "no memory to load it");
        }
    }
    xml_free(&doc);
}

struct contract *contract_load(const char *folder, const char *name, const struct catalogue *c,
                               struct problems *p)
{
    size_t before = p->count;
    struct arena *a = arena_new(0);
    struct contract *out = a ? arena_alloc(a, sizeof *out) : NULL;
    char *path = out ? arena_printf(a, "%s/%s.xml", folder, name) : NULL;
    if (!path) {
        problem_add(p, folder, 0, "no memory to load the contracts");
        arena_free(&a);
        return NULL;
    }
    out->arena = a;
    out->catalogue = c;
    struct loader l = {.c = out, .catalogue = c, .path = path, .p = p, .before = before};
    if (wire_word(str_of(name), WIRE_NAME)) {
        load_file(&l, name);
    } else {
        problem_add(p, folder, 0, "a contract's name is letters, digits and hyphens");
    }
    if (p->count > before) {
        contract_free(&out);
    }
    return out;
}

void contract_free(struct contract **c)
{
    if (*c) {
        struct arena *a = (*c)->arena; /* the contract itself is in it */
        arena_free(&a);
        *c = NULL;
    }
}

/* ---- asking ---- */

const char *contract_label(const struct contract *c)
{
    return c->label;
}

bool contract_everything(const struct contract *c)
{
    return c->everything;
}

static const struct contract_type *find(const struct contract *c, struct str type)
{
    for (size_t i = 0; i < c->count; i++) {
        if (str_is(type, c->types[i].type->name)) {
            return &c->types[i];
        }
    }
    return NULL;
}

bool contract_lets(const struct contract *c, struct str type)
{
    return c->everything || find(c, type);
}

const char *const *contract_types(const struct contract *c)
{
    return c->everything ? NULL : c->names;
}

/* ---- cutting ---- */

struct cut {
    const struct contract_type *type; /* NULL: everything */
    const struct keyring *keys;
    struct str consumer;
};

static bool cut_allow(void *ctx, const struct event_type *t, const struct field *f)
{
    const struct cut *x = ctx;
    return !x->type || x->type->allowed[f - t->fields];
}

static void cut_rename(void *ctx, struct str key, char out[KEY_TEXT])
{
    const struct cut *x = ctx;
    key_pseudonym(x->keys, x->consumer, key, out);
}

/* The context that the store sealed the P2 fields under. */
static enum err_code open_secret(const struct keyring *keys, const char *site,
                                 const struct stored *s, struct arena *scratch, struct str *secret,
                                 struct err *e)
{
    char *context = arena_printf(scratch, "%s/event/%s", site, s->id);
    return context ? unseal(keys, scratch, str_of(context), s->sealed, secret, e)
                   : ERR(e, ERR_NOMEM, 0, "no memory to open a sealed event");
}

static void add_envelope(const struct contract *c, const struct event_type *t, const char *site,
                         const char *subject, const struct stored *s, struct str data,
                         struct buf *out)
{
    struct envelope v = {
        .site = site,
        .source = s->source,
        .id = s->id,
        .type = t->name,
        .subject = subject,
        .schema = t->schema,
        .time = s->time,
        .recorded_at = s->recorded_at,
        .seq = s->seq,
        .message_no = c->keys ? s->message_no : 0, /* where it came from is nobody else's concern */
        .mapping = c->keys ? s->mapping : NULL,
        .cause = c->keys ? s->cause : NULL,
        .test = s->test,
        .data = data,
    };
    envelope_json(out, &v);
}

enum err_code contract_event(const struct contract *c, const struct keyring *keys, const char *site,
                             const char *consumer, const struct stored *s, struct arena *scratch,
                             struct buf *out, struct err *e)
{
    const struct contract_type *mine = find(c, s->type);
    const struct event_type *t = mine ? mine->type : catalogue_find(c->catalogue, s->type);
    struct cut x = {.type = mine, .keys = keys, .consumer = str_of(consumer)};
    struct event_cut cut = {cut_allow, c->keys ? NULL : cut_rename, &x};
    struct str secret = STR("");
    struct buf data;
    char subject[KEY_TEXT] = "";
    if (!t || (!mine && !c->everything)) {
        return ERR(e, ERR_NOTFOUND, 0, "event type %.*s is not in the catalogue", STR_ARG(s->type));
    }
    enum err_code code = ERR_NONE;
    if (s->sealed.p && (!mine || mine->secret)) {
        code = open_secret(keys, site, s, scratch, &secret, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    buf_init(&data, PAYLOAD_MAX);
    code = event_payload(&data, t, s->data, secret, &cut, e);
    if (code == ERR_NONE) {
        if (!c->keys && s->subject[0]) {
            key_pseudonym(keys, x.consumer, str_of(s->subject), subject);
        }
        add_envelope(c, t, site, c->keys ? s->subject : subject, s, buf_str(&data), out);
        code = buf_ok(&data) && buf_ok(out)
                   ? ERR_NONE
                   : ERR(e, ERR_LIMIT, 0, "event %lld is too large", (long long)s->seq);
    }
    buf_release(&data);
    return code;
}
