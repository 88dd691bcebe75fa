/*
 * Batches: [FHS] { [BHS] messages [BTS] } [FTS] (HL7 v2 chapter 2.10.3; segments 2.15.2-3). The
 * messages come one after the other from hl7_split_next(); here are the lines around them: what
 * they say about their number, and the batch that answers.
 *
 * A batch is one by its first line, FHS or BHS. BTS-1 counts the messages since its BHS, FTS-1 the
 * batches of the file; either may be left out. A count that does not agree makes no message bad: it
 * is reported in `problem`, and in BTS-2 of the reply.
 *
 * The reply is one batch, whatever was sent: FHS and FTS around it when the sender's began with
 * FHS. BHS-12 and FHS-12 refer to BHS-11 and FHS-11; BHS-12 stays empty when there were several
 * batches in the file. The lines of a batch have no character set of their own: they are read as
 * bytes, so a batch in UTF-16 is not one.
 */
#ifndef DARI_HL7_BATCH_H
#define DARI_HL7_BATCH_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"

struct hl7_batch {
    struct str file, header;  /* the FHS and the first BHS line, empty when there is none */
    size_t messages, batches; /* lines with MSH, lines with BHS */
    struct err problem;       /* the first count that does not agree, with its place */
};

bool hl7_is_batch(struct str raw);

/* Never fails; slices point into `raw`. */
void hl7_batch_read(struct str raw, struct hl7_batch *out);

/*
 * The lines before and after the replies. `id` is our own control id of the reply batch; `note`
 * stands in BTS-2, NULL for what `problem` says.
 */
void hl7_batch_begin(struct buf *out, const struct hl7_batch *b, struct str id, usec at);
void hl7_batch_end(struct buf *out, const struct hl7_batch *b, size_t replies, const char *note);

#endif
