#include "core/table/strings.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A place is kept for every GROUP-th string; those between are found by their lengths. */
enum { TAIL = 4 << 20, BLOCK = 16 * 1024, BLOCKS = 128, GROUP = 16, MOST = 1 << 26 };

struct block {
    int64_t number; /* -1: nothing in it */
    char *p;
};

struct strings {
    int fd;
    char *tail; /* what is not in the file yet */
    size_t tail_n;
    int64_t flushed;
    int64_t *groups;
    size_t count, room;
    struct block blocks[BLOCKS];
};

struct strings *strings_new(void)
{
    struct strings *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->fd = -1;
    for (size_t i = 0; i < BLOCKS; i++) {
        s->blocks[i].number = -1;
    }
    s->tail = malloc(TAIL);
    if (!s->tail) {
        strings_free(&s);
    }
    return s;
}

void strings_free(struct strings **s)
{
    if (!*s) {
        return;
    }
    if ((*s)->fd >= 0) {
        close((*s)->fd);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free((*s)->blocks[i].p);
    }
    free((*s)->groups);
    free((*s)->tail);
    free(*s);
    *s = NULL;
}

size_t strings_count(const struct strings *s)
{
    return s->count;
}

static enum err_code io(struct err *e)
{
    return ERR(e, ERR_IO, 0, "could not keep the strings of a workbook: %s", strerror(errno));
}

static enum err_code open_file(struct strings *s, struct err *e)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    int n =
        snprintf(path, sizeof path, "%s/dari-strings-XXXXXX", folder && *folder ? folder : "/tmp");
    s->fd = n > 0 && (size_t)n < sizeof path ? mkstemp(path) : -1;
    if (s->fd < 0) {
        return io(e);
    }
    unlink(path);
    return ERR_NONE;
}

static enum err_code flush_tail(struct strings *s, struct err *e)
{
    if (s->fd < 0 && open_file(s, e) != ERR_NONE) {
        return ERR_IO;
    }
    for (size_t done = 0; done < s->tail_n;) {
        ssize_t n = pwrite(s->fd, s->tail + done, s->tail_n - done, (off_t)s->flushed);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return io(e);
        }
        done += (size_t)n;
        s->flushed += n;
    }
    s->tail_n = 0;
    return ERR_NONE;
}

static enum err_code append(struct strings *s, const void *p, size_t n, struct err *e)
{
    const char *from = p;
    while (n) {
        if (s->tail_n == TAIL) {
            enum err_code code = flush_tail(s, e);
            if (code != ERR_NONE) {
                return code;
            }
        }
        size_t some = n < TAIL - s->tail_n ? n : TAIL - s->tail_n;
        memcpy(s->tail + s->tail_n, from, some);
        s->tail_n += some;
        from += some;
        n -= some;
    }
    return ERR_NONE;
}

enum err_code strings_add(struct strings *s, struct str text, struct err *e)
{
    if (s->count == MOST) {
        return ERR(e, ERR_LIMIT, 0, "more than %d shared strings", (int)MOST);
    }
    if (s->count % GROUP == 0) {
        size_t at = s->count / GROUP;
        if (at == s->room) {
            size_t room = s->room ? s->room * 2 : 1024;
            int64_t *groups = realloc(s->groups, room * sizeof *groups);
            if (!groups) {
                return ERR(e, ERR_NOMEM, 0, "no memory for shared strings");
            }
            s->groups = groups;
            s->room = room;
        }
        s->groups[at] = s->flushed + (int64_t)s->tail_n;
    }
    uint32_t n = (uint32_t)text.n;
    enum err_code code = append(s, &n, sizeof n, e);
    code = code == ERR_NONE ? append(s, text.p, text.n, e) : code;
    s->count += code == ERR_NONE;
    return code;
}

/* Block `number` of the file in the cache; NULL when it cannot be read. */
static const char *block(struct strings *s, int64_t number)
{
    struct block *b = &s->blocks[number % BLOCKS];
    if (b->number == number) {
        return b->p;
    }
    b->number = -1;
    if (!b->p && !(b->p = malloc(BLOCK))) {
        return NULL;
    }
    int64_t from = number * BLOCK;
    size_t n = s->flushed - from < BLOCK ? (size_t)(s->flushed - from) : BLOCK;
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(s->fd, b->p + done, n - done, (off_t)(from + (int64_t)done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return NULL;
        }
        done += (size_t)got;
    }
    b->number = number;
    return b->p;
}

static enum err_code copy(struct strings *s, int64_t from, size_t n, char *to, struct err *e)
{
    while (n) {
        size_t some;
        if (from >= s->flushed) {
            some = n;
            memcpy(to, s->tail + (from - s->flushed), n);
        } else {
            const char *p = block(s, from / BLOCK);
            size_t skip = (size_t)(from % BLOCK);
            size_t left = s->flushed - from < (int64_t)(BLOCK - skip) ? (size_t)(s->flushed - from)
                                                                      : BLOCK - skip;
            if (!p) {
                return io(e);
            }
            some = n < left ? n : left;
            memcpy(to, p + skip, some);
        }
        to += some;
        from += (int64_t)some;
        n -= some;
    }
    return ERR_NONE;
}

enum err_code strings_get(struct strings *s, size_t i, struct buf *out, struct err *e)
{
    if (i >= s->count) {
        return ERR(e, ERR_VALUE, 0, "a shared string is missing");
    }
    int64_t at = s->groups[i / GROUP];
    uint32_t n = 0;
    for (size_t k = 0; k <= i % GROUP; k++) {
        enum err_code code = copy(s, at, sizeof n, (char *)&n, e);
        if (code != ERR_NONE) {
            return code;
        }
        at += (int64_t)sizeof n + (k < i % GROUP ? n : 0);
    }
    char *to = buf_room(out, n);
    if (!to) {
        return ERR(e, ERR_LIMIT, 0, "the row is longer than %zu bytes", out->max);
    }
    enum err_code code = copy(s, at, n, to, e);
    buf_took(out, code == ERR_NONE ? n : 0);
    return code;
}
