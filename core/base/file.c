#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err_code system_err(struct err *e, const char *what, const char *path)
{
    return ERR(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, 0, "%s %s: %s", what, path,
               strerror(errno));
}

static enum err_code read_all(struct arena *a, int fd, const char *path, size_t max,
                              struct str *out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return system_err(e, "could not read", path);
    }
    if (S_ISDIR(st.st_mode)) {
        return ERR(e, ERR_IO, 0, "could not read %s: it is a folder", path);
    }
    size_t cap = S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : 64 * 1024, n = 0;
    char *p = arena_alloc(a, cap);
    for (;;) {
        if (!p) {
            return ERR(e, ERR_NOMEM, 0, "no memory for %s", path);
        }
        ssize_t r = read(fd, p + n, cap - n);
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            return system_err(e, "could not read", path);
        }
        if (r == 0) {
            *out = (struct str){p, n};
            return ERR_NONE;
        }
        n += (size_t)r;
        if (n > max) {
            return ERR(e, ERR_LIMIT, max, "%s is larger than %zu bytes", path, max);
        }
        if (n == cap) {
            char *bigger = arena_alloc(a, cap * 2);
            if (bigger) {
                memcpy(bigger, p, n);
            }
            p = bigger;
            cap *= 2;
        }
    }
}

enum err_code file_read(struct arena *a, const char *path, size_t max, struct str *out,
                        struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return system_err(e, "could not open", path);
    }
    enum err_code code = read_all(a, fd, path, max, out, e);
    close(fd);
    return code;
}

/* All of `room`, or as much as there is. False: it cannot be read. */
static bool read_room(int fd, char *p, size_t room, size_t *got)
{
    ssize_t n = 1;
    for (*got = 0; *got < room && n != 0; *got += n > 0 ? (size_t)n : 0) {
        n = read(fd, p + *got, room - *got);
        if (n < 0 && errno != EINTR) {
            return false;
        }
    }
    return true;
}

static enum err_code load(int fd, const char *path, size_t max, struct str *out, struct err *e)
{
    struct stat st;
    size_t got;
    if (fstat(fd, &st) != 0) {
        return system_err(e, "could not read", path);
    }
    size_t size = (size_t)st.st_size;
    if (st.st_size < 0 || size > max) {
        return ERR(e, ERR_LIMIT, 0, "%s is larger than %zu bytes", path, max);
    }
    if (size == 0) {
        return ERR_NONE;
    }
    /* Pages of its own: a large file leaves no hole in the heap. */
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return ERR(e, ERR_NOMEM, 0, "no memory for %s", path);
    }
    enum err_code code = ERR_NONE;
    if (!read_room(fd, p, size, &got)) {
        code = system_err(e, "could not read", path);
    } else if (got < size) {
        code = ERR(e, ERR_REFUSED, 0, "the file became shorter while it was read");
    }
    if (code != ERR_NONE) {
        munmap(p, size);
        return code;
    }
    *out = (struct str){p, size};
    return ERR_NONE;
}

enum err_code file_load(const char *path, size_t max, struct str *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *out = (struct str){"", 0};
    if (fd < 0) {
        return system_err(e, "could not open", path);
    }
    enum err_code code = load(fd, path, max, out, e);
    close(fd);
    return code;
}

void file_unload(struct str *bytes)
{
    if (bytes->n) {
        union {
            const char *given;
            void *own;
        } p = {bytes->p};
        munmap(p.own, bytes->n);
    }
    *bytes = (struct str){"", 0};
}

enum err_code file_sync_folder(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return system_err(e, "could not open folder", path);
    }
    int r = fsync(fd);
    close(fd);
    return r == 0 ? ERR_NONE : system_err(e, "could not sync folder", path);
}

static enum err_code write_all(int fd, struct str bytes, const char *path, struct err *e)
{
    while (bytes.n > 0) {
        ssize_t w = write(fd, bytes.p, bytes.n);
        if (w < 0 && errno == EINTR) {
            continue;
        }
        if (w < 0) {
            return system_err(e, "could not write", path);
        }
        bytes = str_cut(bytes, (size_t)w, bytes.n);
    }
    return fsync(fd) == 0 ? ERR_NONE : system_err(e, "could not sync", path);
}

enum err_code file_write(const char *path, struct str bytes, mode_t mode, struct err *e)
{
    char temp[PATH_MAX], folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    if (snprintf(temp, sizeof temp, "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof temp) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) {
        return system_err(e, "could not create", temp);
    }
    enum err_code code = write_all(fd, bytes, temp, e);
    close(fd);
    if (code == ERR_NONE && rename(temp, path) != 0) {
        code = system_err(e, "could not rename to", path);
    }
    if (code != ERR_NONE) {
        unlink(temp);
        return code;
    }
    return file_sync_folder(folder, e);
}

enum err_code file_make_folder(const char *path, mode_t mode, struct err *e)
{
    char part[PATH_MAX];
    int n = snprintf(part, sizeof part, "%s", path);
    if (n >= (int)sizeof part) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != '\0') {
            continue;
        }
        char keep = *c;
        *c = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST) {
            return system_err(e, "could not make folder", part);
        }
        if (!keep) {
            return ERR_NONE;
        }
        *c = keep;
    }
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

char *file_path(struct arena *a, const char *base, const char *name)
{
    return name[0] == '/' || !base[0] ? arena_z(a, str_of(name))
                                      : arena_printf(a, "%s/%s", base, name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum err_code file_list(struct arena *a, const char *folder, const char *suffix, char ***names,
                        size_t *count, struct err *e)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        return system_err(e, "could not open folder", folder);
    }
    size_t n = 0, cap = 16;
    char **list = arena_array(a, cap + 1, sizeof *list);
    for (struct dirent *d; list && (d = readdir(dir));) {
        if (d->d_name[0] == '.' || !str_ends(str_of(d->d_name), str_of(suffix))) {
            continue;
        }
        if (n == cap) {
            char **bigger = arena_array(a, cap * 2 + 1, sizeof *list);
            if (bigger) {
                memcpy(bigger, list, n * sizeof *list);
            }
            list = bigger;
            cap *= 2;
        }
        if (list) {
            list[n++] = arena_z(a, str_of(d->d_name));
        }
    }
    closedir(dir);
    if (!list) {
        return ERR(e, ERR_NOMEM, 0, "no memory to list %s", folder);
    }
    qsort(list, n, sizeof *list, by_name);
    *names = list;
    *count = n;
    return ERR_NONE;
}
