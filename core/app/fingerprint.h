/*
 * What a role depends on, as two digests: what it can take while it runs, and what it must be
 * started again for. A reload compares them, so that nobody is disturbed who has no part in a
 * change. Files count by what is in them.
 *
 *   feed       while running: mapping, code tables, catalogue, character sets, and where the
 *              adapter can, the files that its options name (certificates)
 *              else: every other option of the feed and of its adapter
 *   relay      contracts, catalogue, its options
 *   segment    segments, catalogue, its options
 *   messaging  journeys, templates, catalogue, its options, the site's name and numbers
 *   steward    catalogue, its options, names and silence of all feeds
 *   all        time zone, database
 */
#ifndef DARI_APP_FINGERPRINT_H
#define DARI_APP_FINGERPRINT_H

#include "core/app/config.h"
#include "core/crypto/digest.h"

struct fingerprint {
    unsigned char restart[SHA256_BYTES], running[SHA256_BYTES];
};

/* ERR_NOMEM only: a file that cannot be read counts as such. */
enum err_code fingerprint_of(const struct config *c, const char *role,
                             const struct config_feed *feed, struct fingerprint *out,
                             struct err *e);

#endif
