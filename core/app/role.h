/*
 * Roles: what `dari run` starts, one process each. A role function runs in its own process, after
 * the fork, until SIGTERM; it returns an exit status. It opens what it needs itself. When the
 * database or a peer is away it keeps trying with back-off and says so once on entering and once on
 * leaving the condition; it returns non-zero only when going on makes no sense (then the supervisor
 * restarts it, with back-off).
 */
#ifndef DARI_APP_ROLE_H
#define DARI_APP_ROLE_H

#include "core/app/config.h"

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
