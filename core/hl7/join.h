/*
 * Continuation of messages and segments (HL7 v2 chapter 2.10.2): a message too large for its sender
 * comes as several parts, each a message of its own with its own MSH-10. A part that goes on ends
 * with DSC, whose DSC-1 is a pointer; the part that follows has the same pointer in MSH-14; the
 * last one has no DSC. ADD continues the segment before it, in the same message or, as the first
 * segment behind MSH, across parts (then a bare ADD stands in front of the DSC).
 *
 * ADD joins byte for byte: what stands behind "ADD|" is put right behind the last byte of the
 * segment it continues, which may have been cut anywhere, even inside a value.
 */
#ifndef DARI_HL7_JOIN_H
#define DARI_HL7_JOIN_H

#include "core/base/buf.h"
#include "core/hl7/hl7.h"

struct hl7_part {
    struct str continues; /* MSH-14; empty: this is where a message begins */
    struct str continued; /* DSC-1; empty: this is where it ends */
};

/*
 * What a message is a part of; both empty for a whole one. ERR_UNSUPPORTED (DSC-2) for an
 * interactive continuation, whose rest comes only when it is asked for; ERR_VALUE (DSC-1) when a
 * part points to itself; ERR_LIMIT for a pointer longer than 199 bytes. Each with its place.
 */
enum err_code hl7_part_read(const struct hl7_msg *m, struct hl7_part *out, struct err *e);

/* Has it a segment ADD? */
bool hl7_has_addenda(const struct hl7_msg *m);

/*
 * The logical message out of its `n` parts in order, or out of one message with ADD. Works on bytes
 * as received, before any decoding, so that a cut inside a character does no harm; not for UTF-16.
 * MSH is that of the first part, segments end with CR, DSC and ADD are gone. ERR_SYNTAX with the
 * place when the parts do not fit each other: other delimiters or character set (MSH-1, MSH-2,
 * MSH-18), an ADD with nothing to continue, a segment to be continued that is not, something behind
 * DSC. ERR_NOMEM.
 */
enum err_code hl7_join(const struct str *parts, size_t n, struct buf *out, struct err *e);

#endif
