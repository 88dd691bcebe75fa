#include "adapters/sql/spill.h"

#include "adapters/sql/spill_internal.h"
#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum err_code spill_system_err(struct err *e, const char *what, const char *path)
{
    return ERR(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, 0, "%s %s: %s", what, path,
               strerror(errno));
}

const char *spill_path(struct spill *s, const char *name)
{
    char *path = s->paths[s->next_path++ % SPILL_PATHS];
    snprintf(path, sizeof s->paths[0], "%s/%s", s->folder, name);
    return path;
}

enum err_code spill_drop(struct spill *s, const char *name, struct err *e)
{
    const char *path = spill_path(s, name);
    return unlink(path) == 0 || errno == ENOENT ? ERR_NONE
                                                : spill_system_err(e, "could not remove", path);
}

static enum err_code move(struct spill *s, const char *from, const char *to, struct err *e)
{
    const char *source = spill_path(s, from);
    return rename(source, spill_path(s, to)) == 0 || errno == ENOENT
               ? ERR_NONE
               : spill_system_err(e, "could not rename", source);
}

/* ---- the folder ---- */

static enum err_code lock(struct spill *s, struct err *e)
{
    const char *path = spill_path(s, "lock");
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0) {
        return spill_system_err(e, "could not open", path);
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
        code = spill_drop(s, names[i], e);
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
        code = spill_drop(s, names[i], e);
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
    buf_init(&s->rows.pending, row + SPILL_CHUNK);
    buf_init(&s->keys.pending, row + SPILL_CHUNK);
    buf_init(&s->key, row + SPILL_CHUNK);
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

void spill_close(struct spill **s)
{
    if (!*s) {
        return;
    }
    spill_keys_close(*s);
    spill_close_out(&(*s)->rows);
    spill_close_out(&(*s)->keys);
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

/* ---- what is complete ---- */

enum err_code spill_publish(struct spill *s, const struct spill_ready *r, struct err *e)
{
    struct buf b;
    enum err_code code = spill_settle(s, &s->rows, "rows.tmp", "rows.csv", e);
    if (code == ERR_NONE) {
        code = spill_settle(s, &s->keys, "keys.tmp", "keys", e);
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
    enum err_code code = taken ? move(s, "seen.next", "seen", e) : spill_drop(s, "seen.next", e);
    if (code == ERR_NONE && !taken) { /* first, so that no start takes it for complete */
        code = spill_drop(s, "ready", e);
    }
    if (code == ERR_NONE) {
        code = spill_drop(s, "rows.csv", e);
    }
    if (code == ERR_NONE) {
        code = spill_drop(s, "keys", e);
    }
    if (code == ERR_NONE) {
        code = file_sync_folder(s->folder, e);
    }
    if (code == ERR_NONE) {
        code = spill_drop(s, "ready", e);
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
