#include "adapters/files/files_internal.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REMOVE_DEPTH = 64 };

static enum err_code failed(struct err *e, const char *what)
{
    return ERR(e, ERR_IO, 0, "could not %s: %s", what,
               errno == EXDEV ? "it is on another file system than the work folder"
                              : strerror(errno));
}

enum err_code desk_make_parents(const char *path, struct err *e)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 0, path);
    return folder[0] ? file_make_folder(folder, 0750, e) : ERR_NONE;
}

void desk_remove(const char *path, int depth)
{
    if (unlink(path) == 0 || errno == ENOENT || depth > REMOVE_DEPTH) {
        return;
    }
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char below[PATH_MAX];
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
            snprintf(below, sizeof below, "%s/%s", path, d->d_name) < (int)sizeof below) {
            desk_remove(below, depth + 1);
        }
    }
    if (dir) {
        closedir(dir);
    }
    rmdir(path);
}

enum err_code desk_new(const char *working, char id[JOB_ID + 1], struct err *e)
{
    char path[PATH_MAX + 8];
    for (uint64_t t = (uint64_t)clock_real();; t++) {
        snprintf(id, JOB_ID + 1, "%016" PRIx64, t);
        int n = snprintf(path, PATH_MAX, "%s/%s", working, id);
        if (n >= PATH_MAX) {
            return ERR(e, ERR_LIMIT, 0, "path is too long");
        }
        if (mkdir(path, 0700) == 0) {
            memcpy(path + n, "/in", sizeof "/in");
            break;
        }
        if (errno != EEXIST) {
            return failed(e, "make a folder in working");
        }
    }
    return mkdir(path, 0700) == 0 ? ERR_NONE : failed(e, "make a folder in working");
}

/* ---- jobs ---- */

static void free_job(struct job *j)
{
    for (size_t i = 0; i < j->member_count; i++) {
        free(j->members[i]);
    }
    free(j->members);
    free(j->path);
    free(j->verdict);
    buf_release(&j->problem);
    buf_release(&j->reply);
    free(j);
}

/* A job whose file lies in WORKING/ID/in/PATH; at its place by age in the list. */
static struct job *add_job(struct adapter *a, const char *id, const char *path, struct err *e)
{
    enum { PROBLEM_MAX = 64 * 1024, REPLY_MAX = 256 * 1024 * 1024 };
    char file[PATH_MAX];
    struct stat st;
    struct job *j = calloc(1, sizeof *j);
    snprintf(file, sizeof file, "%s/%s/in/%s", a->working, id, path);
    if (j) {
        j->path = strdup(path);
    }
    if (!j || !j->path || lstat(file, &st) != 0) {
        free(j);
        ERR(e, ERR_IO, 0, "could not look at a claimed file: %s", strerror(errno));
        return NULL;
    }
    buf_init(&j->problem, PROBLEM_MAX);
    buf_init(&j->reply, REPLY_MAX);
    j->a = a;
    snprintf(j->id, sizeof j->id, "%s", id);
    j->size = st.st_size;
    j->time = st.st_mtim.tv_sec * (int64_t)1000000000 + st.st_mtim.tv_nsec;
    j->inode = st.st_ino;
    const char *wrong = !S_ISREG(st.st_mode)          ? "it is not a regular file\n"
                        : st.st_size > a->o->max_file ? "it is larger than max-file\n"
                                                      : NULL;
    if (wrong) { /* swapped under our hands; or too large */
        buf_addz(&j->problem, wrong);
        j->refused = 1;
        j->state = JOB_DONE;
        a->waiting_away++;
    }
    struct job **at = &a->jobs;
    while (*at && strcmp((*at)->id, j->id) <= 0) {
        at = &(*at)->next;
    }
    j->next = *at;
    *at = j;
    adapter_count(a->host, "files", 1);
    return j;
}

void desk_close(struct adapter *a, struct job *j)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", a->working, j->id);
    desk_remove(path, 0);
    struct job **at = &a->jobs;
    while (*at != j) {
        at = &(*at)->next;
    }
    *at = j->next;
    free_job(j);
}

void desk_free_jobs(struct adapter *a)
{
    while (a->jobs) {
        struct job *j = a->jobs;
        a->jobs = j->next;
        free_job(j);
    }
}

const char *desk_file(struct arena *m, const struct adapter *a, const struct job *j, size_t n)
{
    return n ? arena_printf(m, "%s/%s/out/%zu", a->working, j->id, n)
             : arena_printf(m, "%s/%s/in/%s", a->working, j->id, j->path);
}

/* ---- claiming ---- */

/* The folder that holds `path`, through no symbolic link; *base is its last part. -1: errno. */
static int open_parent(const char *folder, const char *path, const char **base)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *slash;
    while (fd >= 0 && (slash = strchr(path, '/'))) {
        char part[NAME_MAX + 1];
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        int below = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int keep = errno;
        close(fd);
        errno = keep;
        fd = below;
        path = slash + 1;
    }
    *base = path;
    return fd;
}

/* Still the file that was looked at, and ours to read? */
static enum err_code look_again(int folder, const char *base, const struct look_file *f,
                                struct err *e)
{
    struct stat st;
    int fd = openat(folder, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return errno == EACCES || errno == EPERM
                   ? ERR(e, ERR_REFUSED, 0, "a file cannot be opened: %s", strerror(errno))
                   : ERR(e, ERR_NOTFOUND, 0, "gone");
    }
    bool same = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == f->size &&
                st.st_ino == f->inode &&
                st.st_mtim.tv_sec * (int64_t)1000000000 + st.st_mtim.tv_nsec == f->time;
    close(fd);
    return same ? ERR_NONE : ERR(e, ERR_NOTFOUND, 0, "changed");
}

/* WORKING/ID/KIND/PATH, with the folders in front of it. */
static enum err_code place(const struct adapter *a, const char *id, const char *kind,
                           const char *path, char out[PATH_MAX], struct err *e)
{
    if (snprintf(out, PATH_MAX, "%s/%s/%s/%s", a->working, id, kind, path) >= PATH_MAX) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    errno = 0;
    return desk_make_parents(out, NULL) == ERR_NONE ? ERR_NONE
                                                    : failed(e, "make a folder in working");
}

/*
 * The control file goes first: when we end between the two, the next start sees it, knows which
 * file it released and takes that. The other way round it would stay and release the next file of
 * that name too early.
 */
static enum err_code take(const struct adapter *a, int folder, const char *base, const char *id,
                          const char *path, struct err *e)
{
    char to[PATH_MAX], control[PATH_MAX], name[NAME_MAX + 64];
    bool controlled = a->rules.complete == LOOK_CONTROL;
    snprintf(name, sizeof name, "%s%s", base, a->o->control);
    enum err_code code = place(a, id, "in", path, to, e);
    if (code == ERR_NONE && controlled) {
        code = place(a, id, "control", path, control, e);
        if (code == ERR_NONE && renameat(folder, name, AT_FDCWD, control) != 0) {
            return errno == ENOENT ? ERR(e, ERR_NOTFOUND, 0, "gone") : failed(e, "claim a file");
        }
    }
    if (code == ERR_NONE && renameat(folder, base, AT_FDCWD, to) != 0) {
        code = errno == ENOENT ? ERR(e, ERR_NOTFOUND, 0, "gone") : failed(e, "claim a file");
        if (controlled) {
            renameat(AT_FDCWD, control, folder, name);
        }
    }
    return code;
}

enum err_code desk_claim(struct adapter *a, struct look_file *f, struct job **out, struct err *e)
{
    const char *base;
    char id[JOB_ID + 1], path[PATH_MAX];
    *out = NULL;
    int folder = open_parent(a->o->folder, f->path, &base);
    if (folder < 0) {
        return errno == ENOENT ? ERR(e, ERR_NOTFOUND, 0, "gone") : failed(e, "open the folder");
    }
    enum err_code code = look_again(folder, base, f, e);
    if (code == ERR_NONE) {
        code = desk_new(a->working, id, e);
        if (code == ERR_NONE) {
            code = take(a, folder, base, id, f->path, e);
        }
        if (code != ERR_NONE) {
            snprintf(path, sizeof path, "%s/%s", a->working, id);
            desk_remove(path, 0);
        }
    }
    close(folder);
    if (code == ERR_NONE) {
        *out = add_job(a, id, f->path, e);
        code = *out ? ERR_NONE : e->code;
    }
    return code;
}

/* ---- after a crash ---- */

/* The first thing below FOLDER that is no folder; its path below is added to `path`. */
static bool find_one(const char *folder, char path[PATH_MAX], size_t n, int depth)
{
    DIR *dir = depth < REMOVE_DEPTH ? opendir(folder) : NULL;
    bool found = false;
    for (struct dirent *d; dir && !found && (d = readdir(dir));) {
        char below[PATH_MAX];
        struct stat st;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            snprintf(below, sizeof below, "%s/%s", folder, d->d_name) >= (int)sizeof below ||
            lstat(below, &st) != 0) {
            continue;
        }
        int used = snprintf(path + n, PATH_MAX - n, "%s%s", n ? "/" : "", d->d_name);
        found = !S_ISDIR(st.st_mode) || find_one(below, path, n + (size_t)used, depth + 1);
    }
    if (dir) {
        closedir(dir);
    }
    return found;
}

/* Ended between control file and file: goes on there. False: nothing came of it. */
static bool finish_claim(struct adapter *a, const char *id, const char *path)
{
    char to[PATH_MAX];
    const char *base;
    int folder = a->o->folder[0] ? open_parent(a->o->folder, path, &base) : -1;
    struct stat st;
    bool done = folder >= 0 && fstatat(folder, base, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(st.st_mode) && place(a, id, "in", path, to, NULL) == ERR_NONE &&
                renameat(folder, base, AT_FDCWD, to) == 0;
    if (folder >= 0) {
        close(folder);
    }
    return done;
}

static enum err_code recover_one(struct adapter *a, const char *id, struct err *e)
{
    char folder[PATH_MAX], in[PATH_MAX], control[PATH_MAX], path[PATH_MAX] = "";
    if (snprintf(folder, sizeof folder, "%s/%s", a->working, id) >= (int)sizeof folder - 16) {
        return ERR(e, ERR_LIMIT, 0, "path is too long");
    }
    snprintf(in, sizeof in, "%.*s/in", PATH_MAX - 16, folder);
    snprintf(control, sizeof control, "%.*s/control", PATH_MAX - 16, folder);
    if (find_one(in, path, 0, 0) || (find_one(control, path, 0, 0) && finish_claim(a, id, path))) {
        struct job *j = add_job(a, id, path, e);
        if (j) {
            log_info("files.claimed", "id=%s size=%" PRId64, id, j->size);
        }
        return j ? ERR_NONE : e->code;
    }
    desk_remove(folder, 0);
    return ERR_NONE;
}

static bool is_id(struct str s)
{
    size_t i = 0;
    while (i < s.n && strchr("0123456789abcdef", s.p[i])) {
        i++;
    }
    return s.n == JOB_ID && i == s.n;
}

static bool is_job(const struct adapter *a, const char *id)
{
    const struct job *j = a->jobs;
    while (j && strcmp(j->id, id) != 0) {
        j = j->next;
    }
    return j != NULL;
}

enum err_code desk_recover(struct adapter *a, struct err *e)
{
    struct arena *m = arena_new(0);
    char **names = NULL;
    size_t count = 0;
    enum err_code code =
        m ? file_list(m, a->working, "", &names, &count, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    for (size_t i = 0; code == ERR_NONE && i < count; i++) {
        if (is_id(str_of(names[i]))) {
            code = is_job(a, names[i]) ? ERR_NONE : recover_one(a, names[i], e);
        } else {
            log_warn("files.foreign", "what=working hint=\"only dari puts things there\"");
        }
    }
    arena_free(&m);
    return code;
}

enum err_code desk_adopt(struct adapter *a, struct str id, struct err *e)
{
    char name[JOB_ID + 1];
    if (!is_id(id)) {
        return ERR(e, ERR_BUG, 0, "not an id");
    }
    snprintf(name, sizeof name, "%.*s", STR_ARG(id));
    return is_job(a, name) ? ERR_NONE : recover_one(a, name, e);
}
