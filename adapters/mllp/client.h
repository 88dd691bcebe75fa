/*
 * The sending side of MLLP: messages one after another over one connection, each until it has its
 * final reply. What a reply means is the caller's business: this engine knows no HL7.
 *
 * Order is kept: while a message waits to be sent again, nothing behind it is sent for the first
 * time. A lost connection is opened again and what had no reply yet is sent again, oldest first;
 * the other side recognises what it had taken already. So is a message whose reply takes too long,
 * unless it asks for one only on errors: then it was taken when the time is over, or a reply to the
 * next one comes.
 *
 * Release 2 of MLLP: the other side first says whether it keeps the message (ACK) or not (NAK: sent
 * again like one judged MLLP_AGAIN), then comes the reply, if one was asked for; it is acknowledged
 * in turn. One message at a time. A reply without commit bytes before it is foreign.
 */
#ifndef DARI_ADAPTERS_MLLP_CLIENT_H
#define DARI_ADAPTERS_MLLP_CLIENT_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

struct net_loop;
struct tls;

enum mllp_verdict {
    MLLP_ACCEPTED,
    MLLP_REFUSED, /* for good: not sent again */
    MLLP_AGAIN,   /* not now: sent again after a while, up to `retries` times */
    MLLP_FOREIGN, /* no reply to this message at all: it failed, and the connection is made anew */
    MLLP_SILENT   /* for done() only: no reply was wanted, it is with the kernel; or none came */
};

struct mllp_message {
    struct str bytes;
    bool no_reply;      /* it asks for none */
    bool may_be_silent; /* it asks for one only when it is not taken: silence is a yes */
};

struct mllp_client {
    const char *host;
    int port;
    struct tls *tls;    /* NULL: plain */
    bool release_2;     /* commit bytes: each message waits for its own before the next is sent */
    int64_t window;     /* messages that may wait for their reply at a time */
    int64_t retries;    /* of one message */
    int64_t timeout_ms; /* for one reply; also how long a lost connection is tried again */
    size_t max_reply;
    const struct mllp_message *messages;
    size_t count;
    /* What the reply says about message i. */
    enum mllp_verdict (*judge)(void *ctx, size_t i, struct str reply);
    /* Message i is finished with; milliseconds since it was first sent. */
    void (*done)(void *ctx, size_t i, enum mllp_verdict verdict, int64_t ms);
    void *ctx;
};

/*
 * Runs `loop` until every message is done. ERR_PEER: the first connection could not be made, or a
 * lost one not again, or replies stopped coming; messages without done() were not accepted. Nothing
 * is tried again before the first connection stands.
 */
enum err_code mllp_client_run(struct net_loop *loop, const struct mllp_client *c, struct err *e);

#endif
