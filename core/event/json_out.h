/*
 * Writes indented JSON documents that people read: schemas. Events are written on one line, by
 * build.c and envelope.c. Names are ours and need no escapes; texts are escaped.
 */
#ifndef DARI_EVENT_JSON_OUT_H
#define DARI_EVENT_JSON_OUT_H

#include "core/base/buf.h"

#include <stdint.h>

struct json_out {
    struct buf *buf;
    unsigned depth;
    bool begun; /* something stands in the object or array that is open */
};

/* `name` NULL: a value of an array, or the document itself. */
void json_open(struct json_out *j, const char *name, char bracket);
void json_close(struct json_out *j, char bracket);
void json_text(struct json_out *j, const char *name, const char *value);
void json_int(struct json_out *j, const char *name, int64_t value);
void json_bool(struct json_out *j, const char *name, bool value);
/* An array of texts on one line; `values` ends with NULL. `null`: with a null at its end. */
void json_texts(struct json_out *j, const char *name, const char *const *values, bool null);

#endif
