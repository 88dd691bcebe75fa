#include "core/app/command.h"
#include "core/app/config.h"
#include "core/app/contract_view.h"
#include "core/ledger/lineage.h"

#include <stdio.h>

static const char help[] =
    "usage: dari trace ID [--json] [--config FILE]\n"
    "\n"
    "Follows one thing through every step: the message, its events, what they led to (segments\n"
    "entered, messages planned and handed over), who acknowledged them when, and the ledger entry\n"
    "of each step. Ids, types and times only. \"In a range\" means that the contract was changed\n"
    "since, so that nothing says whether it let the event through.\n"
    "\n"
    "ID is a message's number or id (32 hexadecimal digits), a control id, an event's id or "
    "#number,\n"
    "or a plan's key.\n";

enum { MAX_OUTPUT = 64 << 20 };

static enum lineage_passed passed(void *ctx, struct str contract, struct str type)
{
    switch (contract_view_type(ctx, contract, type)) {
    case PASSED_NO:
        return LINEAGE_NO;
    case PASSED_YES:
        return LINEAGE_YES;
    case PASSED_UNKNOWN:
        break;
    }
    return LINEAGE_UNKNOWN;
}

static enum err_code trace(struct db *db, struct arena *a, const struct config *c, const char *id,
                           bool json, struct err *e)
{
    struct lineage *l;
    struct buf out;
    const struct lineage_view view = {passed, contract_view_new(c)};
    struct contract_view *contracts = view.ctx;
    if (!contracts) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    enum err_code code = lineage_find(db, a, c->site, str_of(id), &view, &l, e);
    contract_view_free(&contracts);
    if (code != ERR_NONE) {
        return code;
    }
    buf_init(&out, MAX_OUTPUT);
    if (json) {
        lineage_json(l, &out);
    } else {
        lineage_text(l, &out);
    }
    if (buf_ok(&out)) {
        fwrite(out.p, 1, out.n, stdout);
    } else {
        code = ERR(e, ERR_NOMEM, 0, "no memory to print all of it");
    }
    buf_release(&out);
    return code;
}

int cmd_trace(int argc, char **argv)
{
    const char *file = NULL;
    bool json = false;
    const struct command_option options[] = {
        {"--config", &file, NULL}, {"--json", NULL, &json}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    if (left != 1 || !argv[1][0]) {
        return command_usage("trace", "give one id");
    }
    struct arena *a = arena_new(0);
    struct db *db = NULL;
    struct err e = {0};
    const struct config *c = a ? config_open(a, file, &status) : NULL;
    if (c) {
        enum err_code code = config_db(c, "operator", &db, &e);
        code = code == ERR_NONE ? trace(db, a, c, argv[1], json, &e) : code;
        status = code == ERR_NONE ? EXIT_DONE : command_failed("trace", "%s", e.msg);
    }
    db_free(&db);
    arena_free(&a);
    return status;
}
