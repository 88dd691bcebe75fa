/*
 * AsyncAPI 3.0 of the stream, as JSON (which every YAML reader takes too), generated from the
 * catalogue: one channel, one message per event type, each with its JSON Schema as payload by
 * reference: schemas/TYPE.json beside the document (schema.h, the open form).
 *
 * AsyncAPI has no binding for ZeroMQ. The server's protocol is "zmq+curve"; what a client must know
 * beside it stands in x-dari-protocol, and the protocol itself in core/stream/README.md.
 */
#ifndef DARI_EVENT_ASYNCAPI_H
#define DARI_EVENT_ASYNCAPI_H

#include "core/event/event.h"

/* Appends the document; whether there was room is in buf_ok(). */
void asyncapi_write(struct buf *out, const struct catalogue *c);

#endif
