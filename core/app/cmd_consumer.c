/* dari consumer: who may read the stream. */
#include "core/app/command.h"
#include "core/app/operator.h"
#include "core/app/session.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/stream/consumers.h"
#include "core/stream/contract.h"
#include "core/stream/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: dari consumer add NAME --contract CONTRACT (--key PUBLIC | --new-key FILE.key)\n"
    "       dari consumer list [--json]\n"
    "       dari consumer rotate NAME (--key PUBLIC | --new-key FILE.key) [--overlap TIME]\n"
    "       dari consumer revoke|resume NAME\n"
    "\n"
    "add      a consumer of the stream; what it gets is in the contract "
    "(config/contracts/CONTRACT.xml)\n"
    "rotate   gives it a new key; the old ones end after the overlap (default 24h)\n"
    "revoke   ends its sessions and its keys for good\n"
    "resume   goes on after the consumer refused an event (NACK): the event comes again\n"
    "\n"
    "  --key PUBLIC        its CURVE public key, 40 characters of Z85 (quote it)\n"
    "  --new-key FILE.key  makes a pair: the secret half goes into FILE.key (mode 0600), the "
    "public\n"
    "                      half into FILE.pub\n"
    "  --config FILE       default: $DARI_CONFIG, else config/dari.xml\n"
    "\n"
    "Every change is recorded in the ledger and holds at once.\n";

struct wishes {
    const char *name, *key, *new_key, *contract, *overlap, *file;
    bool json;
    char public_key[CURVE_TEXT];
    char public_file[4096];
};

/* ---- keys ---- */

static enum err_code make_key(struct wishes *w, struct err *e)
{
    char secret_key[CURVE_TEXT], line[CURVE_TEXT + 1];
    struct str path = str_of(w->new_key);
    if (!str_ends(path, STR(".key")) || path.n >= sizeof w->public_file) {
        return ERR(e, ERR_VALUE, 0, "--new-key needs a file name that ends with .key");
    }
    char public_file[sizeof w->public_file];
    snprintf(public_file, sizeof public_file, "%.*s.pub", (int)path.n - 4, path.p);
    if (file_exists(w->new_key) || file_exists(public_file)) {
        return ERR(e, ERR_EXISTS, 0, "%s exists: keys are never overwritten",
                   file_exists(w->new_key) ? w->new_key : public_file);
    }
    memcpy(w->public_file, public_file, sizeof public_file); /* from here on drop_key() may */
    enum err_code code = curve_pair(w->public_key, secret_key, e);
    if (code == ERR_NONE) {
        snprintf(line, sizeof line, "%s\n", secret_key);
        code = file_write(w->new_key, str_of(line), 0600, e);
    }
    if (code == ERR_NONE) {
        snprintf(line, sizeof line, "%s\n", w->public_key);
        code = file_write(w->public_file, str_of(line), 0644, e);
    }
    explicit_bzero(secret_key, sizeof secret_key);
    explicit_bzero(line, sizeof line);
    return code;
}

static enum err_code take_key(struct wishes *w, struct err *e)
{
    unsigned char raw[32];
    if (w->new_key) {
        return make_key(w, e);
    }
    if (str_of(w->key).n != CURVE_TEXT - 1 || !z85_decode(w->key, raw)) {
        return ERR(e, ERR_VALUE, 0, "--key is not a CURVE public key: 40 characters of Z85");
    }
    snprintf(w->public_key, sizeof w->public_key, "%s", w->key);
    return ERR_NONE;
}

/* A pair that nobody can use is not left lying about. */
static void drop_key(const struct wishes *w)
{
    if (w->new_key && w->public_file[0]) {
        unlink(w->new_key);
        unlink(w->public_file);
    }
}

/* ---- actions ---- */

static enum err_code check_contract(const struct session *s, const char *name, struct err *e)
{
    struct problems p = {0};
    struct catalogue *catalogue = catalogue_load(s->config->catalogue, &p);
    struct contract *c =
        catalogue ? contract_load(s->config->relay.contracts, name, catalogue, &p) : NULL;
    problems_print(&p, stderr);
    problems_release(&p);
    bool ok = c != NULL;
    contract_free(&c);
    catalogue_free(&catalogue);
    return ok ? ERR_NONE : ERR(e, ERR_CONFIG, 0, "contract %s cannot be used", name);
}

static enum err_code add(struct session *s, const struct consumers *c, struct wishes *w,
                         struct err *e)
{
    if (!wire_word(str_of(w->name), ALLOWED_NAME - 1)) {
        return ERR(e, ERR_VALUE, 0, "a consumer's name is 1 to %d letters, digits and hyphens",
                   ALLOWED_NAME - 1);
    }
    enum err_code code = check_contract(s, w->contract, e);
    if (code != ERR_NONE || (code = take_key(w, e)) != ERR_NONE) {
        return code;
    }
    code = consumers_add(c, w->name, w->public_key, w->contract, false, e);
    if (code != ERR_NONE) {
        drop_key(w);
        return code;
    }
    printf("added %s with contract %s, public key %s\n", w->name, w->contract, w->public_key);
    return ERR_NONE;
}

static enum err_code rotate(struct session *s, const struct consumers *c, struct wishes *w,
                            struct err *e)
{
    (void)s;
    int64_t overlap_ms;
    enum err_code code =
        num_ms(str_of(w->overlap), 0, INT64_C(31) * 24 * 3600 * 1000, &overlap_ms, NULL);
    if (code != ERR_NONE) {
        return ERR(e, ERR_VALUE, 0, "--overlap needs a time as in 24h, 31 days at most");
    }
    if ((code = take_key(w, e)) != ERR_NONE) {
        return code;
    }
    code = consumers_rotate(c, w->name, w->public_key, overlap_ms * 1000, e);
    if (code != ERR_NONE) {
        drop_key(w);
        return code;
    }
    printf("%s has the public key %s; older ones end in %s\n", w->name, w->public_key, w->overlap);
    return ERR_NONE;
}

static enum err_code end_access(struct session *s, const struct consumers *c, struct wishes *w,
                                struct err *e)
{
    (void)s;
    enum err_code code = consumers_revoke(c, w->name, e);
    if (code == ERR_NONE) {
        printf("revoked %s\n", w->name);
    }
    return code;
}

static enum err_code resume(struct session *s, const struct consumers *c, struct wishes *w,
                            struct err *e)
{
    (void)s;
    enum err_code code = consumers_resume(c, w->name, e);
    if (code == ERR_NONE) {
        printf("%s goes on\n", w->name);
    }
    return code;
}

static void print_json(const struct consumer_row *r, size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        char at[CLOCK_TEXT];
        buf_addz(&b, "{\"name\":");
        buf_json(&b, str_of(r[i].name));
        buf_addz(&b, ",\"contract\":");
        buf_json(&b, str_of(r[i].contract));
        buf_printf(&b,
                   ",\"state\":\"%s\",\"internal\":%s,\"acked\":%" PRId64 ",\"behind\":%" PRId64
                   ",\"keys\":%" PRId64,
                   r[i].state, r[i].internal ? "true" : "false", r[i].acked, r[i].behind,
                   r[i].keys);
        if (r[i].acked_at) {
            buf_printf(&b, ",\"acked_at\":\"%s\"", clock_text(r[i].acked_at, at));
        }
        if (r[i].reason[0]) {
            buf_addz(&b, ",\"reason\":");
            buf_json(&b, str_of(r[i].reason));
        }
        buf_addz(&b, "}\n");
    }
    fwrite(b.p ? b.p : "", 1, b.n, stdout);
    buf_release(&b);
}

static enum err_code list(struct session *s, const struct consumers *c, struct wishes *w,
                          struct err *e)
{
    (void)s;
    struct consumer_row *r;
    size_t n;
    enum err_code code = consumers_list(c, &r, &n, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (w->json) {
        print_json(r, n);
        return ERR_NONE;
    }
    printf("%-16s %-16s %-8s %4s %10s %8s  %s\n", "NAME", "CONTRACT", "STATE", "KEYS", "ACKED",
           "BEHIND", "LAST");
    for (size_t i = 0; i < n; i++) {
        char at[CLOCK_TEXT];
        printf("%-16s %-16s %-8s %4" PRId64 " %10" PRId64 " %8" PRId64 "  %s%s%s\n", r[i].name,
               r[i].contract, r[i].state, r[i].keys, r[i].acked, r[i].behind,
               r[i].acked_at ? clock_text(r[i].acked_at, at) : "never", r[i].reason[0] ? "  " : "",
               r[i].reason);
    }
    return ERR_NONE;
}

static const struct action {
    const char *name;
    enum err_code (*run)(struct session *s, const struct consumers *c, struct wishes *w,
                         struct err *e);
    bool names, keys, contract; /* what it needs */
} actions[] = {
    {"add", add, true, true, true},         {"list", list, false, false, false},
    {"rotate", rotate, true, true, false},  {"revoke", end_access, true, false, false},
    {"resume", resume, true, false, false},
};

static int act(const struct action *x, struct wishes *w)
{
    struct session s;
    struct err e = {0};
    int status = EXIT_REFUSED;
    if (session_open(&s, "consumer", w->file, &status)) {
        const struct consumers c = {s.db, s.arena, s.config->site, operator_name(s.arena)};
        enum err_code code = x->run(&s, &c, w, &e);
        status = code == ERR_NONE ? EXIT_DONE : command_failed("consumer", "%s", e.msg);
        if (code == ERR_NONE && x->names) {
            consumers_wake(s.config->run);
        }
    }
    session_close(&s);
    return status;
}

int cmd_consumer(int argc, char **argv)
{
    struct wishes w = {.overlap = "24h"};
    const struct command_option options[] = {{"--key", &w.key, NULL},
                                             {"--new-key", &w.new_key, NULL},
                                             {"--contract", &w.contract, NULL},
                                             {"--overlap", &w.overlap, NULL},
                                             {"--config", &w.file, NULL},
                                             {"--json", NULL, &w.json},
                                             {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    const struct action *x = NULL;
    for (size_t i = 0; left > 0 && i < sizeof actions / sizeof actions[0]; i++) {
        x = strcmp(argv[1], actions[i].name) == 0 ? &actions[i] : x;
    }
    if (!x) {
        return command_usage("consumer", "say add, list, rotate, revoke or resume");
    }
    if (left != (x->names ? 2 : 1)) {
        return command_usage("consumer", x->names ? "%s needs one name" : "%s takes no name",
                             x->name);
    }
    if (x->keys && !w.key == !w.new_key) {
        return command_usage("consumer", "%s needs --key or --new-key", x->name);
    }
    if (x->contract && !w.contract) {
        return command_usage("consumer", "%s needs --contract", x->name);
    }
    w.name = argv[2];
    return act(x, &w);
}
