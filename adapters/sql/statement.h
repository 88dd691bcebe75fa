/*
 * A statement as a person writes it, with named places (`WHERE changed >= :mark`), turned into what
 * a database takes. A name is letters, digits, _ and any character beyond ASCII. What stands in
 * quotes ('..', "..", E'..', $tag$..$tag$) or in a comment is left alone, and so is the :: of
 * PostgreSQL. One statement: a ; is allowed at the end only.
 */
#ifndef DARI_ADAPTERS_SQL_STATEMENT_H
#define DARI_ADAPTERS_SQL_STATEMENT_H

#include "core/base/arena.h"
#include "core/base/err.h"

enum { STATEMENT_PLACES = 64 };

enum statement_style {
    STATEMENT_NUMBERED, /* $1, $2: one number for each name, however often it stands there */
    STATEMENT_QUESTION  /* ?: one for each place */
};

struct statement {
    const char *text;
    struct str names[STATEMENT_PLACES]; /* of the parameters, in their order */
    size_t count;
};

/*
 * Everything is in `a`. ERR_SYNTAX (an open quote, a second statement, nothing at all) with the
 * byte, ERR_LIMIT (too many places), ERR_NOMEM.
 */
enum err_code statement_parse(struct arena *a, struct str sql, enum statement_style style,
                              struct statement *out, struct err *e);

#endif
