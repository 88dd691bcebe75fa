#include "core/stream/page.h"

#include <inttypes.h>
#include <stdlib.h>

struct page {
    struct arena *arena;
    struct stored *events;
    size_t count; /* numbers first .. first + count - 1 */
    int64_t first;
    uint64_t used; /* for "least recently used" */
};

struct pages {
    struct page page[PAGES];
    uint64_t turn;
};

DB_STATEMENT(page_read,
             "SELECT seq, id, type, subject, time, recorded_at, source, message_no, mapping, cause,"
             " test, data, sealed FROM dari.event"
             " WHERE site = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq");

struct pages *pages_new(void)
{
    struct pages *p = calloc(1, sizeof *p);
    for (int i = 0; p && i < PAGES; i++) {
        p->page[i].arena = arena_new(0);
        if (!p->page[i].arena) {
            pages_free(&p);
        }
    }
    return p;
}

void pages_free(struct pages **p)
{
    if (*p) {
        for (int i = 0; i < PAGES; i++) {
            arena_free(&(*p)->page[i].arena);
        }
        free(*p);
        *p = NULL;
    }
}

void pages_forget(struct pages *p)
{
    for (int i = 0; i < PAGES; i++) {
        p->page[i].count = 0;
        arena_reset(p->page[i].arena);
    }
}

static void take(struct stored *s, const struct db_rows *r, int i)
{
    *s = (struct stored){
        .seq = db_i64(r, i, 0),
        .id = db_z(r, i, 1),
        .type = db_str(r, i, 2),
        .subject = db_z(r, i, 3),
        .time = db_time(r, i, 4),
        .recorded_at = db_time(r, i, 5),
        .source = db_z(r, i, 6),
        .message_no = db_i64(r, i, 7),
        .mapping = db_null(r, i, 8) ? NULL : db_z(r, i, 8),
        .cause = db_null(r, i, 9) ? NULL : db_z(r, i, 9),
        .test = db_bool(r, i, 10),
        .data = db_str(r, i, 11),
        .sealed = db_null(r, i, 12) ? (struct str){0} : db_str(r, i, 12),
    };
}

static enum err_code fill(struct page *p, struct db *db, const char *site, int64_t first,
                          int64_t last, struct err *e)
{
    struct db_rows *rows;
    struct db_args q = {0};
    p->count = 0;
    arena_reset(p->arena);
    arg_z(&q, site);
    arg_i64(&q, first);
    arg_i64(&q, last);
    enum err_code code = db_run(db, p->arena, &page_read, &q, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    size_t n = (size_t)db_count(rows);
    p->events = arena_array(p->arena, n ? n : 1, sizeof *p->events);
    if (!p->events) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a page of the stream");
    }
    bool dense = n == (size_t)(last - first + 1);
    for (size_t i = 0; dense && i < n; i++) {
        take(&p->events[i], rows, (int)i);
        dense = p->events[i].seq == first + (int64_t)i;
    }
    if (!dense) {
        return ERR(e, ERR_BUG, 0,
                   "the stream is not dense: %zu events where %" PRId64 " to %" PRId64 " must be",
                   n, first, last);
    }
    p->first = first;
    p->count = n;
    return ERR_NONE;
}

enum err_code pages_find(struct pages *p, struct db *db, const char *site, int64_t seq,
                         int64_t head, const struct stored **events, size_t *count, struct err *e)
{
    struct page *oldest = &p->page[0];
    *events = NULL;
    *count = 0;
    p->turn++;
    for (int i = 0; i < PAGES; i++) {
        struct page *x = &p->page[i];
        if (x->count > 0 && seq >= x->first && seq < x->first + (int64_t)x->count) {
            x->used = p->turn;
            *events = x->events + (seq - x->first);
            *count = x->count - (size_t)(seq - x->first);
            return ERR_NONE;
        }
        oldest = x->used < oldest->used ? x : oldest;
    }
    int64_t last = seq + PAGE_EVENTS - 1 < head ? seq + PAGE_EVENTS - 1 : head;
    enum err_code code = fill(oldest, db, site, seq, last, e);
    if (code == ERR_NONE) {
        oldest->used = p->turn;
        *events = oldest->events;
        *count = oldest->count;
    }
    return code;
}
