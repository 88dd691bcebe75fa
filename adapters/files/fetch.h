/* The SFTP side, in the process that fetches: what fetch.c, fetch_round.c and fetch_curl.c share.
 */
#ifndef DARI_ADAPTERS_FILES_FETCH_H
#define DARI_ADAPTERS_FILES_FETCH_H

#include "adapters/files/files_internal.h"

/* ---- fetch_curl.c: the server; messages name no file ---- */

struct remote;

/*
 * Nothing is said to the server yet. `alive` is called every few seconds while something is under
 * way. Errors of all calls: ERR_REFUSED the host key is not the one we know; ERR_NOTFOUND no such
 * file or folder; ERR_UNSUPPORTED the server does not let us; ERR_FULL our disk; ERR_PEER the
 * connection, after which remote_free() and a new one are due.
 */
enum err_code remote_new(const struct files_options *o, void (*alive)(void *), void *ctx,
                         struct remote **out, struct err *e);
void remote_free(struct remote **r);

/* Paths are below the watched folder. The listing of a folder ("" for itself, else with its '/').
 */
enum err_code remote_list(struct remote *r, const char *folder, struct buf *out, struct err *e);
enum err_code remote_stat(struct remote *r, const char *path, int64_t *size, int64_t *time,
                          struct err *e);
/* Appends what comes behind byte `from` to `fd`; more than `size` bytes in all are an error. */
enum err_code remote_get(struct remote *r, const char *path, int64_t from, int64_t size, int fd,
                         struct err *e);
/* The folders above `to` are made. Never over something that is there already. */
enum err_code remote_rename(struct remote *r, const char *from, const char *to, struct err *e);
enum err_code remote_delete(struct remote *r, const char *path, struct err *e);

/* ---- fetch_round.c ---- */

struct fetching {
    const struct files_options *o;
    const char *work, *working;
    const struct look_rules *rules;
    struct look look;
    struct remote *remote;
    struct arena *m; /* of one round */
    int out;         /* to the parent */
    bool strange;    /* the listing holds lines or names that cannot be used */
    bool closed;     /* files or folders that the server does not let us have */
};

/* Looks, fetches what is complete, puts it away there. False: the server is gone, or we are full.
 */
bool fetch_round(struct fetching *f);
/* Lines to the parent: a condition begins or ends. */
void fetch_on(const struct fetching *f, enum trouble t, const char *why);
void fetch_off(const struct fetching *f, enum trouble t);

#endif
