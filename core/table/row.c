#include "core/table/row.h"

#include "core/base/rrn.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CELLS = 20000 };

const char *row_change_name(enum row_change c)
{
    static const char *const names[] = {
        [ROW_NEW] = "new", [ROW_CHANGED] = "changed", [ROW_GONE] = "gone"};
    return names[c];
}

/* ---- writing ---- */

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == ',' || c == '"' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return s.n && (s.p[0] == ' ' || s.p[s.n - 1] == ' ');
}

static void write_cell(struct buf *b, struct str s)
{
    if (!needs_quotes(s)) {
        buf_add(b, s);
        return;
    }
    buf_addc(b, '"');
    for (size_t from = 0; from < s.n;) {
        size_t quote = str_find(s, '"', from);
        buf_add(b, str_cut(s, from, quote));
        if (quote < s.n) {
            buf_addz(b, "\"\"");
        }
        from = quote + 1;
    }
    buf_addc(b, '"');
}

static void write_masked(struct buf *b, struct str s)
{
    struct arena *a = rrn_inside(s) ? arena_new(0) : NULL;
    struct str masked = a ? rrn_mask(a, s) : s;
    if (!rrn_inside(masked)) {
        write_cell(b, masked);
    } else {
        b->failed = true; /* no memory to mask it: rather no row than the number */
    }
    arena_free(&a);
}

static void write_line(struct buf *b, char sign, const struct str *cells, size_t n)
{
    buf_addc(b, sign);
    for (size_t i = 0; i < n; i++) {
        buf_addc(b, ',');
        if (cells[i].n < 13) {
            write_cell(b, cells[i]);
        } else {
            write_masked(b, cells[i]);
        }
    }
    buf_addc(b, '\n');
}

void row_write_found(struct buf *b, const struct str *header, size_t n, const struct str *found,
                     size_t found_count)
{
    write_line(b, '#', header, n);
    write_line(b, '+', found, found_count);
}

void row_write(struct buf *b, const struct str *header, size_t n, const struct str *before,
               const struct str *now)
{
    write_line(b, '#', header, n);
    if (before) {
        write_line(b, '-', before, n);
    }
    if (now) {
        write_line(b, '+', now, n);
    }
}

/* ---- parsing ---- */

struct cursor {
    struct str s;
    size_t i;
    struct arena *a;
};

static enum err_code wrong(const struct cursor *c, struct err *e)
{
    return ERR(e, ERR_SYNTAX, c->i, "is not a row in canonical form");
}

static enum err_code quoted_cell(struct cursor *c, struct str *out, struct err *e)
{
    size_t from = ++c->i, n = 0;
    bool doubled = false;
    for (;;) {
        c->i = str_find(c->s, '"', c->i);
        if (c->i == c->s.n) {
            return wrong(c, e);
        }
        if (c->i + 1 == c->s.n || c->s.p[c->i + 1] != '"') {
            break;
        }
        doubled = true;
        c->i += 2;
    }
    *out = str_cut(c->s, from, c->i++);
    if (!doubled) {
        return ERR_NONE;
    }
    char *to = arena_alloc(c->a, out->n);
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a cell");
    }
    for (size_t i = 0; i < out->n; i++) {
        to[n++] = out->p[i];
        i += out->p[i] == '"';
    }
    *out = (struct str){to, n};
    return ERR_NONE;
}

/* "+,a,b\n": the cells behind the sign; `most` of them, or as many as there are when *cells is
 * NULL.
 */
static enum err_code parse_line(struct cursor *c, struct str **cells, size_t *count, struct err *e)
{
    size_t room = *cells ? *count : 1;
    for (size_t i = c->i; !*cells && i < c->s.n && c->s.p[i] != '\n'; i++) {
        room += c->s.p[i] == ',';
    }
    /* a line feed or comma in quotes only makes the guess too small or too large */
    struct str *to = *cells ? *cells : arena_array(c->a, room, sizeof *to);
    size_t n = 0;
    c->i++;
    while (to && c->i < c->s.n && c->s.p[c->i] == ',') {
        c->i++;
        struct str cell = {c->s.p + c->i, 0};
        if (n == room && !*cells && room < MAX_CELLS) {
            struct str *more = arena_array(c->a, room * 2, sizeof *more);
            if (more) {
                memcpy(more, to, n * sizeof *to);
                room *= 2;
            }
            to = more;
        }
        if (*cells && n == room) {
            return ERR(e, ERR_SYNTAX, c->i, "more cells than the header has (%zu)", *count);
        }
        if (!to || n == room) {
            break;
        }
        if (c->i < c->s.n && c->s.p[c->i] == '"') {
            enum err_code code = quoted_cell(c, &cell, e);
            if (code != ERR_NONE) {
                return code;
            }
        } else {
            while (c->i < c->s.n && c->s.p[c->i] != ',' && c->s.p[c->i] != '\n') {
                c->i++;
                cell.n++;
            }
        }
        to[n++] = cell;
    }
    if (!to) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    if (c->i >= c->s.n || c->s.p[c->i] != '\n' || n == 0) {
        return wrong(c, e);
    }
    if (*cells && n != *count) { /* as the source had it, kept to be looked at */
        return ERR(e, ERR_SYNTAX, c->i, "%zu cells where the header has %zu", n, *count);
    }
    c->i++;
    *cells = to;
    *count = n;
    return ERR_NONE;
}

static enum err_code make_layout(struct cursor *c, struct row_layout **out, struct err *e)
{
    struct str *header = NULL;
    size_t count = 0;
    enum err_code code = parse_line(c, &header, &count, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct header_key *keys = arena_array(c->a, count, sizeof *keys);
    struct row_layout *layout = arena_alloc(c->a, sizeof *layout);
    bool ok = keys && layout;
    for (size_t i = 0; ok && i < count; i++) {
        keys[i] = header_key(c->a, header[i]);
        ok = keys[i].text.p != NULL;
    }
    if (!ok) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    *layout = (struct row_layout){header, keys, count};
    *out = layout;
    return ERR_NONE;
}

struct row_cache {
    struct arena *a;
    struct str header; /* the header line, with its line feed */
    const struct row_layout *layout;
};

struct row_cache *row_cache_new(void)
{
    struct row_cache *c = calloc(1, sizeof *c);
    if (c && !(c->a = arena_new(0))) {
        free(c);
        c = NULL;
    }
    return c;
}

void row_cache_free(struct row_cache **c)
{
    if (*c) {
        arena_free(&(*c)->a);
        free(*c);
        *c = NULL;
    }
}

/* The header line again, or for the first time. */
static enum err_code read_header(struct cursor *c, struct row_cache *cache,
                                 const struct row_layout **out, struct err *e)
{
    struct row_layout *made;
    enum err_code code;
    if (!cache) {
        code = make_layout(c, &made, e);
        *out = code == ERR_NONE ? made : NULL;
        return code;
    }
    if (cache->layout && str_starts(c->s, cache->header)) {
        *out = cache->layout;
        c->i = cache->header.n;
        return ERR_NONE;
    }
    cache->layout = NULL;
    arena_reset(cache->a);
    struct cursor own = {c->s, 0, cache->a};
    code = make_layout(&own, &made, e);
    if (code != ERR_NONE) {
        return code;
    }
    /* its cells must outlive these bytes: once more, in a copy of the line */
    cache->header = arena_copy(cache->a, str_cut(c->s, 0, own.i));
    if (!cache->header.p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    struct cursor copy = {cache->header, 0, cache->a};
    code = make_layout(&copy, &made, e);
    cache->layout = code == ERR_NONE ? made : NULL;
    c->i = own.i;
    *out = cache->layout;
    return code;
}

static enum err_code parse_cells(struct cursor *c, char sign, size_t count, const struct str **out,
                                 struct err *e)
{
    *out = NULL;
    if (c->i >= c->s.n || c->s.p[c->i] != sign) {
        return ERR_NONE;
    }
    struct str *cells = arena_array(c->a, count, sizeof *cells);
    if (!cells) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    enum err_code code = parse_line(c, &cells, &count, e);
    *out = code == ERR_NONE ? cells : NULL;
    return code;
}

enum err_code row_parse_cached(struct arena *a, struct str bytes, struct row_cache *cache,
                               struct row *out, struct err *e)
{
    struct cursor c = {bytes, 0, a};
    size_t bad = 0;
    if (!text_utf8(bytes, &bad)) {
        return ERR(e, ERR_CHARSET, bad, "bytes are not valid utf-8");
    }
    if (bytes.n < 2 || bytes.p[0] != '#' || bytes.p[1] != ',') {
        return wrong(&c, e);
    }
    enum err_code code = read_header(&c, cache, &out->layout, e);
    if (code == ERR_NONE) {
        code = parse_cells(&c, '-', out->layout->count, &out->before, e);
    }
    if (code == ERR_NONE) {
        code = parse_cells(&c, '+', out->layout->count, &out->now, e);
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (c.i != c.s.n || (!out->before && !out->now)) {
        return wrong(&c, e);
    }
    out->change = !out->before ? ROW_NEW : out->now ? ROW_CHANGED : ROW_GONE;
    return ERR_NONE;
}

enum err_code row_parse(struct arena *a, struct str bytes, struct row *out, struct err *e)
{
    return row_parse_cached(a, bytes, NULL, out, e);
}
