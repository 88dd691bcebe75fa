#include "core/app/contract_view.h"

#include "core/stream/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONTRACTS = 64, NAME = 64 };

struct contract_view {
    const struct config *config;
    struct catalogue *catalogue; /* NULL: could not be read, nothing can be told */
    struct {
        char name[NAME];
        struct contract *contract; /* NULL: not there or not valid any more */
    } known[MAX_CONTRACTS];
    int count;
};

struct contract_view *contract_view_new(const struct config *c)
{
    struct contract_view *v = calloc(1, sizeof *v);
    if (v) {
        struct problems p = {0};
        v->config = c;
        v->catalogue = catalogue_load(c->catalogue, &p);
        problems_release(&p);
    }
    return v;
}

void contract_view_free(struct contract_view **v)
{
    if (*v) {
        for (int i = 0; i < (*v)->count; i++) {
            contract_free(&(*v)->known[i].contract);
        }
        catalogue_free(&(*v)->catalogue);
        free(*v);
        *v = NULL;
    }
}

static const struct contract *find(struct contract_view *v, struct str name)
{
    for (int i = 0; i < v->count; i++) {
        if (str_is(name, v->known[i].name)) {
            return v->known[i].contract;
        }
    }
    if (!v->catalogue || v->count == MAX_CONTRACTS || name.n == 0 || name.n >= NAME ||
        str_find(name, '/', 0) < name.n) {
        return NULL;
    }
    struct problems p = {0};
    int i = v->count++;
    memcpy(v->known[i].name, name.p, name.n);
    v->known[i].contract =
        contract_load(v->config->relay.contracts, v->known[i].name, v->catalogue, &p);
    problems_release(&p);
    return v->known[i].contract;
}

enum passed contract_view_type(struct contract_view *v, struct str label, struct str type)
{
    const struct contract *c = find(v, str_cut(label, 0, str_find(label, '@', 0)));
    if (!c || !str_is(label, contract_label(c))) {
        return PASSED_UNKNOWN;
    }
    return contract_everything(c) || contract_lets(c, type) ? PASSED_YES : PASSED_NO;
}
