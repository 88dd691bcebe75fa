/*
 * What a segment's conditions may name: attributes of the patient (dari.profile p), the instant of
 * the evaluation (t.now, t.today), and three sets of facts. core/segment/README.md lists them for
 * those who write rules; a test compares the two.
 */
#ifndef DARI_SEGMENT_WORLD_H
#define DARI_SEGMENT_WORLD_H

#include "core/expr/expr.h"

#include <stddef.h>

/* Both end with a NULL name. */
extern const struct expr_name segment_names[];
extern const struct expr_set segment_sets[];

size_t segment_names_count(void);

#endif
