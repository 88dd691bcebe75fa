/*
 * Inside core/mapping: the value of one rule in one message. A run holds what stays the same for a
 * message; a spot says where in it we are (inside which "for each", in an event of what time).
 */
#ifndef DARI_MAPPING_FIND_H
#define DARI_MAPPING_FIND_H

#include "core/mapping/mapping_internal.h"

/* Keys of this message: most of its events are of one patient and one visit. */
enum { KEYS_KEPT = 8 };
struct key_memory {
    struct {
        const char *kind; /* NULL: of a patient */
        struct str of;
        char *key;
    } made[KEYS_KEPT];
    size_t count;
};

struct run {
    const struct mapping_set *set;
    const struct record *record;
    const struct mapping_context *context;
    struct arena *a;
    struct key_memory *keys;
    bool has_offset; /* MSH-7 names one: it holds for all times of the message */
    int offset;
    int year; /* when the message was received: years of two digits are near it */
};

struct spot {
    const struct record_scope *scope;
    usec time; /* of the event */
};

struct found {
    enum has has; /* HAS_ABSENT also for "left out" */
    struct str text;
    const struct record_path *path; /* where it was; NULL for a constant or a default */
};

/* What is at a path, trimmed; nothing but blanks is empty. ERR_CHARSET, ERR_NOMEM. */
enum err_code find_text(const struct run *r, const struct record_path *path,
                        const struct record_scope *scope, struct value *out, struct err *e);

/* ERR_VALUE, ERR_REFUSED, ERR_CHARSET with the place; ERR_NOMEM. */
enum err_code find_value(const struct run *r, const struct rule *rule, const struct spot *at,
                         struct found *out, struct err *e);

/* A time in the notation of the message's format. ERR_VALUE. */
enum err_code find_time(const struct run *r, struct str in, struct hl7_time *out, struct err *e);

/* Does the condition hold? Unknown does not. NULL always holds. */
enum err_code find_holds(const struct run *r, const struct expr *when,
                         const struct record_scope *scope, bool *out, struct err *e);

/* Writes the place into an error: FT1(2)-11.1 inside a repetition. Returns the error's code. */
enum err_code find_place(const struct run *r, const struct record_path *path,
                         const struct record_scope *scope, struct err *e);

/* The scopes of repetition `index` (from 1) of `each`. */
enum { EACH_PATHS = 4 };
struct repetition {
    struct record_scope scopes[EACH_PATHS];
};
const struct record_scope *find_scope(const struct run *r, const struct each *each, unsigned index,
                                      const struct record_scope *up, struct repetition *memory);

#endif
