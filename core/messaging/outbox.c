#include "core/messaging/outbox.h"

#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_MESSAGE = 64 * 1024 };

static const char suffix[] = ".json";

static void staged_path(const char *folder, const char *id, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/.staging/%s%s", folder, id, suffix);
}

enum err_code outbox_open(const char *folder, struct err *e)
{
    char staging[PATH_MAX];
    struct stat st;
    snprintf(staging, sizeof staging, "%s/.staging", folder);
    enum err_code code = file_make_folder(staging, 0700, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (stat(folder, &st) != 0 || ((st.st_mode & 077) && chmod(folder, 0700) != 0)) {
        return ERR(e, ERR_CONFIG, 0, "%s: others may enter the outbox: chmod 700", folder);
    }
    return ERR_NONE;
}

enum err_code outbox_stage(const char *folder, const char *id, struct str bytes, struct err *e)
{
    char path[PATH_MAX];
    staged_path(folder, id, path);
    return file_write(path, bytes, 0600, e);
}

bool outbox_staged(const char *folder, const char *id)
{
    char path[PATH_MAX];
    staged_path(folder, id, path);
    return file_exists(path);
}

enum err_code outbox_read(const char *folder, const char *id, struct arena *a, struct str *out,
                          struct err *e)
{
    char path[PATH_MAX];
    staged_path(folder, id, path);
    return file_read(a, path, MAX_MESSAGE, out, e);
}

enum err_code outbox_move(const char *folder, const char *id, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    staged_path(folder, id, from);
    snprintf(to, sizeof to, "%s/%s%s", folder, id, suffix);
    if (rename(from, to) != 0) {
        return ERR(e, ERR_IO, 0, "could not move %s into the outbox: %s", id, strerror(errno));
    }
    return ERR_NONE;
}

enum err_code outbox_sync(const char *folder, struct err *e)
{
    char staging[PATH_MAX];
    snprintf(staging, sizeof staging, "%s/.staging", folder);
    enum err_code code = file_sync_folder(folder, e);
    return code == ERR_NONE ? file_sync_folder(staging, e) : code;
}

void outbox_unstage(const char *folder, const char *id)
{
    char path[PATH_MAX];
    staged_path(folder, id, path);
    unlink(path);
}

/* file_write() makes its temporary files in the same folder; a kill may leave one. */
static void sweep(const char *staging)
{
    DIR *d = opendir(staging);
    for (struct dirent *f; d && (f = readdir(d));) {
        struct str name = str_of(f->d_name);
        if (!str_ends(name, STR(".json")) && !str_is(name, ".") && !str_is(name, "..")) {
            unlinkat(dirfd(d), f->d_name, 0);
        }
    }
    if (d) {
        closedir(d);
    }
}

enum err_code outbox_list(const char *folder, struct arena *a, char ***ids, size_t *count,
                          struct err *e)
{
    char staging[PATH_MAX];
    snprintf(staging, sizeof staging, "%s/.staging", folder);
    sweep(staging);
    enum err_code code = file_list(a, staging, suffix, ids, count, e);
    for (size_t i = 0; code == ERR_NONE && i < *count; i++) {
        (*ids)[i][str_of((*ids)[i]).n - (sizeof suffix - 1)] = '\0';
    }
    return code;
}
