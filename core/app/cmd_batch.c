#include "core/app/batch_view.h"
#include "core/app/command.h"
#include "core/base/num.h"

#include <string.h>

static const char help[] =
    "usage: dari batch list [--feed NAME] [--state STATE] [--limit N] [--config FILE] [--json]\n"
    "\n"
    "Files that feeds took, the newest first: exports, results of queries, bodies of requests. For "
    "each\n"
    "read = mapped + ignored + unchanged + rejected + duplicates, in messages (rows, documents), "
    "at "
    "every\n"
    "moment. Rejected ones are in quarantine: dari message list --batch NUMBER --state "
    "quarantined. Gone are\n"
    "rows of the snapshot before that the file no longer had. When rows and documents are "
    "reprocessed the sum\n"
    "follows them; of HL7 v2 messages, which are not known by their file, it says what became of "
    "them when it was read.\n"
    "\n"
    "  --feed NAME    of this feed\n"
    "  --state STATE  reading (with how far it is), taken or refused (with place and reason)\n"
    "  --limit N      so many (default: 20)\n"
    "  --json         one array; sizes in bytes\n";

static bool known_state(const char *state)
{
    return !state || strcmp(state, "reading") == 0 || strcmp(state, "taken") == 0 ||
           strcmp(state, "refused") == 0;
}

int cmd_batch(int argc, char **argv)
{
    const char *config = NULL, *limit = "20";
    struct batch_filter f = {0};
    bool json = false;
    const struct command_option options[] = {{"--config", &config, NULL}, {"--feed", &f.feed, NULL},
                                             {"--state", &f.state, NULL}, {"--limit", &limit, NULL},
                                             {"--json", NULL, &json},     {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    struct session s;
    struct err e = {0};
    if (left < 0) {
        return status;
    }
    if (left != 1 || strcmp(argv[1], "list") != 0) {
        return command_usage("batch", "say list");
    }
    if (!known_state(f.state)) {
        return command_usage("batch", "--state is reading, taken or refused");
    }
    if (num_i64(str_of(limit), 1, 100000, &f.limit, &e) != ERR_NONE) {
        return command_usage("batch", "--limit: %s", e.msg);
    }
    if (session_open(&s, "batch", config, &status)) {
        session_hint_feed(&s, "batch", f.feed);
        if (batch_print(&s, &f, json, &e) != ERR_NONE) {
            status = command_failed("batch", "%s", e.msg);
        }
    }
    session_close(&s);
    return status;
}
