/* Inside core/intake: the host's own body. intake.c lives and answers, receive.c takes messages in,
 * commit.c commits, drain.c does what there is to do with the spool.
 */
#ifndef DARI_INTAKE_HOST_H
#define DARI_INTAKE_HOST_H

#include "core/intake/backlog.h"
#include "core/intake/counters.h"
#include "core/intake/gather.h"
#include "core/intake/import.h"
#include "core/intake/jobs.h"
#include "core/intake/sequence.h"
#include "core/store/async.h"

/* What the statement under way does. */
enum doing {
    DOING_GROUP,
    DOING_ALONE, /* one message, with the statement for that */
    DOING_LOAD,
    DOING_NUMBER,
    DOING_PART,
    DOING_DRAIN,
    DOING_MARK,
    DOING_IMPORT
};

struct adapter_host {
    struct net_loop *loop;
    struct intake_settings s;
    struct generation *generation; /* of messages that come */
    struct prepare_settings prepare;
    const struct adapter_ops *ops;
    struct adapter *adapter;
    struct db_async *db;
    struct net_timer *pump, *tidy;
    struct arena *group_arena;
    struct jobs waiting; /* prepared, or refused: in order of arrival */
    struct jobs flying;  /* in the statement under way */
    size_t repeated;     /* more jobs, which hang on those as `repeats` */
    struct {
        unsigned char id[16];
        int doubt;
    } doubted; /* the message in the spool that the database refused for itself */
    struct job *idle;
    size_t idle_count;
    struct backlog *backlog; /* NULL: without a spool */
    usec stuck_until;        /* the backlog cannot be committed: try again then; or 0 */
    struct sequence sequence;
    enum doing doing;
    usec began; /* the statement that commits a group */
    struct gather gather;
    struct bundle *feeding; /* a batch with messages that are no jobs yet: nothing else comes in */
    struct import *import;  /* the file on its way, or NULL */
    bool file_waits;        /* another one was turned away until then */
    char *mark;             /* of the newest file taken; NULL: not known yet */
    bool known, away, blocked, paused;
    bool news;          /* the relay is to be told */
    bool kept;          /* what is being answered just now is durable */
    const char *sender; /* of the next message: the subject of a certificate, or NULL */
    size_t
        solo; /* after a group was refused: so many next messages go alone, to find the culprit */
    void (*on_known)(void *);
    void *on_known_ctx;
    int wake;
    struct counters counters;
};

/* ---- intake.c ---- */
void host_soon(struct adapter_host *h);            /* calls commit_pump from the loop */
size_t host_pending(const struct adapter_host *h); /* messages that wait or fly */
void host_set_mark(struct adapter_host *h, const char *mark);
struct job *host_job(struct adapter_host *h); /* NULL: no memory. Holds the generation. */
void host_job_done(struct adapter_host *h, struct job *j);
/* The job is used up; its reply goes to the adapter, or into its batch. */
void host_answer(struct adapter_host *h, struct job *j, struct str reply);
/* Everything in a list gets the negative reply that asks for another attempt. */
void host_answer_retry(struct adapter_host *h, struct jobs *l);
/* Resumes the adapter when there is room again. */
void host_unblock(struct adapter_host *h);

/* ---- receive.c ---- */
/* Makes a job of a message: copied, prepared, with its replies, sealed. `given`: prepare.h. */
enum err_code host_prepare(struct adapter_host *h, struct job *j, struct str given,
                           struct str message, struct err *e);
/* Messages of the batch that comes in become jobs, as far as there is room. */
void host_feed(struct adapter_host *h);

/* ---- commit.c ---- */
/* Commits what waits, when the database is idle. */
void commit_pump(void *ctx);
void commit_done(void *ctx, struct db_rows *rows, const struct err *failed);
/* The job in `flying` that is the same message, or has the same control id. */
struct job *commit_in_group(const struct adapter_host *h, const struct job *j);
/* Counts what row `i` says of a job; true when it has events. */
bool commit_count(struct adapter_host *h, const struct job *j, struct db_rows *rows, int i);
void commit_wake_relay(struct adapter_host *h);
/* Looks up what the one job in `flying`, a part, belongs to; its commit follows. */
enum err_code commit_part_begin(struct adapter_host *h, struct err *e);

/* ---- drain.c ---- */
/*
 * At most `max` of what waits go into the spool and are answered. What it does not take, or all
 * when there is none, is asked to come again.
 */
void drain_put(struct adapter_host *h, size_t max);
/* Is there something in the spool that must be committed first, but cannot be now? */
bool drain_stuck(struct adapter_host *h);
/* Commits the next of the spool, when the database is idle. False: there is nothing in it. */
bool drain_run(struct adapter_host *h);
void drain_done(struct adapter_host *h, struct db_rows *rows, const struct err *failed);
/* What was taken cannot be committed, for a reason that is not the database's. */
void drain_failed(struct adapter_host *h, const struct err *why);

#endif
