/*
 * When a query runs: every so often, or at certain times of the site's day ("03:00,12:30"). A time
 * of the day that passed while nobody ran is made up for once.
 */
#ifndef DARI_ADAPTERS_SQL_SCHEDULE_H
#define DARI_ADAPTERS_SQL_SCHEDULE_H

#include "core/base/clock.h"

enum { SCHEDULE_TIMES = 48 };

struct schedule {
    int minutes[SCHEDULE_TIMES]; /* of the day */
    size_t count;
};

/* "HH:MM[,HH:MM]…"; "" gives none. ERR_VALUE with the byte, ERR_LIMIT. */
enum err_code schedule_parse(struct str at, struct schedule *out, struct err *e);

/* The newest of the times that is not after `now`. There must be one time at least. */
usec schedule_last(const struct schedule *s, usec now);

#endif
