/*
 * HTTP/1.1 as bytes (RFC 9112), strict: what two parsers could read differently is refused. Pure:
 * knows no socket.
 */
#ifndef DARI_NET_HTTP_PARSE_H
#define DARI_NET_HTTP_PARSE_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

enum { HTTP_HEAD_MAX = 32 * 1024, HTTP_FIELDS = 100 };

struct http_field {
    struct str name, value;
};

/* Slices of the head. */
struct http_head {
    struct str method, target;
    int minor; /* 0 or 1 */
    struct http_field fields[HTTP_FIELDS];
    size_t count;
    int64_t length; /* Content-Length; -1: none */
    bool chunked, keep_alive, expects;
};

/* Bytes of the head with its empty line, 0 when that has not come yet. It is looked for behind
 * `from`. */
size_t http_head_size(struct str bytes, size_t from);

/*
 * `bytes` is a whole head. ERR_SYNTAX with the offset, ERR_LIMIT (too many fields),
 * ERR_UNSUPPORTED (another version, a transfer coding but chunked).
 */
enum err_code http_head_parse(struct str bytes, struct http_head *out, struct err *e);
/* Value of a field, "" when it is not there; of several the first. Names in any case. */
struct str http_field(const struct http_head *h, const char *name);
bool http_name_is(struct str name, const char *lower);

/* A body in chunks. All zero at its beginning. */
struct http_chunks {
    int state;
    int64_t left;
    size_t line; /* bytes of the line so far */
    bool any, done;
};

/*
 * Takes from the front of *rest; *piece is the next bytes of the body, empty when more must come or
 * it is done. ERR_SYNTAX.
 */
enum err_code http_chunks_next(struct http_chunks *c, struct str *rest, struct str *piece,
                               struct err *e);

const char *http_reason(int status);

#endif
