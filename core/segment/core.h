/* Inside core/segment: the core's own state, and the steps that its files share. */
#ifndef DARI_SEGMENT_CORE_H
#define DARI_SEGMENT_CORE_H

#include "core/segment/change.h"

struct segmenter {
    struct segment_settings set;
    struct db *db;
    struct arena *tx;      /* derived events until the commit */
    struct arena *scratch; /* one statement or event */
    struct change_list changes;
    int64_t position;
    usec at, swept;
    usec start; /* next appointment start after `at`, when start_known */
    bool start_known;
    bool open;    /* a transaction */
    bool adopted; /* the rules in the database are ours */
};

/* Opens the transaction when none is open, and reads where we are. */
enum err_code core_begin(struct segmenter *s, struct err *e);

/* Compares, changes members, collects events. `patients` NULL: the statement chooses itself. */
enum err_code core_evaluate(struct segmenter *s, const struct db_statement *st, usec now,
                            const struct change_cause *cause, struct db_array *patients,
                            struct err *e);

#endif
