/*
 * Mappings: declarative rules, message → events; data, never code. A mapping set is what one feed
 * uses: all .xml files of a folder (mappings/hl7v2) or one file; each says which
 * format of message it reads. mapping_run() is a pure function
 * of the record, the keys and the site: the same message gives the same events with the same ids.
 */
#ifndef DARI_MAPPING_MAPPING_H
#define DARI_MAPPING_MAPPING_H

#include "core/event/event.h"
#include "core/record/record.h"

struct mapping_set;

/* A folder or a file; every problem with file and line. NULL when there are any. */
struct mapping_set *mapping_load(const char *path, const struct catalogue *c, struct problems *p);
void mapping_free(struct mapping_set **m);
const char *
mapping_digest(const struct mapping_set *m); /* of all its files, hexadecimal, 16 digits */

/* What the mappings for tables know of columns, for table_settings.names. NULL: none is for tables.
 */
const struct header_names *mapping_headers(const struct mapping_set *m);

enum mapping_state {
    MAPPING_MAPPED,     /* events (or a rule that says: nothing to tell) */
    MAPPING_IGNORED,    /* by a rule, or because no mapping is meant for this type of message */
    MAPPING_QUARANTINED /* kept, but could not become events: `problem` says why and where */
};

struct mapping_context {
    const struct keyring *keys;
    const char *site;
    struct str message_id; /* 16 bytes; event ids are made from it */
    usec received_at;      /* time of an event whose message names none */
};

struct mapped {
    enum mapping_state state;
    const char *mapping; /* "appointments@1": which file decided; NULL: none */
    const char *reason;  /* of ignored; our own words */
    struct err problem;  /* of quarantined: code, place (PID-3.1), message */
    const struct event *events;
    size_t count;
    char patient[KEY_TEXT]; /* patient key, "" when the message has none */
    bool test;
};

/* ERR_NOMEM or ERR_LIMIT only; everything about the data is in `out`. */
enum err_code mapping_run(const struct mapping_set *m, const struct record *r,
                          const struct mapping_context *c, struct arena *a, struct mapped *out,
                          struct err *e);

#endif
