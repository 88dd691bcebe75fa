#include "core/app/fingerprint.h"

#include "core/base/buf.h"
#include "core/base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILE = 64 * 1024 * 1024, MAX_TEXT = 16 * 1024 * 1024 };

/* A text is built of everything that counts, then hashed. */

static void add_z(struct buf *b, const char *z)
{
    buf_addz(b, z ? z : "");
    buf_addc(b, '\0');
}

static void add_file(struct buf *b, const char *path)
{
    struct arena *a = arena_new(0);
    struct str bytes;
    unsigned char sum[SHA256_BYTES] = {0};
    if (a && file_read(a, path, MAX_FILE, &bytes, NULL) == ERR_NONE) {
        sha256(bytes, sum);
    }
    add_z(b, path);
    buf_add(b, (struct str){(const char *)sum, sizeof sum});
    arena_free(&a);
}

static void add_folder(struct buf *b, const char *path)
{
    struct arena *a = arena_new(0);
    char **names;
    size_t count = 0;
    add_z(b, path);
    if (a && file_list(a, path, ".xml", &names, &count, NULL) == ERR_NONE) {
        for (size_t i = 0; i < count; i++) {
            const char *file = file_path(a, path, names[i]);
            if (file) {
                add_file(b, file);
            }
        }
    }
    arena_free(&a);
}

static void add_row(struct buf *b, const struct option_row *row, const void *options)
{
    const void *at = (const char *)options + row->offset;
    const char *z;
    int64_t n;
    bool yes;
    add_z(b, row->name);
    switch (row->type) {
    case OPTION_TEXT:
    case OPTION_PATH:
        memcpy(&z, at, sizeof z);
        add_z(b, z);
        break;
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_MS:
        memcpy(&n, at, sizeof n);
        buf_printf(b, "%" PRId64, n);
        break;
    case OPTION_BOOL:
        memcpy(&yes, at, sizeof yes);
        buf_addc(b, yes ? 'y' : 'n');
        break;
    }
}

static void add_rows(struct buf *b, const struct option_row *rows, const void *options)
{
    for (; rows && rows->name; rows++) {
        add_row(b, rows, options);
    }
}

/* A mapping, or a folder of them, with the code tables and headers of both places where they may
 * lie. */
static void add_mapping(struct buf *b, const char *path)
{
    struct stat st;
    char at[4096];
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    const char *slash = strrchr(path, '/');
    int n = folder || !slash ? (int)strlen(path) : (int)(slash - path);
    folder ? add_folder(b, path) : add_file(b, path);
    for (int i = 0; i < 2; i++) {
        snprintf(at, sizeof at, "%.*s/%stables", n, path, i ? "../" : "");
        add_folder(b, at);
        snprintf(at, sizeof at, "%.*s/%sheaders.xml", n, path, i ? "../" : "");
        add_file(b, at);
    }
}

/* Attributes of a feed that it takes while it runs, or that are the steward's; all others need a
 * new start. */
static bool is_taken(const char *name)
{
    return strcmp(name, "mapping") == 0 || strcmp(name, "charset") == 0 ||
           strcmp(name, "charset-fallback") == 0;
}

static bool is_watched(const char *name)
{
    return strncmp(name, "silent-", 7) == 0 || strcmp(name, "parts-wait") == 0;
}

/* A file counts with what is in it: it is taken while running where the adapter can. */
static void add_option(struct buf *restart, struct buf *running, const struct config_feed *f,
                       const struct option_row *row)
{
    const char *z = NULL;
    struct stat st;
    if (row->type == OPTION_PATH) {
        memcpy(&z, (const char *)f->options + row->offset, sizeof z);
    }
    if (!z || !z[0] || stat(z, &st) != 0 || !S_ISREG(st.st_mode)) {
        bool taken = row->type == OPTION_PATH && f->adapter->reload && (!z || !z[0]);
        add_row(taken ? running : restart, row, f->options);
        return;
    }
    struct buf *to = f->adapter->reload ? running : restart;
    add_z(to, row->name);
    add_file(to, z);
}

static void add_feed(struct buf *restart, struct buf *running, const struct config *c,
                     const struct config_feed *f)
{
    for (const struct option_row *row = config_rows("feed"); row->name; row++) {
        if (!is_watched(row->name)) {
            add_row(is_taken(row->name) ? running : restart, row, f->attributes);
        }
    }
    add_mapping(running, f->mapping);
    add_file(running, c->catalogue);
    for (const struct option_row *row = f->adapter->options; row->name; row++) {
        add_option(restart, running, f, row);
    }
}

static void add_steward(struct buf *b, const struct config *c)
{
    add_rows(b, config_rows("steward"), c);
    for (size_t i = 0; i < c->feed_count; i++) {
        add_z(b, c->feeds[i].name);
        for (const struct option_row *row = config_rows("feed"); row->name; row++) {
            if (is_watched(row->name)) {
                add_row(b, row, c->feeds[i].attributes);
            }
        }
    }
}

static void add_role(struct buf *b, const struct config *c, const char *role)
{
    add_file(b, c->catalogue);
    if (strcmp(role, "relay") == 0) {
        add_rows(b, config_rows("relay"), c);
        add_folder(b, c->relay.contracts);
    } else if (strcmp(role, "segment") == 0) {
        add_rows(b, config_rows("segments"), c);
        add_z(b, c->relay.local);
        add_folder(b, c->segment.segments);
    } else if (strcmp(role, "messaging") == 0) {
        add_rows(b, config_rows("messaging"), c);
        add_rows(b, config_rows("site"), c);
        add_z(b, c->relay.local);
        add_folder(b, c->messaging.journeys);
        add_folder(b, c->messaging.templates);
    } else if (strcmp(role, "steward") == 0) {
        add_steward(b, c);
    }
}

enum err_code fingerprint_of(const struct config *c, const char *role,
                             const struct config_feed *feed, struct fingerprint *out, struct err *e)
{
    struct buf restart, running;
    buf_init(&restart, MAX_TEXT);
    buf_init(&running, MAX_TEXT);
    add_z(&restart, c->zone);
    add_z(&restart, c->home);
    add_z(&restart, c->conninfo ? c->conninfo : c->conninfo_file);
    buf_printf(&restart, "%d %d", c->conninfo != NULL, c->set_role);
    if (feed) {
        add_feed(&restart, &running, c, feed);
    } else {
        add_role(&restart, c, role);
    }
    enum err_code code = ERR_NONE;
    if (!buf_ok(&restart) || !buf_ok(&running)) {
        code = ERR(e, ERR_NOMEM, 0, "no memory for the configuration's digest");
    } else {
        sha256(buf_str(&restart), out->restart);
        sha256(buf_str(&running), out->running);
    }
    buf_release(&restart);
    buf_release(&running);
    return code;
}
