/* Inside core/record: what a format brings along. record.c picks it by the format of the path. */
#ifndef DARI_RECORD_INTERNAL_H
#define DARI_RECORD_INTERNAL_H

#include "core/record/record.h"

/* The beginning of every compiled path and of every record; each format adds its own. */
struct record_path {
    enum record_format format;
    struct str text;
};

struct record {
    enum record_format format;
    struct str code, trigger; /* type of the message; of HL7 v2 the mapping reads MSH-9 itself */
};

struct record_ops {
    /* `text` lives as long as the path. */
    enum err_code (*compile)(struct arena *a, const struct record_names *names, struct str text,
                             const struct record_path **out, struct err *e);
    unsigned (*count)(const struct record *r, const struct record_path *over,
                      const struct record_scope *scope);
    enum err_code (*get)(const struct record *r, struct arena *a, const struct record_path *p,
                         const struct record_scope *scope, struct value *out, struct err *e);
    /* record_beside(); NULL: by number. */
    unsigned (*beside)(const struct record *r, const struct record_path *const *paths, size_t count,
                       size_t which, unsigned index);
    const char *(*place)(const struct record *r, const struct record_path *p,
                         const struct record_scope *scope, char out[RECORD_PLACE]);
};

extern const struct record_ops record_hl7_ops;
extern const struct record_ops record_table_ops;
extern const struct record_ops record_xml_ops;

#endif
