/*
 * The one error type. A function that can fail returns a code and takes `struct err *` as its last
 * parameter: it may be NULL and is untouched on success. Callers decide by the class of a code,
 * never by text. Messages are lower case, without a full stop, and never hold a value from a
 * message: only places (PID-3.1, byte 214, line 7) and our own names.
 */
#ifndef DARI_BASE_ERR_H
#define DARI_BASE_ERR_H

#include <stddef.h>

enum err_class { ERR_CLASS_NONE, ERR_CLASS_RETRY, ERR_CLASS_DATA, ERR_CLASS_CONFIG, ERR_CLASS_BUG };

/* code, class, name */
#define ERR_CODES(X)                                                                               \
    X(ERR_NONE, NONE, "none")                                                                      \
    X(ERR_NOMEM, RETRY, "out-of-memory")                                                           \
    X(ERR_IO, RETRY, "io")                                                                         \
    X(ERR_DB, RETRY, "database")                                                                   \
    X(ERR_DB_UNKNOWN, RETRY, "commit-unknown") /* COMMIT sent, answer lost: look it up */          \
    X(ERR_PEER, RETRY, "peer")                                                                     \
    X(ERR_FULL, RETRY, "full")                                                                     \
    X(ERR_SYNTAX, DATA, "syntax")                                                                  \
    X(ERR_LIMIT, DATA, "limit")                                                                    \
    X(ERR_CHARSET, DATA, "charset")                                                                \
    X(ERR_VALUE, DATA, "value")       /* present, but not what the rule expects */                 \
    X(ERR_REQUIRED, DATA, "required") /* absent or empty where a value is needed */                \
    X(ERR_UNSUPPORTED, DATA, "unsupported")                                                        \
    X(ERR_REFUSED, DATA, "refused") /* by policy or identity */                                    \
    X(ERR_NOTFOUND, CONFIG, "not-found")                                                           \
    X(ERR_EXISTS, CONFIG, "exists")                                                                \
    X(ERR_CONFIG, CONFIG, "config")                                                                \
    X(ERR_CRYPTO, CONFIG, "crypto")                                                                \
    X(ERR_BUG, BUG, "bug")

enum err_code {
#define X(code, class, name) code,
    ERR_CODES(X)
#undef X
};

struct err {
    enum err_code code;
    size_t pos;      /* byte offset in the input; 0 when it means nothing */
    char where[64];  /* a place in the input's own notation (PID-3.1), or "" */
    char msg[320];   /* one line */
    const char *src; /* our own file and line, for the debug log */
    int src_line;
};

const char *err_name(enum err_code code);
enum err_class err_class(enum err_code code);

/* return ERR(e, ERR_SYNTAX, pos, "segment name is not three characters") */
#define ERR(e, code, pos, ...) err_set((e), (code), (pos), __FILE__, __LINE__, __VA_ARGS__)

enum err_code err_set(struct err *e, enum err_code code, size_t pos, const char *src, int src_line,
                      const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Adds the place to an error already set; returns its code. */
enum err_code err_at(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of the message; returns its code. */
enum err_code err_in(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
