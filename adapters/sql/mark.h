/*
 * Marks: the values of the column by which a query is ordered, as the text the database gave. Two
 * of them are compared as numbers when both are plain decimal ones (exactly, whatever their
 * length), else byte by byte, which is the order of ISO dates and times in one zone, and of text in
 * collation "C".
 */
#ifndef DARI_ADAPTERS_SQL_MARK_H
#define DARI_ADAPTERS_SQL_MARK_H

#include "core/base/err.h"
#include "core/base/str.h"

enum { MARK_MAX = 200 };

int mark_order(struct str a, struct str b); /* <0, 0, >0 */

/* ERR_VALUE: empty, or a control character in it; ERR_LIMIT: longer than MARK_MAX. */
enum err_code mark_fits(struct str mark, struct err *e);

#endif
