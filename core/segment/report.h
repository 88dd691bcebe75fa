/*
 * Reading what the segmentation core knows, for the command line and the console. Every answer
 * says as of when it is true.
 */
#ifndef DARI_SEGMENT_REPORT_H
#define DARI_SEGMENT_REPORT_H

#include "core/segment/rule.h"
#include "core/store/db.h"

struct segment_report {
    struct db *db;
    struct arena *a; /* results live here */
    const char *site;
};

struct segment_status {
    bool known;   /* false: no event yet, no answer is meaningful */
    usec at;      /* membership is as of this instant */
    usec swept;   /* last time everybody was looked at, 0: never */
    int64_t seq;  /* last event applied */
    int64_t head; /* newest event of the stream */
};
enum err_code segment_status(const struct segment_report *r, struct segment_status *out,
                             struct err *e);

/* Rows segment, members. */
enum err_code segment_counts(const struct segment_report *r, struct db_rows **rows, struct err *e);

/* Rows patient, since, rule_version, reasons as JSON; by patient, `after` and at most `limit`. */
enum err_code segment_members(const struct segment_report *r, const char *segment,
                              const char *after, int64_t limit, struct db_rows **rows,
                              struct err *e);

enum segment_truth { SEGMENT_FALSE, SEGMENT_TRUE, SEGMENT_UNKNOWN };
struct segment_attribute {
    const char *name, *value; /* value NULL: unknown */
};
struct segment_explanation {
    bool member;
    const char *since;                          /* text, when a member */
    const char *merged_into;                    /* NULL, or the patient that stands for this one */
    const enum segment_truth *truths;           /* one per condition of the rule */
    const struct segment_attribute *attributes; /* parameters, and what conditions mention */
    size_t attribute_count;
};
/* ERR_NOTFOUND when nothing was ever heard of the patient. */
enum err_code segment_explain(const struct segment_report *r, const struct segment_rule *rule,
                              const char *patient, usec at, struct segment_explanation *out,
                              struct err *e);

#endif
