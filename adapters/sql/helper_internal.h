/* The ODBC helper's parts: helper.c (commands, connection, statements) and helper_rows.c (columns
 * and rows as text in UTF-8). */
#ifndef DARI_ADAPTERS_SQL_HELPER_INTERNAL_H
#define DARI_ADAPTERS_SQL_HELPER_INTERNAL_H

#include "adapters/sql/foreign.h"
#include "adapters/sql/talk.h"

#include <sql.h>
#include <sqlext.h>
#include <sqlucode.h>

struct helper {
    SQLHENV env;
    SQLHDBC dbc;
    SQLHSTMT stmt;
    bool writes, wide, hex;
    enum charset charset;
    uint32_t timeout_s, max_row;
    uint32_t changed;              /* rows, since the last commit */
    struct arena *arena, *scratch; /* of the command at hand, of one value */
    struct buf in, out;
    SQLSMALLINT types[FOREIGN_COLUMNS];
    struct buf cell; /* of the column being read */
};

/* helper.c; all of them answer, or end the process when nobody listens */
void helper_flush(struct helper *h);
void helper_failed(struct helper *h, bool opening, const char *state, struct str text);
void helper_refused(struct helper *h); /* with what the driver says of the statement */

/* helper_rows.c; false: the failure was answered */
bool helper_columns(struct helper *h, SQLSMALLINT count);
bool helper_row(struct helper *h, SQLSMALLINT count); /* the one fetched last */

#endif
