/*
 * Reading an event as a consumer got it: the envelope of event.h, parsed with jansson. For our own
 * consumers (segmentation, messaging) and for the command line. Strict: duplicate members are
 * refused, and an envelope without specversion 1.0, id, type or time is an error. Members and types
 * that this version does not know are kept and ignored, so that a newer sender can add some.
 */
#ifndef DARI_EVENT_READ_H
#define DARI_EVENT_READ_H

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Texts belong to `root` and live until received_release(). */
struct received_event {
    int64_t seq; /* 0: not in a stream */
    int schema;  /* version of the payload; 0: not given */
    const char *id, *type;
    const char *subject;    /* "" for an event about nobody */
    const char *source;     /* feed:emr, role:segment, … */
    const char *cause;      /* id of the event that led to it, or NULL */
    const char *mapping;    /* or NULL */
    const char *site;       /* "" when not given */
    int64_t message_no;     /* 0: none */
    usec time, recorded_at; /* recorded_at: the same as time when not given */
    bool test;
    json_t *data; /* the payload: an object, never NULL */
    json_t *root; /* owns all of it */
};

/* ERR_SYNTAX with the offset; ERR_REQUIRED or ERR_VALUE with the member in e->where; ERR_NOMEM. */
enum err_code received_parse(struct str json, struct received_event *out, struct err *e);
void received_release(struct received_event *r); /* may be called again, and on a zeroed one */

/*
 * Values of a payload, or of one item of its lists. What is absent, null or of another kind is
 * "not there": NULL, false, the default. `has` is true for a value, also an empty text; `null` is
 * true for an explicit null ("the source said: delete").
 */
bool data_has(const json_t *object, const char *name);
bool data_null(const json_t *object, const char *name);
const char *data_str(const json_t *object, const char *name); /* NULL: not there */
bool data_int(const json_t *object, const char *name, int64_t *out);
bool data_bool(const json_t *object, const char *name, bool dflt);
bool data_date(const json_t *object, const char *name, int32_t *day);
bool data_instant(const json_t *object, const char *name, usec *at);
/* An array, or NULL. Its items are read with json_array_foreach and the functions above. */
const json_t *data_list(const json_t *object, const char *name);

#endif
