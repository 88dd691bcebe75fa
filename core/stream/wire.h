/*
 * The frames of the protocol dari/1, as bytes: parsing what a peer sent (strictly, with limits) and
 * writing numbers. Knows no socket. The protocol itself is described in README.md.
 *
 * A message is a command name and its arguments, one frame each; numbers are decimal text without
 * sign or leading zeros. Requests go from consumer to relay, replies the other way.
 */
#ifndef DARI_STREAM_WIRE_H
#define DARI_STREAM_WIRE_H

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

#define WIRE_PROTOCOL "dari/1"
#define WIRE_MAX (INT64_C(1) << 62) /* largest number: sums of two cannot overflow */

enum {
    WIRE_FRAMES = 4,  /* most frames of any message */
    WIRE_DIGITS = 21, /* a number as text, with its NUL */
    WIRE_NAME = 64,   /* site, consumer */
    WIRE_CODE = 32    /* reason of a NACK, code of an ERROR or BYE */
};

enum wire_request_kind {
    REQUEST_HELLO,  /* protocol, site, from */
    REQUEST_CREDIT, /* messages, bytes: added to what is left */
    REQUEST_ACK,    /* seq */
    REQUEST_NACK,   /* seq, code */
    REQUEST_PING,
    REQUEST_BYE
};

enum wire_from { FROM_CURSOR, FROM_FIRST, FROM_HEAD, FROM_NUMBER, FROM_TIME };

struct wire_request {
    enum wire_request_kind kind;
    struct str protocol, site;
    enum wire_from from;
    int64_t seq; /* of ACK, NACK and HELLO from a number */
    usec time;   /* of HELLO from a time */
    int64_t messages, bytes;
    struct str code;
};

enum wire_reply_kind {
    REPLY_WELCOME, /* JSON object */
    REPLY_EVENT,   /* seq, prev, JSON */
    REPLY_ACKED,   /* seq */
    REPLY_HINT,    /* head, passed */
    REPLY_PONG,    /* head */
    REPLY_ERROR,   /* code, text */
    REPLY_BYE      /* reason */
};

struct wire_reply {
    enum wire_reply_kind kind;
    int64_t seq, prev; /* EVENT, ACKED; HINT and PONG: head in seq, passed in prev */
    struct str json;   /* WELCOME, EVENT */
    struct str code, text;
};

/*
 * Slices point into the frames. ERR_SYNTAX: unknown command or wrong number of frames; ERR_VALUE:
 * an argument that is not what it should be; ERR_LIMIT: one that is too long or too large. pos is
 * the frame.
 */
enum err_code wire_request(const struct str *frames, size_t count, struct wire_request *out,
                           struct err *e);
enum err_code wire_reply(const struct str *frames, size_t count, struct wire_reply *out,
                         struct err *e);

/* A number as a frame; `text` keeps it. */
struct str wire_number(int64_t n, char text[WIRE_DIGITS]);
/* What follows HELLO's site: "cursor", "first", "head", "117", "time:2026-03-11T00:00:00Z". */
enum err_code wire_from_text(struct str s, enum wire_from *from, int64_t *seq, usec *time,
                             struct err *e);
/* Letters, digits, dot, hyphen and underscore, 1 to `max` of them: names, codes. */
bool wire_word(struct str s, size_t max);

#endif
