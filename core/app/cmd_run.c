/*
 * The supervisor: starts one process per role, restarts what dies, ends them all. It parses nothing
 * that came from outside and holds no connection of any kind.
 */
#include "core/app/command.h"
#include "core/app/role.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/crypto/keys.h"
#include "core/store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] = "usage: dari run [--config FILE] [--only ROLE[,ROLE]...]\n"
                           "\n"
                           "Starts a process for each role and keeps it running; ends on SIGTERM "
                           "or Ctrl-C. Roles: feed (one process\n"
                           "per feed; feed:NAME for one), relay, segment, messaging, steward.\n"
                           "\n"
                           "  --config FILE   default: $DARI_CONFIG, else config/dari.xml\n"
                           "  --only ROLES    only these, comma-separated\n";

enum {
    MAX_CHILDREN = 64,
    BACKOFF_FIRST = 200,
    BACKOFF_LAST = 5000,
    STEADY = 5000,
    PATIENCE = 10000
};

static const struct role roles[] = {
    {"relay", role_relay},         {"feed", role_feed},       {"segment", role_segment},
    {"messaging", role_messaging}, {"steward", role_steward},
};

struct child {
    char name[48]; /* relay, feed:emr */
    const struct role *role;
    const struct config_feed *feed;
    pid_t pid;              /* 0: not running */
    usec started, start_at; /* monotonic */
    int64_t backoff;
    unsigned restarts;
};

struct supervisor {
    const struct config *config;
    struct child children[MAX_CHILDREN];
    size_t count;
    sigset_t signals, before;
    bool stopping;
};

static bool wanted(const char *only, const struct child *c)
{
    if (!only) {
        return true;
    }
    struct str rest = str_of(only), one;
    while (str_next(&rest, ',', &one)) {
        if (str_is(one, c->name) || str_is(one, c->role->name)) {
            return true;
        }
    }
    return false;
}

static void add(struct supervisor *s, const char *only, const struct role *role,
                const struct config_feed *feed)
{
    struct child c = {.role = role, .feed = feed};
    snprintf(c.name, sizeof c.name, feed ? "%s:%s" : "%s", role->name, feed ? feed->name : "");
    if (wanted(only, &c) && s->count++ < MAX_CHILDREN) {
        s->children[s->count - 1] = c;
    }
}

static void add_all(struct supervisor *s, const char *only)
{
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        bool feeds = roles[i].run == role_feed;
        for (size_t k = 0; k < (feeds ? s->config->feed_count : 1); k++) {
            add(s, only, &roles[i], feeds ? &s->config->feeds[k] : NULL);
        }
    }
}

/* A word that names nobody would start nothing, and say nothing. */
static bool known_words(const struct supervisor *s, const char *only)
{
    struct str rest = str_of(only), one;
    while (only && str_next(&rest, ',', &one)) {
        bool known = false;
        for (size_t i = 0; i < s->count; i++) {
            known |= str_is(one, s->children[i].name) || str_is(one, s->children[i].role->name);
        }
        if (!known) {
            command_failed("run",
                           "there is no role %.*s (feed, relay, segment, messaging, steward; "
                           "feed:NAME for one feed)",
                           STR_ARG(one));
            return false;
        }
    }
    return true;
}

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
    snprintf(path, sizeof path, "%s/roles", s->config->run);
    struct err e;
    if (file_write(path, buf_str(&b), 0644, &e) != ERR_NONE) {
        log_err(LOG_WARN_, "run.roles", &e);
    }
    buf_release(&b);
}

static void start(struct supervisor *s, struct child *c)
{
    pid_t parent = getpid();
    c->started = clock_mono();
    c->start_at = 0;
    c->pid = fork();
    if (c->pid < 0) {
        log_error("run.fork", "role=%s error=\"%s\"", c->name, strerror(errno));
        c->pid = 0;
        c->start_at = clock_mono() + BACKOFF_LAST * 1000;
        return;
    }
    if (c->pid == 0) {
        sigprocmask(SIG_SETMASK, &s->before, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) {
            _exit(EXIT_REFUSED);
        }
        exit(c->role->run(s->config, c->feed));
    }
    log_info("run.started", "role=%s pid=%ld", c->name, (long)c->pid);
}

static void reaped(struct supervisor *s, pid_t pid, int status)
{
    for (size_t i = 0; i < s->count; i++) {
        struct child *c = &s->children[i];
        if (c->pid != pid) {
            continue;
        }
        c->pid = 0;
        if (s->stopping) {
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
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                 (long long)c->backoff);
    }
}

static void start_due(struct supervisor *s)
{
    bool any = false;
    for (size_t i = 0; i < s->count; i++) {
        struct child *c = &s->children[i];
        if (!c->pid && c->start_at <= clock_mono()) {
            start(s, c);
            any = true;
        }
    }
    if (any) {
        write_roles(s);
    }
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

static void reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        reaped(s, pid, status);
    }
}

/* 100 ms at most: children whose back-off ends are looked for as well. */
static int next_signal(const struct supervisor *s)
{
    struct timespec wait = {0, 100 * 1000 * 1000};
    return sigtimedwait(&s->signals, NULL, &wait);
}

static void stop_all(struct supervisor *s)
{
    s->stopping = true;
    log_info("run.stopping", "");
    usec until = clock_mono() + (usec)PATIENCE * 1000;
    signal_all(s, SIGTERM);
    while (signal_all(s, 0) > 0 && clock_mono() < until) {
        next_signal(s);
        reap(s);
    }
    if (signal_all(s, SIGKILL) > 0) {
        log_warn("run.killed", "after_ms=%d", PATIENCE);
        reap(s);
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/roles", s->config->run);
    unlink(path);
    log_info("run.stopped", "");
}

static void supervise(struct supervisor *s)
{
    sigemptyset(&s->signals);
    const int all[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        sigaddset(&s->signals, all[i]);
    }
    sigprocmask(SIG_BLOCK, &s->signals, &s->before);
    start_due(s);
    for (;;) {
        int signo = next_signal(s);
        reap(s);
        if (signo == SIGTERM || signo == SIGINT) {
            break;
        }
        start_due(s);
    }
    stop_all(s);
}

/* Before anything starts: keys, database and schema; each failure is one line with a remedy. */
static enum err_code prepare(const struct config *c, struct err *e)
{
    struct db *db = NULL;
    struct keyring *keys = NULL;
    int applied;
    char check[KEY_TEXT];
    enum err_code code = keyring_open(c->keys, &keys, e);
    if (code == ERR_NONE) {
        key_opaque(keys, "check", str_of(c->site), STR(""), check);
    }
    keyring_free(&keys);
    if (code == ERR_NONE) {
        code = file_make_folder(c->run, 0700, e);
    }
    if (code == ERR_NONE) {
        code = config_db(c, "migrate", &db, e);
    }
    if (code == ERR_NONE && c->migrate) {
        code = migrate_apply(db, &applied, e);
        if (code == ERR_NONE && applied > 0) {
            log_info("run.migrated", "applied=%d", applied);
        }
    }
    if (code == ERR_NONE) {
        code = migrate_check(db, e);
    }
    if (code == ERR_NONE) {
        code = migrate_site(db, c->site, check, e);
    }
    db_free(&db);
    return code;
}

/*
 * Two of a role in one run folder would take each other's socket. The roles inherit the lock: those
 * that a killed supervisor left behind hold it until they have ended, which is waited for.
 */
static enum err_code lock_role(const struct supervisor *s, const char *name, struct err *e)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.lock", s->config->run, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ERR(e, ERR_IO, 0, "could not open %s: %s", path, strerror(errno));
    }
    const struct timespec pause = {0, 50 * 1000 * 1000};
    usec until = clock_mono() + (usec)PATIENCE * 1000;
    bool waiting = false;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || clock_mono() >= until) {
            enum err_code code =
                ERR(e, ERR_EXISTS, 0,
                    "role %s runs in %s already: stop the other dari, or give this "
                    "one a run folder, a relay socket and ports of its own",
                    name, s->config->run);
            close(fd);
            return code;
        }
        if (!waiting) {
            log_warn("run.waiting", "role=%s for=\"the one that still runs in %s\"", name,
                     s->config->run);
        }
        waiting = true;
        nanosleep(&pause, NULL);
    }
    return ERR_NONE; /* held until we and all roles have ended */
}

static enum err_code lock_roles(const struct supervisor *s, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (size_t i = 0; code == ERR_NONE && i < s->count; i++) {
        code = lock_role(s, s->children[i].name, e);
    }
    return code;
}

/* Connections of strangers must not use up what the database and the log need. */
static void all_descriptors(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max < 65536 ? l.rlim_max : 65536;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

/* For tests and the demo; whoever finds it in a hospital's environment wants to know. */
static void say_clock(void)
{
    const char *path = getenv("DARI_CLOCK");
    if (path) {
        log_warn("run.clock", "file=\"%s\" hint=\"the time is read from there: unset DARI_CLOCK\"",
                 path);
    }
}

int cmd_run(int argc, char **argv)
{
    const char *file = NULL, *only = NULL;
    const struct command_option options[] = {
        {"--config", &file, NULL}, {"--only", &only, NULL}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left != 0) {
        return left < 0 ? status : command_usage("run", "unexpected word %s", argv[1]);
    }
    struct arena *a = arena_new(0);
    static struct supervisor s;
    struct err e = {0};
    s.config = a ? config_open(a, file, &status) : NULL;
    if (!s.config) {
        arena_free(&a);
        return status;
    }
    add_all(&s, only);
    if (s.count > MAX_CHILDREN || !known_words(&s, only)) {
        status = s.count > MAX_CHILDREN
                     ? command_failed("run",
                                      "%zu processes, %d are possible: share the feeds among "
                                      "several dari run --only",
                                      s.count, MAX_CHILDREN)
                     : EXIT_USAGE;
        arena_free(&a);
        return status;
    }
    enum err_code code = log_open("run", s.config->log4crc, &e);
    if (code == ERR_NONE) {
        code = prepare(s.config, &e);
    }
    if (code == ERR_NONE) {
        code = lock_roles(&s, &e);
    }
    if (code == ERR_NONE) {
        all_descriptors();
        say_clock();
        supervise(&s);
    }
    log_close();
    arena_free(&a);
    return code == ERR_NONE ? EXIT_DONE : command_failed("run", "%s", e.msg);
}
