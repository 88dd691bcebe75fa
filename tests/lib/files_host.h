/*
 * The intake side for tests of adapters/files, and folders to try it in. One program includes it
 * once. The host reads what it is given and decides by the content: it begins with REFUSE, RETRY or
 * REPLY, or is taken; what was taken before is known.
 */
#ifndef DARI_TESTS_FILES_HOST_H
#define DARI_TESTS_FILES_HOST_H

#include "adapters/files/files.h"
#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/net/net.h"
#include "tests/lib/cm.h"
#include "tests/lib/tallies.h"
#include "tests/lib/folder.h"
#include "tests/lib/until.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GIVEN_MAX = 256 };

struct given {
    void *ticket;
    char name[300], content[64];
    int64_t size;
    bool answered;
    enum adapter_outcome outcome;
};

/* What outlives a host: its database. */
struct kept {
    int count;
    char content[GIVEN_MAX][64];
};

struct adapter_host {
    struct net_loop *loop;
    struct kept own, *kept;
    struct net_timer *later;
    struct adapter *adapter;
    struct arena *memory;
    void *options;
    struct given given[GIVEN_MAX];
    int count, room, retries; /* room: how many more it takes, -1 any number */
    bool at_once, silent;     /* answers from inside; not at all */
    struct tallies counters;
    char home[200];
};

static inline void host_answer(struct adapter_host *h, struct given *g)
{
    struct adapter_result r = {.outcome = ADAPTER_TAKEN, .read = 1, .mapped = 1};
    for (int i = 0; i < h->kept->count; i++) {
        r.outcome = strcmp(h->kept->content[i], g->content) == 0 ? ADAPTER_KNOWN : r.outcome;
    }
    if (strncmp(g->content, "REFUSE", 6) == 0) {
        r.outcome = ADAPTER_REFUSED;
        r.problem = STR("row 3: no chart number");
    } else if (strncmp(g->content, "RETRY", 5) == 0 && h->retries-- > 0) {
        r.outcome = ADAPTER_RETRY;
    } else if (strncmp(g->content, "REPLY", 5) == 0) {
        r.reply = STR("FHS|reply\rFTS|1\r");
    }
    g->answered = true;
    g->outcome = r.outcome;
    if (r.outcome == ADAPTER_TAKEN) {
        snprintf(h->kept->content[h->kept->count++], sizeof h->kept->content[0], "%s", g->content);
    }
    adapter_files.finished(h->adapter, g->ticket, &r);
}

static inline void host_later(void *ctx)
{
    struct adapter_host *h = ctx;
    for (int i = 0; i < h->count; i++) {
        if (!h->given[i].answered) {
            host_answer(h, &h->given[i]);
        }
    }
}

bool adapter_submit_file(struct adapter_host *h, const struct adapter_file *f, void *ticket)
{
    if (h->room == 0 || h->count == GIVEN_MAX) {
        return false;
    }
    h->room -= h->room > 0;
    struct given *g = &h->given[h->count++];
    struct stat st = {0};
    *g = (struct given){.ticket = ticket};
    snprintf(g->name, sizeof g->name, "%s", f->name);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    assert_true(fd >= 0);
    assert_true(read(fd, g->content, sizeof g->content - 1) >= 0);
    fstat(fd, &st);
    g->size = st.st_size;
    close(fd);
    if (h->at_once) {
        host_answer(h, g);
    } else if (!h->silent) {
        net_timer_set(h->later, 1);
    }
    return true;
}

bool adapter_submit(struct adapter_host *h, struct str message, void *ticket)
{
    (void)h, (void)message, (void)ticket;
    return false;
}

bool adapter_submit_oversize(struct adapter_host *h, struct str beginning, void *ticket)
{
    (void)h, (void)beginning, (void)ticket;
    return false;
}

const char *adapter_mark(const struct adapter_host *h)
{
    (void)h;
    return "";
}

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    tallies_add(&h->counters, counter, by);
}

static inline int64_t counted(const struct adapter_host *h, const char *counter)
{
    return tallies_value(&h->counters, counter);
}

/* ---- folders ---- */

static inline const char *at(struct adapter_host *h, const char *path)
{
    return arena_printf(h->memory, "%s/%s", h->home, path);
}

static inline void make_folder(struct adapter_host *h, const char *path)
{
    assert_int_equal(file_make_folder(at(h, path), 0755, NULL), ERR_NONE);
}

/* Not by a temporary name: as a careless program writes. */
static inline void write_file(struct adapter_host *h, const char *path, struct str content)
{
    int fd = open(at(h, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.p, content.n), content.n);
    close(fd);
}

static inline bool there(struct adapter_host *h, const char *path)
{
    struct stat st;
    return lstat(at(h, path), &st) == 0;
}

static inline struct str text_of(struct adapter_host *h, const char *path)
{
    struct str text = {0};
    file_read(h->memory, at(h, path), 1 << 20, &text, NULL);
    return text;
}

/* Names in a folder, without hidden ones, separated by blanks. */
static inline const char *names_in(struct adapter_host *h, const char *path)
{
    char **names;
    size_t count;
    struct buf b;
    buf_init(&b, 1 << 16);
    if (file_list(h->memory, at(h, path), "", &names, &count, NULL) == ERR_NONE) {
        for (size_t i = 0; i < count; i++) {
            buf_printf(&b, "%s%s", i ? " " : "", names[i]);
        }
    }
    const char *text = arena_z(h->memory, buf_str(&b));
    buf_release(&b);
    return text;
}

/* Today's folder of the archive, below `path`. */
static inline const char *today(struct adapter_host *h, const char *path)
{
    const char *day = names_in(h, path);
    return arena_printf(h->memory, "%s/%s", path, day[0] ? day : "none");
}

/* ---- running ---- */

/* begin(h, "match", "*.csv"), or begin(h, NULL): by name and value, ended by NULL; over those that
 * every test has. */
static inline void set_options(struct adapter_host *h, const char *const *pairs)
{
    const char *const common[] = {"folder", at(h, "in"), "scan", "20ms", "min-age",
                                  "20ms",   "retry",     "20ms", NULL};
    const char *const *const both[] = {common, pairs};
    h->options = arena_alloc(h->memory, adapter_files.options_size);
    option_defaults(adapter_files.options, h->options);
    for (int i = 0; i < 2; i++) {
        for (const char *const *p = both[i]; *p; p += 2) {
            const struct option_row *row = option_find(adapter_files.options, str_of(p[0]));
            assert_non_null(row);
            assert_int_equal(option_set(h->memory, row, h->options, str_of(p[1]), NULL), ERR_NONE);
        }
    }
}

static inline enum err_code begin_with(struct adapter_host *h, struct err *e)
{
    return adapter_files.start(h, h->loop, h->options, &h->adapter, e);
}

#define begin(h, ...)                                                                              \
    do {                                                                                           \
        struct err begin_e = {0};                                                                  \
        set_options((h), (const char *const[]){__VA_ARGS__, NULL});                                \
        if (begin_with((h), &begin_e) != ERR_NONE) {                                               \
            fail_msg("start: %s", begin_e.msg);                                                    \
        }                                                                                          \
    } while (0)

/* ---- conditions to wait for ---- */

static int wanted; /* files given to the host */

static inline bool given(void *ctx)
{
    return ((struct adapter_host *)ctx)->count >= wanted;
}

static inline bool nothing_in_working(void *ctx)
{
    return given(ctx) && !names_in(ctx, "in/.dari/working")[0];
}

static inline void run_until_given(struct adapter_host *h, int n)
{
    wanted = n;
    run_until(h->loop, given, h);
}

static inline void run_until_away(struct adapter_host *h, int n)
{
    wanted = n;
    run_until(h->loop, nothing_in_working, h);
}

/* For what must not happen. */
static inline void run_for_a_while(struct adapter_host *h)
{
    run_looks(h->loop, 150);
}

/* ---- from the start to the end ---- */

static inline int host_setup(void **state)
{
    struct adapter_host *h = calloc(1, sizeof *h);
    snprintf(h->home, sizeof h->home, "%s/dari-files-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    h->loop = net_loop_new(NULL);
    h->memory = arena_new(0);
    h->later = net_timer_new(h->loop, host_later, h);
    h->room = -1;
    h->kept = &h->own;
    if (!mkdtemp(h->home)) {
        return -1;
    }
    make_folder(h, "in");
    *state = h;
    return 0;
}

static inline int host_teardown(void **state)
{
    struct adapter_host *h = *state;
    adapter_files.stop(&h->adapter);
    if (getuid() == 0 && seteuid(0) != 0) {
        return -1;
    }
    net_timer_free(&h->later);
    net_loop_free(&h->loop);
    remove_all(h->home);
    arena_free(&h->memory);
    free(h);
    return 0;
}

/* As if the process had ended and begun again. Nothing of it is put in order first. */
static inline void stop_at_once(struct adapter_host *h)
{
    adapter_files.stop(&h->adapter);
    for (int i = 0; i < h->count; i++) {
        h->given[i].outcome = h->given[i].answered ? h->given[i].outcome : ADAPTER_RETRY;
        h->given[i].answered = true; /* nobody hears it any more */
    }
}

#endif
