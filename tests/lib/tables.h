/*
 * A table as one line of text, for tests: "[차트번호|이름]3:[1|홍길동]4!syntax row 4, column 이름;"
 * is a header, row 3, and what is wrong with row 4; an error of the whole file is its code and
 * place.
 */
#ifndef DARI_TESTS_TABLES_H
#define DARI_TESTS_TABLES_H

#include "core/table/table.h"

/* Until the next call. */
const char *table_text(const char *path, const struct table_settings *s);

/* The dictionary with flags of our own: "chart_no!" is required, "dept+" filled down, "rrn#"
 * masked; all of them declared. In `a`. */
const struct header_names *table_names_with(struct arena *a, const char *columns);

#endif
