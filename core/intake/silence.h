/*
 * A feed that says nothing for longer than it ever should, within its usual hours, is told about:
 * one log line and one event (feed.gap_detected) when it falls silent, one log line when it is
 * heard again. The steward calls this; between the two nothing is repeated.
 */
#ifndef DARI_INTAKE_SILENCE_H
#define DARI_INTAKE_SILENCE_H

#include "core/event/event.h"
#include "core/store/db.h"

struct silence_rule {
    const char *feed;
    int64_t after_ms; /* silence of so long is a condition; 0: never */
    int from, until;  /* usual hours in minutes of the local day; equal: always */
};

struct silence_watch {
    const char *site;
    const struct keyring *keys;
    const struct catalogue *catalogue;
    const struct silence_rule *rules;
    size_t count;
};

/* "08:00-20:00" → minutes. ERR_VALUE. */
enum err_code silence_hours(const char *text, int *from, int *until, struct err *e);

/* Since when the feed counts as silent at `now`, or 0: not silent. `last` is the last message, 0:
 * never. */
usec silence_since(const struct silence_rule *r, usec last, usec now);

enum err_code silence_look(struct db *db, const struct silence_watch *w, usec now, struct err *e);

#endif
