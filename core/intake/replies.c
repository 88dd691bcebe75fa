#include "core/intake/replies.h"

#include "core/hl7/reply.h"
#include "core/hl7/v2xml.h"

#include <inttypes.h>
#include <stdio.h>

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
