#include "core/app/command.h"
#include "core/app/counters_view.h"
#include "core/app/operator.h"
#include "core/app/session.h"
#include "core/base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: dari feed list [--config FILE]\n"
    "       dari feed pause|resume|forget-rows NAME [--config FILE]\n"
    "\n"
    "list     feeds of the configuration, what came in, and the counters of their adapters\n"
    "pause    from now on (within a second) every message gets a negative reply that asks to send "
    "it again later\n"
    "resume   take messages again\n"
    "\n"
    "forget-rows   of a feed with rows=\"snapshot\": the next file is taken as if it were the "
    "first one, so each of\n"
    "         its rows is new, and none is told as gone. For files whose rows are told apart by "
    "other columns than\n"
    "         before: they are refused until then\n"
    "\n"
    "All but list are recorded in the ledger; a pause survives a restart.\n";

/* Only the newest can be on its way: an older one was left in the middle, and another file came. */
DB_STATEMENT(feed_newest, "SELECT no, state FROM dari.batch WHERE site = $1 AND feed = $2 "
                          "ORDER BY no DESC LIMIT 1");
DB_STATEMENT(feed_forget, "WITH s AS (DELETE FROM dari.snapshot WHERE site = $1 AND feed = $2 "
                          "RETURNING 1), k AS (DELETE FROM dari.snapshot_key WHERE site = $1 AND "
                          "feed = $2) SELECT count(*) FROM s");

DB_STATEMENT(
    feed_counts,
    "SELECT coalesce(sum(received), 0), coalesce(sum(mapped), 0), coalesce(sum(ignored), 0), "
    "coalesce(sum(quarantined), 0), coalesce(sum(duplicates), 0), max(last_at) "
    "FROM dari.feed_count WHERE site = $1 AND feed = $2");

DB_STATEMENT(feed_sequence,
             "SELECT s.last, count(g.expected), "
             "(array_agg(g.expected ORDER BY g.first_at DESC))[1], "
             "(array_agg(g.got ORDER BY g.first_at DESC))[1], max(g.first_at) "
             "FROM dari.feed_sequence s LEFT JOIN dari.feed_gap g USING (site, feed) "
             "WHERE s.site = $1 AND s.feed = $2 GROUP BY s.last");

/* Of a feed whose sender counts its messages (MSH-13). */
static enum err_code print_sequence(struct session *s, const char *feed, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    char at[CLOCK_TEXT];
    arg_z(&q, s->config->site);
    arg_z(&q, feed);
    enum err_code code = db_run(s->db, s->arena, &feed_sequence, &q, &r, e);
    if (code != ERR_NONE || db_count(r) == 0) {
        return code;
    }
    printf("   sequence: last %s, gaps %" PRId64, db_null(r, 0, 0) ? "none" : db_z(r, 0, 0),
           db_i64(r, 0, 1));
    if (db_i64(r, 0, 1)) {
        printf("; the latest: expected %" PRId64 ", came %" PRId64 " at %.19s", db_i64(r, 0, 2),
               db_i64(r, 0, 3), clock_text(db_time(r, 0, 4), at));
    }
    printf("\n");
    return ERR_NONE;
}

static void print_counters(struct session *s, const char *feed)
{
    struct counters_view v;
    struct buf b;
    const char *before = "   since its start: ";
    counters_read(s->arena, s->config->run, feed, &v);
    for (size_t i = 0; i < v.count; i++) {
        printf("%s%.*s %" PRId64, before, STR_ARG(v.list[i].name), v.list[i].value);
        before = ", ";
    }
    if (v.count) {
        printf("\n");
    }
    buf_init(&b, 4096);
    for (size_t i = 0; i < v.histogram_count; i++) {
        buf_reset(&b);
        histogram_text(&v.histograms[i], &b);
        printf("   %.*s: %.*s\n", STR_ARG(v.histograms[i].name), STR_ARG(buf_str(&b)));
    }
    buf_release(&b);
}

static char *pause_file(struct session *s, const char *feed)
{
    return arena_printf(s->arena, "%s/feed-%s.paused", s->config->run, feed);
}

static enum err_code list(struct session *s, struct err *e)
{
    for (size_t i = 0; i < s->config->feed_count; i++) {
        const struct config_feed *f = &s->config->feeds[i];
        struct db_args q = {0};
        struct db_rows *r;
        char at[CLOCK_TEXT];
        arg_z(&q, s->config->site);
        arg_z(&q, f->name);
        enum err_code code = db_run(s->db, s->arena, &feed_counts, &q, &r, e);
        if (code != ERR_NONE) {
            return code;
        }
        printf("%s (%s)%s\n   received %" PRId64 ", mapped %" PRId64 ", ignored %" PRId64
               ", quarantined %" PRId64 ", duplicates %" PRId64 "; last %.19s\n",
               f->name, f->adapter->name, file_exists(pause_file(s, f->name)) ? ", paused" : "",
               db_i64(r, 0, 0), db_i64(r, 0, 1), db_i64(r, 0, 2), db_i64(r, 0, 3), db_i64(r, 0, 4),
               db_null(r, 0, 5) ? "never" : clock_text(db_time(r, 0, 5), at));
        if ((code = print_sequence(s, f->name, e)) != ERR_NONE) {
            return code;
        }
        print_counters(s, f->name);
    }
    return ERR_NONE;
}

static const struct config_feed *configured(const struct session *s, const char *feed,
                                            struct err *e)
{
    const struct config_feed *f = config_feed_named(s->config, feed);
    if (!f) {
        ERR(e, ERR_NOTFOUND, 0, "there is no feed %s in %s", feed, s->config->file);
    }
    return f;
}

/* A file that is being read would be known in part. */
static enum err_code nothing_is_read(struct session *s, const char *feed, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->config->site);
    arg_z(&q, feed);
    enum err_code code = db_run(s->db, s->arena, &feed_newest, &q, &r, e);
    return code == ERR_NONE && db_count(r) && str_is(db_str(r, 0, 1), "reading")
               ? ERR(e, ERR_REFUSED, 0, "batch %s of feed %s is being read: wait for its end",
                     db_z(r, 0, 0), feed)
               : code;
}

/* In one transaction, whose entry in the ledger comes last, as everywhere (core/store/README.md).
 */
static enum err_code forget_and_record(struct session *s, const char *feed, int64_t *count,
                                       struct err *e)
{
    const char *details = arena_printf(s->arena, "feed=%s", feed);
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->config->site);
    arg_z(&q, feed);
    enum err_code code = details ? nothing_is_read(s, feed, e) : ERR(e, ERR_NOMEM, 0, "no memory");
    if (code == ERR_NONE) {
        code = db_run(s->db, s->arena, &feed_forget, &q, &r, e);
    }
    if (code == ERR_NONE) {
        *count = db_i64(r, 0, 0);
        code = operator_record(s->db, s->arena, s->config->site, "feed.forget-rows", details, e);
    }
    return code == ERR_NONE ? db_commit(s->db, e) : code;
}

static enum err_code forget_rows(struct session *s, const char *feed, struct err *e)
{
    const struct config_feed *f = configured(s, feed, e);
    int64_t count = 0;
    if (!f) {
        return ERR_NOTFOUND;
    }
    if (!f->snapshot) {
        return ERR(e, ERR_REFUSED, 0, "feed %s has not rows=\"snapshot\"", feed);
    }
    enum err_code code = db_begin(s->db, e);
    if (code == ERR_NONE) {
        code = forget_and_record(s, feed, &count, e);
    }
    if (code != ERR_NONE) {
        db_rollback(s->db);
        return code;
    }
    printf("%" PRId64 " rows of feed %s are forgotten: each row of its next file is new\n", count,
           feed);
    return ERR_NONE;
}

static enum err_code set_paused(struct session *s, const char *feed, bool paused, struct err *e)
{
    if (!configured(s, feed, e)) {
        return ERR_NOTFOUND;
    }
    const char *path = pause_file(s, feed), *details = arena_printf(s->arena, "feed=%s", feed);
    if (!path || !details) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    enum err_code code = operator_record(s->db, s->arena, s->config->site,
                                         paused ? "feed.pause" : "feed.resume", details, e);
    if (code != ERR_NONE) {
        return code;
    }
    if (paused) {
        code = file_make_folder(s->config->run, 0700, e);
        return code == ERR_NONE ? file_write(path, STR(""), 0644, e) : code;
    }
    return unlink(path) == 0 || !file_exists(path) ? ERR_NONE
                                                   : ERR(e, ERR_IO, 0, "could not remove %s", path);
}

int cmd_feed(int argc, char **argv)
{
    const char *file = NULL;
    const struct command_option options[] = {{"--config", &file, NULL}, {0}};
    int status, left = command_options(argc, argv, help, options, &status);
    if (left < 0) {
        return status;
    }
    const char *verb = left ? argv[1] : "";
    bool lists = strcmp(verb, "list") == 0 && left == 1,
         pauses = strcmp(verb, "pause") == 0 && left == 2,
         forgets = strcmp(verb, "forget-rows") == 0 && left == 2;
    if (!lists && !pauses && !forgets && !(strcmp(verb, "resume") == 0 && left == 2)) {
        return command_usage("feed", "say list, pause NAME, resume NAME or forget-rows NAME");
    }
    struct session s;
    struct err e = {0};
    if (session_open(&s, "feed", file, &status)) {
        enum err_code code = lists     ? list(&s, &e)
                             : forgets ? forget_rows(&s, argv[2], &e)
                                       : set_paused(&s, argv[2], pauses, &e);
        status = code == ERR_NONE ? EXIT_DONE : command_failed("feed", "%s", e.msg);
    }
    session_close(&s);
    return status;
}
