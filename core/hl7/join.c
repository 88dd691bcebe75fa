#include "core/hl7/join.h"

#include "core/hl7/internal.h"

enum { MAX_POINTER = 199 };

static enum err_code check_pointer(const struct hl7_msg *m, struct str pointer, const char *where,
                                   struct err *e)
{
    if (pointer.n > MAX_POINTER) {
        ERR(e, ERR_LIMIT, hl7_offset(m, pointer),
            "the continuation pointer is longer than %d bytes", MAX_POINTER);
        return err_at(e, "%s", where);
    }
    return ERR_NONE;
}

enum err_code hl7_part_read(const struct hl7_msg *m, struct hl7_part *out, struct err *e)
{
    const struct hl7_path msh14 = {.segment = "MSH", .field = 14};
    const struct hl7_path dsc1 = {.segment = "DSC", .field = 1};
    const struct hl7_path dsc2 = {.segment = "DSC", .field = 2};
    struct str style;
    *out = (struct hl7_part){STR(""), STR("")};
    hl7_get(m, &msh14, &out->continues);
    hl7_get(m, &dsc1, &out->continued);
    out->continues = str_trim(out->continues);
    out->continued = str_trim(out->continued);
    if (hl7_get(m, &dsc2, &style) == HL7_VALUE && str_is(style, "I")) {
        ERR(e, ERR_UNSUPPORTED, hl7_offset(m, style),
            "the rest of the message comes only when it is asked for");
        return err_at(e, "DSC-2");
    }
    if (out->continued.n && str_eq(out->continues, out->continued)) {
        ERR(e, ERR_VALUE, hl7_offset(m, out->continued), "the message continues itself");
        return err_at(e, "DSC-1");
    }
    enum err_code code = check_pointer(m, out->continues, "MSH-14", e);
    return code == ERR_NONE ? check_pointer(m, out->continued, "DSC-1", e) : code;
}

bool hl7_has_addenda(const struct hl7_msg *m)
{
    return hl7_occurrences(m, "ADD") > 0;
}

/* ---- joining ---- */

struct joint {
    struct buf *out;
    struct str msh;  /* of the first part */
    size_t segments; /* written, MSH included */
    bool open;       /* the last segment is continued: ADD must come next */
    bool done;       /* DSC was there, in this part */
    size_t at;       /* of the line, in its part */
};

static enum err_code misfit(const struct joint *j, const char *where, const char *what,
                            struct err *e)
{
    ERR(e, ERR_SYNTAX, j->at, "%s", what);
    return err_at(e, "%s", where);
}

static enum err_code take_header(struct joint *j, struct str msh, struct err *e)
{
    static const struct {
        unsigned field;
        const char *place;
    } same[] = {{2, "MSH-2"}, {18, "MSH-18"}};
    if (msh.n < 4) {
        return misfit(j, "MSH-1", "the part has no header", e);
    }
    if (!j->segments) {
        j->msh = msh;
        buf_add(j->out, msh);
        buf_addc(j->out, '\r');
        j->segments = 1;
        return ERR_NONE;
    }
    if (msh.p[3] != j->msh.p[3]) {
        return misfit(j, "MSH-1", "the part has other delimiters than the first one", e);
    }
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (!str_eq(hl7_raw_field(msh, same[i].field), hl7_raw_field(j->msh, same[i].field))) {
            return misfit(j, same[i].place, "the part differs from the first one in its header", e);
        }
    }
    return ERR_NONE;
}

/* "ADD" or "ADD|rest": behind the last byte of the segment before. */
static enum err_code take_addendum(struct joint *j, struct str line, struct err *e)
{
    if (line.n == 3) {
        j->open = true;
        return ERR_NONE;
    }
    if (j->segments < 2) {
        return misfit(j, "ADD", "there is no segment that it could continue", e);
    }
    j->out->n -= buf_ok(j->out) && j->out->n ? 1 : 0; /* the CR */
    buf_add(j->out, str_cut(line, 4, line.n));
    buf_addc(j->out, '\r');
    j->open = false;
    return ERR_NONE;
}

static enum err_code take_line(struct joint *j, struct str line, struct err *e)
{
    struct str name = str_cut(line, 0, 3);
    bool whole = line.n == 3 || (line.n > 3 && line.p[3] == j->msh.p[3]);
    if (j->done) {
        return misfit(j, "DSC", "a segment stands behind it", e);
    }
    if (whole && str_is(name, "DSC")) {
        j->done = true;
        return ERR_NONE;
    }
    if (whole && str_is(name, "ADD")) {
        return take_addendum(j, line, e);
    }
    if (j->open) {
        return misfit(j, "ADD", "the segment before it is continued, but no ADD follows", e);
    }
    j->segments++;
    buf_add(j->out, line);
    buf_addc(j->out, '\r');
    return ERR_NONE;
}

static bool ends_line(char c)
{
    return c == '\r' || c == '\n';
}

static enum err_code take_part(struct joint *j, struct str part, struct err *e)
{
    struct str text = str_cut(part, hl7_leading(part), part.n);
    bool header = true;
    j->done = false;
    for (size_t at = 0; at < text.n;) {
        size_t end = at;
        while (end < text.n && !ends_line(text.p[end])) {
            end++;
        }
        struct str line = str_cut(text, at, end);
        j->at = at;
        at = end + 1;
        if (line.n == 0) {
            continue;
        }
        enum err_code code = header ? take_header(j, line, e) : take_line(j, line, e);
        header = false;
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

enum err_code hl7_join(const struct str *parts, size_t n, struct buf *out, struct err *e)
{
    struct joint j = {.out = out};
    for (size_t i = 0; i < n; i++) {
        enum err_code code = take_part(&j, parts[i], e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    if (j.open) {
        return misfit(&j, "ADD", "the segment before it is continued, but nothing follows", e);
    }
    return buf_ok(out) ? ERR_NONE
                       : ERR(e, ERR_NOMEM, 0, "no memory for a message of several parts");
}
