/*
 * Reading and writing through a TLS session on a socket that never blocks: what core/net needs of
 * OpenSSL, and nothing else. Sessions come from tls_session(). No call waits; a call that would
 * have to says for what, and is repeated when the socket is ready.
 *
 * A peer that closes TCP without close_notify counts as an orderly end: what our transports carry
 * has a length or an end mark of its own, so a truncation shows there.
 */
#ifndef DARI_CRYPTO_TLS_IO_H
#define DARI_CRYPTO_TLS_IO_H

#include <stdbool.h>
#include <stddef.h>

enum tls_io {
    TLS_IO_DONE,
    TLS_IO_WANT_READ,
    TLS_IO_WANT_WRITE,
    TLS_IO_END,   /* the peer has finished sending */
    TLS_IO_FAILED /* tls_io_why() says why; only tls_io_free() may follow */
};

/* The descriptor stays the caller's. False: out of memory. */
bool tls_io_attach(void *session, int fd, bool server);
enum tls_io tls_io_handshake(void *session);
/* DONE: *got bytes, at least one, of one record: with room for 16 KiB never a part of one. */
enum tls_io tls_io_read(void *session, char *to, size_t n, size_t *got);
/* DONE: the first *took bytes are on their way, at least one. */
enum tls_io tls_io_write(void *session, const char *from, size_t n, size_t *took);
/* Tells the peer that nothing more comes (close_notify); does not wait for its answer. */
void tls_io_finish(void *session);
void tls_io_free(void **session);

/* One line, our words or OpenSSL's; never a byte that the peer chose. */
enum { TLS_IO_TEXT = 160 };
const char *tls_io_why(void *session, char out[TLS_IO_TEXT]);

/* Subject of the peer's certificate as one line of RFC 2253, "" when it showed none; malloc'ed. */
char *tls_io_subject(void *session);

#endif
