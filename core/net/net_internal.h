/* What the files of core/net share; nobody else includes it. */
#ifndef DARI_NET_INTERNAL_H
#define DARI_NET_INTERNAL_H

#include "core/net/net.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <sys/socket.h>

enum {
    NET_CHUNK = 64 * 1024,      /* read at most this much from one connection at a time */
    NET_CONNECT_MS = 10 * 1000, /* an outgoing connection, handshake included */
    NET_LINGER_MS = 5 * 1000,   /* a closed connection has this long to take what was written */
    NET_HANDSHAKES = 128,       /* of one listener at a time: more wait in the backlog */
    NET_HANDSHAKES_SAME = 64,   /* of one address: a stranger must not hold all of them */
    NET_PEER_TEXT = 64
};

struct evdns_base;

struct net_loop {
    struct event_base *base;
    struct evdns_base *dns; /* made when the first name has to be looked up */
    struct event *term, *interrupt, *hup;
    struct event *flush;    /* runs at the end of a turn: writes what was sent during it */
    struct net_conn *dirty; /* connections with something to write */
    struct net_conn *conns; /* all of them, so that none leaks at the end */
    void (*on_stop)(void *);
    void *on_stop_ctx;
    void (*on_hup)(void *);
    void *on_hup_ctx;
    char chunk[NET_CHUNK]; /* where plain connections read to */
};

/*
 * A connection's states. Every state can go to DEAD; what is dead is freed as soon as no callback
 * of it is on the stack.
 *
 *     FINDING -> CONNECTING -> HANDSHAKE -> OPEN -> FLUSHING -> LINGERING -> DEAD
 *                (outgoing)    (only TLS)
 */
enum net_state {
    NET_FINDING,    /* outgoing: the addresses of the name are looked up */
    NET_CONNECTING, /* outgoing: one address is being tried */
    NET_HANDSHAKE,
    NET_OPEN,
    NET_FLUSHING,  /* closed by the owner: what was sent still has to leave */
    NET_LINGERING, /* all has left: wait for the peer's end, throwing away what it sends */
    NET_DEAD
};

struct net_conn {
    struct net_loop *loop;
    struct net_conn *next, **prev; /* in loop->conns */
    struct net_conn *dirty_next;
    enum net_state state;
    int fd;
    int busy;              /* our own frames on the stack that will look at it again */
    bool paused, ended;    /* by the owner; the peer has finished sending */
    bool dirty;            /* in loop->dirty */
    bool blocked;          /* the kernel takes no more: rd or wr will say when to go on */
    struct event rd, wr;   /* rd persists, wr is one-shot */
    struct event deadline; /* handshake, connecting, lingering */
    void *tls;             /* session or NULL */
    const struct net_handlers *h;
    void *ctx;
    struct net_listener *listener; /* while its handshake is under way */
    struct net_search *search;     /* outgoing, until connected */
    struct buf out;
    size_t out_at; /* the part of `out` that has left */
    char *cert;    /* subject of the peer's certificate, "" or NULL when it showed none */
    char peer[NET_PEER_TEXT];
};

/* conn.c */
struct net_conn *net_conn_new(struct net_loop *l, int fd);
void net_conn_watch(struct net_conn *c); /* its descriptor is known now */
void net_conn_ready(struct net_conn *c); /* TCP stands: handshake or open */
void net_conn_finish(struct net_conn *c, const char *why);
void net_conn_release(struct net_conn *c); /* busy is over; frees what is dead */
void net_conn_deadline(struct net_conn *c, int64_t ms);
void net_conn_linger(struct net_conn *c); /* all has left: say so and wait for the peer's end */
void net_conn_free_all(struct net_loop *l);
/* A socket that a listener accepted, which is owned from here on. */
void net_conn_accepted(struct net_listener *l, int fd, const struct sockaddr *peer);
/* Ends the handshakes that were under way for it. */
void net_conn_listener_gone(struct net_listener *l);

/* transfer.c: the caller holds `busy`; the connection may be dead afterwards */
void net_conn_flush(struct net_conn *c);  /* writes what there is */
void net_conn_read(struct net_conn *c);   /* reads once and hands over */
void net_conn_broken(struct net_conn *c); /* the last call on it failed: finish with the reason */
void net_conn_dirty(struct net_conn *c);  /* to be flushed when the loop turns */
void net_conn_flush_dirty(struct net_loop *l);

/* connect.c */
void net_search_next(struct net_conn *c);      /* tries the next address */
void net_search_connected(struct net_conn *c); /* the socket became writable: connected or failed */
void net_search_free(struct net_conn *c);

/* listener.c: what a connection takes over from its listener, which it may outlive. */
struct net_listener_view {
    struct net_loop *loop;
    struct tls *tls;
    int64_t handshake_ms;
    const struct net_handlers *handlers;
    void *ctx;
};
const struct net_listener_view *net_listener_view(const struct net_listener *l);
/* A handshake began (+1) or is over (-1). */
void net_listener_handshake(struct net_listener *l, int by);

/* text.c: "127.0.0.1:2575", "[::1]:2575" */
void net_address_text(const struct sockaddr *sa, char out[NET_PEER_TEXT]);
void net_nodelay(int fd);

#endif
