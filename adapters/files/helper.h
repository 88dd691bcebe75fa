/*
 * A process of our own for work that would hold up the loop or that reads what strangers made:
 * SFTP and unpacking. It is a fork that keeps one pipe and nothing else open, says lines through it
 * and ends. What it does to itself (crash, hang, memory) does not touch intake.
 */
#ifndef DARI_ADAPTERS_FILES_HELPER_H
#define DARI_ADAPTERS_FILES_HELPER_H

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdint.h>

struct net_loop;
struct helper;

struct helper_work {
    /* In the child; `out` is for helper_say(). What it returns is its exit status. */
    int (*run)(void *ctx, int out);
    /* In the parent: one line, without its LF. Must not stop the helper. */
    void (*line)(void *ctx, struct str line);
    /* In the parent: it is gone; ok: by itself, with status 0. The helper is freed already. */
    void (*ended)(void *ctx, bool ok);
    void *ctx;
    int64_t silence_ms; /* killed when it says nothing for so long; 0: never */
    int64_t memory;     /* bytes it may have more than we have now; 0: no limit */
};

enum err_code helper_start(struct net_loop *loop, const struct helper_work *w, struct helper **out,
                           struct err *e);
/* Kills it; ended() is not called. */
void helper_stop(struct helper **h);

/* In the child. A line of text that holds no LF; the child ends when nobody listens any more. */
void helper_say(int out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
