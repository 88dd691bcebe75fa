/*
 * A consumer of our own relay on this machine, for roles and commands: where the relay listens and
 * with which keys. Copies live in the arena.
 */
#ifndef DARI_APP_CONSUMER_H
#define DARI_APP_CONSUMER_H

#include "core/app/config.h"
#include "core/stream/client.h"

/*
 * Fills endpoint, keys and site for the key pair NAME.key in the keys folder, or, when `key_file`
 * is not NULL, for the secret key in that file. The endpoint is relative to the configuration's
 * home, because a socket's path must be short: be there (chdir) before stream_next(). Credit and
 * `from` (the cursor) get their defaults.
 */
enum err_code consumer_settings(const struct config *c, struct arena *a, const char *name,
                                const char *key_file, struct stream_settings *out, struct err *e);

#endif
