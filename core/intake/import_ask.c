#include "core/intake/import.h"
#include "core/intake/import_internal.h"

#define READY_FOR USEC_SECOND

static enum err_code args(struct adapter_host *h, struct import *i, struct db_args *q,
                          const struct db_statement **st, struct err *e)
{
    struct arena *a = h->group_arena;
    arena_reset(a);
    switch (i->stage) {
    case IMPORT_OPEN:
        return import_open_args(h, i, q, st);
    case IMPORT_COMPARE:
        return snapshot_compare_args(&i->snapshot, a, i->held, i->held_count, q, st, e);
    case IMPORT_COMMIT:
        return import_commit_args(h, i, &i->group, i->position, a, q, st, e);
    case IMPORT_PAGE:
        return import_page_args(i, q, st);
    case IMPORT_FORGET:
        return import_forget_args(h, i, a, q, st, e);
    case IMPORT_FETCH:
        return import_fetch_args(h, i, a, q, st, e);
    case IMPORT_TELL:
        return import_tell_args(h, i, a, q, st, e);
    default:
        return import_close_args(h, i, a, q, st);
    }
}

/* For what was read ahead; its time is that of its making, and should be about that of its commit.
 */
static bool is_ready(const struct import *i)
{
    const struct ready *r = &i->ready;
    return r->is && i->stage == IMPORT_COMMIT && r->from == i->position &&
           r->count == i->group.count && clock_mono() - r->made < READY_FOR;
}

bool import_ask(struct adapter_host *h, struct import *i)
{
    struct db_args q = {0};
    const struct db_statement *st;
    struct err e = {0};
    const struct ready *r = &i->ready;
    bool ready = is_ready(i);
    enum err_code rc = ready ? ERR_NONE : args(h, i, &q, &st, &e);
    i->ready.is = false;
    i->sent_at = import_reaches(i, &i->group);
    if (rc == ERR_NONE) {
        h->doing = DOING_IMPORT;
        i->asked = true; /* its end may come from within the call */
        rc = db_async_run(h->db, ready ? r->statement : st, ready ? &r->args : &q, &e);
    }
    if (rc != ERR_NONE) {
        i->asked = false;
        import_again(h, i, &e);
    }
    return i->asked;
}

/* Without memory for it the statement is made when it is wanted, and may fail then. */
static void make_ready(struct adapter_host *h, struct import *i)
{
    struct err e = {0};
    struct ready *r = &i->ready;
    arena_reset(r->arena);
    r->args = (struct db_args){0};
    r->from = i->sent_at;
    r->count = i->ahead.count;
    r->made = clock_mono();
    r->is = import_commit_args(h, i, &i->ahead, r->from, r->arena, &r->args, &r->statement, &e) ==
            ERR_NONE;
}

void import_ahead(struct adapter_host *h)
{
    struct import *i = h->import;
    if (!i || !i->asked || i->stage != IMPORT_COMMIT || i->ready.is) {
        return;
    }
    if (import_read_ahead(h, i)) {
        host_soon(h);
    } else if (i->ahead.count) {
        make_ready(h, i);
    }
}
