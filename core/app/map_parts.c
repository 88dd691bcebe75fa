#include "core/app/map_parts.h"

#include <string.h>

enum { MOST = 10000 };

static struct map_part *find(const struct map_parts *l, const char *key, bool before)
{
    struct map_part *p = l->waiting;
    while (p && strcmp(before ? p->pointers.continued : p->pointers.continues, key) != 0) {
        p = p->next;
    }
    return p;
}

/* The first part of the message that this one belongs to; NULL: it is not there. */
static struct map_part *first_of(const struct map_parts *l, struct map_part *p)
{
    for (size_t i = 0; p && p->pointers.continues[0]; i++) {
        p = i < MOST ? find(l, p->pointers.continues, true) : NULL;
    }
    return p;
}

/* All of them in order, 0 when one is missing. */
static size_t chain(const struct map_parts *l, struct map_part *first, struct map_part **out)
{
    size_t n = 0;
    for (struct map_part *p = first; p && n < MOST; p = find(l, p->pointers.continued, false)) {
        out[n++] = p;
        if (!p->pointers.continued[0]) {
            return n;
        }
    }
    return 0;
}

static void take_out(struct map_parts *l, const struct map_part *gone)
{
    for (struct map_part **at = &l->waiting; *at; at = &(*at)->next) {
        if (*at == gone) {
            *at = gone->next;
            return;
        }
    }
}

static struct map_part *keep(struct map_parts *l, const struct prepared *p)
{
    l->memory = l->memory ? l->memory : arena_new(0);
    struct map_part *part = l->memory ? arena_alloc(l->memory, sizeof *part) : NULL;
    struct str raw = part ? arena_copy(l->memory, p->raw) : STR("");
    if (!part || !raw.p) {
        return NULL;
    }
    *part = (struct map_part){.next = l->waiting, .pointers = p->part, .raw = raw};
    memcpy(part->id, p->id, sizeof part->id);
    l->waiting = part;
    return part;
}

enum err_code map_parts_add(struct map_parts *l, const struct prepare_settings *s, struct arena *a,
                            const char *file, size_t n, usec at, struct prepared *p, struct err *e)
{
    struct map_part *part = keep(l, p);
    struct map_part **all = arena_array(a, MOST, sizeof *all);
    struct str *raws = arena_array(a, MOST, sizeof *raws);
    if (!part || !all || !raws) {
        return ERR(e, ERR_NOMEM, 0, "no memory for a message of several parts");
    }
    part->file = file;
    part->n = n;
    size_t count = chain(l, first_of(l, part), all);
    for (size_t i = 0; i < count; i++) {
        raws[i] = all[i]->raw;
        take_out(l, all[i]);
    }
    return count ? prepare_joined(s, a, raws, count, all[0]->id, at, &p->mapped, e) : ERR_NONE;
}

void map_parts_free(struct map_parts *l)
{
    arena_free(&l->memory);
    l->waiting = NULL;
}
