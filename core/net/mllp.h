/*
 * MLLP framing (HL7 v2 transport specification: MLLP release 1, appendix C of chapter 2; release 2
 * adds commit bytes): <VT> message <FS><CR>. Pure bytes, no sockets: the caller feeds what came and
 * takes frames out; any cutting of the input gives the same frames. Engines that mark their frames
 * with other bytes are met with other marks.
 *
 * Bytes between frames are noise: skipped and counted. A VT inside a frame starts over (the part
 * before it is noise: a sender that died in the middle). FS not followed by CR belongs to the
 * message.
 */
#ifndef DARI_NET_MLLP_H
#define DARI_NET_MLLP_H

#include "core/base/buf.h"
#include "core/base/err.h"

enum { MLLP_VT = 0x0b, MLLP_FS = 0x1c, MLLP_CR = 0x0d, MLLP_ACK = 0x06, MLLP_NAK = 0x15 };

/* What a frame begins and ends with; `last` 0: it ends with `end` alone. */
struct mllp_marks {
    char start, end, last;
};

struct mllp {
    struct mllp_marks marks;
    struct buf in;   /* at most one frame and what came behind it */
    size_t max;      /* largest message */
    size_t taken;    /* bytes of `in` that are finished with; dropped at the next feed */
    size_t no_fs;    /* there is no FS in `in` between `scanned` and here */
    size_t scanned;  /* bytes of `in` already looked at */
    bool inside;     /* after VT */
    bool skipping;   /* an oversize frame is being skipped to its end */
    uint64_t noise;  /* bytes skipped outside frames */
    bool cr_pending; /* the last frame ended with a lone FS: its CR may still come */
    bool lone_cr_ok; /* accept FS without CR when the next byte is VT or nothing follows */
};

enum mllp_what {
    MLLP_MORE,     /* nothing complete: feed more */
    MLLP_FRAME,    /* *frame is one message; valid until the next mllp_ call */
    MLLP_TOO_LARGE /* a frame passed `max`; *frame is its beginning (at most 4 KiB or
                      `max`), the rest is skipped */
};

void mllp_init(struct mllp *m, size_t max); /* with the usual marks; others may be set then */
void mllp_release(struct mllp *m);
/* Call mllp_next() until MLLP_MORE before feeding again: then at most `max` + 2 bytes are kept. */
void mllp_feed(struct mllp *m, struct str bytes);
enum mllp_what mllp_next(struct mllp *m, struct str *frame);

extern const struct mllp_marks mllp_usual;

/*
 * Marks in hexadecimal: one byte to begin with ("0b"), one or two to end with ("1c0d"). They must
 * be control characters, and not the CR, LF and TAB that messages hold, but for the last one.
 * ERR_VALUE.
 */
enum err_code mllp_marks_read(struct str start, struct str end, struct mllp_marks *out,
                              struct err *e);

/* The framed message, to be sent in one write. */
void mllp_wrap(struct buf *out, struct str message);

#endif
