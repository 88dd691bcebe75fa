#include "core/ledger/verify.h"

#include "core/ledger/entry.h"
#include "core/ledger/tiles.h"
#include "core/ledger/walk.h"
#include "core/store/events.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_TEXT "1000"
enum { BATCH = 1000 };

DB_STATEMENT(ledger_page, "SELECT idx, body, day FROM dari.ledger WHERE site = $1 AND idx >= $2 "
                          "ORDER BY idx, day LIMIT " BATCH_TEXT);
DB_STATEMENT(ledger_checkpoints,
             "SELECT size, at, root, note FROM dari.checkpoint WHERE site = $1 AND size > $2 "
             "ORDER BY size LIMIT " BATCH_TEXT);
DB_STATEMENT(ledger_heads, "SELECT head, ledger FROM dari.stream WHERE site = $1");
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
DB_STATEMENT(ledger_delivery_count, "SELECT count(*) FROM dari.delivery WHERE site = $1");
DB_STATEMENT(ledger_events,
             "SELECT seq, id, type, coalesce(subject, ''), source, coalesce(cause, ''),"
             " coalesce(mapping, ''), data, sealed, time, test, coalesce(message_no, 0),"
             " dari.instant(recorded_at) FROM dari.event WHERE site = $1 AND seq BETWEEN $2 AND $3 "
             "ORDER BY seq, day");

struct job {
    struct db *db;
    struct arena *batch, *notes; /* notes: the page of checkpoints being merged in */
    struct walk walk;
    struct tiles *tiles;
    struct db_rows *checkpoints;
    int at; /* next row of `checkpoints` */
    bool tile_reported;
};

/* ---- tiles: which entry exactly is not what was sealed ---- */

/* Every computed tile is compared with the stored one, as far as that goes. */
static enum err_code compare_tile(void *ctx, int level, int64_t tile, const struct tree_hash *hash,
                                  int n, struct err *e)
{
    struct job *j = ctx;
    j->tiles->last.n = 0;
    enum err_code code = tiles_get(j->tiles, level, tile, e);
    if (code == ERR_REFUSED) {
        walk_problem(&j->walk, 0, "%s", e->msg);
        return ERR_NONE;
    }
    for (int i = 0; code == ERR_NONE && i < n && i < j->tiles->last.n; i++) {
        if (tree_same(&hash[i], &j->tiles->last.hash[i])) {
            continue;
        }
        if (level == 0) {
            walk_problem(&j->walk, tile * TILE_WIDTH + i + 1, "is not what was sealed");
        } else if (!j->tile_reported) { /* a wrong leaf makes those above it wrong too */
            j->tile_reported = true;
            walk_problem(&j->walk, 0, "tile %lld of level %d is not what the entries give",
                         (long long)tile, level);
        }
    }
    return code;
}

/* ---- checkpoints, merged in where they belong ---- */

static enum err_code next_checkpoints(struct job *j, int64_t after, struct err *e)
{
    struct db_args q = {0};
    arena_reset(j->notes);
    arg_z(&q, j->walk.site);
    arg_i64(&q, after);
    j->at = 0;
    return db_run(j->db, j->notes, &ledger_checkpoints, &q, &j->checkpoints, e);
}

static enum err_code checkpoints_up_to(struct job *j, int64_t size, struct err *e)
{
    while (j->at < db_count(j->checkpoints) && db_i64(j->checkpoints, j->at, 0) <= size) {
        int64_t its = db_i64(j->checkpoints, j->at, 0);
        walk_checkpoint(&j->walk, its, db_str(j->checkpoints, j->at, 3));
        j->at++;
        if (j->at == BATCH) {
            enum err_code code = next_checkpoints(j, its, e);
            if (code != ERR_NONE) {
                return code;
            }
        }
    }
    return ERR_NONE;
}

/* ---- what the entries name: messages and events ---- */

static void hex_of(const unsigned char digest[SHA256_BYTES], struct buf *out)
{
    buf_reset(out);
    buf_hex(out, (struct str){(const char *)digest, SHA256_BYTES});
}

/* The entry of this page that names message `no`; pages are small and mostly in order. */
static int entry_of(const struct db_rows *page, int64_t no, int from)
{
    int n = db_count(page);
    for (int k = 0; k < n; k++) {
        int i = (from + k) % n;
        struct str body = db_str(page, i, 1);
        if (entry_get(body, "digest").n && entry_number(body, "message") == no) {
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

/* What the entry says itself. The state of a message that was reprocessed is said by a later entry.
 */
static bool same_message(struct str body, const struct db_rows *rows, int i)
{
    return str_eq(entry_get(body, "feed"), db_str(rows, i, 5)) &&
           received_fits(entry_get(body, "at"), db_str(rows, i, 7), db_i64(rows, i, 9) != 0) &&
           (db_i64(rows, i, 8) || str_eq(entry_get(body, "state"), db_str(rows, i, 6)));
}

static enum err_code check_messages(struct job *j, const struct db_rows *page, struct err *e)
{
    struct db_array *nos = db_array_new(j->batch), *days = db_array_new(j->batch);
    struct db_args q = {0};
    struct db_rows *rows;
    int n = db_count(page), named = 0;
    bool *seen = arena_array(j->batch, (size_t)n + 1, sizeof *seen);
    if (!nos || !days || !seen) {
        return ERR(e, ERR_NOMEM, 0, "no memory to verify messages");
    }
    for (int i = 0; i < n; i++) {
        struct str body = db_str(page, i, 1);
        seen[i] = entry_get(body, "digest").n == 0;
        if (!seen[i]) {
            db_array_i64(nos, entry_number(body, "message"));
            db_array_str(days, db_str(page, i, 2));
            named++;
        }
    }
    if (named == 0) {
        return ERR_NONE;
    }
    arg_z(&q, j->walk.site);
    arg_array(&q, nos);
    arg_array(&q, days);
    enum err_code code = db_run(j->db, j->batch, &ledger_messages, &q, &rows, e);
    struct buf hex;
    buf_init(&hex, 2 * SHA256_BYTES);
    for (int i = 0, at = 0; code == ERR_NONE && i < db_count(rows); i++) {
        unsigned char digest[SHA256_BYTES];
        at = entry_of(page, db_i64(rows, i, 0), at);
        message_row_digest(db_str(rows, i, 1), db_str(rows, i, 2), db_str(rows, i, 3),
                           db_str(rows, i, 4), digest);
        hex_of(digest, &hex);
        seen[at] = true;
        j->walk.report->messages++;
        if (!same_message(db_str(page, at, 1), rows, i) ||
            !str_eq(entry_get(db_str(page, at, 1), "digest"), buf_str(&hex))) {
            walk_problem(&j->walk, db_i64(page, at, 0), "names a message that was changed since");
        }
    }
    buf_release(&hex);
    for (int i = 0; code == ERR_NONE && i < n; i++) {
        if (!seen[i]) {
            walk_problem(&j->walk, db_i64(page, i, 0), "names a message that is not there");
        }
    }
    return code;
}

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
    return no == db_i64(rows, i, 11) && str_eq(entry_get(body, "at"), db_str(rows, i, 12));
}

/* The events of one entry, from row *at on. */
static void check_entry_events(struct job *j, int64_t idx, struct str body,
                               const struct db_rows *rows, int *at, struct buf *bytes)
{
    int64_t first, last, seq;
    bool same = true;
    unsigned char digest[SHA256_BYTES];
    if (entry_get(body, "eventsdigest").n == 0 || !entry_range(body, "events", &first, &last)) {
        return;
    }
    buf_reset(bytes);
    for (seq = first; seq <= last && *at < db_count(rows) && db_i64(rows, *at, 0) == seq; seq++) {
        event_digest(rows, *at, digest);
        same &= same_event(body, rows, *at);
        buf_add(bytes, (struct str){(const char *)digest, sizeof digest});
        ++*at;
        j->walk.report->events++;
    }
    if (seq <= last) {
        walk_problem(&j->walk, idx, "names event %lld, which is not there", (long long)seq);
        while (*at < db_count(rows) && db_i64(rows, *at, 0) <= last) {
            ++*at;
        }
        return;
    }
    sha256(buf_str(bytes), digest);
    hex_of(digest, bytes);
    if (!same || !str_eq(entry_get(body, "eventsdigest"), buf_str(bytes))) {
        walk_problem(&j->walk, idx, "names events that were changed since");
    }
}

static enum err_code check_events(struct job *j, const struct db_rows *page, struct err *e)
{
    int64_t low = 0, high = 0, first, last;
    struct db_args q = {0};
    struct db_rows *rows;
    for (int i = 0; i < db_count(page); i++) {
        struct str body = db_str(page, i, 1);
        if (entry_get(body, "eventsdigest").n && entry_range(body, "events", &first, &last)) {
            low = low && low < first ? low : first;
            high = high > last ? high : last;
        }
    }
    if (high == 0) {
        return ERR_NONE;
    }
    arg_z(&q, j->walk.site);
    arg_i64(&q, low);
    arg_i64(&q, high);
    enum err_code code = db_run(j->db, j->batch, &ledger_events, &q, &rows, e);
    struct buf bytes;
    buf_init(&bytes, 64 << 20);
    for (int i = 0, at = 0; code == ERR_NONE && i < db_count(page); i++) {
        check_entry_events(j, db_i64(page, i, 0), db_str(page, i, 1), rows, &at, &bytes);
    }
    buf_release(&bytes);
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

static enum err_code check_deliveries(struct job *j, const struct db_rows *page, struct err *e)
{
    struct db_array *days = db_array_new(j->batch), *consumers = db_array_new(j->batch),
                    *lasts = db_array_new(j->batch);
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
    arg_z(&q, j->walk.site);
    arg_array(&q, days);
    arg_array(&q, consumers);
    arg_array(&q, lasts);
    enum err_code code = db_run(j->db, j->batch, &ledger_deliveries, &q, &rows, e);
    for (int i = 0; code == ERR_NONE && i < db_count(page); i++) {
        struct str body = db_str(page, i, 1);
        int row = is_delivery(body) ? delivery_of(rows, db_i64(page, i, 0)) : 0;
        if (!is_delivery(body)) {
            continue;
        }
        if (row < 0) {
            walk_problem(&j->walk, db_i64(page, i, 0), "names a delivery that is not there");
        } else if (!same_delivery(body, rows, row)) {
            walk_problem(&j->walk, db_i64(page, i, 0), "names a delivery that was changed since");
        }
    }
    j->walk.report->deliveries += named;
    return code;
}

static enum err_code count_deliveries(struct job *j, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, j->walk.site);
    enum err_code code = db_run(j->db, j->batch, &ledger_delivery_count, &q, &rows, e);
    if (code == ERR_NONE && db_i64(rows, 0, 0) > j->walk.report->deliveries) {
        walk_problem(&j->walk, 0, "there are %lld deliveries, the ledger names %lld",
                     (long long)db_i64(rows, 0, 0), (long long)j->walk.report->deliveries);
    }
    return code;
}

/* ---- the whole ---- */

static enum err_code check_page(struct job *j, const struct db_rows *page, struct err *e)
{
    enum err_code code = ERR_NONE;
    for (int i = 0; code == ERR_NONE && i < db_count(page) && !j->walk.stopped; i++) {
        code = walk_entry(&j->walk, db_i64(page, i, 0), db_str(page, i, 1), e);
        code = code == ERR_NONE ? checkpoints_up_to(j, j->walk.report->entries, e) : code;
    }
    code = code == ERR_NONE ? check_messages(j, page, e) : code;
    code = code == ERR_NONE ? check_events(j, page, e) : code;
    return code == ERR_NONE ? check_deliveries(j, page, e) : code;
}

static enum err_code check_heads(struct job *j, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arena_reset(j->batch);
    arg_z(&q, j->walk.site);
    enum err_code code = db_run(j->db, j->batch, &ledger_heads, &q, &rows, e);
    if (code != ERR_NONE || j->walk.stopped) {
        return code;
    }
    int64_t head = db_count(rows) ? db_i64(rows, 0, 0) : 0;
    int64_t ledger = db_count(rows) ? db_i64(rows, 0, 1) : 0;
    int64_t entries = j->walk.report->entries;
    if (ledger > entries) {
        walk_problem(&j->walk, entries + 1, "is missing: the site has written %lld entries",
                     (long long)ledger);
    } else if (ledger < entries) {
        walk_problem(&j->walk, ledger + 1, "was not written by the site: it counts %lld entries",
                     (long long)ledger);
    }
    if (head != j->walk.next_seq - 1) {
        walk_problem(&j->walk, 0, "the stream has %lld events, the ledger names %lld",
                     (long long)head, (long long)(j->walk.next_seq - 1));
    }
    return count_deliveries(j, e);
}

static enum err_code run(struct job *j, const struct tree_sink *sink, struct err *e)
{
    enum err_code code = next_checkpoints(j, 0, e);
    bool more = true;
    while (code == ERR_NONE && more && !j->walk.stopped) {
        struct db_args q = {0};
        struct db_rows *page;
        arena_reset(j->batch);
        arg_z(&q, j->walk.site);
        arg_i64(&q, j->walk.report->entries + 1);
        code = db_run(j->db, j->batch, &ledger_page, &q, &page, e);
        more = code == ERR_NONE && db_count(page) == BATCH;
        code = code == ERR_NONE ? check_page(j, page, e) : code;
    }
    if (code == ERR_NONE && !j->walk.stopped) {
        code = tree_flush(j->walk.tree, sink, e);
        code = code == ERR_NONE ? checkpoints_up_to(j, INT64_MAX, e) : code;
    }
    code = code == ERR_NONE ? check_heads(j, e) : code;
    walk_end(&j->walk);
    return code;
}

enum err_code ledger_verify_db(struct db *db, const struct ledger_check *c,
                               struct ledger_report *out, struct err *e)
{
    struct job j = {.db = db, .batch = arena_new(0), .notes = arena_new(0)};
    struct tree *tree = calloc(1, sizeof *tree);
    const struct tree_sink sink = {compare_tile, &j};
    j.tiles = calloc(1, sizeof *j.tiles);
    memset(out, 0, sizeof *out);
    enum err_code code = ERR_NONE;
    if (!j.batch || !j.notes || !tree || !j.tiles) {
        code = ERR(e, ERR_NOMEM, 0, "no memory to verify the ledger");
        goto out;
    }
    *j.tiles = (struct tiles){.db = db, .arena = j.batch, .site = c->site};
    /* One moment of the database: roles go on writing meanwhile. */
    code = db_begin(db, e);
    code = code == ERR_NONE
               ? db_script(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", e)
               : code;
    if (code == ERR_NONE) {
        walk_begin(&j.walk, c, c->site, out, tree, &sink);
        code = run(&j, &sink, e);
    }
    db_rollback(db);
out:
    free(j.tiles);
    free(tree);
    arena_free(&j.notes);
    arena_free(&j.batch);
    return code;
}
