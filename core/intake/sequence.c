#include "core/intake/sequence.h"

#include "core/base/num.h"

DB_STATEMENT(sequence_read_last,
             "SELECT last FROM dari.feed_sequence WHERE site = $1 AND feed = $2");
const struct db_statement *const sequence_load = &sequence_read_last;

DB_STATEMENT(sequence_resync,
             "INSERT INTO dari.feed_sequence (site, feed, at) VALUES ($1, $2, $3) "
             "ON CONFLICT (site, feed) DO UPDATE SET last = NULL, at = excluded.at");
DB_STATEMENT(sequence_gap,
             "INSERT INTO dari.feed_gap AS g (site, feed, expected, got, first_at, last_at) "
             "VALUES ($1, $2, $4, $5, $3, $3) ON CONFLICT (site, feed, expected) "
             "DO UPDATE SET got = excluded.got, last_at = excluded.last_at, seen = g.seen + 1");
/* The stored reply when it is the same message again, which is then counted as that. The message is
 * looked up behind LIMIT and by a site of its own: message_key compares sites in another collation
 * than the index of messages, and joined to it that index would be read from end to end. */
DB_STATEMENT(sequence_old,
             "WITH d AS (SELECT m.reply FROM dari.message_key k "
             "JOIN LATERAL (SELECT x.reply FROM dari.message x WHERE x.site = $1 "
             "AND x.day = k.day AND x.no = k.no LIMIT 1) AS m ON true "
             "WHERE k.site = $1 AND k.feed = $2 AND k.control_id = $4 AND k.id = $5), "
             "c AS (INSERT INTO dari.feed_count AS f (site, feed, day, duplicates, last_at) "
             "SELECT $1, $2, ($3::timestamptz AT TIME ZONE 'UTC')::date, 1, $3 FROM d "
             "ON CONFLICT (site, feed, day) DO UPDATE SET duplicates = f.duplicates + 1, "
             "last_at = excluded.last_at) SELECT reply FROM d");

enum sequence_is sequence_of(const struct sequence *s, const struct job *j)
{
    if (!j->numbered) {
        return SEQUENCE_NEXT;
    }
    if (j->number <= 0) {
        return j->number == 0 ? SEQUENCE_START : SEQUENCE_RESYNC;
    }
    if (!s->any || j->number - 1 == s->last) {
        return SEQUENCE_NEXT;
    }
    return j->number <= s->last ? SEQUENCE_OLD : SEQUENCE_GAP;
}

int64_t sequence_expected(const struct sequence *s)
{
    return s->any ? s->last + 1 : -1;
}

void sequence_read(struct job *j)
{
    struct hl7_header h;
    if (!j->p.message) {
        return;
    }
    hl7_header(j->p.message, &h);
    if (h.sequence.n == 0) {
        return;
    }
    if (num_i64(str_trim(h.sequence), -1, SEQUENCE_MAX, &j->number, NULL) == ERR_NONE) {
        j->numbered = true;
        return;
    }
    struct mapped *m = &j->p.mapped;
    *m = (struct mapped){.state = MAPPING_QUARANTINED, .test = m->test};
    ERR(&m->problem, ERR_VALUE, hl7_offset(j->p.message, h.sequence),
        "the sequence number is not a number");
    err_at(&m->problem, "MSH-13");
}

void sequence_load_args(const struct intake_settings *s, struct db_args *q)
{
    arg_z(q, s->site);
    arg_z(q, s->feed);
}

void sequence_loaded(struct sequence *s, const struct db_rows *rows)
{
    s->known = true;
    s->any = db_count(rows) > 0 && !db_null(rows, 0, 0);
    s->last = s->any ? db_i64(rows, 0, 0) : 0;
}

const struct db_statement *sequence_settle(const struct intake_settings *s,
                                           const struct sequence *n, const struct job *j, usec at,
                                           struct db_args *q)
{
    enum sequence_is is = sequence_of(n, j);
    sequence_load_args(s, q);
    arg_time(q, at);
    switch (is) {
    case SEQUENCE_RESYNC:
        return &sequence_resync;
    case SEQUENCE_GAP:
        arg_i64(q, sequence_expected(n));
        arg_i64(q, j->number);
        return &sequence_gap;
    case SEQUENCE_OLD:
        arg_str(q, j->p.control_id);
        arg_bytes(q, (struct str){(const char *)j->p.id, sizeof j->p.id});
        return &sequence_old;
    case SEQUENCE_NEXT:
    case SEQUENCE_START:
        break;
    }
    return NULL;
}
