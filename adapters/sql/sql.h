/* The rows of a query on somebody else's database, asked again and again. */
#ifndef DARI_ADAPTERS_SQL_H
#define DARI_ADAPTERS_SQL_H

#include "core/adapter.h"

extern const struct adapter_ops adapter_sql;

/*
 * What the program does when it was started again as `dari odbc`: runs an ODBC driver for a feed,
 * talking over descriptors 3 and 4 (talk.h). Does not return.
 */
int sql_odbc_helper(void);

#endif
