#include "adapters/files/helper.h"

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16 * 1024, OUT = 3 };

struct helper {
    struct helper_work w;
    struct net_watch *watch;
    struct net_timer *silence;
    struct buf in;
    pid_t pid;
    int fd;
};

/* Memory is limited relative to what the process has: the second line of /proc/self/statm, sixth
 * number. Without /proc there is no limit. */
static void limit_memory(int64_t more)
{
    struct arena *a = arena_new(0);
    struct str text, word = {0};
    int64_t pages = 0;
    if (a && file_read(a, "/proc/self/statm", 4096, &text, NULL) == ERR_NONE) {
        for (int i = 0; i < 6 && str_next(&text, ' ', &word); i++) {
        }
        num_i64(word, 0, INT32_MAX, &pages, NULL);
    }
    arena_free(&a);
    if (pages) {
        rlim_t all = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + more);
        const struct rlimit limit = {.rlim_cur = all, .rlim_max = all};
        setrlimit(RLIMIT_DATA, &limit);
    }
}

static void in_child(const struct helper_work *w, int out, pid_t parent)
{
    /* A stop is meant for the parent, which lets us go on or kills us. */
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
        signal(ignored[i], SIG_IGN);
    }
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || (out != OUT && dup2(out, OUT) != OUT)) {
        _exit(1);
    }
    closefrom(OUT + 1); /* the loop's, the database's and whatever else was open */
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    close(null);
    if (w->memory) {
        limit_memory(w->memory);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    _exit(w->run(w->ctx, OUT));
}

void helper_say(int out, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, args);
    va_end(args);
    n = n < 0 ? 0 : n > (int)sizeof line - 2 ? (int)sizeof line - 2 : n;
    line[n] = '\n';
    for (int done = 0; done <= n;) {
        ssize_t w = write(out, line + done, (size_t)(n + 1 - done));
        if (w < 0 && errno != EINTR) {
            _exit(1);
        }
        done += w > 0 ? (int)w : 0;
    }
}

static void free_helper(struct helper *h)
{
    net_watch_free(&h->watch);
    net_timer_free(&h->silence);
    buf_release(&h->in);
    if (h->fd >= 0) {
        close(h->fd);
    }
    free(h);
}

/* After the end of the pipe it has ended or is about to; a kill hurts neither. */
static bool reap(struct helper *h, bool kill_first)
{
    int status = 0;
    if (kill_first) {
        kill(h->pid, SIGKILL);
    }
    while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void gone(struct helper *h, bool kill_first)
{
    const struct helper_work w = h->w;
    bool ok = reap(h, kill_first) && !kill_first;
    free_helper(h);
    w.ended(w.ctx, ok);
}

static void silent(void *ctx)
{
    gone(ctx, true);
}

static void hear(void *ctx, int ready)
{
    struct helper *h = ctx;
    (void)ready;
    char *room = buf_room(&h->in, 4096);
    ssize_t n = room ? read(h->fd, room, 4096) : 0;
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    if (n <= 0) {
        gone(h, !room);
        return;
    }
    buf_took(&h->in, (size_t)n);
    if (h->w.silence_ms) {
        net_timer_set(h->silence, h->w.silence_ms);
    }
    size_t done = 0, end;
    while ((end = str_find(buf_str(&h->in), '\n', done)) < h->in.n) {
        h->w.line(h->w.ctx, str_cut(buf_str(&h->in), done, end));
        done = end + 1;
    }
    buf_drop(&h->in, done);
}

static enum err_code make(struct net_loop *loop, struct helper *h, int in, struct err *e)
{
    h->fd = in;
    h->watch = net_watch_new(loop, in, hear, h);
    h->silence = net_timer_new(loop, silent, h);
    if (!h->watch || !h->silence || fcntl(in, F_SETFL, O_NONBLOCK) != 0) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a helper process");
    }
    net_watch_want(h->watch, NET_READ);
    if (h->w.silence_ms) {
        net_timer_set(h->silence, h->w.silence_ms);
    }
    return ERR_NONE;
}

enum err_code helper_start(struct net_loop *loop, const struct helper_work *w, struct helper **out,
                           struct err *e)
{
    int ends[2];
    *out = NULL;
    struct helper *h = calloc(1, sizeof *h);
    if (!h || pipe(ends) != 0) {
        free(h);
        return ERR(e, ERR_IO, 0, "could not make a pipe for a helper process");
    }
    h->w = *w;
    h->fd = -1;
    buf_init(&h->in, 4 * LINE_MAX_BYTES);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    sigset_t all, before;
    sigfillset(&all);
    pid_t parent = getpid();
    /* A signal between fork and reset would be told to our own loop by the child. */
    sigprocmask(SIG_SETMASK, &all, &before);
    h->pid = fork();
    if (h->pid == 0) {
        in_child(w, ends[1], parent);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    enum err_code code = make(loop, h, ends[0], e);
    if (h->pid < 0) {
        code = ERR(e, ERR_IO, 0, "could not start a helper process");
    }
    if (code != ERR_NONE) {
        if (h->pid > 0) {
            reap(h, true);
        }
        free_helper(h);
        return code;
    }
    *out = h;
    return ERR_NONE;
}

void helper_stop(struct helper **h)
{
    if (*h) {
        reap(*h, true);
        free_helper(*h);
        *h = NULL;
    }
}
