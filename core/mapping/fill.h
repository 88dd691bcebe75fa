/*
 * Inside core/mapping: the payload of one event, field by field as its rules say. What the
 * catalogue requires and no rule found is ERR_REQUIRED with the place where it should have been.
 */
#ifndef DARI_MAPPING_FILL_H
#define DARI_MAPPING_FILL_H

#include "core/mapping/find.h"

/* *any is false when an event of changes has none: then it is no event. */
enum err_code fill_event(const struct run *r, const struct event_rule *x, const struct spot *at,
                         struct event_builder *b, bool *any, struct err *e);

#endif
