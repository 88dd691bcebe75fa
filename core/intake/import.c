#include "core/intake/import.h"

#include "core/base/log.h"
#include "core/intake/group.h"
#include "core/intake/import_internal.h"
#include "core/intake/refused.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HASH_BYTES = 1 << 20, AGAIN_MS = 2000 };

/* ---- beginning and end ---- */

static struct import *import_new(const struct adapter_file *f, void *ticket)
{
    struct import *i = calloc(1, sizeof *i);
    if (!i || !(i->arena = arena_new(0)) || !(i->reading = arena_new(0)) ||
        !(i->chunk = arena_new(0)) || !(i->replies_arena = arena_new(0)) ||
        !(i->ready.arena = arena_new(0))) {
        import_free(&i);
        return NULL;
    }
    i->ticket = ticket;
    i->fd = -1;
    i->path = arena_z(i->arena, str_of(f->path));
    i->name = arena_z(i->arena, str_of(f->name));
    i->mark = f->mark ? arena_z(i->arena, str_of(f->mark)) : NULL;
    jobs_init(&i->group);
    jobs_init(&i->ahead);
    if (!i->path || !i->name || (f->mark && !i->mark)) {
        import_free(&i);
    }
    return i;
}

void import_free(struct import **pi)
{
    struct import *i = *pi;
    if (!i) {
        return;
    }
    if (i->fd >= 0) {
        close(i->fd);
    }
    jobs_free(&i->group);
    jobs_free(&i->ahead);
    if (i->back) {
        job_free(i->back);
    }
    source_close(&i->source);
    snapshot_end(&i->snapshot);
    generation_drop(&i->generation);
    sha256_end(&i->hash, NULL);
    arena_free(&i->ready.arena);
    arena_free(&i->replies_arena);
    arena_free(&i->chunk);
    arena_free(&i->reading);
    arena_free(&i->arena);
    free(i);
    *pi = NULL;
}

void import_refuse(struct import *i, const struct err *why)
{
    i->refused = true;
    i->problem = *why;
    i->stage = IMPORT_CLOSE;
}

/* We are out of something; the file is as good as any. */
static bool is_ours(int why)
{
    return why == EMFILE || why == ENFILE || why == ENOMEM;
}

bool adapter_submit_file(struct adapter_host *h, const struct adapter_file *f, void *ticket)
{
    struct stat st;
    struct import *i = h->import ? NULL : import_new(f, ticket);
    if (!i) {
        h->file_waits = true;
        return false;
    }
    i->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int why = i->fd < 0 ? errno : 0;
    if (i->fd >= 0 && fstat(i->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        i->size = st.st_size;
    } else {
        struct err e;
        ERR(&e, is_ours(why) ? ERR_NOMEM : ERR_IO, 0, "the file cannot be opened");
        import_refuse(i, &e);
    }
    i->hash = sha256_begin();
    h->import = i;
    host_soon(h);
    return true;
}

/* The adapter learns what became of its file, and may give the next one from within finished(). */
static void finish(struct adapter_host *h, struct adapter_result *result)
{
    struct import *i = h->import;
    h->import = NULL;
    log_info("intake.file", "feed=%s batch=%" PRId64 " outcome=%s read=%" PRId64 " events=%" PRId64,
             h->s.feed, i->no,
             result->outcome == ADAPTER_TAKEN   ? "taken"
             : result->outcome == ADAPTER_KNOWN ? "known"
             : result->outcome == ADAPTER_RETRY ? "again-later"
                                                : "refused",
             result->read, result->events);
    h->ops->finished(h->adapter, i->ticket, result);
    import_free(&i);
    if (h->file_waits && !h->import) {
        h->file_waits = false;
        h->ops->resume(h->adapter);
    }
}

/* It cannot even be read: the database does not get to know it. */
static void finish_unopened(struct adapter_host *h, struct import *i)
{
    bool ours = i->problem.code == ERR_NOMEM;
    struct adapter_result r = {.outcome = ours ? ADAPTER_RETRY : ADAPTER_REFUSED,
                               .problem = str_of(i->problem.msg)};
    log_err(LOG_WARN_, ours ? "intake.file-later" : "intake.refused-file", &i->problem);
    finish(h, &r);
}

/* ---- the stages, as far as they need no database ---- */

static void hash_some(struct adapter_host *h, struct import *i)
{
    static char piece[HASH_BYTES];
    ssize_t n = read(i->fd, piece, sizeof piece);
    if (n > 0) {
        sha256_add(i->hash, (struct str){piece, (size_t)n});
    } else if (n == 0) {
        sha256_end(&i->hash, i->digest);
        close(i->fd);
        i->fd = -1;
        i->stage = IMPORT_OPEN;
    } else {
        struct err e;
        ERR(&e, ERR_IO, 0, "the file cannot be read");
        import_refuse(i, &e);
    }
    host_soon(h);
}

/* Forgets what was read and not committed. */
static void forget(struct adapter_host *h, struct import *i)
{
    for (struct job *j; (j = jobs_pop(&i->group)) || (j = jobs_pop(&i->ahead));) {
        host_job_done(h, j);
    }
    if (i->back) {
        host_job_done(h, i->back);
        i->back = NULL;
    }
    i->bytes[0] = i->bytes[1] = 0;
    i->ready.is = false;
    i->later = (struct err){.code = ERR_NONE};
    source_close(&i->source);
    snapshot_end(&i->snapshot);
    generation_drop(&i->generation);
    arena_reset(i->reading);
    arena_reset(i->chunk);
    arena_reset(i->replies_arena);
    i->replies = NULL;
    i->reply_count = i->reply_room = 0;
    i->ended = false;
    i->at = i->unchanged = 0;
    i->held_count = i->held_next = 0;
    i->unreadable = 0;
    i->key = i->key_before = NULL;
    i->gone = i->past = (struct gone_keys){.keys = NULL};
    i->gone_next = 0;
    i->known_count = 0;
    i->paged = false;
    i->note[0] = '\0';
}

/* Something failed that may go better: the file is opened again behind the last commit. */
void import_again(struct adapter_host *h, struct import *i, const struct err *why)
{
    if (!i->wait_until) {
        log_err(LOG_WARN_, "intake.import", why);
    }
    forget(h, i);
    i->stage = i->refused ? IMPORT_CLOSE : IMPORT_OPEN;
    i->wait_until = clock_mono() + (usec)AGAIN_MS * 1000;
    net_timer_set(h->pump, AGAIN_MS);
}

/* ---- the ends of statements ---- */

static struct str batch_reply(struct import *i)
{
    struct buf b;
    size_t n = 0;
    const struct hl7_batch *batch = i->source ? source_batch(i->source) : NULL;
    if (!batch || i->refused) {
        return STR("");
    }
    buf_init(&b, SOURCE_MAX);
    hl7_batch_begin(&b, batch, job_reply_id(i->arena), clock_now());
    for (size_t k = 0; k < i->reply_count; k++) {
        buf_add(&b, i->replies[k]);
        n += i->replies[k].n > 0;
    }
    hl7_batch_end(&b, batch, n, NULL);
    struct str all = buf_ok(&b) ? arena_copy(i->arena, buf_str(&b)) : STR("");
    buf_release(&b);
    return all.p ? all : STR("");
}

bool import_step(struct adapter_host *h)
{
    struct import *i = h->import;
    if (!i || i->asked) {
        return false;
    }
    if (i->wait_until && clock_mono() < i->wait_until) {
        net_timer_set(h->pump, AGAIN_MS);
        return false;
    }
    if (i->stage == IMPORT_HASH) {
        hash_some(h, i);
        return false;
    }
    if (i->stage == IMPORT_READ) {
        import_read(h, i);
        host_soon(h);
    }
    if (i->stage == IMPORT_CLOSE && i->known) {
        struct adapter_result known = {.outcome = ADAPTER_KNOWN, .reply = batch_reply(i)};
        finish(h, &known);
        return false;
    }
    if (i->stage == IMPORT_CLOSE && i->no == 0) {
        finish_unopened(h, i);
        return false;
    }
    bool waits = i->wait_until && clock_mono() < i->wait_until;
    bool asked = i->stage != IMPORT_READ && !waits && import_ask(h, i);
    if (asked) {
        host_soon(h);
    }
    return asked;
}

/*
 * A batch that comes again gets its replies again: its messages are asked for one by one, and none
 * is counted. The crash may have come between the last commit and the reply.
 */
static bool replies_again(struct adapter_host *h, struct import *i)
{
    struct err e;
    if (import_open_source(h, i, &e) != ERR_NONE || !source_batch(i->source)) {
        return false;
    }
    i->position = INT64_MAX;
    return true;
}

static void opened(struct adapter_host *h, struct import *i, struct db_rows *rows)
{
    struct adapter_result known = {.outcome = ADAPTER_KNOWN};
    i->no = db_i64(rows, 0, 0);
    i->position = db_i64(rows, 0, 3);
    i->key_before = db_null(rows, 0, 4) ? NULL : arena_z(i->arena, db_str(rows, 0, 4));
    label_write(i->digest, db_i64(rows, 0, 1), i->label);
    i->known = db_bool(rows, 0, 2);
    if (i->known && i->mark) { /* the answer to its end may have been lost */
        host_set_mark(h, i->mark);
    }
    if (i->known && !replies_again(h, i)) {
        finish(h, &known);
        return;
    }
    if (i->position && !i->known) {
        log_info("intake.resume", "feed=%s batch=%" PRId64 " position=%" PRId64, h->s.feed, i->no,
                 i->position);
    }
    i->stage = IMPORT_READ;
}

static bool keep_reply(struct import *i, struct str reply)
{
    if (i->reply_count == i->reply_room) {
        size_t room = i->reply_room ? i->reply_room * 2 : 64;
        struct str *more = arena_array(i->replies_arena, room, sizeof *more);
        for (size_t k = 0; more && k < i->reply_count; k++) {
            more[k] = i->replies[k];
        }
        if (!more) {
            return false;
        }
        i->replies = more;
        i->reply_room = room;
    }
    struct str copy = arena_copy(i->replies_arena, reply);
    i->replies[i->reply_count] = copy;
    i->reply_count++;
    return copy.p != NULL;
}

static void compared(struct adapter_host *h, struct import *i, struct db_rows *rows)
{
    struct err e = {0};
    enum err_code rc = snapshot_compared(&i->snapshot, i->chunk, i->held, i->held_count, rows, &e);
    if (rc != ERR_NONE) {
        import_again(h, i, &e);
        return;
    }
    i->stage = IMPORT_READ;
}

static void note_rejected(struct import *i, const struct job *j)
{
    const struct err *p = &j->p.mapped.problem;
    if (j->p.mapped.state != MAPPING_QUARANTINED || i->rejected[0]) {
        return;
    }
    snprintf(i->rejected, sizeof i->rejected, "%s%s%s", p->where, p->where[0] ? ": " : "", p->msg);
}

/* The group's next message is committed. True when it brought events. */
static bool one_committed(struct adapter_host *h, struct import *i, struct db_rows *rows, int k,
                          bool *kept)
{
    struct job *j = jobs_pop(&i->group);
    bool news = j->p.mapped.count > 0;
    note_rejected(i, j);
    if (i->stage == IMPORT_COMMIT && source_table(i->source)) {
        adapter_count(h, "stored", 1);
    } else {
        news = commit_count(h, j, rows, k);
    }
    if (source_batch(i->source)) {
        *kept &= keep_reply(i, db_null(rows, k, 3) ? j->reply : db_str(rows, k, 3));
    }
    host_job_done(h, j);
    return news;
}

static void committed(struct adapter_host *h, struct import *i, struct db_rows *rows)
{
    bool news = false, kept = true;
    int n = (int)i->group.count;
    for (int k = 0; k < n; k++) {
        news |= one_committed(h, i, rows, k, &kept);
    }
    if (i->stage == IMPORT_TELL || i->sent_at > i->position) { /* not only replies of a batch */
        i->solo -= i->solo > 0;
    }
    i->bytes[0] = i->bytes[1];
    i->bytes[1] = 0;
    if (i->stage == IMPORT_TELL) {
        import_told(i);
    } else {
        i->position = i->sent_at > i->position ? i->sent_at : i->position;
        i->unchanged = 0;
        i->key_before = i->key;
        i->stage = IMPORT_READ;
        i->group = i->ahead;
        if (!i->group.first) {
            i->group.last = &i->group.first;
        }
        jobs_init(&i->ahead);
    }
    if (news) {
        commit_wake_relay(h);
    }
    if (!kept) {
        struct err e;
        ERR(&e, ERR_NOMEM, 0, "no memory for the replies");
        import_again(h, i, &e);
    }
}

static void closed(struct adapter_host *h, struct import *i, struct db_rows *rows)
{
    struct adapter_result r = {.outcome = i->refused ? ADAPTER_REFUSED : ADAPTER_TAKEN,
                               .reply = batch_reply(i),
                               .problem = str_of(i->rejected),
                               .read = db_i64(rows, 0, 0),
                               .mapped = db_i64(rows, 0, 1),
                               .ignored = db_i64(rows, 0, 2),
                               .unchanged = db_i64(rows, 0, 3),
                               .rejected = db_i64(rows, 0, 4),
                               .duplicates = db_i64(rows, 0, 5),
                               .events = db_i64(rows, 0, 6)};
    if (i->refused) {
        r.problem = str_of(import_problem(i, i->arena));
        log_err(LOG_WARN_, "intake.refused-file", &i->problem);
    } else if (i->mark) {
        host_set_mark(h, i->mark);
    }
    finish(h, &r);
}

/* The database refuses what is in a group: one message at a time finds the one it refuses. */
static void refused_by_database(struct adapter_host *h, struct import *i, const struct err *failed)
{
    size_t n = i->group.count;
    struct mapped *m = n ? &i->group.first->p.mapped : NULL;
    if (n != 1) {
        import_again(h, i, failed);
        i->solo = n;
        return;
    }
    log_err(LOG_ERROR_, "intake.refused", failed);
    if (m->state == MAPPING_QUARANTINED) {
        import_refuse(i, failed); /* not even its bytes can be kept */
        return;
    }
    *m = (struct mapped){.state = MAPPING_QUARANTINED, .mapping = m->mapping};
    ERR(&m->problem, ERR_VALUE, 0, "the database refuses what this message becomes");
    struct job *j = i->group.first;
    struct err e = {0};
    if (job_replies(&h->s, j, j->p.raw, j->at, &e) != ERR_NONE) {
        import_again(h, i, &e);
    }
    host_soon(h);
}

void import_done(struct adapter_host *h, struct db_rows *rows, const struct err *failed)
{
    struct import *i = h->import;
    i->asked = false;
    if (failed && failed->code == ERR_DB && db_async_ready(h->db) && refused_for_itself(h)) {
        refused_by_database(h, i, failed);
        return;
    }
    if (failed || !rows) {
        import_again(h, i, failed);
        return;
    }
    i->wait_until = 0;
    switch (i->stage) {
    case IMPORT_OPEN:
        opened(h, i, rows);
        break;
    case IMPORT_COMPARE:
        compared(h, i, rows);
        break;
    case IMPORT_COMMIT:
    case IMPORT_TELL:
        committed(h, i, rows);
        break;
    case IMPORT_PAGE:
        import_paged(h, i, rows);
        break;
    case IMPORT_FORGET:
        import_forgot(i);
        break;
    case IMPORT_FETCH:
        import_fetched(h, i, rows);
        break;
    default:
        closed(h, i, rows);
    }
}
