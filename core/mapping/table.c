#include "core/mapping/table.h"

#include "core/xml/xml.h"

#include <stdlib.h>
#include <string.h>

static int fold(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c;
}

static int compare(struct str a, struct str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int d = fold(a.p[i]) - fold(b.p[i]);
        if (d) {
            return d;
        }
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static int by_key(const void *a, const void *b)
{
    return compare(((const struct table_row *)a)->from, ((const struct table_row *)b)->from);
}

static void read_policy(const struct xml_node *root, struct arena *a, struct table *t,
                        struct problems *p)
{
    const char *policy = xml_attr_or(root, "unknown", "refuse");
    const char *becomes = xml_attr(root, "becomes");
    t->unknown = strcmp(policy, "keep") == 0        ? UNKNOWN_KEEP
                 : strcmp(policy, "leave-out") == 0 ? UNKNOWN_LEAVE_OUT
                 : strcmp(policy, "becomes") == 0   ? UNKNOWN_BECOMES
                                                    : UNKNOWN_REFUSE;
    if ((t->unknown == UNKNOWN_BECOMES) != (becomes != NULL)) {
        problem_add(p, t->file, xml_line(root),
                    "unknown=\"becomes\" and becomes=\"CODE\" belong together: give both or none");
    }
    t->becomes = arena_copy(a, str_of(becomes));
}

static void read_rows(const struct xml_node *root, struct arena *a, struct table *t,
                      struct problems *p)
{
    size_t count = 0;
    for (const struct xml_node *n = xml_child(root, "code"); n; n = xml_sibling(n, "code")) {
        count++;
    }
    struct table_row *rows = arena_array(a, count + 1, sizeof *rows);
    if (!rows) {
        problem_add(p, t->file, 0, "no memory for the table");
        return;
    }
    for (const struct xml_node *n = xml_child(root, "code"); n; n = xml_sibling(n, "code")) {
        const char *from = xml_attr(n, "from"), *to = xml_attr(n, "to");
        if (from && to) {
            rows[t->count++] = (struct table_row){arena_copy(a, str_trim(str_of(from))),
                                                  arena_copy(a, str_trim(str_of(to))), xml_line(n)};
        }
    }
    qsort(rows, t->count, sizeof *rows, by_key);
    for (size_t i = 1; i < t->count; i++) {
        if (compare(rows[i - 1].from, rows[i].from) == 0) {
            int first = rows[i - 1].line, second = rows[i].line;
            problem_add(p, t->file, first > second ? first : second,
                        "this code was translated on line %d already: remove one of them",
                        first > second ? second : first);
        }
    }
    t->rows = rows;
}

struct table *table_load(struct arena *a, const char *path, const char *name, struct problems *p)
{
    struct xml_doc *doc = xml_load(path, "config/schemas/table.rng", p);
    struct table *t = doc ? arena_alloc(a, sizeof *t) : NULL;
    if (t) {
        const struct xml_node *root = xml_root(doc);
        t->name = arena_z(a, str_of(name));
        t->file = arena_z(a, str_of(path));
        t->line = xml_line(root);
        if (strcmp(xml_attr_or(root, "name", name), name) != 0) {
            problem_add(p, path, t->line, "the table's name must be that of its file: name=\"%s\"",
                        name);
        }
        read_policy(root, a, t, p);
        read_rows(root, a, t, p);
    }
    xml_free(&doc);
    return t;
}

const struct str *table_find(const struct table *t, struct str key)
{
    struct table_row wanted = {.from = str_trim(key)};
    const struct table_row *row =
        t->count ? bsearch(&wanted, t->rows, t->count, sizeof *t->rows, by_key) : NULL;
    return row ? &row->to : NULL;
}
