/* A spill's parts: spill.c (the folder, what in it is complete) and spill_rows.c (rows and keys
 * into files, keys out of them again). */
#ifndef DARI_ADAPTERS_SQL_SPILL_INTERNAL_H
#define DARI_ADAPTERS_SQL_SPILL_INTERNAL_H

#include "adapters/sql/spill.h"

#include <limits.h>
#include <stdio.h>

enum { SPILL_CHUNK = 256 * 1024, SPILL_PATHS = 8 };

/* A file under way; fd -1: none. */
struct spill_out {
    int fd;
    struct buf pending; /* written when it is a chunk */
};

struct spill {
    char *folder;
    char paths[SPILL_PATHS][PATH_MAX]; /* spill_path(), in turn */
    unsigned next_path;
    int lock;
    struct spill_limits limits;
    struct buf row; /* spill_format() */
    struct spill_out rows, keys;
    int64_t size;  /* of what is under way */
    FILE *reading; /* keys; NULL: not now */
    struct buf key;
};

/* spill.c; ERR_NOTFOUND or ERR_IO, with errno's text */
enum err_code spill_system_err(struct err *e, const char *what, const char *path);
enum err_code spill_drop(struct spill *s, const char *name, struct err *e); /* or not there */

/* spill_rows.c */
void spill_close_out(struct spill_out *o); /* what is pending is forgotten */
/* Fsynced and under its other name; nothing when it is not open. */
enum err_code spill_settle(struct spill *s, struct spill_out *o, const char *from, const char *to,
                           struct err *e);

#endif
