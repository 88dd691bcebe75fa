#include "core/intake/jobs.h"

#include <stdlib.h>

void jobs_init(struct jobs *l)
{
    *l = (struct jobs){.last = NULL};
    l->last = &l->first;
}

void jobs_push(struct jobs *l, struct job *j)
{
    j->next = NULL;
    *l->last = j;
    l->last = &j->next;
    l->count++;
}

struct job *jobs_pop(struct jobs *l)
{
    struct job *j = l->first;
    if (j) {
        l->first = j->next;
        l->count--;
        if (!l->first) {
            l->last = &l->first;
        }
    }
    return j;
}

void jobs_take(struct jobs *l, struct jobs *from)
{
    *l = *from;
    if (!l->first) {
        l->last = &l->first;
    }
    jobs_init(from);
}

void jobs_spread(struct jobs *l)
{
    for (struct job *j = l->first; j; j = j->next) {
        while (j->repeats) {
            struct job *r = j->repeats;
            j->repeats = r->repeats;
            r->repeats = NULL;
            r->next = j->next;
            j->next = r;
            l->last = l->last == &j->next ? &r->next : l->last;
            l->count++;
        }
    }
}

void job_free(struct job *j)
{
    generation_drop(&j->generation);
    arena_free(&j->arena);
    free(j);
}

void jobs_free(struct jobs *l)
{
    jobs_spread(l);
    for (struct job *j; (j = jobs_pop(l));) {
        struct bundle *b = j->bundle;
        if (b && bundle_answer(b, j->place, STR(""), false)) {
            bundle_free(&b);
        }
        job_free(j);
    }
}
