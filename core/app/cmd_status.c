#include "core/app/batch_view.h"
#include "core/app/command.h"
#include "core/app/counters_view.h"
#include "core/app/session.h"
#include "core/base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dari status [--config FILE] [--json]\n"
    "\n"
    "What came in, what became of it, who reads the stream and how far. For every feed\n"
    "received = mapped + ignored + quarantined; duplicates are repetitions that were answered with "
    "the stored reply.\n"
    "Alarms: feeds silent against their usual hours, gaps in sequence numbers, paused consumers. "
    "While the database\n"
    "is away it says how many accepted messages wait in the local spool. --json has the counters "
    "and histograms of\n"
    "each feed as they are.\n";

DB_STATEMENT(status_feeds,
             "SELECT feed, sum(received), sum(mapped), sum(ignored), sum(quarantined), "
             "sum(duplicates), sum(events), "
             "max(last_at) FROM dari.feed_count WHERE site = $1 GROUP BY feed ORDER BY feed");
DB_STATEMENT(status_stream,
             "SELECT head, ledger, (SELECT max(size) FROM dari.checkpoint c WHERE c.site = s.site) "
             "FROM dari.stream s WHERE site = $1");
DB_STATEMENT(
    status_consumers,
    "SELECT name, state, acked, acked_at, reason FROM dari.consumer WHERE site = $1 ORDER BY name");

DB_STATEMENT(status_parts, "SELECT feed, count(*), min(received_at) FROM dari.part "
                           "WHERE site = $1 AND waiting GROUP BY feed ORDER BY feed");

DB_STATEMENT(status_silent,
             "SELECT feed, since FROM dari.feed_silence WHERE site = $1 ORDER BY feed");
/* Gaps that are not filled: their sender was refused after the last number was taken. */
DB_STATEMENT(status_gaps,
             "SELECT g.feed, g.expected, g.got, g.last_at FROM dari.feed_gap g "
             "JOIN dari.feed_sequence s USING (site, feed) "
             "WHERE g.site = $1 AND g.expected = s.last + 1 AND g.last_at >= s.at ORDER BY g.feed");

struct status {
    struct db_rows *feeds, *stream, *consumers, *parts, *silent, *gaps;
};

static enum err_code fetch(struct session *s, struct status *out, struct err *e)
{
    const struct {
        const struct db_statement *st;
        struct db_rows **rows;
    } all[] = {{&status_feeds, &out->feeds},         {&status_stream, &out->stream},
               {&status_consumers, &out->consumers}, {&status_parts, &out->parts},
               {&status_silent, &out->silent},       {&status_gaps, &out->gaps}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct db_args q = {0};
        arg_z(&q, s->config->site);
        enum err_code code = db_run(s->db, s->arena, all[i].st, &q, all[i].rows, e);
        if (code != ERR_NONE) {
            return code;
        }
    }
    return ERR_NONE;
}

/* One of the counters that the feed writes into the run folder; 0 when there is none. */
static int64_t counter(const struct session *s, const char *feed, const char *name)
{
    struct counters_view v;
    counters_read(s->arena, s->config->run, feed, &v);
    return counters_value(&v, name);
}

/* What waits for the database, and whether somebody must look at it. */
static void print_spools(const struct session *s)
{
    for (size_t i = 0; i < s->config->feed_count; i++) {
        const char *feed = s->config->feeds[i].name;
        int64_t waiting = counter(s, feed, "in_spool"), damaged = counter(s, feed, "spool_damaged");
        if (waiting) {
            printf("spool      feed %s: %" PRId64 " accepted messages wait for the database\n",
                   feed, waiting);
        }
        if (damaged) {
            printf("spool      feed %s: DAMAGED, %" PRId64 " files set aside in %s\n", feed,
                   damaged, s->config->feeds[i].spool);
        }
        if (counter(s, feed, "spool_broken")) {
            printf("spool      feed %s: BROKEN, takes nothing until the feed is started again; see "
                   "its log\n",
                   feed);
        }
    }
}

/* Parts of messages whose others have not come yet. */
static void print_parts(const struct status *st)
{
    char since[CLOCK_TEXT];
    for (int i = 0; i < db_count(st->parts); i++) {
        printf("parts      feed %s: %" PRId64 " parts of messages wait for the others, since %s\n",
               db_z(st->parts, i, 0), db_i64(st->parts, i, 1),
               clock_text(db_time(st->parts, i, 2), since));
    }
}

/* received = mapped + ignored + quarantined */
static bool adds_up(struct db_rows *feeds, int i)
{
    return db_i64(feeds, i, 1) == db_i64(feeds, i, 2) + db_i64(feeds, i, 3) + db_i64(feeds, i, 4);
}

/* What somebody should look at. */
static void print_alarms(const struct status *st)
{
    char at[CLOCK_TEXT];
    for (int i = 0; i < db_count(st->silent); i++) {
        printf("ALARM      feed %s: SILENT since %s against its usual hours\n",
               db_z(st->silent, i, 0), clock_text(db_time(st->silent, i, 1), at));
    }
    for (int i = 0; i < db_count(st->gaps); i++) {
        printf("ALARM      feed %s: GAP, number %" PRId64 " is missing, %" PRId64
               " came at %s and is refused until then\n",
               db_z(st->gaps, i, 0), db_i64(st->gaps, i, 1), db_i64(st->gaps, i, 2),
               clock_text(db_time(st->gaps, i, 3), at));
    }
    for (int i = 0; i < db_count(st->consumers); i++) {
        if (strcmp(db_z(st->consumers, i, 1), "paused") == 0) {
            printf("ALARM      consumer %s: PAUSED %s\n", db_z(st->consumers, i, 0),
                   db_z(st->consumers, i, 4));
        }
    }
    for (int i = 0; i < db_count(st->feeds); i++) {
        if (!adds_up(st->feeds, i)) {
            printf("ALARM      feed %s: the sum does not add up: dari ledger verify\n",
                   db_z(st->feeds, i, 0));
        }
    }
}

/* Histograms of the feeds that run here, whichever they keep. */
static void print_histograms(const struct session *s)
{
    struct buf b;
    buf_init(&b, 4096);
    for (size_t i = 0; i < s->config->feed_count; i++) {
        struct counters_view v;
        counters_read(s->arena, s->config->run, s->config->feeds[i].name, &v);
        for (size_t k = 0; k < v.histogram_count; k++) {
            buf_reset(&b);
            histogram_text(&v.histograms[k], &b);
            printf("%-10.*s feed %s: %.*s\n", STR_ARG(v.histograms[k].name),
                   s->config->feeds[i].name, STR_ARG(buf_str(&b)));
        }
    }
    buf_release(&b);
}

static const char *const sums[] = {"received",    "mapped",     "ignored",
                                   "quarantined", "duplicates", "events"};

/* Counters and histograms of a feed as they are in its file: for a metrics page. */
static void json_counters(const struct session *s, const char *feed, struct buf *b)
{
    struct counters_view v;
    counters_read(s->arena, s->config->run, feed, &v);
    buf_addz(b, ",\"counters\":{");
    for (size_t i = 0; i < v.count; i++) {
        buf_addz(b, i ? "," : "");
        buf_json(b, v.list[i].name);
        buf_printf(b, ":%" PRId64, v.list[i].value);
    }
    buf_addz(b, "},\"histograms\":{");
    for (size_t i = 0; i < v.histogram_count; i++) {
        const struct histogram *h = &v.histograms[i];
        buf_addz(b, i ? "," : "");
        buf_json(b, h->name);
        buf_addz(b, ":{\"buckets\":[");
        for (size_t k = 0; k < h->n; k++) {
            buf_printf(b, "%s{\"le\":", k ? "," : "");
            if (h->buckets[k].bound == INT64_MAX) {
                buf_addz(b, "\"inf\"");
            } else {
                buf_printf(b, "%" PRId64, h->buckets[k].bound);
            }
            buf_printf(b, ",\"count\":%" PRId64 "}", h->buckets[k].count);
        }
        buf_printf(b, "],\"sum\":%" PRId64 "}", h->sum);
    }
    buf_addz(b, "}");
}

static void json_alarms(const struct status *st, struct buf *b)
{
    char at[CLOCK_TEXT];
    buf_addz(b, ",\"silent\":[");
    for (int i = 0; i < db_count(st->silent); i++) {
        buf_printf(b, "%s{\"feed\":\"%s\",\"since\":\"%s\"}", i ? "," : "", db_z(st->silent, i, 0),
                   clock_text(db_time(st->silent, i, 1), at));
    }
    buf_addz(b, "],\"gaps\":[");
    for (int i = 0; i < db_count(st->gaps); i++) {
        buf_printf(b, "%s{\"feed\":\"%s\",\"expected\":%" PRId64 ",\"got\":%" PRId64 "}",
                   i ? "," : "", db_z(st->gaps, i, 0), db_i64(st->gaps, i, 1),
                   db_i64(st->gaps, i, 2));
    }
    buf_addz(b, "]");
}

static void print_json(struct session *s, const struct status *st)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "{\"site\":\"%s\",\"feeds\":[", s->config->site);
    for (int i = 0; i < db_count(st->feeds); i++) {
        buf_printf(&b, "%s{\"feed\":\"%s\"", i ? "," : "", db_z(st->feeds, i, 0));
        for (int k = 0; k < 6; k++) {
            buf_printf(&b, ",\"%s\":%" PRId64, sums[k], db_i64(st->feeds, i, k + 1));
        }
        buf_printf(&b,
                   ",\"spooled\":%" PRId64 ",\"spool_damaged\":%" PRId64
                   ",\"spool_broken\":%" PRId64 ",\"adds_up\":%s",
                   counter(s, db_z(st->feeds, i, 0), "in_spool"),
                   counter(s, db_z(st->feeds, i, 0), "spool_damaged"),
                   counter(s, db_z(st->feeds, i, 0), "spool_broken"),
                   adds_up(st->feeds, i) ? "true" : "false");
        json_counters(s, db_z(st->feeds, i, 0), &b);
        buf_addz(&b, "}");
    }
    bool site = db_count(st->stream) > 0;
    buf_printf(&b,
               "]"
               ",\"head\":%" PRId64 ",\"ledger\":%" PRId64 ",\"checkpoint\":%" PRId64
               ",\"consumers\":[",
               site ? db_i64(st->stream, 0, 0) : 0, site ? db_i64(st->stream, 0, 1) : 0,
               site ? db_i64(st->stream, 0, 2) : 0);
    for (int i = 0; i < db_count(st->consumers); i++) {
        buf_printf(&b, "%s{\"consumer\":\"%s\",\"state\":\"%s\",\"acked\":%" PRId64 "}",
                   i ? "," : "", db_z(st->consumers, i, 0), db_z(st->consumers, i, 1),
                   db_i64(st->consumers, i, 2));
    }
    buf_addz(&b, "]");
    json_alarms(st, &b);
    buf_addz(&b, "}\n");
    fputs(buf_str(&b).p, stdout);
    buf_release(&b);
}

static void print_roles(const struct session *s)
{
    struct str text, line;
    const char *path = arena_printf(s->arena, "%s/roles", s->config->run);
    if (!path || file_read(s->arena, path, 65536, &text, NULL) != ERR_NONE) {
        printf("roles      none running here (dari run starts them)\n");
        return;
    }
    printf("roles     ");
    while (str_next(&text, '\n', &line) && line.n) {
        struct str rest = line, name, pid, restarts;
        if (str_next(&rest, ' ', &name) && str_next(&rest, ' ', &pid) &&
            str_next(&rest, ' ', &restarts) && !str_is(name, "dari")) {
            printf(" %.*s%s", STR_ARG(name), str_is(pid, "0") ? "(down)" : "");
            if (!str_is(restarts, "0")) {
                printf("(restarted %.*s)", STR_ARG(restarts));
            }
        }
    }
    printf("\n");
}

/* The newest files; dari batch list has all of them. */
static void print_files(struct session *s)
{
    const struct batch_filter newest = {.limit = 5};
    struct err e;
    if (batch_print(s, &newest, false, &e) != ERR_NONE) {
        printf("files      %s\n", e.msg);
    }
}

/* Feeds that nothing ever came to: who connects one looks for it here. */
static void print_unheard(const struct session *s, const struct status *st)
{
    for (size_t i = 0; i < s->config->feed_count; i++) {
        const char *name = s->config->feeds[i].name;
        bool heard = false;
        for (int k = 0; k < db_count(st->feeds); k++) {
            heard = heard || strcmp(db_z(st->feeds, k, 0), name) == 0;
        }
        if (!heard) {
            printf("%-16s %9s\n", name, "nothing");
        }
    }
}

static void print_text(struct session *s, const struct status *st)
{
    int64_t head = db_count(st->stream) ? db_i64(st->stream, 0, 0) : 0;
    printf("site       %s\n", s->config->site);
    print_roles(s);
    printf("\n%-16s %9s = %8s + %8s + %11s   %10s %8s\n", "feed", "received", "mapped", "ignored",
           "quarantined", "duplicates", "events");
    for (int i = 0; i < db_count(st->feeds); i++) {
        printf("%-16s %9" PRId64 " %s %8" PRId64 " + %8" PRId64 " + %11" PRId64 "   %10" PRId64
               " %8" PRId64 "\n",
               db_z(st->feeds, i, 0), db_i64(st->feeds, i, 1), adds_up(st->feeds, i) ? "=" : "≠",
               db_i64(st->feeds, i, 2), db_i64(st->feeds, i, 3), db_i64(st->feeds, i, 4),
               db_i64(st->feeds, i, 5), db_i64(st->feeds, i, 6));
    }
    print_unheard(s, st);
    printf("\n");
    print_alarms(st);
    print_spools(s);
    print_parts(st);
    print_histograms(s);
    print_files(s);
    printf("stream     %" PRId64 " events\n", head);
    printf("ledger     %" PRId64 " entries, the last signed checkpoint covers %" PRId64 "\n",
           db_count(st->stream) ? db_i64(st->stream, 0, 1) : 0,
           db_count(st->stream) ? db_i64(st->stream, 0, 2) : 0);
    printf("\n%-16s %-8s %9s %9s\n", "consumer", "state", "acked", "behind");
    for (int i = 0; i < db_count(st->consumers); i++) {
        int64_t acked = db_i64(st->consumers, i, 2);
        printf("%-16s %-8s %9" PRId64 " %9" PRId64 " %s\n", db_z(st->consumers, i, 0),
               db_z(st->consumers, i, 1), acked, head - acked, db_z(st->consumers, i, 4));
    }
}

int cmd_status(int argc, char **argv)
{
    const char *file = NULL;
    bool json = false;
    const struct command_option options[] = {
        {"--config", &file, NULL}, {"--json", NULL, &json}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left != 0) {
        return left < 0 ? status : command_usage("status", "unexpected word %s", argv[1]);
    }
    struct session s;
    struct status st = {0};
    struct err e = {0};
    if (session_open(&s, "status", file, &status)) {
        if (fetch(&s, &st, &e) != ERR_NONE) {
            status = command_failed("status", "%s", e.msg);
        } else {
            (json ? print_json : print_text)(&s, &st);
        }
    } else if (s.config && !json) {
        print_spools(&s);
    }
    session_close(&s);
    return status;
}
