/*
 * CSV and TSV. RFC 4180, and what is really written: other delimiters, any line end, blanks before
 * a quote, quotes inside a cell that does not begin with one, ="0012345" for a text that a
 * spreadsheet should leave alone. One pass over the bytes finds the cells, no cell is copied unless
 * it holds a doubled quote or another character set.
 */
#include "core/table/csv_internal.h"

#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CELLS = 64 };

enum cell_form { CELL_PLAIN, CELL_DOUBLED }; /* doubled quotes inside */

static struct csv *self(const struct source *s)
{
    return (struct csv *)(void *)(union {
               const struct source *from;
               struct source *to;
           }){s}
        .to;
}

/* ---- errors with their place ---- */

static enum err_code place(const struct csv *c, size_t column, struct err *e)
{
    return err_at(e, "row %lld, column %zu", (long long)c->row, column);
}

static size_t offset_of(const struct csv *c, const char *p)
{
    return (size_t)c->in.passed + (size_t)(p - c->in.p);
}

static enum err_code too_long(const struct csv *c, struct err *e)
{
    ERR(e, ERR_LIMIT, offset_of(c, c->in.p + c->in.at),
        "a cell is longer than %zu bytes; is a quote missing?", c->limit.cell);
    return place(c, c->count + 1, e);
}

/* The input ended before the file did. */
static enum err_code cut_short(const struct csv *c, struct err *e)
{
    size_t at = offset_of(c, c->in.p + c->in.end);
    if (c->in.nul) {
        ERR(e, ERR_SYNTAX, at, "a NUL byte: this is not a text file");
    } else {
        ERR(e, ERR_CHARSET, at, "bytes are not valid utf-16");
    }
    return place(c, c->count + 1, e);
}

/* ---- cells ---- */

enum scan { SCAN_ROW, SCAN_MORE, SCAN_LONG, SCAN_WIDE, SCAN_NOMEM };

static enum scan add_cell(struct csv *c, const char *from, const char *to, enum cell_form form)
{
    if (c->count >= c->limit.columns) {
        return SCAN_WIDE;
    }
    if (c->count == c->room) {
        size_t room = c->room ? c->room * 2 : FIRST_CELLS;
        struct str *cells = realloc(c->cells, room * sizeof *cells);
        c->cells = cells ? cells : c->cells;
        unsigned char *forms = cells ? realloc(c->forms, room) : NULL;
        c->forms = forms ? forms : c->forms;
        if (!forms) {
            return SCAN_NOMEM;
        }
        c->room = room;
    }
    size_t n = (size_t)(to - from);
    if (n > c->limit.cell) {
        return SCAN_LONG;
    }
    c->cells[c->count] = (struct str){from, n};
    c->forms[c->count++] = (unsigned char)form;
    return SCAN_ROW;
}

/* A cell that began with a quote: *p is behind it, and comes to the delimiter or line end. */
static enum scan quoted(struct csv *c, const char **p, const char *end)
{
    const char *from = *p, *q = from;
    enum cell_form form = CELL_PLAIN;
    for (;;) {
        q = q < end ? memchr(q, '"', (size_t)(end - q)) : NULL;
        if (!q || (q + 1 == end && !c->in.ended)) {
            return (size_t)(end - from) > c->limit.cell ? SCAN_LONG : SCAN_MORE;
        }
        if (q + 1 == end || q[1] != '"') {
            break;
        }
        form = CELL_DOUBLED;
        q += 2;
    }
    const char *behind = q + 1;
    while (behind < end && *behind == ' ') {
        behind++;
    }
    while (!c->special[(unsigned char)*behind]) {
        if (*behind != '\r' && !c->stray) {
            c->stray = true;
            c->stray_column = c->count + 1;
        }
        behind++;
    }
    *p = behind;
    return add_cell(c, from, q, form);
}

static enum scan plain(struct csv *c, const char **p, const char *end)
{
    const char *from = *p, *q = from;
    while (!c->special[(unsigned char)*q]) {
        q++;
    }
    *p = q;
    if (q == end && !c->in.ended) {
        return (size_t)(end - from) > c->limit.cell ? SCAN_LONG : SCAN_MORE;
    }
    return add_cell(c, from, q, CELL_PLAIN);
}

/* Finds the cells of the row at in.at; *next is where the following one begins. */
static enum scan scan_row(struct csv *c, size_t *next)
{
    const char *p = c->in.p + c->in.at, *end = c->in.p + c->in.end;
    c->in.p[c->in.end] = c->line_end; /* the sentinel */
    c->count = 0;
    c->stray = false;
    for (;;) {
        const char *quote = p;
        while (*quote == ' ') {
            quote++;
        }
        enum scan found;
        if (quote < end && *quote == '"') {
            p = quote + 1;
            found = quoted(c, &p, end);
        } else {
            found = plain(c, &p, end);
        }
        if (found != SCAN_ROW) {
            return found;
        }
        if (p == end) {
            *next = c->in.end;
            return c->in.ended ? SCAN_ROW : SCAN_MORE;
        }
        if (*p++ == c->line_end) {
            *next = (size_t)(p - c->in.p);
            return SCAN_ROW;
        }
    }
}

/* CRLF: the CR belongs to the line end, not to the last cell. */
static void drop_cr(struct csv *c)
{
    struct str *last = &c->cells[c->count - 1];
    if (c->line_end == '\n' && last->n && last->p[last->n - 1] == '\r') {
        last->n--;
    }
}

/* The buffer is ours, so doubled quotes are made one in place. */
static void undouble(const struct csv *c, struct str *cell)
{
    char *to = c->in.p + (cell->p - c->in.p);
    size_t n = 0;
    for (size_t i = 0; i < cell->n; i++) {
        to[n++] = cell->p[i];
        i += cell->p[i] == '"';
    }
    cell->n = n;
}

/* ---- character set ---- */

/* Letters of three bytes and more, as Hangul is, in valid UTF-8. */
static size_t long_letters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += (unsigned char)s.p[i] >= 0xe0;
    }
    return n;
}

/*
 * Valid UTF-8 but for its cut end; or one broken letter among twenty, as programs leave that cut
 * names to a number of bytes. CP949 is broken at nearly every letter.
 */
static bool is_utf8(struct str rest, bool more)
{
    size_t good = 0, broken = 0, bad = 0;
    while (!text_utf8(rest, &bad)) {
        good += long_letters(str_cut(rest, 0, bad));
        rest = str_cut(rest, bad, rest.n);
        if (more && rest.n < TEXT_CHAR && (unsigned char)rest.p[0] >= 0xc2) {
            return broken * 20 <= good; /* the rest of the letter is yet to come */
        }
        size_t next = 1;
        while (next < rest.n && ((unsigned char)rest.p[next] & 0xc0) == 0x80) {
            next++;
        }
        rest = str_cut(rest, next, rest.n);
        broken++;
    }
    return broken * 20 <= good + long_letters(rest);
}

/* A file that says nothing is UTF-8 when what is in the buffer from the first letter on that is not
 * ASCII is UTF-8, else what the feed falls back to. */
static void settle_charset(struct csv *c, struct str rest)
{
    bool more = !c->in.ended && c->in.taken < c->in.size;
    c->charset = is_utf8(rest, more) ? CHARSET_UTF8 : c->fallback;
    c->charset_known = true;
}

static enum err_code decode_cells(struct csv *c, struct raw_row *out, struct err *e)
{
    for (size_t i = 0; i < c->count; i++) {
        struct str in = c->cells[i];
        enum err_code code = charset_decode(c->a, c->charset, in, &c->cells[i], &out->problem);
        if (code == ERR_NOMEM || code == ERR_UNSUPPORTED) {
            return ERR(e, code, 0, "%s", out->problem.msg);
        }
        if (code != ERR_NONE) {
            size_t pos = out->problem.pos + offset_of(c, in.p);
            if (c->charset == CHARSET_UTF8 && c->fallback == CHARSET_UTF8 && !c->in.begin) {
                ERR(&out->problem, code, 0,
                    "bytes are not valid utf-8: is it cp949? No character "
                    "set to fall back to was given");
            }
            out->problem.pos = pos;
            out->column = i + 1;
            return ERR_NONE;
        }
    }
    return ERR_NONE;
}

static enum err_code decode(struct csv *c, size_t from, size_t next, struct raw_row *out,
                            struct err *e)
{
    struct str row = {c->in.p + from, next - from};
    size_t ascii = text_ascii(row);
    if (ascii == row.n) {
        return ERR_NONE;
    }
    if (!c->charset_known) {
        settle_charset(c, (struct str){row.p + ascii, c->in.end - from - ascii});
    }
    size_t bad;
    if (c->charset == CHARSET_UTF8 && text_utf8(row, &bad)) {
        return ERR_NONE;
    }
    return decode_cells(c, out, e);
}

/* ---- rows ---- */

static enum err_code explain(struct csv *c, enum scan why, struct err *e)
{
    if (why == SCAN_LONG) {
        return too_long(c, e);
    }
    if (why == SCAN_WIDE) {
        ERR(e, ERR_LIMIT, offset_of(c, c->in.p + c->in.at), "more than %zu columns",
            c->limit.columns);
        return place(c, c->count + 1, e);
    }
    return ERR(e, ERR_NOMEM, 0, "no memory for a row");
}

/* Reads until a whole row is in the buffer. */
static enum err_code find_row(struct csv *c, size_t *next, bool *more, struct err *e)
{
    for (;;) {
        *more = c->in.at < c->in.end || !c->in.ended;
        enum scan found = c->in.at < c->in.end ? scan_row(c, next) : SCAN_MORE;
        bool cut = (c->in.nul || c->in.broken) && found == SCAN_ROW && *next == c->in.end &&
                   c->in.p[*next - 1] != c->line_end;
        if (found == SCAN_ROW && !cut) {
            return ERR_NONE;
        }
        if (found != SCAN_MORE && found != SCAN_ROW) {
            return explain(c, found, e);
        }
        if (c->in.nul || c->in.broken) {
            c->count -= c->count > 0 && found == SCAN_ROW;
            return cut_short(c, e);
        }
        if (c->in.ended && c->in.at < c->in.end) {
            ERR(e, ERR_SYNTAX, offset_of(c, c->in.p + c->in.at), "a quote is never closed");
            return place(c, c->count + 1, e);
        }
        if (c->in.ended) {
            *more = false;
            return ERR_NONE;
        }
        enum err_code code = input_fill(&c->in, e);
        if (code != ERR_NONE) {
            return code == ERR_LIMIT ? place(c, c->count + 1, e) : code;
        }
    }
}

static enum err_code csv_next(struct source *s, struct raw_row *out, bool *more, struct err *e)
{
    struct csv *c = self(s);
    size_t next = 0;
    c->row++;
    enum err_code code = find_row(c, &next, more, e);
    if (code != ERR_NONE || !*more) {
        return code;
    }
    size_t from = c->in.at;
    c->in.at = next;
    out->number = c->row;
    out->problem.code = ERR_NONE;
    out->column = out->formula = 0;
    drop_cr(c);
    for (size_t i = 0; i < c->count; i++) {
        if (c->forms[i] == CELL_DOUBLED) {
            undouble(c, &c->cells[i]);
        }
    }
    if (c->stray) {
        ERR(&out->problem, ERR_SYNTAX, offset_of(c, c->in.p + from), "text behind a closing quote");
        out->column = c->stray_column;
    } else {
        arena_reset(c->a);
        code = decode(c, from, next, out, e);
    }
    out->cells = c->cells;
    out->count = c->count;
    return code;
}

static enum err_code csv_rewind(struct source *s, struct err *e)
{
    struct csv *c = self(s);
    c->row = 0;
    return input_rewind(&c->in, e);
}

static int64_t csv_read(const struct source *s)
{
    const struct csv *c = self(s);
    return c->in.taken - (c->in.form == INPUT_NARROW ? (int64_t)(c->in.end - c->in.at) : 0);
}

static int64_t csv_size(const struct source *s)
{
    return self(s)->in.size;
}

static void csv_close(struct source *s)
{
    struct csv *c = self(s);
    input_close(&c->in);
    arena_free(&c->a);
    free(c->cells);
    free(c->forms);
    free(c);
}

static const struct source_ops ops = {csv_next, csv_rewind, csv_read, csv_size, csv_close};

enum err_code csv_open(const char *path, const struct table_settings *s,
                       const struct source_limits *l, struct source **out, struct err *e)
{
    *out = NULL;
    struct csv *c = calloc(1, sizeof *c);
    if (!c) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a table");
    }
    c->base.ops = &ops;
    c->limit = *l;
    enum err_code code = input_open(&c->in, path, l->row, e);
    if (code != ERR_NONE) {
        free(c);
        return code;
    }
    c->a = arena_new(0);
    code = c->a ? csv_find(c, s, e) : ERR(e, ERR_NOMEM, 0, "no memory for a table");
    code = code == ERR_NONE ? csv_rewind(&c->base, e) : code;
    if (code != ERR_NONE) {
        csv_close(&c->base);
        return code;
    }
    *out = &c->base;
    return ERR_NONE;
}
