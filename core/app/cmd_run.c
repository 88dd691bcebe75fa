/* dari run: what must be true before anything starts; then the supervisor (supervisor.h). */
#include "core/app/check.h"
#include "core/app/command.h"
#include "core/app/supervisor.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/crypto/keys.h"
#include "core/store/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

static const char help[] = "usage: dari run [--config FILE] [--only ROLE[,ROLE]...]\n"
                           "\n"
                           "Starts a process for each role and keeps it running; ends on SIGTERM "
                           "or Ctrl-C. Roles: feed (one process\n"
                           "per feed; feed:NAME for one), relay, segment, messaging, steward.\n"
                           "\n"
                           "  --config FILE   default: $DARI_CONFIG, else config/dari.xml\n"
                           "  --only ROLES    only these, comma-separated\n";

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

/* All that its roles need, checked before any of them starts: every problem at once. */
static bool all_usable(struct arena *a, const struct config *c, const char *only)
{
    struct problems p = {0};
    union { /* child_wanted only reads it */
        const char *in;
        void *out;
    } ctx = {.in = only};
    const struct check_scope scope = {child_wanted, ctx.out};
    struct err e = {0};
    check_files(a, c, &scope, &p);
    problems_print(&p, stderr);
    bool ok = p.count == 0;
    problems_release(&p);
    if (check_keys(a, c, &scope, &e) != ERR_NONE) {
        command_failed("run", "%s", e.msg);
        ok = false;
    }
    return ok;
}

/* Seen by all processes of ours; nothing is in it that a dying one could leave half done. */
static enum err_code share_reports(struct supervisor *s, struct err *e)
{
    void *at = mmap(NULL, MAX_CHILDREN * sizeof *s->reports, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return ERR(e, ERR_NOMEM, 0, "no memory to share with the roles");
    }
    s->reports = at;
    return ERR_NONE;
}

static enum err_code take_all(struct supervisor *s, const struct child *list, size_t n,
                              struct err *e)
{
    struct child *c;
    enum err_code code = share_reports(s, e);
    for (size_t i = 0; code == ERR_NONE && i < n; i++) {
        code = supervisor_take(s, &list[i], &c, e);
    }
    return code;
}

static int run(struct supervisor *s, const struct child *list, size_t n)
{
    struct err e = {0};
    signal(SIGHUP, SIG_IGN); /* until the supervisor waits for it */
    enum err_code code = log_open("run", s->now.config->log4crc, &e);
    if (code == ERR_NONE) {
        code = prepare(s->now.config, &e);
    }
    if (code == ERR_NONE) {
        code = take_all(s, list, n, &e);
    }
    if (code == ERR_NONE) {
        all_descriptors();
        say_clock();
        supervise(s);
        code = s->refusal.code;
        e = s->refusal;
    }
    log_close();
    return code == ERR_NONE ? EXIT_DONE : command_failed("run", "%s", e.msg);
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
    static struct supervisor s;
    static struct child list[MAX_CHILDREN];
    size_t n;
    struct err e = {0};
    s.now.arena = arena_new(0);
    s.now.config = s.now.arena ? config_open(s.now.arena, file, &status) : NULL;
    if (!s.now.config) {
        arena_free(&s.now.arena);
        return status;
    }
    s.file = file;
    s.only = only;
    if (children_of(s.now.config, only, list, &n, &e) != ERR_NONE) {
        command_failed("run", "%s", e.msg);
        status = e.code == ERR_NOTFOUND ? EXIT_USAGE : EXIT_REFUSED;
    } else {
        status = all_usable(s.now.arena, s.now.config, only) ? run(&s, list, n) : EXIT_REFUSED;
    }
    for (size_t i = 0; i < sizeof s.before / sizeof s.before[0]; i++) {
        arena_free(&s.before[i].arena);
    }
    arena_free(&s.now.arena);
    return status;
}
