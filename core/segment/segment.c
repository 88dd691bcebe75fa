#include "core/segment/segment.h"

#include "core/base/log.h"
#include "core/segment/core.h"
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

/* The lock makes a second writer (dari segment recompute) wait, and its work is seen. */
DB_STATEMENT(lock_state, "SELECT p.seq, s.at, s.last_sweep_at, s.rules FROM dari.position p "
                         "JOIN dari.segment_state s ON s.site = p.site "
                         "WHERE p.site = $1 AND p.role = 'segment' FOR UPDATE");
DB_STATEMENT(save_state, "WITH p AS (UPDATE dari.position SET seq = $2 "
                         "WHERE site = $1 AND role = 'segment') "
                         "UPDATE dari.segment_state SET at = $3, last_sweep_at = $4 "
                         "WHERE site = $1");
DB_STATEMENT(next_start, "SELECT min(start_at) FROM dari.profile_appointment "
                         "WHERE site = $1 AND start_at > $2");
DB_STATEMENT(waiting, "SELECT EXISTS (SELECT 1 FROM dari.event "
                      "WHERE site = $1 AND seq > $2 AND type = ANY ($3::text[]))");

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

enum err_code core_begin(struct segmenter *s, struct err *e)
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
    enum err_code code = core_begin(s, e);
    if (code == ERR_NONE) {
        code = segment_commit(s, e);
    }
    return code;
}

/* ---- evaluation ---- */

enum err_code core_evaluate(struct segmenter *s, const struct db_statement *st, usec now,
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
            code = code == ERR_NONE ? core_begin(s, e) : code;
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
        code = core_evaluate(s, midnight ? &s->set.rules->all : &s->set.rules->due, due,
                             &time_passed, NULL, e);
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
    enum err_code code = core_begin(s, e);
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
    return core_evaluate(s, &s->set.rules->some, s->at, &cause, patients, e);
}

enum err_code segment_apply(struct segmenter *s, const struct received_event *ev, struct err *e)
{
    enum err_code code = core_begin(s, e);
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
    enum err_code code = core_begin(s, e);
    if (code != ERR_NONE || s->at == SEGMENT_NEVER) {
        return code;
    }
    s->swept = s->at;
    return core_evaluate(s, which ? &which->all : &s->set.rules->all, s->at, &asked, NULL, e);
}
