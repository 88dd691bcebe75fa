#include "adapters/files/files.h"

#include "adapters/files/files_internal.h"
#include "adapters/files/rules.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(field) offsetof(struct files_options, field)
#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)
#define GIB ((int64_t)1 << 30)
#define UNFINISHED "*.tmp|*.temp|*.part|*.partial|*.filepart|*.crdownload|*.swp|*~|~$*"

static const struct option_row rows[] = {
    {"folder", OPTION_PATH, "", 0, 0, AT(folder), "local folder to watch"},
    {"url", OPTION_TEXT, "", 0, 0, AT(url),
     "or a folder of an SFTP server: sftp://user@host:port/folder/"},
    {"work", OPTION_PATH, "", 0, 0, AT(work),
     "our own folder, on the file system of the watched one; none: .dari in it"},
    {"archive", OPTION_PATH, "", 0, 0, AT(archive),
     "files that were taken, by day; none: archive in the work folder"},
    {"error", OPTION_PATH, "", 0, 0, AT(error),
     "files that were refused, with the reason; none: error in the work folder"},
    {"reply", OPTION_PATH, "", 0, 0, AT(reply),
     "replies to HL7 batches; none: reply in the work folder"},
    {"match", OPTION_TEXT, "*", 1, 1000, AT(match), "names that are taken: *.csv|*.xlsx"},
    {"exclude", OPTION_TEXT, UNFINISHED, 0, 1000, AT(exclude),
     "names that are left alone, as are those that begin with a dot"},
    {"recursive", OPTION_BOOL, "no", 0, 0, AT(recursive), "yes: folders below too"},
    {"max-depth", OPTION_INT, "8", 1, 32, AT(max_depth), "how many folders below each other"},
    {"order", OPTION_TEXT, "name", 0, 0, AT(order), "which is taken first: name or time"},
    {"complete", OPTION_TEXT, "stable", 0, 0, AT(complete),
     "a file is complete when it is stable, under its final name (rename), or with a control file"},
    {"control", OPTION_TEXT, ".done", 1, 32, AT(control),
     "what a control file has behind the name of its file"},
    {"min-age", OPTION_MS, "5s", 0, DAY_MS, AT(age_ms),
     "stable: size and time have not changed for so long, seen twice"},
    {"scan", OPTION_MS, "10s", 10, DAY_MS, AT(scan_ms), "a look into the folder at least so often"},
    {"retry", OPTION_MS, "10s", 10, DAY_MS, AT(retry_ms),
     "what did not work is tried again after this"},
    {"max-names", OPTION_INT, "20000", 1, 1000000, AT(max_names),
     "files kept in mind at a time; more wait"},
    {"max-file", OPTION_SIZE, "16g", 1024, 1024 * GIB, AT(max_file), "largest file"},
    {"unpack", OPTION_BOOL, "yes", 0, 0, AT(unpack), ".gz and .zip are unpacked (.xlsx is not)"},
    {"max-unpacked", OPTION_SIZE, "4g", 1024, 1024 * GIB, AT(max_unpacked),
     "bytes in all that may come out of a .gz or .zip"},
    {"max-ratio", OPTION_INT, "250", 2, 1000000, AT(max_ratio),
     "and how many times its own size, once that is more than 1m"},
    {"max-members", OPTION_INT, "1000", 1, 100000, AT(max_members), "files in one .zip"},
    {"known-hosts", OPTION_PATH, "", 0, 0, AT(known_hosts),
     "SFTP: keys of servers, as ssh-keyscan writes them; a server without one is refused"},
    {"key", OPTION_PATH, "", 0, 0, AT(key), "SFTP: our private key"},
    {"passphrase-file", OPTION_PATH, "", 0, 0, AT(passphrase_file),
     "SFTP: file with the passphrase of the key"},
    {"password-file", OPTION_PATH, "", 0, 0, AT(password_file),
     "SFTP: file with our password, for servers that know no keys"},
    {"remote-after", OPTION_TEXT, "archive", 0, 0, AT(remote_after),
     "SFTP: what happens there to a file that we have: archive, delete or leave"},
    {"remote-archive", OPTION_TEXT, "archive", 0, 200, AT(remote_archive),
     "SFTP: folder below the watched one for remote-after=\"archive\""},
    {"connect-timeout", OPTION_MS, "10s", 100, 600000, AT(connect_ms), "SFTP: for connecting"},
    {"stall-timeout", OPTION_MS, "30s", 1000, 600000, AT(stall_ms),
     "SFTP: a transfer that stands still is given up after this"},
    {NULL, OPTION_TEXT, NULL, 0, 0, 0, NULL}};

/* ---- options ---- */

static bool one_of(const char *value, const char *a, const char *b, const char *c)
{
    return strcmp(value, a) == 0 || strcmp(value, b) == 0 || (c && strcmp(value, c) == 0);
}

static enum err_code check_words(const struct files_options *o, struct err *e)
{
    if (!one_of(o->order, "name", "time", NULL)) {
        return ERR(e, ERR_CONFIG, 0, "order must be name or time");
    }
    if (!one_of(o->complete, "stable", "rename", "control")) {
        return ERR(e, ERR_CONFIG, 0, "complete must be stable, rename or control");
    }
    if (!o->control[0] || strchr(o->control, '/')) {
        return ERR(e, ERR_CONFIG, 0, "control is what stands behind the name, like .done");
    }
    if (rule_check(str_of(o->match), e) != ERR_NONE) {
        return err_in(e, "match");
    }
    return rule_check(str_of(o->exclude), e) == ERR_NONE ? ERR_NONE : err_in(e, "exclude");
}

static enum err_code check_options(const struct files_options *o, struct err *e)
{
    if (!o->folder[0] == !o->url[0]) {
        return ERR(e, ERR_CONFIG, 0, "give folder, or url for an SFTP server");
    }
    if (o->url[0] && !o->work[0]) {
        return ERR(e, ERR_CONFIG, 0, "url needs work: a local folder of ours for what is fetched");
    }
    enum err_code code = check_words(o, e);
    return code == ERR_NONE && o->url[0] ? fetch_check(o, e) : code;
}

static void check(const void *options, const char *file, int line, struct problems *p)
{
    struct err e = {0};
    if (check_options(options, &e) != ERR_NONE) {
        problem_add(p, file, line, "%s", e.msg);
    }
}

/* A folder that is away is waited for, so only dari check complains of it. */
static void surroundings(const void *options, const char *file, int line, struct problems *p)
{
    const struct files_options *o = options;
    struct stat st;
    if (o->url[0]) {
        fetch_surroundings(o, file, line, p);
    } else if (stat(o->folder, &st) != 0) {
        problem_add(p, file, line, "folder: %s: %s (make it, or correct the name)", o->folder,
                    strerror(errno));
    } else if (!S_ISDIR(st.st_mode)) {
        problem_add(p, file, line, "folder: %s is not a folder", o->folder);
    } else if (access(o->folder, R_OK | W_OK | X_OK) != 0) {
        problem_add(p, file, line, "folder: %s must be ours to read and to move files out of: %s",
                    o->folder, strerror(errno));
    }
}

/* ---- our folders ---- */

static enum err_code make_paths(struct adapter *a, struct err *e)
{
    const struct files_options *o = a->o;
    a->work = o->work[0] ? o->work : arena_printf(a->memory, "%s/.dari", o->folder);
    a->working = a->work ? arena_printf(a->memory, "%s/working", a->work) : NULL;
    a->archive = o->archive[0] ? o->archive : arena_printf(a->memory, "%s/archive", a->work);
    a->error = o->error[0] ? o->error : arena_printf(a->memory, "%s/error", a->work);
    a->reply = o->reply[0] ? o->reply : arena_printf(a->memory, "%s/reply", a->work);
    return a->working && a->archive && a->error && a->reply
               ? ERR_NONE
               : ERR(e, ERR_NOMEM, 0, "no memory for paths");
}

static enum err_code lock(struct adapter *a, struct err *e)
{
    char path[PATH_MAX];
    if (a->lock >= 0) { /* of a folder that was away */
        close(a->lock);
    }
    snprintf(path, sizeof path, "%s/lock", a->work);
    a->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (a->lock < 0) {
        return ERR(e, ERR_IO, 0, "work: could not write in %s: %s", a->work, strerror(errno));
    }
    return flock(a->lock, LOCK_EX | LOCK_NB) == 0
               ? ERR_NONE
               : ERR(e, ERR_CONFIG, 0, "work: %s is used by another feed", a->work);
}

static enum err_code same_file_system(const struct adapter *a, struct err *e)
{
    struct stat folder, working;
    if (stat(a->o->folder, &folder) != 0 || stat(a->working, &working) != 0) {
        return ERR(e, ERR_IO, 0, "could not look at the folders: %s", strerror(errno));
    }
    return folder.st_dev == working.st_dev
               ? ERR_NONE
               : ERR(e, ERR_CONFIG, 0,
                     "work: %s is on another file system than %s: files could not be claimed "
                     "by renaming them",
                     a->work, a->o->folder);
}

/*
 * Once the watched folder is there: makes ours, and looks what an earlier run left. ERR_CONFIG ends
 * a start; any other error is a condition that is tried again.
 */
static enum err_code open_folders(struct adapter *a, struct err *e)
{
    struct stat st;
    if (a->o->folder[0] && stat(a->o->folder, &st) != 0) {
        return ERR(e, ERR_NOTFOUND, 0, "could not read the folder: %s", strerror(errno));
    }
    enum err_code code = file_make_folder(a->working, 0750, e);
    if (code == ERR_NONE) {
        code = lock(a, e);
    }
    if (code == ERR_NONE && a->o->folder[0]) {
        code = same_file_system(a, e);
    }
    if (code == ERR_NONE) {
        code = desk_recover(a, e);
    }
    a->opened = code == ERR_NONE;
    return code;
}

/* ---- life ---- */

static void scan_again(struct adapter *a)
{
    usec now = clock_mono(), due = look_due(&a->look, &a->rules, now);
    int64_t ms = a->o->scan_ms;
    if (due && (due - now) / 1000 + 1 < ms) {
        ms = due > now ? (due - now) / 1000 + 1 : 1;
    }
    net_timer_set(a->scan, ms);
}

static void scan(void *ctx)
{
    struct adapter *a = ctx;
    struct err e = {0};
    a->scan_soon = false;
    if (a->draining) {
        return;
    }
    if (!a->opened) {
        if (open_folders(a, &e) != ERR_NONE) {
            trouble_on(a, e.code == ERR_NOTFOUND ? TROUBLE_FOLDER : TROUBLE_WORK, e.msg);
            net_timer_set(a->scan, a->o->scan_ms);
            return;
        }
        trouble_off(a, TROUBLE_WORK);
    }
    if (a->o->url[0]) {
        fetch_turn(a);
        net_timer_set(a->scan, a->o->scan_ms);
    } else {
        a->opened = scan_folder(a); /* what comes back may be another disk */
        scan_again(a);
    }
    jobs_turn(a);
}

static void turn(void *ctx)
{
    jobs_turn(ctx);
}

static void stop(struct adapter **a)
{
    if (!*a) {
        return;
    }
    helper_stop(&(*a)->fetcher);
    helper_stop(&(*a)->unpacker);
    scan_hints_free(*a);
    net_timer_free(&(*a)->scan);
    net_timer_free(&(*a)->turn);
    desk_free_jobs(*a);
    look_release(&(*a)->look);
    if ((*a)->lock >= 0) {
        close((*a)->lock);
    }
    arena_free(&(*a)->memory);
    free(*a);
    *a = NULL;
}

static struct look_rules rules_of(const struct files_options *o)
{
    return (struct look_rules){.complete = strcmp(o->complete, "stable") == 0    ? LOOK_STABLE
                                           : strcmp(o->complete, "control") == 0 ? LOOK_CONTROL
                                                                                 : LOOK_RENAME,
                               .control = str_of(o->control),
                               .age_ms = o->age_ms,
                               .by_time = strcmp(o->order, "time") == 0,
                               .max = (size_t)o->max_names};
}

static enum err_code make(struct adapter *a, struct err *e)
{
    a->memory = arena_new(0);
    a->scan = net_timer_new(a->loop, scan, a);
    a->turn = net_timer_new(a->loop, turn, a);
    enum err_code code = look_init(&a->look, e);
    if (code != ERR_NONE || !a->memory || !a->scan || !a->turn) {
        return ERR(e, ERR_NOMEM, 0, "no memory for the adapter");
    }
    code = make_paths(a, e);
    if (code == ERR_NONE) {
        code = open_folders(a, e);
    }
    /* Anything but a wrong configuration may pass: scan() says it once and tries again. */
    return code != ERR_NONE && err_class(code) == ERR_CLASS_CONFIG && code != ERR_NOTFOUND
               ? code
               : ERR_NONE;
}

static enum err_code start(struct adapter_host *h, struct net_loop *loop, const void *options,
                           struct adapter **out, struct err *e)
{
    *out = NULL;
    enum err_code code = check_options(options, e);
    struct adapter *a = code == ERR_NONE ? calloc(1, sizeof *a) : NULL;
    if (!a) {
        return code != ERR_NONE ? code : ERR(e, ERR_NOMEM, 0, "no memory for the adapter");
    }
    a->host = h;
    a->loop = loop;
    a->o = options;
    a->lock = a->inotify = -1;
    a->rules = rules_of(a->o);
    code = make(a, e);
    if (code != ERR_NONE) {
        stop(&a);
        return code;
    }
    struct err why = {0};
    if (a->o->folder[0] && !scan_hints(a, &why)) {
        log_err(LOG_INFO_, "files.no-hints", &why);
    }
    log_info("files.watching", "%s=%s scan_ms=%" PRId64, a->o->url[0] ? "url" : "folder",
             a->o->url[0] ? "sftp" : a->o->folder, a->o->scan_ms);
    net_timer_set(a->scan, 0); /* not from here: the host does not know us yet */
    *out = a;
    return ERR_NONE;
}

static void finished(struct adapter *a, void *ticket, const struct adapter_result *result)
{
    (void)a;
    job_finished(ticket, result);
}

static void resume(struct adapter *a)
{
    a->host_full = false;
    jobs_soon(a, 0);
}

static void drain(struct adapter *a)
{
    a->draining = true;
    scan_hints_free(a);
    helper_stop(&a->fetcher);
    unpack_stop(a);
}

const struct adapter_ops adapter_files = {.name = "files",
                                          .help = "files of a folder, local or on an SFTP server",
                                          .options = rows,
                                          .options_size = sizeof(struct files_options),
                                          .check = check,
                                          .surroundings = surroundings,
                                          .start = start,
                                          .finished = finished,
                                          .resume = resume,
                                          .drain = drain,
                                          .stop = stop};
