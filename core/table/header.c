#include "core/table/header.h"

#include "core/base/text.h"
#include "core/xml/xml.h"

#include <string.h>

/* ---- normalisation ---- */

static bool left_out(unsigned c)
{
    static const char ascii[] = " \t\r\n()_-/.*";
    if (c < 0x80) {
        return c == 0 || memchr(ascii, (int)c, sizeof ascii - 1) != NULL;
    }
    return c == 0xa0 || c == 0x3000 || (c >= 0x200b && c <= 0x200f) || c == 0xfeff;
}

/*
 * Composition of Hangul (Unicode 3.12), the part of NFC that matters here: a Mac writes 이름 as
 * five letters. True when `c` was joined to the character before it.
 */
static bool compose(unsigned *before, unsigned c)
{
    enum { L = 0x1100, V = 0x1161, T = 0x11a7, S = 0xac00, LS = 19, VS = 21, TS = 28 };
    if (*before >= L && *before < L + LS && c >= V && c < V + VS) {
        *before = S + ((*before - L) * VS + (c - V)) * TS;
        return true;
    }
    bool syllable = *before >= S && *before < S + LS * VS * TS && (*before - S) % TS == 0;
    if (syllable && c > T && c < T + TS) {
        *before += c - T;
        return true;
    }
    return false;
}

static unsigned folded(unsigned c)
{
    if (c >= 0xff01 && c <= 0xff5e) {
        c -= 0xff01 - '!';
    }
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static uint64_t hash_of(struct str s)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    }
    return h;
}

struct header_key header_key(struct arena *a, struct str header)
{
    char *to = arena_alloc(a, header.n + TEXT_CHAR + 1);
    struct header_key key = {{to, 0}, 0};
    unsigned before = 0;
    if (!to) {
        return key;
    }
    for (size_t i = 0; i < header.n;) {
        unsigned c = folded(text_next(header, &i));
        if (left_out(c) || compose(&before, c)) {
            continue;
        }
        key.text.n += before ? text_put(before, to + key.text.n) : 0;
        before = c;
    }
    key.text.n += before ? text_put(before, to + key.text.n) : 0;
    key.hash = hash_of(key.text);
    return key;
}

/* ---- finding ---- */

static bool same(const struct header_key *a, const struct header_key *b)
{
    return a->hash == b->hash && str_eq(a->text, b->text);
}

const struct header_column *header_find(const struct header_names *n, const struct header_key *k)
{
    for (size_t i = 0; i < n->count && k->text.n; i++) {
        for (size_t j = 0; j < n->columns[i].key_count; j++) {
            if (same(&n->columns[i].keys[j], k)) {
                return &n->columns[i];
            }
        }
    }
    return NULL;
}

const struct header_column *header_named(const struct header_names *n, struct str name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (str_is(name, n->columns[i].name)) {
            return &n->columns[i];
        }
    }
    return NULL;
}

size_t header_at(const struct header_column *c, size_t alias, const struct header_key *keys,
                 size_t n)
{
    size_t i = 0;
    while (i < n && !same(&c->keys[alias], &keys[i])) {
        i++;
    }
    return i;
}

bool header_has(const struct header_column *c, const struct header_key *keys, size_t n)
{
    for (size_t i = 0; i < c->key_count; i++) {
        if (header_at(c, i, keys, n) < n) {
            return true;
        }
    }
    return false;
}

/* ---- the dictionary ---- */

static size_t count_of(const struct xml_node *n, const char *name)
{
    size_t count = 0;
    for (const struct xml_node *c = xml_child(n, name); c; c = xml_sibling(c, name)) {
        count++;
    }
    return count;
}

struct reader {
    struct arena *a;
    struct problems *p;
    const char *path;
    struct header_column *columns;
    size_t count;
};

static void no_memory(struct reader *r)
{
    problem_add(r->p, r->path, 0, "no memory for the dictionary");
}

/* An alias of two columns would be a guess. */
static bool taken(const struct reader *r, const struct header_key *k, const char **by)
{
    struct header_names names = {.columns = r->columns, .count = r->count};
    const struct header_column *c = header_find(&names, k);
    *by = c ? c->name : NULL;
    return c != NULL;
}

static void add_key(struct reader *r, struct header_column *c, struct header_key *keys,
                    const char *text, int line)
{
    struct header_key key = header_key(r->a, str_of(text));
    const char *by;
    if (!key.text.p) {
        no_memory(r);
    } else if (key.text.n == 0) {
        problem_add(r->p, r->path, line, "an alias has at least one letter or digit");
    } else if (taken(r, &key, &by)) {
        problem_add(r->p, r->path, line,
                    "this header is an alias of %s already: remove one of them", by);
    } else {
        keys[c->key_count++] = key;
    }
}

static void read_column(struct reader *r, const struct xml_node *n)
{
    struct header_column *c = &r->columns[r->count];
    struct header_key *keys = arena_array(r->a, count_of(n, "alias") + 1, sizeof *keys);
    c->name = arena_z(r->a, str_of(xml_attr_or(n, "name", "")));
    if (!keys || !c->name) {
        no_memory(r);
        return;
    }
    c->rrn = strcmp(xml_attr_or(n, "rrn", "no"), "yes") == 0;
    c->keys = keys;
    r->count++; /* from now on its aliases are found, also within itself */
    add_key(r, c, keys, c->name, xml_line(n));
    for (const struct xml_node *k = xml_child(n, "alias"); k; k = xml_sibling(k, "alias")) {
        add_key(r, c, keys, xml_attr_or(k, "header", ""), xml_line(k));
    }
}

const struct header_names *header_load(struct arena *a, const char *path, struct problems *p)
{
    struct xml_doc *doc = xml_load(path, "config/schemas/headers.rng", p);
    struct header_names *names = doc ? arena_alloc(a, sizeof *names) : NULL;
    if (names) {
        const struct xml_node *root = xml_root(doc);
        struct reader r = {.a = a, .p = p, .path = arena_z(a, str_of(path))};
        r.columns = arena_array(a, count_of(root, "column") + 1, sizeof *r.columns);
        if (!r.columns || !r.path) {
            problem_add(p, path, 0, "no memory for the dictionary");
        } else {
            for (const struct xml_node *n = xml_child(root, "column"); n;
                 n = xml_sibling(n, "column")) {
                read_column(&r, n);
            }
        }
        names->columns = r.columns;
        names->count = r.count;
    }
    xml_free(&doc);
    return names;
}
