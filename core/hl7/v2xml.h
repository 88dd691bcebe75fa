/*
 * HL7 v2 in its XML encoding (HL7 v2.xml, namespace urn:hl7-org:v2xml; also inside a SOAP body, and
 * without the namespace when the root begins with MSH). The same message in ER7 is made of it, so
 * that everything after it, mappings first, knows only one form:
 *
 *   - segments in the order of the document; groups (ADT_A01.PROCEDURE) add nothing, Z segments are
 *     segments; a repeated element is a repetition, wherever it stands among the fields;
 *   - the number is what stands behind the last point: PID.3, CX.4 and PID.3.4 are all read. What
 * v2.xml can nest deeper than ER7 (XPN.10/DR.1/TS.1) is its first part there, and a second part is
 *     ERR_UNSUPPORTED: nothing is dropped silently;
 *   - an element without content is an empty value, "" is the null, <escape V=".br"/> is \.br\, and
 *     delimiters in texts are escaped. Blanks around a text that hold a line end are indentation.
 *     MSH.1 and MSH.2 say the delimiters, else they are |^~\&.
 */
#ifndef DARI_HL7_V2XML_H
#define DARI_HL7_V2XML_H

#include "core/base/buf.h"
#include "core/hl7/hl7.h"
#include "core/xml/tree.h"

bool hl7_is_v2xml(const struct xml_tree *t);

/*
 * The message as ER7 in `a`, UTF-8, for hl7_parse(). ERR_SYNTAX (an element that is no field or no
 * component, text between elements), ERR_UNSUPPORTED, ERR_LIMIT (more than `max` bytes) with the
 * place in the document, ERR_NOMEM.
 */
enum err_code hl7_from_v2xml(struct arena *a, const struct xml_tree *t, size_t max, struct str *er7,
                             struct err *e);

/*
 * The other way round, for replies to senders of v2.xml: appends a document in UTF-8. The types of
 * components are known for MSH, MSA and ERR (HD.1, ERL.2 …), others are named after their field
 * (PID.3.1). The root is MSH-9.3, else ACK. ERR_CHARSET as hl7_unescape().
 */
enum err_code hl7_to_v2xml(struct buf *out, struct arena *a, const struct hl7_msg *m,
                           struct err *e);

#endif
