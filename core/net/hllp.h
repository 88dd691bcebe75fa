/*
 * Hybrid Lower Layer Protocol (HL7 implementation guide, appendix C.2): a block is
 * <VT> D vv <CR> data ccccc xxx <FS> <CR>, where vv is the version of the protocol, ccccc how many
 * characters there are and xxx their exclusive-or, both decimal; 999 means "not computed". A block
 * of type N instead of D refuses the one before and has a reason as its data. Here is what stands
 * between <VT> and <FS>, which core/net/mllp.h finds.
 *
 * Implementations differ in whether "all preceding characters" begins with the data or with <VT>:
 * both are taken, and what is written counts the way that was read. Carriage return stuffing, which
 * serial lines needed, is not done.
 */
#ifndef DARI_NET_HLLP_H
#define DARI_NET_HLLP_H

#include "core/base/buf.h"

enum { HLLP_DATA_MAX = 99999 - 5 };

enum hllp_what {
    HLLP_DATA,
    HLLP_REFUSED, /* type N: *data is its reason, one letter */
    HLLP_BROKEN   /* *reason says why: 'C' the count, 'X' the checksum, 'G' no such block */
};

/* `with_start` is set when the counts begin at <VT>, and left alone where they do not tell. */
enum hllp_what hllp_read(struct str block, struct str *data, char *reason, bool *with_start);

/* What comes between <VT> and <FS>; `type` is 'D' or 'N'. At most HLLP_DATA_MAX bytes of data. */
void hllp_write(struct buf *out, char type, struct str data, bool with_start);

#endif
