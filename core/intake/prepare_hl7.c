#include "core/hl7/join.h"
#include "core/intake/prepare_internal.h"

#include <string.h>

/* Longer ones would not fit the index that makes the same message twice impossible. */
enum { MAX_CONTROL_ID = 199, MAX_TYPE = 64 };

static enum err_code check_header(struct prepared *p, struct err *problem)
{
    if (p->control_id.n > MAX_CONTROL_ID) {
        ERR(problem, ERR_LIMIT, hl7_offset(p->message, p->control_id),
            "control id is longer than %d bytes", MAX_CONTROL_ID);
        p->control_id = STR("");
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

/* ---- parts of a message (chapter 2.10.2) ---- */

/*
 * What a pointer is looked up by: the same text means the same part only from the same sender and
 * for the same type of message.
 */
static bool pointer_key(const struct prepare_settings *s, struct arena *a,
                        const struct hl7_header *h, struct str pointer, char out[KEY_TEXT])
{
    if (!pointer.n) {
        return true;
    }
    char *text = arena_printf(a, "%s\r%.*s\r%.*s\r%.*s\r%.*s", s->feed, STR_ARG(h->sending_app),
                              STR_ARG(h->sending_facility), STR_ARG(h->code), STR_ARG(pointer));
    if (text) {
        key_opaque(s->keys, "part", str_of(s->site), str_of(text), out);
    }
    return text != NULL;
}

/* A part is kept as it is; what it is a part of is mapped when all of it is there (parts.h). */
static enum err_code read_part(const struct prepare_settings *s, struct arena *a,
                               struct prepared *p, struct err *problem)
{
    struct hl7_header h;
    struct hl7_part part;
    enum err_code code = hl7_part_read(p->message, &part, problem);
    if (code == ERR_NONE && s->no_parts) {
        if (!part.continued.n) {
            return ERR_NONE;
        }
        ERR(problem, ERR_UNSUPPORTED, hl7_offset(p->message, part.continued),
            "the message is continued in another one, which this feed does not take");
        return err_at(problem, "DSC-1");
    }
    if (code != ERR_NONE || (!part.continues.n && !part.continued.n)) {
        return code;
    }
    hl7_header(p->message, &h);
    if (!pointer_key(s, a, &h, part.continues, p->part.continues) ||
        !pointer_key(s, a, &h, part.continued, p->part.continued)) {
        return ERR(problem, ERR_NOMEM, 0, "no memory for a message");
    }
    p->part.is = true;
    return ERR_NONE;
}

void prepare_waits(struct prepared *p)
{
    p->mapped = (struct mapped){.state = MAPPING_IGNORED,
                                .reason = "a part of a message, which is mapped as a whole"};
}

static struct str header_value(const struct hl7_msg *m, unsigned field, unsigned component)
{
    const struct hl7_path at = {.segment = "MSH", .field = field, .comp = component};
    struct str value;
    hl7_get(m, &at, &value);
    return value;
}

/* Control id, type, the id that we give, and whether this is a part. */
static enum err_code read_header(const struct prepare_settings *s, struct arena *a, struct str text,
                                 struct prepared *p)
{
    const struct hl7_msg *m = p->message;
    const struct str time = header_value(m, 7, 0);
    const struct str type[] = {header_value(m, 9, 1), STR("^"), header_value(m, 9, 2)};
    p->control_id = header_value(m, 10, 0);
    p->type = arena_join(a, type, type[2].n ? 3 : 1);
    p->type = p->type.p ? p->type : STR("");
    /* MSH-7 is when it was sent, which differs when the same message is sent again. */
    size_t from = time.n ? hl7_offset(m, time) : text.n;
    key_message(s->keys, str_of(s->site), str_of(s->feed), p->control_id, str_cut(text, 0, from),
                str_cut(text, from + time.n, text.n), p->id);
    enum err_code code = check_header(p, &p->mapped.problem);
    return code == ERR_NONE ? read_part(s, a, p, &p->mapped.problem) : code;
}

static enum err_code parse(const struct prepare_settings *s, struct arena *a, struct str text,
                           const struct hl7_msg **out, struct err *problem)
{
    struct hl7_limits limits = hl7_default_limits;
    limits.bytes = s->max_message;
    return hl7_parse(a, text, &limits, out, problem);
}

/* Segments cut by ADD are put together; the message may then be another one to look at. */
static enum err_code join_segments(const struct prepare_settings *s, struct arena *a,
                                   struct str text, enum charset used, struct prepared *p)
{
    struct buf joined;
    struct err *problem = &p->mapped.problem;
    if (!hl7_has_addenda(p->message)) {
        return ERR_NONE;
    }
    buf_init(&joined, text.n + 2);
    enum err_code code = hl7_join(&text, 1, &joined, problem);
    struct str whole = code == ERR_NONE ? arena_copy(a, buf_str(&joined)) : STR("");
    buf_release(&joined);
    if (code == ERR_NONE) {
        code = whole.p ? parse(s, a, whole, &p->message, problem)
                       : ERR(problem, ERR_NOMEM, 0, "no memory for a message");
    }
    if (code == ERR_NONE) {
        hl7_set_charset(p->message, used);
    }
    return code;
}

/*
 * A segment may be cut in the middle of a character, and cannot be decoded then before it is whole.
 * The header is ASCII in every set that fits a frame: it says whether this is a part, whose turn
 * comes later (*p is ready then), or a message with ADD, whose joined text is decoded. False:
 * neither, the bytes are wrong.
 */
static bool cut_in_a_character(const struct prepare_settings *s, struct arena *a,
                               struct prepared *p, struct str *text, enum charset *used)
{
    const struct err why = p->mapped.problem;
    struct err none = {0};
    struct buf joined;
    bool found = false;
    if (!hl7_wide(p->raw, s->charset) && parse(s, a, p->raw, &p->message, &none) == ERR_NONE) {
        found = read_header(s, a, p->raw, p) == ERR_NONE && p->part.is;
        if (!found && hl7_has_addenda(p->message)) {
            buf_init(&joined, p->raw.n + 2);
            found = hl7_join(&p->raw, 1, &joined, NULL) == ERR_NONE &&
                    hl7_decode(a, buf_str(&joined), s->charset, s->fallback, text, used, NULL) ==
                        ERR_NONE;
            *text = arena_copy(a, *text); /* ASCII is handed through as it is */
            found = found && text->p;
            buf_release(&joined);
        }
    }
    p->mapped.problem = found ? none : why;
    if (!found) {
        p->message = NULL;
        p->part.is = false;
        p->control_id = p->type = STR("");
    }
    return found;
}

enum err_code prepare_hl7_text(const struct prepare_settings *s, struct arena *a, struct str text,
                               enum charset used, usec at, struct prepared *p, struct err *e)
{
    p->charset = charset_name(used);
    enum err_code code = parse(s, a, text, &p->message, &p->mapped.problem);
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    if (code != ERR_NONE) {
        prepare_unread(s, p);
        return ERR_NONE;
    }
    hl7_set_charset(p->message, used);
    code = read_header(s, a, text, p);
    if (code == ERR_NONE && p->part.is) {
        prepare_waits(p);
        return ERR_NONE;
    }
    code = code == ERR_NONE ? join_segments(s, a, text, used, p) : code;
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    if (code != ERR_NONE) {
        p->mapped.state = MAPPING_QUARANTINED;
        return ERR_NONE;
    }
    return prepare_record(s, a, record_of_hl7(a, p->message), at, p, e);
}

enum err_code prepare_hl7(const struct prepare_settings *s, struct arena *a, usec at,
                          struct prepared *p, struct err *e)
{
    struct str text = STR("");
    enum charset used = CHARSET_UTF8;
    struct err *problem = &p->mapped.problem;

    enum err_code code = hl7_decode(a, p->raw, s->charset, s->fallback, &text, &used, problem);
    if (code == ERR_CHARSET && cut_in_a_character(s, a, p, &text, &used)) {
        code = ERR_NONE;
        if (p->part.is) {
            prepare_waits(p);
            return ERR_NONE;
        }
    }
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message");
    }
    if (code != ERR_NONE) {
        prepare_unread(s, p);
        return ERR_NONE;
    }
    return prepare_hl7_text(s, a, text, used, at, p, e);
}

enum err_code prepare_joined(const struct prepare_settings *s, struct arena *a,
                             const struct str *parts, size_t n, const unsigned char first[16],
                             usec at, struct mapped *out, struct err *e)
{
    struct prepared whole = {.raw = STR("")};
    struct buf joined;
    size_t bytes = n;
    for (size_t i = 0; i < n; i++) {
        bytes += parts[i].n;
    }
    buf_init(&joined, bytes + 2);
    enum err_code code = hl7_join(parts, n, &joined, &whole.mapped.problem);
    if (code == ERR_NONE) {
        whole.raw = arena_copy(a, buf_str(&joined));
        code = whole.raw.p ? ERR_NONE : ERR_NOMEM;
    }
    buf_release(&joined);
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message of several parts");
    }
    whole.mapped.state = MAPPING_QUARANTINED;
    if (code == ERR_NONE) {
        struct str text;
        enum charset used;
        struct err *problem = &whole.mapped.problem;
        memcpy(whole.id, first, sizeof whole.id);
        code = hl7_decode(a, whole.raw, s->charset, s->fallback, &text, &used, problem);
        code = code == ERR_NONE ? parse(s, a, text, &whole.message, problem) : code;
        if (code == ERR_NONE) {
            hl7_set_charset(whole.message, used);
            code = prepare_record(s, a, record_of_hl7(a, whole.message), at, &whole, e);
            if (code != ERR_NONE) {
                return code;
            }
        }
    }
    *out = whole.mapped;
    return code == ERR_NOMEM ? ERR(e, ERR_NOMEM, 0, "no memory for a message of several parts")
                             : ERR_NONE;
}
