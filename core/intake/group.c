#include "core/intake/group.h"

#include "core/crypto/digest.h"
#include "core/hl7/reply.h"
#include "core/hl7/v2xml.h"
#include "core/store/events.h"

#include <inttypes.h>
#include <stdio.h>

DB_STATEMENT(commit_group, "SELECT ord, outcome, no, reply FROM " GROUP_CALL);
DB_STATEMENT(commit_group_numbered,
             "WITH g AS MATERIALIZED (SELECT ord, outcome, no, reply FROM " GROUP_CALL "), "
             "s AS (INSERT INTO dari.feed_sequence (site, feed, last, at) VALUES ($1, $2, $14, $3) "
             "ON CONFLICT (site, feed) DO UPDATE SET last = excluded.last, at = excluded.at) "
             "SELECT ord, outcome, no, reply FROM g ORDER BY ord");

const char *const group_states[] = {"mapped", "ignored", "quarantined"};

/* The arrays of commit_group: the columns of one type, row after row. */
struct columns {
    struct db_array *texts, *bytes, *numbers, *received, *refusals, *counts;
    struct db_array *e_texts, *e_numbers, *e_times, *e_sealed;
    struct buf line;
    int64_t ord, before, states[3], repeated;
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
    buf_init(&c->line, 4096);
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

/* What stands in the middle of the ledger's entry, behind the number and before the events'. */
static void add_line(struct columns *c, const struct job *j)
{
    const struct mapped *m = &j->p.mapped;
    unsigned char digest[SHA256_BYTES];
    message_row_digest(j->p.control_id, j->p.type, str_of(j->p.charset), j->sealed, digest);
    buf_reset(&c->line);
    buf_add(&c->line, STR(" id="));
    buf_hex(&c->line, (struct str){(const char *)j->p.id, sizeof j->p.id});
    buf_add(&c->line, STR(" digest="));
    buf_hex(&c->line, (struct str){(const char *)digest, sizeof digest});
    buf_add(&c->line, STR(" state="));
    buf_add(&c->line, str_of(group_states[m->state]));
    buf_add(&c->line, STR(" reply="));
    buf_add(&c->line, str_of(j->code));
    buf_add(&c->line, STR(" mapping="));
    buf_add(&c->line, m->mapping ? str_of(m->mapping) : STR("-"));
    db_array_str(c->texts, buf_str(&c->line));
}

static void add_digest(struct columns *c, const struct event_rows *rows, size_t count)
{
    buf_reset(&c->line);
    if (count) {
        buf_hex(&c->line, (struct str){(const char *)rows->digest, sizeof rows->digest});
    } else {
        buf_add(&c->line, STR("-"));
    }
    db_array_str(c->texts, buf_str(&c->line));
}

static void add_message(const struct intake_settings *s, struct columns *c, const struct job *j,
                        const struct event_rows *rows)
{
    const struct mapped *m = &j->p.mapped;
    bool quarantined = m->state == MAPPING_QUARANTINED;
    size_t count = group_events(m);
    char place[GROUP_PLACE];
    db_array_str(c->texts, j->p.control_id);
    db_array_str(c->texts, j->p.type);
    db_array_z(c->texts, group_states[m->state]);
    db_array_z(c->texts, quarantined ? m->problem.msg : m->reason);
    db_array_z(c->texts, quarantined ? group_place(&m->problem, place) : NULL);
    db_array_z(c->texts, m->mapping);
    db_array_z(c->texts, m->patient[0] ? m->patient : NULL);
    db_array_z(c->texts, j->p.charset);
    add_line(c, j);
    add_digest(c, rows, count);
    db_array_bytes(c->bytes, (struct str){(const char *)j->p.id, sizeof j->p.id});
    db_array_bytes(c->bytes, j->sealed);
    db_array_bytes(c->bytes, j->reply);
    db_array_i64(c->numbers, (m->test ? FLAG_TEST : 0) | (j->spooled ? FLAG_SPOOLED : 0));
    db_array_i64(c->numbers, (int64_t)j->p.raw.n);
    db_array_i64(c->numbers, (int64_t)count);
    db_array_i64(c->numbers, c->before);
    c->before += (int64_t)count;
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
        db_array_i64(c->e_numbers, c->ord);
        db_array_i64(c->e_numbers, ev->test);
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
static enum err_code add_job(const struct intake_settings *s, struct arena *a, struct columns *c,
                             const struct job *j, struct err *e)
{
    const struct mapped *m = &j->p.mapped;
    struct event_rows rows = j->rows;
    if (group_events(m) && rows.of != m->events) {
        enum err_code code = job_seal_events(s, a, m, &rows, e);
        if (code != ERR_NONE) {
            return code;
        }
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
    arg_array(q, c->texts);
    arg_array(q, c->bytes);
    arg_array(q, c->numbers);
    spooled ? arg_array(q, c->received) : arg_null(q);
    s->refuse_reuse ? arg_array(q, c->refusals) : arg_null(q);
    arg_array(q, c->counts);
    arg_array(q, c->e_texts);
    arg_array(q, c->e_numbers);
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

enum err_code spooled_args(const struct intake_settings *s, struct arena *a,
                           const struct job *first, usec at, const struct db_statement **st,
                           struct db_args *q, struct err *e)
{
    struct intake_settings accepting = *s;
    accepting.refuse_reuse = false;
    return group_args(&accepting, a, first, at, st, q, e);
}

/* ---- replies ---- */

enum { MAX_REPLY = 64 * 1024 };

/* Our own MSH-10: the microsecond, and when two fall into one, the next. Unique in this feed. */
struct str job_reply_id(struct arena *a)
{
    static usec last;
    usec now = clock_real();
    last = now > last ? now : last + 1;
    char *id = arena_printf(a, "D%013llX", (unsigned long long)last);
    return id ? str_of(id) : STR("D");
}

/* Who sends v2.xml is answered in v2.xml. A reply that has no such form stays as it is. */
static enum err_code in_xml(struct arena *a, struct str *reply, struct err *e)
{
    const struct hl7_msg *m;
    struct buf b;
    if (hl7_parse(a, *reply, NULL, &m, NULL) != ERR_NONE) {
        return ERR_NONE;
    }
    buf_init(&b, MAX_REPLY * 4);
    if (hl7_to_v2xml(&b, a, m, NULL) == ERR_NONE) {
        *reply = arena_copy(a, buf_str(&b));
    }
    buf_release(&b);
    return reply->p ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a reply");
}

static enum err_code build(struct job *j, struct str raw, struct hl7_reply r, struct str *out,
                           struct err *e)
{
    struct buf b;
    bool wanted = true;
    buf_init(&b, MAX_REPLY);
    r.id = job_reply_id(j->arena);
    hl7_reply(&b, j->p.message, raw, &r, &wanted);
    if (wanted &&
        !buf_ok(&b)) { /* a header that no reply can take over: it is answered all the same */
        buf_release(&b);
        hl7_reply(&b, NULL, STR(""), &r, &wanted);
    }
    *out = arena_copy(j->arena, wanted ? buf_str(&b) : STR(""));
    bool ok = buf_ok(&b) && out->p;
    buf_release(&b);
    if (!ok) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a reply");
    }
    return out->n && content_of(raw) == CONTENT_XML ? in_xml(j->arena, out, e) : ERR_NONE;
}

/* MSA-1 of a reply, for the ledger. */
void job_read_code(struct job *j)
{
    snprintf(j->code, sizeof j->code, "-");
    for (size_t i = 0; i + 9 < j->reply.n; i++) {
        struct str rest = str_cut(j->reply, i, j->reply.n);
        size_t at = str_starts(rest, STR("\rMSA")) ? 5 : str_starts(rest, STR("<MSA.1>")) ? 7 : 0;
        if (at) {
            snprintf(j->code, sizeof j->code, "%.2s", rest.p + at);
            return;
        }
    }
}

enum err_code job_replies(const struct intake_settings *s, struct job *j, struct str raw, usec at,
                          struct err *e)
{
    const struct mapped *m = &j->p.mapped;
    struct hl7_reply main = {.verdict = HL7_ACCEPT, .at = at};
    if (m->state == MAPPING_QUARANTINED && !s->accept_quarantined) {
        main.verdict = HL7_ERROR;
        main.condition = prepare_condition(&m->problem);
        main.text = m->problem.msg;
        main.place = m->problem.where[0] ? m->problem.where : NULL;
    }
    if (j->numbered && j->number > 0) {
        main.sequence = arena_printf(j->arena, "%" PRId64, j->number);
    }
    struct hl7_reply retry = {.verdict = HL7_ERROR,
                              .condition = 207,
                              .at = at,
                              .text = "the message was not stored, please send it again"};
    struct hl7_reply reused = {.verdict = HL7_REJECT,
                               .condition = 205,
                               .at = at,
                               .place = "MSH-10",
                               .text = "the control id was used for another message"};
    if (j->silent) {
        j->reply = j->retry = j->refusal = STR("");
        snprintf(j->code, sizeof j->code, "-");
        return ERR_NONE;
    }
    enum err_code code = build(j, raw, main, &j->reply, e);
    if (code == ERR_NONE) {
        code = build(j, raw, retry, &j->retry, e);
    }
    if (code == ERR_NONE && s->refuse_reuse) {
        code = build(j, raw, reused, &j->refusal, e);
    }
    job_read_code(j);
    return code;
}

enum err_code job_expects(struct job *j, bool refused, int64_t expected, usec at, struct err *e)
{
    struct hl7_reply r = {.verdict = refused ? HL7_ERROR : HL7_ACCEPT,
                          .condition = refused ? 207 : 0,
                          .at = at,
                          .place = refused ? "MSH-13" : NULL,
                          .text = refused ? "another sequence number is expected" : NULL,
                          .sequence = arena_printf(j->arena, "%" PRId64, expected)};
    return build(j, j->p.raw, r, &j->reply, e);
}

enum err_code job_oversize(const struct intake_settings *s, struct job *j, struct str beginning,
                           usec at, struct err *e)
{
    struct hl7_reply r = {.verdict = HL7_REJECT,
                          .condition = 207,
                          .at = at,
                          .text = "the message is larger than this feed takes"};
    (void)s;
    j->refused = true;
    return build(j, beginning, r, &j->reply, e);
}

enum err_code job_foreign(struct job *j, usec at, struct err *e)
{
    const struct hl7_reply r = {.verdict = HL7_REJECT,
                                .condition = 103,
                                .at = at,
                                .place = "MSH-3",
                                .text = "the certificate of the sender does not stand for this "
                                        "application"};
    j->refused = true;
    return build(j, j->p.raw, r, &j->reply, e);
}

enum err_code job_batch_too_large(struct job *j, struct str frame, usec at, struct err *e)
{
    struct hl7_split split = {.text = frame};
    struct hl7_reply r = {.verdict = HL7_REJECT,
                          .condition = 207,
                          .at = at,
                          .text = "the batch has more messages than this feed takes"};
    struct str first = STR(""), one;
    hl7_split_next(&split, &first, NULL);
    j->refused = true;
    enum err_code code = build(j, first, r, &one, e);
    if (code == ERR_NONE) {
        j->reply = bundle_refusal(j->arena, frame, one, job_reply_id(j->arena), at);
    }
    return code;
}
