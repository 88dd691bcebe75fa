#include "core/ledger/lineage.h"

#include "core/base/num.h"
#include "core/base/text.h"
#include "core/ledger/entry.h"
#include "core/ledger/lineage_internal.h"

#include <string.h>

enum { LIMIT = 2000, MESSAGE_ID_HEX = 32, KEY_CHARS = 26 };
#define LIMIT_TEXT "2001"

/* ---- where to begin ---- */

DB_STATEMENT(lineage_by_no, "SELECT no FROM dari.message WHERE site = $1 "
                            "AND day = (SELECT dari.message_day($1, $2)) AND no = $2");
DB_STATEMENT(lineage_by_id, "SELECT no FROM dari.message_key WHERE site = $1 AND id = $2");
/* No index: rows of a table are looked for by number or control id. */
DB_STATEMENT(lineage_row_by_id,
             "SELECT m.no FROM dari.batch_group g JOIN dari.message m ON m.site = g.site "
             "AND m.day = g.day AND m.no BETWEEN g.first_no AND g.last_no "
             "WHERE g.site = $1 AND m.id = $2");
DB_STATEMENT(lineage_by_control, "SELECT no FROM dari.message_key WHERE site = $1 "
                                 "AND feed = ANY (ARRAY(SELECT DISTINCT f.feed "
                                 "FROM dari.feed_count f WHERE f.site = $1)) "
                                 "AND control_id = $2 "
                                 "UNION ALL SELECT no FROM dari.row_messages($1, $2) "
                                 "ORDER BY no LIMIT 50");
DB_STATEMENT(lineage_by_seq, "SELECT id FROM dari.event WHERE site = $1 AND seq = $2");
/* The index of events by id has a hash of it. */
#define EVENT_IS(a, b) "hashtextextended(" a ", 0) = hashtextextended(" b ", 0) AND " a " = " b
DB_STATEMENT(lineage_by_event,
             "SELECT id FROM dari.event WHERE site = $1 AND " EVENT_IS("id", "$2"));
DB_STATEMENT(lineage_by_plan, "SELECT id FROM dari.event WHERE site = $1 AND type LIKE 'message.%' "
                              "AND substring(data FROM '\"message_key\":\"([0-9a-z]{26})\"') = $2 "
                              "UNION SELECT cause FROM dari.plan WHERE site = $1 AND id = $2");

/* ---- back to the beginning, and forward from there ---- */

DB_STATEMENT(lineage_up,
             "WITH RECURSIVE up AS ("
             "SELECT e.id, e.cause, e.message_no FROM unnest($2::text[]) AS u(id) "
             "JOIN dari.event e ON e.site = $1 AND " EVENT_IS(
                 "e.id", "u.id") " "
                                 "UNION SELECT e.id, e.cause, e.message_no FROM up "
                                 "JOIN dari.event e ON e.site = $1 AND " EVENT_IS(
                                     "e.id", "up.cause") ") "
                                                         "SELECT id, message_no FROM up WHERE "
                                                         "cause IS NULL LIMIT " LIMIT_TEXT);
DB_STATEMENT(lineage_down,
             "WITH RECURSIVE down AS ((SELECT e.id FROM dari.message m JOIN dari.event e "
             "ON e.site = m.site AND e.seq BETWEEN m.first_seq "
             "AND coalesce(m.last_seq, m.first_seq + m.events - 1) AND e.message_no = m.no "
             "WHERE m.site = $1 AND m.day = ANY (ARRAY(SELECT dari.message_day($1, u) "
             "FROM unnest($2::bigint[]) AS u)) AND m.no = ANY($2::bigint[]) "
             "UNION SELECT unnest($3::text[])) "
             "UNION SELECT e.id FROM down JOIN dari.event e ON e.site = $1 AND e.cause = down.id) "
             "SELECT e.seq, e.id, e.type, e.time, e.recorded_at, e.source, e.message_no, e.cause, "
             "e.mapping, e.day FROM down JOIN dari.event e ON e.site = $1 AND " EVENT_IS(
                 "e.id", "down.id") " "
                                    "ORDER BY e.seq LIMIT " LIMIT_TEXT);
DB_STATEMENT(lineage_messages,
             "SELECT no, encode(id, 'hex'), feed, received_at, control_id, type, state, mapping, "
             "size, first_seq, events, day, (SELECT string_agg(x.no::text, ',' ORDER BY x.place) "
             "FROM dari.part x WHERE x.site = $1 AND x.whole = (SELECT p.whole FROM dari.part p "
             "WHERE p.site = $1 AND p.no = message.no)) FROM dari.message "
             "WHERE site = $1 AND day = ANY (ARRAY(SELECT dari.message_day($1, u) "
             "FROM unnest($2::bigint[]) AS u)) AND no = ANY($2::bigint[]) ORDER BY no");
DB_STATEMENT(lineage_deliveries,
             "SELECT s.seq, d.consumer, d.contract, d.acked_at, d.ledger "
             "FROM unnest($2::bigint[]) AS s(seq) JOIN dari.delivery d ON d.site = $1 "
             "AND d.first_seq <= s.seq AND d.last_seq >= s.seq ORDER BY s.seq, d.acked_at");

DB_STATEMENT(lineage_plans,
             "SELECT id, journey, step, channel, class, state, reason, cause, planned_at, "
             "due_at, done_at FROM dari.plan "
             "WHERE site = $1 AND cause = ANY($2::text[]) ORDER BY planned_at, id");

/* Entries of the days in question that name messages or events; matched here, not in SQL. */
DB_STATEMENT(lineage_entries, "SELECT idx, body FROM dari.ledger WHERE site = $1 "
                              "AND day = ANY($2::text[]::date[]) AND body LIKE '% eventsdigest=%' "
                              "AND (substring(body FROM ' message=([0-9]+) ')::bigint "
                              "= ANY($3::bigint[]) OR EXISTS (SELECT 1 FROM unnest($3::bigint[]) "
                              "AS m(no) WHERE m.no BETWEEN "
                              "substring(body FROM ' messages=([0-9]+)-')::bigint AND "
                              "substring(body FROM ' messages=[0-9]+-([0-9]+) ')::bigint) "
                              "OR EXISTS (SELECT 1 FROM unnest($4::bigint[]) "
                              "AS s(seq) WHERE s.seq BETWEEN "
                              "substring(body FROM ' events=([0-9]+)-')::bigint AND "
                              "substring(body FROM ' events=[0-9]+-([0-9]+) ')::bigint)) "
                              "ORDER BY idx");

struct search {
    struct db *db;
    struct arena *a;
    const char *site;
    struct lineage *found;
    struct db_rows *seed_messages, *seed_events; /* either may be NULL */
};

static bool is_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!memchr("0123456789abcdefABCDEF", s.p[i], 22)) {
            return false;
        }
    }
    return true;
}

static enum err_code look(struct search *s, const struct db_statement *st, struct db_args *q,
                          struct db_rows **rows, struct err *e)
{
    enum err_code code = db_run(s->db, s->a, st, q, rows, e);
    if (code == ERR_NONE && db_count(*rows) == 0) {
        *rows = NULL;
    }
    return code;
}

static enum err_code look_str(struct search *s, const struct db_statement *st, struct str value,
                              struct db_rows **rows, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, s->site);
    arg_str(&q, value);
    return look(s, st, &q, rows, e);
}

static enum err_code look_number(struct search *s, const struct db_statement *st, struct str value,
                                 struct db_rows **rows, struct err *e)
{
    struct db_args q = {0};
    int64_t n;
    *rows = NULL;
    if (num_i64(value, 1, INT64_MAX, &n, NULL) != ERR_NONE) {
        return ERR_NONE;
    }
    arg_z(&q, s->site);
    arg_i64(&q, n);
    return look(s, st, &q, rows, e);
}

/* From the most telling form to the least: a control id may look like anything. */
static enum err_code find_seeds(struct search *s, struct str id, struct err *e)
{
    enum err_code code = ERR_NONE;
    if (id.n > 1 && id.p[0] == '#') {
        code = look_number(s, &lineage_by_seq, str_cut(id, 1, id.n), &s->seed_events, e);
    } else if (id.n == MESSAGE_ID_HEX && is_hex(id)) {
        char raw[MESSAGE_ID_HEX / 2];
        struct db_args q = {0};
        text_unhex(id, raw, NULL);
        arg_z(&q, s->site);
        arg_bytes(&q, (struct str){raw, sizeof raw});
        code = look(s, &lineage_by_id, &q, &s->seed_messages, e);
        if (code == ERR_NONE && !s->seed_messages) {
            code = look(s, &lineage_row_by_id, &q, &s->seed_messages, e);
        }
    } else if (id.n == KEY_CHARS) {
        code = look_str(s, &lineage_by_event, id, &s->seed_events, e);
        if (code == ERR_NONE && !s->seed_events) {
            code = look_str(s, &lineage_by_plan, id, &s->seed_events, e);
        }
    }
    if (code == ERR_NONE && !s->seed_events && !s->seed_messages) {
        code = look_str(s, &lineage_by_control, id, &s->seed_messages, e);
    }
    if (code == ERR_NONE && !s->seed_events && !s->seed_messages) {
        code = look_number(s, &lineage_by_no, id, &s->seed_messages, e);
    }
    if (code == ERR_NONE && !s->seed_events && !s->seed_messages) {
        code =
            ERR(e, ERR_NOTFOUND, 0,
                "nothing has this id: give a message's number or id, a control id, an event's id "
                "or #number, or a plan's key");
    }
    return code;
}

/* The messages and cause-less events that everything began with. */
static enum err_code find_roots(struct search *s, struct db_array *nos, struct db_array *ids,
                                struct err *e)
{
    for (int i = 0; s->seed_messages && i < db_count(s->seed_messages); i++) {
        db_array_i64(nos, db_i64(s->seed_messages, i, 0));
    }
    if (!s->seed_events) {
        return ERR_NONE;
    }
    struct db_array *seeds = db_array_new(s->a);
    struct db_args q = {0};
    struct db_rows *rows;
    if (!seeds) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    for (int i = 0; i < db_count(s->seed_events); i++) {
        db_array_str(seeds, db_str(s->seed_events, i, 0));
    }
    arg_z(&q, s->site);
    arg_array(&q, seeds);
    enum err_code code = db_run(s->db, s->a, &lineage_up, &q, &rows, e);
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        if (db_null(rows, i, 1)) {
            db_array_str(ids, db_str(rows, i, 0));
        } else {
            db_array_i64(nos, db_i64(rows, i, 1));
        }
    }
    return code;
}

static bool wanted(const struct search *s, struct str id)
{
    for (int i = 0; s->seed_events && i < db_count(s->seed_events); i++) {
        if (str_eq(db_str(s->seed_events, i, 0), id)) {
            return true;
        }
    }
    return false;
}

static const char *z_or_null(const struct db_rows *r, int i, int col)
{
    return db_null(r, i, col) ? NULL : db_z(r, i, col);
}

static enum err_code read_events(struct search *s, struct db_array *nos, struct db_array *ids,
                                 struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->site);
    arg_array(&q, nos);
    arg_array(&q, ids);
    enum err_code code = db_run(s->db, s->a, &lineage_down, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    int n = db_count(r);
    if (n > LIMIT) {
        return ERR(e, ERR_LIMIT, 0, "more than %d events belong to this", LIMIT);
    }
    s->found->events = arena_array(s->a, (size_t)n + 1, sizeof *s->found->events);
    if (!s->found->events) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    for (int i = 0; i < n; i++) {
        s->found->events[i] = (struct lineage_event){.seq = db_i64(r, i, 0),
                                                     .id = db_z(r, i, 1),
                                                     .type = db_z(r, i, 2),
                                                     .time = db_time(r, i, 3),
                                                     .recorded_at = db_time(r, i, 4),
                                                     .source = db_z(r, i, 5),
                                                     .message_no = db_i64(r, i, 6),
                                                     .cause = z_or_null(r, i, 7),
                                                     .mapping = z_or_null(r, i, 8),
                                                     .day = db_z(r, i, 9),
                                                     .wanted = wanted(s, db_str(r, i, 1))};
    }
    s->found->event_count = n;
    return ERR_NONE;
}

static enum err_code read_messages(struct search *s, struct db_array *nos, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->site);
    arg_array(&q, nos);
    enum err_code code = db_run(s->db, s->a, &lineage_messages, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    int n = db_count(r);
    s->found->messages = arena_array(s->a, (size_t)n + 1, sizeof *s->found->messages);
    if (!s->found->messages) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    for (int i = 0; i < n; i++) {
        s->found->messages[i] =
            (struct lineage_message){.no = db_i64(r, i, 0),
                                     .id = db_z(r, i, 1),
                                     .feed = db_z(r, i, 2),
                                     .received_at = db_time(r, i, 3),
                                     .control_id = db_z(r, i, 4),
                                     .type = text_visible(s->a, db_str(r, i, 5)),
                                     .state = db_z(r, i, 6),
                                     .mapping = z_or_null(r, i, 7),
                                     .size = db_i64(r, i, 8),
                                     .first_seq = db_i64(r, i, 9),
                                     .events = db_i64(r, i, 10),
                                     .day = db_z(r, i, 11),
                                     .parts = z_or_null(r, i, 12)};
    }
    s->found->message_count = n;
    return ERR_NONE;
}

static struct str type_of(const struct lineage *l, int64_t seq)
{
    for (int i = 0; i < l->event_count; i++) {
        if (l->events[i].seq == seq) {
            return str_of(l->events[i].type);
        }
    }
    return STR("");
}

static enum err_code read_deliveries(struct search *s, struct db_array *seqs,
                                     const struct lineage_view *view, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->site);
    arg_array(&q, seqs);
    enum err_code code = db_run(s->db, s->a, &lineage_deliveries, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    int n = db_count(r);
    s->found->deliveries = arena_array(s->a, (size_t)n + 1, sizeof *s->found->deliveries);
    if (!s->found->deliveries) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    for (int i = 0; i < n; i++) {
        int64_t seq = db_i64(r, i, 0);
        enum lineage_passed passed =
            view->passed(view->ctx, db_str(r, i, 2), type_of(s->found, seq));
        if (passed != LINEAGE_NO) {
            s->found->deliveries[s->found->delivery_count++] =
                (struct lineage_delivery){.seq = seq,
                                          .consumer = db_z(r, i, 1),
                                          .contract = db_z(r, i, 2),
                                          .acked_at = db_time(r, i, 3),
                                          .ledger = db_i64(r, i, 4),
                                          .sure = passed == LINEAGE_YES};
        }
    }
    return ERR_NONE;
}

static enum err_code read_plans(struct search *s, struct err *e)
{
    struct db_array *ids = db_array_new(s->a);
    struct db_args q = {0};
    struct db_rows *r;
    if (!ids) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    for (int i = 0; i < s->found->event_count; i++) {
        db_array_z(ids, s->found->events[i].id);
    }
    arg_z(&q, s->site);
    arg_array(&q, ids);
    enum err_code code = db_run(s->db, s->a, &lineage_plans, &q, &r, e);
    if (code != ERR_NONE) {
        return code;
    }
    int n = db_count(r);
    s->found->plans = arena_array(s->a, (size_t)n + 1, sizeof *s->found->plans);
    if (!s->found->plans) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    for (int i = 0; i < n; i++) {
        s->found->plans[i] =
            (struct lineage_plan){.id = db_z(r, i, 0),
                                  .journey = db_z(r, i, 1),
                                  .step = db_z(r, i, 2),
                                  .channel = db_z(r, i, 3),
                                  .purpose = db_z(r, i, 4),
                                  .state = db_z(r, i, 5),
                                  .reason = z_or_null(r, i, 6),
                                  .cause = db_z(r, i, 7),
                                  .planned_at = db_time(r, i, 8),
                                  .due_at = db_time(r, i, 9),
                                  .done_at = db_null(r, i, 10) ? 0 : db_time(r, i, 10)};
    }
    s->found->plan_count = n;
    return ERR_NONE;
}

/* Puts an entry's number to the messages and events it names. */
static void place_entry(struct lineage *l, int64_t idx, struct str body)
{
    int64_t first, last;
    const char *names = str_is(entry_kind(body), "received") ? "message"
                        : str_is(entry_kind(body), "rows")   ? "messages"
                                                             : NULL;
    bool range = names && entry_range(body, names, &first, &last);
    for (int i = 0; range && i < l->message_count; i++) {
        if (l->messages[i].no >= first && l->messages[i].no <= last) {
            l->messages[i].ledger = idx;
        }
    }
    range = entry_range(body, "events", &first, &last);
    for (int i = 0; range && i < l->event_count; i++) {
        if (l->events[i].seq >= first && l->events[i].seq <= last) {
            l->events[i].ledger = idx;
        }
    }
}

static enum err_code read_entries(struct search *s, struct db_array *nos, struct db_array *seqs,
                                  struct err *e)
{
    struct lineage *l = s->found;
    struct db_array *days = db_array_new(s->a);
    struct db_args q = {0};
    struct db_rows *r;
    if (!days) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    for (int i = 0; i < l->message_count; i++) {
        db_array_z(days, l->messages[i].day);
    }
    for (int i = 0; i < l->event_count; i++) {
        db_array_z(days, l->events[i].day);
    }
    arg_z(&q, s->site);
    arg_array(&q, days);
    arg_array(&q, nos);
    arg_array(&q, seqs);
    enum err_code code = db_run(s->db, s->a, &lineage_entries, &q, &r, e);
    for (int i = 0; code == ERR_NONE && i < db_count(r); i++) {
        place_entry(l, db_i64(r, i, 0), db_str(r, i, 1));
    }
    return code;
}

enum err_code lineage_find(struct db *db, struct arena *a, const char *site, struct str id,
                           const struct lineage_view *view, struct lineage **out, struct err *e)
{
    struct search s = {.db = db, .a = a, .site = site};
    struct db_array *nos = db_array_new(a), *ids = db_array_new(a), *seqs = db_array_new(a);
    *out = NULL;
    s.found = arena_alloc(a, sizeof *s.found);
    if (!nos || !ids || !seqs || !s.found) {
        return ERR(e, ERR_NOMEM, 0, "no memory to trace");
    }
    enum err_code code = find_seeds(&s, id, e);
    code = code == ERR_NONE ? find_roots(&s, nos, ids, e) : code;
    code = code == ERR_NONE ? read_events(&s, nos, ids, e) : code;
    code = code == ERR_NONE ? read_messages(&s, nos, e) : code;
    for (int i = 0; code == ERR_NONE && i < s.found->event_count; i++) {
        db_array_i64(seqs, s.found->events[i].seq);
    }
    code = code == ERR_NONE ? read_deliveries(&s, seqs, view, e) : code;
    code = code == ERR_NONE ? read_plans(&s, e) : code;
    code = code == ERR_NONE ? read_entries(&s, nos, seqs, e) : code;
    if (code == ERR_NONE) {
        *out = s.found;
    }
    return code;
}
