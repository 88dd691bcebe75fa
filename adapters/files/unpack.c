/*
 * .gz and .zip become files WORKING/ID/out/1, 2, 3 … in a process of its own, which is limited in
 * what it may write, in memory and in how long it may say nothing. Everything is unpacked before
 * the first part is submitted: a hostile archive gives nothing at all. Names inside are shown,
 * never used as names of files.
 */
#include "adapters/files/files_internal.h"

#include "adapters/files/rules.h"
#include "core/base/charset.h"
#include "core/base/file.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

enum {
    BLOCK = 64 * 1024,
    HEAD = 512,
    SILENCE_MS = 60000,
    MEMORY = 64 * 1024 * 1024,
    FREE_RATIO = 1 << 20, /* so much may come out whatever the ratio */
    SIGN_OF_LIFE = 64 * 1024 * 1024
};

/* In the helper process. */
struct unpacking {
    const struct files_options *o;
    char from[PATH_MAX], folder[PATH_MAX];
    int out, fd;
    int64_t size, total, said;
    size_t count; /* members so far */
    char head[HEAD];
    size_t head_n;
    bool later; /* not the file's fault */
    char why[200];
};

static bool wrong(struct unpacking *u, bool later, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool wrong(struct unpacking *u, bool later, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (!u->why[0]) {
        vsnprintf(u->why, sizeof u->why, fmt, args);
        u->later = later;
    }
    va_end(args);
    return false;
}

static bool gzip_name(struct str name)
{
    return rule_match(STR("*.gz"), name);
}

bool unpack_wanted(const struct job *j)
{
    return rule_match(STR("*.gz|*.zip"), rule_base(str_of(j->path)));
}

/* ---- one member ---- */

static bool open_member(struct unpacking *u, const char *name)
{
    char path[PATH_MAX + 32];
    u->count++;
    u->head_n = 0;
    snprintf(path, sizeof path, "%s/%zu", u->folder, u->count);
    u->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (u->fd < 0) {
        return wrong(u, true, "could not unpack: %s", strerror(errno));
    }
    helper_say(u->out, "m %s", name);
    return true;
}

static bool put(struct unpacking *u, const void *bytes, size_t n)
{
    const char *p = bytes;
    u->total += (int64_t)n;
    if (u->total > u->o->max_unpacked) {
        return wrong(u, false, "more than max-unpacked bytes come out of it");
    }
    if (u->total > FREE_RATIO && u->total / u->o->max_ratio > u->size) {
        return wrong(u, false, "more than max-ratio times its own size comes out of it");
    }
    size_t head = n < HEAD - u->head_n ? n : HEAD - u->head_n;
    memcpy(u->head + u->head_n, p, head);
    u->head_n += head;
    if (u->total - u->said > SIGN_OF_LIFE) {
        u->said = u->total;
        helper_say(u->out, "p");
    }
    for (size_t done = 0; done < n;) {
        ssize_t w = write(u->fd, p + done, n - done);
        if (w < 0 && errno != EINTR) {
            return wrong(u, true, "could not unpack: %s", strerror(errno));
        }
        done += w > 0 ? (size_t)w : 0;
    }
    return true;
}

/* A workbook is a zip file too, and is known by its name. */
static bool nested(const struct unpacking *u, struct str name)
{
    static const struct {
        size_t at;
        struct str magic;
    } archives[] = {{0, STR_INIT("PK\x03\x04")},      {0, STR_INIT("PK\x05\x06")},
                    {0, STR_INIT("\x1f\x8b")},        {0, STR_INIT("7z\xbc\xaf\x27\x1c")},
                    {0, STR_INIT("\xfd\x37zXZ\x00")}, {0, STR_INIT("BZh")},
                    {0, STR_INIT("Rar!\x1a\x07")},    {0, STR_INIT("\x28\xb5\x2f\xfd")},
                    {257, STR_INIT("ustar")}};
    struct str head = {u->head, u->head_n};
    bool workbook = rule_match(STR("*.xlsx|*.xlsm"), name);
    for (size_t i = workbook ? 2 : 0; i < sizeof archives / sizeof *archives; i++) {
        if (str_starts(str_cut(head, archives[i].at, head.n), archives[i].magic)) {
            return true;
        }
    }
    return rule_match(STR("*.zip|*.gz|*.tgz|*.7z|*.rar|*.xz|*.bz2|*.tar"), name);
}

static bool close_member(struct unpacking *u, struct str name)
{
    int r = close(u->fd);
    u->fd = -1;
    if (r != 0) {
        return wrong(u, true, "could not unpack: %s", strerror(errno));
    }
    return nested(u, name) ? wrong(u, false, "member %zu is an archive itself", u->count) : true;
}

/* ---- gzip ---- */

/* What follows the end of one stream: another stream, zeros, or nothing. */
static bool gzip_goes_on(struct unpacking *u, z_stream *z, bool *more)
{
    *more = false;
    while (z->avail_in && *z->next_in == 0) {
        z->next_in++;
        z->avail_in--;
    }
    if (z->avail_in && *z->next_in != 0x1f) {
        return wrong(u, false, "there are other bytes behind its end");
    }
    *more = z->avail_in > 0;
    if (*more) {
        inflateReset(z);
    }
    return true;
}

static bool inflate_block(struct unpacking *u, z_stream *z, bool *ended)
{
    static unsigned char plain[BLOCK];
    do {
        bool more = true;
        if (*ended && (!gzip_goes_on(u, z, &more) || !more)) {
            return u->why[0] == '\0';
        }
        z->next_out = plain;
        z->avail_out = sizeof plain;
        int r = inflate(z, Z_NO_FLUSH);
        *ended = r == Z_STREAM_END;
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR) {
            return r == Z_MEM_ERROR ? wrong(u, true, "no memory to unpack")
                                    : wrong(u, false, "it is not gzip, or it is damaged");
        }
        if (!put(u, plain, sizeof plain - z->avail_out)) {
            return false;
        }
    } while (z->avail_in || z->avail_out == 0);
    return true;
}

static bool gzip_all(struct unpacking *u, int in, z_stream *z)
{
    static unsigned char packed[BLOCK];
    bool ended = false;
    for (;;) {
        ssize_t n = read(in, packed, sizeof packed);
        if (n < 0 && errno != EINTR) {
            return wrong(u, true, "could not read: %s", strerror(errno));
        }
        if (n == 0) {
            return ended ? true : wrong(u, false, "it is cut off: its end is missing");
        }
        z->next_in = packed;
        z->avail_in = n > 0 ? (unsigned)n : 0;
        if (n > 0 && !inflate_block(u, z, &ended)) {
            return false;
        }
    }
}

static bool gzip(struct unpacking *u, struct arena *m, struct str base)
{
    z_stream z = {0};
    struct str name = str_cut(base, 0, base.n - 3);
    const char *shown = rule_text(m, name);
    int in = open(u->from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0 || !shown || inflateInit2(&z, MAX_WBITS + 16) != Z_OK) {
        return wrong(u, true, "could not begin to unpack");
    }
    bool ok = open_member(u, shown) && gzip_all(u, in, &z) && close_member(u, name);
    inflateEnd(&z);
    close(in);
    return ok;
}

/* ---- zip ---- */

static bool good_name(struct unpacking *u, struct str name, zip_uint64_t i)
{
    for (size_t k = 0; k < name.n; k++) {
        unsigned char c = (unsigned char)name.p[k];
        if (c == '/' || c == '\\') {
            return wrong(u, false, "member %d: its name holds a path", (int)i + 1);
        }
        if (c < 0x20 || c == 0x7f) {
            return wrong(u, false, "member %d: its name holds control characters", (int)i + 1);
        }
    }
    return name.n ? true : wrong(u, false, "member %d has no name", (int)i + 1);
}

/* Names are UTF-8, or what a Korean Windows writes. */
static const char *shown_name(struct arena *m, struct str raw)
{
    size_t bad;
    struct str utf8 = raw;
    if (!text_utf8(raw, &bad) && charset_decode(m, CHARSET_CP949, raw, &utf8, NULL) != ERR_NONE) {
        utf8 = raw;
    }
    return rule_text(m, utf8);
}

static bool is_link(zip_t *z, zip_uint64_t i)
{
    zip_uint8_t system;
    zip_uint32_t attributes;
    return zip_file_get_external_attributes(z, i, 0, &system, &attributes) == 0 &&
           system == ZIP_OPSYS_UNIX && S_ISLNK(attributes >> 16);
}

static bool copy_member(struct unpacking *u, zip_t *z, zip_uint64_t i)
{
    static char block[BLOCK];
    zip_file_t *f = zip_fopen_index(z, i, 0);
    zip_int64_t n = f ? 0 : -1;
    bool ok = f != NULL;
    while (ok && (n = zip_fread(f, block, sizeof block)) > 0) {
        ok = put(u, block, (size_t)n);
    }
    if (n < 0) {
        ok = wrong(u, false, "member %d is damaged, or packed in a way that is not known",
                   (int)i + 1);
    }
    if (f) {
        zip_fclose(f);
    }
    return ok;
}

static bool zip_member(struct unpacking *u, struct arena *m, zip_t *z, zip_uint64_t i)
{
    zip_stat_t st;
    struct str name = str_of(zip_get_name(z, i, ZIP_FL_ENC_RAW));
    if (!good_name(u, name, i)) {
        return false;
    }
    if (zip_stat_index(z, i, 0, &st) != 0 || is_link(z, i)) {
        return wrong(u, false, "member %d is no plain file", (int)i + 1);
    }
    if ((st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE) {
        return wrong(u, false, "member %d needs a password", (int)i + 1);
    }
    const char *shown = shown_name(m, name);
    return shown ? open_member(u, shown) && copy_member(u, z, i) && close_member(u, name)
                 : wrong(u, true, "no memory to unpack");
}

static bool zip(struct unpacking *u, struct arena *m)
{
    int error = 0;
    zip_t *z = zip_open(u->from, ZIP_RDONLY, &error);
    if (!z) {
        return error == ZIP_ER_MEMORY ? wrong(u, false, "its table of contents is too large")
                                      : wrong(u, false, "it is not zip, or it is damaged");
    }
    zip_int64_t n = zip_get_num_entries(z, 0);
    bool ok = n <= u->o->max_members || wrong(u, false, "more than max-members files are in it");
    for (zip_int64_t i = 0; ok && i < n; i++) {
        ok = zip_member(u, m, z, (zip_uint64_t)i);
    }
    zip_discard(z);
    return ok;
}

/* ---- both sides ---- */

static int run(void *ctx, int out)
{
    const struct job *j = ctx;
    static struct unpacking u;
    struct arena *m = arena_new(0);
    u = (struct unpacking){.o = j->a->o, .out = out, .fd = -1, .size = j->size};
    struct str base = rule_base(str_of(j->path));
    if (!m || snprintf(u.from, sizeof u.from, "%s/%s/in/%s", j->a->working, j->id, j->path) < 0 ||
        snprintf(u.folder, sizeof u.folder, "%s/%s/out", j->a->working, j->id) < 0) {
        return 1;
    }
    desk_remove(u.folder, 0); /* of a run that was interrupted */
    bool ok = mkdir(u.folder, 0700) == 0 ? (gzip_name(base) ? gzip(&u, m, base) : zip(&u, m))
                                         : wrong(&u, true, "could not unpack: %s", strerror(errno));
    if (!ok) {
        desk_remove(u.folder, 0);
    }
    helper_say(out, "%s%s%s", ok ? "ok" : u.later ? "later" : "bad", ok ? "" : " ", u.why);
    return 0;
}

static void add_member(struct job *j, struct str name)
{
    if (j->member_count == j->member_cap) {
        size_t cap = j->member_cap ? 2 * j->member_cap : 16;
        char **bigger = realloc(j->members, cap * sizeof *bigger);
        if (!bigger) { /* a part that is not known must not be left out */
            j->verdict = j->verdict ? j->verdict : strdup("later no memory to unpack");
            return;
        }
        j->members = bigger;
        j->member_cap = cap;
    }
    j->members[j->member_count++] = strndup(name.p, name.n);
}

static void line(void *ctx, struct str said)
{
    struct job *j = ctx;
    if (str_starts(said, STR("m "))) {
        add_member(j, str_cut(said, 2, said.n));
    } else if (!str_is(said, "p") && !j->verdict) {
        j->verdict = strndup(said.p, said.n);
    }
}

static void ended(void *ctx, bool ok)
{
    struct job *j = ctx;
    j->a->unpacker = NULL;
    if (!ok) { /* whatever it said before */
        free(j->verdict);
        j->verdict = NULL;
    }
    jobs_soon(j->a, 0);
}

enum err_code unpack_start(struct job *j, struct err *e)
{
    while (j->member_count) {
        free(j->members[--j->member_count]);
    }
    const struct helper_work work = {.run = run,
                                     .line = line,
                                     .ended = ended,
                                     .ctx = j,
                                     .silence_ms = SILENCE_MS,
                                     .memory = MEMORY};
    return helper_start(j->a->loop, &work, &j->a->unpacker, e);
}

void unpack_stop(struct adapter *a)
{
    helper_stop(&a->unpacker);
    for (struct job *j = a->jobs; j; j = j->next) {
        j->state = j->state == JOB_UNPACKING ? JOB_NEW : j->state;
    }
}
