/*
 * A foreign database, for one piece of work: the rows of a query, or a statement executed for many
 * sets of parameters. pq.c does it with libpq in our own loop, odbc.c with a driver in a process of
 * its own. A connection is made for each piece and closed after it.
 *
 * Error messages never hold a value: what the database says is passed on only where it is about the
 * connection, names or rights; else there is its SQLSTATE.
 */
#ifndef DARI_ADAPTERS_SQL_FOREIGN_H
#define DARI_ADAPTERS_SQL_FOREIGN_H

#include "adapters/sql/spill.h"
#include "adapters/sql/statement.h"
#include "core/base/charset.h"
#include "core/net/net.h"

enum { FOREIGN_COLUMNS = 2000, FOREIGN_TURN = 500, FOREIGN_COMMIT = 500 };

struct foreign;

struct foreign_job {
    struct str connection;             /* the connection string */
    const struct statement *statement; /* of the style of the source */
    const char *mark;                  /* value of each parameter of a query; or NULL */
    bool writes;                       /* a "taken" statement: may write, commits */
    bool hex;                          /* binary columns as hexadecimal digits (no: refused) */
    bool wide;                         /* ODBC: texts as UTF-16 (no: bytes in `charset`) */
    enum charset charset;
    int64_t connect_ms, timeout_ms; /* for the connection; for all that follows */
    int64_t max_row;
};

/*
 * None of these is called from inside foreign_start(). `done` is called exactly once, last; the
 * source may be freed inside it, and only there or from outside all of them.
 */
struct foreign_handlers {
    /* False from either: the owner has enough, done(NULL) follows. */
    bool (*columns)(void *ctx, const struct str *names, size_t n);
    bool (*row)(void *ctx, const struct cell *cells, size_t n);
    /* For a job that writes: the next set of parameters. False: there is none; on an error the
     * owner says so in done(). At the same time: all sets given before are to be committed. */
    bool (*next)(void *ctx, struct cell *params, size_t n);
    void (*marked)(void *ctx, int64_t rows);      /* so many rows were changed by some of them */
    void (*done)(void *ctx, const struct err *e); /* NULL: to the end */
};

struct foreign_kind {
    enum statement_style style;
    enum err_code (*start)(struct net_loop *l, const struct foreign_job *job,
                           const struct foreign_handlers *h, void *ctx, struct foreign **out,
                           struct err *e);
    void (*free)(struct foreign **s);
};

/* The job's slices must live until done(). */
extern const struct foreign_kind foreign_pq, foreign_odbc;

/* May the text of an error with this SQLSTATE be shown? Not of those that quote values. */
bool foreign_shows(struct str sqlstate);

#endif
