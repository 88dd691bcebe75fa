#include "core/ledger/verify_later.h"

#include "core/base/num.h"
#include "core/ledger/entry.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FIRST_SIZE = 256 };

struct later_message {
    int64_t no, idx; /* no 0: an empty slot */
    char stored, said;
};

/* Its slot, or the empty one where it would be. */
static struct later_message *slot_of(const struct later *l, int64_t no)
{
    size_t i = (size_t)((uint64_t)no * 0x9e3779b97f4a7c15u >> 32) & (l->size - 1);
    while (l->slots[i].no && l->slots[i].no != no) {
        i = (i + 1) & (l->size - 1);
    }
    return &l->slots[i];
}

static enum err_code grow(struct later *l, struct err *e)
{
    struct later more = {.size = l->size ? l->size * 2 : FIRST_SIZE, .count = l->count};
    more.slots = calloc(more.size, sizeof *more.slots);
    if (!more.slots) {
        return ERR(e, ERR_NOMEM, 0, "no memory for messages that were reprocessed");
    }
    for (size_t i = 0; i < l->size; i++) {
        if (l->slots[i].no) {
            *slot_of(&more, l->slots[i].no) = l->slots[i];
        }
    }
    free(l->slots);
    *l = more;
    return ERR_NONE;
}

enum err_code later_keep(struct later *l, int64_t no, int64_t idx, char stored, char said,
                         struct err *e)
{
    if (l->count * 2 >= l->size && grow(l, e) != ERR_NONE) {
        return ERR_NOMEM;
    }
    struct later_message *m = slot_of(l, no);
    l->count += m->no == 0;
    *m = (struct later_message){no, idx, stored, said};
    return ERR_NONE;
}

static void say(struct later *l, int64_t no, char state)
{
    struct later_message *m = no > 0 && l->count ? slot_of(l, no) : NULL;
    if (m && m->no) {
        m->said = state;
    }
}

/* parts=12,13,17 but for the whole message itself, whose own entry says what became of it */
static void say_parts(struct later *l, struct str body, char state)
{
    struct str rest = entry_get(body, "parts"), part;
    int64_t whole = entry_number(body, "message"), no;
    while (str_next(&rest, ',', &part)) {
        if (num_i64(part, 1, INT64_MAX, &no, NULL) == ERR_NONE && no != whole) {
            say(l, no, state);
        }
    }
}

void later_entry(struct later *l, struct str body)
{
    struct str kind = entry_kind(body), state = entry_get(body, "state");
    if (str_is(kind, "reprocessed")) { /* with events, it has no state: mapped */
        say(l, entry_number(body, "message"), state.n ? state.p[0] : 'm');
    } else if (str_is(kind, "given-up")) {
        say_parts(l, body, 'q');
    } else if (str_is(kind, "joined")) {
        say_parts(l, body, 'i');
    }
}

void later_end(const struct later *l, struct walk *w)
{
    for (size_t i = 0; i < l->size; i++) {
        const struct later_message *m = &l->slots[i];
        if (m->no && m->stored != m->said) {
            walk_problem(w, m->idx, "names message %" PRId64 ", whose state no later entry says",
                         m->no);
        }
    }
}

void later_free(struct later *l)
{
    free(l->slots);
    *l = (struct later){NULL, 0, 0};
}
