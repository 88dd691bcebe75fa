#include "core/intake/silence.h"

#include "core/base/log.h"
#include "core/store/events.h"

DB_STATEMENT(silence_last, "SELECT max(c.last_at), (SELECT since FROM dari.feed_silence s WHERE "
                           "s.site = $1 AND s.feed = $2) "
                           "FROM dari.feed_count c WHERE c.site = $1 AND c.feed = $2");
DB_STATEMENT(
    silence_enter,
    "INSERT INTO dari.feed_silence (site, feed, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
DB_STATEMENT(silence_leave, "DELETE FROM dari.feed_silence WHERE site = $1 AND feed = $2");

static bool two_digits(const char **at, int max, int *out)
{
    const char *c = *at;
    if (c[0] < '0' || c[0] > '9' || c[1] < '0' || c[1] > '9') {
        return false;
    }
    *out = (c[0] - '0') * 10 + (c[1] - '0');
    *at = c + 2;
    return *out <= max;
}

static bool time_of_day(const char **at, int *minutes)
{
    int h, m;
    if (!two_digits(at, 24, &h) || *(*at)++ != ':' || !two_digits(at, 59, &m) || (h == 24 && m)) {
        return false;
    }
    *minutes = h * 60 + m;
    return true;
}

enum err_code silence_hours(const char *text, int *from, int *until, struct err *e)
{
    const char *at = text;
    if (!time_of_day(&at, from) || *at++ != '-' || !time_of_day(&at, until) || *at ||
        *until < *from) {
        return ERR(e, ERR_VALUE, (size_t)(at - text), "hours must look like 08:00-20:00");
    }
    return ERR_NONE;
}

usec silence_since(const struct silence_rule *r, usec last, usec now)
{
    struct civil c = zone_local(now);
    int minute = c.hour * 60 + c.minute;
    bool always = r->from == r->until;
    if (!r->after_ms || (!always && (minute < r->from || minute >= r->until))) {
        return 0;
    }
    /* What was said before the hours began says nothing about today. */
    usec opened = always ? 0 : zone_instant(zone_day(now), r->from / 60, r->from % 60, 0);
    usec since = last > opened ? last : opened;
    return since && now - since >= r->after_ms * 1000 ? since : 0;
}

static enum err_code tell(struct db *db, struct arena *a, const struct silence_watch *w,
                          const char *feed, usec since, usec now, struct err *e)
{
    const struct event_type *type = catalogue_find(w->catalogue, STR("feed.gap_detected"));
    struct event_builder *b = type ? event_new(a, type) : NULL;
    struct event ev = {0};
    char from[CLOCK_TEXT], to[CLOCK_TEXT];
    if (!b) {
        return ERR(e, ERR_CONFIG, 0, "the catalogue has no feed.gap_detected");
    }
    clock_text(since, from);
    enum err_code code = event_set(b, STR("feed"), str_of(feed), e);
    code = code == ERR_NONE ? event_set(b, STR("from"), str_of(from), e) : code;
    code = code == ERR_NONE ? event_set(b, STR("to"), str_of(clock_text(now, to)), e) : code;
    code = code == ERR_NONE ? event_finish(b, &ev, e) : code;
    if (code != ERR_NONE) {
        return code;
    }
    const char *cause = arena_printf(a, "silence/%s/%s/%s", w->site, feed, from);
    if (!cause) {
        return ERR(e, ERR_NOMEM, 0, "no memory");
    }
    key_event(w->keys, str_of(cause), str_of(type->name), 0, ev.id);
    ev.time = now;
    const struct event_batch batch = {.site = w->site,
                                      .source = "role:steward",
                                      .kind = "derived",
                                      .at = now,
                                      .events = &ev,
                                      .count = 1};
    int64_t first;
    return events_append(db, a, w->keys, &batch, &first, e);
}

static enum err_code change(struct db *db, struct arena *a, const struct silence_watch *w,
                            const char *feed, usec since, usec now, struct err *e)
{
    struct db_args q = {0};
    arg_z(&q, w->site);
    arg_z(&q, feed);
    if (since) {
        arg_time(&q, since);
    }
    enum err_code code = db_begin(db, e);
    code = code == ERR_NONE ? db_run(db, a, since ? &silence_enter : &silence_leave, &q, NULL, e)
                            : code;
    if (code == ERR_NONE && since) {
        code = tell(db, a, w, feed, since, now, e);
    }
    code = code == ERR_NONE ? db_commit(db, e) : code;
    if (code != ERR_NONE) {
        db_rollback(db);
    }
    return code;
}

static enum err_code look_at(struct db *db, struct arena *a, const struct silence_watch *w,
                             const struct silence_rule *r, usec now, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arg_z(&q, w->site);
    arg_z(&q, r->feed);
    enum err_code code = db_run(db, a, &silence_last, &q, &rows, e);
    if (code != ERR_NONE) {
        return code;
    }
    usec last = db_null(rows, 0, 0) ? 0 : db_time(rows, 0, 0);
    bool told = !db_null(rows, 0, 1);
    usec since = silence_since(r, last, now);
    if (since && !told) {
        char text[CLOCK_TEXT];
        code = change(db, a, w, r->feed, since, now, e);
        if (code == ERR_NONE) {
            log_warn("feed.silent", "feed=%s since=%s", r->feed, clock_text(since, text));
        }
    } else if (told && last > db_time(rows, 0, 1)) {
        code = change(db, a, w, r->feed, 0, now, e);
        if (code == ERR_NONE) {
            log_info("feed.heard-again", "feed=%s", r->feed);
        }
    }
    return code;
}

enum err_code silence_look(struct db *db, const struct silence_watch *w, usec now, struct err *e)
{
    struct arena *a = arena_new(0);
    enum err_code code = a ? ERR_NONE : ERR(e, ERR_NOMEM, 0, "no memory");
    for (size_t i = 0; code == ERR_NONE && i < w->count; i++) {
        code = w->rules[i].after_ms ? look_at(db, a, w, &w->rules[i], now, e) : ERR_NONE;
    }
    arena_free(&a);
    return code;
}
