/* Inside core/xml: the body of a tree, over libxml2. */
#ifndef DARI_XML_TREE_INTERNAL_H
#define DARI_XML_TREE_INTERNAL_H

#include "core/xml/tree.h"

#include <libxml/tree.h>
#include <libxml/xpath.h>

#define FHIR_NAMESPACE "http://hl7.org/fhir"
/* The tag (system and code) of a Bundle that holds one entry and what it refers to. */
#define FHIR_ENTRY_SYSTEM "urn:dari:bundle"
#define FHIR_ENTRY_CODE "entry"

struct xml_tree {
    xmlDoc *doc;
    xmlXPathContext *xpath;
    const xmlNode *subject;
    unsigned long steps; /* of all paths so far */
};

/* Takes the document over; it goes away with the arena. NULL when memory is out. */
struct xml_tree *xml_tree_new(struct arena *a, xmlDoc *doc);

const xmlNode *xml_raw(const struct xml_node *n);
const struct xml_node *xml_wrap(const xmlNode *n);

/* The next element from `n` on of this name (NULL: any), in the namespace of FHIR. */
const xmlNode *fhir_element(const xmlNode *n, const char *name);
/* The value attribute of a child element, or NULL. */
const char *fhir_value(const xmlNode *n, const char *name);
/* The XPath function. */
void fhir_resolve(xmlXPathParserContext *ctxt, int nargs);

/* FHIR JSON, decoded, to the tree of the same resource in XML. */
enum err_code fhir_json_read(struct arena *a, struct str text, const struct xml_limits *limits,
                             xmlDoc **out, struct err *e);

#endif
