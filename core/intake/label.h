/*
 * The control id of a message that came in a file and has none of its own (a row, a document): the
 * beginning of the file's digest and the place in it, "9f86d081884c7d65#214". A later turn of the
 * same content has its number, "9f86d081884c7d65.2#214"; a row that the file no longer has is
 * "9f86d081884c7d65#0-KEY". It is what links a message with its dari.batch. HL7 v2 messages keep
 * the control id that their sender gave them, and so no link.
 */
#ifndef DARI_INTAKE_LABEL_H
#define DARI_INTAKE_LABEL_H

#include "core/base/str.h"
#include "core/crypto/digest.h"

#include <stdint.h>

enum { LABEL_BYTES = 8, LABEL_TEXT = 40 };

struct label {
    unsigned char low[SHA256_BYTES], high[SHA256_BYTES]; /* the digest is one of these or between */
    int64_t turn, number;                                /* number: 0 of a row that is gone */
};

/* What stands before the '#'. */
void label_write(const unsigned char digest[SHA256_BYTES], int64_t turn, char out[LABEL_TEXT]);

/* False: another kind of control id. */
bool label_read(struct str control_id, struct label *out);

#endif
