#include "core/intake/snapshot.h"

#include "core/base/buf.h"
#include "core/mapping/convert.h"
#include "core/table/row.h"

#include <stdlib.h>
#include <string.h>

/*
 * OFFSET 0 keeps the planner from joining whole tables: it knows nothing yet of a snapshot that has
 * just been written, and each key is one look at an index.
 */
DB_STATEMENT(
    snapshot_compare,
    "SELECT u.i, s.digest = u.digest, m.id, m.sealed FROM unnest($3::bytea[], $4::bytea[]) "
    "WITH ORDINALITY AS u(key, digest, i), "
    "LATERAL (SELECT x.digest, x.day, x.no FROM dari.snapshot x WHERE x.site = $1 "
    "AND x.feed = $2 AND x.key = u.key OFFSET 0) AS s "
    "LEFT JOIN LATERAL (SELECT y.id, y.sealed FROM dari.message y WHERE s.digest <> u.digest "
    "AND y.site = $1 AND y.day = s.day AND y.no = s.no OFFSET 0) AS m ON true");
DB_STATEMENT(snapshot_page, "SELECT key, on_day FROM dari.snapshot WHERE site = $1 AND feed = $2 "
                            "AND key > $3 ORDER BY key LIMIT $4");
DB_STATEMENT(snapshot_gone_rows,
             "SELECT u.i, m.id, m.sealed FROM unnest($3::bytea[]) WITH ORDINALITY AS u(key, i), "
             "LATERAL (SELECT x.day, x.no FROM dari.snapshot x WHERE x.site = $1 AND x.feed = $2 "
             "AND x.key = u.key OFFSET 0) AS s "
             "LEFT JOIN LATERAL (SELECT y.id, y.sealed FROM dari.message y WHERE y.site = $1 "
             "AND y.day = s.day AND y.no = s.no OFFSET 0) AS m ON true");

/* ---- columns ---- */

/* In the order of names, so that a file with its columns in another order compares the same. */
static void insert_by_name(struct snapshot *s, size_t column)
{
    size_t at = s->compared_count++;
    while (at && str_cmp(s->header[s->compared[at - 1]], s->header[column]) > 0) {
        s->compared[at] = s->compared[at - 1];
        at--;
    }
    s->compared[at] = column;
}

static const struct header_column *column_of(const struct header_names *names, struct arena *a,
                                             struct str header)
{
    struct header_key k = header_key(a, header);
    return k.text.p ? header_find(names, &k) : NULL;
}

static bool is_declared(const struct header_names *names, struct arena *a, struct str header)
{
    const struct header_column *c = column_of(names, a, header);
    return c && c->declared;
}

/* Where the column of that name is, s->columns when it is not there. */
static size_t column_named(const struct snapshot *s, struct arena *a,
                           const struct header_names *names)
{
    const struct header_column *c = names ? header_named(names, str_of(s->day_column)) : NULL;
    for (size_t i = 0; c && i < s->columns; i++) {
        if (column_of(names, a, s->header[i]) == c) {
            return i;
        }
    }
    return s->columns;
}

enum err_code snapshot_begin(struct snapshot *s, struct arena *a, const struct table *t,
                             struct err *e)
{
    const struct header_names *names = table_names(t);
    s->header = table_header(t, &s->columns);
    s->key = arena_array(a, s->columns + 1, sizeof *s->key);
    s->compared = arena_array(a, s->columns + 1, sizeof *s->compared);
    s->seen = seen_new();
    if (!s->key || !s->compared || !s->seen) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a snapshot");
    }
    s->key_count = table_identity(t, s->key, s->columns);
    if (s->key_count == 0) {
        return ERR(e, ERR_REQUIRED, 0,
                   "the mapping names no <key columns>: rows of a snapshot cannot be told apart");
    }
    s->compared_count = 0;
    s->day_at = s->day_column ? column_named(s, a, names) : 0;
    if (s->day_at == s->columns) {
        return ERR(e, ERR_REQUIRED, 0, "the header lacks %s, which covers names", s->day_column);
    }
    for (size_t i = 0; i < s->columns; i++) {
        if (!names || is_declared(names, a, s->header[i])) {
            insert_by_name(s, i);
        }
    }
    return ERR_NONE;
}

const char *snapshot_key_names(const struct snapshot *s, struct arena *a, const struct table *t)
{
    struct buf b;
    bool ok = true;
    buf_init(&b, SIZE_MAX / 4);
    for (size_t i = 0; i < s->key_count; i++) {
        const struct header_column *c = column_of(table_names(t), a, s->header[s->key[i]]);
        ok &= c != NULL;
        buf_printf(&b, "%s%s", i ? " " : "", c ? c->name : "");
    }
    const char *names = ok && buf_ok(&b) ? arena_z(a, buf_str(&b)) : NULL;
    buf_release(&b);
    return names;
}

void snapshot_end(struct snapshot *s)
{
    seen_free(&s->seen);
}

/* ---- rows ---- */

static struct str cell_of(const struct held *h, size_t column)
{
    return column < h->count ? h->cells[column] : STR("");
}

/* 0x1E and 0x1F stand between cells; inside of one they have 0x10 in front, and so has that. */
static void add_cell(struct buf *b, struct str cell)
{
    size_t from = 0;
    for (size_t i = 0; i < cell.n; i++) {
        if (cell.p[i] == '\x10' || cell.p[i] == '\x1E' || cell.p[i] == '\x1F') {
            buf_add(b, str_cut(cell, from, i));
            buf_addc(b, '\x10');
            from = i;
        }
    }
    buf_add(b, str_cut(cell, from, cell.n));
}

static enum err_code keyed(const struct snapshot *s, const struct held *h, const size_t *columns,
                           size_t count, bool with_names, unsigned char out[ROW_KEY], struct err *e)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 4);
    for (size_t i = 0; i < count; i++) {
        struct str cell = cell_of(h, columns[i]);
        if (with_names && cell.n) {
            add_cell(&b, s->header[columns[i]]);
            buf_addc(&b, '\x1F');
        }
        if (!with_names || cell.n) {
            add_cell(&b, cell);
            buf_addc(&b, '\x1E');
        }
    }
    bool ok = buf_ok(&b);
    if (ok) {
        key_message(s->keys, str_of(s->site), str_of(s->feed),
                    with_names ? STR("#row") : STR("#row-key"), buf_str(&b), STR(""), out);
    }
    buf_release(&b);
    return ok ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a row");
}

static void bad(struct held *h, const struct err *why)
{
    h->is = HELD_BAD;
    h->problem = *why;
}

static enum err_code copy_cells(struct arena *a, const struct table_row *row, struct held *out,
                                struct err *e)
{
    bool found = row->problem.code != ERR_NONE;
    size_t count = found ? row->found_count : row->count;
    struct str *cells = arena_array(a, count + 1, sizeof *cells);
    for (size_t i = 0; cells && i < count; i++) {
        cells[i] = arena_copy(a, found ? row->found[i] : row->cells[i]);
        if (!cells[i].p) {
            cells = NULL;
        }
    }
    *out = (struct held){.number = row->number, .cells = cells, .count = count, .found = found};
    return cells ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for a row");
}

static bool has_key(const struct snapshot *s, const struct held *h, struct err *why)
{
    for (size_t i = 0; i < s->key_count; i++) {
        if (cell_of(h, s->key[i]).n == 0) {
            ERR(why, ERR_REQUIRED, 0, "the key of the row is empty");
            err_at(why, "row %lld, column %zu", (long long)h->number, s->key[i] + 1);
            return false;
        }
    }
    return true;
}

/* A day that cannot be read is the mapping's to complain about; such a row is never gone. */
static void find_day(const struct snapshot *s, struct held *h)
{
    struct hl7_time t;
    struct sheet_hints hints = {.year = 0};
    struct str text = s->day_column ? str_trim(cell_of(h, s->day_at)) : STR("");
    if (text.n && sheet_time_parse(text, &hints, &t, NULL) == ERR_NONE &&
        t.precision >= PRECISION_DAY) {
        h->has_day = true;
        h->day = day_of(t.at.year, t.at.month, t.at.day);
    }
}

enum err_code snapshot_hold(struct snapshot *s, struct arena *a, const struct table_row *row,
                            struct held *out, struct err *e)
{
    struct err why = {.code = ERR_NONE};
    bool news = true;
    enum err_code rc = copy_cells(a, row, out, e);
    if (rc != ERR_NONE) {
        return rc;
    }
    if (row->problem.code != ERR_NONE) {
        bad(out, &row->problem);
        return ERR_NONE;
    }
    if (!has_key(s, out, &why)) {
        bad(out, &why);
        return ERR_NONE;
    }
    find_day(s, out);
    rc = keyed(s, out, s->key, s->key_count, false, out->key, e);
    if (rc == ERR_NONE) {
        rc = keyed(s, out, s->compared, s->compared_count, true, out->digest, e);
    }
    if (rc == ERR_NONE) {
        rc = seen_add(s->seen, out->key, &news, e);
    }
    if (rc == ERR_NONE && !news) {
        ERR(&why, ERR_VALUE, 0, "an earlier row of the file has the same key");
        err_at(&why, "row %lld", (long long)out->number);
        bad(out, &why);
    }
    return rc;
}

/* ---- comparison ---- */

enum err_code snapshot_compare_args(const struct snapshot *s, struct arena *a,
                                    const struct held *rows, size_t count, struct db_args *q,
                                    const struct db_statement **st, struct err *e)
{
    struct db_array *keys = db_array_new(a), *digests = db_array_new(a);
    if (!keys || !digests) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a comparison");
    }
    for (size_t i = 0; i < count; i++) {
        bool is_bad = rows[i].is == HELD_BAD;
        db_array_bytes(keys, is_bad ? STR("") : (struct str){(const char *)rows[i].key, ROW_KEY});
        db_array_bytes(digests,
                       is_bad ? STR("") : (struct str){(const char *)rows[i].digest, ROW_KEY});
    }
    *st = &snapshot_compare;
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_array(q, keys);
    arg_array(q, digests);
    return ERR_NONE;
}

/* Cells of a kept row in the order of the present header; a column it had not is empty. */
static enum err_code old_cells(const struct snapshot *s, struct arena *a, struct str id,
                               struct str sealed, const struct str **out, struct err *e)
{
    struct buf context;
    struct row row;
    struct str raw;
    buf_init(&context, 256);
    buf_printf(&context, "%s/message/", s->site);
    buf_hex(&context, id);
    enum err_code rc = unseal(s->keys, a, buf_str(&context), sealed, &raw, e);
    buf_release(&context);
    if (rc == ERR_NONE) {
        rc = row_parse(a, raw, &row, e);
    }
    struct str *cells = rc == ERR_NONE ? arena_array(a, s->columns + 1, sizeof *cells) : NULL;
    const struct str *had = rc == ERR_NONE && row.now ? row.now : row.before;
    if (rc != ERR_NONE || !cells || !had) {
        return rc != ERR_NONE ? rc : ERR(e, ERR_NOMEM, 0, "no memory for a row");
    }
    for (size_t i = 0; i < s->columns; i++) {
        cells[i] = STR("");
        for (size_t k = 0; k < row.layout->count; k++) {
            if (str_eq(row.layout->header[k], s->header[i])) {
                cells[i] = had[k];
            }
        }
    }
    *out = cells;
    return ERR_NONE;
}

enum err_code snapshot_compared(const struct snapshot *s, struct arena *a, struct held *rows,
                                size_t count, struct db_rows *answer, struct err *e)
{
    enum err_code rc = ERR_NONE;
    for (int i = 0; i < db_count(answer) && rc == ERR_NONE; i++) {
        size_t at = (size_t)db_i64(answer, i, 0) - 1;
        struct held *h = at < count ? &rows[at] : NULL;
        if (!h || h->is == HELD_BAD) {
            continue;
        }
        h->is = db_bool(answer, i, 1) ? HELD_SAME : HELD_CHANGED;
        if (h->is == HELD_CHANGED && db_null(answer, i, 2)) {
            h->is = HELD_NEW; /* what it was is no longer kept: all of it counts as news */
        } else if (h->is == HELD_CHANGED) {
            rc = old_cells(s, a, db_str(answer, i, 2), db_str(answer, i, 3), &h->before, e);
        }
    }
    return rc;
}

/* ---- rows that are gone ---- */

void snapshot_page_args(const struct snapshot *s, const unsigned char *after, struct db_args *q,
                        const struct db_statement **st)
{
    *st = &snapshot_page;
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_bytes(q, after ? (struct str){(const char *)after, ROW_KEY} : STR(""));
    arg_i64(q, SNAPSHOT_PAGE);
}

enum err_code snapshot_gone_args(const struct snapshot *s, struct arena *a,
                                 const struct gone_key *keys, size_t count, struct db_args *q,
                                 const struct db_statement **st, struct err *e)
{
    struct db_array *list = db_array_new(a);
    if (!list) {
        return ERR(e, ERR_NOMEM, 0, "no memory for rows that are gone");
    }
    for (size_t i = 0; i < count; i++) {
        db_array_bytes(list, (struct str){(const char *)keys[i].key, ROW_KEY});
    }
    *st = &snapshot_gone_rows;
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_array(q, list);
    return ERR_NONE;
}

enum err_code snapshot_gone(const struct snapshot *s, struct arena *a, struct db_rows *answer,
                            int i, const struct str **cells, struct err *e)
{
    if (db_null(answer, i, 1)) {
        return ERR(e, ERR_NOTFOUND, 0, "what the row was is no longer kept");
    }
    return old_cells(s, a, db_str(answer, i, 1), db_str(answer, i, 2), cells, e);
}
