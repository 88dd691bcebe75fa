#include "core/store/db_internal.h"

#include "core/base/num.h"
#include "core/base/text.h"

#include <assert.h>
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

/* ---- arrays, in PostgreSQL's binary format (src/backend/utils/adt/arrayfuncs.c, array_recv) ----
 */

enum { BOOL_OID = 16, INT8_OID = 20, INT4_OID = 23, TEXT_OID = 25, TIMESTAMPTZ_OID = 1184 };
enum { DIMENSION = 8, HEADER = 12 + 2 * DIMENSION };
static const usec postgres_epoch = (usec)10957 * 24 * 3600 * USEC_SECOND; /* 2000-01-01 */

static void release_array(void *x)
{
    buf_release(&((struct db_array *)x)->bytes);
}

static void put_i32(char *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(v >> (24 - 8 * i));
    }
}

static void put_i64(char *at, uint64_t v)
{
    put_i32(at, (uint32_t)(v >> 32));
    put_i32(at + 4, (uint32_t)v);
}

struct db_array *db_array_new(struct arena *a)
{
    struct db_array *x = arena_alloc(a, sizeof *x);
    if (x) {
        buf_init(&x->bytes, MAX_ARRAY);
        if (!arena_defer(a, release_array, x)) {
            return NULL;
        }
        char *header = buf_room(&x->bytes, HEADER);
        if (header) {
            memset(header, 0, HEADER);
            buf_took(&x->bytes, HEADER);
        }
    }
    return x;
}

static void element(struct db_array *x, uint32_t oid, struct str bytes)
{
    char length[4];
    x->oid = oid;
    x->count++;
    put_i32(length, bytes.p ? (uint32_t)bytes.n : UINT32_MAX);
    x->nulls |= !bytes.p;
    buf_add(&x->bytes, (struct str){length, sizeof length});
    buf_add(&x->bytes, bytes.p ? bytes : STR(""));
}

void db_array_str(struct db_array *x, struct str s)
{
    element(x, TEXT_OID, s.p ? s : STR(""));
}

void db_array_z(struct db_array *x, const char *z)
{
    element(x, TEXT_OID, z ? str_of(z) : (struct str){NULL, 0});
}

void db_array_bytes(struct db_array *x, struct str s)
{
    element(x, BYTEA_OID, s);
}

void db_array_i64(struct db_array *x, int64_t v)
{
    char bytes[8];
    put_i64(bytes, (uint64_t)v);
    element(x, INT8_OID, (struct str){bytes, sizeof bytes});
}

void db_array_no_i64(struct db_array *x)
{
    element(x, INT8_OID, (struct str){NULL, 0});
}

void db_array_i32(struct db_array *x, int32_t v)
{
    char bytes[4];
    put_i32(bytes, (uint32_t)v);
    element(x, INT4_OID, (struct str){bytes, sizeof bytes});
}

void db_array_bool(struct db_array *x, bool v)
{
    element(x, BOOL_OID, v ? STR("\1") : (struct str){"\0", 1});
}

void db_array_time(struct db_array *x, usec at)
{
    char bytes[8];
    put_i64(bytes, (uint64_t)(at - postgres_epoch));
    element(x, TIMESTAMPTZ_OID, (struct str){bytes, sizeof bytes});
}

/* The header lies right before the elements, after the room for a second dimension if there is
 * none.
 */
static void give(struct db_args *q, struct db_array *x, uint32_t width)
{
    if (x->count == 0 || !buf_ok(&x->bytes)) {
        q->broken |= !buf_ok(&x->bytes);
        arg_z(q, "{}");
        q->a[q->n - 1].binary = 0;
        return;
    }
    size_t unused = width ? 0 : DIMENSION;
    char *header = x->bytes.p + unused;
    put_i32(header, width ? 2 : 1);
    put_i32(header + 4, x->nulls);
    put_i32(header + 8, x->oid);
    put_i32(header + 12, width ? x->count / width : x->count);
    put_i32(header + 16, 1);
    if (width) {
        put_i32(header + 20, width);
        put_i32(header + 24, 1);
    }
    arg_bytes(q, str_cut(buf_str(&x->bytes), unused, x->bytes.n));
}

void arg_array(struct db_args *q, struct db_array *x)
{
    give(q, x, 0);
}

void arg_table(struct db_args *q, struct db_array *x, uint32_t width)
{
    assert(x->count % width == 0);
    give(q, x, width);
}
