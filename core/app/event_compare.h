/* The events that a message has, against those that it would have. */
#ifndef DARI_APP_EVENT_COMPARE_H
#define DARI_APP_EVENT_COMPARE_H

#include "core/event/event.h"

/* As it is in the stream; `secret` is opened, or empty. */
struct old_event {
    struct str id, type, subject, data, secret;
    usec time;
};

struct compared {
    const struct old_event *old;
    size_t old_count;
    const struct event *new;
    size_t new_count;
    usec received_at; /* what an event's time is when the message names none */
    bool json;        /* how it is written */
    bool values;      /* also what is in the fields: for eyes that may see it */
};

struct event_changes {
    size_t added, removed, changed;
};

/*
 * Events of one id are the same event; it has changed when a field, its subject or its time has.
 * Of a message that names no time, the moment of receipt that is stored with it is the one of its
 * commit, a little later than the one that its events got: that is no difference. Writes one line
 * for each event that is not the same ("  ~ patient.registered: name, phones"), or JSON objects
 * separated by commas. ERR_SYNTAX: a stored payload is no JSON object.
 */
enum err_code event_compare(const struct compared *c, struct buf *out, struct event_changes *n,
                            struct err *e);

#endif
