#include "core/crypto/digest.h"
#include "core/ledger/entry.h"
#include "core/ledger/verify_internal.h"
#include "core/store/events.h"

/* So many events are read at a time, or those of one entry. */
enum { EVENTS = 4096 };

DB_STATEMENT(ledger_rows,
             "SELECT no, id, control_id, type, coalesce(charset, ''), sealed, feed, state,"
             " dari.instant(received_at), flags & 4 <> 0 FROM dari.message WHERE site = $1 "
             "AND day = $2 AND no BETWEEN $3 AND $4 ORDER BY no");
DB_STATEMENT(
    ledger_messages,
    "SELECT m.no, m.control_id, m.type, coalesce(m.charset, ''), m.sealed, m.feed, m.state,"
    " dari.instant(m.received_at), m.flags & 4, m.flags & 8 FROM unnest($2::bigint[], $3::text[]) "
    "AS u(no, day) "
    "JOIN dari.message m ON m.site = $1 AND m.day = u.day::date AND m.no = u.no");
DB_STATEMENT(ledger_deliveries,
             "SELECT d.ledger, d.consumer, d.epoch, d.first_seq, d.last_seq, d.events, d.contract "
             "FROM unnest($2::text[], $3::text[], $4::bigint[]) AS u(day, consumer, last_seq) "
             "JOIN dari.delivery d ON d.site = $1 AND d.day = u.day::date "
             "AND d.consumer = u.consumer AND d.last_seq = u.last_seq");
DB_STATEMENT(ledger_events,
             "SELECT seq, id, type, coalesce(subject, ''), source, coalesce(cause, ''),"
             " coalesce(mapping, ''), data, sealed, time, test, coalesce(message_no, 0),"
             " dari.instant(recorded_at) FROM dari.event WHERE site = $1 AND seq BETWEEN $2 AND $3 "
             "ORDER BY seq, day");

/* ---- messages that came one by one ---- */

static void hex_of(const unsigned char digest[SHA256_BYTES], struct buf *out)
{
    buf_reset(out);
    buf_hex(out, (struct str){(const char *)digest, SHA256_BYTES});
}

static bool is_received(struct str body)
{
    return str_is(entry_kind(body), "received");
}

/* The entry of this page that names message `no`; pages are small and mostly in order. */
static int entry_of(const struct db_rows *page, int64_t no, int from)
{
    int n = db_count(page);
    for (int k = 0; k < n; k++) {
        int i = (from + k) % n;
        struct str body = db_str(page, i, 1);
        if (is_received(body) && entry_number(body, "message") == no) {
            return i;
        }
    }
    return -1;
}

/* What waited in a feed's spool was received before its entry was made, everything else with it. */
static bool received_fits(struct str entry, struct str received, bool spooled)
{
    return spooled ? str_cmp(received, entry) <= 0 : str_eq(received, entry);
}

static char letter(struct str state)
{
    return state.n ? state.p[0] : '-';
}

/* What the entry says itself. The state of a message that was reprocessed is said by a later entry.
 */
static bool same_message(struct verification *v, int64_t idx, struct str body,
                         const struct db_rows *rows, int i, enum err_code *code, struct err *e)
{
    struct str said = entry_get(body, "state"), stored = db_str(rows, i, 6);
    bool later = db_i64(rows, i, 8) != 0;
    if (later) {
        *code = later_keep(&v->later, db_i64(rows, i, 0), idx, letter(stored), letter(said), e);
    }
    return str_eq(entry_get(body, "feed"), db_str(rows, i, 5)) &&
           received_fits(entry_get(body, "at"), db_str(rows, i, 7), db_i64(rows, i, 9) != 0) &&
           (later || str_eq(said, stored));
}

enum err_code verify_messages(struct verification *v, const struct db_rows *page, struct err *e)
{
    struct db_array *nos = db_array_new(v->batch), *days = db_array_new(v->batch);
    struct db_args q = {0};
    struct db_rows *rows;
    int n = db_count(page), named = 0;
    bool *seen = arena_array(v->batch, (size_t)n + 1, sizeof *seen);
    if (!nos || !days || !seen) {
        return ERR(e, ERR_NOMEM, 0, "no memory to verify messages");
    }
    for (int i = 0; i < n; i++) {
        struct str body = db_str(page, i, 1);
        seen[i] = !is_received(body);
        if (!seen[i]) {
            db_array_i64(nos, entry_number(body, "message"));
            db_array_str(days, db_str(page, i, 2));
            named++;
        }
    }
    if (named == 0) {
        return ERR_NONE;
    }
    arg_z(&q, v->walk.site);
    arg_array(&q, nos);
    arg_array(&q, days);
    enum err_code code = db_run(v->db, v->batch, &ledger_messages, &q, &rows, e);
    struct buf hex;
    buf_init(&hex, 2 * SHA256_BYTES);
    for (int i = 0, at = 0; code == ERR_NONE && i < db_count(rows); i++) {
        unsigned char digest[SHA256_BYTES];
        at = entry_of(page, db_i64(rows, i, 0), at);
        message_row_digest(db_str(rows, i, 1), db_str(rows, i, 2), db_str(rows, i, 3),
                           db_str(rows, i, 4), digest);
        hex_of(digest, &hex);
        seen[at] = true;
        v->walk.report->messages++;
        if (!same_message(v, db_i64(page, at, 0), db_str(page, at, 1), rows, i, &code, e) ||
            !str_eq(entry_get(db_str(page, at, 1), "digest"), buf_str(&hex))) {
            walk_problem(&v->walk, db_i64(page, at, 0), "names a message that was changed since");
        }
    }
    buf_release(&hex);
    for (int i = 0; code == ERR_NONE && i < n; i++) {
        if (!seen[i]) {
            walk_problem(&v->walk, db_i64(page, i, 0), "names a message that is not there");
        }
    }
    return code;
}

/* ---- rows: one entry, a group of messages ---- */

/* What the entry says of each. One that was reprocessed has another state by now, which a later
 * entry says. */
static bool same_states(struct verification *v, int64_t idx, struct str body,
                        const struct db_rows *rows, enum err_code *code, struct err *e)
{
    struct str states = entry_get(body, "states");
    bool same = states.n == (size_t)db_count(rows);
    for (int i = 0; same && *code == ERR_NONE && i < db_count(rows); i++) {
        char said = states.p[i], stored = letter(db_str(rows, i, 7));
        if (db_bool(rows, i, 9)) {
            *code = later_keep(&v->later, db_i64(rows, i, 0), idx, stored, said, e);
        } else {
            same = said == stored;
        }
    }
    return same;
}

static enum err_code check_rows(struct verification *v, int64_t idx, struct str body,
                                const struct db_rows *rows, struct err *e)
{
    enum err_code code = ERR_NONE;
    unsigned char digest[SHA256_BYTES];
    struct sha256_stream *all = sha256_begin();
    struct buf hex;
    bool same = same_states(v, idx, body, rows, &code, e);
    for (int i = 0; i < db_count(rows); i++) {
        message_row_digest(db_str(rows, i, 2), db_str(rows, i, 3), db_str(rows, i, 4),
                           db_str(rows, i, 5), digest);
        sha256_add(all, db_str(rows, i, 1));
        sha256_add(all, (struct str){(const char *)digest, sizeof digest});
        same &= str_eq(entry_get(body, "feed"), db_str(rows, i, 6)) &&
                str_eq(entry_get(body, "at"), db_str(rows, i, 8));
    }
    sha256_end(&all, digest);
    buf_init(&hex, 2 * SHA256_BYTES);
    hex_of(digest, &hex);
    if (!same || !str_eq(entry_get(body, "digest"), buf_str(&hex))) {
        walk_problem(&v->walk, idx, "names messages that were changed since");
    }
    buf_release(&hex);
    return code;
}

/* The messages of each `rows` entry are read by themselves: a page of entries may name half a
 * million. */
enum err_code verify_rows(struct verification *v, const struct db_rows *page, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(page); i++) {
        struct str body = db_str(page, i, 1);
        struct db_args q = {0};
        struct db_rows *rows;
        int64_t first, last;
        if (!str_is(entry_kind(body), "rows") || !entry_range(body, "messages", &first, &last)) {
            continue;
        }
        arena_reset(v->group);
        arg_z(&q, v->walk.site);
        arg_day(&q, db_day(page, i, 2));
        arg_i64(&q, first);
        arg_i64(&q, last);
        code = db_run(v->db, v->group, &ledger_rows, &q, &rows, e);
        if (code == ERR_NONE && db_count(rows) != last - first + 1) {
            walk_problem(&v->walk, db_i64(page, i, 0), "names a message that is not there");
        } else if (code == ERR_NONE) {
            code = check_rows(v, db_i64(page, i, 0), body, rows, e);
        }
        v->walk.report->messages += code == ERR_NONE ? db_count(rows) : 0;
    }
    return code;
}

/* ---- events ---- */

static void event_digest(const struct db_rows *rows, int i, unsigned char out[SHA256_BYTES])
{
    const struct event_row row = {.id = db_str(rows, i, 1),
                                  .type = db_str(rows, i, 2),
                                  .subject = db_str(rows, i, 3),
                                  .source = db_str(rows, i, 4),
                                  .cause = db_str(rows, i, 5),
                                  .mapping = db_str(rows, i, 6),
                                  .data = db_str(rows, i, 7),
                                  .sealed = db_str(rows, i, 8),
                                  .time = db_time(rows, i, 9),
                                  .test = db_bool(rows, i, 10)};
    event_row_digest(&row, out);
}

/* What the entry says itself and the digest leaves out: the message and the time of recording. */
static bool same_event(struct str body, const struct db_rows *rows, int i)
{
    struct str message = entry_get(body, "message");
    int64_t no = message.n && !str_is(message, "-") ? entry_number(body, "message") : 0;
    int64_t its = db_i64(rows, i, 11), first, last;
    bool same =
        entry_range(body, "messages", &first, &last) ? its >= first && its <= last : its == no;
    return same && str_eq(entry_get(body, "at"), db_str(rows, i, 12));
}

/* The events of one entry, from row *at on. */
static void check_entry_events(struct verification *v, int64_t idx, struct str body,
                               const struct db_rows *rows, int *at, struct buf *bytes)
{
    int64_t first, last, seq, first_no, last_no;
    bool same = true, grouped = entry_range(body, "messages", &first_no, &last_no);
    unsigned char digest[SHA256_BYTES];
    if (entry_get(body, "eventsdigest").n == 0 || !entry_range(body, "events", &first, &last)) {
        return;
    }
    buf_reset(bytes);
    for (seq = first; seq <= last && *at < db_count(rows) && db_i64(rows, *at, 0) == seq; seq++) {
        event_digest(rows, *at, digest);
        same &= same_event(body, rows, *at);
        buf_add(bytes, (struct str){(const char *)digest, sizeof digest});
        if (grouped) {
            buf_printf(bytes, "%lld\n", (long long)(db_i64(rows, *at, 11) - first_no + 1));
        }
        ++*at;
        v->walk.report->events++;
    }
    if (seq <= last) {
        walk_problem(&v->walk, idx, "names event %lld, which is not there", (long long)seq);
        while (*at < db_count(rows) && db_i64(rows, *at, 0) <= last) {
            ++*at;
        }
        return;
    }
    sha256(buf_str(bytes), digest);
    hex_of(digest, bytes);
    if (!same || !str_eq(entry_get(body, "eventsdigest"), buf_str(bytes))) {
        walk_problem(&v->walk, idx, "names events that were changed since");
    }
}

/* The events of entries `from` to `to` of the page, which lie between `low` and `high`. */
static enum err_code check_events(struct verification *v, const struct db_rows *page, int from,
                                  int to, int64_t low, int64_t high, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    struct buf bytes;
    arena_reset(v->group);
    arg_z(&q, v->walk.site);
    arg_i64(&q, low);
    arg_i64(&q, high);
    enum err_code code = db_run(v->db, v->group, &ledger_events, &q, &rows, e);
    buf_init(&bytes, 64 << 20);
    for (int i = from, at = 0; code == ERR_NONE && i < to; i++) {
        check_entry_events(v, db_i64(page, i, 0), db_str(page, i, 1), rows, &at, &bytes);
    }
    buf_release(&bytes);
    return code;
}

enum err_code verify_events(struct verification *v, const struct db_rows *page, struct err *e)
{
    enum err_code code = ERR_NONE;
    int n = db_count(page);
    for (int from = 0, to = 0; code == ERR_NONE && from < n; from = to) {
        int64_t low = 0, high = 0, first, last;
        for (; to < n; to++) {
            struct str body = db_str(page, to, 1);
            if (!entry_get(body, "eventsdigest").n || !entry_range(body, "events", &first, &last)) {
                continue;
            }
            if (high && last - low >= EVENTS) {
                break;
            }
            low = low && low < first ? low : first;
            high = high > last ? high : last;
        }
        code = high ? check_events(v, page, from, to, low, high, e) : ERR_NONE;
    }
    return code;
}

/* ---- deliveries: who got what must stand in both places ---- */

static bool is_delivery(struct str body)
{
    return str_is(entry_kind(body), "delivered");
}

static bool same_delivery(struct str body, const struct db_rows *r, int i)
{
    return str_eq(entry_get(body, "consumer"), db_str(r, i, 1)) &&
           entry_number(body, "epoch") == db_i64(r, i, 2) &&
           entry_number(body, "first") == db_i64(r, i, 3) &&
           entry_number(body, "last") == db_i64(r, i, 4) &&
           entry_number(body, "events") == db_i64(r, i, 5) &&
           str_eq(entry_get(body, "contract"), db_str(r, i, 6));
}

/* The row of entry `idx`, -1 when it is not there. */
static int delivery_of(const struct db_rows *r, int64_t idx)
{
    for (int i = 0; i < db_count(r); i++) {
        if (db_i64(r, i, 0) == idx) {
            return i;
        }
    }
    return -1;
}

enum err_code verify_deliveries(struct verification *v, const struct db_rows *page, struct err *e)
{
    struct db_array *days = db_array_new(v->batch), *consumers = db_array_new(v->batch),
                    *lasts = db_array_new(v->batch);
    struct db_args q = {0};
    struct db_rows *rows;
    int64_t named = 0;
    if (!days || !consumers || !lasts) {
        return ERR(e, ERR_NOMEM, 0, "no memory to verify deliveries");
    }
    for (int i = 0; i < db_count(page); i++) {
        struct str body = db_str(page, i, 1);
        if (is_delivery(body)) {
            db_array_str(days, db_str(page, i, 2));
            db_array_str(consumers, entry_get(body, "consumer"));
            db_array_i64(lasts, entry_number(body, "last"));
            named++;
        }
    }
    if (named == 0) {
        return ERR_NONE;
    }
    arg_z(&q, v->walk.site);
    arg_array(&q, days);
    arg_array(&q, consumers);
    arg_array(&q, lasts);
    enum err_code code = db_run(v->db, v->batch, &ledger_deliveries, &q, &rows, e);
    for (int i = 0; code == ERR_NONE && i < db_count(page); i++) {
        struct str body = db_str(page, i, 1);
        int row = is_delivery(body) ? delivery_of(rows, db_i64(page, i, 0)) : 0;
        if (!is_delivery(body)) {
            continue;
        }
        if (row < 0) {
            walk_problem(&v->walk, db_i64(page, i, 0), "names a delivery that is not there");
        } else if (!same_delivery(body, rows, row)) {
            walk_problem(&v->walk, db_i64(page, i, 0), "names a delivery that was changed since");
        }
    }
    v->walk.report->deliveries += named;
    return code;
}
