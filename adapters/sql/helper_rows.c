#include "adapters/sql/helper_internal.h"

#include <stdio.h>

enum { PIECE = 64 * 1024, FLUSH = 32 * 1024 };

static void put_utf8(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_addc(b, (char)c);
        return;
    }
    if (c < 0x800) {
        buf_addc(b, (char)(0xc0 | c >> 6));
    } else if (c < 0x10000) {
        buf_addc(b, (char)(0xe0 | c >> 12));
        buf_addc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    } else {
        buf_addc(b, (char)(0xf0 | c >> 18));
        buf_addc(b, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_addc(b, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    buf_addc(b, (char)(0x80 | (c & 0x3f)));
}

/* UTF-16 as it comes, piece by piece; `half`: of a pair, whose other half may come next. One that
 * stays alone becomes three bytes that are not UTF-8: the row is refused later, with its place, and
 * the others go on. */
struct wide {
    struct buf *out;
    uint32_t half;
};

static void wide_end(struct wide *w)
{
    if (w->half) {
        put_utf8(w->out, w->half);
    }
    w->half = 0;
}

static void wide_put(struct wide *w, const SQLWCHAR *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t c = p[i];
        if (w->half && c >= 0xdc00 && c < 0xe000) {
            c = 0x10000 + ((w->half - 0xd800) << 10) + (c - 0xdc00);
            w->half = 0;
        }
        wide_end(w);
        if (c >= 0xd800 && c < 0xdc00) {
            w->half = c;
        } else {
            put_utf8(w->out, c);
        }
    }
}

static bool is_binary(SQLSMALLINT type)
{
    return type == SQL_BINARY || type == SQL_VARBINARY || type == SQL_LONGVARBINARY;
}

static bool name_column(struct helper *h, SQLUSMALLINT i)
{
    SQLWCHAR name[512];
    SQLSMALLINT n = 0, digits, nullable;
    SQLULEN size;
    SQLRETURN r;
    buf_reset(&h->cell);
    if (h->wide) {
        r = SQLDescribeColW(h->stmt, i, name, sizeof name / sizeof *name, &n, &h->types[i - 1],
                            &size, &digits, &nullable);
    } else {
        r = SQLDescribeCol(h->stmt, i, (SQLCHAR *)name, sizeof name, &n, &h->types[i - 1], &size,
                           &digits, &nullable);
    }
    if (!SQL_SUCCEEDED(r)) {
        helper_refused(h);
        return false;
    }
    size_t room = h->wide ? sizeof name / sizeof *name : sizeof name;
    size_t length = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    struct str text = {(const char *)name, length};
    if (h->wide) {
        struct wide w = {.out = &h->cell};
        wide_put(&w, name, length);
        wide_end(&w);
    } else if (charset_decode(h->arena, h->charset, text, &text, NULL) == ERR_NONE) {
        buf_add(&h->cell, text);
    }
    talk_text(&h->out, buf_str(&h->cell));
    return true;
}

bool helper_columns(struct helper *h, SQLSMALLINT count)
{
    if (count < 1 || count > FOREIGN_COLUMNS) {
        helper_failed(h, false, "", STR("the query gives no columns, or too many"));
        return false;
    }
    size_t at = talk_begin(&h->out, TALK_COLUMNS);
    talk_number(&h->out, (uint32_t)count);
    for (SQLUSMALLINT i = 1; i <= count; i++) {
        if (!name_column(h, i)) {
            return false;
        }
        if (is_binary(h->types[i - 1]) && !h->hex) {
            char text[100];
            snprintf(text, sizeof text, "column %d is binary: leave it out, or say binary=\"hex\"",
                     i);
            helper_failed(h, false, "", str_of(text));
            return false;
        }
    }
    talk_end(&h->out, at);
    helper_flush(h);
    return true;
}

/* What a driver gave for one SQLGetData into a buffer of PIECE bytes: how much of it is text. */
static size_t piece_size(SQLRETURN r, SQLLEN given, size_t end)
{
    size_t room = PIECE - end;
    return r == SQL_SUCCESS_WITH_INFO && (given == SQL_NO_TOTAL || given > (SQLLEN)room) ? room
           : given < 0                                                                   ? 0
           : (size_t)given < room ? (size_t)given
                                  : room;
}

/* Piece by piece until the driver says that it was all. */
static bool read_cell(struct helper *h, SQLUSMALLINT i, bool *null)
{
    static union {
        char bytes[PIECE];
        SQLWCHAR wide[PIECE / sizeof(SQLWCHAR)];
    } piece;
    bool binary = is_binary(h->types[i - 1]), wide = h->wide && !binary;
    SQLSMALLINT as = binary ? SQL_C_BINARY : wide ? SQL_C_WCHAR : SQL_C_CHAR;
    size_t end = binary ? 0 : wide ? sizeof(SQLWCHAR) : 1;
    struct wide w = {.out = &h->cell};
    buf_reset(&h->cell);
    *null = false;
    for (;;) {
        SQLLEN given = 0;
        SQLRETURN r = SQLGetData(h->stmt, i, as, piece.bytes, PIECE, &given);
        if (r == SQL_NO_DATA) {
            wide_end(&w);
            return true;
        }
        if (!SQL_SUCCEEDED(r)) {
            helper_refused(h);
            return false;
        }
        *null = given == SQL_NULL_DATA;
        size_t n = piece_size(r, given, end);
        if (wide) {
            wide_put(&w, piece.wide, n / sizeof(SQLWCHAR));
        } else if (binary) {
            buf_hex(&h->cell, (struct str){piece.bytes, n});
        } else {
            buf_add(&h->cell, (struct str){piece.bytes, n});
        }
        if (!buf_ok(&h->cell) || h->cell.n > h->max_row) {
            helper_failed(h, false, "", STR("a value is longer than max-row"));
            return false;
        }
        if (r == SQL_SUCCESS) {
            wide_end(&w);
            return true;
        }
    }
}

static bool digits(struct str s, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        if (i >= s.n || s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return true;
}

/* 2026-03-11, 2026-03-11 09:00:00.5: ODBC says so, not every driver does. */
static bool iso(struct str s)
{
    return digits(s, 0, 4) && s.p[4] == '-' && digits(s, 5, 2) && s.p[7] == '-' && digits(s, 8, 2);
}

bool helper_row(struct helper *h, SQLSMALLINT count)
{
    size_t at = talk_begin(&h->out, TALK_ROW);
    talk_number(&h->out, (uint32_t)count);
    for (SQLUSMALLINT i = 1; i <= count; i++) {
        bool null;
        if (!read_cell(h, i, &null)) {
            return false;
        }
        struct str text = buf_str(&h->cell);
        bool date = h->types[i - 1] == SQL_TYPE_DATE || h->types[i - 1] == SQL_TYPE_TIMESTAMP;
        if (date && !null && !iso(text)) {
            char why[120];
            snprintf(
                why, sizeof why,
                "column %d is a date in a form of the driver's own: CAST it to text in the query",
                i);
            helper_failed(h, false, "", str_of(why));
            return false;
        }
        if (!h->wide && !null && !is_binary(h->types[i - 1])) {
            arena_reset(
                h->scratch); /* bytes that are not in the set go on as they are: see above */
            struct str decoded;
            if (charset_decode(h->scratch, h->charset, text, &decoded, NULL) == ERR_NONE) {
                text = decoded;
            }
        }
        if (null) {
            talk_null(&h->out);
        } else {
            talk_text(&h->out, text);
        }
    }
    talk_end(&h->out, at);
    if (h->out.n >= FLUSH) {
        helper_flush(h);
    }
    return true;
}
