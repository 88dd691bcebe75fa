#include "core/segment/rule.h"

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/crypto/digest.h"
#include "core/segment/compile.h"
#include "core/segment/world.h"
#include "core/xml/xml.h"

#include <stdio.h>
#include <string.h>

enum { MAX_SEGMENTS = 200, MAX_WHENS = 32, MAX_SQL = 256 * 1024 };

struct loader {
    struct arena *a;
    struct problems *p;
    const char *path;
    const struct xml_node *root;
    struct expr_param *params;
    struct expr_name *names;
};

static size_t children(const struct xml_node *n, const char *name)
{
    size_t count = 0;
    for (const struct xml_node *c = xml_child(n, name); c; c = xml_sibling(c, name)) {
        count++;
    }
    return count;
}

static const char *keep(struct loader *l, const char *z)
{
    return z ? arena_z(l->a, str_of(z)) : NULL;
}

static const struct expr_name *name_find(const struct expr_name *names, const char *name)
{
    for (; names->name; names++) {
        if (strcmp(names->name, name) == 0) {
            return names;
        }
    }
    return NULL;
}

/* ---- parameters ---- */

static bool mentioned(const struct loader *l, const char *name)
{
    const char *braced = arena_printf(l->a, "{%s}", name);
    for (const struct xml_node *w = xml_child(l->root, "when"); w && braced;
         w = xml_sibling(w, "when")) {
        struct str text = xml_text(w, l->a);
        if (text.p && strstr(text.p, braced)) {
            return true;
        }
    }
    return false;
}

static void load_param(struct loader *l, const struct xml_node *n, struct expr_param *out)
{
    const char *name = xml_attr_or(n, "name", ""), *value = xml_attr_or(n, "value", "");
    bool text = strcmp(xml_attr_or(n, "type", "int"), "text") == 0;
    int64_t v;
    *out = (struct expr_param){keep(l, name), text ? EXPR_TEXT : EXPR_INT, keep(l, value)};
    if (!text && num_i64(str_of(value), -1000000000, 1000000000, &v, NULL) != ERR_NONE) {
        problem_add(l->p, l->path, xml_line(n),
                    "param %s is not a number: write digits or type=\"text\"", name);
        out->value = "0";
    }
    if (!mentioned(l, name)) {
        problem_add(l->p, l->path, xml_line(n),
                    "param %s is not used: write {%s} in a condition or remove it", name, name);
    }
    for (const struct expr_param *before = l->params; before < out; before++) {
        if (strcmp(before->name, name) == 0) {
            problem_add(l->p, l->path, xml_line(n), "param %s is there twice: remove one", name);
        }
    }
}

static bool load_params(struct loader *l)
{
    l->params = arena_array(l->a, children(l->root, "param") + 1, sizeof *l->params);
    size_t i = 0;
    for (const struct xml_node *n = xml_child(l->root, "param"); n && l->params;
         n = xml_sibling(n, "param")) {
        load_param(l, n, &l->params[i++]);
    }
    return l->params;
}

/* ---- tables: a number that depends on an attribute of the patient ---- */

static const char *table_sql(struct loader *l, const struct xml_node *n, const char *of)
{
    struct buf b;
    buf_init(&b, MAX_SQL);
    buf_printf(&b, "CASE %s", of);
    int64_t v = 0;
    for (const struct xml_node *row = xml_child(n, "row"); row; row = xml_sibling(row, "row")) {
        if (num_i64(str_of(xml_attr_or(row, "value", "0")), -1000000000, 1000000000, &v, NULL) !=
            ERR_NONE) {
            problem_add(l->p, l->path, xml_line(row), "value is not a number: write digits");
        }
        buf_addz(&b, " WHEN ");
        sql_literal(&b, xml_attr_or(row, "key", ""));
        buf_printf(&b, " THEN %lld", (long long)v);
    }
    if (num_i64(str_of(xml_attr_or(n, "otherwise", "0")), -1000000000, 1000000000, &v, NULL) !=
        ERR_NONE) {
        problem_add(l->p, l->path, xml_line(n), "otherwise is not a number: write digits");
    }
    buf_printf(&b, " ELSE %lld END", (long long)v);
    /* A table without rows is its default. */
    const char *sql =
        xml_child(n, "row") ? arena_z(l->a, buf_str(&b)) : arena_printf(l->a, "%lld", (long long)v);
    bool ok = buf_ok(&b);
    buf_release(&b);
    return ok ? sql : NULL;
}

static bool load_tables(struct loader *l)
{
    size_t base = segment_names_count(), i = base;
    l->names = arena_array(l->a, base + children(l->root, "table") + 1, sizeof *l->names);
    if (!l->names) {
        return false;
    }
    memcpy(l->names, segment_names, base * sizeof *l->names);
    for (const struct xml_node *n = xml_child(l->root, "table"); n; n = xml_sibling(n, "table")) {
        const char *name = xml_attr_or(n, "name", ""), *of = xml_attr_or(n, "of", "");
        const struct expr_name *attribute = name_find(segment_names, of);
        if (!attribute || attribute->type != EXPR_TEXT) {
            problem_add(
                l->p, l->path, xml_line(n),
                "table %s: \"%s\" is no text attribute: use primary_dept or primary_provider", name,
                of);
        } else if (name_find(l->names, name)) {
            problem_add(l->p, l->path, xml_line(n), "the name %s is taken: choose another", name);
        } else {
            const char *sql = table_sql(l, n, attribute->sql);
            if (!sql) {
                return false;
            }
            l->names[i++] =
                (struct expr_name){keep(l, name), EXPR_INT, sql, "the rule's own table"};
        }
    }
    return true;
}

/* ---- conditions ---- */

static int line_of(const struct xml_node *n, struct str text, size_t pos)
{
    int line = xml_line(n);
    for (size_t i = 0; i < pos && i < text.n; i++) {
        line += text.p[i] == '\n';
    }
    return line;
}

static bool load_when(struct loader *l, const struct xml_node *n, struct segment_when *out)
{
    struct expr_world world = {l->names, segment_sets, l->params};
    struct err e = {0};
    const struct expr *x;
    struct buf sql;
    out->reason = keep(l, xml_attr_or(n, "reason", ""));
    out->text = xml_text(n, l->a);
    out->line = xml_line(n);
    out->sql = "false";
    buf_init(&sql, MAX_SQL);
    enum err_code code = expr_parse(l->a, out->text, &x, &e);
    if (code == ERR_NONE) {
        code = expr_sql(x, &world, &sql, &e);
    }
    if (code != ERR_NONE) {
        problem_add(l->p, l->path, line_of(n, out->text, e.pos), "condition %s, character %zu: %s",
                    out->reason, e.pos + 1, e.msg);
    } else {
        out->sql = buf_ok(&sql) ? arena_z(l->a, buf_str(&sql)) : NULL;
    }
    buf_release(&sql);
    return out->reason && out->text.p && out->sql;
}

static void hex_digest(struct buf *b, char out[65])
{
    unsigned char hash[SHA256_BYTES];
    sha256(buf_str(b), hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    }
    buf_release(b);
}

static void digest_rule(struct segment_rule *r)
{
    struct buf b;
    buf_init(&b, 4 * MAX_SQL);
    buf_printf(&b, "%s %d", r->id, r->version);
    for (size_t i = 0; i < r->when_count; i++) {
        buf_printf(&b, "\n%s\n%s", r->whens[i].reason, r->whens[i].sql);
    }
    hex_digest(&b, r->digest);
}

static void digest_all(struct segment_rules *r)
{
    struct buf b;
    buf_init(&b, MAX_SQL);
    for (size_t i = 0; i < r->count; i++) {
        buf_addz(&b, r->rules[i].digest);
    }
    hex_digest(&b, r->digest);
}

static bool load_whens(struct loader *l, struct segment_rule *r)
{
    size_t count = children(l->root, "when"), i = 0;
    if (count > MAX_WHENS) {
        problem_add(l->p, l->path, xml_line(l->root), "more than %d conditions: join some with and",
                    MAX_WHENS);
        return true;
    }
    struct segment_when *whens = arena_array(l->a, count ? count : 1, sizeof *whens);
    for (const struct xml_node *n = xml_child(l->root, "when"); n && whens;
         n = xml_sibling(n, "when")) {
        if (!load_when(l, n, &whens[i++])) {
            return false;
        }
    }
    r->whens = whens;
    r->when_count = count;
    return whens;
}

/* ---- files ---- */

static bool load_root(struct loader *l, struct segment_rule *r, const char *file)
{
    int64_t version = 0;
    r->file = l->path;
    r->id = keep(l, xml_attr_or(l->root, "id", ""));
    r->name = keep(l, xml_attr_or(l->root, "name", ""));
    r->title = keep(l, xml_attr_or(l->root, "title", ""));
    const struct xml_node *about = xml_child(l->root, "about");
    r->about = about ? xml_text(about, l->a).p : "";
    if (num_i64(str_of(xml_attr_or(l->root, "version", "")), 1, 1000000, &version, NULL) !=
        ERR_NONE) {
        problem_add(l->p, l->path, xml_line(l->root), "version is not a number from 1 to 1000000");
    }
    r->version = (int)version;
    size_t n = r->id ? strlen(r->id) : 0;
    if (n > 0 && (strncmp(file, r->id, n) != 0 || strcmp(file + n, ".xml") != 0)) {
        problem_add(l->p, l->path, xml_line(l->root), "id is %s: name the file %s.xml", r->id,
                    r->id);
    }
    if (!r->id || !r->name || !r->title || !load_params(l) || !load_tables(l) ||
        !load_whens(l, r)) {
        return false;
    }
    r->params = l->params;
    r->names = l->names;
    digest_rule(r);
    return true;
}

static bool load_file(struct arena *a, const char *folder, const char *file, struct problems *p,
                      struct segment_rule *r)
{
    struct loader l = {.a = a, .p = p, .path = file_path(a, folder, file)};
    struct xml_doc *doc = l.path ? xml_load(l.path, "config/schemas/segment.rng", p) : NULL;
    bool ok = l.path;
    if (doc) {
        l.root = xml_root(doc);
        ok = load_root(&l, r, file);
    }
    xml_free(&doc);
    return ok;
}

const struct segment_rules *segment_rules_load(struct arena *a, const char *folder,
                                               struct problems *p)
{
    char **files;
    size_t count, before = p->count;
    struct err e = {0};
    if (file_list(a, folder, ".xml", &files, &count, &e) != ERR_NONE) {
        problem_add(p, folder, 0, "%s", e.msg);
        return NULL;
    }
    if (count == 0 || count > MAX_SEGMENTS) {
        problem_add(p, folder, 0, "%zu segments: there must be 1 to %d files SGnn.xml", count,
                    MAX_SEGMENTS);
        return NULL;
    }
    struct segment_rules *out = arena_alloc(a, sizeof *out);
    struct segment_rule *rules = arena_array(a, count, sizeof *rules);
    bool ok = out && rules;
    for (size_t i = 0; ok && i < count; i++) {
        ok = load_file(a, folder, files[i], p, &rules[i]);
    }
    if (ok && p->count == before) {
        out->rules = rules;
        out->count = count;
        digest_all(out);
        ok = rules_compile(a, out);
    }
    if (!ok) {
        problem_add(p, folder, 0, "segments do not fit into memory");
    }
    return p->count == before ? out : NULL;
}

const struct segment_rule *segment_rule_find(const struct segment_rules *r, const char *id)
{
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->rules[i].id, id) == 0) {
            return &r->rules[i];
        }
    }
    return NULL;
}

const struct segment_rules *segment_rules_only(struct arena *a, const struct segment_rules *r,
                                               const char *id)
{
    struct segment_rules *out = arena_alloc(a, sizeof *out);
    if (!out) {
        return NULL;
    }
    *out = (struct segment_rules){.rules = segment_rule_find(r, id), .count = 1};
    return out->rules && rules_compile(a, out) ? out : NULL;
}
