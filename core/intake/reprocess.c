#include "core/intake/reprocess.h"

#include "core/intake/label.h"
#include "core/intake/parts.h"
#include "core/store/events.h"

#include <string.h>

DB_STATEMENT(reprocess_read,
             "SELECT day, id, state, sealed, received_at, control_id FROM dari.message "
             "WHERE site = $1 AND day = (SELECT dari.message_day($1, $2)) AND no = $2 FOR UPDATE");
DB_STATEMENT(reprocess_write,
             "UPDATE dari.message SET state = $4, reason = $5, place = $6, mapping = $7, patient = "
             "$8, flags = flags | 4, "
             "first_seq = coalesce(first_seq, nullif($9::bigint, 0)), events = events + $10::int, "
             "last_seq = CASE WHEN $10::int > 0 THEN $9::bigint + $10::int - 1 ELSE last_seq END "
             "WHERE site = $1 AND day = $2 AND no = $3");
DB_STATEMENT(
    reprocess_count,
    "UPDATE dari.feed_count SET mapped = mapped + ($5 = 'mapped')::int - ($4 = 'mapped')::int, "
    "ignored = ignored + ($5 = 'ignored')::int - ($4 = 'ignored')::int, "
    "quarantined = quarantined + ($5 = 'quarantined')::int - ($4 = 'quarantined')::int, "
    "events = events + $6::bigint WHERE site = $1 AND feed = $2 AND day = $3");
/* The file first and the stream behind it, as everywhere (core/store/README.md). */
#define OF_BATCH "WHERE site = $1 AND feed = $2 AND digest BETWEEN $3 AND $4 AND turn = $5::int"
DB_STATEMENT(reprocess_lock, "SELECT no FROM dari.batch " OF_BATCH " FOR UPDATE");
/* Rows that are gone were not read. */
DB_STATEMENT(
    reprocess_batch,
    "UPDATE dari.batch SET mapped = mapped + $8 * (($7 = 'mapped')::int - ($6 = 'mapped')::int), "
    "ignored = ignored + $8 * (($7 = 'ignored')::int - ($6 = 'ignored')::int), "
    "rejected = rejected + $8 * (($7 = 'quarantined')::int - ($6 = 'quarantined')::int), "
    "events = events + $9::bigint " OF_BATCH);
DB_STATEMENT(reprocess_ledger, "SELECT dari.ledger_append($1, $2, $3)");
DB_STATEMENT(reprocess_head, "SELECT head FROM dari.stream WHERE site = $1 FOR UPDATE");

static const char *const states[] = {"mapped", "ignored", "quarantined"};

static enum mapping_state state_of(const char *name)
{
    return strcmp(name, "mapped") == 0    ? MAPPING_MAPPED
           : strcmp(name, "ignored") == 0 ? MAPPING_IGNORED
                                          : MAPPING_QUARANTINED;
}

struct stored {
    int32_t day;
    struct str id, sealed, control_id;
    const char *state;
    usec received_at;
};

static enum err_code read_stored(struct db *db, struct arena *a, const char *site, int64_t no,
                                 struct stored *m, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, site);
    arg_i64(&q, no);
    enum err_code code = db_run(db, a, &reprocess_read, &q, &r, e);
    if (code == ERR_NONE && db_count(r) == 0) {
        code = ERR(e, ERR_NOTFOUND, 0, "there is no message %lld", (long long)no);
    }
    if (code == ERR_NONE) {
        *m = (struct stored){.day = db_day(r, 0, 0),
                             .id = db_str(r, 0, 1),
                             .sealed = db_str(r, 0, 3),
                             .control_id = db_str(r, 0, 5),
                             .state = db_z(r, 0, 2),
                             .received_at = db_time(r, 0, 4)};
    }
    return code;
}

static enum err_code open_raw(const struct prepare_settings *s, struct arena *a,
                              const struct stored *m, struct str *raw, struct err *e)
{
    struct buf context;
    buf_init(&context, 256);
    buf_printf(&context, "%s/message/", s->site);
    buf_hex(&context, m->id);
    enum err_code code = unseal(s->keys, a, buf_str(&context), m->sealed, raw, e);
    buf_release(&context);
    return code;
}

/* How many of the events are new is known from the head: append_events leaves out those already
 * there. */
static enum err_code append(struct db *db, struct arena *a, const struct prepare_settings *s,
                            int64_t no, const struct mapped *m, int64_t *first, int64_t *count,
                            struct err *e)
{
    struct db_args q = {0};
    struct db_rows *before, *after;
    const char *source = arena_printf(a, "feed:%s", s->feed);
    const struct event_batch batch = {.site = s->site,
                                      .source = source,
                                      .kind = "reprocessed",
                                      .at = clock_now(),
                                      .message_no = no,
                                      .mapping = m->mapping,
                                      .events = m->events,
                                      .count = m->state == MAPPING_MAPPED ? m->count : 0};
    arg_z(&q, s->site);
    enum err_code code = db_run(db, a, &reprocess_head, &q, &before, e);
    if (code == ERR_NONE) {
        code = events_append(db, a, s->keys, &batch, first, e);
    }
    if (code == ERR_NONE) {
        code = db_run(db, a, &reprocess_head, &q, &after, e);
    }
    if (code == ERR_NONE) {
        *count = db_i64(after, 0, 0) - db_i64(before, 0, 0);
    }
    return code;
}

static enum err_code note(struct db *db, struct arena *a, const struct prepare_settings *s,
                          int64_t no, const struct mapped *m, struct err *e)
{
    const char *body =
        arena_printf(a, "reprocessed site=%s message=%lld state=%s mapping=%s", s->site,
                     (long long)no, states[m->state], m->mapping ? m->mapping : "-");
    struct db_args q = {0};
    arg_z(&q, s->site);
    arg_time(&q, clock_now());
    arg_z(&q, body);
    return db_run(db, a, &reprocess_ledger, &q, NULL, e);
}

static enum err_code write_state(struct db *db, struct arena *a, const struct prepare_settings *s,
                                 int64_t no, const struct stored *old, const struct mapped *m,
                                 int64_t first, int64_t count, struct err *e)
{
    bool bad = m->state == MAPPING_QUARANTINED;
    const char *place =
        m->problem.where[0] ? m->problem.where : arena_printf(a, "byte %zu", m->problem.pos);
    struct db_args q = {0}, c = {0};
    arg_z(&q, s->site);
    arg_day(&q, old->day);
    arg_i64(&q, no);
    arg_z(&q, states[m->state]);
    arg_z(&q, bad ? m->problem.msg : m->reason);
    arg_z(&q, bad ? place : NULL);
    arg_z(&q, m->mapping);
    arg_z(&q, m->patient[0] ? m->patient : NULL);
    arg_i64(&q, first);
    arg_i64(&q, count);
    enum err_code code = db_run(db, a, &reprocess_write, &q, NULL, e);
    arg_z(&c, s->site);
    arg_z(&c, s->feed);
    arg_day(&c, old->day);
    arg_z(&c, old->state);
    arg_z(&c, states[m->state]);
    arg_i64(&c, count);
    return code == ERR_NONE ? db_run(db, a, &reprocess_count, &c, NULL, e) : code;
}

/* The file that it came in, when its control id says which. */
static bool batch_args(const struct prepare_settings *s, const struct stored *old, struct label *l,
                       struct db_args *q)
{
    if (!label_read(old->control_id, l)) {
        return false;
    }
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_bytes(q, (struct str){(const char *)l->low, sizeof l->low});
    arg_bytes(q, (struct str){(const char *)l->high, sizeof l->high});
    arg_i64(q, l->turn);
    return true;
}

static enum err_code lock_batch(struct db *db, struct arena *a, const struct prepare_settings *s,
                                const struct stored *old, struct err *e)
{
    struct label l;
    struct db_args q = {0};
    return batch_args(s, old, &l, &q) ? db_run(db, a, &reprocess_lock, &q, NULL, e) : ERR_NONE;
}

static enum err_code count_in_batch(struct db *db, struct arena *a,
                                    const struct prepare_settings *s, const struct stored *old,
                                    enum mapping_state after, int64_t count, struct err *e)
{
    struct label l;
    struct db_args q = {0};
    if (!batch_args(s, old, &l, &q)) {
        return ERR_NONE;
    }
    arg_z(&q, old->state);
    arg_z(&q, states[after]);
    arg_i64(&q, l.number > 0);
    arg_i64(&q, count);
    return db_run(db, a, &reprocess_batch, &q, NULL, e);
}

static enum err_code in_transaction(struct db *db, struct arena *a,
                                    const struct prepare_settings *s, int64_t no,
                                    struct reprocessed *out, struct err *e)
{
    struct stored old;
    struct prepared p;
    struct str raw;
    int64_t first = 0, count = 0;
    enum err_code code = read_stored(db, a, s->site, no, &old, e);
    if (code == ERR_NONE) {
        code = open_raw(s, a, &old, &raw, e);
    }
    if (code == ERR_NONE) {
        code = prepare_message(s, a, old.control_id, raw, old.received_at, &p, e);
    }
    if (code == ERR_NONE && p.part.is) {
        code = parts_again(db, a, s, no, old.day, old.received_at, &p, e);
    }
    if (code == ERR_NONE) {
        code = lock_batch(db, a, s, &old, e);
    }
    if (code == ERR_NONE) {
        code = append(db, a, s, no, &p.mapped, &first, &count, e);
    }
    if (code == ERR_NONE) {
        code = write_state(db, a, s, no, &old, &p.mapped, first, count, e);
    }
    if (code == ERR_NONE) {
        code = count_in_batch(db, a, s, &old, p.mapped.state, count, e);
    }
    if (code == ERR_NONE && count == 0) {
        code = note(db, a, s, no, &p.mapped, e);
    }
    if (code == ERR_NONE) {
        *out = (struct reprocessed){state_of(old.state), p.mapped.state, (size_t)count,
                                    p.mapped.problem};
    }
    return code;
}

enum err_code reprocess_message(struct db *db, struct arena *a, const struct prepare_settings *s,
                                int64_t no, bool dry, struct reprocessed *out, struct err *e)
{
    enum err_code code = db_begin(db, e);
    if (code == ERR_NONE) {
        code = in_transaction(db, a, s, no, out, e);
    }
    if (code == ERR_NONE && !dry) {
        code = db_commit(db, e);
    }
    if (code != ERR_NONE || dry) {
        db_rollback(db);
    }
    return code;
}
