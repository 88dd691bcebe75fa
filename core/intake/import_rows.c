#include "core/intake/group.h"
#include "core/intake/import_internal.h"
#include "core/store/events.h"

#include <inttypes.h>
#include <stdio.h>

#define COMMIT                                                                                     \
    "SELECT dari.commit_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "   \
    "$16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, "   \
    "$34, $35, $36, $37)"
DB_STATEMENT(import_rows, COMMIT);
/* The first ones of a snapshot also say what its rows are told apart by. */
DB_STATEMENT(import_first_rows,
             "WITH k AS (INSERT INTO dari.snapshot_key (site, feed, columns) VALUES ($1, $2, $38) "
             "ON CONFLICT (site, feed) DO UPDATE SET columns = excluded.columns) " COMMIT);

/* The columns of messages, of events and of rows of the snapshot, in the order of the parameters.
 */
enum {
    M_ROW,
    M_ID,
    M_TYPE,
    M_STATE,
    M_REASON,
    M_PLACE,
    M_MAPPING,
    M_PATIENT,
    M_FLAGS,
    M_SIZE,
    M_EVENTS,
    M_BEFORE,
    M_SEALED,
    MESSAGE_COLUMNS
};
enum {
    E_MESSAGE,
    E_ID,
    E_TYPE,
    E_SUBJECT,
    E_TIME,
    E_TEST,
    E_MAPPING,
    E_DATA,
    E_SEALED,
    EVENT_COLUMNS
};
enum { S_KEY, S_DIGEST, S_DAY, SNAPSHOT_COLUMNS };

struct columns {
    struct db_array *m[MESSAGE_COLUMNS], *e[EVENT_COLUMNS], *s[SNAPSHOT_COLUMNS], *tally;
    struct sha256_stream *messages, *events;
    int64_t ord, before, states[3];
};

static bool arrays_new(struct db_array **all, size_t n, struct arena *a)
{
    for (size_t i = 0; i < n; i++) {
        if (!(all[i] = db_array_new(a))) {
            return false;
        }
    }
    return true;
}

static void add_message(struct columns *c, const struct job *j)
{
    const struct mapped *m = &j->p.mapped;
    bool quarantined = m->state == MAPPING_QUARANTINED;
    size_t events = group_events(m);
    unsigned char digest[SHA256_BYTES];
    char place[GROUP_PLACE];
    struct str id = {(const char *)j->p.id, sizeof j->p.id};
    message_row_digest(j->p.control_id, j->p.type, str_of(j->p.charset), j->sealed, digest);
    sha256_add(c->messages, id);
    sha256_add(c->messages, (struct str){(const char *)digest, sizeof digest});
    db_array_i64(c->m[M_ROW], j->number);
    db_array_bytes(c->m[M_ID], id);
    db_array_str(c->m[M_TYPE], j->p.type);
    db_array_z(c->m[M_STATE], group_states[m->state]);
    db_array_z(c->m[M_REASON], quarantined ? m->problem.msg : m->reason);
    db_array_z(c->m[M_PLACE], quarantined ? group_place(&m->problem, place) : NULL);
    db_array_z(c->m[M_MAPPING], m->mapping);
    db_array_z(c->m[M_PATIENT], m->patient[0] ? m->patient : NULL);
    db_array_i64(c->m[M_FLAGS], m->test ? FLAG_TEST : 0);
    db_array_i64(c->m[M_SIZE], (int64_t)j->p.raw.n);
    db_array_i64(c->m[M_EVENTS], (int64_t)events);
    db_array_i64(c->m[M_BEFORE], c->before);
    db_array_bytes(c->m[M_SEALED], j->sealed);
    c->before += (int64_t)events;
    c->states[m->state]++;
    c->ord++;
}

static void add_events(struct columns *c, const struct job *j)
{
    const struct mapped *m = &j->p.mapped;
    size_t events = group_events(m);
    char place[24];
    int n = snprintf(place, sizeof place, "%" PRId64 "\n", c->ord);
    for (size_t i = 0; i < events; i++) {
        const struct event *ev = &m->events[i];
        sha256_add(c->events, (struct str){(const char *)j->rows.digests[i], SHA256_BYTES});
        sha256_add(c->events, (struct str){place, (size_t)n});
        db_array_i64(c->e[E_MESSAGE], c->ord);
        db_array_z(c->e[E_ID], ev->id);
        db_array_z(c->e[E_TYPE], ev->type->name);
        db_array_z(c->e[E_SUBJECT], ev->subject[0] ? ev->subject : NULL);
        db_array_time(c->e[E_TIME], ev->time);
        db_array_bool(c->e[E_TEST], ev->test);
        db_array_z(c->e[E_MAPPING], m->mapping);
        db_array_str(c->e[E_DATA], ev->data);
        db_array_bytes(c->e[E_SEALED], j->rows.sealed[i]);
    }
}

/* A row without a key that can be trusted has none in the snapshot. */
static void add_snapshot(struct columns *c, const struct held *row)
{
    bool known = row && row->is != HELD_BAD;
    db_array_bytes(c->s[S_KEY],
                   known ? (struct str){(const char *)row->key, ROW_KEY} : (struct str){0});
    db_array_bytes(c->s[S_DIGEST],
                   known ? (struct str){(const char *)row->digest, ROW_KEY} : (struct str){0});
    row && row->has_day ? db_array_i64(c->s[S_DAY], row->day) : db_array_no_i64(c->s[S_DAY]);
}

static struct str hex_of(struct sha256_stream **s, struct arena *a)
{
    unsigned char digest[SHA256_BYTES];
    struct buf hex;
    sha256_end(s, digest);
    buf_init(&hex, 2 * sizeof digest);
    buf_hex(&hex, (struct str){(const char *)digest, sizeof digest});
    struct str text = buf_ok(&hex) ? arena_copy(a, buf_str(&hex)) : STR("");
    buf_release(&hex);
    return text;
}

static void give(struct db_args *q, struct db_array *const *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        arg_array(q, all[i]);
    }
}

enum err_code import_rows_args(const struct adapter_host *h, const struct import *i,
                               const struct jobs *group, int64_t from, struct arena *a,
                               struct db_args *q, const struct db_statement **st, struct err *e)
{
    struct columns c = {.ord = 0};
    if (!arrays_new(c.m, MESSAGE_COLUMNS, a) || !arrays_new(c.e, EVENT_COLUMNS, a) ||
        !arrays_new(c.s, SNAPSHOT_COLUMNS, a) || !arrays_new(&c.tally, 1, a)) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    c.messages = sha256_begin();
    c.events = sha256_begin();
    for (const struct job *j = group->first; j; j = j->next) {
        add_message(&c, j);
        add_events(&c, j);
        add_snapshot(&c, j->held);
    }
    for (int k = 0; k < 3; k++) {
        db_array_i64(c.tally, c.states[k]);
    }
    struct str messages = hex_of(&c.messages, a), events = hex_of(&c.events, a);
    if (!messages.n || !events.n) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    bool first = i->key && !i->key_before;
    *st = first ? &import_first_rows : &import_rows;
    arg_z(q, h->s.site);
    arg_z(q, h->s.feed);
    arg_time(q, clock_now());
    arg_i64(q, i->no);
    arg_z(q, i->label);
    arg_i64(q, from);
    arg_i64(q, import_reaches(i, group));
    arg_i64(q, source_bytes(i->source));
    arg_i64(q, i->snapshot.seen ? i->unchanged : 0);
    arg_str(q, messages);
    arg_str(q, c.before ? events : STR("-"));
    arg_array(q, c.tally);
    give(q, c.m, MESSAGE_COLUMNS);
    give(q, c.e, EVENT_COLUMNS);
    for (int k = 0; k < SNAPSHOT_COLUMNS; k++) {
        i->snapshot.seen ? arg_array(q, c.s[k]) : arg_null(q);
    }
    if (first) {
        arg_z(q, i->key);
    }
    return ERR_NONE;
}
