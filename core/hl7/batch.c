#include "core/hl7/batch.h"

#include "core/base/num.h"
#include "core/hl7/internal.h"

#include <stdio.h>

enum { MAX_FIELD = 256 };

static bool is_line(struct str line, const char *name)
{
    return line.n > 3 && str_is(str_cut(line, 0, 3), name);
}

bool hl7_is_batch(struct str raw)
{
    struct str line = str_cut(raw, hl7_leading(raw), raw.n);
    line = str_cut(line, 0, 4);
    return (is_line(line, "FHS") || is_line(line, "BHS")) && hl7_line_kind(line) == LINE_BATCH;
}

/* What the lines so far say. */
struct count {
    struct hl7_batch *b;
    struct str raw;
    size_t messages; /* since the last BHS or BTS */
    unsigned trailers;
};

/* BTS-1 or FTS-1; field 1 of a trailer stands where field 2 of a header does. */
static void check(struct count *c, struct str line, size_t really, const char *name, unsigned nth)
{
    struct str said = hl7_raw_field(line, 2);
    int64_t n;
    struct err *e = &c->b->problem;
    if (e->code != ERR_NONE || said.n == 0 || str_is(said, "\"\"")) {
        return;
    }
    size_t pos = (size_t)(said.p - c->raw.p);
    if (num_i64(str_trim(said), 0, INT64_MAX, &n, NULL) != ERR_NONE) {
        ERR(e, ERR_VALUE, pos, "%s-1 is not a number", name);
    } else if ((uint64_t)n != really) {
        ERR(e, ERR_VALUE, pos, "%s-1 does not agree with what came: %zu", name, really);
    } else {
        return;
    }
    err_at(e, nth > 1 ? "%s(%u)-1" : "%s-1", name, nth);
}

static void batch_line(struct count *c, struct str line)
{
    struct hl7_batch *b = c->b;
    if (is_line(line, "FHS") && b->file.n == 0) {
        b->file = line;
    } else if (is_line(line, "BHS")) {
        b->header = b->batches ? b->header : line;
        b->batches++;
        c->messages = 0;
    } else if (is_line(line, "BTS")) {
        check(c, line, c->messages, "BTS", ++c->trailers);
        c->messages = 0;
    } else if (is_line(line, "FTS") && b->batches) {
        check(c, line, b->batches, "FTS", 1);
    }
}

void hl7_batch_read(struct str raw, struct hl7_batch *out)
{
    *out = (struct hl7_batch){.file = {"", 0}, .header = {"", 0}};
    struct count c = {.b = out, .raw = raw};
    for (size_t at = 0, end; at < raw.n; at = end + 1) {
        end = hl7_line_end(raw, at);
        struct str line = str_cut(raw, at, end);
        switch (hl7_line_kind(line)) {
        case LINE_START:
            out->messages++;
            c.messages++;
            break;
        case LINE_BATCH:
            batch_line(&c, str_cut(line, hl7_leading(line), line.n));
            break;
        case LINE_BLANK:
        case LINE_OTHER:
            break;
        }
    }
}

/* ---- the reply ---- */

/* The delimiters and MSH-2 of the reply: the sender's, unless they cannot be read. */
static struct hl7_delimiters delimiters(const struct hl7_batch *b, struct str *encoding)
{
    struct hl7_delimiters d;
    struct str line = b->header.n ? b->header : b->file;
    *encoding = hl7_raw_field(line.n ? line : STR("BHS|^~\\&"), 2);
    if (line.n == 0 || hl7_read_delimiters(line, &d, NULL) != ERR_NONE) {
        *encoding = STR("^~\\&");
        hl7_read_delimiters(STR("MSH|^~\\&"), &d, NULL);
    }
    return d;
}

/* FHS or BHS: from them to us becomes from us to them; 11 is ours, 12 theirs. */
static void put_header(struct buf *out, const struct hl7_batch *b, const char *name,
                       struct str theirs, struct str id, bool refer, usec at)
{
    static const unsigned back[] = {5, 6, 3, 4};
    struct str encoding;
    struct hl7_delimiters d = delimiters(b, &encoding);
    buf_printf(out, "%s%c", name, d.field);
    buf_add(out, encoding);
    for (int i = 0; i < 4; i++) {
        struct str f = theirs.n ? hl7_raw_field(theirs, back[i]) : STR("");
        buf_addc(out, d.field);
        hl7_put_field(out, d.escape, f.n <= MAX_FIELD ? f : STR(""));
    }
    buf_addc(out, d.field);
    hl7_put_time(out, true, at);
    for (int i = 0; i < 4; i++) {
        buf_addc(out, d.field);
    }
    buf_add(out, id);
    buf_addc(out, d.field);
    struct str reference = theirs.n && refer ? hl7_raw_field(theirs, 11) : STR("");
    hl7_put_field(out, d.escape, reference.n <= MAX_FIELD ? reference : STR(""));
    buf_addc(out, '\r');
}

void hl7_batch_begin(struct buf *out, const struct hl7_batch *b, struct str id, usec at)
{
    if (b->file.n) {
        put_header(out, b, "FHS", b->file, id, true, at);
    }
    put_header(out, b, "BHS", b->header.n ? b->header : b->file, id, b->header.n && b->batches == 1,
               at);
}

void hl7_batch_end(struct buf *out, const struct hl7_batch *b, size_t replies, const char *note)
{
    struct str encoding;
    struct hl7_delimiters d = delimiters(b, &encoding);
    const char *says = note ? note : b->problem.code != ERR_NONE ? b->problem.msg : "";
    buf_printf(out, "BTS%c%zu", d.field, replies);
    if (says[0]) {
        buf_addc(out, d.field);
        size_t from = out->n;
        if (!d.escape || hl7_escape_into(out, d, CHARSET_ASCII, str_of(says), NULL) != ERR_NONE) {
            out->n = from;
        }
    }
    buf_addc(out, '\r');
    if (b->file.n) {
        buf_printf(out, "FTS%c1\r", d.field);
    }
}
