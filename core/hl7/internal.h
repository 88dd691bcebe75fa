/*
 * Inside core/hl7: the body of a message and what its files share. Nobody else includes this.
 */
#ifndef DARI_HL7_INTERNAL_H
#define DARI_HL7_INTERNAL_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/hl7/hl7.h"

#include <stdint.h>

/*
 * One segment: where it is, what it is called ('P'<<16 | 'I'<<8 | 'D'), and where those of its
 * first fields end that were looked at so far. Fields are numbered here from 0, which begins with
 * the fifth byte: PID-1, or MSH-2.
 */
struct hl7_seg {
    uint32_t at, n, name, slot;
    uint16_t *ends; /* NULL until the first look-up */
    uint32_t known;
};
enum { FIELDS_KEPT = 64 };

/* All segments of one name: order[first .. first + count). Open addressing, key 0 is free. */
struct hl7_slot {
    uint32_t name, first, count;
};

/*
 * What a message remembers between look-ups. Walking a field repetition by repetition, or fields
 * behind those that a segment keeps, continues where the last look-up stopped, so that neither is
 * quadratic.
 */
struct hl7_memory {
    enum charset charset;
    enum { SWITCHES_UNKNOWN, SWITCHES_NO, SWITCHES_YES } switches; /* MSH-20 or MSH-12 says 2.3 */
    size_t segment; /* the field cursor: field `field` of this segment is text[from, to) */
    size_t field, from, to;
    size_t rep_field; /* the repetition cursor: repetition `rep` of the field that starts here … */
    unsigned rep;
    size_t rep_from; /* … starts here */
    size_t growth;   /* what formatting codes added so far, in hl7_unescape() */
};

struct hl7_msg {
    struct str text;
    struct hl7_delimiters d;
    bool escaped; /* the escape character stands somewhere behind MSH-2 */
    struct arena *arena;
    struct hl7_seg *segs;
    size_t count;
    struct hl7_slot *slots;
    uint32_t *order, mask;
    struct hl7_memory *memory;
};

enum { HL7_NONE = -1 };

#define HL7_NAME(a, b, c)                                                                          \
    ((uint32_t)(unsigned char)(a) << 16 | (uint32_t)(unsigned char)(b) << 8 | (unsigned char)(c))
static inline uint32_t hl7_name(const char segment[3])
{
    return HL7_NAME(segment[0], segment[1], segment[2]);
}
bool hl7_is_name(const char *p); /* [A-Z][A-Z0-9][A-Z0-9] */
/* MSH, FHS and BHS count their separator as field 1. */
static inline bool hl7_is_header(uint32_t name)
{
    return name == HL7_NAME('M', 'S', 'H') || name == HL7_NAME('F', 'H', 'S') ||
           name == HL7_NAME('B', 'H', 'S');
}
/* MSH-1 and MSH-2 of a segment that begins here. */
enum err_code hl7_read_delimiters(struct str msh, struct hl7_delimiters *out, struct err *e);

/* Index of an occurrence (from 1), or m->count when there is none. */
size_t hl7_find(const struct hl7_msg *m, uint32_t name, unsigned occ);

/* Length of a byte order mark and blanks at the front. */
size_t hl7_leading(struct str raw);
/* The MSH segment of a message that may be broken otherwise; false when there is none. */
bool hl7_raw_msh(struct str raw, struct str *msh);
/* Field `f` of it by its separator alone; empty when it has none. */
struct str hl7_raw_field(struct str msh, unsigned f);

/* What a line of a text with several messages is (split.c). */
enum hl7_line { LINE_BLANK, LINE_BATCH, LINE_START, LINE_OTHER };
enum hl7_line hl7_line_kind(struct str line);
size_t hl7_line_end(struct str text, size_t at);

/* A field of the sender as it came, but nothing that could end a segment or a frame (reply.c). */
void hl7_put_field(struct buf *out, char escape, struct str field);
/* A time as HL7 writes it, with its zone when `offset`. */
void hl7_put_time(struct buf *out, bool offset, usec at);

/* hl7_unescape without switches of character set (escape.c), and with them (switch.c). */
enum err_code hl7_unescape_plain(struct arena *a, const struct hl7_msg *m, struct str in,
                                 struct str *out, struct err *e);
enum err_code hl7_unescape_switched(struct arena *a, const struct hl7_msg *m, struct str in,
                                    struct str *out, struct err *e);
bool hl7_switches(const struct hl7_msg *m);
/* Could this stand between two escape characters in some version or dialect? */
bool hl7_plausible(struct str code);

/* The escaped form of `in`. `wide` is how a control character is written in hexadecimal. */
enum err_code hl7_escape_into(struct buf *out, struct hl7_delimiters d, enum charset set,
                              struct str in, struct err *e);

#endif
