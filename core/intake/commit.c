#include "core/base/log.h"
#include "core/intake/group.h"
#include "core/intake/host.h"
#include "core/intake/parts.h"
#include "core/intake/refused.h"

#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

DB_STATEMENT(newest_mark, "SELECT mark FROM dari.batch WHERE site = $1 AND feed = $2 AND "
                          "state = 'taken' AND mark IS NOT NULL ORDER BY no DESC LIMIT 1");

/* A hint to the relay: there may be news. Lost hints cost nothing but time. */
void commit_wake_relay(struct adapter_host *h)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (h->wake < 0 || !h->s.wake || strlen(h->s.wake) >= sizeof to.sun_path) {
        return;
    }
    memcpy(to.sun_path, h->s.wake, strlen(h->s.wake));
    sendto(h->wake, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to,
           sizeof to);
}

/* ---- groups ---- */

struct job *commit_in_group(const struct adapter_host *h, const struct job *j)
{
    for (struct job *x = h->flying.first; x; x = x->next) {
        if (memcmp(x->p.id, j->p.id, sizeof j->p.id) == 0 ||
            (j->p.control_id.n && str_eq(x->p.control_id, j->p.control_id))) {
            return x;
        }
    }
    return NULL;
}

/* The next that waits is `first` once more: it needs no row, and gets the same reply. */
static void take_along(struct adapter_host *h, struct job *first)
{
    struct job *j = jobs_pop(&h->waiting);
    j->repeats = first->repeats;
    first->repeats = j;
    h->repeated++;
}

static bool repeats(const struct job *j, const struct job *first)
{
    return !j->numbered && memcmp(first->p.id, j->p.id, sizeof j->p.id) == 0;
}

/* The next that waits goes into the statement. */
static void take_off(struct adapter_host *h)
{
    struct job *j = jobs_pop(&h->waiting);
    if (j->numbered && j->number > 0) {
        h->sequence.any = true;
        h->sequence.last = j->number;
    }
    jobs_push(&h->flying, j);
}

/*
 * Moves what may go together: at most max_group, no control id twice. The same message again goes
 * along with its first copy; another message with the same control id waits for the next group. A
 * part of a message goes alone.
 */
static void form_group(struct adapter_host *h)
{
    size_t max = h->solo ? 1 : (size_t)h->s.max_group;
    while (h->waiting.first && h->flying.count < max) {
        struct job *j = h->waiting.first;
        if (j->refused) {
            jobs_pop(&h->waiting);
            adapter_count(h, "refused", 1);
            host_answer(h, j, j->reply);
            continue;
        }
        struct job *same = commit_in_group(h, j);
        if (j->p.part.is || (same && !repeats(j, same)) ||
            sequence_of(&h->sequence, j) != SEQUENCE_NEXT) {
            return;
        }
        same ? take_along(h, same) : take_off(h);
    }
}

static void measure(struct adapter_host *h)
{
    counters_spread(&h->counters, SPREAD_GROUP, (int64_t)h->flying.count);
    if (h->flying.first->came) {
        counters_spread(&h->counters, SPREAD_QUEUE, clock_mono() - h->flying.first->came);
    }
}

static void failed_to_run(struct adapter_host *h, const struct err *e)
{
    log_err(LOG_ERROR_, "intake.group", e);
    h->sequence.known = false;
    h->repeated = 0;
    host_answer_retry(h, &h->flying);
    host_unblock(h);
}

static void run(struct adapter_host *h, enum doing doing, const struct db_statement *st,
                const struct db_args *q)
{
    struct err e = {0};
    h->doing = doing;
    if (db_async_run(h->db, st, q, &e) != ERR_NONE) {
        failed_to_run(h, &e);
    }
}

static void commit_flying(struct adapter_host *h, bool alone)
{
    struct db_args q = {0};
    struct err e = {0};
    const struct db_statement *st;
    arena_reset(h->group_arena);
    h->began = clock_mono();
    enum err_code code = (alone ? alone_args : group_args)(&h->s, h->group_arena, h->flying.first,
                                                           clock_now(), &st, &q, &e);
    if (code != ERR_NONE) {
        failed_to_run(h, &e);
        return;
    }
    run(h, alone ? DOING_ALONE : DOING_GROUP, st, &q);
}

static void load_mark(struct adapter_host *h)
{
    struct db_args q = {0};
    arg_z(&q, h->s.site);
    arg_z(&q, h->s.feed);
    run(h, DOING_MARK, &newest_mark, &q);
}

/* ---- sequence numbers: jobs out of their turn, each by itself ---- */

static void load_sequence(struct adapter_host *h)
{
    struct db_args q = {0};
    sequence_load_args(&h->s, &q);
    run(h, DOING_LOAD, sequence_load, &q);
}

/* The one job in `flying` is answered with the number that is expected. */
static void expect(struct adapter_host *h, enum sequence_is is)
{
    struct err e = {0};
    struct job *j = jobs_pop(&h->flying);
    bool refused = is == SEQUENCE_OLD || is == SEQUENCE_GAP;
    int64_t expected = sequence_expected(&h->sequence);
    adapter_count(h,
                  is == SEQUENCE_GAP ? "sequence_gaps"
                  : refused          ? "sequence_old"
                                     : "sequence_starts",
                  1);
    if (refused) {
        log_warn("intake.sequence", "feed=%s state=%s expected=%" PRId64 " came=%" PRId64,
                 h->s.feed, is == SEQUENCE_GAP ? "gap" : "passed", expected, j->number);
    } else {
        log_info("intake.sequence", "feed=%s state=%s expected=%" PRId64, h->s.feed,
                 is == SEQUENCE_START ? "start" : "resynchronized", expected);
    }
    bool ok = job_expects(j, refused, expected, clock_now(), &e) == ERR_NONE;
    j->again = !ok;
    j->refused = refused;
    host_answer(h, j, ok ? j->reply : j->retry);
}

static void settle(struct adapter_host *h)
{
    struct db_args q = {0};
    const struct db_statement *st =
        sequence_settle(&h->s, &h->sequence, h->waiting.first, clock_now(), &q);
    jobs_push(&h->flying, jobs_pop(&h->waiting));
    if (st) {
        run(h, DOING_NUMBER, st, &q);
        return;
    }
    expect(h, SEQUENCE_START);
    host_soon(h);
}

static void settled(struct adapter_host *h, struct db_rows *rows)
{
    enum sequence_is is = sequence_of(&h->sequence, h->flying.first);
    if (is == SEQUENCE_OLD && db_count(rows) > 0) {
        struct job *j = jobs_pop(&h->flying);
        adapter_count(h, "duplicates", 1);
        host_answer(h, j, db_str(rows, 0, 0));
        return;
    }
    h->sequence.any &= is != SEQUENCE_RESYNC;
    expect(h, is);
}

/* ---- parts of a message: each by itself ---- */

enum err_code commit_part_begin(struct adapter_host *h, struct err *e)
{
    struct db_args q = {0};
    parts_find_args(&h->s, h->flying.first, &q);
    h->doing = DOING_PART;
    return db_async_run(h->db, parts_find, &q, e);
}

static void part_by_itself(struct adapter_host *h)
{
    struct err e = {0};
    take_off(h);
    if (commit_part_begin(h, &e) != ERR_NONE) {
        failed_to_run(h, &e);
    }
}

/* What the part belongs to is known: commit it, with the events of the whole if that is there now.
 */
static void part_found(struct adapter_host *h, struct db_rows *rows)
{
    struct job *j = h->flying.first;
    struct db_args q = {0};
    struct err e = {0};
    const struct db_statement *st;
    const struct generation *g = j->generation;
    struct prepare_settings p = h->prepare; /* as of when the part came */
    p.mapping = g->mapping;
    p.charset = g->has_charset ? &g->charset : NULL;
    p.fallback = g->fallback;
    enum err_code code = parts_settle(&h->s, &p, j, rows, &e);
    if (code == ERR_NONE && !j->spooled) { /* the reply of a spooled one has left */
        code = job_replies(&h->s, j, j->p.raw, j->at, &e);
    }
    arena_reset(h->group_arena);
    if (code == ERR_NONE) {
        code = parts_commit_args(&h->s, h->group_arena, j, clock_now(), &st, &q, &e);
    }
    if (code == ERR_NONE) {
        h->doing = j->spooled ? DOING_DRAIN : DOING_GROUP;
        h->began = clock_mono();
        code = db_async_run(h->db, st, &q, &e);
    }
    if (code != ERR_NONE && j->spooled) {
        drain_failed(h, &e);
    } else if (code != ERR_NONE) {
        failed_to_run(h, &e);
    }
}

void commit_pump(void *ctx)
{
    struct adapter_host *h = ctx;
    if (h->news) {
        h->news = false;
        commit_wake_relay(h);
    }
    host_feed(h);
    bool stuck = drain_stuck(h);
    if (h->paused || h->away || stuck) {
        if (h->paused) {
            host_answer_retry(h, &h->waiting);
        } else {
            drain_put(h, SIZE_MAX);
        }
        host_feed(h);
        host_unblock(h);
    }
    import_ahead(h);
    if (!db_async_ready(h->db)) {
        return;
    }
    if (!h->mark) { /* first of all: the door opens then, however much the spool holds */
        load_mark(h);
        return;
    }
    if (stuck || drain_run(h) || h->paused) {
        return;
    }
    if (h->s.sequence && !h->sequence.known && h->waiting.first) {
        load_sequence(h);
        return;
    }
    if (gather_waits(&h->gather, clock_mono(), h->waiting.count)) {
        host_soon(h);
        return;
    }
    form_group(h);
    if (!h->flying.first && h->waiting.first) {
        bool part = sequence_of(&h->sequence, h->waiting.first) == SEQUENCE_NEXT;
        part ? part_by_itself(h) : settle(h);
        return;
    }
    if (!h->flying.first) {
        import_step(h);
        return;
    }
    measure(h);
    commit_flying(h, group_alone(&h->s, h->flying.first));
}

bool commit_count(struct adapter_host *h, const struct job *j, struct db_rows *rows, int i)
{
    int64_t outcome = db_i64(rows, i, 1);
    adapter_count(h, outcome == 1 ? "duplicates" : "stored", 1);
    if (outcome == 2) {
        log_warn("intake.reused-control-id", "feed=%s message=%" PRId64, h->s.feed,
                 db_i64(rows, i, 2));
    }
    if (outcome != 1 && j->p.part.is) {
        adapter_count(h, j->part.count ? "joined" : "parts", 1);
    }
    return outcome != 1 && j->p.mapped.count > 0;
}

/* Unless it is waited for them, the database gets its next group before the senders of this one get
 * their replies. */
static void committed(struct adapter_host *h, struct db_rows *rows)
{
    bool news = false;
    struct jobs done;
    jobs_take(&done, &h->flying);
    h->solo -= h->solo > 0;
    if (!h->solo && !h->import) {
        usec now = clock_mono();
        gather_after(&h->gather, now, now - h->began, done.count, h->waiting.count,
                     (size_t)h->s.max_group);
    }
    commit_pump(h);
    for (int i = 0; i < db_count(rows); i++) {
        struct job *j = jobs_pop(&done);
        struct str stored = db_str(rows, i, 3);
        bool has_stored = !db_null(rows, i, 3);
        news |= commit_count(h, j, rows, i);
        for (struct job *r = j->repeats, *next; r; r = next) {
            next = r->repeats;
            adapter_count(h, "duplicates", 1);
            host_answer(h, r, has_stored ? stored : j->reply);
        }
        host_answer(h, j, has_stored ? stored : j->reply);
    }
    h->news |= news; /* told when the replies have left */
}

/* What was flying stands before everything that waits. */
static void put_back(struct adapter_host *h)
{
    if (!h->flying.first) {
        return;
    }
    jobs_spread(&h->flying);
    *h->flying.last = h->waiting.first;
    if (!h->waiting.first) {
        h->waiting.last = h->flying.last;
    }
    h->waiting.first = h->flying.first;
    h->waiting.count += h->flying.count;
    jobs_init(&h->flying);
}

static void refused_by_database(struct adapter_host *h, const struct err *failed)
{
    size_t n = h->flying.count;
    log_err(LOG_ERROR_, "intake.refused", failed);
    if (n > 1) {
        /* One of them is the culprit: try each alone, in order, before anything newer. */
        h->solo = n;
        put_back(h);
        return;
    }
    if (refused_retry(h, h->flying.first)) {
        h->solo += h->solo == 0;
        put_back(h);
        return;
    }
    h->solo -= h->solo > 0;
    host_answer_retry(h, &h->flying);
}

void commit_done(void *ctx, struct db_rows *rows, const struct err *failed)
{
    struct adapter_host *h = ctx;
    if (h->doing == DOING_ALONE) {
        h->doing = DOING_GROUP;
        if (rows && db_null(rows, 0, 2)) { /* it is known: what that means the group finds out */
            commit_flying(h, false);
            return;
        }
    }
    h->repeated = 0; /* answered, or jobs of their own again */
    if (failed) {
        h->sequence.known = false;
    }
    if (h->doing == DOING_PART && rows) {
        part_found(h, rows);
        return;
    }
    if (h->doing == DOING_PART) {
        h->doing = h->flying.first->spooled ? DOING_DRAIN : DOING_GROUP;
    }
    if (h->doing == DOING_IMPORT) {
        import_done(h, rows, failed);
    } else if (h->doing == DOING_MARK) {
        if (rows) {
            host_set_mark(h, db_count(rows) ? db_z(rows, 0, 0) : "");
        }
    } else if (h->doing == DOING_DRAIN) {
        drain_done(h, rows, failed);
    } else if (rows && h->doing == DOING_LOAD) {
        sequence_loaded(&h->sequence, rows);
    } else if (rows && h->doing == DOING_NUMBER) {
        settled(h, rows);
    } else if (h->doing == DOING_LOAD) {
        host_answer_retry(h, &h->waiting);
    } else if (rows && (size_t)db_count(rows) == h->flying.count) {
        committed(h, rows);
    } else if (failed && failed->code == ERR_DB && db_async_ready(h->db)) {
        refused_by_database(h, failed);
    } else if (h->doing == DOING_GROUP && h->away && !h->s.refuse_reuse && !h->s.sequence) {
        put_back(h); /* into the spool, with the replies that the commit would have stored */
    } else {
        h->sequence.known = false;
        host_answer_retry(h, &h->flying);
    }
    host_unblock(h);
    host_soon(h);
}
