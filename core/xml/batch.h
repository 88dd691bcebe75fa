/*
 * A document from outside as the messages in it: what intake keeps, maps and repairs one by one.
 *
 *   XML                 one message: the bytes as received
 *   FHIR JSON           one message; in several lines that are an object each (NDJSON) one per line
 *   FHIR Bundle         each entry is a message, in XML and in JSON, whatever the type of the
 * Bundle
 *
 * The message of an entry must be readable by itself later, so it is a small Bundle: the bytes of
 * the entry, then the bytes of the entries it refers to directly (Patient, Encounter, Appointment,
 * Practitioner, PractitionerRole, Location, Medication, ServiceRequest; at most 16 and 64 KiB,
 * patients first), marked with a tag of ours (urn:dari:bundle|entry). xml_tree_subject() of it is
 * the resource of the first entry, and resolve() in a path finds the others. What does not fit is
 * not carried along, and a mapping that needs it will say that it is missing. It is in UTF-8, and
 * begins with a byte order mark when the feed's character set is another one.
 *
 * An entry without a resource (a DELETE of a transaction) is a message too: nothing is passed over.
 */
#ifndef DARI_XML_BATCH_H
#define DARI_XML_BATCH_H

#include "core/xml/tree.h"

struct xml_batch;

struct xml_message {
    struct str raw;        /* points into the document, or lies in the arena given to next */
    size_t number;         /* from 1 */
    char place[XML_PLACE]; /* "Bundle.entry[3]", "line 12"; "" for a document that is one message */
};

/*
 * `raw` must outlive the batch (it may be a mapped file: only a Bundle is read through now, and all
 * that is kept of it is 100 bytes per entry). limits->bytes and ->nodes hold for each message, not
 * for the document; one that would be too large refuses all of it. Errors: a Bundle cannot be split
 * (ERR_SYNTAX, ERR_REFUSED, ERR_LIMIT with the place). What is wrong with a message, or with a
 * document that is one, shows when that is read.
 */
enum err_code xml_batch_open(struct arena *a, struct str raw, const enum charset *override,
                             const struct xml_limits *limits, struct xml_batch **out,
                             struct err *e);

/* The next message, its bytes in `a`. *more false at the end. ERR_NOMEM. */
enum err_code xml_batch_next(struct xml_batch *b, struct arena *a, struct xml_message *out,
                             bool *more, struct err *e);

/* Resumes: the next message is number after + 1. */
void xml_batch_seek(struct xml_batch *b, size_t after);

/* How far in the document the next message begins, for progress. */
size_t xml_batch_offset(const struct xml_batch *b);

#endif
