#include "core/app/command.h"
#include "core/app/message_batch.h"
#include "core/app/message_verbs.h"
#include "core/base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari message list [FILTER] [--limit N] [--before NUMBER] [--json] [--config FILE]\n"
    "       dari message show NUMBER [--config FILE]\n"
    "       dari message reprocess NUMBER... | FILTER [--dry-run] [--config FILE]\n"
    "       dari message diff --mapping FILE|FOLDER --from TIME --to TIME [FILTER] [--values] "
    "[--json]\n"
    "\n"
    "list        newest first (default 50); --before the last number shown gives the next page. "
    "Reasons and places,\n"
    "            never contents.\n"
    "show        the message as received, with the place marked where it went wrong. Recorded in "
    "the ledger first.\n"
    "reprocess   runs the present mapping over stored messages again; events that are new are "
    "appended. Who did it is\n"
    "            recorded first. --dry-run only says what would be. Ends with 1 when a message is "
    "still quarantined.\n"
    "diff        which events would be others, had the given mapping been live: added, removed, "
    "changed (names of\n"
    "            fields; with --values what is in them). Changes nothing; recorded first. Ends "
    "with "
    "1 when a message\n"
    "            would go to quarantine that did not.\n"
    "\n"
    "FILTER      --feed F  --type ADT^A04  --state mapped|ignored|quarantined  --control-id ID\n"
    "            --patient CHART|KEY   a chart number (its key is made here) or a patient key\n"
    "            --from TIME --to TIME   when it was received: a date or an instant, the end left "
    "out\n"
    "            --batch NUMBER   what came in a file (dari batch list): rows and documents. HL7 "
    "v2 "
    "messages keep the\n"
    "            control id of their sender and are not known by their file\n";

bool message_number(const char *text, int64_t *out)
{
    if (num_i64(str_of(text), 1, INT64_MAX, out, NULL) == ERR_NONE) {
        return true;
    }
    command_usage("message", "%s is not the number of a message", text);
    return false;
}

enum err_code message_open(const struct session *s, struct arena *a, struct str id,
                           struct str sealed, struct str *raw, struct err *e)
{
    struct buf context;
    buf_init(&context, 256);
    buf_printf(&context, "%s/message/", s->config->site);
    buf_hex(&context, id);
    enum err_code code = unseal(s->keys, a, buf_str(&context), sealed, raw, e);
    buf_release(&context);
    return code;
}

bool message_beside_snapshot(const struct config_feed *f, struct str type, struct str state,
                             struct str mapping)
{
    return f->snapshot && str_is(state, "quarantined") && mapping.n == 0 &&
           str_starts(type, STR("row^"));
}

struct prepare_settings message_prepare(const struct session *s, const struct config_feed *f,
                                        const struct mapping_set *mapping)
{
    return (struct prepare_settings){.site = s->config->site,
                                     .feed = f->name,
                                     .keys = s->keys,
                                     .mapping = mapping,
                                     .charset = f->has_charset ? &f->charset : NULL,
                                     .fallback = f->fallback,
                                     .max_message = 256 << 20,
                                     .no_parts = f->max_parts == 0};
}

const char *message_filter_text(struct arena *a, const struct message_options *o)
{
    const struct {
        const char *name, *value;
    } all[] = {{"feed", o->feed},
               {"type", o->type},
               {"state", o->state},
               {"control-id", o->control_id},
               {"patient", o->filter.patient[0] ? o->filter.patient : NULL},
               {"from", o->from},
               {"to", o->to},
               {"batch", o->batch}};
    struct buf b;
    buf_init(&b, 2048);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct str v = str_of(all[i].value);
        if (v.n) {
            buf_printf(&b, "%s%s=", b.n ? " " : "", all[i].name);
        }
        for (size_t k = 0; k < v.n; k++) { /* one word each */
            buf_addc(&b, (unsigned char)v.p[k] <= ' ' || v.p[k] == '=' ? '_' : v.p[k]);
        }
    }
    const char *text = buf_ok(&b) ? arena_z(a, buf_str(&b)) : NULL;
    buf_release(&b);
    return text;
}

/* ---- options ---- */

static bool read_instant(const char *text, bool *has, usec *at)
{
    int32_t day;
    *has = text != NULL;
    if (!text) {
        return true;
    }
    if (day_parse(str_of(text), &day, NULL) == ERR_NONE) {
        *at = zone_instant(day, 0, 0, 0);
        return true;
    }
    if (clock_parse(str_of(text), at, NULL) == ERR_NONE) {
        return true;
    }
    command_usage("message",
                  "%s is neither a date (2026-03-11) nor an instant (2026-03-11T09:00:00+09:00)",
                  text);
    return false;
}

static bool is_key(struct str s)
{
    size_t n = 0;
    while (n < s.n && strchr("0123456789abcdefghjkmnpqrstvwxyz", s.p[n])) {
        n++;
    }
    return s.n == KEY_TEXT - 1 && n == s.n;
}

/* A chart number becomes a key here: it goes into no statement and no ledger. */
static bool read_patient(struct session *s, struct message_options *o, int *status)
{
    struct str given = str_of(o->patient);
    if (!o->patient) {
        return true;
    }
    if (is_key(given)) {
        memcpy(o->filter.patient, given.p, given.n);
        return true;
    }
    if (!s->keys && !session_keys(s, "message", status)) {
        return false;
    }
    key_patient(s->keys, str_of(s->config->site), given, o->filter.patient);
    return true;
}

static bool read_batch(struct session *s, struct message_options *o, int *status)
{
    struct err e = {0};
    int64_t no;
    if (!o->batch) {
        return true;
    }
    if (num_i64(str_of(o->batch), 1, INT64_MAX, &no, &e) != ERR_NONE) {
        command_usage("message", "--batch: %s", e.msg);
        return false;
    }
    if (message_batch_only(s, no, &o->filter, &e) != ERR_NONE) {
        *status = command_failed("message", "%s", e.msg);
        return false;
    }
    return true;
}

/* After the configuration was read: times are of the site's zone. */
static bool read_filter(struct session *s, struct message_options *o, int *status)
{
    struct message_filter *f = &o->filter;
    struct err e;
    *status = EXIT_USAGE;
    f->feed = o->feed;
    f->type = o->type;
    f->state = o->state;
    f->control_id = o->control_id;
    if (!read_instant(o->from, &f->has_from, &f->from) ||
        !read_instant(o->to, &f->has_until, &f->until)) {
        return false;
    }
    if (o->before && num_i64(str_of(o->before), 1, INT64_MAX, &f->before, &e) != ERR_NONE) {
        command_usage("message", "--before: %s", e.msg);
        return false;
    }
    return read_patient(s, o, status) && read_batch(s, o, status);
}

static bool good_words(const struct message_options *o)
{
    static const char *const states[] = {"mapped", "ignored", "quarantined"};
    bool known = !o->state;
    for (size_t i = 0; i < 3 && !known; i++) {
        known = strcmp(o->state, states[i]) == 0;
    }
    if (!known) {
        command_usage("message", "--state is mapped, ignored or quarantined, not %s", o->state);
    }
    return known;
}

enum verb { LIST, SHOW, REPROCESS, DIFF, VERBS };

static enum verb verb_of(const char *word, int left)
{
    static const char *const names[] = {"list", "show", "reprocess", "diff"};
    static const int most[] = {1, 2, INT32_MAX, 1}, least[] = {1, 2, 1, 1};
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(word, names[i]) == 0 && left >= least[i] && left <= most[i]) {
            return (enum verb)i;
        }
    }
    return VERBS;
}

static int run(struct session *s, enum verb verb, char **words, int n, struct message_options *o)
{
    int status;
    if (!read_filter(s, o, &status)) {
        return status;
    }
    if (verb == LIST) {
        return message_list(s, o);
    }
    if (!s->keys && !session_keys(s, "message", &status)) {
        return status;
    }
    return verb == SHOW        ? message_show(s, words[0])
           : verb == REPROCESS ? message_reprocess(s, words, n, o)
                               : message_diff(s, o);
}

int cmd_message(int argc, char **argv)
{
    struct message_options o = {0};
    const struct command_option options[] = {
        {"--config", &o.config, NULL}, {"--state", &o.state, NULL},
        {"--feed", &o.feed, NULL},     {"--control-id", &o.control_id, NULL},
        {"--type", &o.type, NULL},     {"--patient", &o.patient, NULL},
        {"--from", &o.from, NULL},     {"--to", &o.to, NULL},
        {"--batch", &o.batch, NULL},   {"--limit", &o.limit, NULL},
        {"--before", &o.before, NULL}, {"--mapping", &o.mapping, NULL},
        {"--json", NULL, &o.json},     {"--dry-run", NULL, &o.dry_run},
        {"--values", NULL, &o.values}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    enum verb verb = verb_of(left ? argv[1] : "", left);
    if (verb == VERBS) {
        return command_usage("message", "say list, show NUMBER, reprocess or diff");
    }
    if (!good_words(&o)) {
        return EXIT_USAGE;
    }
    struct session s;
    if (session_open(&s, "message", o.config, &status)) {
        status = run(&s, verb, argv + 2, left - 1, &o);
    }
    session_close(&s);
    return status;
}
