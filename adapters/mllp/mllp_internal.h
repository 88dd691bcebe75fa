/* The adapter's parts: mllp.c (options, life) and peer.c (one connection). */
#ifndef DARI_ADAPTERS_MLLP_INTERNAL_H
#define DARI_ADAPTERS_MLLP_INTERNAL_H

#include "adapters/mllp/mllp.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/net/mllp.h"
#include "core/net/net.h"

struct mllp_options {
    const char *address;
    int64_t port;
    bool tls;
    const char *cert, *key, *ca, *crl, *clients;
    int64_t max_connections, max_per_address;
    int64_t max_message, max_in_flight, window;
    bool lone_fs;
    int64_t idle_ms, stall_ms, handshake_ms, keepalive_ms;
};

/* One message on its way through the host: the ticket. Lives until its reply came. */
struct request {
    struct peer *peer;           /* NULL: the connection is gone, the reply goes nowhere */
    struct request *next, *prev; /* in the order received; orphans in a list of their own */
    size_t bytes;
    bool answered; /* the reply waits for those before it */
    struct buf reply;
};

struct requests {
    struct request *first, *last;
};

/* One connection. */
struct peer {
    struct adapter *a;
    struct peer *next, **prev;
    struct net_conn *conn;
    struct mllp framer;
    enum mllp_what what; /* what `frame` is: not MLLP_MORE while the host has not taken it */
    struct str frame;    /* in the framer */
    bool input_done;     /* the framer holds no complete frame */
    bool pumping, ended; /* frames are being handed over; the peer has finished sending */
    struct requests waiting;
    int64_t under_way;              /* in `waiting` */
    size_t buffered;                /* bytes in the framer, as counted in a->held */
    uint64_t noise;                 /* of the framer, as counted */
    bool broken;                    /* memory ran out for it: the next sweep closes it */
    uint64_t replied, replies_left; /* bytes of replies sent; of those, with the kernel by now */
    usec heard, frame_began, reply_stuck; /* clock_mono(); 0: not */
};

struct adapter {
    struct adapter_host *host;
    const struct mllp_options *options;
    struct net_listener *listener;
    struct net_timer *sweep;
    struct tls *tls;
    struct peer *peers;
    int64_t count; /* of peers */
    struct requests orphans;
    struct request *spare; /* used-up requests, to be used again */
    struct peer *refused;  /* whose frame the host did not take */
    bool host_full, draining;
    size_t held;         /* bytes received and not answered yet, over all connections */
    bool over;           /* held has reached max-in-flight: only `chosen` is read */
    struct peer *chosen; /* the one that may finish its frame */
};

/* peer.c */
extern const struct net_handlers mllp_handlers;
void peer_reply(struct adapter *a, struct request *r, struct str reply);
void peers_go_on(struct adapter *a); /* the host takes messages again */
void peers_drain(struct adapter *a);
void peers_sweep(struct adapter *a); /* closes the idle and the stuck */
void peers_free(struct adapter *a);

#endif
