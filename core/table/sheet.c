/* The rows of one sheet of a workbook. */
#include "core/table/workbook.h"

#include "core/base/num.h"

#include <stdlib.h>
#include <string.h>

enum { LAST_ROW = 1048576 };

/* A cell's text in the row's buffer. */
struct span {
    size_t from, n;
};

struct sheet_source {
    struct source base;
    struct workbook *w;
    size_t index;
    struct part part;
    struct xml_reader *reader;
    int64_t row; /* the last one read */
    struct buf text;
    struct span *spans;
    struct str *cells;
    size_t count, room;
    bool ended;
};

static struct sheet_source *self(const struct source *s)
{
    return (struct sheet_source *)(void *)(union {
               const struct source *from;
               struct source *to;
           }){s}
        .to;
}

/* ---- cells ---- */

static enum err_code at_cell(const struct sheet_source *s, size_t column, struct err *e)
{
    return err_at(e, "row %lld, column %zu", (long long)s->row, column);
}

/* "AB12" → 28; 0 when it is no reference. */
static size_t column_of(const char *reference)
{
    size_t column = 0, i = 0;
    for (; reference[i] >= 'A' && reference[i] <= 'Z' && i < 4; i++) {
        column = column * 26 + (size_t)(reference[i] - 'A') + 1;
    }
    return i && i < 4 && reference[i] >= '1' && reference[i] <= '9' ? column : 0;
}

/* Makes room for cells up to number `column`; those between are empty. */
static enum err_code reach(struct sheet_source *s, size_t column, struct err *e)
{
    if (column > s->room) {
        size_t room = s->room * 2 > column ? s->room * 2 : column + 32;
        struct span *spans = realloc(s->spans, room * sizeof *spans);
        s->spans = spans ? spans : s->spans;
        struct str *cells = spans ? realloc(s->cells, room * sizeof *cells) : NULL;
        s->cells = cells ? cells : s->cells;
        if (!cells) {
            return ERR(e, ERR_NOMEM, 0, "no memory for a row");
        }
        s->room = room;
    }
    while (s->count < column) {
        s->spans[s->count++] = (struct span){0, 0};
    }
    return ERR_NONE;
}

enum cell_type { TYPE_NUMBER, TYPE_SHARED, TYPE_TEXT, TYPE_DATE, TYPE_BOOL, TYPE_ERROR };

static enum cell_type type_of(const char *t)
{
    return !t || strcmp(t, "n") == 0 ? TYPE_NUMBER
           : strcmp(t, "s") == 0     ? TYPE_SHARED
           : strcmp(t, "b") == 0     ? TYPE_BOOL
           : strcmp(t, "e") == 0     ? TYPE_ERROR
           : strcmp(t, "d") == 0     ? TYPE_DATE
                                     : TYPE_TEXT; /* inlineStr, str */
}

/* The row is read to its end even when a cell of it is wrong; the first problem stays. */
static void cell_problem(struct raw_row *out, size_t column, const struct err *problem)
{
    if (out->problem.code == ERR_NONE) {
        out->problem = *problem;
        out->column = column;
    }
}

static enum err_code put_value(struct sheet_source *s, enum cell_type type, size_t style,
                               size_t column, struct str value, struct raw_row *out, struct err *e)
{
    struct err problem = {.code = ERR_NONE};
    int64_t number;
    enum err_code code = ERR_NONE;
    value = str_trim(value);
    if (value.n == 0) {
        return ERR_NONE;
    }
    switch (type) {
    case TYPE_TEXT:
        workbook_unescape(&s->text, value);
        break;
    case TYPE_DATE:
        format_iso(workbook_formats(s->w), style, value, &s->text);
        break;
    case TYPE_BOOL:
        buf_addz(&s->text, str_is(value, "1") ? "TRUE" : "FALSE");
        break;
    case TYPE_ERROR:
        code = ERR(&problem, ERR_VALUE, 0, "is an error of the spreadsheet (#N/A, #REF!)");
        break;
    case TYPE_NUMBER:
        code = format_number(workbook_formats(s->w), style, value, &s->text, &problem);
        break;
    case TYPE_SHARED:
        code = num_i64(value, 0, INT32_MAX, &number, &problem);
        code = code == ERR_NONE
                   ? strings_get(workbook_strings(s->w), (size_t)number, &s->text, &problem)
                   : code;
        break;
    }
    if (code != ERR_NONE && err_class(code) == ERR_CLASS_DATA && code != ERR_LIMIT) {
        cell_problem(out, column, &problem);
        return ERR_NONE;
    }
    return code == ERR_NONE ? code : ERR(e, code, 0, "%s", problem.msg);
}

/* A style or a number that is none counts as the first one. */
static size_t style_of(const char *text)
{
    int64_t style = 0;
    return text && num_i64(str_of(text), 0, INT32_MAX, &style, NULL) == ERR_NONE ? (size_t)style
                                                                                 : 0;
}

/* What lies in a cell, up to its end. */
static enum err_code read_cell_body(struct sheet_source *s, enum cell_type type, size_t style,
                                    size_t column, struct raw_row *out, struct err *e)
{
    enum xml_step step = XML_START;
    bool value = false;
    unsigned depth = 1;
    enum err_code code = ERR_NONE;
    while (depth && code == ERR_NONE) {
        code = xml_reader_next(s->reader, &step, e);
        if (code != ERR_NONE || step == XML_DONE) {
            break;
        }
        if (step == XML_START && strcmp(xml_reader_name(s->reader), "is") == 0) {
            code = workbook_text(s->reader, &s->text, e);
        } else if (step == XML_START) {
            depth++;
            value = strcmp(xml_reader_name(s->reader), "v") == 0;
            if (strcmp(xml_reader_name(s->reader), "f") == 0 && !out->formula) {
                out->formula = column;
            }
        } else if (step == XML_END) {
            depth--;
            value = false;
        } else if (value) {
            code = put_value(s, type, style, column, xml_reader_text(s->reader), out, e);
        }
    }
    return code;
}

/* Sheets are coloured up to their last column: such cells are empty, and nobody misses them. */
static enum err_code read_far_cell(struct sheet_source *s, struct raw_row *out, size_t column,
                                   struct err *e)
{
    size_t from = s->text.n;
    enum err_code code = read_cell_body(s, TYPE_TEXT, 0, column, out, e);
    if (code == ERR_NONE && (s->text.n > from || out->formula == column)) {
        code = ERR(e, ERR_LIMIT, 0, "more than %zu columns", workbook_limits(s->w)->columns);
    }
    return code == ERR_NONE || code == ERR_NOMEM ? code : at_cell(s, column, e);
}

static enum err_code read_cell(struct sheet_source *s, struct raw_row *out, struct err *e)
{
    const char *reference = xml_reader_attr(s->reader, "r");
    size_t column = reference ? column_of(reference) : s->count + 1;
    enum cell_type type = type_of(xml_reader_attr(s->reader, "t"));
    size_t style = style_of(xml_reader_attr(s->reader, "s"));
    if (column <= s->count) {
        ERR(e, ERR_SYNTAX, 0, "cells are not in their order");
        return at_cell(s, s->count, e);
    }
    if (column > workbook_limits(s->w)->columns) {
        return read_far_cell(s, out, column, e);
    }
    enum err_code code = reach(s, column, e);
    if (code != ERR_NONE) {
        return code;
    }
    size_t from = s->text.n;
    code = read_cell_body(s, type, style, column, out, e);
    s->spans[column - 1] = (struct span){from, s->text.n - from};
    if (code == ERR_NONE && (!buf_ok(&s->text) || s->text.n - from > workbook_limits(s->w)->cell)) {
        code = ERR(e, ERR_LIMIT, 0, "a cell or its row is longer than its limit");
    }
    return code == ERR_NONE || code == ERR_NOMEM ? code : at_cell(s, column, e);
}

/* ---- rows ---- */

static enum err_code row_number(struct sheet_source *s, struct err *e)
{
    const char *text = xml_reader_attr(s->reader, "r");
    int64_t number = s->row + 1;
    if (text && num_i64(str_of(text), s->row + 1, LAST_ROW, &number, NULL) != ERR_NONE) {
        ERR(e, ERR_SYNTAX, 0, "rows are not in their order");
        return err_at(e, "row %lld", (long long)s->row);
    }
    s->row = number;
    return number <= LAST_ROW ? ERR_NONE : ERR(e, ERR_LIMIT, 0, "more than %d rows", LAST_ROW);
}

static enum err_code read_row(struct sheet_source *s, struct raw_row *out, struct err *e)
{
    enum xml_step step = XML_START;
    unsigned depth = 1;
    enum err_code code = row_number(s, e);
    s->count = 0;
    buf_reset(&s->text);
    while (code == ERR_NONE && depth) {
        code = xml_reader_next(s->reader, &step, e);
        if (code != ERR_NONE || step == XML_DONE) {
            break;
        }
        if (step == XML_START && depth == 1 && strcmp(xml_reader_name(s->reader), "c") == 0) {
            code = read_cell(s, out, e);
        } else if (step == XML_START) {
            depth++;
        } else if (step == XML_END) {
            depth--;
        }
    }
    for (size_t i = 0; code == ERR_NONE && i < s->count; i++) {
        s->cells[i] =
            str_cut(buf_str(&s->text), s->spans[i].from, s->spans[i].from + s->spans[i].n);
    }
    return code;
}

static enum err_code sheet_next(struct source *source, struct raw_row *out, bool *more,
                                struct err *e)
{
    struct sheet_source *s = self(source);
    enum xml_step step = XML_START;
    *more = true;
    while (!s->ended) {
        enum err_code code = xml_reader_next(s->reader, &step, e);
        if (code != ERR_NONE) {
            return e && e->where[0] ? code : err_at(e, "row %lld", (long long)s->row + 1);
        }
        if (step == XML_START && strcmp(xml_reader_name(s->reader), "row") == 0) {
            out->problem.code = ERR_NONE;
            out->column = out->formula = 0;
            code = read_row(s, out, e);
            out->number = s->row;
            out->cells = s->cells;
            out->count = s->count;
            return code == ERR_NONE || !e || e->where[0] ? code
                                                         : err_at(e, "row %lld", (long long)s->row);
        }
        s->ended = step == XML_DONE ||
                   (step == XML_END && strcmp(xml_reader_name(s->reader), "sheetData") == 0);
    }
    *more = false;
    return ERR_NONE;
}

static enum err_code sheet_rewind(struct source *source, struct err *e)
{
    struct sheet_source *s = self(source);
    part_close(&s->part, &s->reader);
    s->row = 0;
    s->ended = false;
    return part_open(s->w, workbook_sheet_part(s->w, s->index), &s->part, &s->reader, e);
}

static int64_t sheet_read(const struct source *s)
{
    return self(s)->part.unpacked;
}

static int64_t sheet_size(const struct source *s)
{
    return self(s)->part.size;
}

static void sheet_close(struct source *source)
{
    struct sheet_source *s = self(source);
    part_close(&s->part, &s->reader);
    buf_release(&s->text);
    free(s->spans);
    free(s->cells);
    free(s);
}

static const struct source_ops ops = {sheet_next, sheet_rewind, sheet_read, sheet_size,
                                      sheet_close};

enum err_code sheet_open(struct workbook *w, size_t i, struct source **out, struct err *e)
{
    struct sheet_source *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a sheet");
    }
    s->base = (struct source){&ops, "xlsx", true};
    s->w = w;
    s->index = i;
    buf_init(&s->text, workbook_limits(w)->row);
    enum err_code code = sheet_rewind(&s->base, e);
    if (code != ERR_NONE) {
        sheet_close(&s->base);
        return code;
    }
    *out = &s->base;
    return ERR_NONE;
}
