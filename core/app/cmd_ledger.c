#include "core/app/command.h"
#include "core/app/config.h"
#include "core/app/ledger_flow.h"
#include "core/base/file.h"
#include "core/ledger/checkpoint.h"
#include "core/ledger/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari ledger verify [--anchor NOTE] [--json] [--config FILE]\n"
    "       dari ledger verify --file EXPORT --key ledger.pub [--anchor NOTE] [--json]\n"
    "       dari ledger export [--out FILE] [--config FILE]\n"
    "       dari ledger flow [--from DAY] [--to DAY] [--json] [--config FILE]\n"
    "\n"
    "verify   computes every hash, root, signature and number again, from the database or from an\n"
    "         export, and names the first wrong entry. From the database it also compares "
    "messages\n"
    "         and events with the digests in the ledger.\n"
    "export   writes entries and checkpoints as text; deploy/verify-ledger.py checks such a file\n"
    "         without dari.\n"
    "flow     which consumer got how many events of which type\n"
    "\n"
    "  --anchor NOTE   a checkpoint that somebody kept outside: proves that nothing was cut off\n"
    "  --key FILE      the ledger's public key (default: ledger.pub in the keys folder)\n"
    "  --from, --to    days such as 2026-03-11, both included (default: all)\n"
    "\n"
    "Exit status: 0 verified or done, 1 not verified or failed, 2 wrong usage.\n";

enum { MAX_NOTE = 64 * 1024 };

struct words {
    const char *config, *file, *key, *anchor, *out, *from, *to;
    bool json;
};

/* ---- verify ---- */

static void print_problem(void *ctx, int64_t idx, const char *text)
{
    (void)ctx;
    if (idx) {
        fprintf(stderr, "dari ledger: entry %lld %s\n", (long long)idx, text);
    } else {
        fprintf(stderr, "dari ledger: %s\n", text);
    }
}

static void print_report(const struct ledger_report *r, bool json, bool from_db)
{
    if (json) {
        printf("{\"site\":\"%s\",\"verified\":%s,\"entries\":%lld,\"sealed\":%lld,"
               "\"checkpoints\":%lld,\"messages\":%lld,\"events\":%lld,\"deliveries\":%lld,"
               "\"problems\":%lld,"
               "\"first_wrong\":",
               r->site, r->problems ? "false" : "true", (long long)r->entries, (long long)r->sealed,
               (long long)r->checkpoints, (long long)r->messages, (long long)r->events,
               (long long)r->deliveries, (long long)r->problems);
        printf(r->wrong ? "%lld}\n" : "null}\n", (long long)r->wrong);
        return;
    }
    printf("ledger of %s: %lld entries, %lld checkpoints, %lld entries sealed\n", r->site,
           (long long)r->entries, (long long)r->checkpoints, (long long)r->sealed);
    if (from_db) {
        printf("compared with what is stored: %lld messages, %lld events, %lld deliveries\n",
               (long long)r->messages, (long long)r->events, (long long)r->deliveries);
    }
    if (!from_db && r->sealed < r->entries) {
        printf("entries %lld to %lld are newer than the last signed checkpoint: it says nothing of "
               "them\n",
               (long long)r->sealed + 1, (long long)r->entries);
    }
    if (r->problems == 0) {
        puts("verified");
    } else if (r->wrong) {
        printf("NOT VERIFIED: %lld problems, the first wrong entry is %lld\n",
               (long long)r->problems, (long long)r->wrong);
    } else {
        printf("NOT VERIFIED: %lld problems\n", (long long)r->problems);
    }
}

static enum err_code read_inputs(struct arena *a, const struct words *w, const struct config *c,
                                 struct ledger_check *check, unsigned char key[ED25519_PUBLIC],
                                 struct err *e)
{
    const char *path = w->key ? w->key : arena_printf(a, "%s/ledger.pub", c->keys);
    if (!path) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    enum err_code code = public_read(path, key, e);
    if (code == ERR_NONE && w->anchor) {
        code = file_read(a, w->anchor, MAX_NOTE, &check->anchor, e);
    }
    return code;
}

static int verify(struct arena *a, const struct words *w)
{
    unsigned char key[ED25519_PUBLIC];
    struct ledger_check check = {.key = key, .problem = print_problem};
    struct ledger_report report = {0};
    struct err e = {0};
    struct db *db = NULL;
    const struct config *c = NULL;
    int status = EXIT_REFUSED;
    if (w->key && !w->file) {
        return command_usage("ledger", "--key goes with --file");
    }
    if (!w->file || !w->key) {
        c = config_open(a, w->config, &status);
        if (!c) {
            return status;
        }
        check.site = c->site;
    }
    enum err_code code = read_inputs(a, w, c, &check, key, &e);
    if (code == ERR_NONE && w->file) {
        code = ledger_verify_file(w->file, &check, &report, &e);
    } else if (code == ERR_NONE) {
        code = config_db(c, "operator", &db, &e);
        code = code == ERR_NONE ? ledger_verify_db(db, &check, &report, &e) : code;
    }
    db_free(&db);
    if (code != ERR_NONE) {
        return command_failed("ledger", "%s", e.msg);
    }
    print_report(&report, w->json, !w->file);
    return report.problems ? EXIT_REFUSED : EXIT_DONE;
}

/* ---- export ---- */

static void put_file(void *ctx, struct str line)
{
    fwrite(line.p, 1, line.n, ctx);
}

static int export_to(struct db *db, const struct config *c, const char *path, struct err *e)
{
    FILE *to = path ? fopen(path, "we") : stdout;
    if (!to) {
        return command_failed("ledger", "could not make %s: %s", path, strerror(errno));
    }
    enum err_code code = ledger_export(db, c->site, put_file, to, e);
    bool written = fflush(to) == 0 && !ferror(to);
    if (path) {
        written = fclose(to) == 0 && written;
    }
    if (code != ERR_NONE) {
        return command_failed("ledger", "%s", e->msg);
    }
    return written ? EXIT_DONE
                   : command_failed("ledger", "could not write %s", path ? path : "the output");
}

static int with_db(struct arena *a, const struct words *w, bool flow)
{
    int status = EXIT_REFUSED;
    struct err e = {0};
    struct db *db = NULL;
    const struct config *c = config_open(a, w->config, &status);
    if (!c) {
        return status;
    }
    if (config_db(c, "operator", &db, &e) != ERR_NONE) {
        status = command_failed("ledger", "%s", e.msg);
    } else if (flow) {
        status = ledger_flow(db, a, c, w->from, w->to, w->json);
    } else {
        status = export_to(db, c, w->out, &e);
    }
    db_free(&db);
    return status;
}

int cmd_ledger(int argc, char **argv)
{
    struct words w = {0};
    const struct command_option options[] = {
        {"--config", &w.config, NULL}, {"--file", &w.file, NULL}, {"--key", &w.key, NULL},
        {"--anchor", &w.anchor, NULL}, {"--out", &w.out, NULL},   {"--from", &w.from, NULL},
        {"--to", &w.to, NULL},         {"--json", NULL, &w.json}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    const char *what = left == 1 ? argv[1] : "";
    struct arena *a = arena_new(0);
    if (!a) {
        return command_failed("ledger", "no memory");
    }
    if (strcmp(what, "verify") == 0) {
        status = verify(a, &w);
    } else if (strcmp(what, "export") == 0 || strcmp(what, "flow") == 0) {
        status = with_db(a, &w, strcmp(what, "flow") == 0);
    } else {
        status = command_usage("ledger", "say verify, export or flow");
    }
    arena_free(&a);
    return status;
}
