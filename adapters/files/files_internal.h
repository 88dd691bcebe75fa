/* What the files of this folder share: options, a claimed file on its way, the adapter. */
#ifndef DARI_ADAPTERS_FILES_INTERNAL_H
#define DARI_ADAPTERS_FILES_INTERNAL_H

#include "adapters/files/files.h"
#include "adapters/files/helper.h"
#include "adapters/files/look.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/net/net.h"

struct files_options {
    const char *folder, *url, *work, *archive, *error, *reply;
    const char *match, *exclude, *order, *complete, *control;
    bool recursive, unpack;
    int64_t scan_ms, age_ms, retry_ms;
    int64_t max_names, max_depth, max_file, max_unpacked, max_ratio, max_members;
    const char *known_hosts, *key, *passphrase_file, *password_file;
    const char *remote_after, *remote_archive;
    int64_t connect_ms, stall_ms;
};

/* Conditions of which one is told on entering and one on leaving. */
enum trouble {
    TROUBLE_FOLDER,     /* the folder cannot be read */
    TROUBLE_UNREADABLE, /* a file cannot be opened */
    TROUBLE_CLAIM,      /* a file cannot be moved to working */
    TROUBLE_NAMES,      /* more files than max-names, or names that cannot be used */
    TROUBLE_WORK,       /* our own folder */
    TROUBLE_ARCHIVE,    /* archive or error folder */
    TROUBLE_REPLY,
    TROUBLE_SERVER,   /* SFTP: cannot be reached, refuses us, a transfer was cut */
    TROUBLE_HOST_KEY, /* SFTP: the server is not the one that known-hosts names */
    TROUBLE_REMOTE,   /* SFTP: a file that was fetched cannot be put away there */
    TROUBLE_COUNT
};

enum job_state {
    JOB_NEW,       /* claimed: to be unpacked, or submitted */
    JOB_UNPACKING, /* a helper works on it */
    JOB_READY,     /* its next part is to be submitted */
    JOB_SUBMITTED, /* the host has it */
    JOB_DONE       /* to be put away */
};

enum { JOB_ID = 16 };

/* A claimed file: WORK/working/ID/in/PATH, what was unpacked of it in WORK/working/ID/out/N. */
struct job {
    struct adapter *a;
    struct job *next; /* in the order claimed */
    char id[JOB_ID + 1];
    char *path; /* below the folder, as its sender called it */
    enum job_state state;
    usec not_before; /* clock_mono(): tried again then */
    int64_t size, time;
    uint64_t inode;
    bool unpacked; /* members[] are what is submitted */
    char **members;
    size_t member_count, member_cap, at; /* `at`: the one being submitted */
    int64_t taken, known, refused;       /* parts */
    struct buf problem;                  /* why parts were refused, one line each */
    struct buf reply;
    char *verdict; /* of the unpacking helper: NULL: none yet */
};

struct adapter {
    struct adapter_host *host;
    struct net_loop *loop;
    const struct files_options *o;
    struct arena *memory;
    struct look_rules rules;
    struct look look;
    /* below WORK, or where the options say */
    const char *work, *working, *archive, *error, *reply;
    int lock, inotify;
    struct net_watch *hint;
    struct net_timer *scan, *turn;
    int64_t scan_cost_ms; /* of the last look: hints do not cause more than a tenth of that */
    bool scan_soon, draining, host_full, opened; /* opened: folders are made, jobs recovered */
    struct job *jobs;
    int waiting_away; /* jobs in JOB_DONE */
    struct helper *fetcher, *unpacker;
    usec fetch_at; /* the fetcher is started again then */
    int64_t fetch_pause_ms;
    bool trouble[TROUBLE_COUNT];
};

/* ---- trouble.c ---- */
void trouble_on(struct adapter *a, enum trouble t, const char *why);
void trouble_off(struct adapter *a, enum trouble t);
/* By the name used in log lines, for what helpers say; TROUBLE_COUNT when there is none. */
enum trouble trouble_named(struct str name);
const char *trouble_name(enum trouble t);

/* ---- scan.c ---- */
/* A look into the local folder. False: it could not be read. */
bool scan_folder(struct adapter *a);
bool scan_hints(struct adapter *a, struct err *e); /* inotify; false: works without */
void scan_hints_free(struct adapter *a);
/* A name that is looked at: matches, is not excluded. Control files are. */
bool scan_wanted(const struct files_options *o, const char *path);

/* ---- desk.c: the working folder ---- */
/*
 * Takes a file by renaming it. ERR_NOTFOUND: gone or changed meanwhile; ERR_REFUSED: cannot be
 * opened by us; else an error of the folders.
 */
enum err_code desk_claim(struct adapter *a, struct look_file *f, struct job **out, struct err *e);
/* What lies in working and is no job yet: of an earlier run, oldest first; half-finished claims. */
enum err_code desk_recover(struct adapter *a, struct err *e);
/* The job of a file that the fetcher put there. */
enum err_code desk_adopt(struct adapter *a, struct str id, struct err *e);
/* A new folder WORKING/ID/in; `id` receives the name. */
enum err_code desk_new(const char *working, char id[JOB_ID + 1], struct err *e);
/* The job's file, or its unpacked part number n (from 1). */
const char *desk_file(struct arena *m, const struct adapter *a, const struct job *j, size_t n);
/* Removes what is left of a job, and the job. */
void desk_close(struct adapter *a, struct job *j);
void desk_free_jobs(struct adapter *a);
/* rm -r; symbolic links are not followed. */
void desk_remove(const char *path, int depth);
/* mkdir -p of everything before the last '/'. */
enum err_code desk_make_parents(const char *path, struct err *e);

/* ---- shelf.c: archive, error, reply folders ---- */
/*
 * Moves a file to FOLDER/PATH SUFFIX, or with .2, .3 … behind it: nothing is overwritten. Across
 * file systems it is copied and synced first. Messages name no file.
 */
enum err_code shelf_move(const char *from, const char *folder, const char *path, const char *suffix,
                         const char *id, struct err *e);
/* Same, with a PATH.problem.txt beside it that is there first. */
enum err_code shelf_refuse(const char *from, const char *folder, const char *path,
                           struct str problem, const char *id, struct err *e);
/* Writes a new file; the same bytes already there under that name are enough. */
enum err_code shelf_write(const char *folder, const char *path, const char *suffix,
                          struct str bytes, const char *id, struct err *e);

/* ---- job.c ---- */
/* Does what can be done now with the jobs; claims the next file. Sets the timer for later. */
void jobs_turn(struct adapter *a);
void job_finished(struct job *j, const struct adapter_result *r);
void jobs_soon(struct adapter *a, int64_t ms);

/* ---- unpack.c ---- */
bool unpack_wanted(const struct job *j);
enum err_code unpack_start(struct job *j, struct err *e);
void unpack_stop(struct adapter *a); /* it begins anew later */

/* ---- fetch.c ---- */
void fetch_turn(struct adapter *a); /* starts the fetcher when it is time */
enum err_code fetch_check(const struct files_options *o, struct err *e);
void fetch_surroundings(const struct files_options *o, const char *file, int line,
                        struct problems *p);

#endif
