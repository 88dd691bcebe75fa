#include "core/store/db_internal.h"

#include "core/base/num.h"
#include "core/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BYTEA_OID = 17, MAX_ARRAY = 512 * 1024 * 1024 };

int db_count(const struct db_rows *r)
{
    return PQntuples(r->res);
}

bool db_null(const struct db_rows *r, int row, int col)
{
    return PQgetisnull(r->res, row, col);
}

const char *db_z(const struct db_rows *r, int row, int col)
{
    return PQgetvalue(r->res, row, col);
}

struct str db_str(const struct db_rows *r, int row, int col)
{
    struct str s = {PQgetvalue(r->res, row, col), (size_t)PQgetlength(r->res, row, col)};
    if (PQftype(r->res, col) != BYTEA_OID || s.n < 2) {
        return s;
    }
    char *bytes = arena_alloc(r->arena, s.n / 2);
    if (!bytes || text_unhex(str_cut(s, 2, s.n), bytes, NULL) != ERR_NONE) {
        return STR("");
    }
    return (struct str){bytes, s.n / 2 - 1};
}

int64_t db_i64(const struct db_rows *r, int row, int col)
{
    int64_t v = 0;
    num_i64(db_str(r, row, col), INT64_MIN, INT64_MAX, &v, NULL);
    return v;
}

bool db_bool(const struct db_rows *r, int row, int col)
{
    return PQgetvalue(r->res, row, col)[0] == 't';
}

/* "2026-03-11 09:00:00.123456+00": the session is in UTC with ISO dates. */
usec db_time(const struct db_rows *r, int row, int col)
{
    char text[48];
    usec at = 0;
    struct str s = db_str(r, row, col);
    int n = snprintf(text, sizeof text, "%.*s%s", STR_ARG(s), str_ends(s, STR("+00")) ? ":00" : "");
    clock_parse((struct str){text, (size_t)n}, &at, NULL);
    return at;
}

int32_t db_day(const struct db_rows *r, int row, int col)
{
    int32_t day = 0;
    day_parse(db_str(r, row, col), &day, NULL);
    return day;
}

/* ---- arrays ---- */

static void release_array(void *x)
{
    buf_release(&((struct db_array *)x)->text);
}

struct db_array *db_array_new(struct arena *a)
{
    struct db_array *x = arena_alloc(a, sizeof *x);
    if (x) {
        buf_init(&x->text, MAX_ARRAY);
        if (!arena_defer(a, release_array, x)) {
            return NULL;
        }
        buf_addz(&x->text, "{}");
    }
    return x;
}

/* Takes the closing brace off and puts the separator; the element follows, then close(). */
static struct buf *element(struct db_array *x)
{
    x->text.n--;
    if (x->text.n > 1) {
        buf_addc(&x->text, ',');
    }
    return &x->text;
}

static void close_array(struct db_array *x)
{
    buf_addc(&x->text, '}');
}

void db_array_str(struct db_array *x, struct str s)
{
    struct buf *b = element(x);
    buf_addc(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') {
            buf_add(b, str_cut(s, from, i));
            buf_addc(b, '\\');
            from = i;
        }
    }
    buf_add(b, str_cut(s, from, s.n));
    buf_addc(b, '"');
    close_array(x);
}

void db_array_z(struct db_array *x, const char *z)
{
    if (z) {
        db_array_str(x, str_of(z));
    } else {
        buf_addz(element(x), "NULL");
        close_array(x);
    }
}

void db_array_bytes(struct db_array *x, struct str s)
{
    if (!s.p) {
        db_array_z(x, NULL);
        return;
    }
    struct buf *b = element(x);
    buf_addz(b, "\"\\\\x");
    buf_hex(b, s);
    buf_addc(b, '"');
    close_array(x);
}

void db_array_i64(struct db_array *x, int64_t v)
{
    buf_printf(element(x), "%" PRId64, v);
    close_array(x);
}

void db_array_bool(struct db_array *x, bool v)
{
    buf_addc(element(x), v ? 't' : 'f');
    close_array(x);
}

void db_array_time(struct db_array *x, usec at)
{
    char text[CLOCK_TEXT];
    buf_printf(element(x), "\"%s\"", clock_text_utc(at, text));
    close_array(x);
}
