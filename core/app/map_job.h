/*
 * What `dari map` works with: where the mapping, the character set, the site and the keys come
 * from, a feed of the configuration or files given by hand; how its results are counted.
 */
#ifndef DARI_APP_MAP_JOB_H
#define DARI_APP_MAP_JOB_H

#include "core/app/map_parts.h"
#include "core/base/buf.h"
#include "core/intake/prepare.h"
#include "core/table/table.h"

/* As typed; NULL: not given. Either `feed` or `mapping` is. */
struct map_options {
    const char *feed, *config, *mapping, *catalogue, *charset, *zone, *keys;
    const char *delimiter, *header_row, *sheet;
    bool verbose;
};

struct map_job {
    struct prepare_settings settings;
    enum charset charset;
    struct catalogue *catalogue;
    struct mapping_set *mapping;
    struct keyring *keys;
    struct arena *memory;          /* of the process */
    struct arena *files, *message; /* reset for each file, for each message */
    struct table_settings table;
    struct map_parts parts;
    struct buf out;           /* the events of one message */
    size_t messages, ignored; /* of all files */
    bool verbose, failed;     /* failed: something was complained about */
};

/*
 * False: it was said why, and `*status` is EXIT_REFUSED or EXIT_USAGE. To be released either way.
 * What the feed says fills up `o`, whose texts must outlive the job.
 */
bool map_job_open(struct map_job *j, struct map_options *o, int *status);
void map_job_release(struct map_job *j);

#endif
