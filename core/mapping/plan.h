/*
 * Inside core/mapping: a set made ready for each type of message that it names. For HL7 v2 the
 * type is what most conditions ask for first (MSH-9.2 = 'A04'); once it is known, most events of a
 * mapping cannot be and most of what their conditions ask is answered. That is worked out here,
 * when the set is loaded.
 */
#ifndef DARI_MAPPING_PLAN_H
#define DARI_MAPPING_PLAN_H

#include "core/mapping/mapping_internal.h"

struct plan {
    struct str code, trigger;
    const struct mapping **mappings; /* those for this type, without what cannot apply to it */
    size_t count;
};

/* Is a mapping for messages of this type? */
bool plan_meant_for(const struct mapping *m, struct str code, struct str trigger);

/* Makes all plans of a loaded set; false when memory is out. */
bool plan_all(struct mapping_set *m);

/* For messages whose MSH-9.1 and MSH-9.2 are exactly these; NULL: no mapping names this type. */
const struct plan *plan_find(const struct mapping_set *m, struct str code, struct str trigger);

#endif
