#include "core/intake/spool.h"

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/crypto/digest.h"
#include "core/intake/spool_index.h"
#include "core/intake/spool_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ADDED = 512 * 1024 * 1024, MAX_ASIDE = 10000 };

struct spool {
    char folder[PATH_MAX], path[PATH_MAX], done_path[PATH_MAX];
    const char *name;
    int fd, done_fd, lock_fd;
    uint64_t limit;
    uint64_t generation;
    uint64_t end, number;       /* flushed: bytes, and the number of the last record */
    uint64_t done, done_number; /* committed up to here */
    uint64_t read, read_number; /* where spool_read() is */
    uint64_t last_read;
    uint64_t added_number; /* number of the last record in `added` */
    struct buf added;      /* not written yet */
    struct spool_index index;
    size_t damaged;
    bool full, broken;
};

static enum err_code system_error(struct err *e, const char *what, const char *path)
{
    return ERR(e, ERR_IO, 0, "could not %s %s: %s", what, path, strerror(errno));
}

/* ---- damage ---- */

static int new_aside(const struct spool *s, char path[PATH_MAX])
{
    for (int i = 1; i < MAX_ASIDE; i++) {
        if (snprintf(path, PATH_MAX, "%s/%s.%d.damaged", s->folder, s->name, i) >= PATH_MAX) {
            return -1;
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

/* Cuts the file at s->end, durably. */
static bool cut(struct spool *s)
{
    return ftruncate(s->fd, (off_t)s->end) == 0 && fdatasync(s->fd) == 0;
}

/*
 * Everything from s->end on goes into a file of its own. When that fails it stays where it is, and
 * nothing is appended behind it.
 */
static void set_aside(struct spool *s, uint64_t size)
{
    char path[PATH_MAX] = "";
    int fd = new_aside(s, path);
    bool ok = fd >= 0 && spool_copy(s->fd, fd, s->end, size) &&
              file_sync_folder(s->folder, NULL) == ERR_NONE && cut(s);
    if (fd >= 0) {
        close(fd);
    }
    s->damaged++;
    s->broken |= !ok;
    log_error("spool.damaged", "spool=%s offset=%" PRIu64 " bytes=%" PRIu64 " aside=%s", s->path,
              s->end, size - s->end, ok ? path : "no");
}

/* ---- opening ---- */

static bool read_done(const struct spool *s, struct spool_mark *m)
{
    unsigned char bytes[SPOOL_MARK];
    return s->done_fd >= 0 && spool_read_at(s->done_fd, bytes, sizeof bytes, 0) &&
           spool_mark_read(bytes, m);
}

static enum err_code scan(struct spool *s, uint64_t size, struct err *e)
{
    struct spool_mark mark;
    struct spool_record r;
    bool marked = read_done(s, &mark);
    struct arena *a = arena_new(0);
    enum spool_verdict v = a ? SPOOL_GOOD : SPOOL_UNREAD;
    while (v == SPOOL_GOOD && s->end < size) {
        struct spool_header h;
        arena_reset(a);
        v = spool_record_read(s->fd, s->end, size, a, &h, &r);
        if (v == SPOOL_GOOD && s->number == 0) {
            s->generation = h.generation;
        }
        if (v == SPOOL_GOOD && (h.generation != s->generation || h.number != s->number + 1)) {
            v = SPOOL_CHANGED;
        }
        if (v != SPOOL_GOOD) {
            break;
        }
        if (!spool_index_add(&s->index, h.id, s->end)) {
            v = SPOOL_UNREAD;
            break;
        }
        s->number++;
        s->end += spool_length(&h);
        if (marked && mark.generation == s->generation && mark.end == s->end &&
            mark.number == s->number) {
            s->done = s->end;
            s->done_number = s->number;
        }
    }
    arena_free(&a);
    if (v == SPOOL_UNREAD) {
        return ERR(e, ERR_IO, (size_t)s->end, "could not read %s", s->path);
    }
    if (v == SPOOL_CHANGED && !spool_only_zeros(s->fd, s->end, size)) {
        set_aside(s, size);
    } else if (s->end < size) {
        log_warn("spool.torn", "spool=%s offset=%" PRIu64 " bytes=%" PRIu64, s->path, s->end,
                 size - s->end);
        s->broken |= !cut(s);
    }
    return ERR_NONE;
}

/* Everything in it is committed: the next record begins a new file. */
static void remove_files(struct spool *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        unlink(s->path);
    }
    if (s->done_fd >= 0) {
        close(s->done_fd);
        unlink(s->done_path);
    }
    file_sync_folder(s->folder, NULL);
    s->fd = s->done_fd = -1;
    s->end = s->number = s->done = s->done_number = s->read = s->read_number = 0;
    s->full = false;
    spool_index_reset(&s->index);
}

static enum err_code open_files(struct spool *s, struct err *e)
{
    struct stat st;
    s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    s->done_fd = open(s->done_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0 || s->done_fd < 0 || fstat(s->fd, &st) != 0) {
        return system_error(e, "open", s->path);
    }
    enum err_code code = scan(s, (uint64_t)st.st_size, e);
    if (code == ERR_NONE) {
        spool_rewind(s);
        if (s->done == s->end && !s->broken) {
            remove_files(s);
        }
    }
    return code;
}

static enum err_code take_lock(struct spool *s, struct err *e)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s.lock", s->folder, s->name) >= PATH_MAX) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) {
        return system_error(e, "open", path);
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return ERR(e, ERR_EXISTS, 0, "another process uses the spool %s", s->path);
    }
    return ERR_NONE;
}

static enum err_code count_damaged(struct spool *s, struct err *e)
{
    struct arena *a = arena_new(0);
    char **names;
    size_t count;
    enum err_code code = a ? file_list(a, s->folder, ".damaged", &names, &count, e)
                           : ERR(e, ERR_NOMEM, 0, "no memory");
    size_t n = strlen(s->name);
    for (size_t i = 0; code == ERR_NONE && i < count; i++) {
        s->damaged += strncmp(names[i], s->name, n) == 0 && names[i][n] == '.';
    }
    arena_free(&a);
    if (s->damaged) {
        log_error("spool.damaged", "spool=%s files=%zu", s->path, s->damaged);
    }
    return code;
}

enum err_code spool_open(const char *folder, const char *name, int64_t limit, struct spool **out,
                         struct err *e)
{
    struct spool *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    s->fd = s->done_fd = s->lock_fd = -1;
    s->limit = (uint64_t)limit;
    s->name = name;
    buf_init(&s->added, MAX_ADDED);
    int a = snprintf(s->folder, sizeof s->folder, "%s", folder),
        b = snprintf(s->path, sizeof s->path, "%s/%s.spool", folder, name),
        c = snprintf(s->done_path, sizeof s->done_path, "%s/%s.done", folder, name);
    enum err_code code = a < PATH_MAX && b < PATH_MAX && c < PATH_MAX
                             ? file_make_folder(folder, 0700, e)
                             : ERR(e, ERR_LIMIT, 0, "path is too long");
    if (code == ERR_NONE) {
        code = take_lock(s, e);
    }
    if (code == ERR_NONE) {
        code = count_damaged(s, e);
    }
    if (code == ERR_NONE && file_exists(s->path)) {
        code = open_files(s, e);
    }
    if (code != ERR_NONE) {
        spool_free(&s);
    }
    *out = s;
    return code;
}

void spool_free(struct spool **ps)
{
    struct spool *s = *ps;
    if (!s) {
        return;
    }
    const int fds[] = {s->fd, s->done_fd, s->lock_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    buf_release(&s->added);
    spool_index_reset(&s->index);
    free(s);
    *ps = NULL;
}

/* ---- appending ---- */

/* A new file, whose name is on the disk before anything in it counts. */
static enum err_code begin_file(struct spool *s, struct err *e)
{
    s->fd = open(s->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    s->done_fd = s->fd < 0 ? -1 : open(s->done_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (s->done_fd < 0) {
        return system_error(e, "open", s->path);
    }
    random_bytes((unsigned char *)&s->generation, sizeof s->generation);
    return file_sync_folder(s->folder, e);
}

static enum err_code refuse(struct spool *s, enum err_code code)
{
    s->full |= s->number > 0 || s->added.n > 0;
    return code;
}

enum err_code spool_add(struct spool *s, const struct spool_record *r, struct err *e)
{
    unsigned char header[SPOOL_HEADER];
    uint64_t at = s->end + s->added.n, n = SPOOL_HEADER + (uint64_t)r->sealed.n + r->reply.n;
    if (s->broken || s->full) {
        return ERR(e, ERR_FULL, 0, "the spool takes nothing more");
    }
    if (n > s->limit || at > s->limit - n || n >= MAX_ADDED - s->added.n) {
        return refuse(s, ERR(e, ERR_FULL, 0, "the spool has reached its limit"));
    }
    enum err_code code = s->fd < 0 ? begin_file(s, e) : ERR_NONE;
    if (code != ERR_NONE) {
        remove_files(s);
        return code;
    }
    size_t before = s->added.n;
    if (before == 0) {
        s->added_number = s->number;
    }
    spool_header_write(r, s->generation, s->added_number + 1, header);
    buf_add(&s->added, (struct str){(const char *)header, sizeof header});
    buf_add(&s->added, r->sealed);
    buf_add(&s->added, r->reply);
    if (!buf_ok(&s->added) || !spool_index_add(&s->index, r->id, at)) {
        s->added.failed = false;
        s->added.n = before;
        return refuse(s, ERR(e, ERR_NOMEM, 0, "no memory for the spool"));
    }
    s->added_number++;
    return ERR_NONE;
}

enum err_code spool_sync(struct spool *s, struct err *e)
{
    if (s->added.n == 0) {
        return ERR_NONE;
    }
    enum err_code code = ERR_NONE;
    if (!spool_write_at(s->fd, buf_str(&s->added), s->end)) {
        /* The disk is full, say: what stands behind the end would look like damage. */
        code = system_error(e, "write", s->path);
        s->broken = !cut(s);
    } else if (fdatasync(s->fd) != 0) {
        code = system_error(e, "flush", s->path);
        s->broken = true;
    }
    if (code == ERR_NONE) {
        s->end += s->added.n;
        s->number = s->added_number;
    }
    buf_reset(&s->added);
    if (s->broken) {
        log_error("spool.broken", "spool=%s", s->path);
    }
    if (code != ERR_NONE) {
        refuse(s, code);
        if (s->number == 0 && !s->broken) {
            remove_files(s);
        }
    }
    return code;
}

/* ---- reading ---- */

/* A record that was added and is not written yet. */
static bool added_at(const struct spool *s, uint64_t offset, const unsigned char id[16],
                     struct spool_record *r)
{
    struct spool_header h;
    uint64_t from = offset - s->end;
    if (from >= s->added.n || s->added.n - from < SPOOL_HEADER ||
        !spool_header_read((const unsigned char *)s->added.p + from, &h) ||
        memcmp(h.id, id, 16) != 0) {
        return false;
    }
    const char *body = s->added.p + from + SPOOL_HEADER;
    *r = (struct spool_record){
        .at = h.at, .sealed = {body, h.sealed}, .reply = {body + h.sealed, h.reply}};
    memcpy(r->id, id, 16);
    return true;
}

enum err_code spool_find(struct spool *s, struct arena *a, const unsigned char id[16],
                         struct spool_record *r, struct err *e)
{
    size_t cursor = 0;
    uint64_t offset;
    while (spool_index_next(&s->index, id, &cursor, &offset)) {
        struct spool_header h;
        if (offset >= s->end) {
            if (added_at(s, offset, id, r)) {
                r->sealed = arena_copy(a, r->sealed);
                r->reply = arena_copy(a, r->reply);
                return r->sealed.p && r->reply.p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory");
            }
            continue;
        }
        if (spool_record_read(s->fd, offset, s->end, a, &h, r) == SPOOL_GOOD &&
            memcmp(h.id, id, 16) == 0) {
            return ERR_NONE;
        }
    }
    return ERR(e, ERR_NOTFOUND, 0, "not in the spool");
}

enum err_code spool_read(struct spool *s, struct arena *a, struct spool_record *r, struct err *e)
{
    struct spool_header h;
    if (s->read == s->end) {
        return ERR(e, ERR_NOTFOUND, 0, "the end of the spool");
    }
    enum spool_verdict v = spool_record_read(s->fd, s->read, s->end, a, &h, r);
    if (v == SPOOL_UNREAD) {
        return ERR(e, ERR_IO, (size_t)s->read, "could not read %s", s->path);
    }
    if (v != SPOOL_GOOD || h.number != s->read_number + 1 || h.generation != s->generation) {
        /* It was good when it was written or opened: the disk changed it since. */
        uint64_t size = s->end;
        s->end = s->read;
        s->number = s->read_number;
        set_aside(s, size);
        return ERR(e, ERR_NOTFOUND, 0, "the end of the spool");
    }
    s->last_read = s->read;
    s->read += spool_length(&h);
    s->read_number++;
    return ERR_NONE;
}

void spool_unread(struct spool *s)
{
    s->read = s->last_read;
    s->read_number--;
}

void spool_done(struct spool *s)
{
    unsigned char bytes[SPOOL_MARK];
    s->done = s->read;
    s->done_number = s->read_number;
    if (s->done == s->end && s->added.n == 0 && !s->broken) {
        remove_files(s);
        return;
    }
    const struct spool_mark mark = {s->generation, s->done, s->done_number};
    spool_mark_write(&mark, bytes);
    if (!spool_write_at(s->done_fd, (struct str){(const char *)bytes, sizeof bytes}, 0)) {
        log_warn("spool.done", "spool=%s written=no", s->path);
    }
}

void spool_rewind(struct spool *s)
{
    s->read = s->done;
    s->read_number = s->done_number;
}

size_t spool_count(const struct spool *s)
{
    return (size_t)(s->number - s->done_number);
}

size_t spool_damaged(const struct spool *s)
{
    return s->damaged;
}

bool spool_broken(const struct spool *s)
{
    return s->broken;
}
