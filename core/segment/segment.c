#include "core/segment/segment.h"

#include "core/base/log.h"
#include "core/segment/change.h"
#include "core/segment/profile.h"
#include "core/store/events.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 5000,        /* changes of one evaluation at a time */
    MAX_PENDING = 20000, /* changes of one transaction */
    MAX_CATCH_UP = 400,  /* days: farther back nobody waits for what a clock's jump skipped */
    MAX_SCRATCH = 256 * 1024 * 1024
};

DB_STATEMENT(make_rows, "WITH a AS (INSERT INTO dari.segment_state (site) VALUES ($1) "
                        "ON CONFLICT DO NOTHING) "
                        "INSERT INTO dari.position (site, role) VALUES ($1, 'segment') "
                        "ON CONFLICT DO NOTHING");
/* The lock makes a second writer (dari segment recompute) wait, and its work is seen. */
DB_STATEMENT(lock_state, "SELECT p.seq, s.at, s.last_sweep_at, s.rules FROM dari.position p "
                         "JOIN dari.segment_state s ON s.site = p.site "
                         "WHERE p.site = $1 AND p.role = 'segment' FOR UPDATE");
DB_STATEMENT(save_state, "WITH p AS (UPDATE dari.position SET seq = $2 "
                         "WHERE site = $1 AND role = 'segment') "
                         "UPDATE dari.segment_state SET at = $3, last_sweep_at = $4 "
                         "WHERE site = $1");
DB_STATEMENT(save_rules, "UPDATE dari.segment_state SET rules = $2 WHERE site = $1");
DB_STATEMENT(next_start, "SELECT min(start_at) FROM dari.profile_appointment "
                         "WHERE site = $1 AND start_at > $2");
DB_STATEMENT(waiting, "SELECT EXISTS (SELECT 1 FROM dari.event "
                      "WHERE site = $1 AND seq > $2 AND type = ANY ($3::text[]))");

DB_STATEMENT(read_rules, "SELECT segment, version, digest FROM dari.segment_rule WHERE site = $1");
DB_STATEMENT(put_rule, "INSERT INTO dari.segment_rule AS r (site, segment, version, digest) "
                       "VALUES ($1, $2, $3, $4) ON CONFLICT (site, segment) DO UPDATE "
                       "SET version = excluded.version, digest = excluded.digest");
DB_STATEMENT(drop_rules, "DELETE FROM dari.segment_rule WHERE site = $1 "
                         "AND segment <> ALL ($2::text[])");
DB_STATEMENT(drop_members,
             "WITH m AS (DELETE FROM dari.segment_member WHERE site = $1 "
             "AND segment <> ALL ($2::text[]) RETURNING patient, segment, rule_version) "
             "SELECT patient, segment, rule_version FROM m ORDER BY patient, segment");
DB_STATEMENT(keep_members, "UPDATE dari.segment_member SET rule_version = $3, reasons = $4::text[] "
                           "WHERE site = $1 AND segment = $2 "
                           "AND (rule_version <> $3 OR reasons <> $4::text[])");

struct segmenter {
    struct segment_settings set;
    struct db *db;
    struct arena *tx;      /* derived events until the commit */
    struct arena *scratch; /* one statement or event */
    struct change_list changes;
    int64_t position;
    usec at, swept;
    usec start; /* next appointment start after `at`, when start_known */
    bool start_known;
    bool open;    /* a transaction */
    bool adopted; /* the rules in the database are ours */
};

/* ---- life ---- */

enum err_code segment_new(const struct segment_settings *set, struct segmenter **out, struct err *e)
{
    *out = NULL;
    struct segmenter *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    }
    s->set = *set;
    s->at = s->swept = SEGMENT_NEVER;
    s->tx = arena_new(0);
    s->scratch = arena_new(MAX_SCRATCH);
    enum err_code code =
        s->tx && s->scratch ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    if (code == ERR_NONE) {
        code = change_init(&s->changes, &s->set, s->tx, e);
    }
    if (code != ERR_NONE) {
        segment_free(&s);
        return code;
    }
    *out = s;
    return ERR_NONE;
}

void segment_free(struct segmenter **s)
{
    if (*s) {
        arena_free(&(*s)->tx);
        arena_free(&(*s)->scratch);
        free(*s);
        *s = NULL;
    }
}

int64_t segment_position(const struct segmenter *s)
{
    return s->position;
}

usec segment_at(const struct segmenter *s)
{
    return s->at;
}

size_t segment_pending(const struct segmenter *s)
{
    return s->changes.count;
}

/* ---- transactions ---- */

static void arg_when(struct db_args *q, usec at)
{
    at == SEGMENT_NEVER ? arg_null(q) : arg_time(q, at);
}

static enum err_code begin(struct segmenter *s, struct err *e)
{
    if (s->open) {
        return ERR_NONE;
    }
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, s->set.site);
    enum err_code code = db_begin(s->db, e);
    if (code == ERR_NONE) {
        s->open = true;
        code = db_run(s->db, s->scratch, &lock_state, &q, &rows, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (db_count(rows) != 1) {
        return ERR(e, ERR_DB, 0, "the segmentation state of the site is gone from the database");
    }
    s->position = db_i64(rows, 0, 0);
    s->at = db_null(rows, 0, 1) ? SEGMENT_NEVER : db_time(rows, 0, 1);
    s->swept = db_null(rows, 0, 2) ? SEGMENT_NEVER : db_time(rows, 0, 2);
    s->start_known = false;
    bool ours = str_is(db_str(rows, 0, 3), s->set.rules->digest);
    if (s->adopted && !ours) {
        return ERR(e, ERR_CONFIG, 0, "another process has taken up other segments: start again");
    }
    s->adopted = ours;
    return ERR_NONE;
}

enum err_code segment_commit(struct segmenter *s, struct err *e)
{
    if (!s->open) {
        return ERR_NONE;
    }
    struct db_args q = {0};
    int64_t first;
    arg_z(&q, s->set.site);
    arg_i64(&q, s->position);
    arg_when(&q, s->at);
    arg_when(&q, s->swept);
    enum err_code code = db_run(s->db, s->scratch, &save_state, &q, NULL, e);
    if (code == ERR_NONE) {
        /* Last: it takes the lock that all writers of the site share. */
        struct event_batch batch = {.site = s->set.site,
                                    .source = "role:segment",
                                    .kind = "derived",
                                    .at = clock_now(),
                                    .events = s->changes.events,
                                    .count = s->changes.count};
        code = events_append(s->db, s->tx, s->set.keys, &batch, &first, e);
    }
    if (code == ERR_NONE) {
        code = db_commit(s->db, e);
    }
    if (code == ERR_NONE) {
        s->open = false;
        change_reset(&s->changes);
        arena_reset(s->tx);
        arena_reset(s->scratch);
    }
    return code;
}

enum err_code segment_rollback(struct segmenter *s, struct err *e)
{
    db_rollback(s->db);
    s->open = false;
    change_reset(&s->changes);
    arena_reset(s->tx);
    arena_reset(s->scratch);
    enum err_code code = begin(s, e);
    if (code == ERR_NONE) {
        code = segment_commit(s, e);
    }
    return code;
}

/* ---- evaluation ---- */

/* `patients` NULL for the statements that choose themselves. */
static enum err_code evaluate(struct segmenter *s, const struct db_statement *st, usec now,
                              const struct change_cause *cause, struct db_array *patients,
                              struct err *e)
{
    int n = CHUNK;
    while (n == CHUNK) {
        struct db_args q = {0};
        struct db_rows *rows;
        arg_z(&q, s->set.site);
        arg_time(&q, now);
        arg_day(&q, zone_day(now));
        arg_i64(&q, CHUNK);
        if (patients) {
            arg_array(&q, patients);
        }
        enum err_code code = db_run(s->db, s->scratch, st, &q, &rows, e);
        if (code == ERR_NONE) {
            n = db_count(rows);
            code = change_add(&s->changes, rows, now, cause, e);
        }
        /* What is committed here no longer differs; the rest follows, `at` comes last. */
        if (code == ERR_NONE && s->changes.count >= MAX_PENDING) {
            code = segment_commit(s, e);
            code = code == ERR_NONE ? begin(s, e) : code;
        }
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

/* ---- time ---- */

static usec next_midnight(usec at)
{
    return zone_instant(zone_day(at) + 1, 0, 0, 0);
}

enum err_code segment_due(struct segmenter *s, usec *due, struct err *e)
{
    *due = INT64_MAX;
    if (!s->open) {
        arena_reset(s->scratch);
    }
    if (s->at == SEGMENT_NEVER) {
        return ERR_NONE;
    }
    if (!s->start_known) {
        struct db_args q = {0};
        struct db_rows *rows;
        arg_z(&q, s->set.site);
        arg_time(&q, s->at);
        enum err_code code = db_run(s->db, s->scratch, &next_start, &q, &rows, e);
        if (code != ERR_NONE) {
            return code;
        }
        s->start = db_null(rows, 0, 0) ? INT64_MAX : db_time(rows, 0, 0);
        s->start_known = true;
    }
    usec midnight = next_midnight(s->at);
    *due = s->start < midnight ? s->start : midnight;
    return ERR_NONE;
}

/* Every instant up to `limit` at which membership may change by itself, in order. */
static enum err_code advance(struct segmenter *s, usec limit, struct err *e)
{
    static const struct change_cause time_passed = {.name = "time"};
    if (s->at != SEGMENT_NEVER && limit - s->at > MAX_CATCH_UP * USEC_DAY) {
        s->at = limit - MAX_CATCH_UP * USEC_DAY;
        s->start_known = false;
    }
    for (;;) {
        usec due;
        enum err_code code = segment_due(s, &due, e);
        if (code != ERR_NONE || due > limit) {
            return code;
        }
        bool midnight = due == next_midnight(s->at);
        code = evaluate(s, midnight ? &s->set.rules->all : &s->set.rules->due, due, &time_passed,
                        NULL, e);
        if (code != ERR_NONE) {
            return code;
        }
        s->at = due;
        s->swept = midnight ? due : s->swept;
        s->start_known = s->start_known && s->start > due;
        arena_reset(s->scratch);
    }
}

enum err_code segment_tick(struct segmenter *s, usec now, struct err *e)
{
    enum err_code code = begin(s, e);
    return code == ERR_NONE ? advance(s, now, e) : code;
}

enum err_code segment_waiting(struct segmenter *s, bool *more, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    if (!s->open) {
        arena_reset(s->scratch);
    }
    struct db_array *types = db_array_new(s->scratch);
    *more = true;
    if (!types) {
        return ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    }
    for (size_t i = 0; profile_type(i); i++) {
        db_array_z(types, profile_type(i));
    }
    arg_z(&q, s->set.site);
    arg_i64(&q, s->position);
    arg_array(&q, types);
    enum err_code code = db_run(s->db, s->scratch, &waiting, &q, &rows, e);
    if (code == ERR_NONE) {
        *more = db_bool(rows, 0, 0);
    }
    return code;
}

/* ---- events ---- */

static enum err_code apply_known(struct segmenter *s, const struct received_event *ev,
                                 struct err *e)
{
    struct profile_scope scope = {s->db, s->scratch, s->set.site};
    struct profile_change change;
    /* Clocks of different processes may differ a little; ours never runs backwards. */
    enum err_code code = advance(s, ev->recorded_at, e);
    if (code != ERR_NONE) {
        return code;
    }
    s->at = ev->recorded_at > s->at ? ev->recorded_at : s->at;
    code = profile_apply(&scope, ev, &change, e);
    if (code != ERR_NONE || change.count == 0) {
        return code;
    }
    s->start_known = s->start_known && !change.appointments;
    struct db_array *patients = db_array_new(s->scratch);
    if (!patients) {
        return ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    }
    for (size_t i = 0; i < change.count; i++) {
        db_array_z(patients, change.patients[i]);
    }
    struct change_cause cause = {.name = ev->id, .event = ev->id, .test = ev->test};
    return evaluate(s, &s->set.rules->some, s->at, &cause, patients, e);
}

enum err_code segment_apply(struct segmenter *s, const struct received_event *ev, struct err *e)
{
    enum err_code code = begin(s, e);
    if (code != ERR_NONE || ev->seq <= s->position) {
        return code;
    }
    if (profile_knows(ev->type)) {
        code = apply_known(s, ev, e);
    }
    if (code == ERR_NONE) {
        s->position = ev->seq;
        /* Rows of the scratch arena are read by now. */
        arena_reset(s->scratch);
    }
    return code;
}

enum err_code segment_recompute(struct segmenter *s, const struct segment_rules *which,
                                struct err *e)
{
    static const struct change_cause asked = {.name = "recompute"};
    enum err_code code = begin(s, e);
    if (code != ERR_NONE || s->at == SEGMENT_NEVER) {
        return code;
    }
    s->swept = s->at;
    return evaluate(s, which ? &which->all : &s->set.rules->all, s->at, &asked, NULL, e);
}

/* ---- rules that changed since the last time ---- */

static struct db_array *rule_ids(const struct segmenter *s)
{
    struct db_array *ids = db_array_new(s->scratch);
    for (size_t i = 0; ids && i < s->set.rules->count; i++) {
        db_array_z(ids, s->set.rules->rules[i].id);
    }
    return ids;
}

static void warn_of_versions(const struct segmenter *s, const struct db_rows *rows)
{
    for (int i = 0; i < db_count(rows); i++) {
        const struct segment_rule *r = segment_rule_find(s->set.rules, db_z(rows, i, 0));
        if (r && strcmp(r->digest, db_z(rows, i, 2)) != 0 && r->version == db_i64(rows, i, 1)) {
            log_warn("segment.version",
                     "segment=%s version=%d error=\"the rule changed but not its version: count it "
                     "up\"",
                     r->id, r->version);
        }
    }
}

/* Remembers the rule; who stays a member is one by this version now. */
static enum err_code put_one_rule(struct segmenter *s, const struct segment_rule *r, struct err *e)
{
    struct db_array *reasons = db_array_new(s->scratch);
    if (!reasons) {
        return ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    }
    for (size_t k = 0; k < r->when_count; k++) {
        db_array_z(reasons, r->whens[k].reason);
    }
    struct db_args put = {0}, keep = {0};
    arg_z(&put, s->set.site);
    arg_z(&put, r->id);
    arg_i64(&put, r->version);
    arg_z(&put, r->digest);
    arg_z(&keep, s->set.site);
    arg_z(&keep, r->id);
    arg_i64(&keep, r->version);
    arg_array(&keep, reasons);
    enum err_code code = db_run(s->db, s->scratch, &put_rule, &put, NULL, e);
    return code == ERR_NONE ? db_run(s->db, s->scratch, &keep_members, &keep, NULL, e) : code;
}

static enum err_code put_rules(struct segmenter *s, struct db_array *ids, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, s->set.site);
    arg_array(&q, ids);
    enum err_code code = db_run(s->db, s->scratch, &drop_rules, &q, NULL, e);
    for (size_t i = 0; code == ERR_NONE && i < s->set.rules->count; i++) {
        code = put_one_rule(s, &s->set.rules->rules[i], e);
    }
    return code;
}

/* Members of segments that are gone leave; then everybody is looked at by the new rules. */
static enum err_code adopt_rules(struct segmenter *s, struct err *e)
{
    static const struct change_cause rules = {.name = "rules"};
    struct db_array *ids = rule_ids(s);
    struct db_args q = {0};
    struct db_rows *rows;
    if (!ids) {
        return ERR(e, ERR_NOMEM, 0, "no memory for segmentation");
    }
    arg_z(&q, s->set.site);
    arg_array(&q, ids);
    enum err_code code = db_run(s->db, s->scratch, &drop_members, &q, &rows, e);
    if (code == ERR_NONE && s->at != SEGMENT_NEVER) {
        code = change_removed(&s->changes, rows, s->at, e);
    }
    if (code == ERR_NONE) {
        code = put_rules(s, ids, e);
    }
    struct db_args digest = {0};
    arg_z(&digest, s->set.site);
    arg_z(&digest, s->set.rules->digest);
    if (code == ERR_NONE) {
        code = db_run(s->db, s->scratch, &save_rules, &digest, NULL, e);
    }
    s->adopted = code == ERR_NONE;
    if (code == ERR_NONE && s->at != SEGMENT_NEVER) {
        s->swept = s->at;
        code = evaluate(s, &s->set.rules->all, s->at, &rules, NULL, e);
    }
    return code;
}

enum err_code segment_attach(struct segmenter *s, struct db *db, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    s->db = db;
    s->adopted = false;
    arg_z(&q, s->set.site);
    enum err_code code = db_run(db, s->scratch, &make_rows, &q, NULL, e);
    if (code == ERR_NONE) {
        code = segment_rollback(s, e);
    }
    if (code != ERR_NONE || s->adopted) {
        return code;
    }
    code = begin(s, e);
    if (code == ERR_NONE) {
        code = db_run(db, s->scratch, &read_rules, &q, &rows, e);
    }
    if (code == ERR_NONE) {
        warn_of_versions(s, rows);
        log_info("segment.rules", "segments=%zu", s->set.rules->count);
        code = adopt_rules(s, e);
    }
    return code == ERR_NONE ? segment_commit(s, e) : code;
}
