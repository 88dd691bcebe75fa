#include "core/app/supervisor.h"

#include "core/app/command.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BACKOFF_FIRST = 200, BACKOFF_LAST = 5000, STEADY = 5000, LOOK_MS = 100 };

static const struct role roles[] = {
    {"relay", role_relay},         {"feed", role_feed},       {"segment", role_segment},
    {"messaging", role_messaging}, {"steward", role_steward},
};

/* ---- who is to run ---- */

static void name_child(char out[48], const char *role, const struct config_feed *feed)
{
    snprintf(out, 48, feed ? "%s:%s" : "%s", role, feed ? feed->name : "");
}

bool child_wanted(void *only, const char *role, const struct config_feed *feed)
{
    char name[48];
    struct str rest = str_of(only), one;
    name_child(name, role, feed);
    while (only && str_next(&rest, ',', &one)) {
        if (str_is(one, name) || str_is(one, role)) {
            return true;
        }
    }
    return !only;
}

static bool add(const struct config *c, const char *only, const struct role *role,
                const struct config_feed *feed, struct child *out, size_t *count, struct err *e)
{
    union { /* child_wanted only reads it */
        const char *in;
        void *out;
    } ctx = {.in = only};
    if (!child_wanted(ctx.out, role->name, feed)) {
        return true;
    }
    if (*count == MAX_CHILDREN) {
        ERR(e, ERR_LIMIT, 0,
            "more than %d processes: share the feeds among several dari run --only", MAX_CHILDREN);
        return false;
    }
    struct child *x = &out[(*count)++];
    *x = (struct child){.role = role, .config = c, .feed = feed, .lock = -1};
    name_child(x->name, role->name, feed);
    return fingerprint_of(c, role->name, feed, &x->print, e) == ERR_NONE;
}

/* A word that names nobody would start nothing, and say nothing. */
static enum err_code known_words(const char *only, const struct child *list, size_t n,
                                 struct err *e)
{
    struct str rest = str_of(only), one;
    while (only && str_next(&rest, ',', &one)) {
        bool known = false;
        for (size_t i = 0; i < n; i++) {
            known |= str_is(one, list[i].name) || str_is(one, list[i].role->name);
        }
        if (!known) {
            return ERR(e, ERR_NOTFOUND, 0,
                       "there is no role %.*s (feed, relay, segment, messaging, steward; "
                       "feed:NAME for one feed)",
                       STR_ARG(one));
        }
    }
    return ERR_NONE;
}

enum err_code children_of(const struct config *c, const char *only, struct child *out,
                          size_t *count, struct err *e)
{
    *count = 0;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        bool feeds = roles[i].run == role_feed;
        for (size_t k = 0; k < (feeds ? c->feed_count : 1); k++) {
            if (!add(c, only, &roles[i], feeds ? &c->feeds[k] : NULL, out, count, e)) {
                return e->code;
            }
        }
    }
    return known_words(only, out, *count, e);
}

/* ---- one of each in a run folder ---- */

/*
 * Two of a role in one run folder would take each other's socket. The role's process inherits the
 * lock: one that a killed supervisor left behind holds it until it has ended, which is waited for.
 * In it stands our process, for dari reload.
 */
static enum err_code lock_role(const char *run, const char *name, int *out, struct err *e)
{
    char path[4096], text[32];
    snprintf(path, sizeof path, "%s/%s.lock", run, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ERR(e, ERR_IO, 0, "could not open %s: %s", path, strerror(errno));
    }
    const struct timespec pause = {0, 50 * 1000 * 1000};
    usec until = clock_mono() + (usec)PATIENCE * 1000;
    bool waiting = false;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || clock_mono() >= until) {
            close(fd);
            return ERR(e, ERR_EXISTS, 0,
                       "role %s runs in %s already: stop the other dari, or give this "
                       "one a run folder, a relay socket and ports of its own",
                       name, run);
        }
        if (!waiting) {
            log_warn("run.waiting", "role=%s for=\"the one that still runs in %s\"", name, run);
        }
        waiting = true;
        nanosleep(&pause, NULL);
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || write(fd, text, (size_t)n) != n) {
        log_warn("run.lock", "role=%s error=\"%s\"", name, strerror(errno));
    }
    *out = fd;
    return ERR_NONE;
}

enum err_code supervisor_take(struct supervisor *s, const struct child *c, struct child **out,
                              struct err *e)
{
    int fd;
    size_t free_report = 0;
    if (s->count == MAX_CHILDREN) {
        return ERR(e, ERR_LIMIT, 0, "more than %d processes", MAX_CHILDREN);
    }
    enum err_code code = lock_role(s->now.config->run, c->name, &fd, e);
    if (code != ERR_NONE) {
        return code;
    }
    while (s->used[free_report]) {
        free_report++;
    }
    s->used[free_report] = true;
    struct child *x = &s->children[s->count++];
    *x = *c;
    x->lock = fd;
    x->report = &s->reports[free_report];
    *out = x;
    return ERR_NONE;
}

void supervisor_forget(struct supervisor *s, struct child *c)
{
    close(c->lock);
    s->used[c->report - s->reports] = false;
    size_t i = (size_t)(c - s->children);
    memmove(c, c + 1, (s->count - i - 1) * sizeof *c);
    s->count--;
}

/* ---- processes ---- */

/* Who runs, for dari status and for people: one line per role. */
static void write_roles(const struct supervisor *s)
{
    char path[4096];
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_printf(&b, "dari %ld 0\n", (long)getpid());
    for (size_t i = 0; i < s->count; i++) {
        buf_printf(&b, "%s %ld %u\n", s->children[i].name, (long)s->children[i].pid,
                   s->children[i].restarts);
    }
    snprintf(path, sizeof path, "%s/roles", s->now.config->run);
    struct err e;
    if (file_write(path, buf_str(&b), 0644, &e) != ERR_NONE) {
        log_err(LOG_WARN_, "run.roles", &e);
    }
    buf_release(&b);
}

/* In the new process: the locks of the others are none of its business. */
static void become(const struct supervisor *s, const struct child *c, pid_t parent)
{
    sigprocmask(SIG_SETMASK, &s->at_start, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(EXIT_REFUSED);
    }
    for (size_t i = 0; i < s->count; i++) {
        if (&s->children[i] != c && s->children[i].lock >= 0) {
            close(s->children[i].lock);
        }
    }
    zone_set(c->config->zone, NULL); /* a reload may have tried another */
    role_reports_to(c->report);
    exit(c->role->run(c->config, c->feed));
}

static void start(struct supervisor *s, struct child *c)
{
    pid_t parent = getpid();
    c->started = clock_mono();
    c->start_at = 0;
    c->report->text[0] = '\0';
    atomic_store(&c->report->ready, 0);
    atomic_store(&c->report->refused, 0);
    atomic_store(&c->report->asked, s->generation);
    atomic_store(&c->report->taken, s->generation);
    c->pid = fork();
    if (c->pid < 0) {
        log_error("run.fork", "role=%s error=\"%s\"", c->name, strerror(errno));
        c->pid = 0;
        c->start_at = clock_mono() + BACKOFF_LAST * 1000;
        return;
    }
    if (c->pid == 0) {
        become(s, c, parent);
    }
    log_info("run.started", "role=%s pid=%ld", c->name, (long)c->pid);
}

/* It could never serve, and trying again would give the same: somebody should know at once. */
static bool hopeless(const struct child *c)
{
    return !c->served && WIFEXITED(c->status) && WEXITSTATUS(c->status) == ROLE_MISCONFIGURED;
}

static void ended(struct supervisor *s, struct child *c, int status)
{
    c->served |= atomic_load(&c->report->ready) != 0;
    c->pid = 0;
    c->status = status;
    if (s->stopping || c->held) {
        return;
    }
    if (hopeless(c)) {
        ERR(&s->refusal, ERR_CONFIG, 0, "%s cannot start: %s", c->name, c->report->text);
        s->stopping = true;
        return;
    }
    bool steady = clock_mono() - c->started > (usec)STEADY * 1000;
    c->backoff = steady || !c->backoff ? BACKOFF_FIRST : c->backoff * 2;
    if (c->backoff > BACKOFF_LAST) {
        c->backoff = BACKOFF_LAST;
    }
    c->start_at = clock_mono() + c->backoff * 1000;
    c->restarts++;
    log_warn("run.ended", "role=%s %s=%d again_in_ms=%lld", c->name,
             WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)c->backoff);
}

static void reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (size_t i = 0; i < s->count; i++) {
            if (s->children[i].pid == pid) {
                ended(s, &s->children[i], status);
            }
        }
    }
}

void supervisor_start_due(struct supervisor *s)
{
    bool any = false;
    for (size_t i = 0; i < s->count && !s->stopping; i++) {
        struct child *c = &s->children[i];
        if (!c->pid && !c->held && c->start_at <= clock_mono()) {
            start(s, c);
            any = true;
        }
    }
    if (any) {
        write_roles(s);
    }
}

void supervisor_wait(struct supervisor *s, int ms)
{
    const struct timespec wait = {0, (long)ms * 1000 * 1000};
    int signo = sigtimedwait(&s->signals, NULL, &wait);
    s->stopping |= signo == SIGTERM || signo == SIGINT;
    s->again |= signo == SIGHUP;
    reap(s);
}

static size_t signal_all(const struct supervisor *s, int signo)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->children[i].pid > 0) {
            kill(s->children[i].pid, signo);
            n++;
        }
    }
    return n;
}

static void stop_all(struct supervisor *s)
{
    char path[4096];
    log_info("run.stopping", "");
    usec until = clock_mono() + (usec)PATIENCE * 1000;
    signal_all(s, SIGTERM);
    while (signal_all(s, 0) > 0 && clock_mono() < until) {
        supervisor_wait(s, LOOK_MS);
    }
    if (signal_all(s, SIGKILL) > 0) {
        log_warn("run.killed", "after_ms=%d", PATIENCE);
        reap(s);
    }
    snprintf(path, sizeof path, "%s/roles", s->now.config->run);
    unlink(path);
    reload_path(s->now.config->run, (long)getpid(), path, sizeof path);
    unlink(path);
    log_info("run.stopped", "");
}

void supervise(struct supervisor *s)
{
    sigemptyset(&s->signals);
    const int all[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        sigaddset(&s->signals, all[i]);
    }
    sigprocmask(SIG_BLOCK, &s->signals, &s->at_start);
    while (!s->stopping) {
        supervisor_start_due(s);
        supervisor_wait(s, LOOK_MS); /* children whose back-off ends are looked for as well */
        if (s->again && !s->stopping) {
            s->again = false;
            supervisor_reload(s);
        }
    }
    stop_all(s);
}
