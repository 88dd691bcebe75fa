/*
 * The outbox: a folder (0700) from which a gateway takes files (0600), and below it .staging, where
 * a message waits between "its text is made" and "it may leave". Staged bytes are on disk before
 * stage returns; moving is one rename, so a gateway never sees half a file. Folder and .staging lie
 * on one file system.
 *
 * A staged file that is gone although nobody removed it was moved: recovery rests on that.
 */
#ifndef DARI_MESSAGING_OUTBOX_H
#define DARI_MESSAGING_OUTBOX_H

#include "core/base/arena.h"
#include "core/base/err.h"

/* Makes both folders. ERR_CONFIG when others may enter the outbox and that cannot be changed. */
enum err_code outbox_open(const char *folder, struct err *e);

enum err_code outbox_stage(const char *folder, const char *id, struct str bytes, struct err *e);
bool outbox_staged(const char *folder, const char *id);
enum err_code outbox_read(const char *folder, const char *id, struct arena *a, struct str *out,
                          struct err *e);
/* Renames; outbox_sync() afterwards, once for many. */
enum err_code outbox_move(const char *folder, const char *id, struct err *e);
enum err_code outbox_sync(const char *folder, struct err *e);
/* No error when it is not there. */
void outbox_unstage(const char *folder, const char *id);
/* The ids that are staged, and what an interrupted write left (removed). */
enum err_code outbox_list(const char *folder, struct arena *a, char ***ids, size_t *count,
                          struct err *e);

#endif
