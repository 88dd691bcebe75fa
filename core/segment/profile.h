/*
 * Facts and attributes of patients (tables profile*): what one event changes. Knows nothing of
 * segments. Everything runs in the caller's transaction.
 *
 * Of two events about the same appointment or visit the later in the stream wins, whatever order
 * the source meant: a cancellation may come before its booking.
 */
#ifndef DARI_SEGMENT_PROFILE_H
#define DARI_SEGMENT_PROFILE_H

#include "core/event/read.h"
#include "core/store/db.h"

struct profile_scope {
    struct db *db;
    struct arena *a; /* for this event */
    const char *site;
};

enum { PROFILE_TOUCHED = 4 };
struct profile_change {
    bool known;                            /* a type that says something about a profile */
    bool appointments;                     /* a start may have changed */
    size_t count;                          /* whom the event touched */
    const char *patients[PROFILE_TOUCHED]; /* in the arena; never a retired one, but for a merge */
};

/* The types that profile_apply() knows: 0, 1, …; NULL after the last. */
const char *profile_type(size_t i);
bool profile_knows(const char *type);

/* ERR_DB… only. An event without the key it needs changes nothing and is logged. */
enum err_code profile_apply(const struct profile_scope *s, const struct received_event *ev,
                            struct profile_change *out, struct err *e);

#endif
