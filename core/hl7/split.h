/*
 * Messages one after the other in one text: files with several messages, batches, captured MLLP
 * streams. A message begins at a line "MSH" + separator and ends before the next one, before a
 * batch line (FHS BHS BTS FTS), or at an MLLP framing byte. Batch lines are skipped here. Other
 * content in front of the first message is handed out as a message of its own, so that parsing it
 * says what is wrong with it: nothing is lost silently. Copies nothing.
 */
#ifndef DARI_HL7_SPLIT_H
#define DARI_HL7_SPLIT_H

#include "core/base/str.h"

struct hl7_split {
    struct str text;
    size_t at;
};

/* False at the end. `offset` is where the message begins in the text; may be NULL. */
bool hl7_split_next(struct hl7_split *s, struct str *message, size_t *offset);

#endif
