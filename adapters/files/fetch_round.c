/*
 * One round of the process that fetches. WORK/partial/KEY is a download under way, WORK/fetched/KEY
 * a note that we have a file which still lies on the server; KEY is made of path, size and time as
 * the listing gives them, and the note holds them in full.
 */
#include "adapters/files/fetch.h"

#include "adapters/files/rules.h"
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LISTING_MAX = 256 * 1024 * 1024, NOTE_MAX = 8 * 1024, TRIES = 1000, KEY_TEXT = 17 };

/* ---- keys and notes ---- */

static void key_of(const struct look_file *f, char key[KEY_TEXT])
{
    char text[PATH_MAX + 64];
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a: the note's text decides, not the key alone */
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %s", f->size, f->time, f->path);
    for (const char *c = text; *c; c++) {
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    }
    snprintf(key, KEY_TEXT, "%016" PRIx64, h);
}

static const char *ours(struct fetching *f, const struct look_file *file, const char *kind)
{
    char key[KEY_TEXT];
    key_of(file, key);
    return arena_printf(f->m, "%s/%s/%s", f->work, kind, key);
}

static const char *note_text(struct fetching *f, const struct look_file *file)
{
    return arena_printf(f->m, "%" PRId64 " %" PRId64 " %s\n", file->size, file->time, file->path);
}

static bool have(struct fetching *f, const struct look_file *file)
{
    struct str text;
    const char *note = ours(f, file, "fetched"), *want = note_text(f, file);
    return note && want && file_exists(note) &&
           file_read(f->m, note, NOTE_MAX, &text, NULL) == ERR_NONE && str_is(text, want);
}

/* ---- looking ---- */

static bool listed(struct fetching *f, const char *folder, struct str line, usec now,
                   struct rule_listed *l, char path[PATH_MAX])
{
    if (!line.n || str_ends(line, STR(" .")) || str_ends(line, STR(" .."))) {
        return false;
    }
    if (!rule_listing(line, now, l) ||
        snprintf(path, PATH_MAX - 1, "%s%.*s", folder, STR_ARG(l->name)) >= PATH_MAX - 1) {
        f->strange = true;
        return false;
    }
    return true;
}

static enum err_code list(struct fetching *f, const char *folder, int depth, struct err *e);

static enum err_code see(struct fetching *f, const struct rule_listed *l, char path[PATH_MAX],
                         int depth, struct err *e)
{
    const struct files_options *o = f->o;
    if (l->type == '-' && scan_wanted(o, path)) {
        look_add(&f->look, f->rules, path, l->size, l->time / USEC_MINUTE, 0);
    }
    bool into = l->type == 'd' && o->recursive && depth < o->max_depth && l->name.p[0] != '.' &&
                strcmp(path, o->remote_archive) != 0;
    if (!into) {
        return ERR_NONE;
    }
    size_t n = strlen(path);
    memcpy(path + n, "/", 2);
    enum err_code code = list(f, path, depth + 1, e);
    if (code == ERR_NOTFOUND || code == ERR_UNSUPPORTED) {
        f->closed = f->closed || code == ERR_UNSUPPORTED;
        code = ERR_NONE;
    }
    return code;
}

static enum err_code list(struct fetching *f, const char *folder, int depth, struct err *e)
{
    struct buf b;
    struct str rest, line;
    usec now = clock_real();
    buf_init(&b, LISTING_MAX);
    enum err_code code = remote_list(f->remote, folder, &b, e);
    rest = buf_str(&b);
    while (code == ERR_NONE && rest.n && str_next(&rest, '\n', &line)) {
        struct rule_listed l;
        char path[PATH_MAX];
        if (listed(f, folder, line, now, &l, path)) {
            code = see(f, &l, path, depth, e);
        }
    }
    buf_release(&b);
    return code;
}

/* ---- fetching one file ---- */

static enum err_code download(struct fetching *f, const struct look_file *file, int64_t size,
                              int64_t time, const char *part, struct err *e)
{
    struct stat st;
    int fd = open(part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return ERR(e, ERR_FULL, 0, "could not write: %s", strerror(errno));
    }
    int64_t from = st.st_size;
    enum err_code code = ERR_NONE;
    /* What is there was written when the server's file had this very time; else from the start. */
    if (from > size || st.st_mtim.tv_sec != time) {
        from = 0;
        code = ftruncate(fd, 0) == 0 ? ERR_NONE : ERR(e, ERR_FULL, 0, "could not write");
    }
    if (code == ERR_NONE && from < size) {
        code = remote_get(f->remote, file->path, from, size, fd, e);
    }
    /* The time says that what is there is safely there: it goes last. */
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time}};
    if ((fsync(fd) != 0 || futimens(fd, times) != 0) && code == ERR_NONE) {
        code = ERR(e, ERR_FULL, 0, "could not sync: %s", strerror(errno));
    }
    close(fd);
    return code;
}

/* Into WORKING/ID/in/PATH, for good: the server will lose it. */
static enum err_code hand_over(struct fetching *f, const struct look_file *file, const char *part,
                               char id[JOB_ID + 1], struct err *e)
{
    char to[PATH_MAX];
    enum err_code code = desk_new(f->working, id, e);
    if (code == ERR_NONE &&
        snprintf(to, sizeof to, "%s/%s/in/%s", f->working, id, file->path) >= (int)sizeof to) {
        code = ERR(e, ERR_UNSUPPORTED, 0, "path is too long");
    }
    if (code == ERR_NONE && desk_make_parents(to, NULL) != ERR_NONE) {
        code = ERR(e, ERR_FULL, 0, "could not make a folder in working: %s", strerror(errno));
    }
    if (code == ERR_NONE && rename(part, to) != 0) {
        code = ERR(e, ERR_FULL, 0, "could not move to working: %s", strerror(errno));
    }
    size_t keep = strlen(f->working);
    for (char *slash; code == ERR_NONE && (slash = strrchr(to, '/')) && slash >= to + keep;) {
        *slash = '\0';
        if (file_sync_folder(to, NULL) != ERR_NONE) {
            code = ERR(e, ERR_FULL, 0, "could not sync a folder in working: %s", strerror(errno));
        }
    }
    return code;
}

static enum err_code write_note(struct fetching *f, const struct look_file *file, struct err *e)
{
    const char *note = ours(f, file, "fetched"), *text = note_text(f, file);
    return note && text ? file_write(note, str_of(text), 0600, e)
                        : ERR(e, ERR_NOMEM, 0, "no memory");
}

static enum err_code fetch_file(struct fetching *f, const struct look_file *file, struct err *e)
{
    int64_t size, time, size2, time2;
    char id[JOB_ID + 1];
    const char *part = ours(f, file, "partial");
    enum err_code code = part ? remote_stat(f->remote, file->path, &size, &time, e)
                              : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE && size > f->o->max_file) {
        return ERR(e, ERR_UNSUPPORTED, 0, "a file is larger than max-file");
    }
    if (code == ERR_NONE) {
        code = download(f, file, size, time, part, e);
    }
    if (code == ERR_NONE) {
        code = remote_stat(f->remote, file->path, &size2, &time2, e);
    }
    if (code == ERR_NONE && (size2 != size || time2 != time)) {
        unlink(part); /* it was written to meanwhile */
        return ERR(e, ERR_NOTFOUND, 0, "changed");
    }
    if (code == ERR_NONE) {
        code = hand_over(f, file, part, id, e);
    }
    if (code == ERR_NONE) {
        code = write_note(f, file, e);
        helper_say(f->out, "got %s", id);
    }
    return code;
}

/* ---- putting away on the server ---- */

static enum err_code to_archive(struct fetching *f, const struct look_file *file, struct err *e)
{
    char to[PATH_MAX];
    int64_t size, time;
    for (int k = 1; k < TRIES; k++) {
        int n = k == 1 ? snprintf(to, sizeof to, "%s/%s", f->o->remote_archive, file->path)
                       : snprintf(to, sizeof to, "%s/%s.%d", f->o->remote_archive, file->path, k);
        if (n >= (int)sizeof to) {
            return ERR(e, ERR_UNSUPPORTED, 0, "path is too long");
        }
        enum err_code code = remote_stat(f->remote, to, &size, &time, e);
        if (code == ERR_NOTFOUND) {
            return remote_rename(f->remote, file->path, to, e);
        }
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR(e, ERR_UNSUPPORTED, 0, "no free name is left in the server's archive");
}

/* The note goes last: until then nobody fetches the file again. */
static enum err_code put_away(struct fetching *f, const struct look_file *file, struct err *e)
{
    if (strcmp(f->o->remote_after, "leave") == 0) {
        return ERR_NONE;
    }
    enum err_code code = ERR_NONE;
    if (f->rules->complete == LOOK_CONTROL) {
        const char *control = arena_printf(f->m, "%s%s", file->path, f->o->control);
        code = control ? remote_delete(f->remote, control, e) : ERR(e, ERR_NOMEM, 0, "no memory");
        code = code == ERR_UNSUPPORTED ? ERR_NONE : code; /* gone already, most likely */
    }
    if (code == ERR_NONE) {
        code = strcmp(f->o->remote_after, "delete") == 0 ? remote_delete(f->remote, file->path, e)
                                                         : to_archive(f, file, e);
    }
    const char *note = code == ERR_NONE ? ours(f, file, "fetched") : NULL;
    if (note) {
        unlink(note);
    }
    return code;
}

/* ---- what is left of earlier rounds ---- */

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, KEY_TEXT);
}

/* Notes and half downloads of files that the server does not have any more. */
static void tidy(struct fetching *f)
{
    static const char *const kinds[] = {"partial", "fetched"};
    char(*keys)[KEY_TEXT] = arena_array(f->m, f->look.count + 1, KEY_TEXT);
    if (!keys || f->look.full || f->closed) {
        return;
    }
    for (size_t i = 0; i < f->look.count; i++) {
        key_of(&f->look.files[i], keys[i]);
    }
    qsort(keys, f->look.count, KEY_TEXT, by_key);
    for (size_t k = 0; k < 2; k++) {
        char **names;
        size_t count;
        const char *folder = arena_printf(f->m, "%s/%s", f->work, kinds[k]);
        if (!folder || file_list(f->m, folder, "", &names, &count, NULL) != ERR_NONE) {
            return;
        }
        for (size_t i = 0; i < count; i++) {
            const char *path = arena_printf(f->m, "%s/%s", folder, names[i]);
            bool known = strlen(names[i]) == KEY_TEXT - 1 &&
                         bsearch(names[i], keys, f->look.count, KEY_TEXT, by_key);
            if (!known && path) {
                unlink(path);
            }
        }
    }
}

/* ---- the round ---- */

static bool look_there(struct fetching *f)
{
    struct err e = {0};
    f->strange = f->closed = false;
    look_begin(&f->look);
    enum err_code code = list(f, "", 0, &e);
    if (code != ERR_NONE) {
        look_undo(&f->look);
        fetch_on(f, code == ERR_REFUSED ? TROUBLE_HOST_KEY : TROUBLE_SERVER,
                 code == ERR_NOTFOUND ? "the folder is not there" : e.msg);
        return false;
    }
    look_end(&f->look, f->rules, clock_mono());
    fetch_off(f, TROUBLE_HOST_KEY);
    fetch_off(f, TROUBLE_SERVER);
    if (f->look.full || f->strange) {
        fetch_on(f, TROUBLE_NAMES,
                 f->look.full ? "more files than max-names: the others wait"
                              : "a line of the listing, or a name, that cannot be used");
    } else {
        fetch_off(f, TROUBLE_NAMES);
    }
    tidy(f);
    return true;
}

/* False: the connection or our disk is of no use just now. */
static bool took(struct fetching *f, struct look_file *file, enum err_code code,
                 const struct err *e, enum trouble here)
{
    switch (code) {
    case ERR_NONE:
        return true;
    case ERR_NOTFOUND: /* gone or changed: the next round sees */
        return true;
    case ERR_UNSUPPORTED:
        f->closed = f->closed || here == TROUBLE_UNREADABLE;
        fetch_on(f, here, e->msg);
        file->looks = 0;
        return true;
    case ERR_REFUSED:
        fetch_on(f, TROUBLE_HOST_KEY, e->msg);
        return false;
    case ERR_FULL:
    case ERR_IO:
        fetch_on(f, TROUBLE_WORK, e->msg);
        return false;
    default:
        fetch_on(f, TROUBLE_SERVER, e->msg);
        return false;
    }
}

static size_t waiting(struct fetching *f)
{
    char **names;
    size_t count;
    return file_list(f->m, f->working, "", &names, &count, NULL) == ERR_NONE ? count : 0;
}

/* Files that we have and that still lie there; they are not fetched again. */
static bool put_away_left(struct fetching *f)
{
    bool all = true;
    for (size_t i = 0; i < f->look.count; i++) {
        struct look_file *file = &f->look.files[i];
        struct err e = {0};
        if (!have(f, file)) {
            continue;
        }
        enum err_code code = put_away(f, file, &e);
        file->looks = 0;
        all = all && code == ERR_NONE;
        if (!took(f, file, code, &e, TROUBLE_REMOTE)) {
            return false;
        }
    }
    if (all) {
        fetch_off(f, TROUBLE_REMOTE);
    }
    return true;
}

bool fetch_round(struct fetching *f)
{
    enum { AHEAD = 8 };
    struct look_file *file;
    if (!look_there(f) || !put_away_left(f)) {
        return false;
    }
    while (waiting(f) < AHEAD && (file = look_first(&f->look, f->rules, clock_mono()))) {
        struct err e = {0};
        enum err_code code = fetch_file(f, file, &e);
        file->looks = 0;
        if (!took(f, file, code, &e, TROUBLE_UNREADABLE)) {
            return false;
        }
        if (code == ERR_NONE) {
            fetch_off(f, TROUBLE_WORK);
            code = put_away(f, file, &e);
            if (!took(f, file, code, &e, TROUBLE_REMOTE)) {
                return false;
            }
        }
    }
    if (!f->closed) {
        fetch_off(f, TROUBLE_UNREADABLE);
    }
    return true;
}
