#include "core/stream/door.h"

#include "core/base/clock.h"
#include "core/crypto/keys.h"
#include "core/stream/socket.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct door {
    void *socket, *monitor;
    usec until;
    enum door_state state;
};

/* inproc names are unique in a context; a second door may stand while the first one closes. */
static unsigned serial;

static enum err_code watch(struct door *d, void *context, struct err *e)
{
    char name[64];
    int linger = 0;
    snprintf(name, sizeof name, "inproc://door.%u", serial++);
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                 ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(d->socket, name, events) != 0 ||
        !(d->monitor = zmq_socket(context, ZMQ_PAIR)) ||
        zmq_setsockopt(d->monitor, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_connect(d->monitor, name) != 0) {
        return ERR(e, ERR_PEER, 0, "could not watch the self-test: %s", zmq_strerror(zmq_errno()));
    }
    return ERR_NONE;
}

enum err_code door_knock(void *context, const char *endpoint, const char *server_key,
                         struct door **out, struct err *e)
{
    char public_key[CURVE_TEXT], secret_key[CURVE_TEXT];
    struct door *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the self-test");
    }
    enum err_code code = curve_pair(public_key, secret_key, e);
    if (code == ERR_NONE) {
        d->socket = socket_new(context, SIDE_CONSUMER, 1, e);
        code = d->socket ? socket_use_curve(d->socket, server_key, public_key, secret_key, e)
                         : ERR_PEER;
    }
    if (code == ERR_NONE) {
        code = watch(d, context, e);
    }
    if (code == ERR_NONE && zmq_connect(d->socket, endpoint) != 0) {
        code = ERR(e, ERR_PEER, 0, "could not connect to our own endpoint: %s",
                   zmq_strerror(zmq_errno()));
    }
    explicit_bzero(secret_key, sizeof secret_key);
    if (code != ERR_NONE) {
        door_free(&d);
        return code;
    }
    d->until = clock_mono() + (usec)DOOR_TIMEOUT_MS * 1000;
    *out = d;
    return ERR_NONE;
}

void *door_socket(const struct door *d)
{
    return d->monitor;
}

/* An event is two frames: number (16 bits) and value (32 bits), then the endpoint. */
static bool next_event(void *monitor, uint16_t *event)
{
    zmq_msg_t part;
    bool got = false;
    int more = 1;
    for (int i = 0; more; i++) {
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, monitor, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            return got;
        }
        if (i == 0 && zmq_msg_size(&part) >= sizeof *event) {
            memcpy(event, zmq_msg_data(&part), sizeof *event);
            got = true;
        }
        more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
    return got;
}

enum door_state door_look(struct door *d)
{
    uint16_t event = 0;
    while (d->state == DOOR_WAITING && next_event(d->monitor, &event)) {
        d->state = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED     ? DOOR_OPEN
                   : event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ? DOOR_SHUT
                                                              : DOOR_DEAF;
    }
    if (d->state == DOOR_WAITING && clock_mono() > d->until) {
        d->state = DOOR_SILENT;
    }
    return d->state;
}

void door_free(struct door **d)
{
    if (!*d) {
        return;
    }
    if ((*d)->socket) {
        zmq_socket_monitor((*d)->socket, NULL, 0);
        zmq_close((*d)->socket);
    }
    if ((*d)->monitor) {
        zmq_close((*d)->monitor);
    }
    free(*d);
    *d = NULL;
}
