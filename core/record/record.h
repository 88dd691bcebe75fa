/*
 * "The value at this path", the same for every format. A record is a read-only view of one message;
 * values are UTF-8, unescaped. Absent, empty and null stay apart.
 */
#ifndef DARI_RECORD_RECORD_H
#define DARI_RECORD_RECORD_H

#include "core/base/arena.h"
#include "core/base/err.h"

enum has { HAS_ABSENT, HAS_EMPTY, HAS_NULL, HAS_VALUE };

struct value {
    enum has has;
    struct str text; /* empty unless HAS_VALUE */
};

enum record_format { RECORD_HL7, RECORD_TABLE, RECORD_XML };

struct record_path; /* a compiled path, lives as long as its mapping */
struct record;

/* The notation of a mapping's paths: its format, and the names that the format lets it declare. */
struct header_names; /* columns and their aliases: core/table/header.h */
struct xml_names;    /* namespace prefixes: core/xml */
struct record_names {
    enum record_format format;
    const struct header_names *headers; /* RECORD_TABLE */
    const struct xml_names *xml;        /* RECORD_XML */
};
extern const struct record_names record_hl7; /* HL7 v2 has nothing to declare */

/* Compiles a path in the format's own notation. ERR_SYNTAX with the offset in the path. */
enum err_code record_path(struct arena *a, const struct record_names *names, struct str text,
                          const struct record_path **out, struct err *e);
struct str record_path_text(const struct record_path *p);

/* Paths are only used on records of their own format. */
enum record_format record_format(const struct record *r);
/* The type of the message ("row", "changed"; "ClinicalDocument", ""). Empty for HL7 v2, whose type
 * is at MSH-9. */
void record_type(const struct record *r, struct str *code, struct str *trigger);

/*
 * Inside "for each", a scope says which occurrence a path means: paths that begin with the same
 * segment (or the same repeating field) as `over`, and name no occurrence themselves, mean number
 * `index` (from 1). Scopes nest.
 */
struct record_scope {
    const struct record_path *over;
    unsigned index;
    const struct record_scope *up;
};

/* How often "for each over" runs: occurrences of a segment, or repetitions of a field. */
unsigned record_count(const struct record *r, const struct record_path *over,
                      const struct record_scope *scope);

/*
 * Segments that go forward together ("for each OBR ORC TQ1"): which occurrence of paths[which] is
 * in the group of number `index` of paths[0]. A group begins with the one of them that stands first
 * in the message and goes to the next of its kind. Repetitions of fields, and segments that do not
 * stand in groups (all PID, then as many MRG), go by number. One more than there are: none.
 */
unsigned record_beside(const struct record *r, const struct record_path *const *paths, size_t count,
                       size_t which, unsigned index);

/* The value, in `a`. ERR_CHARSET or ERR_NOMEM; the place is in e->where. */
enum err_code record_get(const struct record *r, struct arena *a, const struct record_path *p,
                         const struct record_scope *scope, struct value *out, struct err *e);

/*
 * The place of a path for people, in the notation of the format: PID-3.1, FT1(2)-11.1 inside a
 * repetition, "line 27: participant[2]/actor".
 */
enum { RECORD_PLACE = 64 };
const char *record_place(const struct record *r, const struct record_path *p,
                         const struct record_scope *scope, char out[RECORD_PLACE]);

/*
 * A row of a table: a path is the name of a column, canonical (chart_no) or a header in braces
 * ({고객 메모}). Of the aliases of a name the first that is filled counts; of a row that is gone
 * its last values. -NAME is the previous value, ~NAME the present one when it differs from that
 * (all of a new row does), NAME+NAME joins cells by a blank (a day and its time: nothing without
 * the first). #change is new, changed or gone; #changed names the columns that differ. A blank cell
 * is empty, a column that the file lacks is absent, null never occurs. "For each NAME" runs over
 * the values that stand in one cell.
 */
struct row;
const struct record *record_of_row(struct arena *a, const struct row *row);
/* Does the row (RECORD_TABLE) have all columns that the names require? */
bool record_fits(const struct record *r, const struct header_names *names);

struct hl7_msg;
const struct record *record_of_hl7(struct arena *a, const struct hl7_msg *m);

/*
 * A document: paths are XPath. A path that begins with / begins at the document; any other at what
 * the document is about (xml_tree_subject), inside "for each" at the node of that turn. The first
 * node found counts: an element or attribute without text is empty, an element with a nullFlavor
 * (CDA) and no text is absent, and null never occurs.
 */
struct xml_tree;
const struct record *record_of_xml(struct arena *a, const struct xml_tree *t);

#endif
