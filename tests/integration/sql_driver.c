/*
 * adapters/sql without the rest: plays the host, takes every file and keeps a copy of it.
 *
 *   sql_driver FOLDER FILES OPTION=VALUE...
 *
 * Copies go to FOLDER/1.csv, 2.csv …; ends with 0 after FILES of them, with 1 after the first
 * failed query (the log on standard error says why). Prints the most memory it had, in KiB.
 * `dari odbc`, the process of an ODBC driver, is this program too.
 */
#include "adapters/sql/sql.h"
#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/net/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct adapter_host {
    struct net_loop *loop;
    struct adapter *adapter;
    struct net_timer *answer;
    const char *folder;
    void *ticket;
    char mark[300], next_mark[300];
    int files, wanted, status;
};

const char *adapter_mark(const struct adapter_host *h)
{
    return h->mark;
}

bool adapter_submit_file(struct adapter_host *h, const struct adapter_file *f, void *ticket)
{
    char name[4096];
    snprintf(name, sizeof name, "%s/%d.csv", h->folder, ++h->files);
    unlink(name);
    if (link(f->path, name) != 0) {
        perror(name);
        h->status = 2;
    }
    snprintf(h->next_mark, sizeof h->next_mark, "%s", f->mark ? f->mark : "");
    h->ticket = ticket;
    net_timer_set(h->answer, 0);
    return true;
}

static void answer(void *ctx)
{
    struct adapter_host *h = ctx;
    const struct adapter_result r = {.outcome = ADAPTER_TAKEN};
    memcpy(h->mark, h->next_mark, sizeof h->mark);
    adapter_sql.finished(h->adapter, h->ticket, &r);
    if (h->files >= h->wanted) {
        net_loop_stop(h->loop);
    }
}

void adapter_count(struct adapter_host *h, const char *counter, int64_t by)
{
    (void)by;
    if (strcmp(counter, "sql_failures") == 0) {
        h->status = 1;
        net_loop_stop(h->loop);
    }
}

static enum err_code read_options(struct arena *a, char **words, void *options, struct err *e)
{
    enum err_code code = ERR_NONE;
    option_defaults(adapter_sql.options, options);
    for (; code == ERR_NONE && *words; words++) {
        struct str word = str_of(*words);
        size_t equals = str_find(word, '=', 0);
        const struct option_row *row = option_find(adapter_sql.options, str_cut(word, 0, equals));
        code = row ? option_set(a, row, options, str_cut(word, equals + 1, word.n), e)
                   : ERR(e, ERR_CONFIG, 0, "no option %.*s", (int)equals, word.p);
    }
    return code;
}

/* Not getrusage(): that begins with what the program had that started this one. */
static void print_most_memory(void)
{
    struct arena *a = arena_new(0);
    struct str text = {0};
    file_read(a, "/proc/self/status", 65536, &text, NULL);
    const char *at = text.n ? strstr(text.p, "VmHWM:") : NULL;
    struct str number = str_trim(str_of(at ? at + 6 : "0 kB"));
    printf("%.*s\n", (int)str_find(number, ' ', 0), number.p);
    arena_free(&a);
}

static int run(struct adapter_host *h, void *options, struct err *e)
{
    if (adapter_sql.start(h, h->loop, options, &h->adapter, e) != ERR_NONE) {
        fprintf(stderr, "%s\n", e->msg);
        return 2;
    }
    net_loop_run(h->loop);
    adapter_sql.stop(&h->adapter);
    print_most_memory();
    return h->status;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "odbc") == 0) {
        return sql_odbc_helper();
    }
    struct err e = {0};
    struct problems p = {0};
    int64_t wanted = 0;
    struct adapter_host h = {.folder = argc > 1 ? argv[1] : ""};
    struct arena *a = arena_new(0);
    void *options = arena_alloc(a, adapter_sql.options_size);
    if (argc < 4 || num_i64(str_of(argv[2]), 1, 1000, &wanted, &e) != ERR_NONE ||
        read_options(a, argv + 3, options, &e) != ERR_NONE) {
        fprintf(stderr, "sql_driver: %s\n", argc < 4 ? "FOLDER FILES OPTION=VALUE..." : e.msg);
        return 2;
    }
    adapter_sql.check(options, "options", 0, &p);
    problems_print(&p, stderr);
    h.wanted = (int)wanted;
    h.loop = p.count ? NULL : net_loop_new(&e);
    h.answer = h.loop ? net_timer_new(h.loop, answer, &h) : NULL;
    int status = h.answer ? run(&h, options, &e) : 2;
    net_timer_free(&h.answer);
    net_loop_free(&h.loop);
    problems_release(&p);
    arena_free(&a);
    return status;
}
