/*
 * The memory of looks into a folder: which files are there, since when each has its present size
 * and time, and which of them are complete. A look is look_begin(), look_add() for each file,
 * look_end(). What a look did not find is forgotten.
 */
#ifndef DARI_ADAPTERS_FILES_LOOK_H
#define DARI_ADAPTERS_FILES_LOOK_H

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/err.h"

struct look_file {
    const char *path; /* below the folder */
    int64_t size, time;
    uint64_t inode;
    usec since;      /* clock_mono() of the first look that found it like this */
    int looks;       /* that found it like this, 0: the file is ours or gone */
    bool released;   /* its control file is there */
    bool unreadable; /* could not be opened: not offered until the owner clears it */
};

enum look_complete { LOOK_STABLE, LOOK_RENAME, LOOK_CONTROL };

struct look_rules {
    enum look_complete complete;
    struct str control; /* suffix of control files */
    int64_t age_ms;     /* stable: unchanged for so long, and found like this twice */
    bool by_time;       /* order: time, then path; else path */
    size_t max;         /* files kept in mind */
};

struct look {
    struct arena *now, *before;
    struct look_file *files, *old;
    const char **controls;
    size_t count, old_count, control_count, cap, control_cap;
    bool full;   /* more files than max: the rest waits */
    bool failed; /* memory ran out: the look is worthless */
};

enum err_code look_init(struct look *l, struct err *e);
void look_release(struct look *l);

void look_begin(struct look *l);
/* Files that are no candidates are not added; control files are, and kept apart. */
void look_add(struct look *l, const struct look_rules *r, const char *path, int64_t size,
              int64_t time, uint64_t inode);
void look_end(struct look *l, const struct look_rules *r, usec now);
/* The folder could not be read: what is known stays known. */
void look_undo(struct look *l);

bool look_complete(const struct look_file *f, const struct look_rules *r, usec now);
/* The complete file that comes first, or NULL. */
struct look_file *look_first(struct look *l, const struct look_rules *r, usec now);
/* When the next file becomes complete by age alone (clock_mono()), 0: none is waiting for that. */
usec look_due(const struct look *l, const struct look_rules *r, usec now);

#endif
