#include "core/xml/tree.h"

#include "core/xml/tree_internal.h"

#include <libxml/xpathInternals.h>
#include <string.h>

enum { MAX_PATH = 2000, MAX_PREFIXES = 32 };
#define MAX_STEPS 10000000UL

struct xml_path {
    xmlXPathCompExpr *compiled;
    xmlNs **namespaces; /* as libxml2 wants them */
    int count;
};

/* ---- what a path may say ---- */

static bool name_char(char c, bool first)
{
    bool letter =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
    return letter || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

static size_t name_end(struct str s, size_t from)
{
    size_t i = from;
    while (i < s.n && name_char(s.p[i], i == from)) {
        i++;
    }
    return i;
}

static bool known_function(struct str name)
{
    static const char *const known[] = {
        "last",          "position",
        "count",         "id",
        "local-name",    "namespace-uri",
        "name",          "string",
        "concat",        "starts-with",
        "contains",      "substring-before",
        "substring",     "substring-after",
        "string-length", "normalize-space",
        "translate",     "boolean",
        "not",           "true",
        "false",         "lang",
        "number",        "sum",
        "floor",         "ceiling",
        "round",         "resolve",
        "text",          "node",
        "comment",       "processing-instruction",
        "and",           "or",
        "div",           "mod",
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (str_is(name, known[i])) {
            return true;
        }
    }
    return false;
}

static bool declared(const struct xml_names *names, struct str prefix)
{
    bool found = str_is(prefix, "xml");
    for (size_t i = 0; names && i < names->count && !found; i++) {
        found = str_is(prefix, names->list[i].prefix);
    }
    return found;
}

/* One name and what follows it; libxml2 would notice only when a document makes it go there. */
static enum err_code check_name(const struct xml_names *names, struct str text, size_t from,
                                size_t *to, struct err *e)
{
    *to = name_end(text, from);
    struct str name = str_cut(text, from, *to), rest = str_cut(text, *to, text.n);
    if (rest.n > 1 && rest.p[0] == ':' && rest.p[1] != ':') {
        if (!declared(names, name)) {
            return ERR(e, ERR_SYNTAX, from,
                       "the prefix is not declared: add <namespace prefix=\"…\" uri=\"…\"/>");
        }
        *to = name_end(text, *to + 1);
        return ERR_NONE;
    }
    rest = str_trim(rest);
    if (rest.n && rest.p[0] == '(' && !known_function(name)) {
        return ERR(e, ERR_SYNTAX, from, "XPath has no such function");
    }
    return ERR_NONE;
}

static enum err_code check_text(const struct xml_names *names, struct str text, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (size_t i = 0; i < text.n && code == ERR_NONE;) {
        char c = text.p[i];
        if (c == '\'' || c == '"') {
            i = str_find(text, c, i + 1) + 1;
        } else if (c == '$') {
            code = ERR(e, ERR_SYNTAX, i, "there are no variables");
        } else if (name_char(c, true)) {
            code = check_name(names, text, i, &i, e);
        } else {
            i++;
            while (c >= '0' && c <= '9' && i < text.n && name_char(text.p[i], false)) {
                i++;
            }
        }
    }
    return code;
}

/* ---- compiling ---- */

static void no_message(void *ctx, xmlErrorPtr error)
{
    (void)ctx, (void)error;
}

/* What libxml2 would print about a path that it gave up. */
static void no_text(void *ctx, const char *format, ...)
{
    (void)ctx, (void)format;
}

static void release(void *object)
{
    xmlXPathFreeCompExpr(object);
}

static bool add_namespaces(struct arena *a, const struct xml_names *names, struct xml_path *p)
{
    size_t count = names ? names->count : 0;
    p->namespaces = arena_array(a, count + 1, sizeof *p->namespaces);
    xmlNs *list = arena_array(a, count + 1, sizeof *list);
    if (!p->namespaces || !list) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        list[i].type = XML_LOCAL_NAMESPACE;
        list[i].prefix = (const xmlChar *)names->list[i].prefix;
        list[i].href = (const xmlChar *)names->list[i].uri;
        p->namespaces[i] = &list[i];
    }
    p->count = (int)count;
    return true;
}

static enum err_code compile(struct arena *a, const char *text, struct xml_path *p, struct err *e)
{
    xmlXPathContext *ctxt = xmlXPathNewContext(NULL);
    if (!ctxt) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    ctxt->error = no_message;
    p->compiled = xmlXPathCtxtCompile(ctxt, (const xmlChar *)text);
    int at = ctxt->lastError.int1;
    xmlXPathFreeContext(ctxt);
    if (!p->compiled) {
        return ERR(e, ERR_SYNTAX, at > 0 ? (size_t)at : 0, "this is no XPath");
    }
    if (!arena_defer(a, release, p->compiled)) {
        xmlXPathFreeCompExpr(p->compiled);
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    return ERR_NONE;
}

enum err_code xml_path_compile(struct arena *a, const struct xml_names *names, struct str text,
                               const struct xml_path **out, struct err *e)
{
    *out = NULL;
    if (text.n > MAX_PATH) {
        return ERR(e, ERR_SYNTAX, MAX_PATH, "the path is longer than %d characters", MAX_PATH);
    }
    enum err_code code = check_text(names, text, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct xml_path *p = arena_alloc(a, sizeof *p);
    char *z = arena_z(a, text);
    if (!p || !z || !add_namespaces(a, names, p)) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    code = compile(a, z, p, e);
    *out = code == ERR_NONE ? p : NULL;
    return code;
}

/* ---- finding ---- */

static enum err_code ready(struct xml_tree *t, struct err *e)
{
    if (t->xpath) {
        return ERR_NONE;
    }
    t->xpath = xmlXPathNewContext(t->doc);
    if (!t->xpath ||
        xmlXPathRegisterFunc(t->xpath, (const xmlChar *)"resolve", fhir_resolve) != 0) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a look-up");
    }
    xmlXPathOrderDocElems(t->doc); /* so that putting nodes in order is cheap */
    t->xpath->error = no_message;
    t->xpath->userData = t;
    return ERR_NONE;
}

static enum err_code give_nodes(const xmlNodeSet *set, struct arena *a, struct xml_result *out,
                                struct err *e)
{
    size_t count = set && set->nodeNr > 0 ? (size_t)set->nodeNr : 0;
    out->nodes = arena_array(a, count + 1, sizeof *out->nodes);
    if (!out->nodes) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a look-up");
    }
    for (size_t i = 0; i < count; i++) {
        if (set->nodeTab[i]->type != XML_NAMESPACE_DECL) { /* a copy that dies with the set */
            out->nodes[out->count++] = xml_wrap(set->nodeTab[i]);
        }
    }
    return ERR_NONE;
}

static enum err_code give_text(xmlXPathObject *found, struct arena *a, struct xml_result *out,
                               struct err *e)
{
    xmlChar *text = xmlXPathCastToString(found);
    bool nothing = found->type == XPATH_NUMBER && xmlXPathIsNaN(found->floatval);
    out->computed = true;
    out->text = arena_copy(a, str_of(nothing ? "" : (const char *)text));
    xmlFree(text);
    return out->text.p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a look-up");
}

enum err_code xml_path_find(const struct xml_tree *tree, const struct xml_path *p,
                            const struct xml_node *from, struct arena *a, struct xml_result *out,
                            struct err *e)
{
    union {
        const struct xml_tree *given;
        struct xml_tree *own; /* what it remembers between look-ups changes nothing that is seen */
    } t = {tree};
    union {
        const xmlNode *given;
        xmlNode *libxml; /* XPath only reads */
    } node = {xml_raw(from)};
    *out = (struct xml_result){.text = {"", 0}};
    enum err_code code = ready(t.own, e);
    if (code != ERR_NONE) {
        return code;
    }
    xmlXPathContext *x = tree->xpath;
    x->node = node.libxml;
    x->namespaces = p->namespaces;
    x->nsNr = p->count;
    x->opCount = tree->steps;
    x->opLimit = MAX_STEPS;
    xmlSetGenericErrorFunc(NULL, no_text);
    xmlXPathObject *found = xmlXPathCompiledEval(p->compiled, x);
    xmlSetGenericErrorFunc(NULL, NULL);
    t.own->steps = x->opCount;
    x->namespaces = NULL;
    x->nsNr = 0;
    if (!found) {
        return x->opCount >= MAX_STEPS
                   ? ERR(e, ERR_LIMIT, 0, "the document is too large for its paths")
                   : ERR(e, ERR_VALUE, 0, "the path cannot be followed in this document");
    }
    code = found->type == XPATH_NODESET || found->type == XPATH_XSLT_TREE
               ? give_nodes(found->nodesetval, a, out, e)
               : give_text(found, a, out, e);
    xmlXPathFreeObject(found);
    return code;
}
