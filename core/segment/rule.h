/*
 * Segments as they are written (the XML files of config/segments): loaded once, checked by RELAX NG
 * and then by meaning, compiled to SQL. Names of the language: core/segment/world.h.
 */
#ifndef DARI_SEGMENT_RULE_H
#define DARI_SEGMENT_RULE_H

#include "core/base/arena.h"
#include "core/base/problem.h"
#include "core/expr/expr.h"
#include "core/store/db.h"

struct segment_when {
    const char *reason;
    struct str text; /* as written */
    int line;
    const char *sql; /* boolean; over dari.profile p and t(now, today) */
};

struct segment_rule {
    const char *id, *name, *title, *about, *file;
    int version;
    const struct segment_when *whens;
    size_t when_count;
    const struct expr_param *params; /* NULL name at the end */
    const struct expr_name
        *names;      /* segment_names and the rule's own tables; NULL name at the end */
    char digest[65]; /* of the version and the compiled conditions */
};

struct segment_rules {
    const struct segment_rule *rules; /* by id */
    size_t count;
    char digest[65]; /* of all of them */
    /*
     * One statement that compares what should be with dari.segment_member, changes that, and
     * returns the differences: patient, segment, enters, holds (one truth per condition), merged.
     * Parameters: site, now, today, limit and for `some` an array of patients. `due` looks at
     * patients with an appointment that starts at `now`, `all` at everybody.
     */
    struct db_statement some, due, all;
};

/*
 * Reads every .xml file of the folder. NULL when there are problems (all are in `p`). The result
 * lives in `a`, which must live as long as the connections that ran its statements.
 */
const struct segment_rules *segment_rules_load(struct arena *a, const char *folder,
                                               struct problems *p);

/* Only the segment `id`, which must be one of them; in `a` like the whole. NULL: no memory. */
const struct segment_rules *segment_rules_only(struct arena *a, const struct segment_rules *r,
                                               const char *id);

/* NULL when there is none. */
const struct segment_rule *segment_rule_find(const struct segment_rules *r, const char *id);

#endif
