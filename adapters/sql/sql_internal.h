/* The adapter's parts: sql.c (options, life), poll.c (one round: ask, hand over, mark as taken) and
 * result.c (what comes out of the database becomes a spill). */
#ifndef DARI_ADAPTERS_SQL_INTERNAL_H
#define DARI_ADAPTERS_SQL_INTERNAL_H

#include "adapters/sql/schedule.h"
#include "adapters/sql/overlap.h"
#include "adapters/sql/foreign.h"
#include "adapters/sql/spill.h"
#include "adapters/sql/sql.h"

struct sql_options {
    const char *via, *connection_file, *work;
    const char *query, *query_file;
    int64_t every_ms;
    const char *at;
    const char *mark, *mark_start;
    int64_t overlap;
    const char *taken;
    const char *binary, *odbc_charset;
    int64_t connect_ms, timeout_ms, retry_ms;
    int64_t max_rows, max_size, max_row;
};

/*
 * A round, and what ends each of its parts:
 *
 *     WAITING → ASKING → HOLDING → WITH_HOST → MARKING → WAITING
 *       due      rows    host has   finished()   keys
 *                        room                    committed
 *
 * A failure goes back to where the part begins, after the back-off: nothing is asked before what
 * was asked last is with the host and marked.
 */
enum phase {
    PHASE_WAITING,
    PHASE_ASKING,
    PHASE_HOLDING, /* a complete spill that the host does not take now */
    PHASE_WITH_HOST,
    PHASE_MARKING,
    PHASE_MARKING_LATER,
    PHASE_OVER
};

struct adapter {
    struct adapter_host *host;
    struct net_loop *loop;
    const struct sql_options *options;
    const struct foreign_kind *kind;
    struct arena *memory, *job_memory; /* of the process; of one piece of work */
    struct statement query, taken;
    struct schedule schedule;
    struct spill *spill;
    struct net_timer *timer;
    enum phase phase;
    struct spill_ready ready; /* the spill in hand, from HOLDING on */
    char mark[MARK_MAX + 1];  /* of the newest spill that was taken */
    usec next;                /* clock_mono() of the next round */

    /* the present piece of work */
    struct foreign *source;
    struct foreign_job job;
    struct overlap *seen;
    struct err failed;
    usec began, began_mono;
    int64_t rows, again; /* written; skipped as taken before */
    bool cut;
    bool resumed;    /* the spill in hand is from before the start */
    int64_t changed; /* rows, by the taken statement */
    size_t mark_column, key_columns[STATEMENT_PLACES];

    struct {
        bool away;
        int64_t ms; /* back-off */
        char said[sizeof((struct err *)0)->msg];
    } trouble;
};

/* sql.c: the query and the taken statement out of the options. */
enum err_code sql_statements(const struct sql_options *o, struct arena *a,
                             const struct foreign_kind *kind, struct statement *query,
                             struct statement *taken, struct err *e);
const struct foreign_kind *sql_kind(const struct sql_options *o);

/* poll.c */
void poll_begin(struct adapter *a);
void poll_timer(void *ctx);
void poll_submit(struct adapter *a);
void poll_finished(struct adapter *a, const struct adapter_result *r);
void poll_drain(struct adapter *a);

/* result.c */
bool result_columns(void *ctx, const struct str *names, size_t n);
bool result_row(void *ctx, const struct cell *cells, size_t n);
/* All rows came: what is worth handing over is complete. `*any`: there is something. */
enum err_code result_end(struct adapter *a, bool *any, struct err *e);
/* "id,version": what the keys of a spill are the values of. */
void result_key_names(const struct adapter *a, char *out, size_t size);

#endif
