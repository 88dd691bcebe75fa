#include "core/net/http_parse.h"

#include "core/base/num.h"

#include <string.h>

enum { CHUNK_LINE = 256 };

static bool token_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!token_byte((unsigned char)s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool http_name_is(struct str name, const char *want)
{
    size_t i = 0;
    while (i < name.n && want[i] && lower(name.p[i]) == want[i]) {
        i++;
    }
    return i == name.n && !want[i];
}

/* Where the next CR LF stands, bytes.n when there is none. */
static size_t line_end(struct str bytes, size_t from)
{
    for (size_t at = from; (at = str_find(bytes, '\r', at)) + 1 < bytes.n; at++) {
        if (bytes.p[at + 1] == '\n') {
            return at;
        }
    }
    return bytes.n;
}

size_t http_head_size(struct str bytes, size_t from)
{
    for (size_t at = from; (at = line_end(bytes, at)) + 3 < bytes.n; at += 2) {
        if (bytes.p[at + 2] == '\r' && bytes.p[at + 3] == '\n') {
            return at + 4;
        }
    }
    return 0;
}

/* ---- the head ---- */

static enum err_code request_line(struct str line, struct http_head *h, struct err *e)
{
    size_t one = str_find(line, ' ', 0), two = str_find(line, ' ', one + 1);
    if (two >= line.n) {
        return ERR(e, ERR_SYNTAX, 0, "the request line is not METHOD TARGET VERSION");
    }
    h->method = str_cut(line, 0, one);
    h->target = str_cut(line, one + 1, two);
    struct str version = str_cut(line, two + 1, line.n);
    if (!is_token(h->method) || h->target.n == 0) {
        return ERR(e, ERR_SYNTAX, 0, "the request line is not METHOD TARGET VERSION");
    }
    for (size_t i = 0; i < h->target.n; i++) {
        if ((unsigned char)h->target.p[i] <= ' ' || h->target.p[i] == 127) {
            return ERR(e, ERR_SYNTAX, one + 1 + i, "a control character in the target");
        }
    }
    if (!str_is(version, "HTTP/1.1") && !str_is(version, "HTTP/1.0")) {
        return ERR(e, ERR_UNSUPPORTED, two + 1, "only HTTP/1.1 and 1.0 are spoken here");
    }
    h->minor = version.p[7] - '0';
    h->keep_alive = h->minor == 1;
    return ERR_NONE;
}

static enum err_code field_line(struct str line, size_t at, struct http_field *f, struct err *e)
{
    size_t colon = str_find(line, ':', 0);
    f->name = str_cut(line, 0, colon);
    f->value = str_trim(str_cut(line, colon + 1, line.n));
    if (colon >= line.n || !is_token(f->name)) {
        return ERR(e, ERR_SYNTAX, at, "a header is not NAME: VALUE");
    }
    for (size_t i = 0; i < f->value.n; i++) {
        unsigned char c = (unsigned char)f->value.p[i];
        if ((c < ' ' && c != '\t') || c == 127) {
            return ERR(e, ERR_SYNTAX, at, "a control character in a header");
        }
    }
    return ERR_NONE;
}

/* What says how long the body is must say it once and clearly: RFC 9112, 6.3. */
static enum err_code use_field(struct http_head *h, const struct http_field *f, size_t at,
                               struct err *e)
{
    if (http_name_is(f->name, "content-length")) {
        int64_t n;
        if (h->length >= 0 || num_i64(f->value, 0, INT64_MAX, &n, NULL) != ERR_NONE ||
            f->value.p[0] == '+' || f->value.p[0] == '-') {
            return ERR(e, ERR_SYNTAX, at, "Content-Length is not one number");
        }
        h->length = n;
    } else if (http_name_is(f->name, "transfer-encoding")) {
        if (h->chunked || !http_name_is(f->value, "chunked") || h->minor == 0) {
            return ERR(e, ERR_UNSUPPORTED, at, "Transfer-Encoding can only be chunked");
        }
        h->chunked = true;
    } else if (http_name_is(f->name, "connection")) {
        h->keep_alive = http_name_is(f->value, "keep-alive") ||
                        (h->keep_alive && !http_name_is(f->value, "close"));
    } else if (http_name_is(f->name, "expect")) {
        if (!http_name_is(f->value, "100-continue")) {
            return ERR(e, ERR_UNSUPPORTED, at, "Expect can only be 100-continue");
        }
        h->expects = h->minor == 1;
    }
    return ERR_NONE;
}

static enum err_code check_head(const struct http_head *h, struct err *e)
{
    size_t hosts = 0;
    for (size_t i = 0; i < h->count; i++) {
        hosts += http_name_is(h->fields[i].name, "host");
    }
    if (h->chunked && h->length >= 0) {
        return ERR(e, ERR_SYNTAX, 0, "Content-Length and Transfer-Encoding in one request");
    }
    return hosts == 1 || (h->minor == 0 && hosts == 0)
               ? ERR_NONE
               : ERR(e, ERR_SYNTAX, 0, "there must be one Host header");
}

enum err_code http_head_parse(struct str bytes, struct http_head *out, struct err *e)
{
    size_t end = line_end(bytes, 0);
    *out = (struct http_head){.length = -1};
    enum err_code rc = request_line(str_cut(bytes, 0, end), out, e);
    for (size_t at = end + 2; rc == ERR_NONE && at < bytes.n; at = end + 2) {
        end = line_end(bytes, at);
        struct str line = str_cut(bytes, at, end);
        if (line.n == 0) {
            break;
        }
        if (out->count == HTTP_FIELDS) {
            return ERR(e, ERR_LIMIT, at, "more than %d headers", HTTP_FIELDS);
        }
        struct http_field *f = &out->fields[out->count];
        rc = field_line(line, at, f, e);
        if (rc == ERR_NONE) {
            out->count++;
            rc = use_field(out, f, at, e);
        }
    }
    return rc == ERR_NONE ? check_head(out, e) : rc;
}

struct str http_field(const struct http_head *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++) {
        if (http_name_is(h->fields[i].name, name)) {
            return h->fields[i].value;
        }
    }
    return STR("");
}

/* ---- a body in chunks: RFC 9112, 7.1 ---- */

enum {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_END,
    TRAILER,
    TRAILER_LF
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10
                                                : -1;
}

/* One byte of what stands between the data. */
static bool chunk_byte(struct http_chunks *c, char b)
{
    int digit = hex_digit(b);
    if (++c->line > CHUNK_LINE) {
        return false;
    }
    switch (c->state) {
    case CHUNK_SIZE:
        if (digit >= 0 && c->left < (INT64_C(1) << 50)) {
            c->left = c->left * 16 + digit;
            c->any = true;
            return true;
        }
        c->state = b == '\r' ? CHUNK_LF : CHUNK_EXTENSION;
        return c->any && (b == '\r' || b == ';' || b == ' ');
    case CHUNK_EXTENSION:
        c->state = b == '\r' ? CHUNK_LF : CHUNK_EXTENSION;
        return b != '\n';
    case CHUNK_LF:
        c->state = c->left ? CHUNK_DATA : TRAILER;
        c->any = false;
        c->line = 0;
        return b == '\n';
    case CHUNK_CR:
        c->state = CHUNK_END;
        return b == '\r';
    case CHUNK_END:
        c->state = CHUNK_SIZE;
        c->line = 0;
        return b == '\n';
    case TRAILER: /* fields after the body are read over */
        c->any |= b != '\r';
        c->state = b == '\r' ? TRAILER_LF : TRAILER;
        return b != '\n';
    default:
        c->done = !c->any;
        c->any = false;
        c->state = TRAILER;
        return b == '\n';
    }
}

enum err_code http_chunks_next(struct http_chunks *c, struct str *rest, struct str *piece,
                               struct err *e)
{
    *piece = STR("");
    while (rest->n && !c->done && c->state != CHUNK_DATA) {
        char b = rest->p[0];
        *rest = str_cut(*rest, 1, rest->n);
        if (!chunk_byte(c, b)) {
            return ERR(e, ERR_SYNTAX, 0, "the body's chunks are broken");
        }
    }
    if (rest->n && !c->done) {
        size_t n = (int64_t)rest->n < c->left ? rest->n : (size_t)c->left;
        *piece = str_cut(*rest, 0, n);
        *rest = str_cut(*rest, n, rest->n);
        c->left -= (int64_t)n;
        if (c->left == 0) {
            c->state = CHUNK_CR;
            c->line = 0;
        }
    }
    return ERR_NONE;
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } known[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {415, "Unsupported Media Type"},
                 {422, "Unprocessable Content"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {501, "Not Implemented"},
                 {503, "Service Unavailable"},
                 {505, "HTTP Version Not Supported"},
                 {507, "Insufficient Storage"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status) {
            return known[i].text;
        }
    }
    return "Error";
}
