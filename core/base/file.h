/* Whole files, safely: read with a limit, written so that a reader sees the old or the new one. */
#ifndef DARI_BASE_FILE_H
#define DARI_BASE_FILE_H

#include "core/base/arena.h"
#include "core/base/err.h"

#include <sys/types.h>

/* ERR_NOTFOUND, ERR_IO, ERR_LIMIT (larger than max), ERR_NOMEM. Messages name the path. */
enum err_code file_read(struct arena *a, const char *path, size_t max, struct str *out,
                        struct err *e);

/*
 * The same for large regular files, not through a symbolic link, into memory that file_unload()
 * gives back at once. Not mapped: whoever has the file open may cut it off meanwhile, and then a
 * mapping ends the process (SIGBUS). What became shorter while it was read: ERR_REFUSED.
 */
enum err_code file_load(const char *path, size_t max, struct str *out, struct err *e);
void file_unload(struct str *bytes);

/* Temporary file, fsync, rename, fsync of the folder. */
enum err_code file_write(const char *path, struct str bytes, mode_t mode, struct err *e);

/* fsync of a folder, so that names made or removed in it survive a power loss. */
enum err_code file_sync_folder(const char *path, struct err *e);

/* mkdir -p */
enum err_code file_make_folder(const char *path, mode_t mode, struct err *e);

bool file_exists(const char *path);

/* `name` itself when absolute, else base/name; in `a`. NULL when memory is out. */
char *file_path(struct arena *a, const char *base, const char *name);

/* Names in a folder that end with `suffix`, sorted by byte; NULL-terminated array in `a`. */
enum err_code file_list(struct arena *a, const char *folder, const char *suffix, char ***names,
                        size_t *count, struct err *e);

#endif
