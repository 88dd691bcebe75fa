/* Inside core/xml: the entries of a Bundle, in XML and in JSON. */
#ifndef DARI_XML_BATCH_INTERNAL_H
#define DARI_XML_BATCH_INTERNAL_H

#include "core/base/buf.h"
#include "core/xml/batch.h"

struct bundle_entry {
    struct str raw;           /* its element or object */
    struct str url, type, id; /* Bundle.entry.fullUrl, type and id of its resource; may be empty */
};

struct xml_batch {
    struct arena *arena;
    struct str text;
    struct xml_limits limits;
    enum { BATCH_ONE, BATCH_LINES, BATCH_BUNDLE } kind;
    bool json, mark;
    struct str raw;          /* BATCH_ONE: as received */
    size_t at, line, number; /* next line, lines and messages given so far */
    struct str head, prefix; /* XML: the start tag of the Bundle, "f:" of <f:Bundle> */
    struct bundle_entry *entries;
    size_t count, room;
    size_t *by_url, *by_id; /* entries in the order of their names */
};

bool batch_add(struct xml_batch *b, const struct bundle_entry *entry);

/* Is it a Bundle? Then its entries are read. */
enum err_code batch_read_xml(struct xml_batch *b, bool *bundle, struct err *e);
enum err_code batch_read_json(struct xml_batch *b, bool *bundle, struct err *e);

/* Calls found() with each reference in an entry. */
typedef bool reference_found(void *ctx, struct str reference);
enum err_code batch_references_xml(const struct xml_batch *b, struct arena *a, struct str entry,
                                   reference_found *found, void *ctx, struct err *e);
enum err_code batch_references_json(const struct xml_batch *b, struct arena *a, struct str entry,
                                    reference_found *found, void *ctx, struct err *e);

/* "http://server/Patient/1/_history/2" and "Patient/1" are both Patient/1; empty for others. */
struct str fhir_type_and_id(struct str reference);

/*
 * Can `reference`, found in an entry whose fullUrl is `from`, mean a resource of that type and id
 * whose fullUrl is `url`? Ids are names inside one server: an absolute reference means that URL
 * only, a relative one the server of its own entry (FHIR R4, Bundle, "Resolving references"). An
 * entry without fullUrl may be of any. Empty: none is given.
 */
bool fhir_same_server(struct str reference, struct str from, struct str url);

#endif
