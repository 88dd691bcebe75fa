#include "core/ledger/verify.h"

#include "core/ledger/checkpoint.h"

#define BATCH_TEXT "1000"
enum { BATCH = 1000, LINE_MAX_BYTES = 64 * 1024 };

/* Entries with the checkpoint, if any, that was signed right after them. */
DB_STATEMENT(ledger_export_page,
             "SELECT l.idx, l.body, dari.instant(c.at), c.note FROM dari.ledger l "
             "LEFT JOIN dari.checkpoint c ON c.site = l.site AND c.size = l.idx "
             "WHERE l.site = $1 AND l.idx > $2 ORDER BY l.idx, l.day LIMIT " BATCH_TEXT);

struct writing {
    void (*put)(void *ctx, struct str line);
    void *ctx;
    struct buf line;
};

static enum err_code put_line(struct writing *w, struct err *e)
{
    if (!buf_ok(&w->line)) {
        return ERR(e, ERR_LIMIT, 0, "an entry is too long to export");
    }
    w->put(w->ctx, buf_str(&w->line));
    buf_reset(&w->line);
    return ERR_NONE;
}

static enum err_code put_row(struct writing *w, const struct db_rows *rows, int i, struct err *e)
{
    struct str body = db_str(rows, i, 1);
    long long idx = (long long)db_i64(rows, i, 0);
    if (str_find(body, '\n', 0) < body.n) {
        return ERR(e, ERR_REFUSED, 0, "entry %lld has a line end in it: it was tampered with", idx);
    }
    buf_printf(&w->line, "entry %lld ", idx);
    buf_add(&w->line, body);
    buf_addc(&w->line, '\n');
    enum err_code code = put_line(w, e);
    if (code == ERR_NONE && !db_null(rows, i, 3)) {
        buf_printf(&w->line, "checkpoint %lld %s ", idx, db_z(rows, i, 2));
        base64_put(&w->line, db_str(rows, i, 3));
        buf_addc(&w->line, '\n');
        code = put_line(w, e);
    }
    return code;
}

static enum err_code put_all(struct db *db, struct arena *a, const char *site, struct writing *w,
                             struct err *e)
{
    int64_t last = 0, count = 0;
    enum err_code code = ERR_NONE;
    bool more = true;
    buf_printf(&w->line, LEDGER_EXPORT_HEAD "%s\n", site);
    code = put_line(w, e);
    while (code == ERR_NONE && more) {
        struct db_args q = {0};
        struct db_rows *rows;
        arena_reset(a);
        arg_z(&q, site);
        arg_i64(&q, last);
        code = db_run(db, a, &ledger_export_page, &q, &rows, e);
        more = code == ERR_NONE && db_count(rows) == BATCH;
        for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
            code = put_row(w, rows, i, e);
            last = db_i64(rows, i, 0);
            count++;
        }
    }
    if (code == ERR_NONE) {
        buf_printf(&w->line, "end %lld\n", (long long)count);
        code = put_line(w, e);
    }
    return code;
}

enum err_code ledger_export(struct db *db, const char *site,
                            void (*put)(void *ctx, struct str line), void *ctx, struct err *e)
{
    struct writing w = {.put = put, .ctx = ctx};
    struct arena *a = arena_new(0);
    buf_init(&w.line, LINE_MAX_BYTES);
    enum err_code code = a ? db_begin(db, e) : ERR(e, ERR_NOMEM, 0, "no memory to export");
    if (code == ERR_NONE) {
        code = db_script(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", e);
        code = code == ERR_NONE ? put_all(db, a, site, &w, e) : code;
        db_rollback(db);
    }
    buf_release(&w.line);
    arena_free(&a);
    return code;
}
