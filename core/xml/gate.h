/*
 * The gate for XML from strangers: what stands between received bytes and libxml2. The bytes are
 * decoded by us (so that nothing can be smuggled past in a character set that we do not look
 * through), then read once from front to end without building anything. Refused there, with the
 * place, before a parser has seen a byte:
 *
 *   any DOCTYPE (and with it every external file, entity bomb and attribute default), entities
 *   other than the five, declared character sets that are not on our list, NUL and control
 *   characters, more than the limits below, tags that do not nest.
 *
 * Memory: the decoded text when it is not UTF-8 already, nothing else, however large the input.
 * Standard: XML 1.0 (fifth edition); version 1.1 is read as 1.0. Offsets in errors count bytes of
 * the decoded text; `where` says the line.
 */
#ifndef DARI_XML_GATE_H
#define DARI_XML_GATE_H

#include "core/base/arena.h"
#include "core/base/charset.h"
#include "core/base/err.h"

struct xml_limits {
    size_t bytes;        /* of a document */
    size_t start_tag;    /* of one start tag; an attribute named `value` is not counted, since FHIR
                            keeps attachments there */
    size_t value;        /* of one attribute, of one text */
    size_t name;         /* of an element, an attribute, a prefix */
    size_t nodes;        /* elements, attributes and texts of a document */
    unsigned depth;      /* of elements */
    unsigned attributes; /* of one element */
    unsigned namespaces; /* declared in elements around one place */
};
/* 16 MiB, 64 KiB, 8 MiB, 256, 500,000, 128, 256, 256 */
extern const struct xml_limits xml_default_limits;
enum { XML_MAX_DEPTH = 256 };

/*
 * To UTF-8 without a byte order mark. The set is that of a byte order mark, else `override` when
 * not NULL, else UTF-16 when every second byte is NUL, else what the declaration says (UTF-8,
 * US-ASCII, EUC-KR and its names, ISO-8859-1, -2, -9 and -15, Shift_JIS, EUC-JP, GB18030, Big5),
 * else UTF-8. ERR_CHARSET when the bytes are not valid in it or contradict it, ERR_UNSUPPORTED for
 * another set. *used says which.
 */
enum err_code xml_decode(struct arena *a, struct str raw, const enum charset *override,
                         struct str *text, enum charset *used, struct err *e);

/* It is taken for UTF-8, so that decoding it copies nothing. */
bool xml_is_utf8(struct str raw, const enum charset *override);

/* Reads the decoded text. `limits` NULL for the default. ERR_REFUSED (DOCTYPE, entities),
 * ERR_LIMIT, ERR_SYNTAX. */
enum err_code xml_gate(struct str text, const struct xml_limits *limits, struct err *e);

/* What bytes are, by their first sign behind a mark and blanks, in UTF-8 or UTF-16. */
enum xml_kind { XML_KIND_OTHER, XML_KIND_XML, XML_KIND_JSON };
enum xml_kind xml_kind(struct str raw);

#endif
