#include "core/intake/group.h"
#include "core/intake/import_internal.h"

#include "core/table/row.h"

#include <inttypes.h>
#include <string.h>

/* A group is larger by at most one message; as much again may be read ahead, AHEAD messages at a
 * time: between them the loop sends the statement on, and serves others. */
enum { GROUP_BYTES = 16 * 1024 * 1024, AHEAD = 32 };

/* The keys of rows are made of these columns: with others nobody is known. */
static enum err_code same_key(struct adapter_host *h, struct import *i, struct err *e)
{
    i->key = snapshot_key_names(&i->snapshot, i->reading, source_table(i->source));
    if (!i->key) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a snapshot");
    }
    if (i->key_before && strcmp(i->key, i->key_before) != 0) {
        return ERR(e, ERR_REFUSED, 0,
                   "rows were told apart by %s until now and are by %s in this file: all would be "
                   "new. If that is meant: dari feed forget-rows %s, then give this file again",
                   i->key_before, i->key, h->s.feed);
    }
    return ERR_NONE;
}

/*
 * The replies of a batch are wanted from its first message on: those committed before come again.
 * The keys of a snapshot are wanted from its first row on.
 */
enum err_code import_open_source(struct adapter_host *h, struct import *i, struct err *e)
{
    struct generation *g = i->generation = generation_hold(h->generation);
    struct source_settings s = {.charset = g->has_charset ? &g->charset : NULL,
                                .fallback = g->fallback,
                                .table = h->s.table};
    s.table.charset = s.charset;
    s.table.fallback = s.fallback;
    s.table.names = mapping_headers(g->mapping);
    enum err_code rc = source_open(i->path, &s, &i->source, e);
    const struct table *t = rc == ERR_NONE ? source_table(i->source) : NULL;
    if (rc == ERR_NONE && t && h->s.snapshot) {
        i->snapshot = (struct snapshot){.site = h->s.site,
                                        .feed = h->s.feed,
                                        .keys = h->s.keys,
                                        .day_column = h->s.covers.column};
        rc = snapshot_begin(&i->snapshot, i->reading, t, e);
        return rc == ERR_NONE ? same_key(h, i, e) : rc;
    }
    if (rc == ERR_NONE && !source_batch(i->source)) {
        rc = source_seek(i->source, i->position, e);
    }
    return rc;
}

static bool is_snapshot(const struct import *i)
{
    return i->snapshot.seen != NULL;
}

/* ---- jobs ---- */

/* No control id may come twice in a group: one that was used before is seen only once that is
 * committed. Only HL7 v2 brings its own. */
static bool clashes(const struct jobs *l, const struct job *j)
{
    for (const struct job *x = j->p.message ? l->first : NULL; x; x = x->next) {
        if (memcmp(x->p.id, j->p.id, sizeof j->p.id) == 0 ||
            (j->p.control_id.n && str_eq(x->p.control_id, j->p.control_id))) {
            return true;
        }
    }
    return false;
}

/* Into what is being filled, or held back for the next. */
static void push(struct import *i, struct job *j)
{
    struct jobs *to = i->ahead_of ? &i->ahead : &i->group;
    i->back = clashes(to, j) ? j : NULL;
    if (!i->back) {
        jobs_push(to, j);
        i->bytes[i->ahead_of] += j->p.raw.n;
    }
}

/* Is there room for another one, and another one? */
static bool goes_on(const struct adapter_host *h, const struct import *i)
{
    const struct jobs *to = i->ahead_of ? &i->ahead : &i->group;
    size_t max = i->solo ? 1 : (size_t)h->s.max_group;
    return to->count < max && i->bytes[i->ahead_of] < GROUP_BYTES &&
           (i->back ? !clashes(to, i->back) : !(i->ended && i->held_next == i->held_count));
}

/* The control id names the file and the place in it. */
static enum err_code add_job(struct adapter_host *h, struct import *i, int64_t number,
                             const char *suffix, struct str bytes, struct job **out, struct err *e)
{
    struct job *j = host_job(h);
    char *id = j ? arena_printf(j->arena, "%s#%" PRId64 "%s", i->label, number, suffix) : NULL;
    if (j) {
        j->silent = !source_batch(i->source);
    }
    enum err_code rc = id ? host_prepare(h, j, str_of(id), bytes, e)
                          : ERR(e, ERR_NOMEM, 0, "no memory for a message");
    if (rc != ERR_NONE) {
        if (j) {
            host_job_done(h, j);
        }
        return rc;
    }
    j->number = number;
    push(i, j);
    *out = j;
    return ERR_NONE;
}

enum err_code import_row_job(struct adapter_host *h, struct import *i, int64_t number,
                             const struct str *before, const struct str *now, const char *suffix,
                             struct job **out, struct err *e)
{
    struct buf b;
    size_t columns;
    const struct str *header = table_header(source_table(i->source), &columns);
    buf_init(&b, SOURCE_MAX);
    row_write(&b, header, columns, before, now);
    enum err_code rc = buf_ok(&b) ? add_job(h, i, number, suffix, buf_str(&b), out, e)
                                  : ERR(e, ERR_NOMEM, 0, "no memory for a row");
    buf_release(&b);
    return rc;
}

/* A row that cannot be read is kept as it was found. */
static enum err_code found_job(struct adapter_host *h, struct import *i, int64_t number,
                               const struct str *found, size_t count, struct job **out,
                               struct err *e)
{
    struct buf b;
    size_t columns;
    const struct str *header = table_header(source_table(i->source), &columns);
    buf_init(&b, SOURCE_MAX);
    row_write_found(&b, header, columns, found, count);
    enum err_code rc = buf_ok(&b) ? add_job(h, i, number, "", buf_str(&b), out, e)
                                  : ERR(e, ERR_NOMEM, 0, "no memory for a row");
    buf_release(&b);
    return rc;
}

/* Its reply, in a batch, says so. */
static enum err_code quarantine(struct adapter_host *h, struct job *j, const struct err *why,
                                struct err *e)
{
    j->p.mapped = (struct mapped){.state = MAPPING_QUARANTINED, .problem = *why};
    return job_replies(&h->s, j, j->p.raw, j->at, e);
}

/* ---- every message is news ---- */

static enum err_code read_part(struct adapter_host *h, struct import *i, struct err *e)
{
    struct part p;
    struct job *j = NULL;
    bool more = true;
    if (i->back) {
        push(i, i->back);
        return ERR_NONE;
    }
    enum err_code rc = source_next(i->source, &p, &more, e);
    if (rc != ERR_NONE || !more) {
        i->ended = rc == ERR_NONE;
        return rc;
    }
    bool bad = p.row && p.row->problem.code != ERR_NONE;
    rc = bad     ? found_job(h, i, p.number, p.row->found, p.row->found_count, &j, e)
         : p.row ? import_row_job(h, i, p.number, NULL, p.row->cells, "", &j, e)
                 : add_job(h, i, p.number, "", p.bytes, &j, e);
    if (rc == ERR_NONE && bad) {
        rc = quarantine(h, j, &p.row->problem, e);
    } else if (rc == ERR_NONE && j->p.part.is) {
        struct err why = {.code = ERR_NONE};
        ERR(&why, ERR_UNSUPPORTED, 0,
            "parts of a message are joined on a connection, not in a file");
        rc = quarantine(h, j, &why, e);
    }
    i->at = rc == ERR_NONE ? p.number : i->at;
    return rc;
}

/* ---- only changes are news ---- */

/* Fills the chunk. Rows that were committed before are only looked at for their keys. */
static enum err_code hold_rows(struct import *i, struct err *e)
{
    struct part p;
    bool more = true;
    size_t bytes = 0;
    enum err_code rc = ERR_NONE;
    arena_reset(i->chunk);
    i->held_count = i->held_next = 0;
    i->held = arena_array(i->chunk, SNAPSHOT_ROWS, sizeof *i->held);
    if (!i->held) {
        return ERR(e, ERR_NOMEM, 0, "no memory for rows");
    }
    while (rc == ERR_NONE && i->held_count < SNAPSHOT_ROWS && bytes < SNAPSHOT_BYTES) {
        struct held *row = &i->held[i->held_count];
        rc = source_next(i->source, &p, &more, e);
        if (rc != ERR_NONE || !more) {
            i->ended = rc == ERR_NONE;
            break;
        }
        rc = snapshot_hold(&i->snapshot, i->chunk, p.row, row, e);
        for (size_t k = 0; rc == ERR_NONE && k < row->count; k++) {
            bytes += row->cells[k].n;
        }
        i->unreadable += rc == ERR_NONE && row->is == HELD_BAD;
        i->held_count += rc == ERR_NONE && row->number > i->position;
    }
    return rc;
}

static enum err_code use_row(struct adapter_host *h, struct import *i, struct err *e)
{
    struct held *row = &i->held[i->held_next++];
    struct job *j = NULL;
    enum err_code rc = ERR_NONE;
    if (row->is == HELD_SAME) {
        i->unchanged++;
    } else if (row->found) {
        rc = found_job(h, i, row->number, row->cells, row->count, &j, e);
    } else {
        const struct str *before = row->is == HELD_CHANGED ? row->before : NULL;
        rc = import_row_job(h, i, row->number, before, row->cells, "", &j, e);
    }
    if (j) {
        j->held = row;
    }
    if (j && row->is == HELD_BAD) {
        rc = quarantine(h, j, &row->problem, e);
    }
    i->at = rc == ERR_NONE ? row->number : i->at;
    return rc;
}

static enum err_code read_snapshot(struct adapter_host *h, struct import *i, struct err *e)
{
    if (i->held_next < i->held_count) {
        return use_row(h, i, e);
    }
    enum err_code rc = hold_rows(i, e);
    if (rc == ERR_NONE && i->held_count) {
        i->stage = IMPORT_COMPARE;
    }
    return rc;
}

/* ---- both ---- */

static enum import_stage after_end(const struct adapter_host *h, struct import *i)
{
    return is_snapshot(i) && h->s.covers.any ? IMPORT_PAGE : IMPORT_CLOSE;
}

/* Messages before an error are committed before it counts. */
static void read_failed(struct adapter_host *h, struct import *i, const struct err *why)
{
    if (i->group.count && err_class(why->code) != ERR_CLASS_RETRY) {
        i->later = *why;
        i->stage = IMPORT_COMMIT;
    } else if (err_class(why->code) == ERR_CLASS_RETRY) {
        import_again(h, i, why);
    } else {
        import_refuse(i, why);
    }
}

bool import_read_ahead(struct adapter_host *h, struct import *i)
{
    enum err_code rc = ERR_NONE;
    if (is_snapshot(i) || i->solo) {
        return false;
    }
    i->ahead_of = true;
    for (int n = 0; n < AHEAD && rc == ERR_NONE && i->later.code == ERR_NONE && goes_on(h, i);
         n++) {
        rc = read_part(h, i, &i->later);
    }
    bool more = rc == ERR_NONE && i->later.code == ERR_NONE && goes_on(h, i);
    i->ahead_of = false;
    return more;
}

void import_read(struct adapter_host *h, struct import *i)
{
    struct err e = i->later;
    if (i->back && goes_on(h, i)) {
        push(i, i->back);
    }
    enum err_code rc = i->later.code ? i->later.code
                       : i->source   ? ERR_NONE
                                     : import_open_source(h, i, &e);
    while (rc == ERR_NONE && i->stage == IMPORT_READ && goes_on(h, i)) {
        if (is_snapshot(i) && i->held_next == i->held_count && i->group.count) {
            break; /* the rows of the group lie in the chunk */
        }
        rc = is_snapshot(i) ? read_snapshot(h, i, &e) : read_part(h, i, &e);
    }
    if (rc == ERR_NONE && i->stage == IMPORT_READ) {
        i->stage = i->group.count ? IMPORT_COMMIT : after_end(h, i);
    } else if (rc != ERR_NONE) {
        read_failed(h, i, &e);
    }
}
