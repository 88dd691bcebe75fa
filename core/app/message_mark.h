/*
 * A message for people: one segment (or line) a line, and a place in it marked by a line of ^
 * below. Control characters do nothing to the terminal.
 */
#ifndef DARI_APP_MESSAGE_MARK_H
#define DARI_APP_MESSAGE_MARK_H

#include "core/base/arena.h"
#include "core/base/str.h"

/*
 * Where a place lies in a text: "PID-3.1" of HL7 v2, "segment 4", "row 214, column 예약일시" of a
 * row, "line 12", "byte 1180", "line 27: participant[2]/actor" of a document. A field that is not
 * there is looked for as the segment that should have it. False: nowhere.
 */
bool message_place(struct arena *a, struct str text, struct str place, size_t *from, size_t *n);

/* How many columns of a terminal UTF-8 text takes: East Asian letters take two. */
size_t text_columns(struct str s);

/* On standard output. `place` may be empty. */
void print_marked(struct arena *a, struct str text, struct str place);

#endif
