#include "adapters/files/fetch.h"

#include "core/base/file.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTING_MAX = 256 * 1024 * 1024, ALIVE_EVERY = 5, SECRET_MAX = 1024 };

struct remote {
    const struct files_options *o;
    CURL *curl;
    CURLU *url;
    char *folder; /* its path in the URL, decoded, with a '/' at the end */
    void (*alive)(void *);
    void *ctx;
    usec said, moved; /* clock_mono(): last sign of life; last byte */
    curl_off_t bytes; /* of the transfer under way */
    struct buf *into; /* a listing */
    int fd;           /* or a file */
    int64_t room;     /* bytes it may still get */
    int host_key;     /* what the check of the host key said: 0 nothing, 1 unknown, 2 changed */
    int disk;         /* errno of our own disk */
};

/* ---- what curl calls ---- */

static int on_host_key(CURL *curl, const struct curl_khkey *known, const struct curl_khkey *found,
                       enum curl_khmatch match, void *ctx)
{
    struct remote *r = ctx;
    (void)curl, (void)known, (void)found;
    r->host_key = match == CURLKHMATCH_MISSING ? 1 : match == CURLKHMATCH_MISMATCH ? 2 : 0;
    return match == CURLKHMATCH_OK ? CURLKHSTAT_FINE : CURLKHSTAT_REJECT;
}

static size_t on_bytes(char *p, size_t size, size_t count, void *ctx)
{
    struct remote *r = ctx;
    size_t n = size * count;
    if (r->into) {
        buf_add(r->into, (struct str){p, n});
        return buf_ok(r->into) ? n : 0;
    }
    if ((int64_t)n > r->room) {
        return 0;
    }
    r->room -= (int64_t)n;
    for (size_t done = 0; done < n;) {
        ssize_t w = write(r->fd, p + done, n - done);
        if (w < 0 && errno != EINTR) {
            r->disk = errno;
            return 0;
        }
        done += w > 0 ? (size_t)w : 0;
    }
    return n;
}

/* Called about once a second, also when nothing comes. */
static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up)
{
    struct remote *r = ctx;
    usec t = clock_mono();
    (void)total, (void)up_total, (void)up;
    if (now != r->bytes) {
        r->bytes = now;
        r->moved = t;
    }
    if (t - r->said > ALIVE_EVERY * USEC_SECOND) {
        r->said = t;
        r->alive(r->ctx);
    }
    return t - r->moved > r->o->stall_ms * 1000;
}

/* ---- one request ---- */

static enum err_code secret(struct remote *r, const char *file, CURLoption option, struct err *e)
{
    struct arena *m = arena_new(0);
    struct str text;
    enum err_code code =
        m ? file_read(m, file, SECRET_MAX, &text, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
            text.n--;
        }
        char *z = arena_z(m, text);
        if (!z || curl_easy_setopt(r->curl, option, z) != CURLE_OK) {
            code = ERR(e, ERR_NOMEM, 0, "no memory");
        }
        if (z) {
            explicit_bzero(z, text.n);
        }
    }
    arena_free(&m);
    return code == ERR_NONE ? ERR_NONE : ERR(e, ERR_PEER, 0, "could not read a secret's file");
}

static enum err_code log_in(struct remote *r, struct err *e)
{
    const struct files_options *o = r->o;
    enum err_code code = ERR_NONE;
    long ways = 0;
    if (o->key[0]) {
        ways |= CURLSSH_AUTH_PUBLICKEY;
        curl_easy_setopt(r->curl, CURLOPT_SSH_PRIVATE_KEYFILE, o->key);
        curl_easy_setopt(r->curl, CURLOPT_SSH_PUBLIC_KEYFILE, ""); /* made from the private one */
        if (o->passphrase_file[0]) {
            code = secret(r, o->passphrase_file, CURLOPT_KEYPASSWD, e);
        }
    }
    if (code == ERR_NONE && o->password_file[0]) {
        ways |= CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD;
        code = secret(r, o->password_file, CURLOPT_PASSWORD, e);
    }
    curl_easy_setopt(r->curl, CURLOPT_SSH_AUTH_TYPES, ways);
    return code;
}

static enum err_code prepare(struct remote *r, const char *path, struct err *e)
{
    char full[PATH_MAX + 16];
    CURL *c = r->curl;
    snprintf(full, sizeof full, "%s%s", r->folder, path);
    if (curl_url_set(r->url, CURLUPART_PATH, full, CURLU_URLENCODE) != CURLUE_OK) {
        return ERR(e, ERR_NOTFOUND, 0, "a path cannot be asked for");
    }
    curl_easy_reset(c); /* keeps the connection */
    curl_easy_setopt(c, CURLOPT_CURLU, r->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "sftp");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)r->o->connect_ms);
    curl_easy_setopt(c, CURLOPT_SSH_KNOWNHOSTS, r->o->known_hosts);
    curl_easy_setopt(c, CURLOPT_SSH_KEYFUNCTION, on_host_key);
    curl_easy_setopt(c, CURLOPT_SSH_KEYDATA, r);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
    r->into = NULL;
    r->fd = -1;
    r->disk = r->host_key = 0;
    r->bytes = 0;
    r->moved = clock_mono();
    return log_in(r, e);
}

/* curl's own texts for a code, since its error buffer may hold names. */
static enum err_code perform(struct remote *r, struct err *e)
{
    CURLcode rc = curl_easy_perform(r->curl);
    if (r->host_key) {
        return ERR(e, ERR_REFUSED, 0,
                   r->host_key == 1 ? "the server shows a key that known-hosts does not have"
                                    : "the server shows another key than the one in known-hosts");
    }
    if (r->disk) {
        return ERR(e, ERR_FULL, 0, "could not write: %s", strerror(r->disk));
    }
    switch (rc) {
    case CURLE_OK:
        return ERR_NONE;
    case CURLE_REMOTE_FILE_NOT_FOUND:
        return ERR(e, ERR_NOTFOUND, 0, "not there");
    case CURLE_REMOTE_ACCESS_DENIED:
        return ERR(e, ERR_UNSUPPORTED, 0, "the server does not let us read");
    case CURLE_QUOTE_ERROR:
        return ERR(e, ERR_UNSUPPORTED, 0, "the server does not let us rename or delete");
    case CURLE_ABORTED_BY_CALLBACK:
        return ERR(e, ERR_PEER, 0, "nothing came for stall-timeout");
    case CURLE_WRITE_ERROR:
        return ERR(e, ERR_PEER, 0, "more came than the file or the listing may have");
    default:
        return ERR(e, ERR_PEER, 0, "%s", curl_easy_strerror(rc));
    }
}

/* ---- requests ---- */

enum err_code remote_list(struct remote *r, const char *folder, struct buf *out, struct err *e)
{
    enum err_code code = prepare(r, folder, e);
    if (code == ERR_NONE) {
        r->into = out;
        code = perform(r, e);
    }
    return code;
}

enum err_code remote_stat(struct remote *r, const char *path, int64_t *size, int64_t *time,
                          struct err *e)
{
    curl_off_t s = -1, t = -1;
    enum err_code code = prepare(r, path, e);
    if (code == ERR_NONE) {
        curl_easy_setopt(r->curl, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(r->curl, CURLOPT_FILETIME, 1L);
        code = perform(r, e);
    }
    if (code == ERR_NONE) {
        curl_easy_getinfo(r->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &s);
        curl_easy_getinfo(r->curl, CURLINFO_FILETIME_T, &t);
        *size = s;
        *time = t;
    }
    return code;
}

enum err_code remote_get(struct remote *r, const char *path, int64_t from, int64_t size, int fd,
                         struct err *e)
{
    enum err_code code = prepare(r, path, e);
    if (code == ERR_NONE) {
        r->fd = fd;
        r->room = size - from;
        curl_easy_setopt(r->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)from);
        code = perform(r, e);
    }
    return code == ERR_NONE && r->room ? ERR(e, ERR_PEER, 0, "the transfer was cut") : code;
}

/* For a command: relative to the home folder where the URL says so, in curl's quotes. */
static void quoted(struct buf *b, const struct remote *r, const char *path)
{
    const char *parts[] = {strncmp(r->folder, "/~/", 3) == 0 ? r->folder + 3 : r->folder, path};
    buf_addz(b, " \"");
    for (size_t i = 0; i < 2; i++) {
        for (const char *c = parts[i]; *c; c++) {
            buf_printf(b, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
        }
    }
    buf_addc(b, '"');
}

static bool add_command(struct curl_slist **list, const struct remote *r, const char *verb,
                        const char *path, const char *path2)
{
    struct buf b;
    buf_init(&b, 4 * PATH_MAX);
    buf_addz(&b, verb);
    quoted(&b, r, path);
    if (path2) {
        quoted(&b, r, path2);
    }
    struct curl_slist *longer = buf_ok(&b) ? curl_slist_append(*list, b.p) : NULL;
    buf_release(&b);
    if (longer) {
        *list = longer;
    }
    return longer != NULL;
}

static enum err_code command(struct remote *r, struct curl_slist *list, bool ok, struct err *e)
{
    enum err_code code = ok ? prepare(r, "", e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        curl_easy_setopt(r->curl, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(r->curl, CURLOPT_QUOTE, list);
        code = perform(r, e);
    }
    curl_slist_free_all(list);
    return code;
}

enum err_code remote_rename(struct remote *r, const char *from, const char *to, struct err *e)
{
    struct curl_slist *list = NULL;
    bool ok = true;
    char folder[PATH_MAX];
    for (const char *slash = to; ok && (slash = strchr(slash, '/')); slash++) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - to), to);
        ok = add_command(&list, r, "*mkdir", folder, NULL); /* the star: it may be there */
    }
    ok = ok && add_command(&list, r, "rename", from, to);
    return command(r, list, ok, e);
}

enum err_code remote_delete(struct remote *r, const char *path, struct err *e)
{
    struct curl_slist *list = NULL;
    bool ok = add_command(&list, r, "rm", path, NULL);
    return command(r, list, ok, e);
}

/* ---- life ---- */

/* The parts of `url` that we need; what it must not have is an error. */
static enum err_code parse_url(const struct files_options *o, CURLU *u, char **folder,
                               struct err *e)
{
    char *scheme = NULL, *user = NULL, *password = NULL, *path = NULL, *query = NULL;
    enum err_code code = ERR_NONE;
    *folder = NULL;
    if (curl_url_set(u, CURLUPART_URL, o->url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || strcmp(scheme, "sftp") != 0 ||
        curl_url_get(u, CURLUPART_PATH, &path, CURLU_URLDECODE) != CURLUE_OK) {
        code =
            ERR(e, ERR_CONFIG, 0, "url must be like sftp://user@host:22/folder/ (a blank is %%20)");
    } else if (curl_url_get(u, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK) {
        code = ERR(e, ERR_CONFIG, 0, "url must not hold a password: use key or password-file");
    } else if (curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK) {
        code = ERR(e, ERR_CONFIG, 0, "url needs the user's name: sftp://user@host/folder/");
    } else if (curl_url_get(u, CURLUPART_QUERY, &query, 0) == CURLUE_OK || strlen(path) > 1000) {
        code = ERR(e, ERR_CONFIG, 0, "url: write a question mark in a folder's name as %%3F");
    } else {
        size_t n = strlen(path), end = n && path[n - 1] == '/' ? 0 : 1;
        *folder = malloc(n + 2);
        if (*folder) {
            snprintf(*folder, n + 2, "%s%s", path, end ? "/" : "");
        } else {
            code = ERR(e, ERR_NOMEM, 0, "no memory");
        }
    }
    curl_free(scheme);
    curl_free(user);
    curl_free(password);
    curl_free(path);
    curl_free(query);
    return code;
}

enum err_code fetch_check(const struct files_options *o, struct err *e)
{
    char *folder = NULL;
    CURLU *u = curl_url();
    enum err_code code = u ? parse_url(o, u, &folder, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    free(folder);
    curl_url_cleanup(u);
    if (code == ERR_NONE && !o->known_hosts[0]) {
        return ERR(e, ERR_CONFIG, 0, "url needs known-hosts: ssh-keyscan -p PORT HOST writes it");
    }
    if (code == ERR_NONE && !o->key[0] && !o->password_file[0]) {
        return ERR(e, ERR_CONFIG, 0, "url needs key, or password-file");
    }
    if (code == ERR_NONE && strcmp(o->remote_after, "archive") != 0 &&
        strcmp(o->remote_after, "delete") != 0 && strcmp(o->remote_after, "leave") != 0) {
        return ERR(e, ERR_CONFIG, 0, "remote-after must be archive, delete or leave");
    }
    if (code == ERR_NONE &&
        (!o->remote_archive[0] || o->remote_archive[0] == '/' || strstr(o->remote_archive, ".."))) {
        return ERR(e, ERR_CONFIG, 0, "remote-archive is a folder below the watched one");
    }
    return code;
}

void fetch_surroundings(const struct files_options *o, const char *file, int line,
                        struct problems *p)
{
    const struct {
        const char *option, *path;
    } files[] = {{"known-hosts", o->known_hosts},
                 {"key", o->key},
                 {"passphrase-file", o->passphrase_file},
                 {"password-file", o->password_file}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (files[i].path[0] && access(files[i].path, R_OK) != 0) {
            problem_add(p, file, line, "%s: %s: %s%s", files[i].option, files[i].path,
                        strerror(errno), i == 0 ? " (ssh-keyscan -p PORT HOST writes one)" : "");
        }
    }
}

enum err_code remote_new(const struct files_options *o, void (*alive)(void *), void *ctx,
                         struct remote **out, struct err *e)
{
    *out = NULL;
    struct remote *r = calloc(1, sizeof *r);
    if (!r || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(r);
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    r->o = o;
    r->alive = alive;
    r->ctx = ctx;
    r->said = clock_mono();
    r->curl = curl_easy_init();
    r->url = curl_url();
    enum err_code code =
        r->curl && r->url ? parse_url(o, r->url, &r->folder, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code != ERR_NONE) {
        remote_free(&r);
    }
    *out = r;
    return code;
}

void remote_free(struct remote **r)
{
    if (*r) {
        curl_easy_cleanup((*r)->curl);
        curl_url_cleanup((*r)->url);
        free((*r)->folder);
        free(*r);
        *r = NULL;
    }
}
