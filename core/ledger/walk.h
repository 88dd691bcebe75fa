/* Going through a ledger entry by entry, wherever it comes from; inside this folder only. */
#ifndef DARI_LEDGER_WALK_H
#define DARI_LEDGER_WALK_H

#include "core/ledger/checkpoint.h"
#include "core/ledger/verify.h"

struct walk {
    const struct ledger_check *check;
    struct ledger_report *report;
    struct tree *tree;
    const struct tree_sink *sink; /* or NULL */
    const char *site;
    struct checkpoint anchor;
    bool anchor_given, anchor_seen;
    int64_t next_seq; /* the event that must come next */
    int64_t suspect;  /* first entry that a wrong root could be about */
    bool stopped;     /* a gap: what follows cannot be computed any more */
};

/* `tree` must be empty. A bad anchor is a problem of the report. */
void walk_begin(struct walk *w, const struct ledger_check *c, const char *site,
                struct ledger_report *r, struct tree *tree, const struct tree_sink *sink);
enum err_code walk_entry(struct walk *w, int64_t idx, struct str body, struct err *e);
/* Must come right after entry `size`. */
void walk_checkpoint(struct walk *w, int64_t size, struct str note);
void walk_end(struct walk *w);

void walk_problem(struct walk *w, int64_t idx, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
