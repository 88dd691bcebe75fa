#include "core/record/record_internal.h"

#include "core/base/buf.h"
#include "core/table/row.h"

#include <stdio.h>

enum { MAX_PARTS = 4, SHOWN = 40, MAX_CHANGED = 64 * 1024 };

/* What a path asks of a row. */
enum asks { ASKS_CELL, ASKS_CHANGE, ASKS_CHANGED };

/* One column: by its aliases, or by the header itself. */
struct part {
    struct str name;
    const struct header_column *column; /* NULL: only the header `own` */
    struct header_key own;
};

struct table_path {
    struct record_path base;
    enum asks asks;
    bool previous;     /* -NAME */
    bool only_changed; /* ~NAME */
    const struct header_names *names;
    struct part parts[MAX_PARTS]; /* joined by blanks */
    size_t count;
};

struct table_record {
    struct record base;
    const struct row *row;
};

static const struct table_path *path_of(const struct record_path *p)
{
    return (const struct table_path *)p;
}

static const struct row *row_of(const struct record *r)
{
    return ((const struct table_record *)r)->row;
}

const struct record *record_of_row(struct arena *a, const struct row *row)
{
    struct table_record *r = arena_alloc(a, sizeof *r);
    if (!r) {
        return NULL;
    }
    *r = (struct table_record){
        .base = {RECORD_TABLE, STR("row"), str_of(row_change_name(row->change))}, .row = row};
    return &r->base;
}

bool record_fits(const struct record *r, const struct header_names *names)
{
    const struct row_layout *l = row_of(r)->layout;
    for (size_t i = 0; names && i < names->count; i++) {
        if (names->columns[i].required && !header_has(&names->columns[i], l->keys, l->count)) {
            return false;
        }
    }
    return true;
}

/* ---- paths ---- */

/* Canonical names are written so; anything else is a header as it stands in the file. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') {
            return false;
        }
    }
    return s.n && s.p[0] >= 'a' && s.p[0] <= 'z';
}

static enum err_code compile_part(struct arena *a, struct table_path *p, struct str name,
                                  bool literal, struct err *e)
{
    struct part *part = &p->parts[p->count];
    size_t pos = (size_t)(name.p - p->base.text.p);
    if (p->count == MAX_PARTS) {
        return ERR(e, ERR_SYNTAX, pos, "more than %d columns joined", (int)MAX_PARTS);
    }
    part->name = name;
    part->own = header_key(a, name);
    if (!part->own.text.p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    if (part->own.text.n == 0) {
        return ERR(e, ERR_SYNTAX, pos, "the name of a column is missing");
    }
    if (p->names) {
        part->column = literal ? NULL : header_named(p->names, name);
        part->column = part->column ? part->column : header_find(p->names, &part->own);
    }
    if (!part->column && !literal && is_name(name)) {
        return ERR(
            e, ERR_SYNTAX, pos,
            "no column of this name: declare it in <columns>, or write a header as {header}");
    }
    p->count++;
    return ERR_NONE;
}

/* NAME, NAME+NAME, {header}; in front a minus for the previous value, a tilde for "if changed". */
static enum err_code compile_columns(struct arena *a, struct table_path *p, struct str text,
                                     struct err *e)
{
    for (; text.n && (text.p[0] == '-' || text.p[0] == '~'); text = str_cut(text, 1, text.n)) {
        p->previous = p->previous || text.p[0] == '-';
        p->only_changed = p->only_changed || text.p[0] == '~';
    }
    while (text.p) {
        bool literal = text.n && text.p[0] == '{';
        size_t end = str_find(text, literal ? '}' : '+', 0);
        struct str name = str_cut(text, literal, end);
        size_t next = end + literal;
        if (literal && end == text.n) {
            return ERR(e, ERR_SYNTAX, p->base.text.n, "} is missing");
        }
        enum err_code code = compile_part(a, p, str_trim(name), literal, e);
        if (code != ERR_NONE) {
            return code;
        }
        if (next < text.n && text.p[next] != '+') {
            return ERR(e, ERR_SYNTAX, p->base.text.n - (text.n - next), "+ joins columns");
        }
        text = next < text.n ? str_cut(text, next + 1, text.n) : (struct str){NULL, 0};
    }
    return ERR_NONE;
}

static enum err_code compile(struct arena *a, const struct record_names *names, struct str text,
                             const struct record_path **out, struct err *e)
{
    struct table_path *p = arena_alloc(a, sizeof *p);
    if (!p) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a path");
    }
    p->base = (struct record_path){RECORD_TABLE, text};
    p->names = names->headers;
    *out = &p->base;
    p->asks = str_is(text, "#change")    ? ASKS_CHANGE
              : str_is(text, "#changed") ? ASKS_CHANGED
                                         : ASKS_CELL;
    if (p->asks != ASKS_CELL) {
        return ERR_NONE;
    }
    if (text.n && text.p[0] == '#') {
        return ERR(e, ERR_SYNTAX, 0, "#change and #changed are all there is of that kind");
    }
    return compile_columns(a, p, text, e);
}

/* ---- values ---- */

/* The first alias whose cell is filled; else the first that is there. count: none is. */
static size_t locate(const struct row_layout *l, const struct part *p, const struct str *cells)
{
    static const size_t one = 1;
    size_t empty = l->count;
    const struct header_column own = {.keys = &p->own, .key_count = one};
    const struct header_column *c = p->column ? p->column : &own;
    for (size_t i = 0; i < c->key_count; i++) {
        size_t at = header_at(c, i, l->keys, l->count);
        if (at < l->count && cells[at].n) {
            return at;
        }
        empty = empty == l->count ? at : empty;
    }
    return empty;
}

/* The line that a path reads; of a row that is gone, which has one line, that one. */
static const struct str *cells_of(const struct row *row, bool previous)
{
    return previous ? row->before : row->now ? row->now : row->before;
}

static enum err_code join(struct arena *a, const struct row *row, const struct table_path *p,
                          const struct str *cells, struct value *out, struct err *e)
{
    struct str found[MAX_PARTS];
    size_t n = 0, room = 0;
    for (size_t i = 0; i < p->count; i++) {
        size_t at = locate(row->layout, &p->parts[i], cells);
        if (at < row->layout->count) {
            out->has = out->has == HAS_ABSENT ? HAS_EMPTY : out->has;
            if (cells[at].n) {
                found[n++] = cells[at];
                room += cells[at].n + 1;
            } else if (i == 0) {
                return ERR_NONE; /* a time without its day is nothing */
            }
        } else if (i == 0) {
            return ERR_NONE;
        }
    }
    if (n == 0) {
        return ERR_NONE;
    }
    *out = (struct value){HAS_VALUE, found[0]};
    if (n > 1) {
        struct buf b;
        buf_init(&b, room);
        for (size_t i = 0; i < n; i++) {
            buf_add(&b, found[i]);
            buf_addz(&b, i + 1 < n ? " " : "");
        }
        out->text = arena_copy(a, buf_str(&b));
        bool ok = buf_ok(&b) && out->text.p;
        buf_release(&b);
        return ok ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a value");
    }
    return ERR_NONE;
}

/* Canonical names of the columns that differ; a header without one in its normalised form. */
static enum err_code changed(struct arena *a, const struct row *row, const struct table_path *p,
                             struct value *out, struct err *e)
{
    const struct row_layout *l = row->layout;
    struct buf b;
    buf_init(&b, MAX_CHANGED);
    for (size_t i = 0; i < l->count && row->before && row->now; i++) {
        if (str_eq(row->before[i], row->now[i])) {
            continue;
        }
        const struct header_column *c = p->names ? header_find(p->names, &l->keys[i]) : NULL;
        buf_addz(&b, b.n ? " " : "");
        buf_add(&b, c ? str_of(c->name) : l->keys[i].text);
    }
    *out = (struct value){b.n ? HAS_VALUE : HAS_EMPTY, arena_copy(a, buf_str(&b))};
    bool ok = buf_ok(&b) && out->text.p;
    buf_release(&b);
    return ok ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a value");
}

/* ---- several values in one cell ---- */

/* The pieces between separators that are not blank. */
static bool next_piece(struct str separators, struct str text, size_t *i, struct str *piece)
{
    while (*i <= text.n) {
        size_t from = *i;
        while (*i < text.n && text.p[*i] != '\n' &&
               str_find(separators, text.p[*i], 0) == separators.n) {
            ++*i;
        }
        *piece = str_trim(str_cut(text, from, *i));
        ++*i;
        if (piece->n) {
            return true;
        }
    }
    return false;
}

static bool holds_piece(struct str separators, struct str text, struct str wanted)
{
    struct str one;
    size_t i = 0;
    bool found = false;
    while (!found && next_piece(separators, text, &i, &one)) {
        found = str_eq(one, wanted);
    }
    return found;
}

/* Piece `wanted` (from 1), or how many with 0; of ~NAME those that the other line does not have. */
static unsigned pieces(const struct table_path *p, struct str text, struct str other,
                       unsigned wanted, struct str *piece)
{
    const struct header_column *c = p->parts[0].column;
    struct str separators = c && c->split ? str_of(c->split) : STR(",;/"), one;
    unsigned n = 0;
    for (size_t i = 0; next_piece(separators, text, &i, &one);) {
        if (p->only_changed && holds_piece(separators, other, one)) {
            continue;
        }
        if (++n == wanted) {
            *piece = one;
            break;
        }
    }
    return n;
}

static bool same_columns(const struct table_path *a, const struct table_path *b)
{
    return a->count == 1 && b->count == 1 && a->previous == b->previous &&
           a->parts[0].column == b->parts[0].column &&
           str_eq(a->parts[0].own.text, b->parts[0].own.text);
}

/* The same cell of the other line; "" when there is none. */
static struct str counterpart(const struct row *row, const struct table_path *p)
{
    const struct str *cells = p->previous ? row->now : row->now ? row->before : NULL;
    size_t at = cells ? locate(row->layout, &p->parts[0], cells) : row->layout->count;
    return at < row->layout->count ? cells[at] : STR("");
}

/* Does any of the columns differ between the lines? Everything of a row that is new does. */
static bool differs(const struct row *row, const struct table_path *p)
{
    if (!row->before || !row->now) {
        return true;
    }
    for (size_t i = 0; i < p->count; i++) {
        size_t a = locate(row->layout, &p->parts[i], row->before);
        size_t b = locate(row->layout, &p->parts[i], row->now);
        struct str before = a < row->layout->count ? row->before[a] : STR("");
        struct str now = b < row->layout->count ? row->now[b] : STR("");
        if (!str_eq(before, now)) {
            return true;
        }
    }
    return false;
}

static enum err_code whole(const struct record *r, struct arena *a, const struct table_path *p,
                           struct value *out, struct err *e)
{
    const struct row *row = row_of(r);
    const struct str *cells = cells_of(row, p->previous);
    *out = (struct value){HAS_ABSENT, {"", 0}};
    if (p->asks == ASKS_CHANGE) {
        *out = (struct value){HAS_VALUE, str_of(row_change_name(row->change))};
        return ERR_NONE;
    }
    if (p->asks == ASKS_CHANGED) {
        return changed(a, row, p, out, e);
    }
    return cells && (!p->only_changed || differs(row, p)) ? join(a, row, p, cells, out, e)
                                                          : ERR_NONE;
}

static enum err_code get(const struct record *r, struct arena *a, const struct record_path *path,
                         const struct record_scope *scope, struct value *out, struct err *e)
{
    const struct table_path *p = path_of(path);
    enum err_code code = whole(r, a, p, out, e);
    for (; scope && code == ERR_NONE && out->has == HAS_VALUE; scope = scope->up) {
        const struct table_path *over = path_of(scope->over);
        if (same_columns(p, over)) {
            struct str piece = {"", 0};
            struct str other = counterpart(row_of(r), over);
            bool there = pieces(over, out->text, other, scope->index, &piece) == scope->index;
            *out = (struct value){there ? HAS_VALUE : HAS_ABSENT, piece};
            break;
        }
    }
    return code;
}

/* "For each" runs over the pieces of one cell; an empty one has none. */
static unsigned count(const struct record *r, const struct record_path *over,
                      const struct record_scope *scope)
{
    const struct table_path *p = path_of(over);
    struct value v;
    (void)scope;
    if (p->count != 1 || whole(r, NULL, p, &v, NULL) != ERR_NONE || v.has != HAS_VALUE) {
        return 0;
    }
    return pieces(p, v.text, counterpart(row_of(r), p), 0, NULL);
}

/* ---- places ---- */

static const char *place(const struct record *r, const struct record_path *path,
                         const struct record_scope *scope, char out[RECORD_PLACE])
{
    const struct table_path *p = path_of(path);
    const struct row_layout *l = row_of(r)->layout;
    const struct str *cells = cells_of(row_of(r), p->previous);
    (void)scope;
    struct str name = p->base.text;
    if (p->count) {
        size_t at = cells ? locate(l, &p->parts[0], cells) : l->count;
        name = at < l->count ? l->header[at] : p->parts[0].name;
    }
    size_t n = name.n < SHOWN ? name.n : SHOWN;
    while (n && n < name.n && ((unsigned char)name.p[n] & 0xc0) == 0x80) {
        n--;
    }
    snprintf(out, RECORD_PLACE, "column %.*s", (int)n, name.p);
    return out;
}

const struct record_ops record_table_ops = {
    .compile = compile, .count = count, .get = get, .place = place};
