/* Inside core/segment: differences in membership become events. */
#ifndef DARI_SEGMENT_CHANGE_H
#define DARI_SEGMENT_CHANGE_H

#include "core/segment/segment.h"

struct change_cause {
    const char *name;  /* goes into the id, with the instant when there is no event */
    const char *event; /* id of the event that led to it, or NULL */
    bool test;
};

struct change_list {
    const struct segment_settings *set;
    const struct event_type *entered, *exited;
    struct arena *a; /* events and their texts: until reset */
    struct event *events;
    size_t count, cap;
};

enum err_code change_init(struct change_list *l, const struct segment_settings *set,
                          struct arena *a, struct err *e);
void change_reset(struct change_list *l); /* before its arena is reset */

/* Rows of an evaluation (rule.h): patient, segment, enters, holds, merged. */
enum err_code change_add(struct change_list *l, const struct db_rows *rows, usec now,
                         const struct change_cause *cause, struct err *e);
/* Rows patient, segment, rule_version of segments that are no longer there. */
enum err_code change_removed(struct change_list *l, const struct db_rows *rows, usec now,
                             struct err *e);

#endif
