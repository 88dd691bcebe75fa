#include "core/crypto/tls_io.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool tls_io_attach(void *session, int fd, bool server)
{
    SSL *ssl = session;
    /* Partial and moving: core/net's buffer grows between two tries. Release: idle peers are many.
     */
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
    if (!SSL_set_fd(ssl, fd)) {
        return false;
    }
    if (server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return true;
}

/* OpenSSL 3 reports the end of the socket without close_notify as a protocol error. */
static bool bare_end(int kind)
{
    unsigned long code = ERR_peek_error();
    if (kind == SSL_ERROR_SYSCALL) {
        return code == 0 && errno == 0;
    }
    return ERR_GET_LIB(code) == ERR_LIB_SSL &&
           ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

static enum tls_io outcome(SSL *ssl, int result)
{
    if (result > 0) {
        return TLS_IO_DONE;
    }
    int kind = SSL_get_error(ssl, result);
    switch (kind) {
    case SSL_ERROR_WANT_READ:
        return TLS_IO_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_IO_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_IO_END;
    default:
        return bare_end(kind) ? TLS_IO_END : TLS_IO_FAILED;
    }
}

enum tls_io tls_io_handshake(void *session)
{
    ERR_clear_error();
    errno = 0;
    return outcome(session, SSL_do_handshake(session));
}

enum tls_io tls_io_read(void *session, char *to, size_t n, size_t *got)
{
    ERR_clear_error();
    errno = 0;
    return outcome(session, SSL_read_ex(session, to, n, got));
}

enum tls_io tls_io_write(void *session, const char *from, size_t n, size_t *took)
{
    ERR_clear_error();
    errno = 0;
    return outcome(session, SSL_write_ex(session, from, n, took));
}

void tls_io_finish(void *session)
{
    ERR_clear_error();
    SSL_shutdown(session);
}

void tls_io_free(void **session)
{
    SSL_free(*session);
    *session = NULL;
}

const char *tls_io_why(void *session, char out[TLS_IO_TEXT])
{
    int saved = errno;
    long verify = SSL_get_verify_result(session);
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (verify != X509_V_OK) {
        text = X509_verify_cert_error_string(verify);
        snprintf(out, TLS_IO_TEXT, "certificate not accepted: %s", text);
    } else if (text) {
        snprintf(out, TLS_IO_TEXT, "%s", text);
    } else {
        snprintf(out, TLS_IO_TEXT, "%s",
                 saved ? strerror(saved) : "the peer closed the connection");
    }
    ERR_clear_error();
    return out;
}

char *tls_io_subject(void *session)
{
    char *text = NULL;
    X509 *cert = SSL_get0_peer_certificate(session);
    BIO *bio = BIO_new(BIO_s_mem());
    if (cert && bio) {
        X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
    }
    char *bytes = NULL;
    long n = bio ? BIO_get_mem_data(bio, &bytes) : 0;
    text = strndup(n > 0 ? bytes : "", n > 0 ? (size_t)n : 0);
    BIO_free(bio);
    return text;
}
