/*
 * The event loop and its connections; the only owner of libevent. One loop per process. Nothing
 * here blocks. Callbacks run from the loop; a callback may close its own connection.
 *
 * A connection belongs to whoever got it: from accept() or net_connect() until closed() was called
 * or net_close() was. After either nothing is called for it any more, and its context may be freed.
 * Freeing the loop closes what is left, without calls.
 */
#ifndef DARI_NET_NET_H
#define DARI_NET_NET_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stdint.h>

struct tls; /* core/crypto/tls.h */
struct net_loop;
struct net_timer;
struct net_watch;
struct net_listener;
struct net_conn;

struct net_loop *net_loop_new(struct err *e);
void net_loop_free(struct net_loop **l);
void net_loop_run(struct net_loop *l); /* until net_loop_stop() or SIGTERM/SIGINT */
void net_loop_stop(struct net_loop *l);
/* Called once when SIGTERM or SIGINT arrives, instead of stopping at once. */
void net_loop_on_stop(struct net_loop *l, void (*fn)(void *), void *ctx);
void net_loop_on_hup(struct net_loop *l, void (*fn)(void *), void *ctx);

/* One-shot timer; net_timer_set() again re-arms it. ms < 0 disarms. */
struct net_timer *net_timer_new(struct net_loop *l, void (*fn)(void *), void *ctx);
void net_timer_set(struct net_timer *t, int64_t ms);
void net_timer_free(struct net_timer **t);

/* A foreign descriptor (libpq's socket). The callback learns what is ready. */
enum { NET_READ = 1, NET_WRITE = 2 };
struct net_watch *net_watch_new(struct net_loop *l, int fd, void (*fn)(void *, int ready),
                                void *ctx);
/* From the next net_watch_want() on it is heard before everybody else. It must then always read
 * what has come, or nobody else is heard. */
void net_watch_first(struct net_watch *w);
void net_watch_want(struct net_watch *w, int events);
void net_watch_free(struct net_watch **w);

struct net_handlers {
    /* Somebody wants to connect; false turns him away before a handshake (the callee logged why).
     * NULL: all are welcome. */
    bool (*knock)(void *listener_ctx, const char *peer);
    /* A new connection; returns its context, or NULL to refuse (the callee logged why). */
    void *(*accept)(void *listener_ctx, struct net_conn *c);
    /* Bytes came; all of them are handed over. After the handshake when there is TLS. */
    void (*bytes)(void *conn_ctx, struct str bytes);
    /* Everything written so far has left for the kernel. May be NULL. */
    void (*drained)(void *conn_ctx);
    /*
     * The peer has finished sending but may still read (half-close): the owner answers what is
     * under way and calls net_close(). NULL: the connection ends here, closed() is called with
     * NULL.
     */
    void (*ended)(void *conn_ctx);
    /* The connection is gone; `why` is NULL for an orderly end. The net_conn is freed afterwards.
     */
    void (*closed)(void *conn_ctx, const char *why);
    /* A TLS handshake failed before accept() was called, or a client connection is ready. May be
     * NULL. */
    void (*handshake_failed)(void *listener_ctx, const char *peer, const char *why);
    void (*connected)(void *conn_ctx);
};

struct net_listen_options {
    const char *address;  /* "127.0.0.1", "::", "0.0.0.0" */
    int port;             /* 0: any, see net_listener_port() */
    struct tls *tls;      /* NULL: plain */
    int64_t handshake_ms; /* TLS handshake deadline; 0: 5 seconds */
    int keepalive_s;      /* probe silent peers after so many seconds; 0: never */
};

/*
 * ERR_IO names the address and says what to do when the port is taken; ERR_CONFIG: not an address.
 * TCP_NODELAY is always on. `h` must live as long as the connections. At most 128 TLS handshakes
 * are under way at a time; others wait in the backlog, as do all when the process has no descriptor
 * left.
 */
enum err_code net_listen(struct net_loop *l, const struct net_listen_options *o,
                         const struct net_handlers *h, void *ctx, struct net_listener **out,
                         struct err *e);
int net_listener_port(const struct net_listener *l);
void net_listener_pause(struct net_listener *l, bool paused); /* leaves new peers in the backlog */
/* From the next peer on; those that are connected keep what they have. The old one may be freed. */
void net_listener_set_tls(struct net_listener *l, struct tls *tls);
void net_listener_free(struct net_listener **l);

/*
 * Outgoing connection; h->connected or h->closed follows within 10 seconds, never from inside this
 * call. Every address of `host` is tried; `host` is also the name that TLS verifies.
 */
enum err_code net_connect(struct net_loop *l, const char *host, int port, struct tls *tls,
                          const struct net_handlers *h, void *ctx, struct net_conn **out,
                          struct err *e);

void net_send(struct net_conn *c, struct str bytes); /* copied; one write when the loop turns */
size_t net_queued(const struct net_conn *c);         /* bytes not yet with the kernel */
void net_pause(struct net_conn *c, bool paused);     /* stop or go on reading: back-pressure */
/*
 * After a flush: what was sent still goes out, then the peer is told, and what it goes on to send
 * is thrown away for at most 5 seconds, because closing a socket with unread bytes would destroy
 * the last reply on its way.
 */
void net_close(struct net_conn *c, bool after_flush);
const char *net_peer(const struct net_conn *c);      /* "127.0.0.1:51234" */
const char *net_peer_cert(const struct net_conn *c); /* subject of the client certificate or "" */

#endif
