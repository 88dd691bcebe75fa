/*
 * Inside core/mapping: turning one mapping file into its compiled form. Everything that is wrong
 * is added to the problems with its line; the result is only used when there are none.
 */
#ifndef DARI_MAPPING_LOAD_H
#define DARI_MAPPING_LOAD_H

#include "core/mapping/mapping_internal.h"
#include "core/table/header.h"
#include "core/xml/xml.h"

struct loader {
    struct arena *a;
    const struct catalogue *catalogue;
    struct problems *p;
    const char *file;                      /* the file being read */
    const struct record_names *names;      /* its format and what it declares */
    const char *tables;                    /* folder of code tables */
    const char *headers;                   /* the dictionary of headers of tables */
    const struct header_names *dictionary; /* NULL: not read yet */
    struct table **loaded;                 /* list of the set: each table is read once */
    const struct expr_words *words;        /* of the file */
};

#define PROBLEM(l, node, ...) problem_add((l)->p, (l)->file, xml_line(node), __VA_ARGS__)

/* ---- load_rule.c ---- */

size_t load_count(const struct xml_node *n, const char *name); /* children of that name */
const struct record_path *load_path(struct loader *l, const struct xml_node *n, struct str text);
/* Paths separated by blanks; blanks inside '…', […] and {…} belong to a path. */
bool load_paths(struct loader *l, const struct xml_node *n, const char *text,
                const struct record_path ***out, size_t *count);
void load_words(struct loader *l, const struct xml_node *root);           /* before any condition */
const struct expr *load_when(struct loader *l, const struct xml_node *n); /* NULL: no condition */
void load_each(struct loader *l, const struct xml_node *n, struct each *out);
/* from, or, as, … of a value; `kind` is what the catalogue wants of it. */
void load_value(struct loader *l, const struct xml_node *n, const struct field *f,
                struct rule *out);
/* Several sources of one conversion without a catalogue field: the patient, the time of an event.
 */
void load_sources(struct loader *l, const struct xml_node *n, const char *from, const char * or,
                  struct rule *out);
struct verdict *load_verdicts(struct loader *l, const struct xml_node *parent, const char *name,
                              size_t *count);

/* ---- load_columns.c ---- */

/* What a mapping for tables knows of columns: its own, then the dictionary's. NULL: no memory. */
const struct header_names *load_columns(struct loader *l, const struct xml_node *root);

/* ---- load_part.c ---- */

/* What a conversion reads of a name, an address, a telephone number, below the path of `s`. */
void load_parts(struct loader *l, const struct xml_node *n, enum conversion as, struct source *s);

/* ---- load_event.c ---- */

void load_event(struct loader *l, const struct xml_node *n, struct event_rule *out);

#endif
