#include "core/app/check.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/crypto/digest.h"
#include "core/crypto/keys.h"
#include "core/mapping/mapping.h"
#include "core/messaging/journey.h"
#include "core/segment/rule.h"
#include "core/stream/contract.h"
#include "core/table/header.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool wants(const struct check_scope *s, const char *role, const struct config_feed *feed)
{
    return !s || s->wants(s->ctx, role, feed);
}

/* Can it be written to, or made? The nearest folder above that exists decides. */
static void check_folder(struct arena *a, const struct config *c, int line, const char *path,
                         const char *what, struct problems *p)
{
    char *at = arena_z(a, str_of(path));
    struct stat st;
    while (at && stat(at, &st) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at) {
            at = NULL;
            break;
        }
        *slash = '\0';
    }
    if (!at || stat(at, &st) != 0) {
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        problem_add(p, c->file, line, "%s %s: %s is no folder", what, path, at);
    } else if (access(at, W_OK | X_OK) != 0) {
        problem_add(p, c->file, line, "%s %s: cannot write to %s: %s", what, path, at,
                    strerror(errno));
    }
}

/* The configuration names it; what reads it would only say that it is not there. */
static bool is_folder(const struct config *c, const char *path, const char *what,
                      struct problems *p)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return true;
    }
    problem_add(p, c->file, 0, "%s: %s is no folder (make it, or correct the name)", what, path);
    return false;
}

/* A file would be refused for it only when it comes, at night. */
static void check_covers(const struct config *c, const struct config_feed *f,
                         const struct header_names *names, struct problems *p)
{
    const struct header_column *found = NULL;
    for (const struct header_names *n = names; n && !found; n = n->next) {
        found = header_named(n, str_of(f->covers.column));
    }
    if (!found) {
        problem_add(p, c->file, f->line, "covers: the mapping knows no column %s",
                    f->covers.column);
    }
}

static void check_feed(struct arena *a, const struct config *c, const struct config_feed *f,
                       const struct catalogue *catalogue, struct problems *p)
{
    struct mapping_set *m = mapping_load(f->mapping, catalogue, p);
    if (m && f->covers.column) {
        check_covers(c, f, mapping_headers(m), p);
    }
    mapping_free(&m);
    if (f->adapter->check) {
        f->adapter->check(f->options, c->file, f->options_line, p);
    }
    if (f->spool_max && !f->sequence) {
        check_folder(a, c, f->line, f->spool, "spool", p);
    }
}

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

static void check_messaging(struct arena *a, const struct config *c, struct problems *p)
{
    struct templates templates = {0};
    struct journeys journeys = {0};
    if (is_folder(c, c->messaging.templates, "templates", p) &&
        is_folder(c, c->messaging.journeys, "journeys", p)) {
        templates_load(a, c->messaging.templates, &templates, p);
        journeys_load(a, c->messaging.journeys, &templates, &journeys, p);
    }
    if (strcmp(c->messaging.channel, "file") == 0) {
        check_folder(a, c, 0, c->messaging.outbox, "outbox", p);
    }
}

void check_files(struct arena *a, const struct config *c, const struct check_scope *s,
                 struct problems *p)
{
    struct catalogue *catalogue = catalogue_load(c->catalogue, p);
    for (size_t i = 0; catalogue && i < c->feed_count; i++) {
        if (wants(s, "feed", &c->feeds[i])) {
            check_feed(a, c, &c->feeds[i], catalogue, p);
        }
        if (!s && c->feeds[i].adapter->surroundings) {
            c->feeds[i].adapter->surroundings(c->feeds[i].options, c->file,
                                              c->feeds[i].options_line, p);
        }
    }
    if (catalogue && wants(s, "relay", NULL) && is_folder(c, c->relay.contracts, "contracts", p)) {
        check_contracts(a, c, catalogue, p);
    }
    if (wants(s, "segment", NULL) && is_folder(c, c->segment.segments, "segments", p)) {
        segment_rules_load(a, c->segment.segments, p);
    }
    if (wants(s, "messaging", NULL)) {
        check_messaging(a, c, p);
    }
    check_folder(a, c, 0, c->run, "run folder", p);
    struct err e;
    if (!s && c->log4crc && log_check(c->log4crc, &e) != ERR_NONE) {
        problem_add(p, c->file, 0, "log: %s", e.msg);
    }
    catalogue_free(&catalogue);
}

enum err_code check_keys(struct arena *a, const struct config *c, const struct check_scope *s,
                         struct err *e)
{
    static const struct {
        const char *role, *file; /* role NULL: of the command line */
    } curves[] = {{"relay", "stream.key"},
                  {"segment", "segment.key"},
                  {"messaging", "messaging.key"},
                  {NULL, "tail.key"}};
    char secret[CURVE_TEXT];
    struct keyring *keys = NULL;
    struct signer *signer = NULL;
    enum err_code code = keyring_open(c->keys, &keys, e);
    for (size_t i = 0; code == ERR_NONE && i < sizeof curves / sizeof *curves; i++) {
        if (curves[i].role ? wants(s, curves[i].role, NULL) : !s) {
            code = curve_read(c->keys, curves[i].file, secret, e);
        }
    }
    explicit_bzero(secret, sizeof secret);
    if (code == ERR_NONE && wants(s, "steward", NULL)) {
        const char *path = file_path(a, c->keys, "ledger.key");
        code = path ? signer_open(path, &signer, e) : ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    signer_free(&signer);
    keyring_free(&keys);
    return code;
}
