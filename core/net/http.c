#include "core/net/http.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEP_MS = 250, ANSWER_HEAD = 8 * 1024, MAX_UNREAD = 1024 * 1024 };

enum request_state {
    REQUEST_HEAD, /* nothing, or a part of a head */
    REQUEST_BODY,
    REQUEST_WAIT,  /* complete: the answer is due */
    REQUEST_CLOSED /* answered, the connection ends */
};

/* A connection, and the one request that it has at a time. */
struct net_request {
    struct net_http *server;
    struct net_request *next, **prev;
    struct net_conn *conn;
    enum request_state state;
    bool open;     /* head() was called, the answer was not given */
    bool in_bytes; /* in_come() is on the stack */
    struct buf in; /* not used yet */
    size_t looked;
    char *bytes; /* of the head */
    struct http_head head;
    struct http_chunks chunks;
    int64_t left, size; /* of the body */
    usec since;         /* first byte of the request, or the end of the one before; monotonic */
    bool begun;
    void *context;
};

struct net_http {
    struct net_http_options o;
    const struct net_http_handlers *h;
    void *ctx;
    struct net_listener *listener;
    struct net_timer *sweep;
    struct net_request *all;
    int64_t count;
    size_t busy;
    bool draining;
};

/* ---- connections ---- */

static bool same_address(const char *a, const char *b)
{
    const char *port_a = strrchr(a, ':'), *port_b = strrchr(b, ':');
    return port_a && port_b && port_a - a == port_b - b && memcmp(a, b, (size_t)(port_a - a)) == 0;
}

static bool turned_away(struct net_http *s, struct net_conn *c)
{
    int64_t same = 0;
    for (const struct net_request *r = s->all; r; r = r->next) {
        same += same_address(net_peer(r->conn), net_peer(c));
    }
    const char *why = s->count >= s->o.max_connections ? "too many connections"
                      : same >= s->o.max_per_address   ? "too many connections of its address"
                                                       : NULL;
    if (why) {
        s->h->refused(s->ctx, net_peer(c), 503, why);
    }
    return why != NULL;
}

static void *on_accept(void *ctx, struct net_conn *c)
{
    struct net_http *s = ctx;
    struct net_request *r = s->draining || turned_away(s, c) ? NULL : calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    *r = (struct net_request){.server = s, .conn = c, .since = clock_mono()};
    buf_init(&r->in, HTTP_HEAD_MAX + 256 * 1024);
    r->next = s->all;
    r->prev = &s->all;
    if (r->next) {
        r->next->prev = &r->next;
    }
    s->all = r;
    s->count++;
    return r;
}

static void release(struct net_request *r)
{
    struct net_http *s = r->server;
    *r->prev = r->next;
    if (r->next) {
        r->next->prev = r->prev;
    }
    s->count--;
    s->busy -= r->open;
    if (r->open) {
        r->open = false;
        s->h->gone(r->context);
    }
    buf_release(&r->in);
    free(r->bytes);
    free(r);
}

static void on_closed(void *ctx, const char *why)
{
    (void)why;
    release(ctx);
}

static void close_it(struct net_request *r)
{
    net_close(r->conn, true);
    release(r);
}

/* ---- answers ---- */

static void come(struct net_request *r);

static void send_answer(struct net_request *r, int status, const char *type, const char *more,
                        struct str body, bool close)
{
    struct buf b;
    buf_init(&b, ANSWER_HEAD + body.n);
    buf_printf(&b, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    if (type) {
        buf_printf(&b, "Content-Type: %s\r\n", type);
    }
    buf_printf(&b, "Content-Length: %zu\r\nCache-Control: no-store\r\n", body.n);
    buf_addz(&b, more ? more : "");
    buf_addz(&b, close ? "Connection: close\r\n\r\n" : "\r\n");
    buf_add(&b, body);
    if (buf_ok(&b)) {
        net_send(r->conn, buf_str(&b));
    }
    buf_release(&b);
}

void net_request_answer(struct net_request *r, int status, const char *type, const char *more,
                        struct str body)
{
    /* Who goes on asking without reading the answers gets no more of them. */
    bool close = r->state != REQUEST_WAIT || !r->head.keep_alive || r->server->draining ||
                 net_queued(r->conn) > MAX_UNREAD;
    send_answer(r, status, type, more, body, close);
    r->server->busy -= r->open;
    r->open = false;
    free(r->bytes);
    r->bytes = NULL;
    r->state = close ? REQUEST_CLOSED : REQUEST_HEAD;
    r->looked = 0;
    r->begun = false;
    r->since = clock_mono();
    if (close && !r->in_bytes) {
        close_it(r);
    } else if (!close) {
        net_pause(r->conn, false);
        if (!r->in_bytes) {
            come(r);
        }
    }
}

/* Not even a request: the connection ends with the reason. */
static void refuse(struct net_request *r, int status, const char *why)
{
    r->server->h->refused(r->server->ctx, net_peer(r->conn), status, why);
    if (r->open) {
        r->open = false;
        r->server->busy--;
        r->server->h->gone(r->context);
    }
    send_answer(r, status, "text/plain", NULL, str_of(why), true);
    r->state = REQUEST_CLOSED;
}

/* ---- bytes ---- */

static void ended(struct net_request *r)
{
    r->state = REQUEST_WAIT;
    net_pause(r->conn, true);
    r->server->h->end(r->context);
}

static bool take_head(struct net_request *r)
{
    struct str in = buf_str(&r->in);
    struct err e = {0};
    size_t n = http_head_size(in, r->looked);
    r->looked = in.n > 3 ? in.n - 3 : 0;
    if (n == 0 && in.n <= HTTP_HEAD_MAX) {
        return false;
    }
    if (n == 0 || n > HTTP_HEAD_MAX) {
        refuse(r, 431, "the head of the request is too long");
        return false;
    }
    r->bytes = malloc(n);
    if (!r->bytes) {
        refuse(r, 503, "no memory");
        return false;
    }
    memcpy(r->bytes, in.p, n);
    buf_drop(&r->in, n);
    enum err_code rc = http_head_parse((struct str){r->bytes, n}, &r->head, &e);
    if (rc != ERR_NONE) {
        refuse(r, rc == ERR_UNSUPPORTED ? 501 : 400, e.msg);
        return false;
    }
    return true;
}

static void begin(struct net_request *r)
{
    struct net_http *s = r->server;
    r->left = r->head.length > 0 ? r->head.length : 0;
    r->size = 0;
    r->chunks = (struct http_chunks){.done = false};
    r->context = NULL;
    r->state = REQUEST_BODY;
    if (r->head.length > s->o.max_body) {
        refuse(r, 413, "the body is larger than is taken here");
        return;
    }
    r->open = true;
    s->busy++;
    s->h->head(s->ctx, r, &r->context);
    if (r->state == REQUEST_BODY && r->head.expects && buf_str(&r->in).n == 0) {
        net_send(r->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
}

static bool body_done(const struct net_request *r)
{
    return r->head.chunked ? r->chunks.done : r->left == 0;
}

static void take_body(struct net_request *r)
{
    struct str rest = buf_str(&r->in), piece;
    struct err e = {0};
    enum err_code rc = ERR_NONE;
    while (r->state == REQUEST_BODY && rest.n && !body_done(r)) {
        if (r->head.chunked) {
            rc = http_chunks_next(&r->chunks, &rest, &piece, &e);
        } else {
            size_t n = (int64_t)rest.n < r->left ? rest.n : (size_t)r->left;
            piece = str_cut(rest, 0, n);
            rest = str_cut(rest, n, rest.n);
            r->left -= (int64_t)n;
        }
        r->size += (int64_t)piece.n;
        if (rc != ERR_NONE) {
            refuse(r, 400, e.msg);
        } else if (r->size > r->server->o.max_body) {
            refuse(r, 413, "the body is larger than is taken here");
        } else if (piece.n) {
            r->server->h->body(r->context, piece);
        }
    }
    buf_drop(&r->in, r->in.n - rest.n);
    if (r->state == REQUEST_BODY && body_done(r)) {
        ended(r);
    }
}

/* Goes on with what is there. The request may be gone afterwards. */
static void come(struct net_request *r)
{
    r->in_bytes = true;
    if (r->state == REQUEST_BODY) {
        take_body(r);
    }
    while (r->state == REQUEST_HEAD && r->in.n) {
        if (!r->begun) {
            r->begun = true;
            r->since = clock_mono();
        }
        if (!take_head(r)) {
            break;
        }
        begin(r);
        if (r->state == REQUEST_BODY) {
            take_body(r);
        }
    }
    r->in_bytes = false;
    if (r->state == REQUEST_CLOSED) {
        close_it(r);
    }
}

static void on_bytes(void *ctx, struct str bytes)
{
    struct net_request *r = ctx;
    buf_add(&r->in, bytes);
    if (!buf_ok(&r->in)) {
        close_it(r);
        return;
    }
    come(r);
}

/* The peer has finished sending: what it asked is answered, and nothing else comes. */
static void on_ended(void *ctx)
{
    struct net_request *r = ctx;
    if (r->state != REQUEST_WAIT) {
        close_it(r);
        return;
    }
    r->head.keep_alive = false;
}

static void on_handshake_failed(void *ctx, const char *peer, const char *why)
{
    struct net_http *s = ctx;
    s->h->refused(s->ctx, peer, 0, why);
}

/* ---- the server ---- */

static const struct net_handlers handlers = {.accept = on_accept,
                                             .bytes = on_bytes,
                                             .ended = on_ended,
                                             .closed = on_closed,
                                             .handshake_failed = on_handshake_failed};

static void sweep(void *ctx)
{
    struct net_http *s = ctx;
    usec now = clock_mono();
    net_timer_set(s->sweep, SWEEP_MS);
    for (struct net_request *r = s->all, *next; r; r = next) {
        next = r->next;
        bool coming = r->state == REQUEST_BODY || r->begun;
        int64_t limit = coming ? s->o.deadline_ms : s->o.idle_ms;
        if (r->state == REQUEST_WAIT || now - r->since < (usec)limit * 1000) {
            continue;
        }
        if (coming) {
            refuse(r, 408, "the request took too long to come");
        }
        close_it(r);
    }
}

enum err_code net_http_listen(struct net_loop *l, const struct net_http_options *o,
                              const struct net_http_handlers *h, void *ctx, struct net_http **out,
                              struct err *e)
{
    struct net_http *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s || !(s->sweep = net_timer_new(l, sweep, s))) {
        free(s);
        return ERR(e, ERR_NOMEM, 0, "no memory for a server");
    }
    s->o = *o;
    s->h = h;
    s->ctx = ctx;
    enum err_code rc = net_listen(l, &o->listen, &handlers, s, &s->listener, e);
    if (rc != ERR_NONE) {
        net_http_free(&s);
        return rc;
    }
    net_timer_set(s->sweep, SWEEP_MS);
    *out = s;
    return ERR_NONE;
}

void net_http_free(struct net_http **ps)
{
    struct net_http *s = *ps;
    if (!s) {
        return;
    }
    net_listener_free(&s->listener);
    net_timer_free(&s->sweep);
    while (s->all) {
        close_it(s->all);
    }
    free(s);
    *ps = NULL;
}

int net_http_port(const struct net_http *s)
{
    return net_listener_port(s->listener);
}

void net_http_set_tls(struct net_http *s, struct tls *tls)
{
    if (s->listener) {
        net_listener_set_tls(s->listener, tls);
    }
}

void net_http_drain(struct net_http *s)
{
    s->draining = true;
    net_listener_free(&s->listener);
    for (struct net_request *r = s->all, *next; r; r = next) {
        next = r->next;
        if (r->state == REQUEST_HEAD) {
            close_it(r);
        }
    }
}

size_t net_http_busy(const struct net_http *s)
{
    return s->busy;
}

const struct http_head *net_request_head(const struct net_request *r)
{
    return &r->head;
}

const char *net_request_peer(const struct net_request *r)
{
    return net_peer(r->conn);
}

const char *net_request_cert(const struct net_request *r)
{
    return net_peer_cert(r->conn);
}
