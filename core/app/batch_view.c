#include "core/app/batch_view.h"

#include "core/base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

DB_STATEMENT(batch_rows,
             "SELECT no, feed, state, name, size, bytes, read, mapped, ignored, unchanged, "
             "rejected, duplicates, gone, events, again, problem, last_at FROM dari.batch "
             "WHERE site = $1 AND ($2::text IS NULL OR feed = $2) AND ($3::text IS NULL OR "
             "state = $3) ORDER BY no DESC LIMIT $4");

enum column {
    NO,
    FEED,
    STATE,
    NAME,
    SIZE,
    BYTES,
    READ,
    MAPPED,
    IGNORED,
    UNCHANGED,
    REJECTED,
    DUPLICATES,
    GONE,
    EVENTS,
    AGAIN,
    PROBLEM,
    LAST_AT
};

/* A workbook unpacks to more than its size: never more than 99 before it is at its end. */
static int64_t per_cent(struct db_rows *r, int i)
{
    int64_t size = db_i64(r, i, SIZE), bytes = db_i64(r, i, BYTES);
    int64_t share = size > 0 ? bytes * 100 / size : 0;
    return share > 99 ? 99 : share;
}

static void print_row(struct session *s, struct db_rows *r, int i)
{
    char at[CLOCK_TEXT];
    printf("%-6s %-16s %-8s", db_z(r, i, NO), db_z(r, i, FEED), db_z(r, i, STATE));
    if (str_is(db_str(r, i, STATE), "reading")) {
        printf(" %3" PRId64 "%%", per_cent(r, i));
    } else {
        printf("     ");
    }
    printf(" %9" PRId64 " = %8" PRId64 " + %7" PRId64 " + %9" PRId64 " + %8" PRId64 " + %7" PRId64,
           db_i64(r, i, READ), db_i64(r, i, MAPPED), db_i64(r, i, IGNORED), db_i64(r, i, UNCHANGED),
           db_i64(r, i, REJECTED), db_i64(r, i, DUPLICATES));
    printf(" %6" PRId64 " %8" PRId64 "  %.16s  %s\n", db_i64(r, i, GONE), db_i64(r, i, EVENTS),
           clock_text(db_time(r, i, LAST_AT), at), text_visible(s->arena, db_str(r, i, NAME)));
    if (!db_null(r, i, PROBLEM)) {
        printf("       %s\n", text_visible(s->arena, db_str(r, i, PROBLEM)));
    }
}

static void print_table(struct session *s, struct db_rows *r)
{
    printf("%-6s %-16s %-8s      %9s = %8s + %7s + %9s + %8s + %7s %6s %8s  %-16s  %s\n", "batch",
           "feed", "state", "read", "mapped", "ignored", "unchanged", "rejected", "doubles", "gone",
           "events", "last", "name");
    for (int i = 0; i < db_count(r); i++) {
        print_row(s, r, i);
    }
}

static json_t *json_row(struct db_rows *r, int i)
{
    static const struct {
        const char *name;
        enum column column;
    } numbers[] = {{"batch", NO},
                   {"size", SIZE},
                   {"bytes", BYTES},
                   {"read", READ},
                   {"mapped", MAPPED},
                   {"ignored", IGNORED},
                   {"unchanged", UNCHANGED},
                   {"rejected", REJECTED},
                   {"duplicates", DUPLICATES},
                   {"gone", GONE},
                   {"events", EVENTS},
                   {"again", AGAIN}};
    char at[CLOCK_TEXT];
    json_t *o = json_object();
    json_object_set_new(o, "feed", json_string(db_z(r, i, FEED)));
    json_object_set_new(o, "state", json_string(db_z(r, i, STATE)));
    json_object_set_new(o, "name", json_string(db_z(r, i, NAME)));
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        json_object_set_new(o, numbers[k].name, json_integer(db_i64(r, i, numbers[k].column)));
    }
    json_object_set_new(o, "problem",
                        db_null(r, i, PROBLEM) ? json_null() : json_string(db_z(r, i, PROBLEM)));
    json_object_set_new(o, "last_at", json_string(clock_text_utc(db_time(r, i, LAST_AT), at)));
    return o;
}

static enum err_code print_json(struct db_rows *r, struct err *e)
{
    json_t *all = json_array();
    for (int i = 0; i < db_count(r); i++) {
        json_array_append_new(all, json_row(r, i));
    }
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    if (text) {
        puts(text);
    }
    free(text);
    json_decref(all);
    return text ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory for the output");
}

enum err_code batch_print(struct session *s, const struct batch_filter *f, bool json, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *r;
    arg_z(&q, s->config->site);
    arg_z(&q, f->feed);
    arg_z(&q, f->state);
    arg_i64(&q, f->limit);
    enum err_code rc = db_run(s->db, s->arena, &batch_rows, &q, &r, e);
    if (rc == ERR_NONE && json) {
        rc = print_json(r, e);
    } else if (rc == ERR_NONE && db_count(r)) {
        print_table(s, r);
    }
    return rc;
}
