#include "core/xml/xml.h"

#include "core/base/embed.h"
#include "core/base/file.h"

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/tree.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 8 * 1024 * 1024 };

struct xml_doc {
    xmlDoc *doc;
    char *path;
};

/* An xml_node is libxml2's node; the cast is here and nowhere else. */
static const xmlNode *node(const struct xml_node *n)
{
    return (const xmlNode *)(const void *)n;
}

static const struct xml_node *element(const xmlNode *n, const char *name)
{
    for (; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && (!name || strcmp((const char *)n->name, name) == 0)) {
            return (const struct xml_node *)(const void *)n;
        }
    }
    return NULL;
}

struct report {
    struct problems *p;
    const char *path;
};

/* libxml2's messages end with a line feed and are about files of our own: they may be shown. */
static void on_error(void *ctx, xmlErrorPtr error)
{
    struct report *r = ctx;
    const char *text = error->message ? error->message : "not well-formed";
    size_t n = strcspn(text, "\n");
    problem_add(r->p, r->path, error->line, "%.*s", (int)n, text);
}

static bool well_formed(struct str text, struct report *r, xmlDoc **out)
{
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    if (!ctxt) {
        return false;
    }
    xmlSetStructuredErrorFunc(r, on_error);
    *out = xmlCtxtReadMemory(ctxt, text.p, (int)text.n, r->path, NULL,
                             XML_PARSE_NONET | XML_PARSE_BIG_LINES);
    xmlSetStructuredErrorFunc(NULL, NULL);
    xmlFreeParserCtxt(ctxt);
    if (*out && (*out)->intSubset) {
        problem_add(r->p, r->path, 1, "a DOCTYPE is not allowed: remove it");
        xmlFreeDoc(*out);
        *out = NULL;
    }
    return *out != NULL;
}

static void validate(xmlDoc *doc, const char *schema, struct report *r)
{
    const struct embedded *file = embed_find(schema);
    if (!file) {
        problem_add(r->p, r->path, 0, "no schema %s in this binary", schema);
        return;
    }
    xmlSetStructuredErrorFunc(r, on_error);
    xmlRelaxNGParserCtxt *pc = xmlRelaxNGNewMemParserCtxt(file->bytes.p, (int)file->bytes.n);
    xmlRelaxNG *rng = pc ? xmlRelaxNGParse(pc) : NULL;
    xmlRelaxNGValidCtxt *vc = rng ? xmlRelaxNGNewValidCtxt(rng) : NULL;
    if (vc) {
        xmlRelaxNGSetValidStructuredErrors(vc, on_error, r);
        xmlRelaxNGValidateDoc(vc, doc);
    } else {
        problem_add(r->p, r->path, 0, "schema %s cannot be used", schema);
    }
    xmlRelaxNGFreeValidCtxt(vc);
    xmlRelaxNGFree(rng);
    xmlRelaxNGFreeParserCtxt(pc);
    xmlSetStructuredErrorFunc(NULL, NULL);
}

struct xml_doc *xml_load(const char *path, const char *schema, struct problems *p)
{
    struct report r = {p, path};
    struct err e;
    struct str text;
    struct xml_doc *d = NULL;
    xmlDoc *doc = NULL;
    struct arena *a = arena_new(0);
    if (!a) {
        return NULL;
    }
    if (file_read(a, path, MAX_FILE, &text, &e) != ERR_NONE) {
        problem_add(p, path, 0, "%s", e.msg);
        goto out;
    }
    if (!well_formed(text, &r, &doc)) {
        goto out;
    }
    if (schema) {
        validate(doc, schema, &r);
    }
    d = calloc(1, sizeof *d);
    if (!d || !(d->path = strdup(path))) {
        problem_add(p, path, 0, "no memory");
        free(d);
        d = NULL;
        xmlFreeDoc(doc);
        goto out;
    }
    d->doc = doc;
out:
    arena_free(&a);
    return d;
}

void xml_free(struct xml_doc **d)
{
    if (*d) {
        xmlFreeDoc((*d)->doc);
        free((*d)->path);
        free(*d);
        *d = NULL;
    }
}

const char *xml_path(const struct xml_doc *d)
{
    return d->path;
}

const struct xml_node *xml_root(const struct xml_doc *d)
{
    return element(xmlDocGetRootElement(d->doc), NULL);
}

const struct xml_node *xml_child(const struct xml_node *n, const char *name)
{
    return element(node(n)->children, name);
}

const struct xml_node *xml_sibling(const struct xml_node *n, const char *name)
{
    return element(node(n)->next, name);
}

const char *xml_name(const struct xml_node *n)
{
    return (const char *)node(n)->name;
}

int xml_line(const struct xml_node *n)
{
    return (int)xmlGetLineNo(node(n));
}

static const char *attr_value(const xmlAttr *at)
{
    return at->children && at->children->content ? (const char *)at->children->content : "";
}

const char *xml_attr(const struct xml_node *n, const char *name)
{
    for (const xmlAttr *at = node(n)->properties; at; at = at->next) {
        if (strcmp((const char *)at->name, name) == 0) {
            return attr_value(at);
        }
    }
    return NULL;
}

const char *xml_attr_or(const struct xml_node *n, const char *name, const char *dflt)
{
    const char *value = xml_attr(n, name);
    return value ? value : dflt;
}

void xml_attrs(const struct xml_node *n, void (*fn)(void *ctx, const char *name, const char *value),
               void *ctx)
{
    for (const xmlAttr *at = node(n)->properties; at; at = at->next) {
        fn(ctx, (const char *)at->name, attr_value(at));
    }
}

struct str xml_text(const struct xml_node *n, struct arena *a)
{
    xmlChar *content = xmlNodeGetContent(node(n));
    struct str s = arena_copy(a, str_trim(str_of((const char *)content)));
    xmlFree(content);
    return s.p ? s : STR("");
}
