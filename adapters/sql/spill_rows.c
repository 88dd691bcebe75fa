#include "adapters/sql/spill_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void spill_close_out(struct spill_out *o)
{
    if (o->fd >= 0) {
        close(o->fd);
    }
    o->fd = -1;
    buf_reset(&o->pending);
}

static enum err_code open_out(struct spill *s, struct spill_out *o, const char *name, struct err *e)
{
    const char *path = spill_path(s, name);
    o->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return o->fd >= 0 ? ERR_NONE : spill_system_err(e, "could not create", path);
}

enum err_code spill_begin(struct spill *s, bool keys, struct err *e)
{
    spill_discard(s);
    enum err_code code = open_out(s, &s->rows, "rows.tmp", e);
    if (code == ERR_NONE && keys) {
        code = open_out(s, &s->keys, "keys.tmp", e);
    }
    return code;
}

static bool must_quote(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '"' || c == ',' || c == '\r' || c == '\n') {
            return true;
        }
    }
    return text.n == 0 || text.p[0] == ' ' || text.p[text.n - 1] == ' ';
}

static void add_quoted(struct buf *b, struct str text)
{
    buf_addc(b, '"');
    for (size_t from = 0; from < text.n;) {
        size_t quote = str_find(text, '"', from);
        buf_add(b, str_cut(text, from, quote));
        if (quote < text.n) {
            buf_add(b, STR("\"\""));
        }
        from = quote + 1;
    }
    buf_addc(b, '"');
}

enum err_code spill_format(struct spill *s, const struct cell *cells, size_t n, struct str *row,
                           struct err *e)
{
    struct buf *b = &s->row;
    size_t bytes = 0;
    buf_reset(b);
    for (size_t i = 0; i < n; i++) {
        struct str text = cells[i].text;
        bytes += text.n + 1;
        if (bytes > (size_t)s->limits.row) {
            return ERR(e, ERR_LIMIT, i + 1, "longer than max-row=\"%lld\" bytes",
                       (long long)s->limits.row);
        }
        if (text.n && memchr(text.p, '\0', text.n)) {
            return ERR(e, ERR_VALUE, i + 1, "a NUL byte in column %zu", i + 1);
        }
        if (i) {
            buf_addc(b, ',');
        }
        /* One blank column alone would be an empty line, which is no row. */
        if (cells[i].null ? n == 1 : must_quote(text)) {
            add_quoted(b, text);
        } else if (!cells[i].null) {
            buf_add(b, text);
        }
    }
    buf_addc(b, '\n');
    *row = buf_str(b);
    return buf_ok(b) ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a row");
}

static enum err_code flush(struct spill_out *o, struct err *e)
{
    struct str rest = buf_str(&o->pending);
    while (rest.n > 0) {
        ssize_t w = write(o->fd, rest.p, rest.n);
        if (w < 0 && errno == EINTR) {
            continue;
        }
        if (w < 0) {
            return ERR(e, ERR_IO, 0, "could not write to the work folder: %s", strerror(errno));
        }
        rest = str_cut(rest, (size_t)w, rest.n);
    }
    buf_reset(&o->pending);
    return ERR_NONE;
}

static enum err_code put(struct spill *s, struct spill_out *o, struct str bytes, struct err *e)
{
    s->size += (int64_t)bytes.n;
    if (s->size > s->limits.size) {
        return ERR(e, ERR_LIMIT, 0, "the result is larger than max-size=\"%lld\" bytes",
                   (long long)s->limits.size);
    }
    buf_add(&o->pending, bytes);
    if (!buf_ok(&o->pending)) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    return o->pending.n >= SPILL_CHUNK ? flush(o, e) : ERR_NONE;
}

enum err_code spill_row(struct spill *s, struct str row, struct err *e)
{
    return put(s, &s->rows, row, e);
}

int64_t spill_size(const struct spill *s)
{
    return s->size;
}

static struct str raw(const void *p, size_t n)
{
    return (struct str){p, n};
}

enum err_code spill_keys(struct spill *s, const struct cell *keys, size_t n, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (size_t i = 0; code == ERR_NONE && i < n; i++) {
        uint32_t size = keys[i].null ? UINT32_MAX : (uint32_t)keys[i].text.n;
        code = put(s, &s->keys, raw(&size, sizeof size), e);
        if (code == ERR_NONE && !keys[i].null) {
            code = put(s, &s->keys, keys[i].text, e);
        }
    }
    return code;
}

void spill_discard(struct spill *s)
{
    spill_close_out(&s->rows);
    spill_close_out(&s->keys);
    s->size = 0;
    spill_drop(s, "rows.tmp", NULL);
    spill_drop(s, "keys.tmp", NULL);
    spill_drop(s, "seen.next", NULL);
}

enum err_code spill_settle(struct spill *s, struct spill_out *o, const char *from, const char *to,
                           struct err *e)
{
    if (o->fd < 0) {
        return ERR_NONE;
    }
    enum err_code code = flush(o, e);
    if (code == ERR_NONE && fsync(o->fd) != 0) {
        code = spill_system_err(e, "could not sync", spill_path(s, from));
    }
    spill_close_out(o);
    if (code == ERR_NONE && rename(spill_path(s, from), spill_path(s, to)) != 0) {
        code = spill_system_err(e, "could not rename to", spill_path(s, to));
    }
    return code;
}

/* ---- keys, read back ---- */

enum err_code spill_keys_open(struct spill *s, struct err *e)
{
    spill_keys_close(s);
    const char *path = spill_path(s, "keys");
    s->reading = fopen(path, "rbe");
    return s->reading ? ERR_NONE : spill_system_err(e, "could not open", path);
}

void spill_keys_close(struct spill *s)
{
    if (s->reading) {
        fclose(s->reading);
    }
    s->reading = NULL;
}

/* Sizes and offsets first: the buffer may move while it grows. */
enum err_code spill_keys_next(struct spill *s, struct cell *keys, size_t n, bool *more,
                              struct err *e)
{
    size_t at = 0;
    buf_reset(&s->key);
    *more = true;
    for (size_t i = 0; i < n; i++) {
        uint32_t size;
        size_t got = fread(&size, 1, sizeof size, s->reading);
        if (got == 0 && i == 0 && !ferror(s->reading)) {
            *more = false;
            return ERR_NONE;
        }
        keys[i] = (struct cell){.null = size == UINT32_MAX};
        keys[i].text.n = got == sizeof size && !keys[i].null ? size : 0;
        char *room = buf_room(&s->key, keys[i].text.n + 1);
        if (got != sizeof size || !room ||
            fread(room, 1, keys[i].text.n, s->reading) != keys[i].text.n) {
            return ERR(e, ERR_IO, 0, "could not read the keys in the work folder");
        }
        buf_took(&s->key, keys[i].text.n);
    }
    for (size_t i = 0; i < n; i++) {
        keys[i].text.p = s->key.p + at;
        at += keys[i].text.n;
    }
    return ERR_NONE;
}
