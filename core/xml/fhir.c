#include "core/xml/batch_internal.h"
#include "core/xml/tree_internal.h"

#include <libxml/xpathInternals.h>
#include <string.h>

const xmlNode *fhir_element(const xmlNode *n, const char *name)
{
    for (; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && n->ns &&
            strcmp((const char *)n->ns->href, FHIR_NAMESPACE) == 0 &&
            (!name || strcmp((const char *)n->name, name) == 0)) {
            return n;
        }
    }
    return NULL;
}

const char *fhir_value(const xmlNode *n, const char *name)
{
    const xmlNode *child = fhir_element(n->children, name);
    return child ? xml_attr(xml_wrap(child), "value") : NULL;
}

struct str fhir_type_and_id(struct str reference)
{
    for (size_t i = 0; i < reference.n; i++) {
        if (str_starts(str_cut(reference, i, reference.n), STR("/_history/"))) {
            reference.n = i;
        }
    }
    size_t from = reference.n, slashes = 0;
    while (from > 0 && (reference.p[from - 1] != '/' || ++slashes < 2)) {
        from--;
    }
    return slashes ? str_cut(reference, from, reference.n) : (struct str){"", 0};
}

/* "http://server/fhir/" of http://server/fhir/Patient/1; empty for what is no such address. */
static struct str server_of(struct str url)
{
    struct str pair = fhir_type_and_id(url);
    bool web = str_starts(url, STR("http://")) || str_starts(url, STR("https://"));
    return web && pair.n ? str_cut(url, 0, (size_t)(pair.p - url.p)) : (struct str){"", 0};
}

bool fhir_same_server(struct str reference, struct str from, struct str url)
{
    struct str pair = fhir_type_and_id(reference);
    bool absolute = pair.n && pair.p > reference.p;
    struct str wanted =
        absolute ? str_cut(reference, 0, (size_t)(pair.p - reference.p)) : server_of(from);
    struct str server = server_of(url);
    if (url.n == 0 || (!absolute && (wanted.n == 0 || server.n == 0))) {
        return true;
    }
    return str_eq(wanted, server);
}

static bool is_resource(const xmlNode *resource, struct str type_id)
{
    const char *id = fhir_value(resource, "id");
    struct str type = str_of((const char *)resource->name),
               rest = str_cut(type_id, type.n, type_id.n);
    return id && str_starts(type_id, type) && rest.n > 1 && rest.p[0] == '/' &&
           str_is(str_cut(rest, 1, rest.n), id);
}

/* The resource of a contained or resource element. */
static xmlNode *inside(const xmlNode *wrapper)
{
    for (xmlNode *n = wrapper ? wrapper->children : NULL; n; n = n->next) {
        if (fhir_element(n, NULL) == n) {
            return n;
        }
    }
    return NULL;
}

enum { ENTRY_STEPS = 10 }; /* of a path, for each resource that is looked at */

/* "#id": contained in the resource around the reference. */
static xmlNode *find_contained(xmlXPathContext *x, const xmlNode *at, const char *id)
{
    for (const xmlNode *n = at; n && n->type == XML_ELEMENT_NODE; n = n->parent) {
        const xmlNode *c = fhir_element(n->children, "contained");
        for (; c; c = fhir_element(c->next, "contained")) {
            xmlNode *resource = inside(c);
            x->opCount += ENTRY_STEPS;
            const char *own = resource ? fhir_value(resource, "id") : NULL;
            if (own && strcmp(own, id) == 0) {
                return resource;
            }
        }
    }
    return NULL;
}

/* Of the entry around the reference; empty when it has none. */
static struct str url_around(const xmlNode *at)
{
    for (; at && at->type == XML_ELEMENT_NODE; at = at->parent) {
        const char *url = fhir_element(at, "entry") == at ? fhir_value(at, "fullUrl") : NULL;
        if (url) {
            return str_of(url);
        }
    }
    return STR("");
}

/* By fullUrl, else by type and id. */
static xmlNode *find_entry(xmlXPathContext *x, const xmlNode *at, const char *reference)
{
    struct str from = url_around(at);
    const xmlNode *root = xmlDocGetRootElement(x->doc);
    struct str type_id = fhir_type_and_id(str_of(reference));
    xmlNode *found = NULL;
    const xmlNode *entry =
        fhir_element(root, "Bundle") == root ? fhir_element(root->children, "entry") : NULL;
    for (; entry; entry = fhir_element(entry->next, "entry")) {
        const char *url = fhir_value(entry, "fullUrl");
        x->opCount += ENTRY_STEPS;
        xmlNode *resource = inside(fhir_element(entry->children, "resource"));
        if (resource && url && strcmp(url, reference) == 0) {
            return resource;
        }
        if (!found && resource && type_id.n && is_resource(resource, type_id) &&
            fhir_same_server(str_of(reference), from, str_of(url ? url : ""))) {
            found = resource;
        }
    }
    return found;
}

void fhir_resolve(xmlXPathParserContext *ctxt, int nargs)
{
    CHECK_ARITY(1);
    CHECK_TYPE(XPATH_NODESET);
    xmlXPathObject *given = valuePop(ctxt);
    xmlNodeSet *found = xmlXPathNodeSetCreate(NULL);
    xmlXPathContext *x = ctxt->context;
    int count = given->nodesetval ? given->nodesetval->nodeNr : 0;
    for (int i = 0; i < count && found && x->opCount < x->opLimit; i++) {
        const xmlNode *n = given->nodesetval->nodeTab[i];
        const char *reference = n->type == XML_ELEMENT_NODE ? fhir_value(n, "reference") : NULL;
        xmlNode *resource = !reference            ? NULL
                            : reference[0] == '#' ? find_contained(x, n, reference + 1)
                                                  : find_entry(x, n, reference);
        if (resource) {
            x->opCount += (unsigned long)found->nodeNr; /* it looks for it among them */
            xmlXPathNodeSetAdd(found, resource);
        }
    }
    xmlXPathFreeObject(given);
    if (x->opCount >= x->opLimit) {
        ctxt->error = XPATH_OP_LIMIT_EXCEEDED;
    }
    valuePush(ctxt, xmlXPathWrapNodeSet(found));
}
