#include "core/app/message_verbs.h"

#include "core/app/command.h"
#include "core/app/message_batch.h"
#include "core/app/message_mark.h"
#include "core/app/operator.h"
#include "core/base/text.h"

#include <inttypes.h>
#include <stdio.h>

static const char columns[] =
    "no, id, feed, received_at, control_id, type, state, coalesce(place, '') AS place, "
    "coalesce(reason, '') AS reason, coalesce(mapping, '') AS mapping, "
    "coalesce(patient, '') AS patient, coalesce(charset, '') AS charset, size, "
    "coalesce(first_seq, 0) AS first_seq, events, sealed, reply, "
    "coalesce(last_seq, first_seq + events - 1, 0) AS last_seq";
enum {
    NO,
    ID,
    FEED,
    AT,
    CONTROL_ID,
    PLACE = 7,
    CHARSET = 11,
    SIZE,
    FIRST_SEQ,
    EVENTS,
    SEALED,
    REPLY,
    LAST_SEQ
};

DB_STATEMENT(message_parts,
             "SELECT p.waiting, coalesce(p.whole, 0), coalesce(p.place, 0), (SELECT "
             "string_agg(x.no::text, ', ' ORDER BY x.place) FROM dari.part x WHERE x.site = p.site "
             "AND x.whole = p.whole) FROM dari.part p WHERE p.site = $1 AND p.no = $2");

/* Of a part of a message: what it is a part of. */
static enum err_code print_part(struct session *s, int64_t no, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->config->site);
    arg_i64(&q, no);
    enum err_code code = db_run(s->db, s->arena, &message_parts, &q, &r, e);
    if (code != ERR_NONE || db_count(r) == 0) {
        return code;
    }
    if (db_i64(r, 0, 1)) {
        printf("%-11s %" PRId64 " of messages %s, mapped as a whole with %" PRId64 "\n", "part",
               db_i64(r, 0, 2), db_z(r, 0, 3), db_i64(r, 0, 1));
    } else {
        printf("%-11s %s\n", "part",
               db_bool(r, 0, 0) ? "waits for the others" : "the others did not come");
    }
    return ERR_NONE;
}

/* The file that it came in. */
static enum err_code print_file(struct session *s, struct db_rows *r, struct err *e)
{
    struct message_batch_last last = {.feed = {0}};
    struct message_batch batch;
    enum err_code code = message_batch_of(s, s->arena, db_str(r, 0, FEED), db_str(r, 0, CONTROL_ID),
                                          &last, &batch, e);
    if (code == ERR_NONE && batch.no) {
        printf("%-11s %s, batch %" PRId64, "file", text_visible(s->arena, batch.name), batch.no);
        batch.number ? printf(", number %" PRId64 "\n", batch.number)
                     : printf(", which no longer had this row\n");
    }
    return code;
}

/* As text of UTF-8, where the message's character set is known and holds. */
static struct str readable(struct arena *a, struct str raw, struct str charset)
{
    enum charset from;
    struct str text;
    bool known = charset.n && charset_named(charset, &from);
    return known && charset_decode(a, from, raw, &text, NULL) == ERR_NONE ? text : raw;
}

static enum err_code print_shown(struct session *s, struct db_rows *r, struct err *e)
{
    static const char *const names[] = {"feed",  "received", "control id", "type",   "state",
                                        "place", "reason",   "mapping",    "patient"};
    struct str raw;
    char at[CLOCK_TEXT];
    enum err_code code = message_open(s, s->arena, db_str(r, 0, ID), db_str(r, 0, SEALED), &raw, e);
    if (code != ERR_NONE) {
        return code;
    }
    for (int k = 0; k < 9; k++) {
        struct str value =
            FEED + k == AT ? str_of(clock_text(db_time(r, 0, AT), at)) : db_str(r, 0, FEED + k);
        if (value.n) {
            printf("%-11s %s\n", names[k], text_visible(s->arena, value));
        }
    }
    code = print_file(s, r, e);
    if (code == ERR_NONE) {
        code = print_part(s, db_i64(r, 0, NO), e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    int64_t first = db_i64(r, 0, FIRST_SEQ), n = db_i64(r, 0, EVENTS),
            last = db_i64(r, 0, LAST_SEQ);
    if (n > 0) {
        printf("%-11s %" PRId64 "-%" PRId64 "%s\n", "events", first, last,
               last - first >= n ? ", others between" : "");
    }
    printf("%-11s %s, %" PRId64 " bytes\n\n", "bytes", db_z(r, 0, CHARSET), db_i64(r, 0, SIZE));
    print_marked(s->arena, readable(s->arena, raw, db_str(r, 0, CHARSET)), db_str(r, 0, PLACE));
    printf("\nreply:\n");
    print_marked(s->arena, db_str(r, 0, REPLY), STR(""));
    return ERR_NONE;
}

int message_show(struct session *s, const char *number)
{
    struct message_filter f = {0};
    struct message_find *find;
    struct err e = {0};
    struct db_rows *r;
    if (!message_number(number, &f.number)) {
        return EXIT_USAGE;
    }
    enum err_code code = message_find_new(s->db, s->arena, s->config->site, &f, &find, &e);
    if (code == ERR_NONE) {
        code = message_find_next(find, s->arena, columns, 1, &r, &e);
    }
    if (code == ERR_NONE && db_count(r) == 0) {
        code = ERR(&e, ERR_NOTFOUND, 0, "there is no message %s", number);
    }
    if (code == ERR_NONE) {
        const char *details = arena_printf(s->arena, "message=%" PRId64, f.number);
        code = operator_record(s->db, s->arena, s->config->site, "message.show",
                               details ? details : "", &e);
    }
    if (code == ERR_NONE) {
        code = print_shown(s, r, &e);
    }
    return code == ERR_NONE ? EXIT_DONE : command_failed("message", "%s", e.msg);
}
