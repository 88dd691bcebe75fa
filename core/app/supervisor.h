/*
 * The supervisor's body: the processes that it keeps, one per role. cmd_run.c begins and ends,
 * supervisor.c starts, watches and ends processes, reload.c changes them. It parses nothing that
 * came from outside and holds no connection of any kind; what it tells and learns goes by signals
 * and a page of memory that it shares with its processes (role.h).
 *
 * A process keeps running with the configuration it was started with. Configurations live until no
 * process would be started again with them.
 */
#ifndef DARI_APP_SUPERVISOR_H
#define DARI_APP_SUPERVISOR_H

#include "core/app/fingerprint.h"
#include "core/app/role.h"

#include <signal.h>

enum { MAX_CHILDREN = 64, PATIENCE = 10000 };

struct child {
    char name[48]; /* relay, feed:emr */
    const struct role *role;
    const struct config *config; /* what it is started with */
    const struct config_feed *feed;
    struct fingerprint print;
    struct role_report *report;
    int lock;               /* descriptor; -1: none yet */
    pid_t pid;              /* 0: not running */
    usec started, start_at; /* monotonic */
    int64_t backoff;
    unsigned restarts;
    int status;  /* how it ended last, as waitpid() says */
    bool served; /* was ready at least once */
    bool held;   /* being ended on purpose: not started again */
};

/* A loaded configuration and the arena that it lives in. */
struct edition {
    struct arena *arena;
    const struct config *config;
};

struct supervisor {
    const char *file, *only; /* the configuration's file; --only or NULL */
    struct edition now;
    struct edition before[MAX_CHILDREN]; /* as long as a process would be started with it */
    struct child children[MAX_CHILDREN];
    size_t count;
    struct role_report *reports; /* MAX_CHILDREN, shared with the processes */
    bool used[MAX_CHILDREN];     /* of reports */
    sigset_t signals, at_start;
    bool stopping;
    bool again;         /* a reload was asked for */
    struct err refusal; /* why nothing makes sense: a role could not start at all */
    long long generation;
};

/* ---- supervisor.c ---- */

/*
 * The children that a configuration asks for, in the order in which they are started: at most
 * MAX_CHILDREN, with names, roles, feeds and fingerprints, nothing else. ERR_LIMIT; ERR_NOTFOUND
 * when a word of `only` names nobody.
 */
enum err_code children_of(const struct config *c, const char *only, struct child *out,
                          size_t *count, struct err *e);
/* True when `only` (or NULL) asks for the role. As check_scope wants it: ctx is `only`. */
bool child_wanted(void *only, const char *role, const struct config_feed *feed);

/* A place for one more child that is to run. ERR_EXISTS when another dari runs it here. */
enum err_code supervisor_take(struct supervisor *s, const struct child *c, struct child **out,
                              struct err *e);
/* The child has ended and is forgotten. */
void supervisor_forget(struct supervisor *s, struct child *c);
void supervisor_start_due(struct supervisor *s);
/* Waits for a signal at most so long, and sees who has ended. */
void supervisor_wait(struct supervisor *s, int ms);
/* Runs until a signal ends it, or until a role cannot start at all (s->refusal). */
void supervise(struct supervisor *s);

/* ---- reload.c ---- */

/* Reads the configuration again and changes what it asks for; everything is logged, and written
 * into the run folder for whoever asked. */
void supervisor_reload(struct supervisor *s);

/* The file of a supervisor's last reload: "BEGAN STATUS", then lines for people. BEGAN is of the
 * monotonic clock in microseconds. */
enum reload_status { RELOAD_DONE, RELOAD_REFUSED /* all or some of it */, RELOAD_UNDER_WAY };
void reload_path(const char *run, long pid, char *out, size_t n);

#endif
