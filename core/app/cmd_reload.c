#include "core/app/command.h"
#include "core/app/supervisor.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char help[] =
    "usage: dari reload [--config FILE]\n"
    "\n"
    "Tells the dari run that works in the configuration's run folder to read its configuration "
    "again (as SIGHUP\n"
    "does), waits, and prints what came of it. Everything is checked first: with any problem "
    "nothing changes.\n"
    "\n"
    "  mappings, code tables, catalogue, certificates of feeds   taken while running, connections "
    "stay\n"
    "  other options of a feed; a feed removed                   it ends in order (requests under "
    "way get their\n"
    "                                                            reply), and is started again\n"
    "  contracts, segments, journeys, templates, …               that role is started again\n"
    "  site id, folders of keys and of run, log                  refused: needs a new dari run\n"
    "\n"
    "What did not change is not touched. A feed that cannot run with its new options keeps the old "
    "ones. Ends with 1\n"
    "when anything was refused.\n";

enum { WAIT_MS = 120000, AGAIN_MS = 2000, MAX_SUPERVISORS = 64 };

/* Whose the lock is, if anybody holds it; 0: nobody. */
static long holder(struct arena *a, const char *path)
{
    struct str text, name;
    int64_t pid = 0;
    char comm[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    if (!held || file_read(a, path, 64, &text, NULL) != ERR_NONE ||
        num_i64(str_trim(text), 2, INT32_MAX, &pid, NULL) != ERR_NONE) {
        return 0;
    }
    /* Its processes outlive a killed supervisor by a moment: its number may be another's. */
    snprintf(comm, sizeof comm, "/proc/%ld/comm", (long)pid);
    bool ours = file_read(a, comm, 64, &name, NULL) == ERR_NONE && str_starts(name, STR("dari"));
    return ours ? (long)pid : 0;
}

static enum err_code find_all(struct arena *a, const char *run, long pids[MAX_SUPERVISORS],
                              size_t *n, struct err *e)
{
    char **names;
    size_t count;
    *n = 0;
    enum err_code code = file_list(a, run, ".lock", &names, &count, e);
    for (size_t i = 0; code == ERR_NONE && i < count; i++) {
        const char *path = file_path(a, run, names[i]);
        long pid = path ? holder(a, path) : 0;
        bool known = pid == 0;
        for (size_t k = 0; k < *n; k++) {
            known |= pids[k] == pid;
        }
        if (!known && *n < MAX_SUPERVISORS) {
            pids[(*n)++] = pid;
        }
    }
    if (code == ERR_NOTFOUND || (code == ERR_NONE && *n == 0)) {
        code = ERR(e, ERR_NOTFOUND, 0, "no dari run works in %s: start one", run);
    }
    return code;
}

/* The report of a reload that began after we asked; *heard once it has begun. */
static bool reported(struct arena *a, const char *path, usec asked, struct str *lines, bool *ok,
                     bool *heard)
{
    struct str rest, first, began;
    int64_t at;
    if (file_read(a, path, 1 << 21, &rest, NULL) != ERR_NONE || !str_next(&rest, '\n', &first) ||
        !str_next(&first, ' ', &began) || num_i64(began, 0, INT64_MAX, &at, NULL) != ERR_NONE ||
        at < asked) {
        return false;
    }
    *heard = true;
    *ok = str_is(first, "0");
    *lines = rest;
    return !str_is(first, "2");
}

static bool ask(struct arena *a, const char *run, long pid)
{
    char path[4096];
    struct str lines = {0};
    bool ok = false, heard = false;
    usec asked = clock_mono(), until = asked + (usec)WAIT_MS * 1000, again = 0;
    reload_path(run, pid, path, sizeof path);
    while (!reported(a, path, asked, &lines, &ok, &heard)) {
        if (!heard && clock_mono() >= again) { /* it may have been starting */
            if (kill((pid_t)pid, SIGHUP) != 0) {
                command_failed("reload",
                               errno == EPERM ? "process %ld belongs to another user"
                                              : "process %ld has ended meanwhile",
                               pid);
                return false;
            }
            again = clock_mono() + (usec)AGAIN_MS * 1000;
        }
        if (clock_mono() >= until) {
            command_failed("reload", "process %ld did not finish within %d s: see its log", pid,
                           WAIT_MS / 1000);
            return false;
        }
        poll(NULL, 0, 20);
    }
    fprintf(ok ? stdout : stderr, "%.*s", STR_ARG(lines));
    return ok;
}

int cmd_reload(int argc, char **argv)
{
    const char *file = NULL;
    const struct command_option options[] = {{"--config", &file, NULL}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left != 0) {
        return left < 0 ? status : command_usage("reload", "unexpected word %s", argv[1]);
    }
    long pids[MAX_SUPERVISORS];
    size_t n;
    struct err e = {0};
    struct arena *a = arena_new(0);
    const struct config *c = a ? config_open(a, file, &status) : NULL;
    if (!c) {
        command_failed("reload", "nothing was changed");
    } else {
        bool ok = find_all(a, c->run, pids, &n, &e) == ERR_NONE;
        if (!ok) {
            command_failed("reload", "%s", e.msg);
        }
        for (size_t i = 0; i < n; i++) {
            ok &= ask(a, c->run, pids[i]);
        }
        status = ok ? EXIT_DONE : EXIT_REFUSED;
    }
    arena_free(&a);
    return status;
}
