/* Inside core/store only: what results and arrays are made of. */
#ifndef DARI_STORE_DB_INTERNAL_H
#define DARI_STORE_DB_INTERNAL_H

#include "core/base/buf.h"
#include "core/store/db.h"

#include <libpq-fe.h>

struct db_rows {
    PGresult *res;
    struct arena *arena;
};

enum err_code db_args_check(const struct db_args *q, struct err *e);

struct db_array {
    struct buf bytes; /* header, then length and bytes of each element */
    uint32_t oid, count;
    bool nulls;
};

#endif
