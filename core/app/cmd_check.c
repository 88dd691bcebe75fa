#include "core/app/command.h"
#include "core/app/config.h"
#include "core/base/file.h"
#include "core/crypto/digest.h"
#include "core/crypto/keys.h"
#include "core/mapping/mapping.h"
#include "core/messaging/journey.h"
#include "core/segment/rule.h"
#include "core/stream/contract.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari check [--config FILE]\n"
    "       dari check --options\n"
    "\n"
    "Reads the configuration and everything it names (catalogue, mappings, contracts, segments, "
    "journeys, templates)\n"
    "and reports every problem in one go, as file:line: what, and what to do. Then looks at keys "
    "and database, which\n"
    "dari run needs.\n"
    "\n"
    "  --options       every attribute of the configuration, with its default and meaning\n";

static void check_contracts(struct arena *a, const struct config *c,
                            const struct catalogue *catalogue, struct problems *p)
{
    char **names;
    size_t count;
    struct err e;
    if (file_list(a, c->relay.contracts, ".xml", &names, &count, &e) != ERR_NONE) {
        problem_add(p, c->relay.contracts, 0, "%s", e.msg);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = arena_z(a, str_cut(str_of(names[i]), 0, strlen(names[i]) - 4));
        struct contract *contract =
            name ? contract_load(c->relay.contracts, name, catalogue, p) : NULL;
        contract_free(&contract);
    }
}

static void check_files(struct arena *a, const struct config *c, struct problems *p)
{
    struct catalogue *catalogue = catalogue_load(c->catalogue, p);
    struct templates templates = {0};
    struct journeys journeys = {0};
    for (size_t i = 0; catalogue && i < c->feed_count; i++) {
        struct mapping_set *m = mapping_load(c->feeds[i].mapping, catalogue, p);
        mapping_free(&m);
    }
    if (catalogue) {
        check_contracts(a, c, catalogue, p);
    }
    segment_rules_load(a, c->segment.segments, p);
    templates_load(a, c->messaging.templates, &templates, p);
    journeys_load(a, c->messaging.journeys, &templates, &journeys, p);
    catalogue_free(&catalogue);
}

/* All that dari keys init makes: a role that misses its key would only be started in vain. */
static enum err_code check_keys(struct arena *a, const struct config *c, struct err *e)
{
    static const char *const curves[] = {"stream.key", "segment.key", "messaging.key", "tail.key"};
    char secret[CURVE_TEXT];
    struct keyring *keys = NULL;
    struct signer *signer = NULL;
    enum err_code code = keyring_open(c->keys, &keys, e);
    for (size_t i = 0; code == ERR_NONE && i < sizeof curves / sizeof *curves; i++) {
        code = curve_read(c->keys, curves[i], secret, e);
    }
    explicit_bzero(secret, sizeof secret);
    if (code == ERR_NONE) {
        const char *path = file_path(a, c->keys, "ledger.key");
        code = path ? signer_open(path, &signer, e) : ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    signer_free(&signer);
    keyring_free(&keys);
    return code;
}

/* One line each, so that a newcomer sees both at once. */
static bool check_surroundings(struct arena *a, const struct config *c)
{
    struct err e = {0};
    struct db *db = NULL;
    bool ok = check_keys(a, c, &e) == ERR_NONE;
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
        check_files(a, c, &p);
        problems_print(&p, stderr);
        bool ok = check_surroundings(a, c) && p.count == 0;
        status = ok ? EXIT_DONE : EXIT_REFUSED;
        printf("%s: %s\n", c->file, ok ? "ready to run" : "not ready");
    }
    problems_release(&p);
    arena_free(&a);
    return status;
}
