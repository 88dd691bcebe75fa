#include "core/app/check.h"
#include "core/app/command.h"

#include <stdio.h>

static const char help[] =
    "usage: dari check [--config FILE]\n"
    "       dari check --options\n"
    "\n"
    "Reads the configuration and everything it names (catalogue, mappings, certificates, "
    "contracts, segments,\n"
    "journeys, templates, folders that are written to) and reports every problem in one go, as "
    "file:line: what, and\n"
    "what to do. Then looks at keys and database, which dari run needs.\n"
    "\n"
    "  --options       every attribute of the configuration, with its default and meaning\n";

/* One line each, so that a newcomer sees both at once. */
static bool check_surroundings(struct arena *a, const struct config *c)
{
    struct err e = {0};
    struct db *db = NULL;
    bool ok = check_keys(a, c, NULL, &e) == ERR_NONE;
    if (!ok) {
        command_failed("check", "%s", e.msg);
    }
    if (config_db(c, c->migrate ? "migrate" : "operator", &db, &e) != ERR_NONE) {
        command_failed("check", "%s", e.msg);
        ok = false;
    }
    db_free(&db);
    return ok;
}

int cmd_check(int argc, char **argv)
{
    const char *file = NULL;
    bool show_options = false;
    const struct command_option options[] = {
        {"--config", &file, NULL}, {"--options", NULL, &show_options}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left != 0) {
        return left < 0 ? status : command_usage("check", "unexpected word %s", argv[1]);
    }
    if (show_options) {
        config_print_options(stdout);
        return EXIT_DONE;
    }
    struct arena *a = arena_new(0);
    struct problems p = {0};
    const struct config *c = a ? config_open(a, file, &status) : NULL;
    if (c) {
        check_files(a, c, NULL, &p);
        problems_print(&p, stderr);
        bool ok = check_surroundings(a, c) && p.count == 0;
        status = ok ? EXIT_DONE : EXIT_REFUSED;
        printf("%s: %s\n", c->file, ok ? "ready to run" : "not ready");
    }
    problems_release(&p);
    arena_free(&a);
    return status;
}
