/*
 * What messages of a feed are mapped with: catalogue, mapping set, character sets. A reload gives
 * the host a new generation while messages of the old one are under way; these point into it (types
 * of their events, names of their mapping), so each holds it until its reply has left. The last one
 * frees it.
 */
#ifndef DARI_INTAKE_GENERATION_H
#define DARI_INTAKE_GENERATION_H

#include "core/base/charset.h"
#include "core/mapping/mapping.h"

struct generation {
    struct catalogue *catalogue; /* owned; may be NULL when somebody else has it */
    struct mapping_set *mapping; /* owned */
    bool has_charset;            /* `charset` overrides what a message says */
    enum charset charset, fallback;
    size_t users;
};

/*
 * Held once, by the caller. Takes both over, also when memory is out; then NULL is returned and
 * both are freed.
 */
struct generation *generation_new(struct catalogue *c, struct mapping_set *m);
struct generation *generation_hold(struct generation *g); /* returns it; NULL stays NULL */
void generation_drop(struct generation **g);

#endif
