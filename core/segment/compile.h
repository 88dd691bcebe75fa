/* Inside core/segment: conditions become statements. */
#ifndef DARI_SEGMENT_COMPILE_H
#define DARI_SEGMENT_COMPILE_H

#include "core/base/buf.h"
#include "core/segment/rule.h"

/* A quoted SQL text. */
void sql_literal(struct buf *b, const char *text);

/* Makes the three statements of struct segment_rules. False: out of memory. */
bool rules_compile(struct arena *a, struct segment_rules *r);

/*
 * A query for one rule and one patient ($1 site, $2 now, $3 today, $4 patient): whether the patient
 * is retired, one truth per condition, then one text per name of the rule's world. NULL: out of
 * memory.
 */
const char *rule_explain_sql(struct arena *a, const struct segment_rule *r);

#endif
