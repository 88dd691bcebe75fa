#include "adapters/files/files_internal.h"

#include "adapters/files/rules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HINT_MS = 5 };
#define HINTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR | IN_DONT_FOLLOW)

bool scan_wanted(const struct files_options *o, const char *path)
{
    struct str name = rule_base(str_of(path));
    if (name.p[0] == '.' || rule_match(str_of(o->exclude), name)) {
        return false;
    }
    return rule_match(str_of(o->match), name) ||
           (strcmp(o->complete, "control") == 0 && str_ends(name, str_of(o->control)) &&
            rule_match(str_of(o->match), str_cut(name, 0, name.n - str_of(o->control).n)));
}

struct walk {
    struct adapter *a;
    char path[PATH_MAX]; /* below the folder */
    struct stat ours[4]; /* work, archive, error, reply: never walked into */
    int our_count;
    bool closed; /* a folder below could not be opened */
};

static bool is_ours(const struct walk *w, const struct stat *st)
{
    for (int i = 0; i < w->our_count; i++) {
        if (st->st_dev == w->ours[i].st_dev && st->st_ino == w->ours[i].st_ino) {
            return true;
        }
    }
    return false;
}

static void hint_here(const struct adapter *a, int fd)
{
    char self[64];
    if (a->inotify >= 0) {
        snprintf(self, sizeof self, "/proc/self/fd/%d/.", fd); /* the same folder: same watch */
        inotify_add_watch(a->inotify, self, HINTS);
    }
}

static bool walk(struct walk *w, int fd, size_t n, int depth);

static void see(struct walk *w, int fd, const char *name, size_t n, int depth)
{
    struct stat st;
    const struct files_options *o = w->a->o;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return; /* gone meanwhile */
    }
    if (S_ISREG(st.st_mode) && scan_wanted(o, w->path)) {
        look_add(&w->a->look, &w->a->rules, w->path, st.st_size,
                 st.st_mtim.tv_sec * (int64_t)1000000000 + st.st_mtim.tv_nsec, st.st_ino);
    }
    if (S_ISDIR(st.st_mode) && o->recursive && depth < o->max_depth && !is_ours(w, &st)) {
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0) {
            w->path[n] = '/';
            w->path[n + 1] = '\0';
            walk(w, below, n + 1, depth + 1);
        } else if (errno != ENOENT) {
            w->closed = true;
        }
    }
}

/* Closes fd. False: it could not be read. */
static bool walk(struct walk *w, int fd, size_t n, int depth)
{
    hint_here(w->a, fd);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return false;
    }
    errno = 0;
    for (struct dirent *d; (d = readdir(dir)); errno = 0) {
        size_t len = strlen(d->d_name);
        if (d->d_name[0] == '.') {
            continue;
        }
        if (n + len + 2 >= sizeof w->path) {
            trouble_on(w->a, TROUBLE_NAMES, "a path is too long");
            continue;
        }
        memcpy(w->path + n, d->d_name, len + 1);
        see(w, fd, d->d_name, n + len, depth);
        w->path[n] = '\0';
    }
    bool ok = errno == 0;
    closedir(dir);
    return ok;
}

/* Files that could not be opened are offered again once they can be. */
static void try_unreadable(struct adapter *a, bool closed)
{
    bool any = closed;
    for (size_t i = 0; i < a->look.count; i++) {
        struct look_file *f = &a->look.files[i];
        char path[PATH_MAX];
        if (f->unreadable) {
            snprintf(path, sizeof path, "%s/%s", a->o->folder, f->path);
            f->unreadable = faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0;
            any = any || f->unreadable;
        }
    }
    if (!any) {
        trouble_off(a, TROUBLE_UNREADABLE);
    } else if (closed) {
        trouble_on(a, TROUBLE_UNREADABLE, "a folder below cannot be opened");
    }
}

bool scan_folder(struct adapter *a)
{
    static struct walk w;
    const char *const ours[] = {a->work, a->archive, a->error, a->reply};
    w.a = a;
    w.path[0] = '\0';
    w.our_count = 0;
    w.closed = false;
    for (size_t i = 0; i < 4; i++) {
        w.our_count += stat(ours[i], &w.ours[w.our_count]) == 0;
    }
    usec began = clock_mono();
    int fd = open(a->o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    look_begin(&a->look);
    if (fd < 0 || !walk(&w, fd, 0, 0)) {
        char why[128];
        snprintf(why, sizeof why, "could not read the folder: %s", strerror(errno));
        look_undo(&a->look);
        trouble_on(a, TROUBLE_FOLDER, why);
        return false;
    }
    look_end(&a->look, &a->rules, clock_mono());
    a->scan_cost_ms = (clock_mono() - began) / 1000;
    trouble_off(a, TROUBLE_FOLDER);
    try_unreadable(a, w.closed);
    if (a->look.full) {
        trouble_on(a, TROUBLE_NAMES, "more files than max-names: the others wait");
    } else {
        trouble_off(a, TROUBLE_NAMES);
    }
    return true;
}

/* ---- inotify: a hint that a look is worth while; what it says is not believed ---- */

static void hinted(void *ctx, int ready)
{
    struct adapter *a = ctx;
    char events[16 * 1024];
    (void)ready;
    while (read(a->inotify, events, sizeof events) > 0) {
    }
    if (!a->scan_soon) {
        a->scan_soon = true;
        net_timer_set(a->scan, HINT_MS + 10 * a->scan_cost_ms);
    }
}

bool scan_hints(struct adapter *a, struct err *e)
{
    a->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    a->hint = a->inotify >= 0 ? net_watch_new(a->loop, a->inotify, hinted, a) : NULL;
    if (!a->hint) {
        ERR(e, ERR_IO, 0, "no inotify: %s", strerror(errno));
        scan_hints_free(a);
        return false;
    }
    net_watch_want(a->hint, NET_READ);
    return true;
}

void scan_hints_free(struct adapter *a)
{
    net_watch_free(&a->hint);
    if (a->inotify >= 0) {
        close(a->inotify);
        a->inotify = -1;
    }
}
