#include "core/stream/socket.h"

#include <errno.h>
#include <string.h>

enum { NOT_HERE = -2 };

/*
 * Why each: nothing may hang at exit, because all state is in PostgreSQL (LINGER); a half-open
 * connection must be noticed (HEARTBEAT, KEEPALIVE); whoever does not finish the handshake must not
 * hold a socket for half a minute (HANDSHAKE_IVL); consumers send only commands (MAXMSGSIZE); a
 * consumer must not queue into a dead connection (IMMEDIATE); a lost peer must be an error, not
 * silence (ROUTER_MANDATORY).
 */
const struct socket_option socket_options[] = {
    {"LINGER", ZMQ_LINGER, 0, 200},
    {"SNDHWM", ZMQ_SNDHWM, 0, 0},
    {"RCVHWM", ZMQ_RCVHWM, 0, 0},
    {"ROUTER_MANDATORY", ZMQ_ROUTER_MANDATORY, 1, NOT_HERE},
    {"HEARTBEAT_IVL", ZMQ_HEARTBEAT_IVL, 5000, 5000},
    {"HEARTBEAT_TIMEOUT", ZMQ_HEARTBEAT_TIMEOUT, 15000, 15000},
    {"HEARTBEAT_TTL", ZMQ_HEARTBEAT_TTL, 20000, 20000},
    {"HANDSHAKE_IVL", ZMQ_HANDSHAKE_IVL, 3000, 3000},
    {"RECONNECT_IVL", ZMQ_RECONNECT_IVL, NOT_HERE, 200},
    {"RECONNECT_IVL_MAX", ZMQ_RECONNECT_IVL_MAX, NOT_HERE, 5000},
    {"IMMEDIATE", ZMQ_IMMEDIATE, NOT_HERE, 1},
    {"BACKLOG", ZMQ_BACKLOG, 512, NOT_HERE},
    {"TCP_KEEPALIVE", ZMQ_TCP_KEEPALIVE, 1, 1},
    {"TCP_KEEPALIVE_IDLE", ZMQ_TCP_KEEPALIVE_IDLE, 60, 60},
    {"TCP_KEEPALIVE_INTVL", ZMQ_TCP_KEEPALIVE_INTVL, 10, 10},
    {"TCP_KEEPALIVE_CNT", ZMQ_TCP_KEEPALIVE_CNT, 3, 3},
    {NULL, 0, 0, 0},
};
enum { INBOUND_RELAY = 64 * 1024, INBOUND_CONSUMER = 16 * 1024 * 1024 };

static bool set_int(void *s, int option, int value)
{
    return zmq_setsockopt(s, option, &value, sizeof value) == 0;
}

static bool set_table(void *s, enum socket_side side, int hwm)
{
    for (const struct socket_option *o = socket_options; o->name; o++) {
        bool mark = o->option == ZMQ_SNDHWM || o->option == ZMQ_RCVHWM;
        int value = mark ? hwm : side == SIDE_RELAY ? o->relay : o->consumer;
        if (value != NOT_HERE && !set_int(s, o->option, value)) {
            return false;
        }
    }
    int64_t inbound = side == SIDE_RELAY ? INBOUND_RELAY : INBOUND_CONSUMER;
    return zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &inbound, sizeof inbound) == 0;
}

void *socket_new(void *context, enum socket_side side, int64_t credit, struct err *e)
{
    void *s = zmq_socket(context, side == SIDE_RELAY ? ZMQ_ROUTER : ZMQ_DEALER);
    int64_t hwm = credit < 8 ? 16 : credit > 1000000 ? 2000000 : 2 * credit;
    if (!s || !set_table(s, side, (int)hwm)) {
        ERR(e, ERR_PEER, 0, "could not set up a ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
        if (s) {
            zmq_close(s);
        }
        return NULL;
    }
    return s;
}

enum err_code socket_serve_curve(void *s, const char *secret_key, struct err *e)
{
    bool ok =
        set_int(s, ZMQ_CURVE_SERVER, 1) &&
        zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, secret_key, strlen(secret_key) + 1) == 0 &&
        zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, SOCKET_ZAP_DOMAIN, strlen(SOCKET_ZAP_DOMAIN)) == 0 &&
        set_int(s, SOCKET_ZAP_ENFORCE_DOMAIN, 1);
    return ok ? ERR_NONE
              : ERR(e, ERR_CRYPTO, 0, "could not turn CURVE on: %s", zmq_strerror(zmq_errno()));
}

enum err_code socket_use_curve(void *s, const char *server_key, const char *public_key,
                               const char *secret_key, struct err *e)
{
    bool ok = zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server_key, strlen(server_key) + 1) == 0 &&
              zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, public_key, strlen(public_key) + 1) == 0 &&
              zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, secret_key, strlen(secret_key) + 1) == 0;
    return ok ? ERR_NONE
              : ERR(e, ERR_CRYPTO, 0, "could not use these CURVE keys: %s",
                    zmq_strerror(zmq_errno()));
}

/* ---- whole messages ---- */

static bool recv_part(void *s, zmq_msg_t *part)
{
    int n;
    zmq_msg_init(part);
    do {
        n = zmq_msg_recv(part, s, ZMQ_DONTWAIT);
    } while (n < 0 && zmq_errno() == EINTR);
    if (n < 0) {
        zmq_msg_close(part);
    }
    return n >= 0;
}

static struct str part_str(zmq_msg_t *part)
{
    return (struct str){zmq_msg_data(part), zmq_msg_size(part)};
}

/* Reads to the end of the message, whatever its length; keeps what any message may have. */
static bool recv_parts(void *s, struct socket_message *m, size_t keep)
{
    bool more = true;
    while (more) {
        zmq_msg_t spare;
        zmq_msg_t *part = m->held < keep ? &m->parts[m->held] : &spare;
        if (!recv_part(s, part)) {
            return m->held > 0;
        }
        more = zmq_msg_more(part);
        if (part == &spare) {
            zmq_msg_close(part);
        } else {
            m->held++;
        }
    }
    return true;
}

bool socket_recv(void *s, enum socket_side side, struct socket_message *m)
{
    size_t routes = side == SIDE_RELAY ? 1 : 0;
    m->held = m->count = 0;
    m->user = m->key = NULL;
    m->route = (struct str){0};
    if (!recv_parts(s, m, WIRE_FRAMES + 1 + routes)) {
        return false;
    }
    if (side == SIDE_RELAY) {
        zmq_msg_t *last = &m->parts[m->held - 1];
        m->route = part_str(&m->parts[0]);
        m->user = zmq_msg_gets(last, "User-Id");
        m->key = zmq_msg_gets(last, "X-Key");
    }
    for (size_t i = routes; i < m->held; i++) {
        m->frames[m->count++] = part_str(&m->parts[i]);
    }
    return true;
}

void socket_drop(struct socket_message *m)
{
    while (m->held > 0) {
        zmq_msg_close(&m->parts[--m->held]);
    }
    m->count = 0;
}

enum socket_sent socket_send(void *s, struct str route, const struct str *frames, size_t count)
{
    size_t routes = route.p ? 1 : 0;
    for (size_t i = 0; i < count + routes; i++) {
        struct str f = i < routes ? route : frames[i - routes];
        int flags = ZMQ_DONTWAIT | (i + 1 < count + routes ? ZMQ_SNDMORE : 0);
        int n;
        do {
            n = zmq_send(s, f.p, f.n, flags);
        } while (n < 0 && zmq_errno() == EINTR);
        if (n < 0) {
            /* Only the first part can fail so: it decides for the whole message. */
            return zmq_errno() == EAGAIN ? SENT_FULL : SENT_GONE;
        }
    }
    return SENT;
}
