/*
 * SIGHUP: the configuration is read again.
 *
 * Everything is checked first; with any problem nothing changes. Then, comparing fingerprints:
 *
 *   1. processes that are gone from the configuration, or must be started again for it, are asked
 *      to end: they take nothing new, and what is under way gets its reply;
 *   2. those are started with the new configuration, and new ones, in the order of the roles. One
 *      that cannot serve with it is started with the old one again, a new one is left out;
 *   3. feeds that can take the change while they run are told to (role.h); their connections stay.
 *
 * Everybody else is not touched. What was done, and what could not be, is logged and written into
 * the run folder.
 */
#include "core/app/supervisor.h"

#include "core/app/check.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GLANCE_MS = 5, MAX_REPORT = 1 << 20, READY_MS = 15000 };

struct reload {
    struct supervisor *s;
    struct edition next;
    struct child list[MAX_CHILDREN]; /* as the new configuration wants them */
    size_t count;
    bool failed;
    struct buf told;
};

void reload_path(const char *run, long pid, char *out, size_t n)
{
    snprintf(out, n, "%s/reload.%ld", run, pid);
}

static void tell(struct reload *r, bool bad, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void tell(struct reload *r, bool bad, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    r->failed |= bad;
    buf_printf(&r->told, "%s\n", line);
    log_line(bad ? LOG_ERROR_ : LOG_INFO_, "run.reload", "%s=\"%s\"", bad ? "problem" : "done",
             line);
}

/* ---- may it be? ---- */

/* What no running process can take, and what files lie by the name of. */
static void check_fixed(struct reload *r)
{
    const struct config *old = r->s->now.config, *new = r->next.config;
    const struct {
        const char *what, *old, *new;
    } fixed[] = {{"site id", old->site, new->site},
                 {"keys folder", old->keys, new->keys},
                 {"run folder", old->run, new->run},
                 {"log file", old->log4crc, new->log4crc}};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (strcmp(fixed[i].old ? fixed[i].old : "", fixed[i].new ? fixed[i].new : "") != 0) {
            tell(r, true, "%s: <%s> has changed: stop dari and start it again for that", new->file,
                 fixed[i].what);
        }
    }
}

static const struct child *find(const struct child *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

/* Messages that were accepted and not committed belong to a feed: it may not vanish over them. */
static bool has_spooled(const struct config_feed *f)
{
    char path[4096];
    return snprintf(path, sizeof path, "%s/%s.spool", f->spool, f->name) < (int)sizeof path &&
           file_exists(path);
}

static void check_spools(struct reload *r)
{
    for (size_t i = 0; i < r->s->count; i++) {
        const struct child *c = &r->s->children[i], *next = find(r->list, r->count, c->name);
        bool leaves = c->feed && (!next || strcmp(next->feed->spool, c->feed->spool) != 0);
        if (leaves && has_spooled(c->feed)) {
            tell(r, true,
                 "%s: accepted messages wait for the database in %s: it cannot be removed, nor its "
                 "spool moved, before they are committed",
                 c->name, c->feed->spool);
        }
    }
}

static void tell_problems(struct reload *r, const struct problems *p)
{
    struct str rest = {p->text, p->n}, line;
    while (p->n && str_next(&rest, '\n', &line)) {
        if (line.n) {
            tell(r, true, "%.*s", STR_ARG(line));
        }
    }
}

/* Loads and checks everything; r->failed when it may not be. */
static void consider(struct reload *r)
{
    struct problems p = {0};
    struct err e = {0};
    union { /* child_wanted only reads it */
        const char *in;
        void *out;
    } ctx = {.in = r->s->only};
    const struct check_scope scope = {child_wanted, ctx.out};
    r->next.arena = arena_new(0);
    r->next.config = r->next.arena ? config_load(r->next.arena, r->s->file, &p) : NULL;
    if (r->next.config) {
        check_files(r->next.arena, r->next.config, &scope, &p);
    }
    tell_problems(r, &p);
    problems_release(&p);
    if (!r->next.config || r->failed) {
        r->failed = true;
        return;
    }
    check_fixed(r);
    if (children_of(r->next.config, r->s->only, r->list, &r->count, &e) != ERR_NONE) {
        tell(r, true, "%s", e.msg);
    }
    if (!r->failed) {
        check_spools(r);
    }
}

/* ---- ending ---- */

static bool same(const unsigned char a[SHA256_BYTES], const unsigned char b[SHA256_BYTES])
{
    return memcmp(a, b, SHA256_BYTES) == 0;
}

static bool must_end(const struct reload *r, const struct child *c)
{
    const struct child *next = find(r->list, r->count, c->name);
    return !next || !same(next->print.restart, c->print.restart) ||
           (!c->feed && !same(next->print.running, c->print.running));
}

static size_t still_there(const struct supervisor *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        n += s->children[i].held && s->children[i].pid > 0;
    }
    return n;
}

static void wait_for_ends(struct supervisor *s)
{
    usec until = clock_mono() + (usec)PATIENCE * 1000;
    bool killed = false;
    while (still_there(s) > 0) {
        supervisor_wait(s, GLANCE_MS);
        supervisor_start_due(s);
        if (!killed && clock_mono() >= until) {
            killed = true;
            log_warn("run.killed", "after_ms=%d", PATIENCE);
            for (size_t i = 0; i < s->count; i++) {
                if (s->children[i].held && s->children[i].pid > 0) {
                    kill(s->children[i].pid, SIGKILL);
                }
            }
        }
    }
}

static void end_some(struct reload *r)
{
    struct supervisor *s = r->s;
    for (size_t i = 0; i < s->count; i++) {
        struct child *c = &s->children[i];
        c->held = must_end(r, c);
        if (c->held && c->pid > 0) {
            kill(c->pid, SIGTERM);
        }
    }
    wait_for_ends(s);
    for (size_t i = s->count; i-- > 0;) {
        struct child *c = &s->children[i];
        if (!c->held || find(r->list, r->count, c->name)) {
            continue;
        }
        bool left = c->feed && has_spooled(c->feed);
        tell(r, left,
             left ? "%s removed, but messages that it accepted meanwhile wait in its "
                    "spool: configure it again"
                  : "%s removed",
             c->name);
        supervisor_forget(s, c);
    }
}

/* ---- starting ---- */

/* Serves, or has ended, or takes long: then it is left to itself. */
static bool wait_until_ready(struct supervisor *s, const char *name)
{
    usec until = clock_mono() + (usec)READY_MS * 1000;
    for (;;) {
        const struct child *c = find(s->children, s->count, name);
        if (!c || !c->pid) {
            return false;
        }
        if (atomic_load(&c->report->ready) || clock_mono() >= until || s->stopping) {
            return true;
        }
        supervisor_wait(s, GLANCE_MS);
    }
}

static struct child *own(struct supervisor *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->children[i].name, name) == 0) {
            return &s->children[i];
        }
    }
    return NULL;
}

/* What a child is started with from now on. */
static void give(struct child *c, const struct child *next)
{
    c->config = next->config;
    c->feed = next->feed;
    c->print = next->print;
}

/* `held` keeps a child that ends at once from being started again before we have seen it. */
static bool start_one(struct supervisor *s, const char *name)
{
    struct child *c = own(s, name);
    c->held = false;
    c->start_at = 0;
    supervisor_start_due(s);
    c->held = true;
    bool ok = wait_until_ready(s, name);
    c = own(s, name);
    c->held = false;
    return ok;
}

static void start_again(struct reload *r, struct child *c, const struct child *next)
{
    struct child old = *c;
    give(c, next);
    if (start_one(r->s, next->name)) {
        tell(r, false, "%s started again", next->name);
        return;
    }
    tell(r, true, "%s cannot run with the new configuration and keeps the old one: %s", next->name,
         c->report->text[0] ? c->report->text : "see the log");
    give(c, &old);
    if (!start_one(r->s, next->name)) {
        tell(r, true, "%s cannot run with the old configuration either: it is tried again",
             next->name);
    }
}

static void start_new(struct reload *r, const struct child *next)
{
    struct err e = {0};
    struct child *c;
    if (supervisor_take(r->s, next, &c, &e) != ERR_NONE) {
        tell(r, true, "%s cannot be started: %s", next->name, e.msg);
        return;
    }
    if (start_one(r->s, next->name)) {
        tell(r, false, "%s started", next->name);
        return;
    }
    tell(r, true, "%s cannot be started and is left out: %s", next->name,
         c->report->text[0] ? c->report->text : "see the log");
    supervisor_forget(r->s, c);
}

static void start_some(struct reload *r)
{
    for (size_t i = 0; i < r->count && !r->s->stopping; i++) {
        const struct child *next = &r->list[i];
        struct child *c = own(r->s, next->name);
        if (!c) {
            start_new(r, next);
        } else if (c->held) {
            start_again(r, c, next);
        }
    }
}

/* ---- telling those that keep running ---- */

static void take_it(struct reload *r, struct child *c, const struct child *next)
{
    long long want = r->s->generation;
    usec until = clock_mono() + (usec)READY_MS * 1000, again = 0;
    struct child old = *c;
    give(c, next); /* should it die now, it starts with the new one */
    atomic_store(&c->report->asked, want);
    while (c->pid && atomic_load(&c->report->taken) < want && clock_mono() < until &&
           !r->s->stopping) {
        if (clock_mono() >= again) {
            kill(c->pid, SIGHUP); /* it may not have listened yet */
            again = clock_mono() + USEC_SECOND / 5;
        }
        supervisor_wait(r->s, GLANCE_MS);
    }
    if (c->pid && atomic_load(&c->report->taken) < want) {
        tell(r, true, "%s does not answer: it may not have taken the new configuration", c->name);
    } else if (c->pid && atomic_load(&c->report->refused)) {
        tell(r, true, "%s keeps the old configuration: %s", c->name, c->report->text);
        give(c, &old);
    } else {
        tell(r, false, "%s has taken the change", c->name);
    }
}

static void tell_running(struct reload *r)
{
    for (size_t i = 0; i < r->count && !r->s->stopping; i++) {
        const struct child *next = &r->list[i];
        struct child *c = own(r->s, next->name);
        if (!c || c->config == next->config) {
            continue;
        }
        if (same(c->print.running, next->print.running) &&
            same(c->print.restart, next->print.restart)) {
            give(c, next);
        } else if (same(c->print.restart, next->print.restart)) {
            take_it(r, c, next);
        }
    }
}

/* ---- the whole ---- */

static bool in_use(const struct supervisor *s, const struct edition *x)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->children[i].config == x->config) {
            return true;
        }
    }
    return false;
}

static void free_unused(struct supervisor *s)
{
    for (size_t i = 0; i < MAX_CHILDREN; i++) {
        if (s->before[i].arena && !in_use(s, &s->before[i])) {
            arena_free(&s->before[i].arena);
            s->before[i].config = NULL;
        }
    }
}

static void change(struct reload *r)
{
    struct supervisor *s = r->s;
    size_t i = 0;
    s->generation++;
    while (s->before[i].arena) { /* each is in use by a child, and not all by ours */
        i++;
    }
    s->before[i] = s->now;
    s->now = r->next;
    end_some(r);
    start_some(r);
    tell_running(r);
    free_unused(s);
}

static void write_report(const struct reload *r, usec began, enum reload_status status)
{
    char path[4096];
    struct buf b;
    struct err e = {0};
    buf_init(&b, MAX_REPORT + 64);
    buf_printf(&b, "%" PRId64 " %d\n", began, (int)status);
    buf_add(&b, buf_str(&r->told));
    reload_path(r->s->now.config->run, (long)getpid(), path, sizeof path);
    if (file_write(path, buf_str(&b), 0644, &e) != ERR_NONE) {
        log_err(LOG_WARN_, "run.reload", &e);
    }
    buf_release(&b);
}

void supervisor_reload(struct supervisor *s)
{
    usec began = clock_mono();
    struct reload *r = calloc(1, sizeof *r);
    if (!r) {
        log_error("run.reload", "problem=\"no memory\"");
        return;
    }
    r->s = s;
    buf_init(&r->told, MAX_REPORT);
    write_report(r, began, RELOAD_UNDER_WAY); /* nobody need ask twice */
    consider(r);
    if (r->failed) {
        tell(r, true, "nothing was changed");
        zone_set(s->now.config->zone, NULL);
        arena_free(&r->next.arena);
    } else {
        change(r);
        if (!r->told.n) {
            tell(r, false, "nothing has changed");
        }
    }
    write_report(r, began, r->failed ? RELOAD_REFUSED : RELOAD_DONE);
    buf_release(&r->told);
    free(r);
}
