/*
 * XML; the only owner of libxml2. Files that our own people write (configuration, catalogue,
 * mappings, segments, journeys) are read with line numbers, checked against an embedded RELAX NG
 * schema, and every problem is collected. Nothing is loaded from elsewhere, any DOCTYPE is refused,
 * entities are not expanded. Documents from outside (v2.xml, CDA, FHIR) get a gate of their own, in
 * front of libxml2.
 */
#ifndef DARI_XML_XML_H
#define DARI_XML_XML_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/problem.h"

struct xml_doc;
struct xml_node; /* an element */

/*
 * Reads and validates; `schema` is an embedded name ("config/schemas/dari.rng"). Problems go to `p`
 * (also that the file is missing). NULL when the document cannot be used at all; a document that is
 * well-formed but invalid is returned, so that a caller may find more problems, with p->count > 0.
 */
struct xml_doc *xml_load(const char *path, const char *schema, struct problems *p);
void xml_free(struct xml_doc **d);

const char *xml_path(const struct xml_doc *d);
const struct xml_node *xml_root(const struct xml_doc *d);

/* Child elements; name NULL for any. */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
const struct xml_node *xml_sibling(const struct xml_node *n, const char *name);
const char *xml_name(const struct xml_node *n);
int xml_line(const struct xml_node *n);

/* Attribute value (lives as long as the document), or NULL / dflt when absent. */
const char *xml_attr(const struct xml_node *n, const char *name);
const char *xml_attr_or(const struct xml_node *n, const char *name, const char *dflt);
/* Calls fn for each attribute. */
void xml_attrs(const struct xml_node *n, void (*fn)(void *ctx, const char *name, const char *value),
               void *ctx);

/* The text of the element and what is below it, in `a`, blanks trimmed. */
struct str xml_text(const struct xml_node *n, struct arena *a);

#endif
