/*
 * Drives core/messaging without the relay, for tests/lib/messaging_site.py.
 *
 *     messaging_driver [KEY=VALUE]... append     events from standard input, one JSON object each:
 *                                               {"type", "subject", "time", "data", "test"}
 *     messaging_driver [KEY=VALUE]... step       applies what the stream has, hands over what is
 * due messaging_driver [KEY=VALUE]... run        the same again and again until SIGTERM
 *
 * Keys: db, keys, site, outbox, url, timeout, config (folder with journeys and templates), batch.
 * subject and *_key values are texts of the test; they become opaque keys here.
 */
#include "core/base/num.h"
#include "core/messaging/messaging.h"
#include "core/event/read.h"
#include "core/store/events.h"
#include "core/store/migrate.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 64 * 1024 };

static const char *setting[16][2];
static volatile sig_atomic_t stopping;

static void on_term(int signo)
{
    (void)signo;
    stopping = 1;
}

static const char *get(const char *key, const char *dflt)
{
    for (size_t i = 0; i < 16 && setting[i][0]; i++) {
        if (strcmp(setting[i][0], key) == 0) {
            return setting[i][1];
        }
    }
    return dflt;
}

static _Noreturn void die(const char *what, const struct err *e)
{
    fprintf(stderr, "messaging_driver: %s: %s\n", what, e->msg);
    exit(1);
}

struct drive {
    struct arena *a, *life;
    struct db *db;
    struct keyring *keys;
    struct catalogue *catalogue;
    struct templates templates;
    struct journeys journeys;
    struct messaging *m;
    int64_t batch;
    bool forever;
};

DB_STATEMENT(drive_read,
             "SELECT seq, id, type, subject, time, recorded_at, source, cause, test, data, sealed "
             "FROM dari.event WHERE site = $1 AND seq > $2 ORDER BY seq LIMIT $3");

static void open_all(struct drive *d)
{
    struct err e = {0};
    struct problems p = {0};
    char path[4096];
    d->a = arena_new(0);
    d->life = arena_new(0);
    if (zone_set("Asia/Seoul", &e) != ERR_NONE ||
        keyring_open(get("keys", ""), &d->keys, &e) != ERR_NONE) {
        die("open", &e);
    }
    d->catalogue = catalogue_load("mappings/catalogue.xml", &p);
    snprintf(path, sizeof path, "%s/templates", get("config", "config"));
    templates_load(d->life, path, &d->templates, &p);
    snprintf(path, sizeof path, "%s/journeys", get("config", "config"));
    journeys_load(d->life, path, &d->templates, &d->journeys, &p);
    if (p.count) {
        problems_print(&p, stderr);
        exit(1);
    }
}

static enum err_code connect_db(struct drive *d, struct err *e)
{
    const struct db_settings s = {.conninfo = get("db", ""), .app = "messaging_driver"};
    db_free(&d->db);
    return db_open(&s, &d->db, e);
}

/* ---- append ---- */

static void opaque(const struct drive *d, const char *kind, const char *text, char out[KEY_TEXT])
{
    if (strcmp(kind, "patient") == 0) {
        key_patient(d->keys, str_of(get("site", "test")), str_of(text), out);
    } else {
        key_opaque(d->keys, kind, str_of(get("site", "test")), str_of(text), out);
    }
}

static void set_scalar(const struct drive *d, struct event_builder *b, const char *name,
                       const json_t *v, bool item)
{
    char key[KEY_TEXT], number[32];
    struct err e = {0};
    const char *text = json_is_string(v) ? json_string_value(v)
                       : json_is_true(v) ? "true"
                                         : "false";
    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        text = number;
    }
    if (str_ends(str_of(name), STR("_key"))) {
        bool patient = strcmp(name, "surviving_key") == 0 || strcmp(name, "retired_key") == 0;
        opaque(d, patient ? "patient" : "appointment", text, key);
        text = key;
    }
    enum err_code code;
    if (json_is_null(v)) {
        code = item ? event_item_null(b, str_of(name), &e) : event_null(b, str_of(name), &e);
    } else {
        code = item ? event_item_set(b, str_of(name), str_of(text), &e)
                    : event_set(b, str_of(name), str_of(text), &e);
    }
    if (code != ERR_NONE) {
        die(name, &e);
    }
}

static void build(const struct drive *d, const json_t *in, unsigned n, struct event *ev)
{
    struct err e = {0};
    const char *type = data_str(in, "type"), *subject = data_str(in, "subject"), *name;
    json_t *value;
    ev->type = catalogue_find(d->catalogue, str_of(type));
    struct event_builder *b = event_new(d->a, ev->type);
    json_object_foreach(json_object_get(in, "data"), name, value)
    {
        size_t i;
        json_t *item, *v;
        const char *field;
        if (!json_is_array(value)) {
            set_scalar(d, b, name, value, false);
            continue;
        }
        json_array_foreach(value, i, item)
        {
            if (event_item(b, str_of(name), &e) != ERR_NONE) {
                die(name, &e);
            }
            json_object_foreach(item, field, v)
            {
                set_scalar(d, b, field, v, true);
            }
        }
    }
    if (event_finish(b, ev, &e) != ERR_NONE) {
        die(type, &e);
    }
    ev->test = data_bool(in, "test", false);
    data_instant(in, "time", &ev->time);
    opaque(d, "patient", subject, ev->subject);
    char cause[64];
    snprintf(cause, sizeof cause, "%lld/%lld", (long long)clock_real(), (long long)clock_mono());
    key_event(d->keys, str_of(cause), str_of(type), n, ev->id);
}

static int append(struct drive *d)
{
    char *line = NULL;
    size_t cap = 0;
    struct err e = {0};
    if (connect_db(d, &e) != ERR_NONE) {
        die("database", &e);
    }
    for (unsigned n = 0; getline(&line, &cap, stdin) > 0; n++) {
        struct event ev = {0};
        int64_t first;
        json_t *in = json_loads(line, 0, NULL);
        arena_reset(d->a);
        ev.time = clock_now();
        build(d, in, n, &ev);
        const struct event_batch b = {.site = get("site", "test"),
                                      .source = "feed:test",
                                      .kind = "derived",
                                      .at = clock_now(),
                                      .events = &ev,
                                      .count = 1};
        if (events_append(d->db, d->a, d->keys, &b, &first, &e) != ERR_NONE) {
            die("append", &e);
        }
        /* CLOCK_REALTIME right after the commit: what the race test compares with a file's ctime.
         */
        printf("%lld %lld %s\n", (long long)first, (long long)clock_real(), ev.id);
        fflush(stdout);
        json_decref(in);
    }
    free(line);
    return 0;
}

/* ---- the stream, read from the table ---- */

static bool all_fields(void *ctx, const struct event_type *t, const struct field *f)
{
    (void)ctx;
    (void)t;
    (void)f;
    return true;
}

static enum err_code one_event(struct drive *d, const struct db_rows *r, int i, struct err *e)
{
    static const struct event_cut cut = {.allow = all_fields};
    struct str secret = {NULL, 0};
    struct buf payload, json;
    buf_init(&payload, MAX_LINE);
    buf_init(&json, MAX_LINE);
    const struct event_type *t = catalogue_find(d->catalogue, db_str(r, i, 2));
    const char *context = arena_printf(d->a, "%s/event/%s", get("site", "test"), db_z(r, i, 1));
    enum err_code code = ERR_NONE;
    if (!db_null(r, i, 10)) {
        code = unseal(d->keys, d->a, str_of(context), db_str(r, i, 10), &secret, e);
    }
    if (code == ERR_NONE) {
        code = event_payload(&payload, t, db_str(r, i, 9), secret, &cut, e);
    }
    const struct envelope v = {.site = get("site", "test"),
                               .source = db_z(r, i, 6),
                               .id = db_z(r, i, 1),
                               .type = t->name,
                               .subject = db_z(r, i, 3),
                               .schema = t->schema,
                               .time = db_time(r, i, 4),
                               .recorded_at = db_time(r, i, 5),
                               .seq = db_i64(r, i, 0),
                               .cause = db_null(r, i, 7) ? NULL : db_z(r, i, 7),
                               .test = db_bool(r, i, 8),
                               .data = buf_str(&payload)};
    if (code == ERR_NONE) {
        envelope_json(&json, &v);
        code = messaging_take(d->m, v.seq, buf_str(&json), e);
    }
    buf_release(&payload);
    buf_release(&json);
    return code;
}

static enum err_code read_some(struct drive *d, int64_t *position, bool *any, struct err *e)
{
    struct db_args q = {0};
    struct db_rows *rows;
    arena_reset(d->a);
    arg_z(&q, get("site", "test"));
    arg_i64(&q, *position);
    arg_i64(&q, d->batch);
    enum err_code code = db_run(d->db, d->a, &drive_read, &q, &rows, e);
    for (int i = 0; code == ERR_NONE && i < db_count(rows); i++) {
        code = one_event(d, rows, i, e);
    }
    *any = code == ERR_NONE && db_count(rows) > 0;
    return *any ? messaging_apply(d->m, d->db, position, e) : code;
}

static enum err_code step(struct drive *d, struct err *e)
{
    int64_t position;
    bool any = true, more = true;
    enum err_code code = connect_db(d, e);
    if (code == ERR_NONE) {
        code = messaging_attach(d->m, d->db, &position, e);
    }
    do {
        while (code == ERR_NONE && any) {
            code = read_some(d, &position, &any, e);
        }
        while (code == ERR_NONE && more) {
            code = messaging_tick(d->m, d->db, &more, e);
        }
        any = more = true;
        poll(NULL, 0, d->forever ? 1 : 0);
    } while (code == ERR_NONE && d->forever && !stopping);
    return code;
}

static int follow(struct drive *d)
{
    struct err e = {0};
    const struct messaging_settings s = {.site = get("site", "test"),
                                         .site_name = get("hospital", "서울내과"),
                                         .site_phone = get("phone", "02-123-4567"),
                                         .sender = "0212345678",
                                         .outbox = get("outbox", ""),
                                         .url = get("url", NULL),
                                         .timeout_ms = 400,
                                         .keys = d->keys,
                                         .catalogue = d->catalogue,
                                         .journeys = &d->journeys};
    if (messaging_new(&s, &d->m, &e) != ERR_NONE || step(d, &e) != ERR_NONE) {
        die("messaging", &e);
    }
    messaging_free(&d->m);
    return 0;
}

int main(int argc, char **argv)
{
    struct drive d = {0};
    size_t n = 0;
    int status = 2;
    for (int i = 1; i < argc - 1 && n < 16; i++, n++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) {
            return 2;
        }
        *equals = '\0';
        setting[n][0] = argv[i];
        setting[n][1] = equals + 1;
    }
    const char *what = argc > 1 ? argv[argc - 1] : "";
    signal(SIGTERM, on_term);
    d.batch = 16;
    num_i64(str_of(get("batch", "16")), 0, MESSAGING_BATCH, &d.batch, NULL);
    open_all(&d);
    if (strcmp(what, "append") == 0) {
        status = append(&d);
    } else if (strcmp(what, "run") == 0 || strcmp(what, "step") == 0) {
        d.forever = strcmp(what, "run") == 0;
        status = follow(&d);
    }
    db_free(&d.db);
    catalogue_free(&d.catalogue);
    keyring_free(&d.keys);
    arena_free(&d.a);
    arena_free(&d.life);
    return status;
}
