#include "core/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p) {
        b->p[0] = '\0';
    }
}

bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed || n > b->max - b->n) {
        b->failed = true;
        return NULL;
    }
    if (b->cap < b->n + n + 1) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < b->n + n + 1) {
            cap *= 2;
        }
        if (cap > b->max + 1) {
            cap = b->max + 1;
        }
        char *p = realloc(b->p, cap);
        if (!p) {
            b->failed = true;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->n;
}

void buf_took(struct buf *b, size_t n)
{
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_add_growing(struct buf *b, struct str s)
{
    char *to = buf_room(b, s.n);
    if (to) {
        if (s.n) {
            memcpy(to, s.p, s.n);
        }
        buf_took(b, s.n);
    }
}

void buf_addz(struct buf *b, const char *z)
{
    buf_add(b, str_of(z));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *to = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (!to) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->n) {
        buf_reset(b);
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

void buf_hex(struct buf *b, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *to = buf_room(b, bytes.n * 2);
    if (!to) {
        return;
    }
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        to[2 * i] = digits[c >> 4];
        to[2 * i + 1] = digits[c & 15];
    }
    buf_took(b, bytes.n * 2);
}

/* The letter of an escape that has one. */
static char json_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return '\0';
    }
}

static bool json_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static size_t json_plain_until(struct str s, size_t from)
{
    while (from < s.n && json_plain((unsigned char)s.p[from])) {
        from++;
    }
    return from;
}

/* `s` from its first character on that needs an escape. */
static void json_escaped(struct buf *b, struct str s, size_t at)
{
    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at++];
        char letter = json_escape(c);
        buf_printf(b, letter ? "\\%c" : "\\u%04x", letter ? letter : c);
        size_t end = json_plain_until(s, at);
        buf_add(b, str_cut(s, at, end));
        at = end;
    }
    buf_addc(b, '"');
}

void buf_json_plain(struct buf *b, struct str s)
{
    char *to = buf_room(b, s.n + 2);
    if (to) {
        to[0] = '"';
        memcpy(to + 1, s.n ? s.p : "", s.n);
        to[s.n + 1] = '"';
        buf_took(b, s.n + 2);
    }
}

void buf_json(struct buf *b, struct str s)
{
    size_t plain = json_plain_until(s, 0);
    buf_json_plain(b, str_cut(s, 0, plain));
    if (plain < s.n && buf_ok(b)) {
        b->n--; /* goes on before the closing quote */
        json_escaped(b, s, plain);
    }
}
