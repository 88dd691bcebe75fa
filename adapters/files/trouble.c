#include "adapters/files/files_internal.h"

#include "core/base/log.h"

static const char *const names[TROUBLE_COUNT] = {
    [TROUBLE_FOLDER] = "folder",     [TROUBLE_UNREADABLE] = "unreadable",
    [TROUBLE_CLAIM] = "claim",       [TROUBLE_NAMES] = "names",
    [TROUBLE_WORK] = "work",         [TROUBLE_ARCHIVE] = "archive",
    [TROUBLE_REPLY] = "reply",       [TROUBLE_SERVER] = "server",
    [TROUBLE_HOST_KEY] = "host-key", [TROUBLE_REMOTE] = "remote",
};

const char *trouble_name(enum trouble t)
{
    return names[t];
}

enum trouble trouble_named(struct str name)
{
    for (int t = 0; t < TROUBLE_COUNT; t++) {
        if (str_is(name, names[t])) {
            return (enum trouble)t;
        }
    }
    return TROUBLE_COUNT;
}

void trouble_on(struct adapter *a, enum trouble t, const char *why)
{
    if (a->trouble[t]) {
        return;
    }
    a->trouble[t] = true;
    adapter_count(a->host, "troubles", 1);
    log_line(t == TROUBLE_HOST_KEY ? LOG_ERROR_ : LOG_WARN_, "files.trouble", "what=%s why=\"%s\"",
             names[t], why);
}

void trouble_off(struct adapter *a, enum trouble t)
{
    if (a->trouble[t]) {
        a->trouble[t] = false;
        log_info("files.trouble-over", "what=%s", names[t]);
    }
}
