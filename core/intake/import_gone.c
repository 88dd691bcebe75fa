#include "core/intake/group.h"
#include "core/intake/import_internal.h"

#include "core/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* So few rows may always be gone, whatever share of all they are. */
enum { FEW = 10 };

/* A file that was cut off, or a report run with the wrong filter, must not cancel everything. */
static bool too_many(const struct adapter_host *h, const struct import *i)
{
    return i->gone.count > FEW && (int64_t)i->gone.count * 100 > i->known_count * h->s.max_gone;
}

static void leave_undone(struct adapter_host *h, struct import *i, const char *why)
{
    snprintf(i->note, sizeof i->note, "%zu rows are no longer there, and were left as they are: %s",
             i->gone.count, why);
    log_warn("intake.gone", "feed=%s batch=%" PRId64 " rows=%zu why=\"%s\"", h->s.feed, i->no,
             i->gone.count, why);
    i->gone.count = 0;
}

static bool add_key(struct import *i, struct gone_keys *l, struct str key)
{
    if (l->count == l->room) {
        size_t room = l->room ? l->room * 2 : 256;
        struct gone_key *more = arena_array(i->reading, room, sizeof *more);
        if (!more) {
            return false;
        }
        if (l->count) {
            memcpy(more, l->keys, l->count * sizeof *more);
        }
        l->keys = more;
        l->room = room;
    }
    memcpy(l->keys[l->count++].key, key.p, ROW_KEY);
    return true;
}

/* A known row, and whether this file has it. Rows of days that it does not cover say nothing. */
static bool look_at(struct adapter_host *h, struct import *i, struct db_rows *rows, int k)
{
    const struct snapshot_covers *c = &h->s.covers;
    struct str key = db_str(rows, k, 0);
    memcpy(i->page, key.p, ROW_KEY);
    bool here = seen_has(i->snapshot.seen, i->page);
    if (c->column && db_null(rows, k, 1)) {
        return true;
    }
    int64_t from_today = c->column ? db_i64(rows, k, 1) - zone_day(clock_now()) : 0;
    if (c->column && (from_today < c->from || from_today > c->to)) {
        return here || from_today > c->to || add_key(i, &i->past, key);
    }
    i->known_count++;
    return here || add_key(i, &i->gone, key);
}

static void all_paged(struct adapter_host *h, struct import *i)
{
    if (i->gone.count && i->unreadable) {
        leave_undone(h, i, "rows of the file could not be read");
    } else if (i->gone.count && too_many(h, i)) {
        leave_undone(h, i, "they are more than max-gone allows");
    }
    i->stage = IMPORT_FORGET;
    if (i->past.count == 0) {
        import_forgot(i);
    }
}

void import_forgot(struct import *i)
{
    i->stage = i->gone.count ? IMPORT_FETCH : IMPORT_CLOSE;
}

void import_paged(struct adapter_host *h, struct import *i, struct db_rows *rows)
{
    bool ok = true;
    for (int k = 0; k < db_count(rows) && ok; k++) {
        ok = look_at(h, i, rows, k);
    }
    i->paged = true;
    if (!ok) {
        struct err e;
        ERR(&e, ERR_NOMEM, 0, "no memory for rows that are gone");
        import_again(h, i, &e);
    } else if (db_count(rows) < SNAPSHOT_PAGE) {
        all_paged(h, i);
    }
}

static size_t next_count(const struct adapter_host *h, const struct import *i)
{
    size_t left = i->gone.count - i->gone_next, max = i->solo ? 1 : (size_t)h->s.max_group;
    return left < max ? left : max;
}

enum err_code import_page_args(const struct import *i, struct db_args *q,
                               const struct db_statement **st)
{
    snapshot_page_args(&i->snapshot, i->paged ? i->page : NULL, q, st);
    return ERR_NONE;
}

enum err_code import_fetch_args(const struct adapter_host *h, const struct import *i,
                                struct arena *a, struct db_args *q, const struct db_statement **st,
                                struct err *e)
{
    return snapshot_gone_args(&i->snapshot, a, &i->gone.keys[i->gone_next], next_count(h, i), q, st,
                              e);
}

/* Gone rows have no number in the file: their messages are named by their key. */
static void name_gone(const struct gone_key *k, char out[2 * ROW_KEY + 2])
{
    out[0] = '-';
    for (size_t i = 0; i < ROW_KEY; i++) {
        snprintf(out + 1 + 2 * i, 3, "%02x", k->key[i]);
    }
}

/* What a gone row was becomes a message; one that is no longer kept is only forgotten. */
void import_fetched(struct adapter_host *h, struct import *i, struct db_rows *rows)
{
    struct err e = {0};
    enum err_code rc = ERR_NONE;
    arena_reset(i->chunk);
    for (int k = 0; k < db_count(rows) && rc == ERR_NONE; k++) {
        const struct str *cells;
        char name[2 * ROW_KEY + 2];
        struct job *j;
        size_t at = i->gone_next + (size_t)db_i64(rows, k, 0) - 1;
        rc = snapshot_gone(&i->snapshot, i->chunk, rows, k, &cells, &e);
        if (rc == ERR_NOTFOUND) {
            rc = ERR_NONE;
            continue;
        }
        if (rc == ERR_NONE) {
            name_gone(&i->gone.keys[at], name);
            rc = import_row_job(h, i, 0, cells, NULL, name, &j, &e);
        }
    }
    if (rc != ERR_NONE) {
        import_again(h, i, &e);
        return;
    }
    i->told = next_count(h, i);
    i->stage = IMPORT_TELL;
}

void import_told(struct import *i)
{
    i->gone_next += i->told;
    i->stage = i->gone_next < i->gone.count ? IMPORT_FETCH : IMPORT_CLOSE;
}
