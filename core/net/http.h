/*
 * An HTTP/1.1 server on our own connections, plain or TLS: bodies are handed over as they come, so
 * that memory does not depend on them; one request of a connection at a time, the next ones wait in
 * the kernel. evhttp of libevent 2.1 is not used: it holds every body in memory, has neither a
 * limit for connections nor a deadline for a request that comes drop by drop, and its TLS is that
 * of the OpenSSL bufferevents (README.md).
 *
 * A request belongs to the server; it is valid until it was answered or gone() was called.
 */
#ifndef DARI_NET_HTTP_H
#define DARI_NET_HTTP_H

#include "core/net/http_parse.h"
#include "core/net/net.h"

struct net_http;
struct net_request;

struct net_http_options {
    struct net_listen_options listen;
    int64_t max_connections, max_per_address;
    int64_t max_body;    /* bytes; 413 */
    int64_t deadline_ms; /* for a whole request, from its first byte to its last; 408 */
    int64_t idle_ms;     /* a connection without a request is closed after this */
};

struct net_http_handlers {
    /*
     * The head has come. It may be answered here, which ends it. `context` is kept for this
     * request.
     */
    void (*head)(void *ctx, struct net_request *r, void **context);
    void (*body)(void *context, struct str piece);
    /* All of it has come. Answer now or later. */
    void (*end)(void *context);
    /* The peer broke off, before or after its end: nothing can be answered any more. */
    void (*gone)(void *context);
    /* A connection was turned away, or a request was refused before head(): for a counter. */
    void (*refused)(void *ctx, const char *peer, int status, const char *why);
};

/* Errors as of net_listen(). Ends with net_http_free(), which calls gone() for what is open. */
enum err_code net_http_listen(struct net_loop *l, const struct net_http_options *o,
                              const struct net_http_handlers *h, void *ctx, struct net_http **out,
                              struct err *e);
void net_http_free(struct net_http **s);
int net_http_port(const struct net_http *s);
void net_http_set_tls(struct net_http *s, struct tls *tls); /* net_listener_set_tls() */
/* No new connections; those that have no request end, the others with their answer. */
void net_http_drain(struct net_http *s);
size_t net_http_busy(const struct net_http *s); /* requests not answered yet */

const struct http_head *net_request_head(const struct net_request *r); /* until its end */
const char *net_request_peer(const struct net_request *r);
const char *net_request_cert(const struct net_request *r);

/*
 * `type` of the body, or NULL when it has none; `more`: further headers, each with its CR LF, or
 * NULL. Before the end of the request the connection is closed behind the answer; so is one whose
 * peer left 1 MiB of answers unread.
 */
void net_request_answer(struct net_request *r, int status, const char *type, const char *more,
                        struct str body);

#endif
