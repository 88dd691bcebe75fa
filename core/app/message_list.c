#include "core/app/message_verbs.h"

#include "core/app/command.h"
#include "core/app/message_batch.h"
#include "core/base/num.h"
#include "core/base/text.h"

#include <inttypes.h>
#include <stdio.h>

enum { DEFAULT_LIMIT = 50, MAX_LIMIT = 1000000, PORTION = 500 };

static const char columns[] =
    "no, received_at, feed, control_id, type, state, coalesce(place, '') AS place, "
    "coalesce(reason, '') AS reason, events, flags";

static void print_json_row(struct db_rows *r, int i, const struct message_batch *batch)
{
    static const char *const names[] = {"feed", "control_id", "type", "state", "place", "reason"};
    struct buf b;
    char at[CLOCK_TEXT];
    buf_init(&b, 64 * 1024);
    buf_printf(&b, "{\"message\":%" PRId64 ",\"received_at\":\"%s\"", db_i64(r, i, 0),
               clock_text(db_time(r, i, 1), at));
    for (int k = 0; k < 6; k++) {
        buf_printf(&b, ",\"%s\":", names[k]);
        buf_json(&b, db_str(r, i, k + 2));
    }
    buf_printf(&b,
               ",\"events\":%" PRId64 ",\"reused_control_id\":%s,\"test\":%s,\"reprocessed\":%s",
               db_i64(r, i, 8), db_i64(r, i, 9) & 1 ? "true" : "false",
               db_i64(r, i, 9) & 2 ? "true" : "false", db_i64(r, i, 9) & 4 ? "true" : "false");
    if (batch->no) {
        buf_printf(&b, ",\"batch\":%" PRId64 ",\"file\":", batch->no);
        buf_json(&b, batch->name);
    }
    buf_addc(&b, '}');
    puts(buf_str(&b).p);
    buf_release(&b);
}

static void print_row(struct arena *a, struct db_rows *r, int i, const struct message_batch *batch)
{
    char at[CLOCK_TEXT];
    printf("%8" PRId64 "  %.19s  %-10s %-22s %-10s %-11s %3" PRId64 "  %s%s%s", db_i64(r, i, 0),
           clock_text(db_time(r, i, 1), at), db_z(r, i, 2), text_visible(a, db_str(r, i, 3)),
           text_visible(a, db_str(r, i, 4)), db_z(r, i, 5), db_i64(r, i, 8), db_z(r, i, 6),
           db_str(r, i, 6).n ? ": " : "", db_z(r, i, 7));
    if (batch->no) {
        printf("%s[batch %" PRId64 ", %s]", db_str(r, i, 7).n ? "  " : "", batch->no,
               text_visible(a, batch->name));
    }
    putchar('\n');
}

static enum err_code print_portion(struct session *s, struct arena *a, struct db_rows *r, bool json,
                                   struct err *e)
{
    struct message_batch_last last = {.feed = {0}};
    struct message_batch batch;
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(r); i++) {
        code = message_batch_of(s, a, db_str(r, i, 2), db_str(r, i, 3), &last, &batch, e);
        if (code == ERR_NONE) {
            json ? print_json_row(r, i, &batch) : print_row(a, r, i, &batch);
        }
    }
    return code;
}

static enum err_code print_all(struct session *s, const struct message_options *o, int64_t limit,
                               struct err *e)
{
    struct message_find *find;
    struct db_rows *r;
    struct arena *a = arena_new(0);
    int64_t shown = 0, last = 0;
    enum err_code code =
        a ? message_find_new(s->db, s->arena, s->config->site, &o->filter, &find, e)
          : ERR(e, ERR_NOMEM, 0, "no memory");
    while (code == ERR_NONE && shown < limit) {
        int64_t most = limit - shown < PORTION ? limit - shown : PORTION;
        arena_reset(a);
        code = message_find_next(find, a, columns, most, &r, e);
        if (code != ERR_NONE || db_count(r) == 0) {
            break;
        }
        code = print_portion(s, a, r, o->json, e);
        shown += db_count(r);
        last = db_i64(r, db_count(r) - 1, 0);
    }
    if (code == ERR_NONE && shown == 0 && o->batch) {
        fprintf(stderr, "dari message: none is known by its file; HL7 v2 messages keep the control "
                        "id of their sender\n");
    }
    if (code == ERR_NONE && shown == limit && !o->json) {
        printf("the next ones: --before %" PRId64 "\n", last);
    }
    arena_free(&a);
    return code;
}

int message_list(struct session *s, const struct message_options *o)
{
    int64_t limit = DEFAULT_LIMIT;
    struct err e = {0};
    if (o->limit && num_i64(str_of(o->limit), 1, MAX_LIMIT, &limit, &e) != ERR_NONE) {
        return command_usage("message", "--limit: %s", e.msg);
    }
    session_hint_feed(s, "message", o->filter.feed);
    if (!o->json) {
        printf("%8s  %-19s  %-10s %-22s %-10s %-11s %s\n", "message", "received", "feed",
               "control id", "type", "state", "events");
    }
    return print_all(s, o, limit, &e) == ERR_NONE ? EXIT_DONE
                                                  : command_failed("message", "%s", e.msg);
}
