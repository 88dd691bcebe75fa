#include "core/app/command.h"
#include "core/app/operator.h"
#include "core/app/session.h"
#include "core/base/num.h"
#include "core/base/text.h"
#include "core/intake/reprocess.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari message list [--state mapped|ignored|quarantined] [--feed F] [--control-id ID] "
    "[--type T]\n"
    "                         [--from TIME] [--to TIME] [--limit N] [--json] [--config FILE]\n"
    "       dari message show NUMBER [--config FILE]\n"
    "       dari message reprocess NUMBER... | --state quarantined [--feed F] [--config FILE]\n"
    "\n"
    "list        newest first (default 50). Reasons and places, never contents.\n"
    "show        the message as received, with where it went wrong. Recorded in the ledger first.\n"
    "reprocess   runs the present mapping over stored messages again; events that are new are "
    "appended.\n"
    "            Ends with 1 when a message is still quarantined.\n";

DB_STATEMENT(message_list, "SELECT no, received_at, feed, control_id, type, state, coalesce(place, "
                           "''), coalesce(reason, ''), events, flags "
                           "FROM dari.message WHERE site = $1 AND ($2::text IS NULL OR state = $2) "
                           "AND ($3::text IS NULL OR feed = $3) "
                           "AND ($4::text IS NULL OR no IN (SELECT k.no FROM dari.message_key k "
                           "WHERE k.site = $1 AND k.control_id = $4)) "
                           "AND ($5::text IS NULL OR type = $5) AND ($6::timestamptz IS NULL OR "
                           "(received_at >= $6 AND day >= $6::date)) "
                           "AND ($7::timestamptz IS NULL OR (received_at < $7 AND day <= "
                           "$7::date)) ORDER BY no DESC LIMIT $8");
DB_STATEMENT(message_show,
             "SELECT id, feed, received_at, control_id, type, state, coalesce(place, ''), "
             "coalesce(reason, ''), coalesce(mapping, ''), coalesce(patient, ''), flags, "
             "coalesce(charset, ''), size, coalesce(first_seq, 0), events, sealed, reply, "
             "coalesce(last_seq, first_seq + events - 1, 0) "
             "FROM dari.message WHERE site = $1 AND no = $2");
DB_STATEMENT(
    message_pick,
    "SELECT no, feed FROM dari.message WHERE site = $1 AND ($2::bigint IS NULL OR no = $2) "
    "AND ($3::text IS NULL OR state = $3) AND ($4::text IS NULL OR feed = $4) ORDER BY no");

struct options {
    const char *config, *state, *feed, *control_id, *type, *from, *to, *limit;
    bool json;
};

/* ---- list ---- */

static bool arg_instant(struct db_args *q, const char *text, int *status)
{
    usec at;
    int32_t day;
    if (!text) {
        arg_null(q);
        return true;
    }
    if (day_parse(str_of(text), &day, NULL) == ERR_NONE) {
        at = zone_instant(day, 0, 0, 0);
    } else if (clock_parse(str_of(text), &at, NULL) != ERR_NONE) {
        *status = command_usage(
            "message",
            "%s is neither a date (2026-03-11) nor an instant (2026-03-11T09:00:00+09:00)", text);
        return false;
    }
    arg_time(q, at);
    return true;
}

static void print_json_row(struct db_rows *r, int i)
{
    static const char *const names[] = {"received_at", "feed",  "control_id", "type",
                                        "state",       "place", "reason"};
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_printf(&b, "{\"message\":%" PRId64, db_i64(r, i, 0));
    for (int k = 0; k < 7; k++) {
        buf_printf(&b, ",\"%s\":", names[k]);
        buf_json(&b, db_str(r, i, k + 1));
    }
    buf_printf(&b,
               ",\"events\":%" PRId64 ",\"reused_control_id\":%s,\"test\":%s,\"reprocessed\":%s}",
               db_i64(r, i, 8), db_i64(r, i, 9) & 1 ? "true" : "false",
               db_i64(r, i, 9) & 2 ? "true" : "false", db_i64(r, i, 9) & 4 ? "true" : "false");
    puts(buf_str(&b).p);
    buf_release(&b);
}

static void print_row(struct arena *a, struct db_rows *r, int i)
{
    char at[CLOCK_TEXT];
    printf("%8" PRId64 "  %.19s  %-10s %-22s %-10s %-11s %3" PRId64 "  %s %s\n", db_i64(r, i, 0),
           clock_text(db_time(r, i, 1), at), db_z(r, i, 2), text_visible(a, db_str(r, i, 3)),
           text_visible(a, db_str(r, i, 4)), db_z(r, i, 5), db_i64(r, i, 8), db_z(r, i, 6),
           db_z(r, i, 7));
}

static int list(struct session *s, const struct options *o)
{
    int status = EXIT_DONE;
    int64_t limit = 50;
    struct err e = {0};
    struct db_args q = {0};
    struct db_rows *r;
    if (o->limit && num_i64(str_of(o->limit), 1, 1000000, &limit, &e) != ERR_NONE) {
        return command_usage("message", "--limit: %s", e.msg);
    }
    arg_z(&q, s->config->site);
    arg_z(&q, o->state);
    arg_z(&q, o->feed);
    arg_z(&q, o->control_id);
    arg_z(&q, o->type);
    if (!arg_instant(&q, o->from, &status) || !arg_instant(&q, o->to, &status)) {
        return status;
    }
    arg_i64(&q, limit);
    if (db_run(s->db, s->arena, &message_list, &q, &r, &e) != ERR_NONE) {
        return command_failed("message", "%s", e.msg);
    }
    if (!o->json) {
        printf("%8s  %-19s  %-10s %-22s %-10s %-11s %s\n", "message", "received", "feed",
               "control id", "type", "state", "events");
    }
    for (int i = 0; i < db_count(r); i++) {
        if (o->json) {
            print_json_row(r, i);
        } else {
            print_row(s->arena, r, i);
        }
    }
    return EXIT_DONE;
}

/* ---- show ---- */

/* As people read it: one segment a line; control characters do nothing to the terminal, the rest
 * stays as it is. */
static void print_message(struct str raw)
{
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '\r') {
            putchar('\n');
            i += i + 1 < raw.n && raw.p[i + 1] == '\n';
        } else {
            char c = raw.p[i];
            bool control = ((unsigned char)c < ' ' && c != '\t' && c != '\n') || c == 0x7f;
            putchar(control ? '?' : c);
        }
    }
    if (raw.n && raw.p[raw.n - 1] != '\r' && raw.p[raw.n - 1] != '\n') {
        putchar('\n');
    }
}

static enum err_code print_shown(struct session *s, struct db_rows *r, struct err *e)
{
    static const char *const names[] = {"feed",  "received", "control id", "type",   "state",
                                        "place", "reason",   "mapping",    "patient"};
    struct str raw;
    struct buf context;
    buf_init(&context, 256);
    buf_printf(&context, "%s/message/", s->config->site);
    buf_hex(&context, db_str(r, 0, 0));
    enum err_code code = unseal(s->keys, s->arena, buf_str(&context), db_str(r, 0, 15), &raw, e);
    buf_release(&context);
    if (code != ERR_NONE) {
        return code;
    }
    for (int k = 0; k < 9; k++) {
        if (db_str(r, 0, k + 1).n) {
            printf("%-11s %s\n", names[k], text_visible(s->arena, db_str(r, 0, k + 1)));
        }
    }
    int64_t first = db_i64(r, 0, 13), n = db_i64(r, 0, 14), last = db_i64(r, 0, 17);
    if (n > 0) {
        printf("%-11s %" PRId64 "-%" PRId64 "%s\n", "events", first, last,
               last - first >= n ? ", others between" : "");
    }
    printf("%-11s %s, %" PRId64 " bytes\n\n", "bytes", db_z(r, 0, 11), db_i64(r, 0, 12));
    print_message(raw);
    printf("\nreply:\n");
    print_message(db_str(r, 0, 16));
    return ERR_NONE;
}

static int show(struct session *s, const char *number)
{
    int64_t no;
    struct err e = {0};
    struct db_args q = {0};
    struct db_rows *r;
    if (num_i64(str_of(number), 1, INT64_MAX, &no, &e) != ERR_NONE) {
        return command_usage("message", "%s is not the number of a message", number);
    }
    arg_z(&q, s->config->site);
    arg_i64(&q, no);
    enum err_code code = db_run(s->db, s->arena, &message_show, &q, &r, &e);
    if (code == ERR_NONE && db_count(r) == 0) {
        code = ERR(&e, ERR_NOTFOUND, 0, "there is no message %s", number);
    }
    if (code == ERR_NONE) {
        const char *details = arena_printf(s->arena, "message=%" PRId64, no);
        code = operator_record(s->db, s->arena, s->config->site, "message.show",
                               details ? details : "", &e);
    }
    if (code == ERR_NONE) {
        code = print_shown(s, r, &e);
    }
    return code == ERR_NONE ? EXIT_DONE : command_failed("message", "%s", e.msg);
}

/* ---- reprocess ---- */

struct workshop {
    struct session *s;
    struct catalogue *catalogue;
    const struct config_feed *feed; /* whose mapping is loaded */
    struct mapping_set *mapping;
};

static enum err_code load_feed(struct workshop *w, const char *name, struct err *e)
{
    struct problems p = {0};
    if (w->feed && strcmp(w->feed->name, name) == 0) {
        return ERR_NONE;
    }
    mapping_free(&w->mapping);
    w->feed = NULL;
    for (size_t i = 0; i < w->s->config->feed_count; i++) {
        if (strcmp(w->s->config->feeds[i].name, name) == 0) {
            w->feed = &w->s->config->feeds[i];
        }
    }
    if (!w->feed) {
        return ERR(e, ERR_NOTFOUND, 0, "feed %s is not in the configuration", name);
    }
    w->mapping = mapping_load(w->feed->mapping, w->catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    return w->mapping ? ERR_NONE : ERR(e, ERR_CONFIG, 0, "%s has problems", w->feed->mapping);
}

static enum err_code one_message(struct workshop *w, int64_t no, const char *feed, bool *still,
                                 struct err *e)
{
    static const char *const states[] = {"mapped", "ignored", "quarantined"};
    struct reprocessed done;
    enum err_code code = load_feed(w, feed, e);
    if (code != ERR_NONE) {
        return code;
    }
    const struct prepare_settings ps = {.site = w->s->config->site,
                                        .feed = feed,
                                        .keys = w->s->keys,
                                        .mapping = w->mapping,
                                        .charset = w->feed->has_charset ? &w->feed->charset : NULL,
                                        .fallback = w->feed->fallback,
                                        .max_message = 256 << 20};
    struct arena *a = arena_new(0);
    code =
        a ? reprocess_message(w->s->db, a, &ps, no, &done, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        bool bad = done.after == MAPPING_QUARANTINED;
        *still |= bad;
        printf("message %" PRId64 ": %s → %s, %zu new events%s%s%s%s\n", no, states[done.before],
               states[done.after], done.events, bad ? ": " : "", bad ? done.problem.where : "",
               bad ? " " : "", bad ? done.problem.msg : "");
    }
    arena_free(&a);
    return code;
}

static enum err_code pick(struct session *s, const char *number, const struct options *o,
                          struct db_rows **r, struct err *e)
{
    struct db_args q = {0};
    int64_t no = 0;
    if (number && num_i64(str_of(number), 1, INT64_MAX, &no, NULL) != ERR_NONE) {
        return ERR(e, ERR_VALUE, 0, "%s is not the number of a message", number);
    }
    arg_z(&q, s->config->site);
    number ? arg_i64(&q, no) : arg_null(&q);
    arg_z(&q, number ? NULL : o->state);
    arg_z(&q, o->feed);
    enum err_code code = db_run(s->db, s->arena, &message_pick, &q, r, e);
    if (code == ERR_NONE && number && db_count(*r) == 0) {
        code = ERR(e, ERR_NOTFOUND, 0, "there is no message %s", number);
    }
    return code;
}

static int reprocess(struct session *s, char **numbers, int n, const struct options *o)
{
    struct workshop w = {.s = s};
    struct problems p = {0};
    struct err e = {0};
    struct db_rows *r;
    bool still = false;
    if (n == 0 && !o->state) {
        return command_usage("message", "say which: numbers, or --state quarantined");
    }
    w.catalogue = catalogue_load(s->config->catalogue, &p);
    problems_print(&p, stderr);
    problems_release(&p);
    enum err_code code =
        w.catalogue ? ERR_NONE : ERR(&e, ERR_CONFIG, 0, "the catalogue has problems");
    for (int k = 0; code == ERR_NONE && k < (n ? n : 1); k++) {
        code = pick(s, n ? numbers[k] : NULL, o, &r, &e);
        for (int i = 0; code == ERR_NONE && i < db_count(r); i++) {
            code = one_message(&w, db_i64(r, i, 0), db_z(r, i, 1), &still, &e);
        }
    }
    mapping_free(&w.mapping);
    catalogue_free(&w.catalogue);
    if (code != ERR_NONE) {
        return command_failed("message", "%s", e.msg);
    }
    return still ? EXIT_REFUSED : EXIT_DONE;
}

int cmd_message(int argc, char **argv)
{
    struct options o = {0};
    const struct command_option options[] = {
        {"--config", &o.config, NULL}, {"--state", &o.state, NULL},
        {"--feed", &o.feed, NULL},     {"--control-id", &o.control_id, NULL},
        {"--type", &o.type, NULL},     {"--from", &o.from, NULL},
        {"--to", &o.to, NULL},         {"--limit", &o.limit, NULL},
        {"--json", NULL, &o.json},     {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    const char *verb = left ? argv[1] : "";
    bool lists = strcmp(verb, "list") == 0, shows = strcmp(verb, "show") == 0;
    if ((lists && left != 1) || (shows && left != 2) ||
        (!lists && !shows && strcmp(verb, "reprocess") != 0)) {
        return command_usage("message", "say list, show NUMBER or reprocess");
    }
    if (o.state && strcmp(o.state, "mapped") != 0 && strcmp(o.state, "ignored") != 0 &&
        strcmp(o.state, "quarantined") != 0) {
        return command_usage("message", "--state is mapped, ignored or quarantined, not %s",
                             o.state);
    }
    struct session s;
    if (session_open(&s, "message", o.config, &status)) {
        if (lists) {
            status = list(&s, &o);
        } else if (session_keys(&s, "message", &status)) {
            status = shows ? show(&s, argv[2]) : reprocess(&s, argv + 2, left - 1, &o);
        }
    }
    session_close(&s);
    return status;
}
