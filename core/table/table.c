#include "core/table/table.h"

#include "core/base/rrn.h"
#include "core/base/text.h"
#include "core/table/table_internal.h"
#include "core/table/workbook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CELL = 1 << 20, DEFAULT_ROW = 4 << 20, DEFAULT_COLUMNS = 2000, SHOWN_HEADER = 36 };
#define DEFAULT_UNPACKED ((int64_t)2 << 30)

/* ---- opening ---- */

static size_t limit_or(int64_t wanted, int64_t dflt)
{
    return (size_t)(wanted > 0 ? wanted : dflt);
}

static enum err_code fill_buffers(struct table *t, struct err *e)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!t->columns[i] || !t->columns[i]->fill_down) {
            continue;
        }
        if (!t->above && !(t->above = calloc(t->count, sizeof *t->above))) {
            return ERR(e, ERR_NOMEM, 0, "no memory for a table");
        }
        buf_init(&t->above[i], t->limit.cell + 1);
    }
    return ERR_NONE;
}

static enum err_code open_text(struct table *t, const char *path, struct err *e)
{
    enum err_code code = csv_open(path, &t->settings, &t->limit, &t->source, e);
    t->csv = true;
    return code == ERR_NONE ? header_search(t, e) : code;
}

static void close_source(struct table *t)
{
    if (t->source) {
        t->source->ops->close(t->source);
        t->source = NULL;
    }
}

/* The sheet that was asked for, or the first visible one whose header fits. */
static enum err_code open_workbook(struct table *t, const char *path, struct err *e)
{
    const char *wanted = t->settings.sheet && *t->settings.sheet ? t->settings.sheet : NULL;
    struct err first = {.code = ERR_NONE};
    enum err_code code = workbook_open(path, &t->limit, &t->workbook, e);
    for (size_t i = 0; code == ERR_NONE && i < workbook_sheets(t->workbook); i++) {
        if (!workbook_sheet_is(t->workbook, i, wanted)) {
            continue;
        }
        struct err problem = {.code = ERR_NONE};
        close_source(t);
        enum err_code found = sheet_open(t->workbook, i, &t->source, &problem);
        found = found == ERR_NONE ? header_search(t, &problem) : found;
        if (found == ERR_NONE) {
            return ERR_NONE;
        }
        if (found != ERR_REQUIRED && found != ERR_SYNTAX) { /* empty, or another list: the next */
            *(e ? e : &problem) = problem;
            return found;
        }
        first = first.code == ERR_NONE ? problem : first;
    }
    if (code != ERR_NONE) {
        return code;
    }
    if (first.code == ERR_NONE) {
        return wanted ? ERR(e, ERR_REQUIRED, 0, "the workbook has no sheet of the name asked for")
                      : ERR(e, ERR_SYNTAX, 0, "the workbook has no visible sheet");
    }
    *(e ? e : &first) = first;
    return first.code;
}

/* What it is, by its first bytes; names lie. */
static enum err_code open_any(struct table *t, const char *path, struct err *e)
{
    unsigned char p[64] = {0};
    FILE *f = fopen(path, "rbe");
    size_t n = f ? fread(p, 1, sizeof p, f) : 0;
    if (f) {
        fclose(f);
    }
    struct str text = str_trim((struct str){(const char *)p, n});
    if (n >= 4 && memcmp(p, "PK\3\4", 4) == 0) {
        return open_workbook(t, path, e);
    }
    if (n >= 4 && memcmp(p, "\xD0\xCF\x11\xE0", 4) == 0) {
        return ERR(e, ERR_UNSUPPORTED, 0,
                   "an old workbook (.xls) or one with a password: save it as .xlsx or CSV");
    }
    if (text.n && text.p[0] == '<') {
        return ERR(e, ERR_UNSUPPORTED, 0, "this is HTML or XML: save it as .xlsx or CSV");
    }
    return open_text(t, path, e);
}

enum err_code table_open(const char *path, const struct table_settings *s, struct table **out,
                         struct err *e)
{
    *out = NULL;
    struct table *t = calloc(1, sizeof *t);
    if (!t) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a table");
    }
    t->settings = *s;
    t->limit = (struct source_limits){
        limit_or(s->max_cell, DEFAULT_CELL), limit_or(s->max_row, DEFAULT_ROW),
        limit_or(s->max_columns, DEFAULT_COLUMNS), limit_or(s->max_unpacked, DEFAULT_UNPACKED)};
    t->arena = arena_new(0);
    t->row = arena_new(0);
    enum err_code code =
        t->arena && t->row ? open_any(t, path, e) : ERR(e, ERR_NOMEM, 0, "no memory for a table");
    if (code == ERR_NONE) {
        code = fill_buffers(t, e);
    }
    if (code == ERR_NONE) {
        code = table_seek(t, 0, e);
    }
    if (code != ERR_NONE) {
        table_close(&t);
        return code;
    }
    *out = t;
    return ERR_NONE;
}

void table_close(struct table **t)
{
    struct table *old = *t;
    if (!old) {
        return;
    }
    close_source(old);
    workbook_close(&old->workbook);
    for (size_t i = 0; old->above && i < old->count; i++) {
        buf_release(&old->above[i]);
    }
    free(old->above);
    arena_free(&old->row);
    arena_free(&old->arena);
    free(old);
    *t = NULL;
}

/* ---- what it says of itself ---- */

const struct str *table_header(const struct table *t, size_t *n)
{
    *n = t->count;
    return t->header;
}

const struct header_names *table_names(const struct table *t)
{
    return t->names;
}

static size_t identify(const struct table *t, const struct header_identity *by, size_t *columns,
                       size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < by->count && n < room; i++) {
        const struct header_column *c = by->columns[i];
        for (size_t k = 0; k < c->key_count; k++) {
            size_t at = header_at(c, k, t->keys, t->count);
            if (at < t->count) {
                columns[n++] = at;
                break;
            }
        }
    }
    return n == by->count ? n : 0;
}

size_t table_identity(const struct table *t, size_t *columns, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; t->names && i < t->names->identity_count && n == 0; i++) {
        n = identify(t, &t->names->identities[i], columns, room);
    }
    return n;
}

const char *table_format(const struct table *t)
{
    return t->source->format;
}

int64_t table_bytes_read(const struct table *t)
{
    return t->source->ops->read(t->source);
}

int64_t table_bytes(const struct table *t)
{
    return t->source->ops->size(t->source);
}

int64_t table_skipped(const struct table *t)
{
    return t->skipped;
}

/* ---- one row of data ---- */

/* The place as people find it: the row, and the header of the column. */
static enum err_code place(const struct table *t, int64_t row, size_t column, struct err *e)
{
    if (column == 0 || column > t->count) {
        return column ? err_at(e, "row %lld, column %zu", (long long)row, column)
                      : err_at(e, "row %lld", (long long)row);
    }
    struct str header = t->header[column - 1];
    size_t n = header.n < SHOWN_HEADER ? header.n : SHOWN_HEADER;
    while (n < header.n && n && ((unsigned char)header.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return err_at(e, "row %lld, column %.*s", (long long)row, (int)n, header.p);
}

static bool sign(char c)
{
    return c == '=' || c == '+' || c == '-' || c == '@';
}

/*
 * A text that a spreadsheet would run: =SUM(A1:A3), =A1, @SUM(…), +cmd|…  Not a formula: "===
 * 메모",
 * "=> 재통화", -5, +82 10.
 */
static bool is_formula(struct str s)
{
    if (s.n < 2) {
        return false;
    }
    size_t i = 1;
    while (i < s.n && ((s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= 'a' && s.p[i] <= 'z') ||
                       (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '.' || s.p[i] == '!')) {
        i++;
    }
    bool letter = s.p[1] > '9' && i > 1;
    bool calls = letter && i < s.n && (s.p[i] == '(' || s.p[i] == '|');
    bool refers = s.p[0] == '=' && (i > 1 || strchr("+-@(\"'$", s.p[1]) != NULL);
    return calls || refers;
}

/* ="0012345" is a text that a spreadsheet should leave alone. */
static struct str unwrapped(struct str s)
{
    bool literal = s.n > 2 && s.p[0] == '=' && s.p[1] == '"' && s.p[s.n - 1] == '"' &&
                   str_find(s, '"', 2) == s.n - 1;
    return literal ? str_cut(s, 2, s.n - 1) : s;
}

static enum err_code fill_down(struct table *t, size_t i, struct err *e)
{
    struct buf *above = &t->above[i];
    if (t->cells[i].n == 0) {
        t->cells[i] = buf_str(above);
        return ERR_NONE;
    }
    buf_reset(above);
    buf_add(above, t->cells[i]);
    return buf_ok(above) ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a cell");
}

/* Most cells are seen at their ends not to have blanks there: no letter of Hangul begins so. */
static bool may_be_blank(struct str s)
{
    unsigned char first = (unsigned char)s.p[0], last = (unsigned char)s.p[s.n - 1];
    return first <= ' ' || last <= ' ' || first == 0xc2 || first == 0xe2 || first == 0xe3 ||
           first == 0xef || last == 0xa0 || last == 0x80 || last == 0xbf ||
           (last >= 0x8b && last <= 0x8f);
}

static enum err_code shape_cell(struct table *t, struct str cell, size_t i, struct err *problem)
{
    const struct header_column *c = t->columns[i];
    if (cell.n && may_be_blank(cell)) {
        cell = text_trim(cell);
    }
    if (t->csv && cell.n > 1 && sign(cell.p[0])) {
        struct str inside = unwrapped(cell);
        bool literal = inside.n < cell.n;
        cell = inside;
        if (!literal && is_formula(cell)) {
            return ERR(problem, ERR_REFUSED, 0, "holds a formula: export values");
        }
    }
    if (c && c->rrn && cell.n) {
        cell = rrn_mask_all(t->row, cell);
    } else if (cell.n >= 13) {
        cell = rrn_mask(t->row, cell);
    }
    t->cells[i] = cell;
    if (!cell.p) {
        return ERR(problem, ERR_NOMEM, 0, "no memory for a cell");
    }
    return c && c->fill_down ? fill_down(t, i, problem) : ERR_NONE;
}

static enum err_code check_width(const struct table *t, const struct raw_row *row,
                                 struct err *problem)
{
    bool pads = t->source->pads || (t->names && t->names->short_rows);
    if (row->count < t->count && !pads) {
        return ERR(problem, ERR_SYNTAX, 0, "%zu cells where the header has %zu", row->count,
                   t->count);
    }
    for (size_t i = t->count; i < row->count; i++) {
        if (text_trim(row->cells[i]).n) {
            return ERR(problem, ERR_SYNTAX, 0, "more cells than the header has (%zu)", t->count);
        }
    }
    return ERR_NONE;
}

/* The row as its reader sees it. ERR_NOMEM only; what is wrong with it is its problem. */
static enum err_code shape_row(struct table *t, const struct raw_row *raw, struct table_row *row,
                               struct err *e)
{
    struct err *problem = &row->problem;
    row->number = raw->number;
    row->cells = NULL;
    row->count = 0;
    row->found = raw->cells;
    row->found_count = raw->count;
    problem->code = ERR_NONE;
    enum err_code code;
    if (raw->problem.code != ERR_NONE) {
        *problem = raw->problem;
        place(t, raw->number, raw->column, problem);
        return ERR_NONE;
    }
    size_t column = 0;
    code = check_width(t, raw, problem);
    for (size_t i = 0; i < t->count && code == ERR_NONE; i++) {
        code = shape_cell(t, i < raw->count ? raw->cells[i] : STR(""), i, problem);
        column = i + 1;
    }
    if (code == ERR_NONE && raw->formula && raw->formula <= t->count) {
        column = raw->formula;
        code = ERR(problem, ERR_REFUSED, 0, "holds a formula: export values");
    }
    if (code == ERR_NOMEM) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    if (code != ERR_NONE) {
        place(t, raw->number, column, problem);
        return ERR_NONE;
    }
    row->cells = t->cells;
    row->count = t->count;
    return ERR_NONE;
}

enum err_code table_next(struct table *t, struct table_row *row, bool *more, struct err *e)
{
    struct raw_row raw;
    for (;;) {
        enum err_code code = t->source->ops->next(t->source, &raw, more, e);
        if (code != ERR_NONE || !*more) {
            return code;
        }
        bool wrong = raw.problem.code != ERR_NONE;
        if (raw.number <= t->header_row || (!wrong && row_is_empty(&raw))) {
            continue;
        }
        arena_reset(t->row);
        if (!wrong && row_is_skipped(t, &raw)) {
            t->skipped += raw.number > t->after;
            continue;
        }
        if (raw.number <= t->after && !t->above) {
            continue;
        }
        code = shape_row(t, &raw, row, e);
        if (code != ERR_NONE || raw.number > t->after) {
            return code;
        }
    }
}

enum err_code table_seek(struct table *t, int64_t after_row, struct err *e)
{
    t->after = after_row;
    for (size_t i = 0; t->above && i < t->count; i++) {
        if (t->columns[i] && t->columns[i]->fill_down) {
            buf_reset(&t->above[i]);
        }
    }
    return t->source->ops->rewind(t->source, e);
}
