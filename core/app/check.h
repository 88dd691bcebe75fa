/*
 * Everything that the configuration names, looked at as far as that is possible without starting
 * anything: what `dari check` says, and what `dari run` and a reload refuse.
 */
#ifndef DARI_APP_CHECK_H
#define DARI_APP_CHECK_H

#include "core/app/config.h"

/* Which roles are meant; NULL: all of them. `feed` is set for the role feed only. */
struct check_scope {
    bool (*wants)(void *ctx, const char *role, const struct config_feed *feed);
    void *ctx;
};

/*
 * Catalogue, mappings with their tables, certificates and other options of adapters, folders that
 * must be writable, contracts, segments, journeys, templates. Each problem with file and line.
 */
void check_files(struct arena *a, const struct config *c, const struct check_scope *s,
                 struct problems *p);

/*
 * What dari keys init makes, as far as the roles need it: one that misses its key would only be
 * started in vain. The scope NULL: all of it.
 */
enum err_code check_keys(struct arena *a, const struct config *c, const struct check_scope *s,
                         struct err *e);

#endif
