#include "core/intake/group.h"
#include "core/intake/import_internal.h"

DB_STATEMENT(
    import_open,
    "SELECT no, turn, known, position, (SELECT k.columns FROM dari.snapshot_key k "
    "WHERE k.site = $1 AND k.feed = $2 AND EXISTS (SELECT 1 FROM dari.snapshot s "
    "WHERE s.site = $1 AND s.feed = $2)) FROM dari.batch_open($1, $2, $3, $4, $5, $6, $7, $8)");

/*
 * A condition that depends on no row is looked at before any row is asked for: the file is locked
 * first and the stream behind it, as everywhere (core/store/README.md).
 * `state` is negative for a message that an earlier attempt committed: only its reply is
 * wanted.
 */
DB_STATEMENT(
    import_commit,
    "WITH g AS MATERIALIZED (SELECT ord, outcome, no, reply FROM " GROUP_CALL " WHERE "
    "(SELECT b.no FROM dari.batch b WHERE b.site = $1 AND b.no = $16 FOR UPDATE) IS NOT NULL), "
    "j AS (SELECT CASE WHEN g.outcome = 1 THEN 3 WHEN g.outcome = 2 AND g.reply IS NOT NULL THEN 2 "
    "ELSE u.state END AS state, u.events FROM g JOIN unnest($14::bigint[], $15::bigint[]) "
    "WITH ORDINALITY AS u(state, events, ord) ON u.ord = g.ord WHERE u.state >= 0), "
    "c AS (SELECT count(*) AS read, count(*) FILTER (WHERE state = 0) AS mapped, "
    "count(*) FILTER (WHERE state = 1) AS ignored, count(*) FILTER (WHERE state = 2) AS rejected, "
    "count(*) FILTER (WHERE state = 3) AS duplicates, "
    "coalesce(sum(events) FILTER (WHERE state = 0), 0) AS events FROM j), "
    "b AS (UPDATE dari.batch AS b SET position = greatest(b.position, $17), bytes = $18, "
    "last_at = $3, read = b.read + c.read, mapped = b.mapped + c.mapped, "
    "ignored = b.ignored + c.ignored, rejected = b.rejected + c.rejected, "
    "duplicates = b.duplicates + c.duplicates, events = b.events + c.events "
    "FROM c WHERE b.site = $1 AND b.no = $16) "
    "SELECT ord, outcome, no, reply FROM g ORDER BY ord");

/* Of rows that are gone: they were not read, and are forgotten. */
DB_STATEMENT(
    import_tell,
    "WITH g AS MATERIALIZED (SELECT ord, outcome, no, reply FROM " GROUP_CALL " WHERE "
    "(SELECT b.no FROM dari.batch b WHERE b.site = $1 AND b.no = $15 FOR UPDATE) IS NOT NULL), "
    "c AS (SELECT count(*) AS gone, coalesce(sum(events) FILTER (WHERE outcome <> 1), 0) AS events "
    "FROM g JOIN unnest($14::bigint[]) WITH ORDINALITY AS u(events, ord) USING (ord)), "
    "b AS (UPDATE dari.batch AS b SET gone = b.gone + c.gone, events = b.events + c.events, "
    "last_at = $3 FROM c WHERE b.site = $1 AND b.no = $15), "
    "s AS (DELETE FROM dari.snapshot AS s WHERE s.site = $1 AND s.feed = $2 AND "
    "s.key = ANY ($16::bytea[])) "
    "SELECT ord, outcome, no, reply FROM g ORDER BY ord");
DB_STATEMENT(import_forget, "DELETE FROM dari.snapshot WHERE site = $1 AND feed = $2 AND "
                            "key = ANY ($3::bytea[])");

DB_STATEMENT(import_close, "SELECT read, mapped, ignored, unchanged, rejected, duplicates, events "
                           "FROM dari.batch_close($1, $2, $3, $4, $5, $6, $7, $8)");

int64_t import_reaches(const struct import *i, const struct jobs *group)
{
    int64_t at = i->at;
    if (!i->snapshot.seen) {
        for (const struct job *j = group->first; j; j = j->next) {
            at = j->number;
        }
    }
    return at;
}

const char *import_problem(const struct import *i, struct arena *a)
{
    const struct err *p = &i->problem;
    const char *text = p->where[0] ? arena_printf(a, "%s: %s", p->where, p->msg)
                       : p->pos    ? arena_printf(a, "byte %zu: %s", p->pos, p->msg)
                                   : arena_z(a, str_of(p->msg));
    return text ? text : "no memory";
}

enum err_code import_open_args(const struct adapter_host *h, const struct import *i,
                               struct db_args *q, const struct db_statement **st)
{
    *st = &import_open;
    arg_z(q, h->s.site);
    arg_z(q, h->s.feed);
    arg_bytes(q, (struct str){(const char *)i->digest, sizeof i->digest});
    arg_z(q, i->name);
    arg_i64(q, i->size);
    arg_z(q, i->mark);
    arg_bool(q, h->s.snapshot);
    arg_time(q, clock_now());
    return ERR_NONE;
}

enum err_code import_commit_args(const struct adapter_host *h, const struct import *i,
                                 const struct jobs *group, int64_t from, struct arena *a,
                                 struct db_args *q, const struct db_statement **st, struct err *e)
{
    struct db_array *states = db_array_new(a), *events = db_array_new(a);
    const struct db_statement *call;
    if (source_table(i->source)) {
        return import_rows_args(h, i, group, from, a, q, st, e);
    }
    if (!states || !events) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    for (const struct job *j = group->first; j; j = j->next) {
        const struct mapped *m = &j->p.mapped;
        db_array_i64(states, j->number > from ? (int64_t)m->state : -1);
        db_array_i64(events, (int64_t)group_events(m));
    }
    enum err_code rc = group_args(&h->s, a, group->first, clock_now(), &call, q, e);
    *st = &import_commit;
    arg_array(q, states);
    arg_array(q, events);
    arg_i64(q, i->no);
    arg_i64(q, import_reaches(i, group));
    arg_i64(q, source_bytes(i->source));
    return rc;
}

enum err_code import_tell_args(const struct adapter_host *h, const struct import *i,
                               struct arena *a, struct db_args *q, const struct db_statement **st,
                               struct err *e)
{
    struct db_array *events = db_array_new(a), *keys = db_array_new(a);
    const struct db_statement *group;
    enum err_code rc = ERR_NONE;
    if (!events || !keys) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a group");
    }
    for (size_t k = 0; k < i->told; k++) {
        db_array_bytes(keys,
                       (struct str){(const char *)i->gone.keys[i->gone_next + k].key, ROW_KEY});
    }
    if (!i->group.first) {
        *st = &import_forget;
        arg_z(q, h->s.site);
        arg_z(q, h->s.feed);
        arg_array(q, keys);
        return ERR_NONE;
    }
    for (const struct job *j = i->group.first; j; j = j->next) {
        db_array_i64(events, (int64_t)group_events(&j->p.mapped));
    }
    rc = group_args(&h->s, a, i->group.first, clock_now(), &group, q, e);
    *st = &import_tell;
    arg_array(q, events);
    arg_i64(q, i->no);
    arg_array(q, keys);
    return rc;
}

enum err_code import_forget_args(const struct adapter_host *h, const struct import *i,
                                 struct arena *a, struct db_args *q, const struct db_statement **st,
                                 struct err *e)
{
    struct db_array *keys = db_array_new(a);
    if (!keys) {
        return ERR(e, ERR_NOMEM, 0, "no memory for rows that are past");
    }
    for (size_t k = 0; k < i->past.count; k++) {
        db_array_bytes(keys, (struct str){(const char *)i->past.keys[k].key, ROW_KEY});
    }
    *st = &import_forget;
    arg_z(q, h->s.site);
    arg_z(q, h->s.feed);
    arg_array(q, keys);
    return ERR_NONE;
}

enum err_code import_close_args(const struct adapter_host *h, const struct import *i,
                                struct arena *a, struct db_args *q, const struct db_statement **st)
{
    *st = &import_close;
    arg_z(q, h->s.site);
    arg_i64(q, i->no);
    arg_time(q, clock_now());
    arg_z(q, i->refused ? "refused" : "taken");
    arg_z(q, i->refused ? import_problem(i, a) : i->note[0] ? i->note : NULL);
    /* A refused one may come again, and goes on behind what was committed. */
    arg_i64(q, i->refused ? i->position : i->at);
    arg_i64(q, i->refused ? 0 : i->unchanged);
    arg_i64(q, i->source ? source_bytes(i->source) : 0);
    return ERR_NONE;
}
