#include "core/xml/tree.h"

#include "core/xml/scan.h"
#include "core/xml/tree_internal.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>

const xmlNode *xml_raw(const struct xml_node *n)
{
    return (const xmlNode *)(const void *)n;
}

const struct xml_node *xml_wrap(const xmlNode *n)
{
    return (const struct xml_node *)(const void *)n;
}

/* ---- from bytes ---- */

/* The first thing that libxml2 did not like. Its text may hold values and is not looked at. */
struct complaint {
    int code, line;
    size_t pos;
};

static void note(void *ctx, xmlErrorPtr error)
{
    const xmlParserCtxt *ctxt = ctx;
    struct complaint *c = ctxt->_private;
    const xmlParserInput *in = ctxt->input;
    if (c->code == 0) {
        c->code = error->code;
        c->line = error->line;
        c->pos = in && in->cur ? in->consumed + (size_t)(in->cur - in->base) : 0;
    }
}

/* The gate lets none through; if it ever did, this ends the parser before it reads a declaration.
 */
static void no_doctype(void *ctx, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    xmlStopParser(ctx);
}

static const char *reason(int code)
{
    switch (code) {
    case XML_ERR_ATTRIBUTE_REDEFINED:
    case XML_NS_ERR_ATTRIBUTE_REDEFINED:
        return "an attribute appears twice";
    case XML_NS_ERR_UNDEFINED_NAMESPACE:
        return "a prefix that is not declared";
    case XML_ERR_INVALID_CHAR:
    case XML_ERR_INVALID_CHARREF:
    case XML_ERR_INVALID_HEX_CHARREF:
    case XML_ERR_INVALID_DEC_CHARREF:
        return "a character that XML does not allow";
    case XML_ERR_RESERVED_XML_NAME:
        return "an XML declaration that is not at the beginning";
    default:
        return NULL;
    }
}

static enum err_code refused(struct str text, const struct complaint *c, struct err *e)
{
    const char *what = reason(c->code);
    char own[64];
    if (c->code == XML_ERR_NO_MEMORY) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    snprintf(own, sizeof own, "the document is not well-formed (libxml2 code %d)", c->code);
    size_t pos = c->pos < text.n ? c->pos : text.n;
    xml_bad(text, pos, ERR_SYNTAX, what ? what : own, e);
    return c->line > 0 ? err_at(e, "line %d", c->line) : ERR_SYNTAX;
}

static enum err_code parse(struct str text, xmlDoc **out, struct err *e)
{
    struct complaint complaint = {.code = 0};
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    if (!ctxt) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    ctxt->sax->internalSubset = no_doctype;
    ctxt->sax->serror = note;
    ctxt->_private = &complaint;
    *out = xmlCtxtReadMemory(ctxt, text.p, (int)text.n, NULL, "UTF-8",
                             XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                 XML_PARSE_NOCDATA | XML_PARSE_COMPACT | XML_PARSE_BIG_LINES |
                                 XML_PARSE_IGNORE_ENC);
    enum err_code code = ERR_NONE;
    if (!*out || !ctxt->wellFormed || !ctxt->nsWellFormed || (*out)->intSubset) {
        code = refused(text, &complaint, e);
        xmlFreeDoc(*out);
        *out = NULL;
    }
    xmlFreeParserCtxt(ctxt);
    return code;
}

static void release(void *object)
{
    struct xml_tree *t = object;
    xmlXPathFreeContext(t->xpath);
    xmlFreeDoc(t->doc);
}

struct xml_tree *xml_tree_new(struct arena *a, xmlDoc *doc)
{
    struct xml_tree *t = arena_alloc(a, sizeof *t);
    if (!t || !arena_defer(a, release, t)) {
        xmlFreeDoc(doc);
        return NULL;
    }
    t->doc = doc;
    return t;
}

/* XInclude is never carried out; a document that asks for it is not what it pretends to be. */
static bool includes(const xmlNode *root)
{
    const xmlNode *n = root;
    while (n) {
        if (n->ns && strcmp((const char *)n->ns->href, "http://www.w3.org/2001/XInclude") == 0) {
            return true;
        }
        const xmlNode *next = n->children;
        for (; !next && n && n != root; n = n->parent) {
            next = n->next;
            if (next) {
                break;
            }
        }
        n = next;
    }
    return false;
}

/* The first entry's resource of a Bundle that batch.c made; NULL for every other document. */
static const xmlNode *entry_of(const xmlNode *root)
{
    const xmlNode *meta =
        fhir_element(root, "Bundle") == root ? fhir_element(root->children, "meta") : NULL;
    const xmlNode *tag = meta ? fhir_element(meta->children, "tag") : NULL;
    const char *system = tag ? fhir_value(tag, "system") : NULL;
    if (!system || strcmp(system, FHIR_ENTRY_SYSTEM) != 0) {
        return NULL;
    }
    const xmlNode *entry = fhir_element(root->children, "entry");
    const xmlNode *resource = entry ? fhir_element(entry->children, "resource") : NULL;
    return resource ? fhir_element(resource->children, NULL) : NULL;
}

static enum err_code read_document(struct arena *a, struct str text, enum xml_kind kind,
                                   const struct xml_limits *limits, xmlDoc **doc, struct err *e)
{
    if (kind == XML_KIND_JSON) {
        return fhir_json_read(a, text, limits, doc, e);
    }
    enum err_code code = xml_gate(text, limits, e);
    size_t begin = str_find(text, '<', 0);
    if (code == ERR_NONE) { /* blanks before an XML declaration are no crime */
        code = parse(str_cut(text, begin, text.n), doc, e);
        if (code != ERR_NONE && e) {
            e->pos += begin;
        }
    }
    if (code == ERR_NONE && includes(xmlDocGetRootElement(*doc))) {
        xmlFreeDoc(*doc);
        return ERR(e, ERR_REFUSED, 0, "the document wants to include others");
    }
    return code;
}

enum err_code xml_tree_read(struct arena *a, struct str raw, const enum charset *override,
                            const struct xml_limits *limits, const struct xml_tree **out,
                            enum charset *used, struct err *e)
{
    struct str text;
    xmlDoc *doc = NULL;
    *out = NULL;
    limits = limits ? limits : &xml_default_limits;
    *used = CHARSET_UTF8;
    if (raw.n / 2 > limits->bytes) { /* before it is converted */
        return ERR(e, ERR_LIMIT, limits->bytes, "the document is too large");
    }
    enum err_code code = xml_decode(a, raw, override, &text, used, e);
    if (code == ERR_NONE) {
        code = read_document(a, text, xml_kind(text), limits, &doc, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    struct xml_tree *t = xml_tree_new(a, doc);
    if (!t) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a document");
    }
    const xmlNode *root = xmlDocGetRootElement(doc), *entry = entry_of(root);
    t->subject = entry ? entry : root;
    *out = t;
    return ERR_NONE;
}

/* ---- nodes ---- */

const struct xml_node *xml_tree_root(const struct xml_tree *t)
{
    return xml_wrap(xmlDocGetRootElement(t->doc));
}

const struct xml_node *xml_tree_subject(const struct xml_tree *t)
{
    return xml_wrap(t->subject);
}

const char *xml_namespace(const struct xml_node *n)
{
    const xmlNode *x = xml_raw(n);
    return x->ns && x->ns->href ? (const char *)x->ns->href : "";
}

struct str xml_value(const struct xml_node *n, struct arena *a)
{
    const xmlNode *x = xml_raw(n), *one = x->type == XML_TEXT_NODE ? x : x->children;
    if (!one) {
        return STR("");
    }
    if (one == x || (!one->next && one->type == XML_TEXT_NODE)) {
        return str_of((const char *)one->content);
    }
    xmlChar *content = xmlNodeGetContent(x);
    struct str s = arena_copy(a, str_of((const char *)content));
    xmlFree(content);
    return s.p ? s : STR("");
}

const char *xml_element_attr(const struct xml_node *n, const char *name)
{
    return xml_raw(n)->type == XML_ELEMENT_NODE ? xml_attr(n, name) : NULL;
}

bool xml_pieces(const struct xml_node *n, struct xml_piece *p)
{
    const xmlNode *x = p->node ? xml_raw(p->node)->next : xml_raw(n)->children;
    while (x && x->type != XML_ELEMENT_NODE && x->type != XML_TEXT_NODE) {
        x = x->next;
    }
    p->node = xml_wrap(x);
    p->element = x && x->type == XML_ELEMENT_NODE ? p->node : NULL;
    p->text = x && !p->element ? str_of((const char *)x->content) : (struct str){"", 0};
    return x != NULL;
}

/* ---- places ---- */

/* "actor", "participant[2]": the number only where there are several. */
static void step_text(const xmlNode *n, char *out, size_t size)
{
    unsigned before = 1;
    bool several = false;
    for (const xmlNode *s = n->prev; s; s = s->prev) {
        before += s->type == n->type && xmlStrEqual(s->name, n->name);
    }
    for (const xmlNode *s = n->next; s && !several; s = s->next) {
        several = s->type == n->type && xmlStrEqual(s->name, n->name);
    }
    if (n->type == XML_ATTRIBUTE_NODE) {
        snprintf(out, size, "@%.40s", (const char *)n->name);
    } else if (before > 1 || several) {
        snprintf(out, size, "%.40s[%u]", (const char *)n->name, before);
    } else {
        snprintf(out, size, "%.40s", (const char *)n->name);
    }
}

const char *xml_place(const struct xml_tree *t, const struct xml_node *node, char out[XML_PLACE])
{
    char path[XML_PLACE] = "", step[XML_PLACE];
    const xmlNode *n = xml_raw(node);
    long line = xmlGetLineNo(n);
    n = n->type == XML_TEXT_NODE ? n->parent : n;
    size_t room = sizeof path - (line > 0 ? sizeof "line 100000: " : 0);
    for (; n && n->type != XML_DOCUMENT_NODE; n = n->parent) {
        if (n == t->subject && path[0]) {
            n = NULL;
            break;
        }
        step_text(n, step, sizeof step);
        size_t have = strlen(path), more = strlen(step);
        if (have + more + sizeof "…/" > room) {
            break;
        }
        memmove(path + more + (have > 0), path, have + 1);
        memcpy(path, step, more);
        if (have) {
            path[more] = '/';
        }
    }
    const char *cut = n && n->type != XML_DOCUMENT_NODE ? "…/" : "";
    if (line > 0) {
        snprintf(out, XML_PLACE, "line %ld: %s%s", line, cut, path);
    } else {
        snprintf(out, XML_PLACE, "%s%s", cut, path);
    }
    return out;
}
