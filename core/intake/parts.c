#include "core/intake/parts.h"

#include "core/base/log.h"
#include "core/intake/group.h"

#include <inttypes.h>
#include <string.h>

DB_STATEMENT(parts_of, "SELECT no, id, sealed, verdict FROM dari.parts_of($1, $2, $3, $4, $5, $6, "
                       "$7, $8)");
const struct db_statement *const parts_find = &parts_of;

DB_STATEMENT(
    commit_part,
    "WITH g AS MATERIALIZED (SELECT ord, outcome, no, reply FROM " GROUP_CALL "), "
    "s AS (INSERT INTO dari.feed_sequence (site, feed, last, at) "
    "SELECT $1, $2, $14, $3 WHERE $14::bigint IS NOT NULL "
    "ON CONFLICT (site, feed) DO UPDATE SET last = excluded.last, at = excluded.at) "
    "SELECT g.ord, dari.keep_part($1, $2, $3, g.no, g.outcome, g.outcome <> 1 AND g.reply IS NULL, "
    "$15, $16, $17, $18, $19, $20), g.no, g.reply FROM g");

DB_STATEMENT(parts_late, "SELECT count(n), min(n) FROM dari.give_up_parts($1, $2, $3, $4) AS n");
DB_STATEMENT(parts_of_whole,
             "SELECT p.id, m.sealed FROM dari.part p JOIN dari.message m ON m.site = p.site AND "
             "m.day = p.day AND m.no = p.no WHERE p.site = $1 AND p.whole = $2 ORDER BY p.place");

DB_STATEMENT(parts_old,
             "WITH d AS (DELETE FROM dari.part p WHERE p.site = $1 AND NOT p.waiting AND p.day IN "
             "(SELECT x.day FROM (SELECT DISTINCT day FROM dari.part WHERE site = $1) AS x "
             "WHERE NOT EXISTS (SELECT 1 FROM dari.message m WHERE m.site = $1 AND m.day = x.day)) "
             "RETURNING 1) SELECT count(*) FROM d");

static void arg_key(struct db_args *q, const char *key)
{
    arg_z(q, key[0] ? key : NULL);
}

static struct str id_of(const struct job *j)
{
    return (struct str){(const char *)j->p.id, sizeof j->p.id};
}

void parts_find_args(const struct intake_settings *s, const struct job *j, struct db_args *q)
{
    arg_z(q, s->site);
    arg_z(q, s->feed);
    arg_bytes(q, id_of(j));
    arg_key(q, j->p.part.continues);
    arg_key(q, j->p.part.continued);
    arg_i64(q, (int64_t)j->p.raw.n);
    arg_i64(q, s->max_parts);
    arg_i64(q, s->max_whole);
}

/* The bytes of a stored message; context of its seal: site/message/hex(id). */
static enum err_code open_part(const struct keyring *k, const char *site, struct arena *a,
                               struct str id, struct str sealed, struct str *raw, struct err *e)
{
    struct buf context;
    buf_init(&context, 256);
    buf_printf(&context, "%s/message/", site);
    buf_hex(&context, id);
    enum err_code code = unseal(k, a, buf_str(&context), sealed, raw, e);
    buf_release(&context);
    return code;
}

static void refuse(struct job *j, enum err_code code, const char *what)
{
    struct mapped *m = &j->p.mapped;
    *m = (struct mapped){.state = MAPPING_QUARANTINED};
    ERR(&m->problem, code, 0, "%s", what);
    err_at(&m->problem, "%s", j->p.part.continued[0] ? "DSC-1" : "MSH-14");
}

/* All parts are there: `rows` has them in order, the job among them with number 0. */
static enum err_code join(const struct intake_settings *s, const struct prepare_settings *p,
                          struct job *j, struct db_rows *rows, struct err *e)
{
    size_t n = (size_t)db_count(rows);
    struct str *raws = arena_array(j->arena, n, sizeof *raws);
    int64_t *order = arena_array(j->arena, n, sizeof *order);
    unsigned char first[16];
    if (!raws || !order || db_str(rows, 0, 1).n != sizeof first) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message of several parts");
    }
    memcpy(first, db_str(rows, 0, 1).p, sizeof first);
    for (int i = 0; i < (int)n; i++) {
        order[i] = db_i64(rows, i, 0);
        enum err_code code = ERR_NONE;
        if (order[i] == 0) {
            raws[i] = j->p.raw;
        } else {
            code = open_part(s->keys, s->site, j->arena, db_str(rows, i, 1), db_str(rows, i, 2),
                             &raws[i], e);
        }
        if (code != ERR_NONE) {
            return code;
        }
    }
    j->part.order = order;
    j->part.count = n;
    return prepare_joined(p, j->arena, raws, n, first, j->at, &j->p.mapped, e);
}

enum err_code parts_settle(const struct intake_settings *s, const struct prepare_settings *p,
                           struct job *j, struct db_rows *rows, struct err *e)
{
    const char *verdict = db_count(rows) ? db_z(rows, 0, 3) : "waits";
    j->part = (struct job_part){.keep = true};
    if (strcmp(verdict, "whole") == 0) {
        return join(s, p, j, rows, e);
    }
    prepare_waits(&j->p);
    if (strcmp(verdict, "waits") == 0) {
        return ERR_NONE;
    }
    j->part.keep = false;
    if (strcmp(verdict, "pointer") == 0) {
        refuse(j, ERR_VALUE, "another part with this pointer waits for its continuation");
    } else if (strcmp(verdict, "parts") == 0) {
        refuse(j, ERR_LIMIT, "the message has more parts than this feed takes");
    } else {
        refuse(j, ERR_LIMIT, "the message is larger, with all its parts, than this feed takes");
    }
    log_warn("intake.part-refused", "feed=%s verdict=%s", s->feed, verdict);
    return ERR_NONE;
}

enum err_code parts_commit_args(const struct intake_settings *s, struct arena *a,
                                const struct job *j, usec at, const struct db_statement **st,
                                struct db_args *q, struct err *e)
{
    if (!j->part.keep) {
        return j->spooled ? spooled_args(s, a, j, at, st, q, e) : group_args(s, a, j, at, st, q, e);
    }
    struct intake_settings settings = *s;
    struct job alone = *j;
    alone.next = NULL;
    alone.numbered = false; /* the number has its own place among the arguments of a part */
    settings.refuse_reuse = s->refuse_reuse && !j->spooled;
    enum err_code code = group_args(&settings, a, &alone, at, st, q, e);
    struct db_array *order = code == ERR_NONE ? db_array_new(a) : NULL;
    if (!order) {
        return code == ERR_NONE ? ERR(e, ERR_NOMEM, 0, "no memory for a group") : code;
    }
    for (size_t i = 0; i < j->part.count; i++) {
        db_array_i64(order, j->part.order[i]);
    }
    j->numbered && j->number > 0 ? arg_i64(q, j->number) : arg_null(q);
    arg_bytes(q, id_of(j));
    arg_i64(q, (int64_t)j->p.raw.n);
    arg_key(q, j->p.part.continues);
    arg_key(q, j->p.part.continued);
    j->part.count ? arg_array(q, order) : arg_null(q);
    j->spooled ? arg_time(q, j->at) : arg_null(q);
    *st = &commit_part;
    return ERR_NONE;
}

enum err_code parts_give_up(struct db *db, const char *site, const char *feed, usec since, usec now,
                            struct err *e)
{
    struct arena *a = arena_new(0);
    struct db_args q = {0};
    struct db_rows *rows;
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    arg_z(&q, site);
    arg_z(&q, feed);
    arg_time(&q, since);
    arg_time(&q, now);
    enum err_code code = db_run(db, a, &parts_late, &q, &rows, e);
    if (code == ERR_NONE && db_i64(rows, 0, 0) > 0) {
        log_warn("feed.parts-missing", "feed=%s parts=%" PRId64 " first=%" PRId64, feed,
                 db_i64(rows, 0, 0), db_i64(rows, 0, 1));
    }
    arena_free(&a);
    return code;
}

enum err_code parts_forget(struct db *db, const char *site, struct err *e)
{
    struct arena *a = arena_new(0);
    struct db_args q = {0};
    struct db_rows *rows;
    if (!a) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    arg_z(&q, site);
    enum err_code code = db_run(db, a, &parts_old, &q, &rows, e);
    if (code == ERR_NONE && db_i64(rows, 0, 0) > 0) {
        log_info("feed.parts-forgotten", "site=%s parts=%" PRId64, site, db_i64(rows, 0, 0));
    }
    arena_free(&a);
    return code;
}

/* ---- again, for reprocessing ---- */

DB_STATEMENT(part_state, "SELECT coalesce(whole, 0), waiting FROM dari.part WHERE site = $1 AND no "
                         "= $2 FOR UPDATE");
DB_STATEMENT(part_forget, "DELETE FROM dari.part WHERE site = $1 AND no = $2");
DB_STATEMENT(part_keep, "SELECT dari.keep_part($1, $2, $3, $4, 0, true, $5, $6, $7, $8, $9, NULL)");
DB_STATEMENT(part_day, "UPDATE dari.part SET day = $3 WHERE site = $1 AND no = $2");
DB_STATEMENT(parts_ignored,
             "WITH p AS (UPDATE dari.message m SET state = 'ignored', place = NULL, reason = $3, "
             "flags = m.flags | 4 FROM dari.part p WHERE p.site = $1 AND p.whole = $2 AND p.no <> "
             "$2 AND m.site = p.site AND m.day = p.day AND m.no = p.no AND m.state = 'quarantined' "
             "RETURNING m.feed, m.day), "
             "n AS (SELECT feed, day, count(*) AS n FROM p GROUP BY feed, day) "
             "UPDATE dari.feed_count f SET ignored = f.ignored + n.n, quarantined = f.quarantined "
             "- n.n FROM n WHERE f.site = $1 AND f.feed = n.feed AND f.day = n.day");

enum { AGAIN_PARTS = 10000, AGAIN_BYTES = 256 << 20 };

static enum err_code map_whole(struct db *db, struct arena *a, const struct prepare_settings *p,
                               int64_t no, usec at, struct prepared *m, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    unsigned char first[16];
    arg_z(&q, p->site);
    arg_i64(&q, no);
    enum err_code code = db_run(db, a, &parts_of_whole, &q, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    struct str *raws = arena_array(a, (size_t)db_count(rows), sizeof *raws);
    if (!raws || db_str(rows, 0, 0).n != sizeof first) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message of several parts");
    }
    memcpy(first, db_str(rows, 0, 0).p, sizeof first);
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        code = open_part(p->keys, p->site, a, db_str(rows, i, 0), db_str(rows, i, 1), &raws[i], e);
    }
    return code == ERR_NONE
               ? prepare_joined(p, a, raws, (size_t)db_count(rows), first, at, &m->mapped, e)
               : code;
}

static enum err_code keep_again(struct db *db, struct arena *a, const struct job *j,
                                const struct prepare_settings *p, int64_t no, int32_t day,
                                struct err *e)
{
    struct db_args keep = {0}, when = {0}, others = {0};
    struct db_array *order = db_array_new(a);
    if (!order) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message of several parts");
    }
    for (size_t i = 0; i < j->part.count; i++) {
        db_array_i64(order, j->part.order[i]);
    }
    arg_z(&keep, p->site);
    arg_z(&keep, p->feed);
    arg_time(&keep, clock_now());
    arg_i64(&keep, no);
    arg_bytes(&keep, id_of(j));
    arg_i64(&keep, (int64_t)j->p.raw.n);
    arg_key(&keep, j->p.part.continues);
    arg_key(&keep, j->p.part.continued);
    j->part.count ? arg_array(&keep, order) : arg_null(&keep);
    arg_z(&when, p->site);
    arg_i64(&when, no);
    arg_day(&when, day);
    arg_z(&others, p->site);
    arg_i64(&others, no);
    struct prepared waits = {.id = {0}};
    prepare_waits(&waits);
    arg_z(&others, waits.mapped.reason);
    enum err_code code = db_run(db, a, &part_keep, &keep, NULL, e);
    code = code == ERR_NONE ? db_run(db, a, &part_day, &when, NULL, e) : code;
    return code == ERR_NONE && j->part.count ? db_run(db, a, &parts_ignored, &others, NULL, e)
                                             : code;
}

/* As if it had just come. */
static enum err_code wait_again(struct db *db, struct arena *a, const struct prepare_settings *p,
                                int64_t no, int32_t day, usec at, struct prepared *m, struct err *e)
{
    const struct intake_settings s = {.site = p->site,
                                      .feed = p->feed,
                                      .keys = p->keys,
                                      .max_parts = AGAIN_PARTS,
                                      .max_whole = AGAIN_BYTES};
    struct job j = {.arena = a, .at = at, .p = *m};
    struct db_args gone = {0}, find = {0};
    struct db_rows *rows;
    arg_z(&gone, p->site);
    arg_i64(&gone, no);
    parts_find_args(&s, &j, &find);
    enum err_code code = db_run(db, a, &part_forget, &gone, NULL, e);
    code = code == ERR_NONE ? db_run(db, a, &parts_of, &find, &rows, e) : code;
    code = code == ERR_NONE ? parts_settle(&s, p, &j, rows, e) : code;
    if (code == ERR_NONE && j.part.keep) {
        code = keep_again(db, a, &j, p, no, day, e);
    }
    m->mapped = j.p.mapped;
    return code;
}

enum err_code parts_again(struct db *db, struct arena *a, const struct prepare_settings *p,
                          int64_t no, int32_t day, usec received_at, struct prepared *m,
                          struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, p->site);
    arg_i64(&q, no);
    enum err_code code = db_run(db, a, &part_state, &q, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    bool known = db_count(rows) > 0;
    int64_t whole = known ? db_i64(rows, 0, 0) : 0;
    if (whole == no) {
        return map_whole(db, a, p, no, received_at, m, e);
    }
    return whole || (known && db_bool(rows, 0, 1))
               ? ERR_NONE
               : wait_again(db, a, p, no, day, received_at, m, e);
}
