/*
 * HL7 v2 messages: parse, look up, unescape. Standard: HL7 v2.1-2.9, chapter 2 (control).
 *
 * hl7_parse() copies nothing: every slice it hands out points into `text`, which must outlive the
 * message and must not change. It makes one pass that indexes the segments; fields are located on
 * demand. Escapes stay as received until hl7_unescape(). Memory comes from the arena; there is no
 * free.
 *
 * The text is UTF-8 by the time it is parsed (hl7_decode), so offsets in errors count decoded
 * bytes. Segments may end with CR, LF or CRLF; blank lines are skipped; delimiters come from MSH-1
 * and MSH-2 (with the truncation character of 2.7). Absent, empty and the HL7 null ("") are three
 * things.
 */
#ifndef DARI_HL7_HL7_H
#define DARI_HL7_HL7_H

#include "core/base/arena.h"
#include "core/base/charset.h"
#include "core/base/err.h"

struct hl7_limits {
    size_t bytes;    /* of one message */
    size_t segments; /* of one message */
};
extern const struct hl7_limits hl7_default_limits; /* 16 MiB, 100,000 */

struct hl7_msg;

/* ERR_SYNTAX, ERR_LIMIT or ERR_NOMEM with the offset; *out is NULL unless ERR_NONE. */
enum err_code hl7_parse(struct arena *a, struct str text, const struct hl7_limits *limits,
                        const struct hl7_msg **out, struct err *e);

enum hl7_has { HL7_ABSENT, HL7_EMPTY, HL7_NULL, HL7_VALUE };

/*
 * A place. Counted from 1 as HL7 counts; occ and rep 0 mean the first; field, comp and sub 0 mean
 * the whole above. When `choose` is not 0, the repetition is the first whose component `choose`
 * equals `chosen` after unescaping (PID-3[5='MR'].1). MSH-1 is the separator, MSH-2 is never split.
 */
struct hl7_path {
    char segment[4];
    unsigned occ, field, rep, comp, sub;
    unsigned choose;
    struct str chosen;
};

/*
 * SEG, SEG-F, SEG(n)-F(r).C.S, SEG-F[C='text'].C.S; `chosen` points into `text`. ERR_SYNTAX with
 * the offset in the path.
 */
enum err_code hl7_path_parse(struct str text, struct hl7_path *out, struct err *e);

/*
 * The slice at a place, still escaped; *out is empty unless HL7_VALUE. A component 1 asked of a
 * field that has none is the field itself; component 2 of it is absent. A null ("") makes
 * everything below it null too.
 */
enum hl7_has hl7_get(const struct hl7_msg *m, const struct hl7_path *at, struct str *out);

size_t hl7_segments(const struct hl7_msg *m);
struct str hl7_segment(const struct hl7_msg *m, size_t index); /* from 0, without its end */
unsigned hl7_occurrences(const struct hl7_msg *m, const char segment[4]); /* how many PID, OBX, … */
/* How many of the first name stand before the occ-th of the other: the last of them is number so.
 */
unsigned hl7_before(const struct hl7_msg *m, const char segment[4], const char other[4],
                    unsigned occ);
unsigned hl7_repetitions(const struct hl7_msg *m,
                         const struct hl7_path *field); /* 0 when absent or empty */
unsigned hl7_fields(const struct hl7_msg *m, size_t segment_index);

/* Where in the text a slice from hl7_get() or hl7_segment() begins. */
size_t hl7_offset(const struct hl7_msg *m, struct str slice);

/* What separates what. 0: the message does without (MSH-2 was shorter), and that feature is off. */
struct hl7_delimiters {
    char field, component, repetition, escape, sub, truncation;
};
struct hl7_delimiters hl7_delimiters(const struct hl7_msg *m);

/* Places as text: "PID(2)-3(1).1" of a path, "PID-3" or "segment 4" of an offset in a message. */
enum { HL7_PLACE = 64 };
const char *hl7_path_text(const struct hl7_path *at, char out[HL7_PLACE]);
const char *hl7_place(struct str text, size_t offset, char out[HL7_PLACE]);

/*
 * The value of an escaped slice. \F\ \S\ \T\ \R\ \E\ \P\ become their characters; \Xhh..\ becomes
 * bytes that are then decoded in `charset`; \.br\ and the other formatting codes become LF or
 * blanks; \H\ and \N\ become nothing; \Cxxyy\ \Mxxyyzz\ switch the character set until the end of
 * the value when MSH-20 is 2.3 (table 0356), or MSH-12 is and MSH-20 says nothing, else they stay
 * as they are; unknown and unterminated ones stay as they are. Copies only when there is something
 * to replace. ERR_LIMIT when formatting codes make the values of a message larger by more than 1
 * MiB, all readings together.
 */
enum err_code hl7_unescape(struct arena *a, const struct hl7_msg *m, struct str in, struct str *out,
                           struct err *e);

/* False: no slice of this message changes when it is unescaped. Most messages have no escapes. */
bool hl7_has_escapes(const struct hl7_msg *m);

/* The other direction, with this message's delimiters: CR and LF become \X0D\ and \X0A\. */
enum err_code hl7_escape(struct arena *a, const struct hl7_msg *m, struct str in, struct str *out,
                         struct err *e);

/*
 * From received bytes to UTF-8 text. The set is `override` when not NULL, else MSH-18 (table 0211,
 * first repetition), else `fallback`. *used says which. ERR_CHARSET with the byte offset,
 * ERR_UNSUPPORTED for an unknown MSH-18.
 */
enum err_code hl7_decode(struct arena *a, struct str raw, const enum charset *override,
                         enum charset fallback, struct str *text, enum charset *used,
                         struct err *e);
void hl7_set_charset(const struct hl7_msg *m, enum charset used); /* for \X..\ in hl7_unescape */

/* Does the text have two bytes per character (UTF-16), so that it must be decoded before any split?
 */
bool hl7_wide(struct str raw, const enum charset *override);

bool hl7_charset_named(struct str table_0211, enum charset *out);

/* What intake and replies need of the header; slices are escaped text, empty when absent. */
struct hl7_header {
    struct str sending_app, sending_facility, receiving_app, receiving_facility;
    struct str time;                        /* MSH-7 */
    struct str code, trigger, structure;    /* MSH-9.1 .2 .3 */
    struct str control_id, processing_id;   /* MSH-10, MSH-11.1 */
    struct str version;                     /* MSH-12.1 */
    struct str sequence;                    /* MSH-13 */
    struct str accept_ack, application_ack; /* MSH-15, MSH-16 */
    struct str charset;                     /* MSH-18, first repetition */
};
void hl7_header(const struct hl7_msg *m, struct hl7_header *out);

#endif
