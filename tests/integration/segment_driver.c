/*
 * Drives core/segment without stream and processes: reads committed events from the database, in
 * order, and does with them what the lines on standard input say. Prints one line per command.
 *
 *   segment_driver CONNINFO SITE KEYS CATALOGUE SEGMENTS ZONE
 *
 *   apply N     all events behind the position, N to a transaction
 *   lose N      applies up to N events and gives the transaction up
 *   again N     the first N events of the stream once more, as after a lost acknowledgement
 *   tick AT     lets time pass up to AT, when no event is waiting
 *   recompute   looks at everybody
 */
#include "core/base/file.h"
#include "core/base/num.h"
#include "core/crypto/keys.h"
#include "core/event/read.h"
#include "core/segment/segment.h"
#include "core/store/migrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

DB_STATEMENT(
    next_events,
    "SELECT json_build_object('specversion', '1.0', 'id', id, 'type', type, 'source', source, "
    "'subject', coalesce(subject, ''), 'time', dari.instant(time), "
    "'recordedtime', dari.instant(recorded_at), 'sequence', lpad(seq::text, 20, '0'), "
    "'data', data::json)::text, seq FROM dari.event "
    "WHERE site = $1 AND seq > $2 ORDER BY seq LIMIT $3");

struct driver {
    const char *site;
    struct db *db;
    struct segmenter *core;
    struct arena *a;
};

static enum err_code apply_page(struct driver *d, int64_t after, int64_t limit, int *count,
                                struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, d->site);
    arg_i64(&q, after);
    arg_i64(&q, limit);
    arena_reset(d->a);
    enum err_code code = db_run(d->db, d->a, &next_events, &q, &rows, e);
    *count = code == ERR_NONE ? db_count(rows) : 0;
    for (int i = 0; code == ERR_NONE && i < *count; i++) {
        struct received_event ev;
        code = received_parse(db_str(rows, i, 0), &ev, e);
        if (code == ERR_NONE) {
            code = segment_apply(d->core, &ev, e);
            received_release(&ev);
        }
    }
    return code;
}

static enum err_code command(struct driver *d, struct str word, struct str value, struct err *e)
{
    int64_t n = 0;
    int count = 1;
    usec at;
    bool waiting;
    enum err_code code = ERR_NONE;
    num_i64(value, 1, 100000, &n, NULL);
    if (str_is(word, "apply")) {
        while (code == ERR_NONE && count > 0) {
            code = apply_page(d, segment_position(d->core), n, &count, e);
            code = code == ERR_NONE ? segment_commit(d->core, e) : code;
        }
    } else if (str_is(word, "again")) {
        code = apply_page(d, 0, n, &count, e);
        code = code == ERR_NONE ? segment_commit(d->core, e) : code;
    } else if (str_is(word, "lose")) {
        code = apply_page(d, segment_position(d->core), n, &count, e);
        code = code == ERR_NONE ? segment_rollback(d->core, e) : code;
    } else if (str_is(word, "tick")) {
        code = clock_parse(value, &at, e);
        code = code == ERR_NONE ? segment_waiting(d->core, &waiting, e) : code;
        if (code == ERR_NONE && waiting) {
            code = ERR(e, ERR_BUG, 0, "events are waiting");
        }
        code = code == ERR_NONE ? segment_tick(d->core, at, e) : code;
        code = code == ERR_NONE ? segment_commit(d->core, e) : code;
    } else if (str_is(word, "recompute")) {
        code = segment_recompute(d->core, NULL, e);
        printf("%zu ", segment_pending(d->core));
        code = code == ERR_NONE ? segment_commit(d->core, e) : code;
    } else {
        code = ERR(e, ERR_BUG, 0, "no such command");
    }
    return code;
}

static void read_commands(struct driver *d)
{
    char line[200];
    while (fgets(line, sizeof line, stdin)) {
        struct str rest = str_trim(str_of(line)), word = {0};
        struct err e = {0};
        str_next(&rest, ' ', &word);
        enum err_code code = command(d, word, rest, &e);
        if (code == ERR_NONE) {
            printf("ok %" PRId64 "\n", segment_position(d->core));
        } else {
            printf("%s %s\n", err_name(code), e.msg);
        }
        fflush(stdout);
    }
}

static enum err_code prepare(struct driver *d, char **argv, struct err *e)
{
    static struct keyring *keys;
    struct problems p = {0};
    int applied;
    struct db_settings db = {.conninfo = argv[1], .app = "segment_driver"};
    struct segment_settings set = {.site = d->site};
    enum err_code code = zone_set(argv[6], e);
    code = code == ERR_NONE ? db_open(&db, &d->db, e) : code;
    code = code == ERR_NONE ? migrate_apply(d->db, &applied, e) : code;
    code = code == ERR_NONE ? migrate_site(d->db, d->site, NULL, e) : code;
    if (keys_init(argv[3], e) != ERR_NONE && !file_exists(argv[3])) {
        return ERR_CONFIG;
    }
    code = code == ERR_NONE ? keyring_open(argv[3], &keys, e) : code;
    set.keys = keys;
    set.catalogue = catalogue_load(argv[4], &p);
    set.rules = segment_rules_load(arena_new(0), argv[5], &p);
    problems_print(&p, stderr);
    if (code == ERR_NONE && (!set.catalogue || !set.rules)) {
        return ERR(e, ERR_CONFIG, 0, "catalogue or segments cannot be used");
    }
    code = code == ERR_NONE ? segment_new(&set, &d->core, e) : code;
    return code == ERR_NONE ? segment_attach(d->core, d->db, e) : code;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    if (argc != 7) {
        fprintf(stderr, "usage: segment_driver CONNINFO SITE KEYS CATALOGUE SEGMENTS ZONE\n");
        return 2;
    }
    struct driver d = {.site = argv[2], .a = arena_new(0)};
    if (prepare(&d, argv, &e) != ERR_NONE) {
        fprintf(stderr, "segment_driver: %s\n", e.msg);
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    read_commands(&d);
    return 0;
}
