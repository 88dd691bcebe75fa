/*
 * Roles: what `dari run` starts, one process each. A role function runs in its own process, after
 * the fork, until SIGTERM; it returns an exit status. It opens what it needs itself. When the
 * database or a peer is away it keeps trying with back-off and says so once on entering and once on
 * leaving the condition; it returns non-zero only when going on makes no sense (then the supervisor
 * restarts it, with back-off), and role_failed() when it could not even start.
 */
#ifndef DARI_APP_ROLE_H
#define DARI_APP_ROLE_H

#include "core/app/config.h"

#include <stdatomic.h>

enum { ROLE_MISCONFIGURED = 78 }; /* exit status: starting again would not help (EX_CONFIG) */

/*
 * What supervisor and role know of each other, in memory that both see. The supervisor asks with
 * SIGHUP for the configuration to be read again: it has written a number into `asked`; the role
 * writes the number into `taken` when it has done so, or when it stays with the old one.
 */
struct role_report {
    atomic_llong asked, taken;
    atomic_int ready;   /* serves */
    atomic_int refused; /* of `taken`: it stays with the old one, `text` says why */
    char text[320];     /* also why it could not start */
};

struct role {
    const char *name; /* feed, relay, segment, messaging, steward */
    int (*run)(const struct config *c, const struct config_feed *feed); /* feed: role feed only */
};

int role_feed(const struct config *c, const struct config_feed *feed);
int role_relay(const struct config *c, const struct config_feed *feed);
int role_segment(const struct config *c, const struct config_feed *feed);
int role_messaging(const struct config *c, const struct config_feed *feed);
int role_steward(const struct config *c, const struct config_feed *feed);

/*
 * For roles whose loop waits in poll(): SIGTERM sets this. Installed by role_begin(), which also
 * opens the log under the role's name and sets the process title.
 */
extern volatile int role_stop;
enum err_code role_begin(const struct config *c, const char *name, struct err *e);
/* It has all that it needs, and serves from here on. */
void role_ready(void);
/* It could not start: logged and reported; the exit status. */
int role_failed(const char *event, const struct err *why);
/* The configuration was read again, or not: why is NULL when it was. */
void role_took(const struct err *why);
/* Set by the supervisor in the new process; NULL when nobody looks. */
void role_reports_to(struct role_report *r);

/* Back-off for "keep trying": 200 ms doubling to 5 s; waits (or returns at once when stopping). */
struct backoff {
    int64_t ms;
    bool away;
};
void backoff_wait(struct backoff *b);
/* True the first time: log entering. */
bool backoff_enter(struct backoff *b);
/* True when it was away: log leaving. */
bool backoff_leave(struct backoff *b);

#endif
