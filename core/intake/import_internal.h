/* Inside core/intake/import*.c. */
#ifndef DARI_INTAKE_IMPORT_INTERNAL_H
#define DARI_INTAKE_IMPORT_INTERNAL_H

#include "core/crypto/digest.h"
#include "core/intake/host.h"
#include "core/intake/import.h"
#include "core/intake/label.h"
#include "core/intake/snapshot.h"
#include "core/intake/source.h"

enum import_stage {
    IMPORT_HASH,    /* reading it for its digest */
    IMPORT_OPEN,    /* asking whether it is known, and how far it came */
    IMPORT_READ,    /* collecting the next messages */
    IMPORT_COMPARE, /* of rows with the snapshot before */
    IMPORT_COMMIT,  /* of a group */
    IMPORT_PAGE,    /* which rows of the snapshot before are gone */
    IMPORT_FORGET,  /* those of days that are past */
    IMPORT_FETCH,   /* what they were */
    IMPORT_TELL,    /* committing messages that they are gone */
    IMPORT_CLOSE    /* it is at its end, or refused */
};

struct gone_keys {
    struct gone_key *keys;
    size_t count, room;
};

struct import {
    struct arena *arena; /* the whole way */
    void *ticket;
    const char *path, *name, *mark;
    int64_t size;

    enum import_stage stage;
    bool asked; /* the statement of this stage is under way */
    int fd;
    struct sha256_stream *hash;
    unsigned char digest[SHA256_BYTES];

    int64_t no;
    char label[LABEL_TEXT]; /* names its messages */
    int64_t position;       /* committed */
    bool known;             /* taken before: a batch, whose stored replies are collected again */
    bool refused;           /* the file as a whole: `problem` */
    struct err problem;

    struct arena *reading; /* as long as the source is open, as is: */
    struct generation *generation;
    struct source *source;
    bool ended;
    int64_t at;        /* number of the last message that is in the group or unchanged */
    int64_t unchanged; /* rows since the last commit */
    struct jobs group; /* ready for their commit */
    struct jobs ahead; /* read while the group is being committed: the next one */
    bool ahead_of;     /* what is read now goes there */
    struct job *back;  /* has the control id of one before it: waits for the next group */
    size_t bytes[2];   /* of the messages of `group` and of `ahead` */
    int64_t sent_at;   /* import_reaches() of the statement under way */
    struct ready {     /* the statement for `ahead`, made while the one before it is under way */
        bool is;
        struct arena *arena;
        struct db_args args;
        const struct db_statement *statement;
        usec made;    /* on the monotonic clock */
        int64_t from; /* committed before it */
        size_t count; /* of its messages */
    } ready;
    struct err later; /* met while reading; counts when what stands before it is committed */
    size_t solo;      /* a group was refused: so many next messages go alone */
    usec wait_until;  /* after a failure; 0: none */

    /* Of a snapshot: a chunk of rows, from `held_next` on not used up. */
    struct snapshot snapshot;
    /* By which columns its rows are told apart: known until now, or NULL; and in this file. */
    const char *key_before, *key;
    struct arena *chunk;
    struct held *held;
    size_t held_count, held_next;
    int64_t unreadable; /* rows without a key that can be trusted: nothing is called gone then */
    struct gone_keys gone, past; /* past: no longer covered, only forgotten */
    size_t gone_next;
    size_t told;                 /* so many of them are in the statement under way */
    unsigned char page[ROW_KEY]; /* the last key of the page before */
    bool paged;                  /* there was a page before */
    int64_t known_count;         /* of rows that the file covers */
    char rejected[400];          /* the first one: place and reason */
    char note[160];              /* of a file that was taken: what was left undone, and why */

    struct arena *replies_arena; /* of an HL7 batch */
    struct str *replies;
    size_t reply_count, reply_room;
};

/* ---- import.c ---- */

/* The file as a whole cannot be taken; what was committed stays. */
void import_refuse(struct import *i, const struct err *why);
/* Something failed that may go better: the file is opened again behind the last commit. */
void import_again(struct adapter_host *h, struct import *i, const struct err *why);

/* ---- import_ask.c ---- */

/* Runs the statement of the stage. */
bool import_ask(struct adapter_host *h, struct import *i);

/* ---- import_read.c ---- */

enum err_code import_open_source(struct adapter_host *h, struct import *i, struct err *e);
/* Fills the group, or a chunk of rows to be compared, and sets the next stage. */
void import_read(struct adapter_host *h, struct import *i);
/* Goes on reading while the database commits. True when there is more to read. */
bool import_read_ahead(struct adapter_host *h, struct import *i);
/* A job whose message is a row, in the group; before or now may be NULL. */
enum err_code import_row_job(struct adapter_host *h, struct import *i, int64_t number,
                             const struct str *before, const struct str *now, const char *suffix,
                             struct job **out, struct err *e);

/* ---- import_gone.c ---- */

void import_paged(struct adapter_host *h, struct import *i, struct db_rows *rows);
void import_fetched(struct adapter_host *h, struct import *i, struct db_rows *rows);
void import_told(struct import *i);
void import_forgot(struct import *i);
enum err_code import_page_args(const struct import *i, struct db_args *q,
                               const struct db_statement **st);
enum err_code import_fetch_args(const struct adapter_host *h, const struct import *i,
                                struct arena *a, struct db_args *q, const struct db_statement **st,
                                struct err *e);

/* ---- import_rows.c ---- */

/* import_commit_args() of rows of a table (dari.commit_rows). */
enum err_code import_rows_args(const struct adapter_host *h, const struct import *i,
                               const struct jobs *group, int64_t from, struct arena *a,
                               struct db_args *q, const struct db_statement **st, struct err *e);

/* ---- import_commit.c: the other statements ---- */

/* Number of the last message that `group` has, or of the last unchanged row behind it; what was
 * read ahead lies behind that. */
int64_t import_reaches(const struct import *i, const struct jobs *group);
/* Place and reason of a refused file. */
const char *import_problem(const struct import *i, struct arena *a);
enum err_code import_open_args(const struct adapter_host *h, const struct import *i,
                               struct db_args *q, const struct db_statement **st);
/* Of a group, when the file was committed up to `from`. */
enum err_code import_commit_args(const struct adapter_host *h, const struct import *i,
                                 const struct jobs *group, int64_t from, struct arena *a,
                                 struct db_args *q, const struct db_statement **st, struct err *e);
enum err_code import_tell_args(const struct adapter_host *h, const struct import *i,
                               struct arena *a, struct db_args *q, const struct db_statement **st,
                               struct err *e);
enum err_code import_forget_args(const struct adapter_host *h, const struct import *i,
                                 struct arena *a, struct db_args *q, const struct db_statement **st,
                                 struct err *e);
enum err_code import_close_args(const struct adapter_host *h, const struct import *i,
                                struct arena *a, struct db_args *q, const struct db_statement **st);

#endif
