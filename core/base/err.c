#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum err_class class;
    const char *name;
} codes[] = {
#define X(code, cls, name) [code] = {ERR_CLASS_##cls, name},
    ERR_CODES(X)
#undef X
};

const char *err_name(enum err_code code)
{
    return codes[code].name;
}

enum err_class err_class(enum err_code code)
{
    return codes[code].class;
}

/* Where a text was cut to fit, no part of a character stays: the database takes only whole ones. */
static void end_whole(char *text)
{
    size_t n = strlen(text), from = n;
    while (from > 0 && n - from < 4 && ((unsigned char)text[from] & 0xc0) != 0xc0) {
        from--;
    }
    unsigned char lead = (unsigned char)text[from];
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
    if (need > n - from) {
        text[from] = '\0';
    }
}

enum err_code err_set(struct err *e, enum err_code code, size_t pos, const char *src, int src_line,
                      const char *fmt, ...)
{
    if (!e) {
        return code;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    for (char *c = e->msg; *c; c++) {
        if (*c == '\n' || *c == '\r') {
            *c = ' ';
        }
    }
    end_whole(e->msg);
    e->code = code;
    e->pos = pos;
    e->where[0] = '\0';
    e->src = src;
    e->src_line = src_line;
    return code;
}

enum err_code err_at(struct err *e, const char *fmt, ...)
{
    if (!e) {
        return ERR_BUG;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->where, sizeof e->where, fmt, ap);
    va_end(ap);
    end_whole(e->where);
    return e->code;
}

enum err_code err_in(struct err *e, const char *fmt, ...)
{
    if (!e) {
        return ERR_BUG;
    }
    char old[sizeof e->msg];
    memcpy(old, e->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg) {
        snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", old);
    }
    end_whole(e->msg);
    return e->code;
}
