#include "core/intake/generation.h"

#include <stdlib.h>

struct generation *generation_new(struct catalogue *c, struct mapping_set *m)
{
    struct generation *g = calloc(1, sizeof *g);
    if (!g) {
        mapping_free(&m);
        catalogue_free(&c);
        return NULL;
    }
    g->catalogue = c;
    g->mapping = m;
    g->users = 1;
    return g;
}

struct generation *generation_hold(struct generation *g)
{
    if (g) {
        g->users++;
    }
    return g;
}

void generation_drop(struct generation **pg)
{
    struct generation *g = *pg;
    *pg = NULL;
    if (g && --g->users == 0) {
        mapping_free(&g->mapping);
        catalogue_free(&g->catalogue);
        free(g);
    }
}
