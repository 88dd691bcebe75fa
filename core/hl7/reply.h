/*
 * Replies to HL7 v2 messages. Standard: chapter 2.9 (acknowledgement), table 0008 (codes), table
 * 0357 (error conditions), chapter 2.15.5 (ERR): one component-coded ERR-1 before version 2.5,
 * ERR-2, 3, 4 and 7 from 2.5 on. Original mode (AA AE AR) unless MSH-15 or MSH-16 is valued, then
 * enhanced mode: CA CE CR for the commit as MSH-15 says (AL NE ER SU).
 *
 * A reply never contains a value from the message other than MSH-3..6, MSH-10, MSH-11, MSH-12 and
 * the delimiters.
 */
#ifndef DARI_HL7_REPLY_H
#define DARI_HL7_REPLY_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/hl7/hl7.h"

enum hl7_verdict { HL7_ACCEPT, HL7_ERROR, HL7_REJECT };

struct hl7_reply {
    enum hl7_verdict verdict;
    int condition;        /* table 0357: 0 accepted, 100-103, 200-207 */
    const char *text;     /* ERR-7 / MSA-3 before 2.5; our own words; NULL for the table's */
    const char *place;    /* "PID-3.1" or "PID(2)-3(1).1", NULL when unknown */
    const char *sequence; /* MSA-4: number echoed or expected (2.10.1); NULL: none */
    struct str id;        /* our own MSH-10, at most 20 characters for old receivers */
    usec at;
};

/*
 * Appends the reply to `out`, segments ended by CR, in the message's own character set when
 * `charset` is one that a reply needs. `m` may be NULL when even the header could not be read: then
 * `raw` is searched for what can be found (delimiters, MSH-10) and a minimal reply is made. *wanted
 * is false when MSH-15/16 ask for no reply.
 */
void hl7_reply(struct buf *out, const struct hl7_msg *m, struct str raw, const struct hl7_reply *r,
               bool *wanted);

#endif
