/*
 * ZeroMQ sockets as we use them: one table of options, whole messages in and out, never blocking.
 * With zap.c, door.c, relay.c and client.c the only code that calls libzmq.
 */
#ifndef DARI_STREAM_SOCKET_H
#define DARI_STREAM_SOCKET_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/stream/wire.h"

#include <zmq.h>

/* In the draft part of zmq.h; the stable library knows the number. */
enum { SOCKET_ZAP_ENFORCE_DOMAIN = 93 };

enum socket_side { SIDE_RELAY, SIDE_CONSUMER };

struct socket_option {
    const char *name;
    int option;
    int relay, consumer; /* -2: not set on this side */
};
/* Every number we set; ends with a NULL name. HWM rows hold 0: they depend on the credit. */
extern const struct socket_option socket_options[];

/*
 * A ROUTER or DEALER with the table applied and high-water marks of twice the credit, which must
 * never be what decides. NULL with an error.
 */
void *socket_new(void *context, enum socket_side side, int64_t credit, struct err *e);
/* CURVE on the relay's side: enforced ZAP domain, so that no handler means nobody gets in. */
enum err_code socket_serve_curve(void *socket, const char *secret_key, struct err *e);
enum err_code socket_use_curve(void *socket, const char *server_key, const char *public_key,
                               const char *secret_key, struct err *e);
#define SOCKET_ZAP_DOMAIN "dari"

/* One received message; frames are valid until socket_drop(). */
struct socket_message {
    struct str route; /* ROUTER only */
    struct str frames[WIRE_FRAMES + 1];
    size_t count;     /* WIRE_FRAMES + 1: more than any message has; the rest was thrown away */
    const char *user; /* ROUTER: User-Id of the sender, NULL when ZAP gave none */
    const char *key;  /* ROUTER: the sender's public key as our ZAP handler named it */
    zmq_msg_t parts[WIRE_FRAMES + 2];
    size_t held;
};
/* False when nothing is waiting. */
bool socket_recv(void *socket, enum socket_side side, struct socket_message *m);
void socket_drop(struct socket_message *m);

enum socket_sent {
    SENT,
    SENT_FULL, /* the pipe is full: again later */
    SENT_GONE  /* the peer is no longer there */
};
/* route.p NULL on a DEALER. */
enum socket_sent socket_send(void *socket, struct str route, const struct str *frames,
                             size_t count);

#endif
