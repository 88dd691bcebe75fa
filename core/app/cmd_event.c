#include "core/app/command.h"
#include "core/app/operator.h"
#include "core/app/session.h"
#include "core/base/num.h"
#include "core/event/event.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari event show NUMBER|ID [--config FILE]\n"
    "\n"
    "Prints one event of the stream as JSON, with all of its fields. That somebody looked is\n"
    "recorded in the ledger first.\n";

#define COLUMNS                                                                                    \
    "SELECT seq, id, type, subject, time, recorded_at, source, message_no, cause, mapping, test, " \
    "data, sealed "                                                                                \
    "FROM dari.event WHERE site = $1 AND "
DB_STATEMENT(event_by_seq, COLUMNS "seq = $2");
DB_STATEMENT(event_by_id, COLUMNS "hashtextextended(id, 0) = hashtextextended($2, 0) AND id = $2");

static enum err_code open_secret(struct session *s, struct db_rows *r, struct str *secret,
                                 struct err *e)
{
    *secret = STR("");
    if (db_null(r, 0, 12)) {
        return ERR_NONE;
    }
    const char *context = arena_printf(s->arena, "%s/event/%s", s->config->site, db_z(r, 0, 1));
    return context ? unseal(s->keys, s->arena, str_of(context), db_str(r, 0, 12), secret, e)
                   : ERR(e, ERR_NOMEM, 0, "no memory");
}

static bool everything(void *ctx, const struct event_type *t, const struct field *f)
{
    (void)ctx;
    (void)t;
    (void)f;
    return true;
}

static enum err_code print_event(struct session *s, const struct catalogue *c, struct db_rows *r,
                                 struct err *e)
{
    struct str secret;
    struct buf payload, line;
    const struct event_type *t = catalogue_find(c, db_str(r, 0, 2));
    if (!t) {
        return ERR(e, ERR_CONFIG, 0, "the catalogue does not know %s", db_z(r, 0, 2));
    }
    enum err_code code = open_secret(s, r, &secret, e);
    if (code != ERR_NONE) {
        return code;
    }
    buf_init(&payload, 16 << 20);
    buf_init(&line, 32 << 20);
    const struct event_cut cut = {.allow = everything};
    code = event_payload(&payload, t, db_str(r, 0, 11), secret, &cut, e);
    const struct envelope v = {.site = s->config->site,
                               .source = db_z(r, 0, 6),
                               .id = db_z(r, 0, 1),
                               .type = t->name,
                               .subject = db_z(r, 0, 3),
                               .schema = t->schema,
                               .time = db_time(r, 0, 4),
                               .recorded_at = db_time(r, 0, 5),
                               .seq = db_i64(r, 0, 0),
                               .message_no = db_i64(r, 0, 7),
                               .mapping = db_null(r, 0, 9) ? NULL : db_z(r, 0, 9),
                               .cause = db_null(r, 0, 8) ? NULL : db_z(r, 0, 8),
                               .test = db_bool(r, 0, 10),
                               .data = buf_str(&payload)};
    if (code == ERR_NONE) {
        envelope_json(&line, &v);
        printf("%s\n", buf_str(&line).p);
    }
    buf_release(&payload);
    buf_release(&line);
    return code;
}

static int show(struct session *s, const char *which, int *status)
{
    struct err e = {0};
    struct problems p = {0};
    struct db_rows *r;
    struct db_args q = {0};
    int64_t seq;
    const char *number = which[0] == '#' ? which + 1 : which; /* as dari trace prints it */
    bool by_seq = num_i64(str_of(number), 1, INT64_MAX, &seq, NULL) == ERR_NONE;
    arg_z(&q, s->config->site);
    by_seq ? arg_i64(&q, seq) : arg_z(&q, which);
    struct catalogue *c = catalogue_load(s->config->catalogue, &p);
    if (!c) {
        problems_print(&p, stderr);
        problems_release(&p);
        return *status = EXIT_REFUSED;
    }
    enum err_code code = db_run(s->db, s->arena, by_seq ? &event_by_seq : &event_by_id, &q, &r, &e);
    if (code == ERR_NONE && db_count(r) == 0) {
        code = ERR(&e, ERR_NOTFOUND, 0, "there is no event %s", which);
    }
    if (code == ERR_NONE) {
        const char *details = arena_printf(s->arena, "event=%s", db_z(r, 0, 0));
        code = operator_record(s->db, s->arena, s->config->site, "event.show",
                               details ? details : "", &e);
    }
    if (code == ERR_NONE) {
        code = print_event(s, c, r, &e);
    }
    catalogue_free(&c);
    problems_release(&p);
    return *status = code == ERR_NONE ? EXIT_DONE : command_failed("event", "%s", e.msg);
}

int cmd_event(int argc, char **argv)
{
    const char *file = NULL;
    const struct command_option options[] = {{"--config", &file, NULL}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    if (left != 2 || strcmp(argv[1], "show") != 0) {
        return command_usage("event", "say show and a number or an id");
    }
    struct session s;
    if (session_open(&s, "event", file, &status) && session_keys(&s, "event", &status)) {
        show(&s, argv[2], &status);
    }
    session_close(&s);
    return status;
}
