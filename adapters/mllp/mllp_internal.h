/* The adapter's parts: mllp.c (options, life), peer.c (one connection), sweep.c (time-outs), gate.c
 * (who may connect and how fast), block.c (what frames hold), answer.c (replies on a connection of
 * our own). */
#ifndef DARI_ADAPTERS_MLLP_INTERNAL_H
#define DARI_ADAPTERS_MLLP_INTERNAL_H

#include "adapters/mllp/mllp.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/net/allow.h"
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
    int64_t idle_ms, stall_ms, handshake_ms, keepalive_ms, reclaim_ms;
    const char *framing, *start, *end, *allow, *reply_to;
    int64_t max_rate;
};

enum framing {
    FRAMING_MLLP,
    FRAMING_MLLP2, /* release 2: commit bytes */
    FRAMING_HLLP   /* the hybrid protocol: counts and checksums */
};

/* What the options say, read. */
struct mllp_settings {
    enum framing framing;
    struct mllp_marks marks;
    struct net_allow allow;
    char reply_host[256]; /* "": replies go where the message came from */
    int reply_port;
};

/* One message on its way through the host: the ticket. Lives until its reply came. */
struct request {
    struct peer *peer;           /* NULL: the connection is gone, the reply goes nowhere */
    struct request *next, *prev; /* in the order received; orphans in a list of their own */
    size_t bytes;
    bool answered; /* the reply waits for those before it */
    bool kept;     /* by the host: release 2 tells the sender */
    char nak;      /* hybrid protocol: the block was broken, and why; else 0 */
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
    struct source *source;
    struct mllp framer;
    bool throttled;      /* its address sends faster than it may: the frame waits */
    bool hllp_counts_vt; /* how its blocks are counted */
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

/* An address that connections come from. */
struct source {
    struct source *next;
    int64_t connections;
    int64_t credit; /* microseconds' worth of messages, at the allowed rate */
    usec at;        /* when it was counted */
    bool told;      /* that it is too fast */
    char host[64];
};

struct answers; /* the connection that replies go to, when it is not the sender's */

struct adapter {
    struct adapter_host *host;
    const struct mllp_options *options;
    struct mllp_settings settings;
    struct net_loop *loop;
    struct net_timer *rate;
    struct source *sources;
    struct answers *answers; /* or NULL */
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
void peers_free(struct adapter *a);
void peers_unthrottle(struct adapter *a);
bool peer_blocked(const struct peer *p); /* may it not be read now? */
void peer_hang_up(struct peer *p);       /* orderly; frees it */

/* ---- sweep.c ---- */
void peers_sweep(struct adapter *a); /* closes the idle and the stuck */
void peer_give_up(struct peer *p, const char *reason);
/* Ends a connection in favour of the next one of the same sender. */
void peer_give_way(struct peer *p);

/* ---- gate.c ---- */
bool gate_knock(void *listener_ctx, const char *peer);
/* A place for a new connection, or NULL: refused, counted and logged. */
struct source *gate_admit(struct adapter *a, const struct net_conn *c);
void gate_leave(struct source *s);
/* May one more message of this peer pass now? If not the peer is throttled until it may. */
bool gate_pass(struct peer *p);
void gate_give_back(struct peer *p); /* it did not pass after all */
void gate_sweep(struct adapter *a);
void gate_free(struct adapter *a);

/* ---- block.c ---- */
enum block_what {
    BLOCK_MESSAGE, /* *frame is the message now */
    BLOCK_TOLD,    /* the sender's word on one of our replies: taken note of */
    BLOCK_BROKEN   /* *nak says what to tell the sender */
};
enum block_what block_read(struct peer *p, struct str *frame, char *nak);
/* Sends what the framing wants to be said about a request that is through, and its reply. */
void block_answer(struct peer *p, const struct request *r, struct str reply);

/* ---- answer.c ---- */
enum err_code answers_open(struct adapter *a, struct err *e);
/* `bytes` is a frame. */
void answers_send(struct answers *s, struct str bytes);
bool answers_full(const struct answers *s); /* of NULL: no */
void answers_free(struct answers **s);

#endif
