/*
 * The compiled form of mapping files, shared by load.c (makes it) and run.c (walks it). Paths,
 * conditions and tables are compiled once; a run never touches XML. Everything lives in the arena
 * of its set and is const from then on.
 */
#ifndef DARI_MAPPING_INTERNAL_H
#define DARI_MAPPING_INTERNAL_H

#include "core/expr/expr.h"
#include "core/mapping/convert.h"
#include "core/mapping/mapping.h"
#include "core/mapping/table.h"

/* XPN and XTN are read by their components: a path to the whole field, compiled to its parts. */
enum { NAME_REPETITIONS = 5, PARTS = 5 };
enum name_part { NAME_FAMILY, NAME_GIVEN, NAME_TYPE, NAME_REPRESENTATION, NAME_PARTS };
enum phone_part { PHONE_FIRST, PHONE_UNFORMATTED, PHONE_COUNTRY, PHONE_AREA, PHONE_LOCAL };

struct source {
    const struct record_path *path;
    /* Names: parts of each repetition, one when the path names it. Addresses, telephones: one. */
    const struct record_path *(*parts)[PARTS];
    size_t repetitions;
};

/* One value: where from, how converted, and what when there is none. */
struct rule {
    struct str field; /* name in the payload, or of the changed member */
    int line;
    const struct source *sources;
    size_t source_count;
    struct convert_rules convert;
    const struct record_path *unit;
    const struct record_path *about; /* a date near which a day without a year is */
    const char *key_kind;            /* CONVERT_KEY: "appointment" */
    bool per_day; /* CONVERT_KEY: together with the day of the event, or that at a path */
    const struct record_path *per;
    const struct table *table;
    enum unknown_policy unknown; /* of the table, unless the rule says otherwise */
    bool has_constant, has_default;
    struct str constant, dflt;
    bool bad_left_out;
    bool nullable; /* by the catalogue */
    const struct expr *when;
};

/* What a rule repeats over: the segments or fields of `paths` go forward together. */
struct each {
    const struct record_path **paths;
    size_t count;
};

struct list_rule {
    struct str name;
    struct each each;
    const struct expr *when;
    const struct rule *rules;
    size_t rule_count;
    const struct field *field; /* of the catalogue */
};

struct changed_rule {
    struct each each;
    struct rule rule;
};

/* <ignore> and <refuse>. */
struct verdict {
    const struct expr *when;
    const char *reason;
    const struct record_path *at; /* place a refusal names, or NULL */
};

struct event_rule {
    const struct event_type *type;
    const struct expr *when;
    bool otherwise; /* only when no event of this mapping was made so far */
    struct each each;
    const struct record_path **time; /* when it happened; then the default of the format */
    size_t time_count;
    const struct rule *rules;
    size_t rule_count;
    const struct list_rule *lists;
    size_t list_count;
    const struct changed_rule *changed;
    size_t changed_count;
    const struct verdict *refuse;
    size_t refuse_count;
};

struct message_type {
    struct str code, trigger; /* trigger "*": any */
};

struct mapping {
    const char *name, *file;
    const char *label;         /* appointments@1 */
    struct record_names names; /* its format; it runs on records of this format only */
    const struct message_type *types;
    size_t type_count;
    struct rule patient;     /* source_count 0: none */
    const struct expr *test; /* holds: the events are tests; NULL: only what HL7 v2 says */
    const struct verdict *ignore;
    size_t ignore_count;
    const struct verdict *refuse;
    size_t refuse_count;
    const struct event_rule *events;
    size_t event_count;
};

/* Header values that the run itself looks at. */
enum header_path {
    HEADER_CODE,
    HEADER_TRIGGER,
    HEADER_PROCESSING,
    HEADER_TIME,
    HEADER_RECORDED, /* EVN-2 */
    HEADER_OCCURRED, /* EVN-6 */
    HEADER_PATHS
};

struct mapping_set {
    struct arena *arena;
    const struct mapping **mappings;
    size_t count;
    const struct plan *plans; /* by type of message */
    size_t plan_count;
    const struct table *tables;         /* linked */
    const struct header_names *headers; /* linked; NULL: no mapping is for tables */
    const char *headers_file;           /* the dictionary, when it was read */
    const struct record_path *header[HEADER_PATHS];
    char digest[17];
};

enum { MAPPING_EVENTS = 10000 }; /* of one message */

#endif
