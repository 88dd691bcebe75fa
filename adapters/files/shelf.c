#include "adapters/files/files_internal.h"

#include "adapters/files/rules.h"
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TRIES = 100000, NAME_ROOM = 200, COPY_BLOCK = 1 << 20, RENAME_NEW = 1 };

static enum err_code failed(struct err *e, const char *what)
{
    return ERR(e, ERR_IO, 0, "could not %s: %s", what, strerror(errno));
}

/* Renames, but never over something. Folders are ours alone, so the last resort is good enough. */
static int rename_new(const char *from, const char *to)
{
    int r = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NEW);
    if (r == 0 || (errno != ENOSYS && errno != EINVAL)) {
        return r;
    }
    struct stat st;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

/*
 * FOLDER/PATH SUFFIX .K; the last part of PATH is shortened, at a character, so that what we put
 * behind it has room.
 */
static bool target(char out[PATH_MAX], const char *folder, const char *path, const char *suffix,
                   int k)
{
    struct str all = str_of(path), base = rule_base(all), above = str_cut(all, 0, all.n - base.n);
    if (base.n > NAME_ROOM) {
        size_t n = NAME_ROOM;
        while (n > NAME_ROOM - 4 && ((unsigned char)base.p[n] & 0xc0) == 0x80) {
            n--;
        }
        base = str_cut(base, 0, n);
    }
    char number[16] = "";
    if (k > 1) {
        snprintf(number, sizeof number, ".%d", k);
    }
    return snprintf(out, PATH_MAX, "%s/%.*s%.*s%s%s", folder, STR_ARG(above), STR_ARG(base), suffix,
                    number) < PATH_MAX;
}

static enum err_code parents(const char *to, struct err *e)
{
    errno = 0;
    return desk_make_parents(to, NULL) == ERR_NONE ? ERR_NONE : failed(e, "make the folder");
}

static enum err_code write_bytes(int fd, struct str bytes, struct err *e)
{
    while (bytes.n) {
        ssize_t w = write(fd, bytes.p, bytes.n);
        if (w < 0 && errno != EINTR) {
            return failed(e, "write the file");
        }
        bytes = str_cut(bytes, w > 0 ? (size_t)w : 0, bytes.n);
    }
    return ERR_NONE;
}

static enum err_code copy_bytes(int in, int out, struct err *e)
{
    static char block[COPY_BLOCK];
    for (;;) {
        ssize_t n = read(in, block, sizeof block);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return failed(e, "read the file");
        }
        if (n == 0) {
            return fsync(out) == 0 ? ERR_NONE : failed(e, "sync the copy");
        }
        enum err_code code = write_bytes(out, (struct str){block, (size_t)n}, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
}

static enum err_code copy(const char *from, const char *to, struct err *e)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0) {
        return failed(e, "open the file");
    }
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err_code code = out < 0 ? failed(e, "make the copy") : copy_bytes(in, out, e);
    if (out >= 0) {
        close(out);
    }
    close(in);
    if (code != ERR_NONE) {
        unlink(to);
    }
    return code;
}

/* On another file system: a synced copy first, under a name of ours beside the target. */
static enum err_code bring_near(const char *from, const char *to, const char *id,
                                char near[PATH_MAX], struct err *e)
{
    struct stat a, b;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", to);
    const char *above = dirname(folder);
    if (lstat(from, &a) != 0 || stat(above, &b) != 0) {
        return failed(e, "look at the file");
    }
    near[0] = '\0';
    if (a.st_dev == b.st_dev) {
        return ERR_NONE;
    }
    if (snprintf(near, PATH_MAX, "%s/.dari-%s.tmp", above, id) >= PATH_MAX) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    return copy(from, near, e);
}

/* First name, from number k on, that is free: moves there. */
static enum err_code settle(const char *from, const char *near, const char *folder,
                            const char *path, const char *suffix, int k, struct err *e)
{
    char to[PATH_MAX];
    for (; k < TRIES; k++) {
        if (!target(to, folder, path, suffix, k)) {
            return ERR(e, ERR_LIMIT, 0, "path is too long");
        }
        if (rename_new(near[0] ? near : from, to) == 0) {
            break;
        }
        if (errno != EEXIST) {
            return failed(e, "move the file");
        }
    }
    if (k == TRIES) {
        return ERR(e, ERR_EXISTS, 0, "no free name is left");
    }
    if (!near[0]) {
        return ERR_NONE;
    }
    enum err_code code = file_sync_folder(dirname(to), NULL);
    if (code != ERR_NONE) {
        return failed(e, "sync the folder");
    }
    return unlink(from) == 0 ? ERR_NONE : failed(e, "remove the original");
}

static enum err_code move_from(const char *from, const char *folder, const char *path,
                               const char *suffix, const char *id, int k, struct err *e)
{
    char to[PATH_MAX], near[PATH_MAX];
    if (!target(to, folder, path, suffix, 1)) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    enum err_code code = parents(to, e);
    if (code == ERR_NONE) {
        code = bring_near(from, to, id, near, e);
    }
    if (code == ERR_NONE) {
        code = settle(from, near, folder, path, suffix, k, e);
        if (code != ERR_NONE && near[0]) {
            unlink(near);
        }
    }
    return code;
}

enum err_code shelf_move(const char *from, const char *folder, const char *path, const char *suffix,
                         const char *id, struct err *e)
{
    return move_from(from, folder, path, suffix, id, 1, e);
}

/* Is that very text there already? After a crash it is not written twice. */
static bool holds(const char *path, struct str bytes)
{
    struct arena *m = arena_new(0);
    struct str there;
    bool same = m && file_read(m, path, bytes.n, &there, NULL) == ERR_NONE && str_eq(there, bytes);
    arena_free(&m);
    return same;
}

/* Under a name of the job's own first, so that an interrupted try is overwritten by the next. */
static enum err_code write_new(const char *to, struct str bytes, const char *id, struct err *e)
{
    char temp[PATH_MAX], folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", to);
    const char *above = dirname(folder);
    if (snprintf(temp, sizeof temp, "%s/.dari-%s.tmp", above, id) >= (int)sizeof temp) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        return failed(e, "make the file");
    }
    enum err_code code = write_bytes(fd, bytes, e);
    if (code == ERR_NONE && fsync(fd) != 0) {
        code = failed(e, "sync the file");
    }
    close(fd);
    if (code == ERR_NONE && rename_new(temp, to) != 0) {
        code = failed(e, "rename the file");
    }
    if (code != ERR_NONE) {
        unlink(temp);
        return code;
    }
    return file_sync_folder(above, NULL) == ERR_NONE ? ERR_NONE : failed(e, "sync the folder");
}

enum err_code shelf_refuse(const char *from, const char *folder, const char *path,
                           struct str problem, const char *id, struct err *e)
{
    char file[PATH_MAX], text[PATH_MAX];
    for (int k = 1; k < TRIES; k++) {
        if (!target(file, folder, path, "", k) ||
            snprintf(text, sizeof text, "%s.problem.txt", file) >= (int)sizeof text) {
            return ERR(e, ERR_LIMIT, 0, "path is too long");
        }
        if (file_exists(file) || (file_exists(text) && !holds(text, problem))) {
            continue;
        }
        enum err_code code = parents(text, e);
        if (code == ERR_NONE && !file_exists(text)) {
            code = write_new(text, problem, id, e);
        }
        return code == ERR_NONE ? move_from(from, folder, path, "", id, k, e) : code;
    }
    return ERR(e, ERR_EXISTS, 0, "no free name is left");
}

enum err_code shelf_write(const char *folder, const char *path, const char *suffix,
                          struct str bytes, const char *id, struct err *e)
{
    char to[PATH_MAX];
    for (int k = 1; k < TRIES; k++) {
        if (!target(to, folder, path, suffix, k)) {
            return ERR(e, ERR_LIMIT, 0, "path is too long");
        }
        if (holds(to, bytes)) {
            return ERR_NONE;
        }
        if (!file_exists(to)) {
            enum err_code code = parents(to, e);
            return code == ERR_NONE ? write_new(to, bytes, id, e) : code;
        }
    }
    return ERR(e, ERR_EXISTS, 0, "no free name is left");
}
