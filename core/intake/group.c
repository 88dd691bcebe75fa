#include "core/intake/group.h"

#include "core/crypto/digest.h"
#include "core/store/events.h"

#include <stdio.h>

DB_STATEMENT(commit_group, "SELECT ord, outcome, no, reply FROM " GROUP_CALL);
DB_STATEMENT(commit_message,
             "SELECT 1, 0, dari.commit_message($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
             "$13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23), NULL::bytea");
DB_STATEMENT(commit_group_numbered,
             "WITH g AS MATERIALIZED (SELECT ord, outcome, no, reply FROM " GROUP_CALL "), "
             "s AS (INSERT INTO dari.feed_sequence (site, feed, last, at) VALUES ($1, $2, $14, $3) "
             "ON CONFLICT (site, feed) DO UPDATE SET last = excluded.last, at = excluded.at) "
             "SELECT ord, outcome, no, reply FROM g ORDER BY ord");

enum { LINE = 4096 };

const char *const group_states[] = {"mapped", "ignored", "quarantined"};

enum { TEXTS = 10, BYTES = 3, NUMBERS = 4, EVENT_TEXTS = 5, EVENT_NUMBERS = 2, ALONE_TEXTS = 4 };

/* The arrays of commit_group: the columns of one type; a row per message, or per event. */
struct columns {
    struct db_array *texts, *bytes, *numbers, *received, *refusals, *counts;
    struct db_array *e_texts, *e_numbers, *e_times, *e_sealed;
    struct buf line;
    int32_t ord, before;
    int64_t states[3], repeated;
};

static bool columns_new(struct columns *c, struct arena *a)
{
    struct db_array **all[] = {&c->texts,  &c->bytes,   &c->numbers,   &c->received, &c->refusals,
                               &c->counts, &c->e_texts, &c->e_numbers, &c->e_times,  &c->e_sealed};
    *c = (struct columns){.ord = 0};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!(*all[i] = db_array_new(a))) {
            return false;
        }
    }
    buf_init(&c->line, LINE);
    return true;
}

const char *group_place(const struct err *problem, char room[GROUP_PLACE])
{
    if (problem->where[0]) {
        return problem->where;
    }
    snprintf(room, GROUP_PLACE, "byte %zu", problem->pos);
    return room;
}

size_t group_events(const struct mapped *m)
{
    return m->state == MAPPING_MAPPED ? m->count : 0;
}

static const char *place_of(const struct mapped *m, char room[GROUP_PLACE])
{
    return m->state == MAPPING_QUARANTINED ? group_place(&m->problem, room) : NULL;
}

static const char *reason_of(const struct mapped *m)
{
    return m->state == MAPPING_QUARANTINED ? m->problem.msg : m->reason;
}

static int32_t flags_of(const struct job *j)
{
    return (j->p.mapped.test ? FLAG_TEST : 0) | (j->spooled ? FLAG_SPOOLED : 0);
}

/* What stands in the middle of the ledger's entry, behind the number and before the events'. */
static struct str line_of(const struct job *j, struct buf *line)
{
    const struct mapped *m = &j->p.mapped;
    unsigned char digest[SHA256_BYTES];
    message_row_digest(j->p.control_id, j->p.type, str_of(j->p.charset), j->sealed, digest);
    buf_reset(line);
    buf_add(line, STR(" id="));
    buf_hex(line, (struct str){(const char *)j->p.id, sizeof j->p.id});
    buf_add(line, STR(" digest="));
    buf_hex(line, (struct str){(const char *)digest, sizeof digest});
    buf_add(line, STR(" state="));
    buf_add(line, str_of(group_states[m->state]));
    buf_add(line, STR(" reply="));
    buf_add(line, str_of(j->code));
    buf_add(line, STR(" mapping="));
    buf_add(line, m->mapping ? str_of(m->mapping) : STR("-"));
    return buf_str(line);
}

static struct str digest_of(const struct event_rows *rows, size_t count, struct buf *line)
{
    buf_reset(line);
    if (count) {
        buf_hex(line, (struct str){(const char *)rows->digest, sizeof rows->digest});
    } else {
        buf_add(line, STR("-"));
    }
    return buf_str(line);
}

static void add_message(const struct intake_settings *s, struct columns *c, const struct job *j,
                        const struct event_rows *rows)
{
    const struct mapped *m = &j->p.mapped;
    size_t count = group_events(m);
    char place[GROUP_PLACE];
    db_array_str(c->texts, j->p.control_id);
    db_array_str(c->texts, j->p.type);
    db_array_z(c->texts, group_states[m->state]);
    db_array_z(c->texts, reason_of(m));
    db_array_z(c->texts, place_of(m, place));
    db_array_z(c->texts, m->mapping);
    db_array_z(c->texts, m->patient[0] ? m->patient : NULL);
    db_array_z(c->texts, j->p.charset);
    db_array_str(c->texts, line_of(j, &c->line));
    db_array_str(c->texts, digest_of(rows, count, &c->line));
    db_array_bytes(c->bytes, (struct str){(const char *)j->p.id, sizeof j->p.id});
    db_array_bytes(c->bytes, j->sealed);
    db_array_bytes(c->bytes, j->reply);
    db_array_i32(c->numbers, flags_of(j));
    db_array_i32(c->numbers, (int32_t)j->p.raw.n);
    db_array_i32(c->numbers, (int32_t)count);
    db_array_i32(c->numbers, c->before);
    c->before += (int32_t)count;
    c->states[m->state]++;
    db_array_time(c->received, j->at);
    if (s->refuse_reuse) {
        db_array_bytes(c->refusals, j->refusal);
    }
}

static void add_events(struct columns *c, const struct mapped *m, const struct event_rows *rows)
{
    for (size_t i = 0; i < group_events(m); i++) {
        const struct event *ev = &m->events[i];
        db_array_z(c->e_texts, ev->id);
        db_array_z(c->e_texts, ev->type->name);
        db_array_z(c->e_texts, ev->subject[0] ? ev->subject : NULL);
        db_array_z(c->e_texts, m->mapping);
        db_array_str(c->e_texts, ev->data);
        db_array_i32(c->e_numbers, c->ord);
        db_array_i32(c->e_numbers, ev->test);
        db_array_time(c->e_times, ev->time);
        db_array_bytes(c->e_sealed, rows->sealed[i]);
    }
}

enum err_code job_seal_events(const struct intake_settings *s, struct arena *a,
                              const struct mapped *m, struct event_rows *out, struct err *e)
{
    size_t count = group_events(m);
    *out = (struct event_rows){.of = NULL};
    if (!count) {
        return ERR_NONE;
    }
    char *source = arena_printf(a, "feed:%s", s->feed);
    out->sealed = arena_array(a, count, sizeof *out->sealed);
    out->digests = arena_array(a, count, sizeof *out->digests);
    if (!out->digests || !source || !out->sealed) {
        return ERR(e, ERR_NOMEM, 0, "no memory for events");
    }
    for (size_t i = 0; i < count; i++) {
        const struct event *ev = &m->events[i];
        enum err_code code = event_seal(s->keys, a, s->site, ev, &out->sealed[i], e);
        if (code != ERR_NONE) {
            return code;
        }
        const struct event_row row = {.id = str_of(ev->id),
                                      .type = str_of(ev->type->name),
                                      .subject = str_of(ev->subject),
                                      .source = str_of(source),
                                      .cause = STR(""),
                                      .mapping = str_of(m->mapping),
                                      .data = ev->data,
                                      .sealed = out->sealed[i],
                                      .time = ev->time,
                                      .test = ev->test};
        event_row_digest(&row, out->digests[i]);
    }
    sha256((struct str){(const char *)out->digests, count * SHA256_BYTES}, out->digest);
    out->of = m->events;
    return ERR_NONE;
}

/* Made when it came, unless it has other events by now. */
static enum err_code rows_of(const struct intake_settings *s, struct arena *a, const struct job *j,
                             struct event_rows *out, struct err *e)
{
    const struct mapped *m = &j->p.mapped;
    *out = j->rows;
    return group_events(m) && out->of != m->events ? job_seal_events(s, a, m, out, e) : ERR_NONE;
}

static enum err_code add_job(const struct intake_settings *s, struct arena *a, struct columns *c,
                             const struct job *j, struct err *e)
{
    const struct mapped *m = &j->p.mapped;
    struct event_rows rows;
    enum err_code code = rows_of(s, a, j, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    c->ord++;
    for (const struct job *r = j->repeats; r; r = r->repeats) {
        c->repeated++;
    }
    add_message(s, c, j, &rows);
    add_events(c, m, &rows);
    return ERR_NONE;
}

static void give_columns(const struct intake_settings *s, struct columns *c, bool spooled, usec at,
                         struct db_args *q)
{
    for (int i = 0; i < 3; i++) {
        db_array_i64(c->counts, c->states[i]);
    }
    db_array_i64(c->counts, c->repeated);
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_time(q, at);
    arg_table(q, c->texts, TEXTS);
    arg_table(q, c->bytes, BYTES);
    arg_table(q, c->numbers, NUMBERS);
    spooled ? arg_array(q, c->received) : arg_null(q);
    s->refuse_reuse ? arg_array(q, c->refusals) : arg_null(q);
    arg_array(q, c->counts);
    arg_table(q, c->e_texts, EVENT_TEXTS);
    arg_table(q, c->e_numbers, EVENT_NUMBERS);
    arg_array(q, c->e_times);
    arg_array(q, c->e_sealed);
}

enum err_code group_args(const struct intake_settings *s, struct arena *a, const struct job *first,
                         usec at, const struct db_statement **st, struct db_args *q, struct err *e)
{
    struct columns c;
    if (!columns_new(&c, a)) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    int64_t number = 0;
    enum err_code code = ERR_NONE;
    for (const struct job *j = first; j && code == ERR_NONE; j = j->next) {
        number = j->numbered ? j->number : number;
        code = add_job(s, a, &c, j, e);
    }
    bool complete = buf_ok(&c.line);
    buf_release(&c.line);
    if (code != ERR_NONE || !complete) {
        return code != ERR_NONE ? code : ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    give_columns(s, &c, first->spooled, at, q);
    *st = number ? &commit_group_numbered : &commit_group;
    if (number) {
        arg_i64(q, number);
    }
    return ERR_NONE;
}

/* ---- one message alone ---- */

bool group_alone(const struct intake_settings *s, const struct job *j)
{
    return !j->next && j->p.control_id.n && !j->numbered && !j->spooled && !s->refuse_reuse;
}

static enum err_code give_events(struct arena *a, const struct mapped *m,
                                 const struct event_rows *rows, struct db_args *q, struct err *e)
{
    struct db_array *texts = db_array_new(a), *times = db_array_new(a), *tests = db_array_new(a),
                    *sealed = db_array_new(a);
    if (!texts || !times || !tests || !sealed) {
        return ERR(e, ERR_NOMEM, 0, "no memory for events");
    }
    for (size_t i = 0; i < group_events(m); i++) {
        const struct event *ev = &m->events[i];
        db_array_z(texts, ev->id);
        db_array_z(texts, ev->type->name);
        db_array_z(texts, ev->subject[0] ? ev->subject : NULL);
        db_array_str(texts, ev->data);
        db_array_time(times, ev->time);
        db_array_bool(tests, ev->test);
        db_array_bytes(sealed, rows->sealed[i]);
    }
    arg_table(q, texts, ALONE_TEXTS);
    arg_array(q, times);
    arg_array(q, tests);
    arg_array(q, sealed);
    return ERR_NONE;
}

static void give_message(struct arena *a, const struct job *j, const struct event_rows *rows,
                         struct buf *line, struct db_args *q)
{
    const struct mapped *m = &j->p.mapped;
    char *place = arena_alloc(a, GROUP_PLACE);
    int64_t more = 0;
    for (const struct job *r = j->repeats; r; r = r->repeats) {
        more++;
    }
    arg_str(q, j->p.control_id);
    arg_str(q, j->p.type);
    arg_z(q, group_states[m->state]);
    arg_z(q, reason_of(m));
    arg_z(q, place ? place_of(m, place) : NULL);
    arg_z(q, m->mapping);
    arg_z(q, m->patient[0] ? m->patient : NULL);
    arg_z(q, j->p.charset);
    struct str middle = arena_copy(a, line_of(j, line));
    struct str digest = arena_copy(a, digest_of(rows, group_events(m), line));
    arg_str(q, middle);
    arg_str(q, digest);
    arg_bytes(q, (struct str){(const char *)j->p.id, sizeof j->p.id});
    arg_bytes(q, j->sealed);
    arg_bytes(q, j->reply);
    arg_i64(q, flags_of(j));
    arg_i64(q, (int64_t)j->p.raw.n);
    arg_i64(q, more);
    q->broken |= !place || !middle.p || !digest.p;
}

enum err_code alone_args(const struct intake_settings *s, struct arena *a, const struct job *j,
                         usec at, const struct db_statement **st, struct db_args *q, struct err *e)
{
    struct event_rows rows;
    struct buf line;
    *st = &commit_message;
    enum err_code code = rows_of(s, a, j, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_time(q, at);
    buf_init(&line, LINE);
    give_message(a, j, &rows, &line, q);
    q->broken |= !buf_ok(&line);
    buf_release(&line);
    return give_events(a, &j->p.mapped, &rows, q, e);
}

enum err_code spooled_args(const struct intake_settings *s, struct arena *a,
                           const struct job *first, usec at, const struct db_statement **st,
                           struct db_args *q, struct err *e)
{
    struct intake_settings accepting = *s;
    accepting.refuse_reuse = false;
    return group_args(&accepting, a, first, at, st, q, e);
}
