/*
 * Events and their catalogue (mappings/catalogue.xml): the single source of types, fields, kinds,
 * required flags and classes.
 *
 * Classes: P0 no person, P1 opaque keys and times, P2 identity and contact, P3 health data and free
 * text, P4 unique identifiers (never in an event: the catalogue refuses to load with such a field).
 */
#ifndef DARI_EVENT_EVENT_H
#define DARI_EVENT_EVENT_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/problem.h"
#include "core/crypto/keys.h"

enum class { CLASS_P0, CLASS_P1, CLASS_P2, CLASS_P3 };

/* How a value is written in JSON. KEY: 26 characters; KRW: integer won; LIST: array of objects. */
enum kind {
    KIND_KEY,
    KIND_STR,
    KIND_CODE,
    KIND_DATE,
    KIND_TS,
    KIND_INT,
    KIND_KRW,
    KIND_BOOL,
    KIND_LIST
};

struct field {
    const char *name;
    size_t name_n; /* its length */
    enum kind kind;
    enum class class;
    bool required;
    bool nullable;            /* may be an explicit null: the source said "delete" */
    const char *const *codes; /* KIND_CODE: allowed values, NULL-terminated; NULL: open */
    const struct field
        *items; /* KIND_LIST: fields of its objects; NULL with item_kind: plain values */
    size_t item_count;
    enum kind item_kind;
    bool event_id; /* KIND_KEY: the id of an event; the same for every consumer, never renamed */
    const char *title; /* one line, for the documentation */
};

static inline struct str field_name(const struct field *f)
{
    return (struct str){f->name, f->name_n};
}

struct event_type {
    const char *name; /* appointment.booked */
    int schema;       /* version of its payload */
    const char *title;
    const struct field *fields;
    size_t field_count;
    enum class class; /* the highest of its fields */
    bool subject;     /* about a patient */
};

/* Limits that the catalogue and the builder keep. */
enum {
    EVENT_FIELDS = 64,      /* of a type, or of an item */
    EVENT_ITEMS = 1000,     /* of one list */
    EVENT_TEXT = 8 * 1024,  /* bytes of one value */
    EVENT_CODE = 128,       /* bytes of a code that the catalogue does not list */
    EVENT_DATA = 256 * 1024 /* bytes of one payload object */
};
/* JavaScript consumers read numbers as doubles: whole only up to here. */
#define EVENT_INT_MOST ((int64_t)9007199254740991)

struct catalogue;
/* Problems with file and line; NULL when there are any. */
struct catalogue *catalogue_load(const char *path, struct problems *p);
void catalogue_free(struct catalogue **c);
const struct event_type *catalogue_find(const struct catalogue *c, struct str name);
size_t catalogue_count(const struct catalogue *c);
const struct event_type *catalogue_at(const struct catalogue *c, size_t i);
const struct field *field_find(const struct event_type *t, struct str name);

/* One event on its way into the stream. Slices live in the arena of its message. */
struct event {
    const struct event_type *type;
    char id[KEY_TEXT];
    char subject[KEY_TEXT]; /* "" for class P0 */
    usec time;              /* when it happened */
    bool test;              /* MSH-11 T or D */
    const char *cause;      /* id of the event that led to it, or NULL */
    struct str data;        /* JSON object: fields of class P0, P1, P3; at least "{}" */
    struct str secret; /* JSON object: fields of class P2, still clear; empty when there are none */
};

/*
 * Builds the two JSON objects field by field. A value that does not fit its kind is ERR_VALUE with
 * the field in e->where ("phones.e164"); a required field that was never set is ERR_REQUIRED at
 * event_finish(), an unknown field or list ERR_UNSUPPORTED, too long or too many ERR_LIMIT. Text
 * must be UTF-8 (ERR_CHARSET); a text that holds what looks like a resident registration number is
 * ERR_REFUSED. Setting a field again replaces its value. Values are copied, so they may be freed
 * after the call. An item that was begun and never filled is left out.
 */
struct event_builder;
/*
 * libevent exports functions of these two names: under our own linker names neither library calls
 * the other's.
 */
#define event_new dari_event_new
#define event_set dari_event_set
/* NULL when memory is out. */
struct event_builder *event_new(struct arena *a, const struct event_type *t);
/* Scalar from text in canonical form: dates 2026-03-11, instants RFC 3339, booleans true/false. */
enum err_code event_set(struct event_builder *b, struct str field, struct str value, struct err *e);
enum err_code event_null(struct event_builder *b, struct str field, struct err *e);
/*
 * event_item() begins an item of a list; event_item_set() and _null() fill the one begun last: its
 * fields, or with field "" the value itself where the items are plain values.
 */
enum err_code event_item(struct event_builder *b, struct str list, struct err *e);
enum err_code event_item_set(struct event_builder *b, struct str field, struct str value,
                             struct err *e);
enum err_code event_item_null(struct event_builder *b, struct str field, struct err *e);
bool event_has(const struct event_builder *b, struct str field);
/* Sets out->type, data and secret, fields in catalogue order; the rest of *out is the caller's. */
enum err_code event_finish(struct event_builder *b, struct event *out, struct err *e);

/*
 * The CloudEvents 1.0 envelope, structured JSON on one line. `data` is the final payload object.
 * Extensions: sequence (20 digits), partitionkey, recordedtime, darisite, darimessage, darimapping,
 * daritest, causationid. `seq` 0: not in a stream yet, sequence left out. An extension without a
 * value is left out (CloudEvents knows no null), and so is daritest unless it is true. `time` is in
 * the site's zone with its offset, recordedtime in UTC.
 */
struct envelope {
    const char *site, *source, *id, *type, *subject; /* subject may be "" */
    int schema;
    usec time, recorded_at;
    int64_t seq;
    int64_t message_no;          /* 0: none */
    const char *mapping, *cause; /* or NULL */
    bool test;
    struct str data;
};
void envelope_json(struct buf *out, const struct envelope *v);

/*
 * Cuts payloads to what a contract names: `allow(ctx, field)` per top-level field; both objects are
 * merged, fields in catalogue order. `secret` may be empty (not opened, because no P2 field is
 * allowed). rename(ctx, key, out) replaces opaque keys, also in lists, by the consumer's
 * pseudonyms; may be NULL. A member that the catalogue does not know is not sent. ERR_SYNTAX with
 * the offset when the object is not what event_finish() writes, ERR_VALUE for a key that is none.
 */
struct event_cut {
    bool (*allow)(void *ctx, const struct event_type *t, const struct field *f);
    void (*rename)(void *ctx, struct str key, char out[KEY_TEXT]);
    void *ctx;
};
enum err_code event_payload(struct buf *out, const struct event_type *t, struct str data,
                            struct str secret, const struct event_cut *cut, struct err *e);

#endif
