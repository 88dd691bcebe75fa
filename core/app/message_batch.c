#include "core/app/message_batch.h"

#include "core/intake/label.h"

#include <stdio.h>
#include <string.h>

DB_STATEMENT(message_batch_find, "SELECT no, name FROM dari.batch WHERE site = $1 AND feed = $2 "
                                 "AND digest BETWEEN $3 AND $4 AND turn = $5::int");
/* The same content may have come again much later, which last_at tells: of a table the days of its
 * groups say when it was read. Rows that are gone are told behind them. */
DB_STATEMENT(message_batch_read,
             "SELECT b.feed, b.digest, b.turn, b.first_at, least(b.last_at, (SELECT max(g.day) "
             "FROM dari.batch_group g WHERE g.site = $1 AND g.batch = $2) + interval '2 days'), "
             "b.mapped + b.ignored + b.rejected + b.gone FROM dari.batch b "
             "WHERE b.site = $1 AND b.no = $2");

/* So few that a day's messages of the feed are looked through rather than followed by number. */
enum { FEW = 10000 };

static enum err_code find(struct session *s, struct arena *a, struct str feed,
                          const struct label *l, struct message_batch *out, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->config->site);
    arg_str(&q, feed);
    arg_bytes(&q, (struct str){(const char *)l->low, sizeof l->low});
    arg_bytes(&q, (struct str){(const char *)l->high, sizeof l->high});
    arg_i64(&q, l->turn);
    enum err_code code = db_run(s->db, a, &message_batch_find, &q, &r, e);
    if (code == ERR_NONE && db_count(r)) {
        *out = (struct message_batch){.no = db_i64(r, 0, 0), .name = db_str(r, 0, 1)};
    }
    return code;
}

enum err_code message_batch_of(struct session *s, struct arena *a, struct str feed,
                               struct str control_id, struct message_batch_last *last,
                               struct message_batch *out, struct err *e)
{
    struct label l;
    struct str label = str_cut(control_id, 0, str_find(control_id, '#', 0));
    *out = (struct message_batch){.no = 0};
    if (!label_read(control_id, &l)) {
        return ERR_NONE;
    }
    if (!last->label.p || !str_eq(label, last->label) || !str_eq(feed, last->feed)) {
        *last =
            (struct message_batch_last){.feed = arena_copy(a, feed), .label = arena_copy(a, label)};
        enum err_code code = find(s, a, feed, &l, &last->is, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    *out = last->is;
    out->number = l.number;
    return ERR_NONE;
}

enum err_code message_batch_only(struct session *s, int64_t no, struct message_filter *f,
                                 struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    char label[LABEL_TEXT];
    arg_z(&q, s->config->site);
    arg_i64(&q, no);
    enum err_code code = db_run(s->db, s->arena, &message_batch_read, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (db_count(r) == 0) {
        return ERR(e, ERR_NOTFOUND, 0, "there is no batch %lld: see dari batch list",
                   (long long)no);
    }
    if (f->feed && !str_is(db_str(r, 0, 0), f->feed)) {
        return ERR(e, ERR_VALUE, 0, "batch %lld is of feed %s", (long long)no, db_z(r, 0, 0));
    }
    label_write((const unsigned char *)db_str(r, 0, 1).p, db_i64(r, 0, 2), label);
    f->feed = db_z(r, 0, 0);
    f->batch = arena_printf(s->arena, "%s#", label);
    f->batch_from = db_time(r, 0, 3) - USEC_DAY; /* a clock may have been set meanwhile */
    f->batch_until = db_time(r, 0, 4) + USEC_DAY;
    f->batch_few = db_i64(r, 0, 5) <= FEW;
    return f->batch ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory to look for messages");
}
