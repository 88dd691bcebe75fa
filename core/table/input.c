#include "core/table/input.h"

#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 256 * 1024 };

enum err_code input_open(struct input *in, const char *path, size_t most, struct err *e)
{
    struct stat st;
    *in = (struct input){.fd = open(path, O_RDONLY | O_CLOEXEC), .most = most};
    if (in->fd < 0) {
        return errno == ENOENT ? ERR(e, ERR_NOTFOUND, 0, "there is no file %s", path)
                               : ERR(e, ERR_IO, 0, "could not open %s: %s", path, strerror(errno));
    }
    in->size = fstat(in->fd, &st) == 0 ? (int64_t)st.st_size : 0;
    in->room = BLOCK;
    in->p = malloc(in->room + 1);
    if (!in->p) {
        input_close(in);
        return ERR(e, ERR_NOMEM, 0, "no memory to read a table");
    }
    return ERR_NONE;
}

void input_close(struct input *in)
{
    if (in->fd >= 0) {
        close(in->fd);
    }
    free(in->p);
    in->p = NULL;
    in->fd = -1;
}

size_t input_peek(const struct input *in, unsigned char *to, size_t n)
{
    ssize_t got = pread(in->fd, to, n, 0);
    return got < 0 ? 0 : (size_t)got;
}

enum err_code input_rewind(struct input *in, struct err *e)
{
    if (lseek(in->fd, (off_t)in->begin, SEEK_SET) < 0) {
        return ERR(e, ERR_IO, 0, "could not read a table: %s", strerror(errno));
    }
    in->at = in->end = in->half_n = 0;
    in->passed = in->begin;
    in->taken = in->begin;
    in->ended = in->nul = in->broken = false;
    return ERR_NONE;
}

/* Makes room for n more bytes behind `end`. */
static enum err_code make_room(struct input *in, size_t n, struct err *e)
{
    size_t unread = in->end - in->at;
    if (in->at) {
        memmove(in->p, in->p + in->at, unread);
        in->passed += (int64_t)in->at;
        in->at = 0;
        in->end = unread;
    }
    if (unread > in->most) {
        return ERR(e, ERR_LIMIT, (size_t)in->passed, "a row is longer than %zu bytes", in->most);
    }
    if (in->room - in->end >= n) {
        return ERR_NONE;
    }
    size_t room = in->room * 2 > in->end + n ? in->room * 2 : in->end + n;
    char *p = realloc(in->p, room + 1);
    if (!p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    in->p = p;
    in->room = room;
    return ERR_NONE;
}

static ssize_t read_some(struct input *in, void *to, size_t n)
{
    ssize_t got;
    do {
        got = read(in->fd, to, n);
    } while (got < 0 && errno == EINTR);
    in->taken += got > 0 ? got : 0;
    return got;
}

static unsigned unit(const struct input *in, const unsigned char *p)
{
    return in->form == INPUT_UTF16LE ? (unsigned)(p[0] | p[1] << 8) : (unsigned)(p[0] << 8 | p[1]);
}

/* Appends the text of n bytes; what is left of them at the end stays in `half`. */
static void widen(struct input *in, const unsigned char *p, size_t n)
{
    size_t i = 0;
    while (n - i >= 2 && !in->broken) {
        unsigned c = unit(in, p + i);
        size_t used = 2;
        if (c >= 0xd800 && c <= 0xdbff) {
            if (n - i < 4) {
                break;
            }
            unsigned low = unit(in, p + i + 2);
            in->broken = low < 0xdc00 || low > 0xdfff;
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            used = 4;
        } else if (c >= 0xdc00 && c <= 0xdfff) {
            in->broken = true;
        }
        if (!in->broken) {
            in->end += text_put(c, in->p + in->end);
            i += used;
        }
    }
    in->half_n = in->broken ? 0 : n - i;
    memcpy(in->half, p + i, in->half_n);
}

static enum err_code fill_wide(struct input *in, struct err *e)
{
    unsigned char block[16 * 1024];
    enum err_code code = make_room(in, sizeof block * 2, e); /* two bytes are three at most */
    if (code != ERR_NONE) {
        return code;
    }
    memcpy(block, in->half, in->half_n);
    ssize_t got = read_some(in, block + in->half_n, sizeof block - in->half_n);
    if (got < 0) {
        return ERR(e, ERR_IO, 0, "could not read a table: %s", strerror(errno));
    }
    if (got == 0) {
        in->ended = true;
        in->broken = in->half_n > 0; /* cut inside a character */
        return ERR_NONE;
    }
    widen(in, block, (size_t)got + in->half_n);
    in->ended = in->broken;
    return ERR_NONE;
}

enum err_code input_fill(struct input *in, struct err *e)
{
    size_t from = in->end - in->at;
    enum err_code code = ERR_NONE;
    if (in->form != INPUT_NARROW) {
        code = fill_wide(in, e);
    } else if ((code = make_room(in, BLOCK, e)) == ERR_NONE) {
        ssize_t got = read_some(in, in->p + in->end, BLOCK);
        if (got < 0) {
            return ERR(e, ERR_IO, 0, "could not read a table: %s", strerror(errno));
        }
        in->ended = got == 0;
        in->end += (size_t)got;
    }
    if (code != ERR_NONE) {
        return code;
    }
    const char *nul = in->end > from ? memchr(in->p + from, '\0', in->end - from) : NULL;
    if (nul) {
        in->end = (size_t)(nul - in->p);
        in->ended = in->nul = true;
    }
    return ERR_NONE;
}
