/*
 * Documents from outside (CDA, FHIR, v2.xml, local XML) as trees to look values up in. Bytes go
 * through the gate (gate.h) before libxml2 sees them; nothing is loaded, expanded or included, and
 * a document that is not well-formed is refused, never mended. FHIR JSON becomes the tree that the
 * same resource in XML gives (fhir.h), so that one path serves both.
 *
 * A tree lives in an arena and goes away with it. Nodes are read with xml.h (xml_child, xml_attr …)
 * and below.
 */
#ifndef DARI_XML_TREE_H
#define DARI_XML_TREE_H

#include "core/xml/gate.h"
#include "core/xml/xml.h"

struct xml_tree;

/*
 * From received bytes, XML or JSON by their first sign. `limits` NULL for the default. ERR_CHARSET,
 * ERR_UNSUPPORTED, ERR_REFUSED, ERR_LIMIT, ERR_SYNTAX with place and offset (gate.h), ERR_NOMEM.
 * *used is the character set, also when the rest fails.
 */
enum err_code xml_tree_read(struct arena *a, struct str raw, const enum charset *override,
                            const struct xml_limits *limits, const struct xml_tree **out,
                            enum charset *used, struct err *e);

const struct xml_node *xml_tree_root(const struct xml_tree *t);
/*
 * The element that the document is about: the root, or the resource of the first entry when the
 * document is an entry of a Bundle with what it refers to (batch.h). Paths begin there.
 */
const struct xml_node *xml_tree_subject(const struct xml_tree *t);

/* The namespace of an element, "" when it has none. */
const char *xml_namespace(const struct xml_node *n);
/* The text of an element, an attribute or a text node as it stands; may point into the tree. */
struct str xml_value(const struct xml_node *n, struct arena *a);
/* Its value of an attribute without namespace, only for elements; NULL when absent. */
const char *xml_element_attr(const struct xml_node *n, const char *name);

/* What stands in an element, piece by piece: texts and elements. Begins with node NULL. */
struct xml_piece {
    const struct xml_node *node;    /* where we are */
    const struct xml_node *element; /* this piece is an element, else `text` */
    struct str text;
};
bool xml_pieces(const struct xml_node *n, struct xml_piece *p);

/* "line 27: participant[2]/actor": where a node is, the end of it when it is long. */
enum { XML_PLACE = 64 };
const char *xml_place(const struct xml_tree *t, const struct xml_node *n, char out[XML_PLACE]);

/*
 * The other way round: where in the text of a document a place lies, of an error ("line 27") or of
 * xml_place(). False: nowhere, as when its beginning was cut off.
 */
bool xml_find_place(struct arena *a, struct str text, struct str place, size_t *from, size_t *n);

/* ---- XPath 1.0 ---- */

/* The prefixes that paths may use. */
struct xml_prefix {
    const char *prefix, *uri;
};
struct xml_names {
    const struct xml_prefix *list;
    size_t count;
};

struct xml_path;

/*
 * Compiles a path. All of XPath 1.0 but variables, and one function more: resolve(reference) gives
 * the resource that a FHIR reference names, when it lies in the same document (contained, or
 * carried along in the Bundle). ERR_SYNTAX with the offset in the path: also for a prefix that
 * `names` does not declare and for a function that does not exist. `names` must live as long as the
 * path.
 */
enum err_code xml_path_compile(struct arena *a, const struct xml_names *names, struct str text,
                               const struct xml_path **out, struct err *e);

struct xml_result {
    const struct xml_node **nodes; /* elements, attributes, texts, in document order */
    size_t count;
    bool computed;   /* the path computes a text, a number or a truth: that is `text` */
    struct str text; /* "" for no text and for no number */
};

/*
 * What a path finds from `from`; a path that begins with / begins at the document. ERR_LIMIT when
 * all paths of this document together took more than 10 million steps, ERR_NOMEM.
 */
enum err_code xml_path_find(const struct xml_tree *t, const struct xml_path *p,
                            const struct xml_node *from, struct arena *a, struct xml_result *out,
                            struct err *e);

#endif
