/*
 * JSON Schema 2020-12 of one event type: the envelope and its payload, generated from the
 * catalogue. Only keywords that draft-07 has too, with the same meaning, so that tools which know
 * only that one (AsyncAPI's among them) read the same document.
 *
 * SCHEMA_OPEN is what is published. A consumer that is checked against it accepts tomorrow's
 * events: unknown members are allowed, a list of codes is told (x-dari-codes) but not enforced, and
 * nothing of the payload is required, because a contract may leave any field out. What the
 * catalogue requires is told by x-dari-required.
 *
 * SCHEMA_STRICT is the same, closed, for an event with all of its fields, as `dari map` prints it
 * and the contract `internal` lets it through: our tests check against it.
 *
 * Both carry x-dari-class, x-dari-kind and the catalogue's titles as descriptions. The $id of the
 * open one is the `dataschema` of the events, urn:dari:event:TYPE:VERSION; the strict one has
 * ":strict" behind it.
 */
#ifndef DARI_EVENT_SCHEMA_H
#define DARI_EVENT_SCHEMA_H

#include "core/event/event.h"

enum schema_form { SCHEMA_OPEN, SCHEMA_STRICT };

/* "P0" … "P3" */
const char *class_name(enum class c);

/* Appends the document; whether there was room is in buf_ok(). */
void schema_write(struct buf *out, const struct event_type *t, enum schema_form form);

#endif
