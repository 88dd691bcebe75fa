#include "adapters/sql/spill.h"

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, PATHS = 8 };

struct out {
    int fd;
    struct buf pending;
};

struct spill {
    char *folder;
    char paths[PATHS][PATH_MAX];
    unsigned next_path;
    int lock;
    struct spill_limits limits;
    struct buf row;
    struct out rows, keys;
    int64_t size;
    FILE *reading;
    struct buf key;
};

static enum err_code system_err(struct err *e, const char *what, const char *path)
{
    return ERR(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, 0, "%s %s: %s", what, path,
               strerror(errno));
}

const char *spill_path(struct spill *s, const char *name)
{
    char *path = s->paths[s->next_path++ % PATHS];
    snprintf(path, sizeof s->paths[0], "%s/%s", s->folder, name);
    return path;
}

static enum err_code drop(struct spill *s, const char *name, struct err *e)
{
    const char *path = spill_path(s, name);
    return unlink(path) == 0 || errno == ENOENT ? ERR_NONE
                                                : system_err(e, "could not remove", path);
}

static enum err_code move(struct spill *s, const char *from, const char *to, struct err *e)
{
    const char *source = spill_path(s, from);
    return rename(source, spill_path(s, to)) == 0 || errno == ENOENT
               ? ERR_NONE
               : system_err(e, "could not rename", source);
}

/* ---- the folder ---- */

static enum err_code lock(struct spill *s, struct err *e)
{
    const char *path = spill_path(s, "lock");
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0) {
        return system_err(e, "could not open", path);
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        return ERR(e, ERR_EXISTS, 0, "work folder %s is in use: each sql feed needs its own",
                   s->folder);
    }
    return ERR_NONE;
}

static enum err_code drop_unfinished(struct spill *s, struct err *e)
{
    static const char *const names[] = {"rows.csv", "keys", "seen.next"};
    enum err_code code = ERR_NONE;
    for (size_t i = 0; code == ERR_NONE && i < sizeof names / sizeof *names; i++) {
        code = drop(s, names[i], e);
    }
    return code;
}

/* What a crash left of files that were being written. */
static enum err_code sweep(struct spill *s, struct err *e)
{
    struct arena *a = arena_new(0);
    char **names;
    size_t count = 0;
    enum err_code code = a ? file_list(a, s->folder, ".tmp", &names, &count, e)
                           : ERR(e, ERR_NOMEM, 0, "no memory for the work folder");
    for (size_t i = 0; code == ERR_NONE && i < count; i++) {
        code = drop(s, names[i], e);
    }
    arena_free(&a);
    return code;
}

static enum err_code recover(struct spill *s, struct err *e)
{
    enum err_code code = sweep(s, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (!file_exists(spill_path(s, "ready"))) {
        return drop_unfinished(s, e);
    }
    if (!file_exists(spill_path(s, "rows.csv"))) {
        return spill_finish(s, e); /* ended between the two */
    }
    return ERR_NONE;
}

enum err_code spill_open(const char *folder, const struct spill_limits *limits, struct spill **out,
                         struct err *e)
{
    *out = NULL;
    struct spill *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the work folder");
    }
    s->lock = s->rows.fd = s->keys.fd = -1;
    s->limits = *limits;
    size_t row = (size_t)limits->row * 3 + 64; /* with quotes */
    buf_init(&s->row, row);
    buf_init(&s->rows.pending, row + CHUNK);
    buf_init(&s->keys.pending, row + CHUNK);
    buf_init(&s->key, row + CHUNK);
    enum err_code code = ERR_NONE;
    s->folder = strdup(folder);
    if (!s->folder || strlen(folder) > PATH_MAX - 64) {
        code = ERR(e, ERR_LIMIT, 0, "the path of the work folder is too long");
    }
    if (code == ERR_NONE) {
        code = file_make_folder(folder, 0700, e);
    }
    if (code == ERR_NONE) {
        code = lock(s, e);
    }
    if (code == ERR_NONE) {
        code = recover(s, e);
    }
    *out = s;
    if (code != ERR_NONE) {
        spill_close(out);
    }
    return code;
}

static void close_out(struct out *o)
{
    if (o->fd >= 0) {
        close(o->fd);
    }
    o->fd = -1;
    buf_reset(&o->pending);
}

void spill_close(struct spill **s)
{
    if (!*s) {
        return;
    }
    spill_keys_close(*s);
    close_out(&(*s)->rows);
    close_out(&(*s)->keys);
    buf_release(&(*s)->rows.pending);
    buf_release(&(*s)->keys.pending);
    buf_release(&(*s)->row);
    buf_release(&(*s)->key);
    if ((*s)->lock >= 0) {
        close((*s)->lock);
    }
    free((*s)->folder);
    free(*s);
    *s = NULL;
}

/* ---- writing ---- */

static enum err_code open_out(struct spill *s, struct out *o, const char *name, struct err *e)
{
    const char *path = spill_path(s, name);
    o->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return o->fd >= 0 ? ERR_NONE : system_err(e, "could not create", path);
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

static enum err_code flush(struct out *o, struct err *e)
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

static enum err_code put(struct spill *s, struct out *o, struct str bytes, struct err *e)
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
    return o->pending.n >= CHUNK ? flush(o, e) : ERR_NONE;
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
    close_out(&s->rows);
    close_out(&s->keys);
    s->size = 0;
    drop(s, "rows.tmp", NULL);
    drop(s, "keys.tmp", NULL);
    drop(s, "seen.next", NULL);
}

static enum err_code settle(struct spill *s, struct out *o, const char *from, const char *to,
                            struct err *e)
{
    if (o->fd < 0) {
        return ERR_NONE;
    }
    enum err_code code = flush(o, e);
    if (code == ERR_NONE && fsync(o->fd) != 0) {
        code = system_err(e, "could not sync", spill_path(s, from));
    }
    close_out(o);
    if (code == ERR_NONE && rename(spill_path(s, from), spill_path(s, to)) != 0) {
        code = system_err(e, "could not rename to", spill_path(s, to));
    }
    return code;
}

enum err_code spill_publish(struct spill *s, const struct spill_ready *r, struct err *e)
{
    struct buf b;
    enum err_code code = settle(s, &s->rows, "rows.tmp", "rows.csv", e);
    if (code == ERR_NONE) {
        code = settle(s, &s->keys, "keys.tmp", "keys", e);
    }
    if (code == ERR_NONE) {
        code = file_sync_folder(s->folder, e);
    }
    buf_init(&b, 1024);
    buf_printf(&b, "dari-sql 1\nname %s\nrows %lld\nmore %d\n", r->name, (long long)r->rows,
               r->more);
    if (r->marked) {
        buf_printf(&b, "mark %s\n", r->mark);
    }
    if (r->keys[0]) {
        buf_printf(&b, "keys %s\n", r->keys);
    }
    if (code == ERR_NONE) {
        code = buf_ok(&b) ? file_write(spill_path(s, "ready"), buf_str(&b), 0600, e)
                          : ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    buf_release(&b);
    s->size = 0;
    if (code != ERR_NONE) {
        drop_unfinished(s, NULL);
    }
    return code;
}

/* ---- what is complete ---- */

static void take_line(struct spill_ready *r, struct str line)
{
    size_t blank = str_find(line, ' ', 0);
    struct str key = str_cut(line, 0, blank), value = str_cut(line, blank + 1, line.n);
    int64_t n = 0;
    if (str_is(key, "name")) {
        snprintf(r->name, sizeof r->name, "%.*s", STR_ARG(value));
    } else if (str_is(key, "mark")) {
        r->marked = true;
        snprintf(r->mark, sizeof r->mark, "%.*s", STR_ARG(value));
    } else if (str_is(key, "keys")) {
        snprintf(r->keys, sizeof r->keys, "%.*s", STR_ARG(value));
    } else if (str_is(key, "rows") && num_i64(value, 0, INT64_MAX, &n, NULL) == ERR_NONE) {
        r->rows = n;
    } else if (str_is(key, "more")) {
        r->more = str_is(value, "1");
    }
}

bool spill_ready(struct spill *s, struct spill_ready *r)
{
    struct arena *a = arena_new(0);
    struct str text, line;
    *r = (struct spill_ready){0};
    bool ok = a && file_read(a, spill_path(s, "ready"), 4096, &text, NULL) == ERR_NONE;
    while (ok && str_next(&text, '\n', &line)) {
        take_line(r, line);
    }
    arena_free(&a);
    return ok;
}

/* `ready` goes last and in a step of its own: until then the rest can be done again. */
static enum err_code end(struct spill *s, bool taken, struct err *e)
{
    enum err_code code = taken ? move(s, "seen.next", "seen", e) : drop(s, "seen.next", e);
    if (code == ERR_NONE && !taken) { /* first, so that no start takes it for complete */
        code = drop(s, "ready", e);
    }
    if (code == ERR_NONE) {
        code = drop(s, "rows.csv", e);
    }
    if (code == ERR_NONE) {
        code = drop(s, "keys", e);
    }
    if (code == ERR_NONE) {
        code = file_sync_folder(s->folder, e);
    }
    if (code == ERR_NONE) {
        code = drop(s, "ready", e);
    }
    return code == ERR_NONE ? file_sync_folder(s->folder, e) : code;
}

enum err_code spill_finish(struct spill *s, struct err *e)
{
    spill_keys_close(s);
    return end(s, true, e);
}

enum err_code spill_refuse(struct spill *s, struct err *e)
{
    return end(s, false, e);
}

enum err_code spill_keys_open(struct spill *s, struct err *e)
{
    spill_keys_close(s);
    const char *path = spill_path(s, "keys");
    s->reading = fopen(path, "rbe");
    return s->reading ? ERR_NONE : system_err(e, "could not open", path);
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

usec spill_polled(struct spill *s)
{
    struct arena *a = arena_new(0);
    struct str text;
    usec at = 0;
    if (!a || file_read(a, spill_path(s, "polled"), 100, &text, NULL) != ERR_NONE ||
        clock_parse(str_trim(text), &at, NULL) != ERR_NONE) {
        at = 0;
    }
    arena_free(&a);
    return at;
}

enum err_code spill_set_polled(struct spill *s, usec at, struct err *e)
{
    char text[CLOCK_TEXT];
    return file_write(spill_path(s, "polled"), str_of(clock_text_utc(at, text)), 0600, e);
}
