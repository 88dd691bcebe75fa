/* Bytes in and out of a connection: what is the same for plain sockets and TLS, and what is not. */
#include "core/net/net.h"

#include "core/crypto/tls_io.h"
#include "core/net/net_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { OUT_KEEP = 4096 /* an idle connection keeps no more than this */ };

static enum tls_io write_some(struct net_conn *c, size_t *took)
{
    struct str left = str_cut(buf_str(&c->out), c->out_at, c->out.n);
    if (c->tls) {
        return tls_io_write(c->tls, left.p, left.n, took);
    }
    ssize_t n = send(c->fd, left.p, left.n, MSG_NOSIGNAL);
    if (n >= 0) {
        *took = (size_t)n;
        return TLS_IO_DONE;
    }
    return errno == EAGAIN || errno == EINTR ? TLS_IO_WANT_WRITE : TLS_IO_FAILED;
}

void net_conn_broken(struct net_conn *c)
{
    char text[TLS_IO_TEXT];
    net_conn_finish(c, c->tls ? tls_io_why(c->tls, text) : strerror(errno));
}

static void all_left(struct net_conn *c)
{
    c->out_at = 0;
    if (c->out.cap > OUT_KEEP) {
        buf_release(&c->out);
    } else {
        buf_reset(&c->out);
    }
    if (c->state == NET_FLUSHING) {
        net_conn_linger(c);
    } else if (c->state == NET_OPEN && c->h->drained) {
        c->h->drained(c->ctx);
    }
}

void net_conn_flush(struct net_conn *c)
{
    c->blocked = false;
    if (!buf_ok(&c->out)) {
        net_conn_finish(c, "no memory for what has to be sent");
        return;
    }
    while (c->out_at < c->out.n) {
        size_t took = 0;
        switch (write_some(c, &took)) {
        case TLS_IO_DONE:
            c->out_at += took;
            break;
        case TLS_IO_WANT_WRITE:
            event_add(&c->wr, NULL);
            c->blocked = true;
            return;
        case TLS_IO_WANT_READ: /* rd is on: TLS always listens while it is blocked so */
            event_add(&c->rd, NULL);
            c->blocked = true;
            return;
        case TLS_IO_END:
        case TLS_IO_FAILED:
            net_conn_broken(c);
            return;
        }
    }
    all_left(c);
}

void net_conn_flush_dirty(struct net_loop *l)
{
    while (l->dirty) {
        struct net_conn *c = l->dirty;
        l->dirty = c->dirty_next;
        c->dirty = false;
        c->busy++;
        if ((c->state == NET_OPEN || c->state == NET_FLUSHING) && !c->blocked) {
            net_conn_flush(c);
        }
        net_conn_release(c);
    }
}

void net_conn_dirty(struct net_conn *c)
{
    if (!c->dirty) {
        c->dirty = true;
        c->dirty_next = c->loop->dirty;
        c->loop->dirty = c;
        event_active(c->loop->flush, EV_TIMEOUT, 0);
    }
}

static enum tls_io read_plain(struct net_conn *c, size_t *got)
{
    ssize_t n = recv(c->fd, c->loop->chunk, NET_CHUNK, 0);
    if (n > 0) {
        *got = (size_t)n;
        return TLS_IO_DONE;
    }
    if (n == 0) {
        return TLS_IO_END;
    }
    return errno == EAGAIN || errno == EINTR ? TLS_IO_WANT_READ : TLS_IO_FAILED;
}

/*
 * Whole records, and no buffer smaller than one: nothing decrypted ever stays in the session, where
 * the socket would not announce it. After a record that was not full another call would be in vain.
 */
static enum tls_io read_tls(struct net_conn *c, size_t *got)
{
    enum { RECORD = 16 * 1024 };
    _Static_assert(NET_CHUNK % RECORD == 0, "the last record of a chunk would be cut");
    enum tls_io io;
    size_t n;
    do {
        n = 0;
        io = tls_io_read(c->tls, c->loop->chunk + *got, NET_CHUNK - *got, &n);
        *got += n;
    } while (io == TLS_IO_DONE && n == RECORD && *got < NET_CHUNK);
    return io;
}

static void peer_ended(struct net_conn *c)
{
    c->ended = true;
    event_del(&c->rd);
    if (c->state == NET_OPEN && c->h->ended) {
        c->h->ended(c->ctx);
    } else if (c->state == NET_OPEN || c->state == NET_LINGERING) {
        net_conn_finish(c, NULL);
    } /* FLUSHING goes on to write */
}

void net_conn_read(struct net_conn *c)
{
    size_t got = 0;
    enum tls_io io = c->tls ? read_tls(c, &got) : read_plain(c, &got);
    if (got && c->state == NET_OPEN) {
        c->h->bytes(c->ctx, (struct str){c->loop->chunk, got});
    }
    if (c->state == NET_DEAD) {
        return;
    }
    switch (io) {
    case TLS_IO_DONE:
    case TLS_IO_WANT_READ:
        break;
    case TLS_IO_WANT_WRITE:
        event_add(&c->wr, NULL);
        break;
    case TLS_IO_END:
        peer_ended(c);
        break;
    case TLS_IO_FAILED:
        net_conn_broken(c);
        break;
    }
}
