#include "core/intake/group.h"

#include "core/crypto/digest.h"
#include "core/hl7/reply.h"
#include "core/store/events.h"

#include <inttypes.h>
#include <stdio.h>

DB_STATEMENT(
    commit_group,
    "SELECT ord, outcome, no, reply FROM dari.commit_group($1, $2, $3, $4, $5, $6, $7, $8, $9, "
    "$10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, "
    "$28, $29, $30, $31, $32)");
DB_STATEMENT(
    commit_group_numbered,
    "WITH g AS MATERIALIZED (SELECT ord, outcome, no, reply FROM dari.commit_group("
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, "
    "$21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)), "
    "s AS (INSERT INTO dari.feed_sequence (site, feed, last, at) VALUES ($1, $2, $33, $3) "
    "ON CONFLICT (site, feed) DO UPDATE SET last = excluded.last, at = excluded.at) "
    "SELECT ord, outcome, no, reply FROM g ORDER BY ord");

DB_STATEMENT(
    commit_spooled,
    "SELECT c.ord, dari.received_earlier($1, $3, c.no, c.outcome, ($33::timestamptz[])[c.ord]), "
    "c.no, c.reply FROM dari.commit_group($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
    "$14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, "
    "$32) AS c");

enum { FLAG_TEST = 2 };

/* One array per parameter of commit_group, in the function's order. */
enum column {
    M_ID,
    M_CONTROL,
    M_TYPE,
    M_STATE,
    M_REASON,
    M_PLACE,
    M_MAPPING,
    M_PATIENT,
    M_FLAGS,
    M_CHARSET,
    M_SIZE,
    M_SEALED,
    M_SEALED_DIGEST,
    M_REPLY,
    M_CODE,
    M_REFUSAL,
    M_EVENTS,
    M_BEFORE,
    M_DIGEST,
    TALLY,
    E_MESSAGE,
    E_ID,
    E_TYPE,
    E_SUBJECT,
    E_TIME,
    E_TEST,
    E_MAPPING,
    E_DATA,
    E_SEALED,
    COLUMNS
};

static const char *const states[] = {"mapped", "ignored", "quarantined"};

static const char *place_of(struct arena *a, const struct err *problem)
{
    return problem->where[0] ? arena_z(a, str_of(problem->where))
                             : arena_printf(a, "byte %zu", problem->pos);
}

static struct str hex_digest(struct arena *a, const unsigned char digest[SHA256_BYTES])
{
    char *hex = arena_alloc(a, 2 * SHA256_BYTES + 1);
    if (!hex) {
        return STR("-"); /* the array of this argument has failed as well */
    }
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return (struct str){hex, 2 * SHA256_BYTES};
}

static void add_message(const struct intake_settings *s, struct arena *a, const struct job *j,
                        struct db_array **c)
{
    const struct mapped *m = &j->p.mapped;
    bool quarantined = m->state == MAPPING_QUARANTINED;
    unsigned char digest[SHA256_BYTES];
    message_row_digest(j->p.control_id, j->p.type, str_of(j->p.charset), j->sealed, digest);
    db_array_bytes(c[M_ID], (struct str){(const char *)j->p.id, sizeof j->p.id});
    db_array_str(c[M_CONTROL], j->p.control_id);
    db_array_str(c[M_TYPE], j->p.type);
    db_array_z(c[M_STATE], states[m->state]);
    db_array_z(c[M_REASON], quarantined ? m->problem.msg : m->reason);
    db_array_z(c[M_PLACE], quarantined ? place_of(a, &m->problem) : NULL);
    db_array_z(c[M_MAPPING], m->mapping);
    db_array_z(c[M_PATIENT], m->patient[0] ? m->patient : NULL);
    db_array_i64(c[M_FLAGS], m->test ? FLAG_TEST : 0);
    db_array_z(c[M_CHARSET], j->p.charset);
    db_array_i64(c[M_SIZE], (int64_t)j->p.raw.n);
    db_array_bytes(c[M_SEALED], j->sealed);
    db_array_str(c[M_SEALED_DIGEST], hex_digest(a, digest));
    db_array_bytes(c[M_REPLY], j->reply);
    db_array_z(c[M_CODE], j->code);
    if (s->refuse_reuse) {
        db_array_bytes(c[M_REFUSAL], j->refusal);
    }
}

/* One event, and its digest as dari.event_digest() makes it. */
static enum err_code add_event(const struct intake_settings *s, struct arena *a, int64_t ord,
                               struct str source, const struct mapped *m, const struct event *ev,
                               struct db_array **c, unsigned char digest[SHA256_BYTES],
                               struct err *e)
{
    struct str sealed;
    enum err_code code = event_seal(s->keys, a, s->site, ev, &sealed, e);
    if (code != ERR_NONE) {
        return code;
    }
    const struct event_row row = {.id = str_of(ev->id),
                                  .type = str_of(ev->type->name),
                                  .subject = str_of(ev->subject),
                                  .source = source,
                                  .cause = STR(""),
                                  .mapping = str_of(m->mapping),
                                  .data = ev->data,
                                  .sealed = sealed,
                                  .time = ev->time,
                                  .test = ev->test};
    event_row_digest(&row, digest);
    db_array_i64(c[E_MESSAGE], ord);
    db_array_z(c[E_ID], ev->id);
    db_array_z(c[E_TYPE], ev->type->name);
    db_array_z(c[E_SUBJECT], ev->subject[0] ? ev->subject : NULL);
    db_array_time(c[E_TIME], ev->time);
    db_array_bool(c[E_TEST], ev->test);
    db_array_z(c[E_MAPPING], m->mapping);
    db_array_str(c[E_DATA], ev->data);
    db_array_bytes(c[E_SEALED], sealed);
    return ERR_NONE;
}

static enum err_code add_events(const struct intake_settings *s, struct arena *a, int64_t ord,
                                const struct mapped *m, struct db_array **c, int64_t *before,
                                struct err *e)
{
    size_t count = m->state == MAPPING_MAPPED ? m->count : 0;
    unsigned char(*digests)[SHA256_BYTES] = arena_array(a, count + 1, SHA256_BYTES);
    char *feed = arena_printf(a, "feed:%s", s->feed);
    if (!digests || !feed) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    struct str source = str_of(feed);
    for (size_t i = 0; i < count; i++) {
        enum err_code code = add_event(s, a, ord, source, m, &m->events[i], c, digests[i], e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    sha256((struct str){(const char *)digests, count * SHA256_BYTES}, digests[count]);
    db_array_i64(c[M_EVENTS], (int64_t)count);
    db_array_i64(c[M_BEFORE], *before);
    *before += (int64_t)count;
    db_array_str(c[M_DIGEST], count ? hex_digest(a, digests[count]) : STR("-"));
    return ERR_NONE;
}

enum err_code group_args(const struct intake_settings *s, struct arena *a, const struct job *first,
                         usec at, const struct db_statement **st, struct db_args *q, struct err *e)
{
    struct db_array *c[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
        if (!(c[i] = db_array_new(a))) {
            return ERR(e, ERR_NOMEM, 0, "no memory for a group");
        }
    }
    int64_t ord = 0, number = 0, before = 0, tally[3] = {0};
    for (const struct job *j = first; j; j = j->next) {
        ord++;
        number = j->numbered ? j->number : number;
        add_message(s, a, j, c);
        tally[j->p.mapped.state]++;
        enum err_code code = add_events(s, a, ord, &j->p.mapped, c, &before, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    for (int i = 0; i < 3; i++) {
        db_array_i64(c[TALLY], tally[i]);
    }
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_time(q, at);
    for (int i = 0; i < COLUMNS; i++) {
        if (i == M_REFUSAL && !s->refuse_reuse) {
            arg_null(q);
        } else {
            arg_array(q, c[i]);
        }
    }
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
    struct db_array *received = db_array_new(a);
    accepting.refuse_reuse = false;
    if (!received) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    for (const struct job *j = first; j; j = j->next) {
        db_array_time(received, j->at);
    }
    enum err_code code = group_args(&accepting, a, first, at, st, q, e);
    arg_array(q, received);
    *st = &commit_spooled;
    return code;
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
    return ok ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a reply");
}

/* MSA-1 of a reply, for the ledger. */
void job_read_code(struct job *j)
{
    snprintf(j->code, sizeof j->code, "-");
    for (size_t i = 0; i + 6 < j->reply.n; i++) {
        if (j->reply.p[i] == '\r' && str_is(str_cut(j->reply, i + 1, i + 4), "MSA")) {
            snprintf(j->code, sizeof j->code, "%.2s", j->reply.p + i + 5);
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
