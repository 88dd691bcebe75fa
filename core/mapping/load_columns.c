/* <columns> and <key columns="…"/> of mappings for tables, joined with the dictionary of headers.
 */
#include "core/mapping/load.h"

#include "core/base/file.h"

#include <string.h>

struct columns {
    struct header_column *list;
    size_t count;
};

static const struct header_names *dictionary(struct loader *l, const struct xml_node *n)
{
    static const struct header_names none = {.count = 0};
    if (!l->dictionary) {
        l->dictionary = file_exists(l->headers) ? header_load(l->a, l->headers, l->p) : &none;
    }
    if (!l->dictionary) {
        PROBLEM(l, n, "the headers of tables cannot be read from %s", l->headers);
        l->dictionary = &none;
    }
    return l->dictionary;
}

static const struct header_column *who_has(const struct columns *c, const struct header_key *k)
{
    struct header_names names = {.columns = c->list, .count = c->count};
    return header_find(&names, k);
}

static void add_alias(struct loader *l, const struct xml_node *n, struct columns *c,
                      struct header_key *keys, const char *text)
{
    struct header_column *own = &c->list[c->count - 1];
    struct header_key key = header_key(l->a, str_of(text));
    const struct header_column *taken = key.text.p ? who_has(c, &key) : NULL;
    if (!key.text.p || key.text.n == 0) {
        PROBLEM(l, n, "an alias has at least one letter or digit");
    } else if (taken && taken != own) {
        PROBLEM(l, n, "this header is an alias of %s already: remove one of them", taken->name);
    } else if (!taken) {
        keys[own->key_count++] = key;
    }
}

static bool says_yes(const struct xml_node *n, const char *name)
{
    return strcmp(xml_attr_or(n, name, "no"), "yes") == 0;
}

/* A column of the mapping: its own aliases first, the dictionary's are added when all are known. */
static void load_column(struct loader *l, const struct xml_node *n, const struct header_names *dict,
                        struct columns *c)
{
    struct header_column *own = &c->list[c->count++];
    struct str name = arena_copy(l->a, str_of(xml_attr_or(n, "name", "")));
    const struct header_column *known = header_named(dict, name);
    size_t room = load_count(n, "alias") + 1 + (known ? known->key_count : 0);
    struct header_key *keys = arena_array(l->a, room, sizeof *keys);
    *own = (struct header_column){.name = name.p, .keys = keys, .declared = true};
    if (!keys || !name.p) {
        own->name = "";
        PROBLEM(l, n, "no memory for a column");
        return;
    }
    own->required = says_yes(n, "required");
    own->fill_down = says_yes(n, "fill-down");
    own->rrn = says_yes(n, "rrn") || (known && known->rrn);
    own->split = xml_attr(n, "split") ? arena_z(l->a, str_of(xml_attr(n, "split"))) : NULL;
    add_alias(l, n, c, keys, own->name);
    for (const struct xml_node *k = xml_child(n, "alias"); k; k = xml_sibling(k, "alias")) {
        add_alias(l, k, c, keys, xml_attr_or(k, "header", ""));
    }
}

/* The dictionary's aliases that no column of the mapping has taken over. */
static size_t add_free(const struct columns *c, const struct header_column *known,
                       struct header_key *keys, size_t count)
{
    for (size_t i = 0; i < known->key_count; i++) {
        if (!who_has(c, &known->keys[i])) {
            keys[count++] = known->keys[i];
        }
    }
    return count;
}

static void add_dictionary(struct loader *l, const struct xml_node *root,
                           const struct header_names *dict, struct columns *c)
{
    size_t declared = c->count;
    struct columns own = {c->list, declared};
    for (size_t i = 0; i < dict->count; i++) {
        const struct header_column *known = &dict->columns[i];
        size_t at = 0;
        while (at < declared && strcmp(c->list[at].name, known->name) != 0) {
            at++;
        }
        size_t had = at < declared ? c->list[at].key_count : 0;
        struct header_key *keys = arena_array(l->a, had + known->key_count + 1, sizeof *keys);
        if (!keys) {
            PROBLEM(l, root, "no memory for the columns");
            return;
        }
        for (size_t k = 0; k < had; k++) {
            keys[k] = c->list[at].keys[k];
        }
        size_t count = add_free(&own, known, keys, had);
        if (at == declared) {
            c->list[c->count++] = *known;
            at = c->count - 1;
        }
        c->list[at].keys = keys;
        c->list[at].key_count = count;
    }
}

static struct header_column *column_named(const struct columns *c, struct str name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (str_is(name, c->list[i].name)) {
            return &c->list[i];
        }
    }
    return NULL;
}

/* When there is only one key, a file without it is of no use. */
static void load_key_columns(struct loader *l, const struct xml_node *n, struct columns *c,
                             bool only, struct header_identity *out)
{
    struct str rest = str_of(xml_attr_or(n, "columns", "")), word;
    const struct header_column **list = arena_array(l->a, c->count + 1, sizeof *list);
    while (list && str_next(&rest, ' ', &word)) {
        struct header_column *found = word.n ? column_named(c, word) : NULL;
        if (found && out->count < c->count) {
            found->declared = true;
            found->required = found->required || only;
            list[out->count++] = found;
        } else if (word.n) {
            PROBLEM(l, n, "there is no column %.*s: declare it in <columns>", STR_ARG(word));
        }
    }
    out->columns = list;
}

static void load_keys(struct loader *l, const struct xml_node *root, struct columns *c,
                      struct header_names *names)
{
    size_t count = load_count(root, "key");
    struct header_identity *list = arena_array(l->a, count + 1, sizeof *list);
    for (const struct xml_node *n = xml_child(root, "key"); n && list; n = xml_sibling(n, "key")) {
        load_key_columns(l, n, c, count == 1, &list[names->identity_count++]);
    }
    names->identities = list;
}

const struct header_names *load_columns(struct loader *l, const struct xml_node *root)
{
    const struct xml_node *list = xml_child(root, "columns");
    const struct header_names *dict = dictionary(l, root);
    size_t room = (list ? load_count(list, "column") : 0) + dict->count + 1;
    struct columns c = {arena_array(l->a, room, sizeof *c.list), 0};
    struct header_names *names = arena_alloc(l->a, sizeof *names);
    if (!c.list || !names) {
        PROBLEM(l, root, "no memory for the columns");
        return NULL;
    }
    for (const struct xml_node *n = list ? xml_child(list, "column") : NULL; n;
         n = xml_sibling(n, "column")) {
        struct str name = str_of(xml_attr_or(n, "name", ""));
        struct header_names before = {.columns = c.list, .count = c.count};
        if (header_named(&before, name)) {
            PROBLEM(l, n, "column %.*s is declared twice: remove one of them", STR_ARG(name));
        } else {
            load_column(l, n, dict, &c);
        }
    }
    add_dictionary(l, root, dict, &c);
    load_keys(l, root, &c, names);
    names->columns = c.list;
    names->count = c.count;
    names->short_rows = list && says_yes(list, "short-rows");
    return names;
}
