#include "core/intake/prepare_internal.h"

/* Longer ones would not fit the index that makes the same message twice impossible. */
enum { MAX_CONTROL_ID = 199, MAX_TYPE = 64 };

static enum err_code check_header(struct prepared *p, const struct hl7_header *h,
                                  struct err *problem)
{
    if (h->control_id.n > MAX_CONTROL_ID) {
        p->control_id = STR("");
        ERR(problem, ERR_LIMIT, hl7_offset(p->message, h->control_id),
            "control id is longer than %d bytes", MAX_CONTROL_ID);
        return err_at(problem, "MSH-10");
    }
    if (p->type.n == 0) {
        ERR(problem, ERR_REQUIRED, 0, "the message says no type");
        return err_at(problem, "MSH-9");
    }
    if (p->type.n > MAX_TYPE) {
        p->type = STR("");
        ERR(problem, ERR_LIMIT, 0, "message type is longer than %d bytes", MAX_TYPE);
        return err_at(problem, "MSH-9");
    }
    return ERR_NONE;
}

/*
 * Part of a message that continues in others (chapter 2.10.2). It is kept, but not mapped as if it
 * were the whole.
 */
static enum err_code check_whole(const struct hl7_msg *m, struct err *problem)
{
    struct str at;
    if (hl7_get(m, &(struct hl7_path){.segment = "DSC", .field = 1}, &at) == HL7_VALUE) {
        ERR(problem, ERR_UNSUPPORTED, hl7_offset(m, at), "the message is continued in another one");
        return err_at(problem, "DSC-1");
    }
    if (hl7_get(m, &(struct hl7_path){.segment = "ADD"}, &at) == HL7_VALUE) {
        ERR(problem, ERR_UNSUPPORTED, hl7_offset(m, at), "the message continues another one");
        return err_at(problem, "ADD");
    }
    return ERR_NONE;
}

static enum err_code read_header(const struct prepare_settings *s, struct arena *a, struct str text,
                                 struct prepared *p)
{
    struct hl7_header h;
    hl7_header(p->message, &h);
    p->control_id = h.control_id;
    char *type =
        arena_printf(a, h.trigger.n ? "%.*s^%.*s" : "%.*s", STR_ARG(h.code), STR_ARG(h.trigger));
    p->type = type ? str_of(type) : STR("");
    /* MSH-7 is when it was sent, which differs when the same message is sent again. */
    size_t from = h.time.n ? hl7_offset(p->message, h.time) : text.n;
    key_message(s->keys, str_of(s->site), str_of(s->feed), p->control_id, str_cut(text, 0, from),
                str_cut(text, from + h.time.n, text.n), p->id);
    enum err_code code = check_header(p, &h, &p->mapped.problem);
    return code == ERR_NONE ? check_whole(p->message, &p->mapped.problem) : code;
}

enum err_code prepare_hl7(const struct prepare_settings *s, struct arena *a, usec at,
                          struct prepared *p, struct err *e)
{
    struct hl7_limits limits = hl7_default_limits;
    struct str text;
    enum charset used;
    limits.bytes = s->max_message;
    struct err *problem = &p->mapped.problem;

    enum err_code code = hl7_decode(a, p->raw, s->charset, s->fallback, &text, &used, problem);
    if (code == ERR_NONE) {
        p->charset = charset_name(used);
        code = hl7_parse(a, text, &limits, &p->message, problem);
    }
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    if (code != ERR_NONE) {
        prepare_unread(s, p);
        return ERR_NONE;
    }
    hl7_set_charset(p->message, used);
    if (read_header(s, a, text, p) != ERR_NONE) {
        p->mapped.state = MAPPING_QUARANTINED;
        return ERR_NONE;
    }
    return prepare_record(s, a, record_of_hl7(a, p->message), at, p, e);
}
