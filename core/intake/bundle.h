/*
 * A batch under way (core/hl7/batch.h): one request of an adapter that is many messages. Each of
 * them becomes a job of its own as there is room; their replies, put back in order, are the one
 * reply of the request. Memory: the frame, and the replies until the last one is there.
 */
#ifndef DARI_INTAKE_BUNDLE_H
#define DARI_INTAKE_BUNDLE_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/hl7/batch.h"
#include "core/hl7/split.h"

enum { BUNDLE_MAX = 50000 }; /* messages of one batch */

struct bundle {
    struct arena *arena;
    void *ticket;
    const char *sender; /* of all of them */
    struct hl7_batch batch;
    struct hl7_split rest;         /* what did not become a job yet */
    size_t parts, taken, answered; /* messages; what stands in front of them counts too */
    struct str *replies;           /* [parts], empty when none is wanted */
    bool wanted;                   /* does anybody ask for replies, if only to errors? */
    bool again;                    /* one of them is to be sent again */
    bool lost;                     /* one of them was not kept */
    bool failed;                   /* no memory for a reply: then there is none at all */
};

/* Copies the frame. ERR_LIMIT: more than BUNDLE_MAX messages; ERR_NOMEM. */
enum err_code bundle_new(struct str frame, void *ticket, struct bundle **out, struct err *e);
void bundle_free(struct bundle **b);

/* The next message and its place; false when all were given. The slice lives with the bundle. */
bool bundle_next(struct bundle *b, struct str *message, size_t *place);

/* `wanted`: the sender asks for a reply to this one, at least when it fails. True: the last one. */
bool bundle_answer(struct bundle *b, size_t place, struct str reply, bool wanted);

/* The joined reply, in the bundle's memory; empty when nobody asked for one. */
struct str bundle_reply(struct bundle *b, struct str id, usec at);

/* To a batch that is too large: the negative reply to its first message, and why, as a batch. */
struct str bundle_refusal(struct arena *a, struct str frame, struct str reply, struct str id,
                          usec at);

#endif
