/* Inside core/intake: the host's own body. intake.c takes messages in and lives, commit.c commits.
 */
#ifndef DARI_INTAKE_HOST_H
#define DARI_INTAKE_HOST_H

#include "core/intake/counters.h"
#include "core/intake/jobs.h"
#include "core/intake/sequence.h"
#include "core/store/async.h"

/* What the statement under way does. */
enum doing { DOING_GROUP, DOING_LOAD, DOING_NUMBER };

struct adapter_host {
    struct net_loop *loop;
    struct intake_settings s;
    struct prepare_settings prepare;
    const struct adapter_ops *ops;
    struct adapter *adapter;
    struct db_async *db;
    struct net_timer *pump, *tidy;
    struct arena *group_arena;
    struct jobs waiting; /* prepared, or refused: in order of arrival */
    struct jobs flying;  /* in the statement under way */
    struct job *idle;
    size_t idle_count;
    struct sequence sequence;
    enum doing doing;
    struct bundle *feeding; /* a batch with messages that are no jobs yet: nothing else comes in */
    bool known, away, blocked, paused;
    size_t
        solo; /* after a group was refused: so many next messages go alone, to find the culprit */
    void (*on_known)(void *);
    void *on_known_ctx;
    int wake;
    struct counters counters;
};

/* ---- intake.c ---- */
void host_soon(struct adapter_host *h); /* calls commit_pump from the loop */
/* Messages of the batch that comes in become jobs, as far as there is room. */
void host_feed(struct adapter_host *h);
/* The job is used up; its reply goes to the adapter, or into its batch. */
void host_answer(struct adapter_host *h, struct job *j, struct str reply);
/* Everything in a list gets the negative reply that asks for another attempt. */
void host_answer_retry(struct adapter_host *h, struct jobs *l);
/* Resumes the adapter when there is room again. */
void host_unblock(struct adapter_host *h);

/* ---- commit.c ---- */
/* Commits what waits, when the database is idle. */
void commit_pump(void *ctx);
void commit_done(void *ctx, struct db_rows *rows, const struct err *failed);

#endif
