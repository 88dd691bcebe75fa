#include "core/app/message_find.h"

#include "core/base/buf.h"

#include <stdio.h>

/* A message that waited in a feed's spool was committed, and has the day, of when the database was
 * back: so long after it was received it is still looked for. */
enum { SPOOL_DAYS = 31, MAX_SQL = 4096 };

/* Days that have messages, and what else bounds them. */
DB_STATEMENT(find_days,
             "SELECT DISTINCT f.day FROM dari.feed_count f WHERE f.site = $1 "
             "AND ($2::text IS NULL OR f.feed = $2) AND ($3::date IS NULL OR f.day >= $3) "
             "AND ($4::date IS NULL OR f.day <= $4) "
             "AND ($5::bigint IS NULL OR f.day <= coalesce(dari.message_day($1, $5), f.day) + 1) "
             "ORDER BY 1");
/* The primary key of message_key begins with the feed: all feeds there are. Rows of a table have no
 * key there. */
DB_STATEMENT(find_control_id,
             "SELECT k.day, k.no FROM dari.message_key k WHERE k.site = $1 "
             "AND k.feed = ANY (ARRAY(SELECT DISTINCT f.feed FROM dari.feed_count f "
             "WHERE f.site = $1)) AND k.control_id = $2 "
             "UNION ALL SELECT r.day, r.no FROM dari.row_messages($1, $2) AS r ORDER BY 2");
DB_STATEMENT(find_number, "SELECT d, $2::bigint FROM dari.message_day($1, $2) AS d "
                          "WHERE d IS NOT NULL");

struct message_find {
    struct db *db;
    const char *site;
    struct message_filter f;
    struct db_rows *places; /* days, or days with the number of one message */
    bool single;            /* the latter */
    int at;                 /* place now looked at, counted in the direction of the search */
    int64_t last;           /* number of the last message found there; 0: none yet */
};

static int32_t utc_day(usec at)
{
    int64_t day = at / USEC_DAY;
    return (int32_t)(day - (at % USEC_DAY < 0));
}

/* The later, or the earlier, of two days that may be given. */
static void bound(struct db_args *q, bool has, int32_t day, bool also, int32_t other, bool later)
{
    if (has || also) {
        bool take = also && (!has || (later ? other > day : other < day));
        arg_day(q, take ? other : day);
    } else {
        arg_null(q);
    }
}

static enum err_code find_places(struct message_find *s, struct arena *a, struct err *e)
{
    const struct message_filter *f = &s->f;
    const struct db_statement *st = &find_days;
    struct db_args q = {0};
    arg_z(&q, s->site);
    if (f->number) {
        st = &find_number;
        arg_i64(&q, f->number);
    } else if (f->control_id) {
        st = &find_control_id;
        arg_z(&q, f->control_id);
    } else {
        arg_z(&q, f->feed);
        bound(&q, f->has_from, utc_day(f->from), f->batch, utc_day(f->batch_from), true);
        bound(&q, f->has_until, utc_day(f->until) + SPOOL_DAYS, f->batch, utc_day(f->batch_until),
              false);
        f->before ? arg_i64(&q, f->before) : arg_null(&q);
    }
    s->single = f->number || f->control_id;
    return db_run(s->db, a, st, &q, &s->places, e);
}

enum err_code message_find_new(struct db *db, struct arena *a, const char *site,
                               const struct message_filter *f, struct message_find **out,
                               struct err *e)
{
    struct message_find *s = arena_alloc(a, sizeof *s);
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory to look for messages");
    }
    *s = (struct message_find){.db = db, .site = site, .f = *f};
    *out = s;
    return find_places(s, a, e);
}

/* One condition more, with its parameter. */
static void and_z(struct buf *sql, struct db_args *q, const char *condition, const char *value)
{
    arg_z(q, value);
    buf_printf(sql, " AND %s $%d", condition, q->n);
}

static void and_numbers(const struct message_find *s, struct buf *sql, struct db_args *q, int row)
{
    const struct message_filter *f = &s->f;
    if (s->single) {
        arg_i64(q, db_i64(s->places, row, 1));
        buf_printf(sql, " AND no = $%d", q->n);
    }
    if (s->last) {
        arg_i64(q, s->last);
        buf_printf(sql, " AND no %s $%d", f->oldest_first ? ">" : "<", q->n);
    }
    if (f->before) {
        arg_i64(q, f->before);
        buf_printf(sql, " AND no < $%d", q->n);
    }
}

static void and_times(const struct message_filter *f, struct buf *sql, struct db_args *q)
{
    if (f->has_from) {
        arg_time(q, f->from);
        buf_printf(sql, " AND received_at >= $%d", q->n);
    }
    if (f->has_until) {
        arg_time(q, f->until);
        buf_printf(sql, " AND received_at < $%d", q->n);
    }
}

static void and_kind(const struct message_filter *f, struct buf *sql, struct db_args *q)
{
    if (f->feed) {
        and_z(sql, q, "feed COLLATE \"C\" =", f->feed);
    } else if (f->type) { /* the index begins with the feed */
        buf_addz(sql, " AND feed COLLATE \"C\" = ANY (ARRAY(SELECT c.feed FROM dari.feed_count c "
                      "WHERE c.site = $1 AND c.day = $2))");
    }
    if (f->type) {
        and_z(sql, q, "type COLLATE \"C\" =", f->type);
    }
    if (f->state) {
        and_z(sql, q, "state =", f->state);
    }
    if (f->batch) {
        arg_z(q, f->batch);
        buf_printf(sql, " AND starts_with(control_id, $%d)", q->n);
    }
    if (f->patient[0]) {
        and_z(sql, q, "patient COLLATE \"C\" =", f->patient);
    }
}

/*
 * Few of the day's messages fit: all that fit are taken, by their index, and then put in order.
 * Otherwise the order of numbers is followed until there are enough, and the planner, who does not
 * know how they lie, must not choose that here.
 */
static bool selective(const struct message_find *s, int32_t day)
{
    const struct message_filter *f = &s->f;
    bool part_of_day =
        (f->has_from && day == utc_day(f->from)) || (f->has_until && day >= utc_day(f->until));
    return !s->single && (f->patient[0] || (f->batch && f->batch_few && !f->state) ||
                          (part_of_day && !f->oldest_first));
}

static enum err_code look(struct message_find *s, struct arena *a, const char *columns, int64_t max,
                          int row, struct db_rows **rows, struct err *e)
{
    struct db_args q = {0};
    struct buf sql;
    int32_t day = db_day(s->places, row, 0);
    bool few = selective(s, day);
    buf_init(&sql, MAX_SQL);
    arg_z(&q, s->site);
    arg_day(&q, day);
    buf_printf(&sql, "%sSELECT %s FROM dari.message WHERE site = $1 AND day = $2",
               few ? "WITH m AS MATERIALIZED (" : "", columns);
    and_numbers(s, &sql, &q, row);
    and_times(&s->f, &sql, &q);
    and_kind(&s->f, &sql, &q);
    arg_i64(&q, max);
    buf_printf(&sql, "%s ORDER BY no%s LIMIT $%d", few ? ") SELECT * FROM m" : "",
               s->f.oldest_first ? "" : " DESC", q.n);
    enum err_code code = buf_ok(&sql) ? db_text(s->db, a, sql.p, &q, rows, e)
                                      : ERR(e, ERR_NOMEM, 0, "no memory to look for messages");
    buf_release(&sql);
    return code;
}

enum err_code message_find_next(struct message_find *s, struct arena *a, const char *columns,
                                int64_t max, struct db_rows **rows, struct err *e)
{
    int places = db_count(s->places);
    for (; s->at < places; s->at++, s->last = 0) {
        int row = s->f.oldest_first ? s->at : places - 1 - s->at;
        enum err_code code = look(s, a, columns, max, row, rows, e);
        int n = code == ERR_NONE ? db_count(*rows) : 0;
        if (code != ERR_NONE) {
            return code;
        }
        if (n > 0) {
            s->last = db_i64(*rows, n - 1, 0);
            return ERR_NONE;
        }
    }
    struct db_args q = {0};
    return db_text(s->db, a, "SELECT 0 WHERE false", &q, rows, e);
}
