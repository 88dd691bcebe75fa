/* Files that feeds took: for dari batch list, and the newest of them for dari status. */
#ifndef DARI_APP_BATCH_VIEW_H
#define DARI_APP_BATCH_VIEW_H

#include "core/app/session.h"

struct batch_filter {
    const char *feed, *state; /* NULL: all */
    int64_t limit;
};

/* The newest first. As a table with its sum per file, or a JSON array. */
enum err_code batch_print(struct session *s, const struct batch_filter *f, bool json,
                          struct err *e);

#endif
