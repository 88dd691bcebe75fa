#include "core/app/command.h"
#include "core/app/config.h"
#include "core/store/migrate.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari db migrate|status|check [--config FILE]\n"
    "\n"
    "migrate   applies what is missing, under a lock, each migration in its own transaction\n"
    "status    says how many migrations the database has and this dari knows\n"
    "check     prepares every statement of this dari against the database\n";

static enum err_code migrate(const struct config *c, struct db *db, struct err *e)
{
    int applied;
    enum err_code code = migrate_apply(db, &applied, e);
    if (code == ERR_NONE) {
        code = migrate_site(db, c->site, NULL, e);
    }
    if (code == ERR_NONE) {
        printf("applied %d migrations\n", applied);
    }
    return code;
}

static enum err_code state(struct db *db, struct err *e)
{
    struct migration_state s;
    enum err_code code = migrate_state(db, &s, e);
    if (code == ERR_NONE) {
        printf("%d of %d migrations applied\n", s.applied, s.known);
    }
    return code == ERR_NONE ? migrate_check(db, e) : code;
}

static enum err_code check(struct db *db, struct err *e)
{
    enum err_code code = migrate_check(db, e);
    if (code == ERR_NONE) {
        code = db_prepare_all(db, e);
    }
    if (code == ERR_NONE) {
        printf("all statements fit\n");
    }
    return code;
}

int cmd_db(int argc, char **argv)
{
    const char *file = NULL;
    const struct command_option options[] = {{"--config", &file, NULL}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    const char *verb = left == 1 ? argv[1] : "";
    bool migrates = strcmp(verb, "migrate") == 0, checks = strcmp(verb, "check") == 0;
    if (!migrates && !checks && strcmp(verb, "status") != 0) {
        return command_usage("db", "say migrate, status or check");
    }
    struct arena *a = arena_new(0);
    struct db *db = NULL;
    struct err e = {0};
    const struct config *c = a ? config_open(a, file, &status) : NULL;
    if (c) {
        enum err_code code = config_db(c, "migrate", &db, &e);
        if (code == ERR_NONE) {
            code = migrates ? migrate(c, db, &e) : checks ? check(db, &e) : state(db, &e);
        }
        status = code == ERR_NONE ? EXIT_DONE : command_failed("db", "%s", e.msg);
    }
    db_free(&db);
    arena_free(&a);
    return status;
}
