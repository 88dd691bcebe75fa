/*
 * Large XML from outside, read as a stream: parts of workbooks. Every byte passes a gate before
 * libxml2 sees it: UTF-8 (or UTF-16) only, no DOCTYPE, start tags, texts, comments and the whole
 * within limits (libxml2 2.9 spends quadratic time on attributes, and declares no limit of its
 * own). Nothing is loaded from elsewhere, no entity but the predefined ones is known. Memory: one
 * element and its text, and what 16 KiB of markup become.
 */
#ifndef DARI_XML_READER_H
#define DARI_XML_READER_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>
#include <sys/types.h>

struct xml_reader;

/* Bytes for the reader: how many, 0 at the end, -1 on failure (then it has set *e). */
typedef ssize_t (*xml_read_fn)(void *ctx, char *to, size_t n, struct err *e);

struct xml_reader_limits {
    size_t tag;  /* bytes of a start tag, comment or processing instruction */
    size_t text; /* bytes of a text */
};

enum xml_step { XML_START, XML_END, XML_TEXT, XML_DONE };

/* ERR_NOMEM. The context must outlive the reader. */
enum err_code xml_reader_new(xml_read_fn read, void *ctx, const struct xml_reader_limits *limits,
                             struct xml_reader **out, struct err *e);
void xml_reader_free(struct xml_reader **r);

/*
 * The next start, end or text; every start has its end. ERR_SYNTAX, ERR_LIMIT, ERR_REFUSED
 * (DOCTYPE), ERR_CHARSET, ERR_UNSUPPORTED (a declared character set), or what reading said.
 */
enum err_code xml_reader_next(struct xml_reader *r, enum xml_step *step, struct err *e);

/* Of the current element, without prefix; of a text "". Until the next step. */
const char *xml_reader_name(const struct xml_reader *r);
/* By its name as written, prefix included; NULL when there is none. Until the next step. */
const char *xml_reader_attr(const struct xml_reader *r, const char *name);
const char *xml_reader_prefixed(const struct xml_reader *r, const char *name); /* any:NAME */
struct str xml_reader_text(const struct xml_reader *r);

#endif
