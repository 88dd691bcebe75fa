/* What most commands begin with: the configuration, an arena, and the database when they need it.
 */
#ifndef DARI_APP_SESSION_H
#define DARI_APP_SESSION_H

#include "core/app/config.h"
#include "core/crypto/keys.h"

struct session {
    struct arena *arena;
    const struct config *config;
    struct db *db;
    struct keyring *keys; /* opened by session_keys() */
};

/* False: *status is the exit status, everything was said. Close in any case. */
bool session_open(struct session *s, const char *command, const char *config_file, int *status);
bool session_keys(struct session *s, const char *command, int *status);
void session_close(struct session *s);

/* A filter that names a feed which is not configured: said on standard error, and the search goes
 * on, since messages of feeds of before are still there. feed may be NULL. */
void session_hint_feed(const struct session *s, const char *command, const char *feed);

#endif
