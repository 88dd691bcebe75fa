/*
 * Inside core/table: workbooks (.xlsx, ECMA-376 part 1; a zip of XML parts). Parts are read as
 * streams; what is kept is the list of sheets, the number formats, and the shared strings in a file
 * of their own (strings.h). Refused: a workbook that refers to others, one that unpacks to more
 * than its limits, an encrypted one.
 */
#ifndef DARI_TABLE_WORKBOOK_H
#define DARI_TABLE_WORKBOOK_H

#include "core/base/buf.h"
#include "core/table/formats.h"
#include "core/table/source.h"
#include "core/table/strings.h"
#include "core/xml/reader.h"

struct workbook;

/* *out is NULL on failure. The limits must outlive it. */
enum err_code workbook_open(const char *path, const struct source_limits *l, struct workbook **out,
                            struct err *e);
void workbook_close(struct workbook **w);

/* Sheets as they are shown, from 0; hidden ones count when they are asked for by name. */
size_t workbook_sheets(const struct workbook *w);
bool workbook_sheet_is(const struct workbook *w, size_t i, const char *name); /* NULL: visible? */

/* The rows of a sheet. The workbook must outlive it. */
enum err_code sheet_open(struct workbook *w, size_t i, struct source **out, struct err *e);

/* ---- for sheet.c ---- */

/* One part on its way through inflate, gate and parser. */
struct part {
    struct workbook *w;
    const char *name;
    struct zip_file *file;
    int64_t unpacked, packed, size;
};

/* ERR_SYNTAX when there is no such part; the place is the part's name. */
enum err_code part_open(struct workbook *w, const char *name, struct part *p, struct xml_reader **r,
                        struct err *e);
void part_close(struct part *p, struct xml_reader **r);

/* Fills `out`, whose styles are freed by the caller, also on failure. */
enum err_code styles_read(struct workbook *w, const char *part, struct formats *out, struct err *e);

const char *workbook_sheet_part(const struct workbook *w, size_t i);
struct strings *workbook_strings(const struct workbook *w);
const struct formats *workbook_formats(const struct workbook *w);
const struct source_limits *workbook_limits(const struct workbook *w);

/* Appends a text in which _x000D_ stands for a character that XML does not have (ST_Xstring). */
void workbook_unescape(struct buf *out, struct str s);
/* The text of an <si>, <is> or <t> whose start was the last step, up to its end; phonetic readings
 * left out. Appended to `out`, which has its limit. */
enum err_code workbook_text(struct xml_reader *r, struct buf *out, struct err *e);

#endif
